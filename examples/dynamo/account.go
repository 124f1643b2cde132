// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// three returns clients of three replicas in memory, one on each node.
func three[S quorum.State[S], C any](net *network, client func(node int, list []quorum.Replica[string, S]) (C, error)) ([]C, error) {
	memory := make([]quorum.Memory[string, S], copies)
	var clients []C
	for from := range copies {
		var list []quorum.Replica[string, S]
		for to := range copies {
			l := link[S]{net, from, to, func() quorum.Replica[string, S] { return &memory[to] }}
			list = append(list, counted[S]{net, from, to, l})
		}
		c, err := client(from, list)
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// handClock returns the clock of a node, which one step after the other moves.
func handClock(node int, now *time.Time) *quorum.Clock {
	return quorum.NewClock(uint32(node+1), &quorum.ClockOptions{Now: func() time.Time {
		*now = now.Add(time.Millisecond)
		return *now
	}})
}

// kvOf returns a client by quorum that also reads and writes one copy.
func kvOf(now *time.Time) func(node int, list []quorum.Replica[string, cell]) (*quorum.KV[string, int], error) {
	return func(node int, list []quorum.Replica[string, cell]) (*quorum.KV[string, int], error) {
		opts := &quorum.Options{AllowStale: true, Repair: quorum.RepairOff, Hedge: -1}
		// Each node asks itself first.
		opts.Zones = []string{"A", "B", "C"}
		opts.Zone = opts.Zones[node]
		return quorum.NewKV(list, handClock(node, now), opts)
	}
}

// reportAccount withdraws 100 of 1000 while one of three nodes is cut off.
func reportAccount(ctx context.Context, _ *config, w io.Writer) error {
	net := newNetwork(copies)
	now := time.Unix(1e9, 0)
	nodes, err := three(net, kvOf(&now))
	if err != nil {
		return err
	}
	a, c := nodes[0], nodes[2]
	if _, err := a.Put(ctx, "account", 1000, quorum.At(quorum.All)); err != nil {
		return err
	}
	net.settle(copies)

	// C is cut off, and A takes 100 out, by a quorum of A and B.
	net.set(net.apart, 2, true)
	balance, _, err := a.Get(ctx, "account")
	if err == nil {
		_, err = a.Put(ctx, "account", balance-100)
	}
	net.settle(copies)
	if err != nil {
		return err
	}
	fmt.Fprint(w, "an account of 1000 on A, B and C; C is cut off, and A withdraws 100\n")
	atA, _, err := a.Get(ctx, "account")
	if err != nil || atA != 900 {
		return fmt.Errorf("at A: %d, %w, want 900", atA, err)
	}
	_, _, strong := c.Get(ctx, "account")
	weak, _, err := c.Get(ctx, "account", quorum.At(quorum.One))
	if !errors.Is(strong, quorum.ErrUnavailable) || err != nil || weak != 1000 {
		return fmt.Errorf("at C: %d, %w and %w, want a refusal and 1000", weak, strong, err)
	}
	fmt.Fprintf(w, "  A, by quorum:   %d\n", atA)
	fmt.Fprint(w, "  C, by quorum:   unavailable (CP: it refuses rather than lie)\n")
	fmt.Fprintf(w, "  C, of one copy: %d        (AP: it answers, and is stale)\n", weak)

	// The cut ends.
	net.set(net.apart, 2, false)
	after, _, err := c.Get(ctx, "account")
	if err != nil || after != 900 {
		return fmt.Errorf("at C: %d, %w after the cut, want 900", after, err)
	}
	_, err = fmt.Fprintf(w, "  C, by quorum, when the cut has ended: %d\n\n", after)
	return err
}
