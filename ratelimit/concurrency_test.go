// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestModelConcurrency drives a Concurrency with callers that ask, wait, give
// up and end permits in any order, while the limit changes, and compares the
// callers admitted with a list.
func TestModelConcurrency(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, modelConcurrency) })
}

// A request is a call of Acquire and its outcome.
type request struct {
	id, priority int
	cancel       context.CancelFunc
	permit       Permit
	err          error
	over         atomic.Bool
}

func modelConcurrency(t *rapid.T) {
	limit, maxQueue := rapid.IntRange(1, 2).Draw(t, "limit"), rapid.SampledFrom([]int{0, 1, 2, 3, -1}).Draw(t, "queue")
	c := NewConcurrency(limit, &ConcurrencyOptions{MaxQueue: maxQueue})
	if rapid.Bool().Draw(t, "stripes") {
		c.stripes = make([]spareStripe, 2) // as of a larger limit
	}
	var held []Permit   // in flight
	var line []*request // the waiters, in order
	ids := 0

	// serve admits from the model's line, and checks that the same happened.
	serve := func(t *rapid.T) {
		synctest.Wait()
		for len(line) > 0 && len(held) < limit {
			r := line[0]
			line = line[1:]
			if !r.over.Load() {
				t.Fatalf("request %d of priority %d still waits, want it admitted", r.id, r.priority)
			}
			checkErr(t, r.err, nil, "request %d of priority %d", r.id, r.priority)
			held = append(held, r.permit)
			r.cancel()
		}
	}

	acquire := func(t *rapid.T) {
		r := &request{id: ids, priority: rapid.IntRange(-1, 1).Draw(t, "priority")}
		ids++
		var ctx context.Context
		ctx, r.cancel = context.WithCancel(context.Background())
		go func() { // ends when it is admitted, refused or canceled
			r.permit, r.err = c.AcquirePriority(ctx, r.priority)
			r.over.Store(true)
		}()
		synctest.Wait()
		full := maxQueue < 0 || maxQueue > 0 && len(line) >= maxQueue
		switch {
		case len(held) < limit:
			line = append(line, r) // serve takes it out again
			serve(t)
		case full && (len(line) == 0 || line[len(line)-1].priority >= r.priority):
			if !r.over.Load() {
				t.Fatalf("request %d waits in a full line of %d, want it refused", r.id, len(line))
			}
			checkErr(t, r.err, ErrLimited, "request %d at a full line of %d", r.id, len(line))
			r.cancel()
		default:
			if full {
				last := line[len(line)-1]
				line = line[:len(line)-1]
				if !last.over.Load() {
					t.Fatalf("request %d still waits, want its place given to %d", last.id, r.id)
				}
				checkErr(t, last.err, ErrLimited, "request %d whose place went to %d", last.id, r.id)
				last.cancel()
			}
			at := len(line)
			for at > 0 && line[at-1].priority < r.priority {
				at--
			}
			line = slices.Insert(line, at, r)
		}
	}

	t.Repeat(map[string]func(*rapid.T){
		"TryAcquire": func(t *rapid.T) {
			p, ok := c.TryAcquire()
			if ok != (len(held) < limit) {
				t.Fatalf("TryAcquire = %v with %d of %d in flight", ok, len(held), limit)
			}
			if ok {
				held = append(held, p)
			}
		},

		"Acquire": func(t *rapid.T) {
			for range rapid.IntRange(1, 4).Draw(t, "callers") {
				acquire(t)
			}
		},

		"cancel": func(t *rapid.T) {
			if len(line) == 0 {
				t.Skip("nobody waits")
			}
			i := rapid.IntRange(0, len(line)-1).Draw(t, "i")
			r := line[i]
			r.cancel()
			synctest.Wait()
			line = slices.Delete(line, i, i+1)
			if !r.over.Load() {
				t.Fatalf("request %d still waits, want it canceled", r.id)
			}
			checkErr(t, r.err, context.Canceled, "request %d", r.id)
		},

		"end": func(t *rapid.T) {
			if len(held) == 0 {
				t.Skip("nothing is in flight")
			}
			i := rapid.IntRange(0, len(held)-1).Draw(t, "i")
			p := held[i]
			held = slices.Delete(held, i, i+1)
			for range rapid.IntRange(1, 3).Draw(t, "times") {
				[]func(){p.Release, p.Drop, p.Ignore}[rapid.IntRange(0, 2).Draw(t, "how")]()
			}
			serve(t)
		},

		"SetLimit": func(t *rapid.T) {
			limit = rapid.IntRange(1, 6).Draw(t, "limit")
			c.SetLimit(limit)
			serve(t)
		},

		"": func(t *rapid.T) {
			synctest.Wait()
			for _, r := range line {
				if r.over.Load() {
					t.Fatalf("request %d passed the line: %v", r.id, r.err)
				}
			}
			s := c.Stats()
			check(t, s.Limit, limit, "Limit")
			check(t, s.InFlight, len(held), "InFlight")
			check(t, s.Queued, len(line), "Stats().Queued")
			check(t, c.Queued(), len(line), "Queued()")
			c.mu.Lock()
			defer c.mu.Unlock()
			c.checkLocked()
		},
	})

	for _, r := range line {
		r.cancel()
	}
	synctest.Wait()
}

// TestAcquireOrder checks the order of service: by priority, then by arrival.
func TestAcquireOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConcurrency(1, nil)
		first, _ := c.TryAcquire()
		var order []int

		for i, priority := range []int{0, 5, 0, -1, 5, 9} {
			go func() { // ends when it is served
				p, err := c.AcquirePriority(t.Context(), priority)
				if err != nil {
					t.Error(err)
				}
				order = append(order, i) // one at a time: the limit is 1
				p.Release()
			}()
			synctest.Wait() // it is in line before the next
		}

		if _, ok := c.TryAcquire(); ok {
			t.Error("TryAcquire = true with callers in line, want false")
		}
		check(t, c.Queued(), 6, "Queued")
		first.Release()
		synctest.Wait()
		if !slices.Equal(order, []int{5, 1, 4, 0, 2, 3}) {
			t.Errorf("served in the order %v", order)
		}

		if s := c.Stats(); s != (ConcurrencyStats{Limit: 1, Waited: 6, Refused: 1}) {
			t.Errorf("%+v", s)
		}
	})
}

// TestTrapGrantRacesCancel checks the fault of a permit that is granted to a
// caller whose context ends at that moment, and lost there: Netflix's LIFO
// limiter leaks one each time (concurrency-limits #179). Here the caller has
// it, or the next does.
func TestTrapGrantRacesCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConcurrency(1, nil)
		handedOn := 0

		for range 200 {
			first, _ := c.TryAcquire()
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				p, err := c.Acquire(ctx)
				if err != nil {
					handedOn++
				}
				p.Release()
			})
			synctest.Wait()
			wg.Go(func() {
				p, err := c.Acquire(t.Context())
				if err != nil {
					t.Error(err)
				}
				p.Release()
			})
			synctest.Wait()
			cancel()        // it will run, but has not seen yet
			first.Release() // that it was granted
			wg.Wait()
			check(t, c.Stats().InFlight, 0, "InFlight")
			check(t, c.Stats().Queued, 0, "Queued")
		}

		check(t, handedOn, 200, "permits handed on")
		check(t, c.Stats().Canceled, 200, "Canceled")
		check(t, c.Stats().Waited, 200, "Waited")
	})
}

// TestCallerIsReused checks that the place in line of a caller that was granted
// a permit and handed it on says nothing to the next caller in that place.
func TestCallerIsReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConcurrency(1, nil)
		first, _ := c.TryAcquire()
		ctx, cancel := context.WithCancel(t.Context())
		hold := make(chan struct{})
		var admitted atomic.Int64
		wait := func(ctx context.Context) {
			go func() { // ends after hold, or with ctx
				if p, err := c.Acquire(ctx); err == nil {
					admitted.Add(1)
					<-hold
					p.Release()
				}
			}()
			synctest.Wait()
		}

		wait(ctx)
		wait(t.Context())
		wait(t.Context())
		cancel()
		first.Release() // to the first in line, which hands it on to the second; the third still waits
		synctest.Wait()
		wait(t.Context()) // in the place of the second
		wait(t.Context()) // in that of the first
		check(t, admitted.Load(), 1, "admitted")
		check(t, c.InFlight(), 1, "InFlight")
		check(t, c.Queued(), 3, "Queued")
		close(hold)
		synctest.Wait()
		check(t, admitted.Load(), 4, "admitted in the end")
		check(t, c.InFlight(), 0, "InFlight in the end")
		check(t, c.Queued(), 0, "Queued in the end")
	})
}

// TestTrapPermitEndsTwice checks that a permit which is ended again does not
// end that of another, which has its slot by then.
func TestTrapPermitEndsTwice(t *testing.T) {
	c := NewConcurrency(2, nil)
	old, _ := c.TryAcquire()
	same := old
	old.Release()
	same.Release()
	a, _ := c.TryAcquire()
	b, _ := c.TryAcquire()

	for range 3 {
		old.Release()
		same.Drop()
		old.Ignore()
	}

	if _, ok := c.TryAcquire(); ok {
		t.Error("TryAcquire = true at the limit, want false")
	}
	check(t, c.InFlight(), 2, "InFlight")
	Permit{}.Release()
	a.Drop()
	b.Ignore()
	if s := c.Stats(); s != (ConcurrencyStats{Limit: 2, Refused: 1, Dropped: 1}) {
		t.Errorf("%+v", s)
	}

	// Of copies that end at once, one does.
	for range 200 {
		p, _ := c.TryAcquire()
		var wg sync.WaitGroup

		for range 4 {
			wg.Go(p.Release)
		}
		wg.Wait()

		if c.InFlight() != 0 {
			t.Fatalf("%d in flight, want 0", c.InFlight())
		}
	}
}

// TestTrapInFlightRace checks that many goroutines at once get no more permits
// than the limit: where the number in flight is read and raised in two steps,
// more get in (concurrency-limits #140).
func TestTrapInFlightRace(t *testing.T) {
	const limit = 3
	c := NewConcurrency(limit, nil)
	c.stripes = make([]spareStripe, 2) // as of a larger limit
	var inside, most, served, gaveUp atomic.Int64
	var wg sync.WaitGroup

	for g := range 16 {
		rng := rand.New(rand.NewPCG(uint64(g), 1))
		wg.Go(func() {
			for range 500 {
				ctx, cancel := context.WithCancel(context.Background())
				if rng.IntN(4) == 0 {
					go cancel() // ends at once
				}
				p, ok := c.TryAcquire()
				if !ok {
					var err error
					if p, err = c.AcquirePriority(ctx, rng.IntN(3)); err != nil {
						gaveUp.Add(1)
						cancel()
						continue
					}
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				served.Add(1)
				runtime.Gosched()
				inside.Add(-1)
				[]func(){p.Release, p.Drop, p.Ignore}[rng.IntN(3)]()
				cancel()
			}
		})
	}
	wg.Wait()

	if got := most.Load(); got > limit {
		t.Errorf("up to %d at once, want at most %d", got, limit)
	}
	check(t, served.Load()+gaveUp.Load(), 16*500, "callers served or gone")
	check(t, c.InFlight(), 0, "InFlight")
	check(t, c.Queued(), 0, "Queued")
}

// TestConcurrencyLinearizable checks histories of permits taken and ended by
// several goroutines while the limit changes against a number.
func TestConcurrencyLinearizable(t *testing.T) {
	type state struct{ limit, inFlight int }
	type input struct{ proc, op int }

	for start := time.Now(); time.Since(start) < *linearTime; {
		c := NewConcurrency(2, nil)
		c.stripes = make([]spareStripe, 2) // as of a larger limit
		permits := make([]Permit, 4)
		h := record(4, 10, func(proc, op int) input { return input{proc, op} }, func(in input) int {
			switch {
			case in.proc == 0 && in.op%3 == 2:
				c.SetLimit(1 + in.op%2)
				return 1 + in.op%2
			case permits[in.proc] != Permit{}:
				permits[in.proc].Release()
				permits[in.proc] = Permit{}
				return -1
			}
			var ok bool
			if permits[in.proc], ok = c.TryAcquire(); ok {
				return -2
			}
			return -3
		})

		if !linearizable(state{2, 0}, h, func(s state, _ input, out int) (state, bool) {
			switch out {
			case -1:
				s.inFlight--
				return s, true
			case -2:
				s.inFlight++
				return s, s.inFlight <= s.limit
			case -3:
				return s, s.inFlight >= s.limit
			}
			s.limit = out
			return s, true
		}) {
			t.Fatalf("not linearizable: %+v", h)
		}
	}
}

// TestOnLimit checks that the hook sees every change in order, may change the
// limit itself, and may panic.
func TestOnLimit(t *testing.T) {
	var c *Concurrency
	var seen []int
	c = NewConcurrency(1, &ConcurrencyOptions{OnLimit: func(old, limit int) {
		seen = append(seen, old, limit)
		c.Queued() // takes the lock, which is free
		switch limit {
		case 5:
			c.SetLimit(6)
			c.SetLimit(7)
		case 13:
			c.SetLimit(14)
			panic("mine")
		}
	}})
	c.SetLimit(5)
	c.SetLimit(7) // no change
	func() {
		defer func() {
			if recover() != "mine" {
				t.Error("the panic was lost")
			}
		}()
		c.SetLimit(13)
	}()
	if seen[len(seen)-1] != 14 {
		t.Errorf("the change after the panic was not delivered: %v", seen)
	}

	c.SetLimit(1)
	if want := []int{1, 5, 5, 6, 6, 7, 7, 13, 13, 14, 14, 1}; !slices.Equal(seen, want) {
		t.Errorf("saw %v, want %v", seen, want)
	}

	// Changes by many goroutines make one chain.
	seen = nil
	var wg sync.WaitGroup

	for g := range 4 {
		wg.Go(func() {
			for i := range maxQueued / 4 { // so that all can wait
				c.SetLimit(20 + g + 4*i)
			}
		})
	}
	wg.Wait()

	last := 1

	for i := 0; i < len(seen); i += 2 {
		check(t, seen[i], last, "limit before change %d", i/2)
		if seen[i+1] == last {
			t.Fatalf("change %d is to %d, want another limit than before", i/2, last)
		}
		last = seen[i+1]
	}

	if last != c.Limit() {
		t.Errorf("the last change is to %d, the limit is %d", last, c.Limit())
	}
}

// TestTrapOnLimitHangs checks that an OnLimit that hangs costs a bounded amount
// of memory: the newest changes wait, and the others are counted.
func TestTrapOnLimitHangs(t *testing.T) {
	hang, hangs := make(chan struct{}), make(chan struct{})
	var seen []int
	c := NewConcurrency(1, &ConcurrencyOptions{OnLimit: func(_, limit int) {
		if len(seen) == 0 {
			close(hangs)
			<-hang
		}
		seen = append(seen, limit)
	}})
	var wg sync.WaitGroup
	wg.Go(func() { c.SetLimit(2) })
	<-hangs

	// The first change is with OnLimit; maxQueued of the others wait.
	for limit := range maxQueued {
		c.SetLimit(3 + limit)
	}
	if got := c.Stats().Unseen; got != 0 {
		t.Errorf("Unseen = %d with a full queue, want 0", got)
	}
	const last = 2 + maxQueued + 1000
	for limit := 3 + maxQueued; limit <= last; limit++ {
		c.SetLimit(limit)
	}
	if got := c.Stats().Unseen; got != 1000 {
		t.Errorf("Unseen = %d, want 1000", got)
	}
	if got := cap(c.changes.waiting); got > 4*maxQueued {
		t.Errorf("room for %d changes, want at most %d", got, 4*maxQueued)
	}

	close(hang)
	wg.Wait()
	want := []int{2}
	for limit := last - maxQueued + 1; limit <= last; limit++ {
		want = append(want, limit)
	}
	if !slices.Equal(seen, want) {
		t.Errorf("OnLimit saw %v, want %v", seen, want)
	}
}

// TestAcquireContext checks refusals before and during a wait.
func TestAcquireContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConcurrency(1, nil)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Acquire(ended)
		checkErr(t, err, context.Canceled, "Acquire")
		check(t, c.InFlight(), 0, "InFlight")

		p, err := c.Acquire(t.Context())
		if err != nil {
			t.Fatalf("Acquire: err = %v, want nil", err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err = c.Acquire(ctx)
		checkErr(t, err, context.DeadlineExceeded, "Acquire")
		check(t, time.Since(start), time.Second, "wait")
		p.Release()
		if p, err = c.Acquire(t.Context()); err != nil {
			t.Error(err)
		}
		p.Release()
		if s := c.Stats().Sub(ConcurrencyStats{Canceled: 1}); s != (ConcurrencyStats{Limit: 1}) {
			t.Errorf("%+v", s)
		}
	})
}

// TestConcurrencyBubbles checks that one Concurrency serves several bubbles:
// nothing of one is left for another.
func TestConcurrencyBubbles(t *testing.T) {
	c := NewConcurrency(1, nil)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			first, _ := c.TryAcquire()
			for range 5 {
				go func() { // ends when it is served
					p, err := c.Acquire(t.Context())
					if err != nil {
						t.Error(err)
					}
					p.Release()
				}()
			}
			time.Sleep(time.Second)
			first.Release()
			synctest.Wait()
			check(t, c.InFlight(), 0, "InFlight")
			check(t, c.Queued(), 0, "Queued")
		})
	}
}

// TestConcurrencyOptions checks that options which cannot be used are refused.
func TestConcurrencyOptions(t *testing.T) {
	for want, o := range map[string]*ConcurrencyOptions{
		"ratelimit: ConcurrencyOptions.Min must be between 0 and 2^30-1, got -1": {Min: -1},
		"ratelimit: ConcurrencyOptions.Max must be between 0 and 2^30-1, got -2": {Max: -2},
		"ratelimit: ConcurrencyOptions.Min must be at most Max, 4, got 5":        {Min: 5, Max: 4},
		"ratelimit: ConcurrencyOptions.Min must be at most Max, 1, got 2":        {Min: 2, Max: 1},
		"ratelimit: ConcurrencyOptions.Window must not be negative, got -1ns":    {Window: -1},
		"ratelimit: AIMD.Increase must be between 0 and 2^30-1, got -1":          {Adapt: &AIMD{Increase: -1}},
		"ratelimit: AIMD.Backoff must be at least 0 and less than 1, got 1":      {Adapt: &AIMD{Backoff: 1}},
		"ratelimit: Gradient2.Tolerance must be above 1 and at most 100, got 1":  {Adapt: &Gradient2{Tolerance: 1}},
		"ratelimit: Gradient2.Smoothing must be between 0 and 1, got 1.5":        {Adapt: &Gradient2{Smoothing: 1.5}},
	} {
		if err := o.Validate(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := (&ConcurrencyOptions{Min: 4, Max: 4, Window: 1}).Validate(); err != nil {
		t.Errorf("Validate = %v for Min equal to Max, want nil", err)
	}
	checkErr(t, (*ConcurrencyOptions)(nil).Validate(), nil, "Validate of nil")
	checkErr(t, (&ConcurrencyOptions{Min: maxLimit, Max: maxLimit}).Validate(), nil, "Validate of the largest")
	c := NewConcurrency(2000, &ConcurrencyOptions{Adapt: &AIMD{}})
	check(t, c.opts.Min, 1, "Min")
	check(t, c.opts.Max, 2000, "Max")
	check(t, NewConcurrency(10, nil).opts.Max, 1000, "Max of a small limit")
}

// TestSparePlaces checks that places left in stripes are called in when they
// are scarce, count as not in flight, and are left again when most are free;
// and the number of stripes at its bounds.
func TestSparePlaces(t *testing.T) {
	c := NewConcurrency(40, nil)
	c.stripes = make([]spareStripe, 4)
	for round := range 3 {
		// Two goroutines at once leave places in other stripes.
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { // ends after some permits
				for range 100 {
					p, ok := c.TryAcquire()
					if !ok {
						t.Error("TryAcquire = false with 8 of 40 in flight")
					}
					runtime.Gosched()
					p.Release()
				}
			})
		}
		wg.Wait()
		if got := c.InFlight(); got != 0 {
			t.Errorf("round %d: %d in flight, want 0", round, got)
		}
		if got := outOf(c.word.Load()); got == 0 || got > 4 {
			t.Errorf("round %d: %d places are spare, want 1 to 4", round, got)
		}

		var held []Permit
		for range 40 {
			p, ok := c.TryAcquire()
			if !ok {
				t.Fatalf("round %d: TryAcquire = false with %d of 40 in flight", round, len(held))
			}
			held = append(held, p)
		}
		if _, ok := c.TryAcquire(); ok {
			t.Errorf("round %d: TryAcquire = true at the limit, want false", round)
		}
		check(t, c.InFlight(), 40, "round %d: InFlight", round)
		for i, p := range held {
			p.Release()
			p.Release()
			if got := c.InFlight(); got != 39-i {
				t.Fatalf("round %d: %d in flight, want %d", round, got, 39-i)
			}
		}
	}

	for limit, want := range map[int]int{7: 0, 8: 1, 15: 1, 16: 2} {
		if got := len(NewConcurrency(limit, nil).stripes); got != want {
			t.Errorf("a limit of %d has %d stripes, want %d", limit, got, want)
		}
	}
	if got := len(NewConcurrency(1000, &ConcurrencyOptions{Adapt: &AIMD{}}).stripes); got != 0 {
		t.Errorf("a limit that adapts has %d stripes, want 0", got)
	}
}

// fillStripes gives c n stripes, each with a spare place.
func fillStripes(c *Concurrency, n int) {
	c.stripes = make([]spareStripe, n)
	for i := range c.stripes {
		c.takePlace()
		c.stripes[i].spare.Store(c.permit().slot)
	}
}

// TestSpareIsTaken checks that a permit takes the spare place of its stripe,
// and no other.
func TestSpareIsTaken(t *testing.T) {
	c := NewConcurrency(40, nil)
	fillStripes(c, 1)
	for range 3 {
		p, _ := c.TryAcquire()
		check(t, outOf(c.word.Load()), 1, "places out")
		p.Release()
	}
}

// TestAcquireCallsIn checks that Acquire calls in the spare places of other
// stripes rather than wait.
func TestAcquireCallsIn(t *testing.T) {
	c := NewConcurrency(4, nil)
	fillStripes(c, 4)
	for i := range 4 {
		_, err := c.Acquire(t.Context())
		checkErr(t, err, nil, "Acquire")
		check(t, c.InFlight(), i+1, "InFlight")
	}
}

// TestSpareAgain checks that places are spare again once no more than a quarter
// of the limit is out.
func TestSpareAgain(t *testing.T) {
	c := NewConcurrency(8, nil)
	c.stripes = make([]spareStripe, 1)
	held := make([]Permit, 8)
	for i := range held {
		held[i], _ = c.TryAcquire()
	}
	c.TryAcquire() // calls in the spare places
	for out := 7; out >= 0; out-- {
		held[out].Release()
		scarce := c.word.Load()&scarceBit != 0
		check(t, scarce, out > 2, "places are scarce with %d out", out)
	}
}

// TestSpareStripes checks that there are four stripes or more to a processor,
// if the limit allows.
func TestSpareStripes(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	for limit, want := range map[int]int{
		minSpare - 1: 0,
		minSpare:     1,
		1 << 20:      1 << bits.Len(uint(4*procs-1)),
	} {
		if got := spareStripes(limit); got != want {
			t.Errorf("limit %d: %d stripes, want %d", limit, got, want)
		}
	}
	if got := runtime.GOMAXPROCS(0); got != procs {
		t.Errorf("GOMAXPROCS = %d, was %d", got, procs)
	}
}
