// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// benchmarkBoth runs f from one goroutine, and from all processors.
func benchmarkBoth(b *testing.B, name string, f func()) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
	})
	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				f()
			}
		})
	})
}

// memories returns n replicas in memory that hold a value.
func memories(n int) []Replica[string, LWW[int]] {
	rs := make([]Replica[string, LWW[int]], n)
	for i := range rs {
		m := NewMemory[string, LWW[int]]()
		_ = m.Merge(ctx, "k", at(1))
		rs[i] = m
	}
	return rs
}

// naiveLoad is the usual fan-out: a channel for each call, a closure for each
// request, and the first majority of answers.
func naiveLoad(ctx context.Context, rs []Replica[string, LWW[int]], key string) (best LWW[int], err error) {
	type reply struct {
		s   LWW[int]
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	replies := make(chan reply, len(rs))
	for _, r := range rs {
		go func() {
			s, err := r.Load(ctx, key)
			replies <- reply{s, err}
		}()
	}

	ok := 0
	for range rs {
		r := <-replies
		if r.err != nil {
			continue
		}
		best = best.Join(r.s)
		ok++
		if ok > len(rs)/2 {
			return best, nil
		}
	}
	return best, errors.New("no quorum")
}

// naiveMerge is the same for a write.
func naiveMerge(ctx context.Context, rs []Replica[string, LWW[int]], key string, s LWW[int]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	replies := make(chan error, len(rs))
	for _, r := range rs {
		go func() { replies <- r.Merge(ctx, key, s) }()
	}

	ok := 0
	for range rs {
		if <-replies == nil {
			ok++
		}
		if ok > len(rs)/2 {
			return nil
		}
	}
	return errors.New("no quorum")
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{3, 5} {
		rs := memories(n)
		benchmarkBoth(b, fmt.Sprintf("impl=naive/n=%d", n), func() { _, _ = naiveLoad(ctx, rs, "k") })
		c, err := New(rs, nil)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkBoth(b, fmt.Sprintf("impl=ours/n=%d", n), func() { _, _ = c.Load(ctx, "k") })
		benchmarkBoth(b, fmt.Sprintf("impl=atomic/n=%d", n), func() { _, _ = c.Load(ctx, "k", Atomic()) })
	}
}

func BenchmarkDo(b *testing.B) {
	for _, n := range []int{3, 5} {
		rs := memories(n)
		benchmarkBoth(b, fmt.Sprintf("impl=naive/n=%d", n), func() { _, _ = naiveLoad(ctx, rs, "k") })
		f := func(ctx context.Context, i int) (LWW[int], error) { return rs[i].Load(ctx, "k") }
		system := Majority(First(n))
		benchmarkBoth(b, fmt.Sprintf("impl=ours/n=%d", n), func() { _, _ = Do(ctx, system, f, nil) })
	}
}

func BenchmarkMerge(b *testing.B) {
	for _, n := range []int{3, 5} {
		rs := memories(n)
		benchmarkBoth(b, fmt.Sprintf("impl=naive/n=%d", n), func() { _ = naiveMerge(ctx, rs, "k", at(1)) })
		c, err := New(rs, nil)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkBoth(b, fmt.Sprintf("impl=ours/n=%d", n), func() { _ = c.Merge(ctx, "k", at(1)) })
	}
}

func BenchmarkSystem(b *testing.B) {
	for _, s := range []struct {
		name   string
		system System
	}{
		{"majority", Majority(First(5))},
		{"joint", Of(2, Majority(First(3)), Majority(First(3)<<2))},
		{"zones", Of(3, Majority(First(3)), Majority(First(3)<<3), Majority(First(3)<<6))},
	} {
		b.Run("Has/system="+s.name, func(b *testing.B) {
			for b.Loop() {
				s.system.Has(0b10110)
			}
		})
		b.Run("Vote/system="+s.name, func(b *testing.B) {
			for b.Loop() {
				s.system.Vote(0b00101, 0b01000)
			}
		})
	}
}

func BenchmarkCAS(b *testing.B) {
	for _, n := range []int{3, 5} {
		c := newCAS(b, acceptors(n), nil)
		benchmarkBoth(b, fmt.Sprintf("impl=ours/n=%d", n), func() { _, _, _ = c.Update(ctx, "k", add(1)) })
	}
}
