// SPDX-License-Identifier: MIT

// Package quorum compares the quorum package with the code that people write
// instead, and with the votes of etcd's Raft.
package quorum

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/quorum"
)

// The names of the implementations.
const (
	ours      = "ours"
	naiveName = "naive fan-out"
	groupName = "errgroup"
	etcdName  = "etcd"
)

// A state is a value with a stamp; all implementations use the same replicas in
// memory, which hold these.
type (
	state   = quorum.LWW[int]
	replica = quorum.Replica[string, state]
)

var errNoQuorum = errors.New("no quorum")

// replicas returns n replicas in memory that hold a value.
func replicas(n int) []replica {
	list := make([]replica, n)
	for i := range list {
		m := quorum.NewMemory[string, state]()
		if err := m.Merge(context.Background(), "k", newState(1)); err != nil {
			panic(err)
		}
		list[i] = m
	}
	return list
}

func newState(n int) state { return state{Value: n, Stamp: quorum.Stamp{Wall: int64(n)}} }

// impl returns the implementation of an operation on n replicas, which call
// makes.
func impl(name string, n int, call func(list []replica, atEnd func(func())) func() error) bench.Impl {
	return bench.Impl{Name: name, Setup: func(atEnd func(func())) bench.Op {
		f := call(replicas(n), atEnd)
		return func(_, n int) (ok int) {
			for range n {
				if f() == nil {
					ok++
				}
			}
			return ok
		}
	}}
}

// handoff returns the floor of a call: as many goroutines as have to answer are
// started, and the last of them wakes the caller.
func handoff(n int) bench.Impl {
	return bench.Impl{Name: "goroutines", Setup: func(func(func())) bench.Op {
		return func(_, calls int) int {
			woken := make(chan struct{}, 1)
			var left atomic.Int64
			answer := func() {
				if left.Add(-1) == 0 {
					woken <- struct{}{}
				}
			}
			for range calls {
				left.Store(int64(n/2 + 1))
				for range n/2 + 1 {
					go answer() // ends at once
				}
				<-woken
			}
			return calls
		}
	}}
}

// Ours.

func newCluster(list []replica, atEnd func(func())) *quorum.Cluster[string, state] {
	c, err := quorum.New(list, nil)
	if err != nil {
		panic(err)
	}
	atEnd(func() { _ = c.Close(context.Background()) })
	return c
}

func oursLoad(calls ...quorum.Call) func([]replica, func(func())) func() error {
	return func(list []replica, atEnd func(func())) func() error {
		c := newCluster(list, atEnd)
		return func() error {
			_, err := c.Load(context.Background(), "k", calls...)
			return err
		}
	}
}

func oursMerge(list []replica, atEnd func(func())) func() error {
	c := newCluster(list, atEnd)
	s := newState(1)
	return func() error { return c.Merge(context.Background(), "k", s) }
}

func oursDo(list []replica, _ func(func())) func() error {
	system := quorum.Majority(quorum.First(len(list)))
	f := func(ctx context.Context, i int) (state, error) { return list[i].Load(ctx, "k") }
	return func() error {
		_, err := quorum.Do(context.Background(), system, f, nil)
		return err
	}
}

// The usual fan-out: a channel for each call, a closure for each request, and
// the first majority of answers. It cancels the others, a write's too.

func naiveLoad(list []replica, _ func(func())) func() error {
	return func() error {
		type reply struct {
			s   state
			err error
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		replies := make(chan reply, len(list))
		for _, r := range list {
			go func() { // ends when the replica returns
				s, err := r.Load(ctx, "k")
				replies <- reply{s, err}
			}()
		}

		var best state
		ok := 0
		for range list {
			r := <-replies
			if r.err != nil {
				continue
			}
			best = best.Join(r.s)
			if ok++; ok > len(list)/2 {
				return nil
			}
		}
		return errNoQuorum
	}
}

func naiveMerge(list []replica, _ func(func())) func() error {
	s := newState(1)
	return func() error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		replies := make(chan error, len(list))
		for _, r := range list {
			go func() { replies <- r.Merge(ctx, "k", s) }() // ends when the replica returns
		}

		ok := 0
		for range list {
			if <-replies != nil {
				continue
			}
			if ok++; ok > len(list)/2 {
				return nil
			}
		}
		return errNoQuorum
	}
}

// errgroup waits for all, the slowest too.

func groupLoad(list []replica, _ func(func())) func() error {
	return group(list, func(ctx context.Context, r replica) error {
		_, err := r.Load(ctx, "k")
		return err
	})
}

func groupMerge(list []replica, _ func(func())) func() error {
	s := newState(1)
	return group(list, func(ctx context.Context, r replica) error { return r.Merge(ctx, "k", s) })
}

func group(list []replica, request func(ctx context.Context, r replica) error) func() error {
	return func() error {
		g, ctx := errgroup.WithContext(context.Background())
		var ok atomic.Int64
		for _, r := range list {
			g.Go(func() error { // ends when the replica returns
				if request(ctx, r) == nil {
					ok.Add(1)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if int(ok.Load()) <= len(list)/2 {
			return errNoQuorum
		}
		return nil
	}
}
