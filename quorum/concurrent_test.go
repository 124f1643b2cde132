// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"flag"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var histories = flag.Int("histories", 10_000, "how many simulated histories TestLinearizable checks")

// count returns how many histories to check.
func count() int {
	switch {
	case raceEnabled:
		return *histories / 50
	case testing.Short():
		return *histories / 10
	}
	return *histories
}

// TestLinearizable checks that atomic reads and writes are those of one
// register, whatever is delayed, lost, repeated, cut off or crashed, and
// whatever the clocks say; with R = W, R < W and R > W.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	var next, done, less, more atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				seed := next.Add(1)
				if seed > int64(count()) {
					return
				}
				s := newSim(uint64(seed))
				events := s.run(t)
				if !s.check(events) {
					t.Errorf("not linearizable: %s", s.show(events))
				}
				done.Add(int64(len(events)))
				switch s.opts.Read {
				case Two:
					less.Add(1)
				case Three:
					more.Add(1)
				}
			}
		})
	}
	wg.Wait()

	if per := float64(done.Load()) / float64(count()); per < simClients*simOps/2 {
		t.Errorf("%v operations a history succeeded, want at least half: the simulation is too harsh", per)
	}
	equal := int64(count()) - less.Load() - more.Load()
	t.Logf("%d histories with R < W, %d with R > W, %d with R = W", less.Load(), more.Load(), equal)
	if least := int64(count() / 5); min(less.Load(), more.Load(), equal) < least {
		t.Errorf("want at least %d of each", least)
	}
}

// TestLinearizableThreads checks the same of calls that really run at once, one
// client for each, without faults.
func TestLinearizableThreads(t *testing.T) {
	t.Parallel()
	const procs, ops = 3, 5
	var s sim
	for start := time.Now(); time.Since(start) < *linearTime; {
		list := stubs(4)
		clients := make([]*KV[string, int], procs)
		for i := range clients {
			clients[i] = newKV(t, list, uint32(i), &Options{Write: Three, Read: Two})
		}

		// Each operation has a number: its client is the one of the number, and
		// a writer writes it.
		type numbered struct {
			simOp
			n int
		}
		h := record(procs, ops, func(proc, op int) numbered {
			return numbered{simOp{(proc+op)%2 == 0}, 1 + op*procs + proc}
		}, func(in numbered) (out simOut) {
			d := clients[(in.n-1)%procs]
			if in.put {
				out.value = in.n
				_, _ = d.Put(ctx, "k", in.n, Atomic())
			} else {
				out.value, _, _ = d.Get(ctx, "k", Atomic())
			}
			return out
		})
		step := func(state int, in numbered, out simOut) (int, bool) { return s.step(state, in.simOp, out) }
		if !linearizable(0, h, step) {
			t.Fatalf("not linearizable: %+v", h)
		}
	}
}

// TestLinearizableFinds checks that the checker and the simulation bite: they
// find what breaks a register.
func TestLinearizableFinds(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(*sim){
		"reads do not write back": func(s *sim) { s.reads = nil },
		"reads miss writes": func(s *sim) {
			s.reads = []Call{At(One)}
			s.opts.AllowStale = true
		},
		"reads that agree do not write back": func(s *sim) {
			s.get = unanimous
			if s.n == 4 { // where it matters
				s.opts.Read = Two
				s.opts.Write = Three
			}
		},
		"hints count as written": func(s *sim) {
			s.split = window{0, 400 * time.Millisecond}
			s.opts.Repair = RepairOff
			s.side = First(s.n)
			s.wrap = func(r Replica[string, LWW[int]]) Replica[string, LWW[int]] {
				h := NewHandoff(r, &HandoffOptions{Sloppy: true})
				return struct{ Replica[string, LWW[int]] }{h} // New does not see it
			}
		},
		"replicas forget": func(s *sim) {
			s.frail = true
			for i := range s.n {
				s.crash[i] = window{150 * time.Millisecond, 151 * time.Millisecond}
				s.wiped[i] = true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most = 5000

			for seed := range uint64(most) {
				s := newSim(seed)
				plant(s)
				if !s.check(s.run(t)) {
					t.Logf("found in history %d", seed)
					return
				}
			}
			t.Errorf("%d histories are linearizable, want one that is not", most)
		})
	}
}

// unanimous is an atomic Get that is content if all that it has asked agree.
func unanimous(ctx context.Context, d *KV[string, int]) (v int, stamp Stamp, err error) {
	if !d.c.enter() {
		return 0, Stamp{}, ErrClosed
	}
	o := d.c.newLoad(ctx, "k", d.c.read.system)
	defer o.release()
	o.spread()
	err = o.wait(ctx)
	if e := o.leave("load", err); e != nil {
		return 0, Stamp{}, e
	}

	s, held, ok := o.join(false)
	if ok&^held != 0 {
		if e := d.c.spreadResult(ctx, "k", s, held, false); e != nil {
			return 0, Stamp{}, e
		}
	}
	return s.Value, s.Stamp, nil
}

// TestRegular checks that a read which is not Atomic returns the last write
// that had ended, or a later one.
func TestRegular(t *testing.T) {
	t.Parallel()
	for seed := range uint64(count() / 10) {
		s := newSim(seed)
		s.reads = nil
		events := s.run(t)
		for _, read := range events {
			for _, write := range events {
				before := !read.in.put && write.in.put && write.ret < read.call
				if before && read.out.stamp.Compare(write.out.stamp) < 0 {
					t.Fatalf("a read missed a write that had ended: %s", s.show(events))
				}
			}
		}
	}
}

// TestReplay checks that a history is decided by its seed alone.
func TestReplay(t *testing.T) {
	for seed := range uint64(max(count()/100, 10)) {
		first := newSim(seed).run(t)
		procs := runtime.GOMAXPROCS(1 + int(seed%2))
		second := newSim(seed).run(t)
		runtime.GOMAXPROCS(procs)
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("seed %d: %+v, and again %+v", seed, first, second)
		}
	}
}
