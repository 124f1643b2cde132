// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// Six orders on three servers.
var (
	orders  = []string{"O1", "O2", "O3", "O4", "O5", "O6"}
	servers = []string{"PS1", "PS2", "PS3"}
)

// Times of the kitchen.
const (
	baking    = 10 * time.Second // one pizza at a time
	heartbeat = 15 * time.Second // silence after which a server is dead
	diesAt    = 5 * time.Second
)

// plan is who makes what. A seed says where the servers stand on the ring; for
// the sake of the story it is one that gives this.
var plan = map[string]string{"O1": "PS2", "O2": "PS3", "O3": "PS2", "O4": "PS1", "O5": "PS1", "O6": "PS3"}

// kitchenRing returns a ring that gives the plan.
func kitchenRing() (ring *consistenthash.Snapshot, err error) {
	for seed := range uint64(10_000) {
		var nodes []consistenthash.Node
		for _, s := range servers {
			nodes = append(nodes, consistenthash.Node{Name: s})
		}
		r, err := consistenthash.NewSnapshot(&consistenthash.Options{Seed: seed}, nodes...)
		if err != nil {
			return nil, err
		}
		fits := true
		for o, want := range plan {
			s, _ := r.Get(o)
			fits = fits && s == want
		}
		if fits {
			return r, nil
		}
	}
	return nil, errors.New("no seed gives the plan")
}

// A kitchen is a run with one way to go on after a death.
type kitchen struct {
	ring  *consistenthash.Snapshot
	naive bool // all unfinished orders are given out again, as new ones are
	queue map[string][]string
	busy  map[string]time.Duration // by server: until when
	made  []string                 // in order
	moved []string
	by    map[string]string // by order: who was to make it
}

// open gives out the orders.
func (k *kitchen) open() {
	k.queue = map[string][]string{}
	k.busy = map[string]time.Duration{}
	k.by = map[string]string{}
	for _, o := range orders {
		s, _ := k.ring.Get(o)
		k.queue[s] = append(k.queue[s], o)
		k.by[o] = s
	}
}

// run bakes until all is made. PS3 dies with its first pizza in the oven.
func (k *kitchen) run() {
	k.open()
	dead := false
	for at := time.Duration(0); at < 2*time.Minute; at += time.Second {
		if at == diesAt+heartbeat {
			k.mourn()
			dead = true
		}
		for _, s := range servers {
			if s == "PS3" && (at >= diesAt || dead) {
				continue
			}
			k.bake(s, at)
		}
	}
}

// bake lets a server go on.
func (k *kitchen) bake(s string, at time.Duration) {
	if len(k.queue[s]) == 0 {
		return
	}
	if k.busy[s] == 0 {
		k.busy[s] = at + baking
	}
	if at >= k.busy[s] {
		k.made = append(k.made, k.queue[s][0])
		k.queue[s] = k.queue[s][1:]
		k.busy[s] = 0
	}
}

// mourn gives the orders of PS3 to others. The naive notifier knows only which
// orders are not made, and gives out all of them: one that is in an oven is
// given to somebody else as well.
func (k *kitchen) mourn() {
	rest := k.ring.Without("PS3")
	for i, o := range orders {
		if slices.Contains(k.made, o) || !k.naive && k.by[o] != "PS3" {
			continue
		}
		to, _ := rest.Get(o)
		if k.naive {
			to = servers[i%2] // by turns
		}
		if to == k.by[o] {
			continue // it has it already
		}
		k.queue[to] = append(k.queue[to], o)
		k.moved = append(k.moved, o)
	}
	k.queue["PS3"] = nil
}

// twice returns the orders that were made more than once.
func (k *kitchen) twice() (list []string) {
	n := map[string]int{}
	for _, o := range k.made {
		if n[o]++; n[o] == 2 {
			list = append(list, o)
		}
	}
	return list
}

// reportPizzas lets a server die, with a ring and with the naive notifier.
func reportPizzas(_ context.Context, _ *config, w io.Writer) error {
	ring, err := kitchenRing()
	if err != nil {
		return err
	}
	ours := &kitchen{ring: ring}
	naive := &kitchen{ring: ring, naive: true}
	ours.run()
	naive.run()

	fmt.Fprint(w, "six pizzas on three servers; PS3 dies, and is missed after 15 s\n")
	for _, s := range servers {
		var list []string
		for _, o := range orders {
			if ours.by[o] == s {
				list = append(list, o)
			}
		}
		fmt.Fprintf(w, "  %s: %s\n", s, strings.Join(list, " "))
	}
	fmt.Fprintf(w, "by the ring:     %s move; made: %s\n", strings.Join(ours.moved, " "), strings.Join(ours.made, " "))
	fmt.Fprintf(w, "all unfinished:  %s move; made: %s; twice: %s\n", strings.Join(naive.moved, " "), strings.Join(naive.made, " "), strings.Join(naive.twice(), " "))
	if err := ours.check(); err != nil {
		return err
	}
	_, err = fmt.Fprint(w, "law holds: the orders of the silent server have moved, and each was made once\n")
	return err
}

// check checks that each order was made once, and that only those of PS3 moved.
func (k *kitchen) check() error {
	if len(k.made) != len(orders) || len(k.twice()) > 0 {
		return fmt.Errorf("%d pizzas were made of %d orders: %v", len(k.made), len(orders), k.made)
	}
	if !slices.Equal(k.moved, []string{"O2", "O6"}) {
		return fmt.Errorf("the orders %v moved, want those of PS3", k.moved)
	}
	return nil
}
