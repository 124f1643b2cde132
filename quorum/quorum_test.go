// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var ctx = context.Background()

// TestNewErrors checks that deployments that cannot work are refused.
func TestNewErrors(t *testing.T) {
	zones := []string{"a", "a", "b"}
	for _, tt := range []struct {
		n    int
		opts Options
		want string
	}{
		{0, Options{}, "number of replicas must be between 1 and 64, got 0"},
		{65, Options{}, "number of replicas must be between 1 and 64, got 65"},
		{3, Options{Read: -4}, "Options.Read must be a level, got -4"},
		{3, Options{Write: 65}, "Options.Write must be a level, got 65"},
		{3, Options{Repair: 3}, "Options.Repair must be a mode, got 3"},
		{3, Options{Timeout: -1}, "Options.Timeout must not be negative, got -1ns"},
		{1, Options{Zones: []string{"a"}}, `Options.Zone is "", not one of Zones`},
		{3, Options{Zones: zones}, `Options.Zone is "", not one of Zones`},
		{3, Options{Zone: "a"}, `Options.Zone is "a" without Zones`},
		{2, Options{Zones: zones, Zone: "a"}, "Options.Zones must be one for each of 2 replicas, got 3"},
		{3, Options{Read: LocalQuorum}, "local quorum without Options.Zones"},
		{3, Options{Write: EachQuorum}, "each quorum without Options.Zones"},
		{2, Options{Write: Two, Read: Two}, ""},
		{2, Options{Write: Three}, "three of 2 replicas"},
		{2, Options{Read: Three}, "three of 2 replicas"},
		{3, Options{Read: One}, "can miss writes"},
		{4, Options{Read: Two, Write: Two}, "can miss writes"},
		{3, Options{Zones: zones, Zone: "a", Read: LocalQuorum, Write: LocalQuorum}, ""},
		{3, Options{Zones: zones, Zone: "a", Read: LocalQuorum, Write: Two}, ""}, // two of two meet any two
		{3, Options{Zones: zones, Zone: "b", Read: LocalQuorum, Write: Two}, "can miss writes"},
		{3, Options{ReadSystem: Majority(First(4))}, "needs more than replicas {0 1 2}"},
		{3, Options{WriteSystem: Majority(First(4))}, "needs more than replicas {0 1 2}"},
		{4, Options{ReadSystem: Majority(SetOf(0, 1, 2)), WriteSystem: Majority(SetOf(1, 2, 3))}, "can miss writes"},
		{5, Options{ReadSystem: Threshold(3, SetOf(2, 3, 4)), WriteSystem: Threshold(3, SetOf(0, 1, 2))}, ""},
		{4, Options{Read: Two, Write: Three}, ""},
		{1, Options{}, ""},
		{64, Options{}, ""},
	} {
		_, err := New(replicas(stubs(tt.n)), &tt.opts)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("New of %d with %+v = %v, want %q", tt.n, tt.opts, err, tt.want)
		}
	}

	if _, err := New([]Replica[string, LWW[int]]{nil}, nil); err == nil {
		t.Error("New of a nil replica = nil, want an error")
	}
	if _, err := New(replicas(stubs(3)), &Options{Read: One, AllowStale: true}); err != nil {
		t.Errorf("New with AllowStale = %v, want nil", err)
	}
	mustPanic(t, "clock must not be nil", func() { _, _ = NewKV(replicas(stubs(1)), nil, nil) })
	if _, err := NewKV(replicas(stubs(1)), NewClock(1, nil), &Options{Read: Two}); !errors.Is(err, ErrLevel) {
		t.Errorf("NewKV = %v, want ErrLevel", err)
	}
}

// TestLevels checks, for each level of a call, whether it can be used, with
// writes at EachQuorum and reads at LocalQuorum.
func TestLevels(t *testing.T) {
	opts := Options{
		Zones: []string{"a", "a", "a", "b", "b", "b"}, Zone: "a",
		Read: LocalQuorum, Write: EachQuorum,
	}
	strict := newCluster(t, stubs(6), &opts)
	opts.AllowStale = true
	loose := newCluster(t, stubs(6), &opts)

	for _, tt := range []struct {
		level       Level
		load, merge bool // can be used without AllowStale
		known       bool
	}{
		{One, false, false, true},
		{Two, false, false, true},
		{Three, true, false, true}, // of 6, 4 hold a write: two of each zone
		{Quorum, true, false, true},
		{All, true, true, true},
		{LocalQuorum, true, false, true},
		{EachQuorum, true, true, true},
		{5, true, true, true},
		{7, false, false, false},
		{65, false, false, false},
		{-4, false, false, false},
	} {
		for range 2 { // the second time, the plan is known
			_, err := strict.Load(ctx, "k", At(tt.level))
			if (err == nil) != tt.load || err != nil && !errors.Is(err, ErrLevel) {
				t.Errorf("Load at %v = %v, want success %v", tt.level, err, tt.load)
			}
			err = strict.Merge(ctx, "k", at(1), At(tt.level))
			if (err == nil) != tt.merge || err != nil && !errors.Is(err, ErrLevel) {
				t.Errorf("Merge at %v = %v, want success %v", tt.level, err, tt.merge)
			}

			if _, err := loose.Load(ctx, "k", At(tt.level)); (err == nil) != tt.known {
				t.Errorf("stale Load at %v = %v, want success %v", tt.level, err, tt.known)
			}
			if err := loose.Merge(ctx, "k", at(1), At(tt.level)); (err == nil) != tt.known {
				t.Errorf("stale Merge at %v = %v, want success %v", tt.level, err, tt.known)
			}
			if _, err := loose.Load(ctx, "k", At(tt.level), Atomic()); (err == nil) != tt.load {
				t.Errorf("atomic Load at %v = %v, want success %v", tt.level, err, tt.load)
			}
			if err := loose.Merge(ctx, "k", at(1), Atomic(), At(tt.level)); (err == nil) != tt.merge {
				t.Errorf("atomic Merge at %v = %v, want success %v", tt.level, err, tt.merge)
			}
		}
	}
}

// TestLevelText checks the names of levels and modes.
func TestLevelText(t *testing.T) {
	for l, want := range map[Level]string{
		Quorum: "quorum", One: "one", Two: "two", Three: "three", All: "all",
		LocalQuorum: "local quorum", EachQuorum: "each quorum", 4: "4", 64: "64",
	} {
		text, err := l.MarshalText()
		if err != nil || string(text) != want {
			t.Errorf("MarshalText = %q, %v, want %q", text, err, want)
		}
		back := Level(9)
		if err := back.UnmarshalText(text); err != nil || back != l {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", text, back, err, l)
		}
	}

	for _, l := range []Level{-4, 65} {
		if text, err := l.MarshalText(); err == nil {
			t.Errorf("MarshalText of %d = %q, want an error", int(l), text)
		}
	}
	for _, text := range []string{"", "0", "-1", "65", "some"} {
		kept := All
		if err := kept.UnmarshalText([]byte(text)); err == nil || kept != All {
			t.Errorf("UnmarshalText(%q) = %v, and the level is %v, want an error, and as before", text, err, kept)
		}
	}

	for m, want := range map[RepairMode]string{RepairAsync: "async", RepairBlocking: "blocking", RepairOff: "off"} {
		text, err := m.MarshalText()
		var back RepairMode
		if err2 := back.UnmarshalText(text); err != nil || err2 != nil || back != m || m.String() != want {
			t.Errorf("text of %d = %q, %v, back %v, %v, want %q", m, text, err, back, err2, want)
		}
	}
	kept := RepairOff
	if err := kept.UnmarshalText([]byte("on")); err == nil || kept != RepairOff {
		t.Errorf("UnmarshalText of on = %v, and the mode is %v, want an error, and as before", err, kept)
	}
}

// TestAnswersAtQuorum checks that a call returns with the answer that makes its
// quorum, and that a write reaches the slow replica nevertheless: the usual
// fan-out cancels it.
func TestAnswersAtQuorum(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[0].delay = time.Millisecond
		list[1].delay = 2 * time.Millisecond
		list[2].delay = time.Second
		c := newCluster(t, list, nil)

		// The caller's context ends with the call, as by defer cancel().
		inner, cancel := context.WithCancel(ctx)
		start := time.Now()
		err := c.Merge(inner, "k", at(1))
		cancel()
		if got, want := time.Since(start), 2*time.Millisecond; err != nil || got != want {
			t.Errorf("Merge = %v after %v, want nil after %v", err, got, want)
		}
		if got := list[2].holds(); got != 0 {
			t.Errorf("the slow replica holds %d, want 0 so far", got)
		}
		if got := c.Stats().Outstanding; got != 1 {
			t.Errorf("Outstanding = %d, want 1", got)
		}

		// Close waits for the straggler.
		if err := c.Close(ctx); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
		if got, want := time.Since(start), time.Second; got != want {
			t.Errorf("Close returned after %v, want %v", got, want)
		}
		if got := list[2].holds(); got != 1 {
			t.Errorf("the slow replica holds %d, want 1", got)
		}
	})
}

// TestEarlyFailure checks that a call fails with the answer that makes a quorum
// impossible, and does not wait for the others.
func TestEarlyFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[0].err = errDown
		list[1].err = errDown
		list[1].delay = time.Millisecond
		list[2].delay = time.Hour
		c := newCluster(t, list, &Options{Timeout: 2 * time.Hour})

		start := time.Now()
		err := c.Merge(ctx, "k", at(1))
		var e *Error
		if !errors.As(err, &e) || e.Kind != ErrIndeterminate || !errors.Is(err, errDown) {
			t.Fatalf("Merge = %v, want an indeterminate *Error", err)
		}
		if got, want := time.Since(start), time.Millisecond; got != want {
			t.Errorf("Merge failed after %v, want %v", got, want)
		}
		if e.OK != 0 || e.Failed != SetOf(0, 1) || e.Pending != SetOf(2) {
			t.Errorf("Error = %+v, want replicas 0 and 1 failed, 2 pending", e)
		}

		start = time.Now()
		_, err = c.Load(ctx, "k", At(All))
		if !errors.As(err, &e) || e.Kind != ErrUnavailable || !errors.Is(err, errDown) {
			t.Errorf("Load = %v, want an *Error that is unavailable", err)
		}
		if got := time.Since(start); got > time.Millisecond {
			t.Errorf("Load failed after %v, want at most 1ms", got)
		}
		if got := c.Stats(); got.Unavailable != 1 || got.Indeterminate != 1 || got.Loads != 1 || got.Merges != 1 {
			t.Errorf("Stats = %+v, want one call of each kind, failed", got)
		}
	})
}

// TestErrorKinds checks when a write has surely changed nothing.
func TestErrorKinds(t *testing.T) {
	refused := errors.Join(ErrUnavailable, errDown)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		errs []error
		want error
	}{
		{"all refuse", ctx, []error{refused, refused, refused}, ErrUnavailable},
		{"one is unsure", ctx, []error{refused, refused, errDown}, ErrIndeterminate},
		{"not begun", ended, []error{nil, nil, nil}, ErrUnavailable},
	} {
		list := stubs(3)
		for i, err := range tt.errs {
			list[i].err = err
		}

		c := newCluster(t, list, &Options{Write: One, Read: All}) // lost when all have failed
		err := c.Merge(tt.ctx, "k", at(1))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: Merge = %v, want an *Error", tt.name, err)
			continue
		}
		for _, kind := range []error{ErrUnavailable, ErrIndeterminate} {
			if errors.Is(err, kind) != (kind == tt.want) || e.Kind != tt.want {
				t.Errorf("%s: Merge = %v, want %v alone", tt.name, err, tt.want)
			}
		}
		if tt.ctx == ended && (!errors.Is(err, context.Canceled) || list[0].merges.Load() > 0) {
			t.Errorf("%s: Merge = %v after %d requests, want canceled after none", tt.name, err, list[0].merges.Load())
		}
	}
}

// TestErrorText checks that the error names the replicas.
func TestErrorText(t *testing.T) {
	e := &Error{
		Op: "merge", OK: SetOf(1), Failed: SetOf(0, 3), Pending: SetOf(2),
		Errs: []error{errDown, context.DeadlineExceeded}, Kind: ErrIndeterminate, Ctx: context.Canceled,
	}
	want := "quorum: indeterminate: merge answered by {1}, not yet by {2}; context canceled; " +
		"replica 0: connection refused; replica 3: context deadline exceeded"
	if got := e.Error(); got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
	for _, target := range []error{ErrIndeterminate, errDown, context.DeadlineExceeded, context.Canceled} {
		if !errors.Is(e, target) {
			t.Errorf("the error is no %v", target)
		}
	}
	if errors.Is(e, ErrUnavailable) {
		t.Error("the error is an ErrUnavailable, want not")
	}
	e.Ctx = nil
	if got := e.Unwrap(); len(got) != 3 || slices.Contains(got, nil) {
		t.Errorf("Unwrap without a context = %v, want the kind and two errors", got)
	}
}

// TestContextEnds checks that a call returns when its context ends.
func TestContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[0].hang = true
		list[1].hang = true
		c := newCluster(t, list, nil)
		inner, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := c.Load(inner, "k")
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Load = %v, want unavailable, deadline exceeded", err)
		}

		inner, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
		err = c.Merge(inner, "k", at(1))
		if !errors.Is(err, ErrIndeterminate) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Merge = %v, want indeterminate, deadline exceeded", err)
		}
		if err := c.Close(ctx); err != nil { // the requests end after 10 s
			t.Errorf("Close = %v, want nil", err)
		}
	})
}

// TestContextEnded checks that a call whose context has ended asks nobody.
func TestContextEnded(t *testing.T) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	list := stubs(1)
	c := newCluster(t, list, nil)
	_, err := c.Load(ended, "k")
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Load = %v, want unavailable, canceled", err)
	}
	if err := c.Merge(ended, "k", at(1)); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Merge = %v, want unavailable, canceled", err)
	}
	if got := list[0].loads.Load() + list[0].merges.Load(); got != 0 {
		t.Errorf("the replica got %d requests, want 0", got)
	}
}

// TestTimeout checks that a replica that hangs fails after Options.Timeout.
func TestTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		for _, s := range list {
			s.hang = true
		}
		c := newCluster(t, list, &Options{Timeout: time.Second, Hedge: -1})
		start := time.Now()
		_, err := c.Load(ctx, "k")
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Load = %v, want unavailable, deadline exceeded", err)
		}
		if got, want := time.Since(start), 2*time.Second; got > want {
			t.Errorf("Load failed after %v, want at most %v", got, want)
		}

		start = time.Now()
		if err := c.Merge(ctx, "k", at(1)); !errors.Is(err, ErrIndeterminate) {
			t.Errorf("Merge = %v, want indeterminate", err)
		}
		if got, want := time.Since(start), time.Second; got != want {
			t.Errorf("Merge failed after %v, want %v", got, want)
		}
	})
}

// TestHedge checks that a read asks one more replica when one is late, after
// the time that this replica usually takes, and at once when one fails.
func TestHedge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		for _, s := range list {
			s.delay = 10 * time.Millisecond
		}
		c := newCluster(t, list, nil)
		for range 50 {
			mustLoad(t, c, 0)
		}
		if got := c.Stats().Extra; got != 0 {
			t.Errorf("Extra = %d, want 0 while nobody is late", got)
		}

		synctest.Wait()

		// Twice the median of 10 ms, then 10 ms of the other one.
		list[0].delay = time.Hour
		for range 3 {
			start := time.Now()
			mustLoad(t, c, 0)
			if got, want := time.Since(start), 30*time.Millisecond; got > want {
				t.Errorf("Load took %v with a late replica, want at most %v", got, want)
			}
		}
		if got := c.Stats().Extra; got != 2 {
			t.Errorf("Extra = %d, want 2: of three reads, two ask replica 0", got)
		}

		synctest.Wait()
		list[0].delay = 0
		list[0].err = errDown
		for range 3 {
			start := time.Now()
			mustLoad(t, c, 0)
			if got, want := time.Since(start), 10*time.Millisecond; got != want {
				t.Errorf("Load took %v with a failing replica, want %v", got, want)
			}
		}
	})
}

// TestHedgeSettings checks a fixed delay, and that a negative one is none.
func TestHedgeSettings(t *testing.T) {
	for _, tt := range []struct{ hedge, want time.Duration }{
		{3 * time.Second, 3 * time.Second},
		{-1, time.Hour},
		{0, patienceAtFirst},
	} {
		bubble(t, func(t *testing.T) {
			list := stubs(5)
			list[0].delay = time.Hour
			c := newCluster(t, list, &Options{Read: One, Write: All, Hedge: tt.hedge})
			for range 5 { // one of them asks replica 0
				start := time.Now()
				mustLoad(t, c, 0)
				if got := time.Since(start); got != 0 && got != tt.want {
					t.Errorf("Hedge %v: Load took %v, want %v", tt.hedge, got, tt.want)
				}
			}
			if got := list[0].loads.Load(); got != 1 {
				t.Errorf("Hedge %v: replica 0 was asked %d times, want 1", tt.hedge, got)
			}
		})
	}
}

// TestHedgeAgain checks that the replica that was asked instead has its own
// time, after which the next one is asked.
func TestHedgeAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[0].delay = time.Hour
		list[1].delay = time.Hour
		c := newCluster(t, list, &Options{Read: One, Write: All, Hedge: time.Second})
		c.turn.Store(2) // the next asks 0
		start := time.Now()
		mustLoad(t, c, 0)
		if got, want := time.Since(start), 2*time.Second; got != want {
			t.Errorf("Load took %v, want %v", got, want)
		}
	})
}

// TestHedgeAll checks that a read whose replicas are all late asks each of them
// once, and then waits.
func TestHedgeAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		for _, s := range list {
			s.delay = time.Minute
		}
		c := newCluster(t, list, nil)
		start := time.Now()
		mustLoad(t, c, 0)
		if got, want := time.Since(start), time.Minute; got != want {
			t.Errorf("Load took %v, want %v", got, want)
		}
		for i, s := range list {
			if got := s.loads.Load(); got != 1 {
				t.Errorf("replica %d was asked %d times, want 1", i, got)
			}
		}
	})
}

// TestTrapHedgeFeedback checks that a replica that became slow keeps being
// hedged: a threshold fed with the time of whole calls, or without the requests
// that were canceled, drifts until hedging is off (scylladb/scylladb#3746).
func TestTrapHedgeFeedback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(2)
		list[0].delay = 10 * time.Millisecond
		list[1].delay = 10 * time.Millisecond
		c := newCluster(t, list, &Options{Read: One, Write: All})
		for range 200 {
			mustLoad(t, c, 0)
		}

		// One in ten answers of replica 0 takes a minute.
		for i := range 200 {
			list[0].delay = 10 * time.Millisecond
			if i%10 == 0 {
				list[0].delay = time.Minute
			}
			inner, cancel := context.WithTimeout(ctx, time.Hour)
			start := time.Now()
			_, err := c.Load(inner, "k")
			took := time.Since(start)
			cancel() // ends the straggler: its time is a sample too
			if want := 40 * time.Millisecond; err != nil || took > want {
				t.Fatalf("Load %d took %v, %v, want at most %v", i, took, err, want)
			}
		}
	})
}

// TestCensoredSamples checks that requests that the caller's context ended
// count with the time that they took so far.
func TestCensoredSamples(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(1)
		list[0].hang = true
		c := newCluster(t, list, nil)
		for range latencyStep {
			inner, cancel := context.WithTimeout(ctx, time.Second)
			_, _ = c.Load(inner, "k")
			cancel()
		}
		synctest.Wait()
		if got, want := c.patienceWith(SetOf(0)), 2*time.Second; got != want {
			t.Errorf("patience = %v, want %v", got, want)
		}

		// A refusal says nothing of how long an answer takes.
		list[0].hang = false
		list[0].err = errDown
		for range 10 * latencyStep {
			_, _ = c.Load(ctx, "k")
		}
		if got, want := c.patienceWith(SetOf(0)), 2*time.Second; got != want {
			t.Errorf("patience after refusals = %v, want %v", got, want)
		}
	})
}

// TestLatency checks when a replica is late: after twice the median, the 90th
// percentile, or a millisecond, of the last 32 times that it took.
func TestLatency(t *testing.T) {
	const ms = int64(time.Millisecond)
	var l latency
	add := func(n int, d int64) {
		for range n {
			l.add(d)
		}
	}
	check := func(want int64) {
		t.Helper()
		if got := l.patience.Load(); got != want {
			t.Errorf("patience after %d samples = %v, want %v", l.n, time.Duration(got), time.Duration(want))
		}
	}
	add(latencyStep-1, 10*ms)
	check(0)
	add(1, 10*ms)
	check(20 * ms)

	// Of 32, 3 are above the 90th percentile, and 4 are not.
	add(13, 10*ms)
	add(3, 100*ms)
	check(20 * ms)
	add(28, 10*ms)
	add(4, 100*ms)
	check(100 * ms)
	add(32, 1)
	check(ms)

	// In whichever order they come.
	l = latency{}
	for i := range int64(latencyStep) {
		l.add((latencyStep - i) * ms)
	}
	check(18 * ms)
}

// TestLatencyOfFast checks that of the loads of a fast replica one in eight is
// timed, whichever the replicas are that the turn chooses.
func TestLatencyOfFast(t *testing.T) {
	var l latency
	if !l.wanted(1) || !l.wanted(2) {
		t.Error("a load of a replica that is not known is not timed")
	}
	l.patience.Store(int64(patienceLeast))
	for _, n := range []int{1, 2, 3, 4, 8, 16} {
		const turns = 800
		timed := 0
		for i := range turns {
			if l.wanted(i * n) {
				timed++
			}
		}
		if timed < turns/16 || timed > turns/4 {
			t.Errorf("every %dth load: %d of %d timed, want about %d", n, timed, turns, turns/8)
		}
	}
}

// TestRelease checks that an op lets go of what belongs to the caller.
func TestRelease(t *testing.T) {
	c := newCluster(t, stubs(1), nil)
	c.active.Add(4)
	o := c.newMerge(ctx, "k", at(1), c.write.system, 0)
	o.sendAll(First(1))
	_ = o.wait(ctx)
	o.wake <- struct{}{} // a token that nobody took
	for o.refs.Load() > 1 {
		runtime.Gosched()
	}
	o.errs[0] = errDown
	o.joined = at(1)
	o.states[0] = at(1)
	o.mend = true
	o.left = true
	limit := o.limit
	o.release()

	if got := limit.Err(); got != context.Canceled {
		t.Errorf("the context of the requests = %v, want canceled", got)
	}
	if o.mend || o.left {
		t.Errorf("the op keeps mend %v, left %v", o.mend, o.left)
	}

	if o.ctx != nil || o.limit != nil || o.key != "" || o.errs[0] != nil {
		t.Errorf("the op keeps %v, %q, %v", o.ctx, o.key, o.errs[0])
	}
	if zero := (LWW[int]{}); o.state != zero || o.joined != zero || o.states[0] != zero {
		t.Errorf("the op keeps %v, %v, %v", o.state, o.joined, o.states[0])
	}
	if o.sent|o.ok|o.failed != 0 || o.vote != Pending || o.merging || len(o.wake) != 0 {
		t.Errorf("the op keeps sent %v, ok %v, failed %v, %v", o.sent, o.ok, o.failed, o.vote)
	}
	if got := c.Stats().Outstanding; got != 1 {
		t.Errorf("Outstanding = %d, want 1", got)
	}
}

// A hooked is a state whose Join tells the test.
type hooked struct {
	n    int
	hook func()
}

func (h hooked) Join(o hooked) hooked {
	if o.hook != nil {
		o.hook()
	}
	return hooked{n: max(h.n, o.n)}
}

func (h hooked) Covers(o hooked) bool { return h.n >= o.n }

// A hookedReplica holds n, and answers when it is told to.
type hookedReplica struct {
	n     int
	hook  func()
	delay time.Duration // in a bubble
	ready chan struct{}
	told  int
}

func (r *hookedReplica) Load(context.Context, string) (hooked, error) {
	time.Sleep(r.delay) // in a bubble
	if r.ready != nil {
		<-r.ready
	}
	return hooked{r.n, r.hook}, nil
}

func (r *hookedReplica) Merge(_ context.Context, _ string, s hooked) error {
	r.told = s.n
	return nil
}

// TestAnswerWhileJoining checks that an answer is used that comes after the
// quorum, while the states are being joined.
func TestAnswerWhileJoining(t *testing.T) {
	bubble(t, func(t *testing.T) {
		late := &hookedReplica{n: 2, ready: make(chan struct{})}
		hook := sync.OnceFunc(func() {
			close(late.ready)
			synctest.Wait()
		})
		first := &hookedReplica{n: 1, hook: hook, delay: 2 * time.Second}
		second := &hookedReplica{n: 1, hook: hook}
		c, err := New([]Replica[string, hooked]{first, second, late}, &Options{Hedge: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		c.turn.Store(2) // the next asks 0 and 1
		if got, err := c.Load(ctx, "k"); err != nil || got.n != 2 {
			t.Errorf("Load = %d, %v, want 2", got.n, err)
		}
		synctest.Wait()
		if first.told != 2 || second.told != 2 || late.told != 0 {
			t.Errorf("replicas were told %d, %d, %d, want 2, 2, 0", first.told, second.told, late.told)
		}
	})
}

// TestLatencyOfLoads checks that merges are no samples, and that nothing is
// timed if the delay of hedges is fixed.
func TestLatencyOfLoads(t *testing.T) {
	for _, tt := range []struct {
		hedge time.Duration
		want  int
	}{{0, 1}, {-1, 0}, {time.Second, 0}} {
		c := newCluster(t, stubs(1), &Options{Hedge: tt.hedge})
		mustMerge(t, c, 1)
		mustLoad(t, c, 1)
		settle(c)
		if got := c.latency[0].n; got != tt.want {
			t.Errorf("Hedge %v: %d samples, want %d", tt.hedge, got, tt.want)
		}
	}
}

// TestReadsTakeTurns checks that reads do not always ask the first replicas:
// those would do all the work, and the others would never be repaired.
func TestReadsTakeTurns(t *testing.T) {
	list := stubs(5)
	c := newCluster(t, list, &Options{Hedge: -1})
	for range 100 {
		mustLoad(t, c, 0)
	}
	for i, s := range list {
		if got, want := s.loads.Load(), int64(60); got != want {
			t.Errorf("replica %d was asked %d times, want %d", i, got, want)
		}
	}
}

// TestNearest checks that replicas of the own zone are asked first, that the
// loss of a zone is survived, and which levels then are not.
func TestNearest(t *testing.T) {
	list := stubs(9)
	c := newCluster(t, list, &Options{
		Zones: []string{"a", "a", "a", "b", "b", "b", "c", "c", "c"}, Zone: "b",
		Read: LocalQuorum, Write: EachQuorum, Hedge: -1,
	})
	mustMerge(t, c, 1)
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}

	c = newCluster(t, list, &c.opts)
	for range 30 {
		mustLoad(t, c, 1)
	}
	for i, s := range list {
		want := int64(0)
		if i/3 == 1 {
			want = 20
		}
		if got := s.loads.Load(); got != want {
			t.Errorf("replica %d was asked %d times, want %d", i, got, want)
		}
	}

	// A zone is lost: reads of the others go on, writes to each zone do not.
	for _, s := range list[3:6] {
		s.err = errDown
	}
	if _, err := c.Load(ctx, "k"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Load at local quorum = %v, want unavailable", err)
	}
	mustLoad(t, c, 1, At(Quorum))
	if err := c.Merge(ctx, "k", at(2)); !errors.Is(err, ErrIndeterminate) {
		t.Errorf("Merge at each quorum = %v, want indeterminate", err)
	}
}

// TestRepair checks, for each mode, who is told what by a read.
func TestRepair(t *testing.T) {
	for _, tt := range []struct {
		mode     RepairMode
		at, late int // what each replica holds when the read returned, and in the end
	}{
		{RepairAsync, 0, 7},
		{RepairBlocking, 7, 7},
		{RepairOff, 0, 0},
	} {
		bubble(t, func(t *testing.T) {
			list := stubs(5)
			list[1].set(7)
			list[2].delay = time.Millisecond
			for _, s := range list {
				s.delay += time.Millisecond
			}
			list[0].delay = time.Microsecond // makes the write quorum, with 1
			c := newCluster(t, list, &Options{Repair: tt.mode, Read: 4, Write: Two})
			c.turn.Store(4) // the next is 0, 1, 2, 3
			mustLoad(t, c, 7)

			want := uint64(1)
			if tt.mode == RepairOff {
				want = 0
			}
			if got := c.Stats().Repairs; got != want {
				t.Errorf("%v: Repairs = %d, want %d", tt.mode, got, want)
			}
			if got := list[0].holds(); got != tt.at {
				t.Errorf("%v: replica 0 holds %d when the read returns, want %d", tt.mode, got, tt.at)
			}
			_ = c.Close(ctx)
			for _, i := range []int{0, 2, 3, 4} { // 4 was not even asked
				if got := list[i].holds(); got != tt.late {
					t.Errorf("%v: replica %d holds %d in the end, want %d", tt.mode, i, got, tt.late)
				}
			}
		})
	}
}

// TestRepairBlockingEnds checks that a blocking repair does not wait for a
// replica that a write quorum does not need, nor longer than the context.
func TestRepairBlockingEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[0].set(7)
		list[1].set(7)
		c := newCluster(t, list, &Options{Repair: RepairBlocking})
		c.replicas[2] = &mergeHangs{list[2]}
		start := time.Now()
		mustLoad(t, c, 7, At(All))
		if got := time.Since(start); got != 0 {
			t.Errorf("Load took %v although a write quorum has its result, want 0", got)
		}

		list[0].set(8)
		c.replicas[1] = &mergeHangs{list[1]}
		inner, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if got, err := c.Load(inner, "k", At(All)); got.Value != 8 || err != nil {
			t.Errorf("Load = %v, %v, want 8", got.Value, err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("Load took %v, want no longer than its context", got)
		}
	})
}

// A mergeHangs is a replica whose merges hang until their context ends.
type mergeHangs struct{ *stub }

func (*mergeHangs) Merge(ctx context.Context, _ string, _ LWW[int]) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestRepairOfStragglers checks that a replica that answers a read too late is
// repaired if it turns out to be behind.
func TestRepairOfStragglers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(3)
		list[0].set(7)
		list[1].set(7)
		list[2].delay = time.Second
		c := newCluster(t, list, nil)
		for range 3 { // two of them ask replica 2
			mustLoad(t, c, 7)
		}
		_ = c.Close(ctx)
		if got := list[2].holds(); got != 7 {
			t.Errorf("the late replica holds %d, want 7", got)
		}
	})
}

// TestStragglersAgree checks that a replica that answers a read too late is
// told nothing if it is not behind, or if it fails.
func TestStragglersAgree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := stubs(4)
		for _, s := range list[:3] {
			s.set(7)
		}
		list[2].delay = time.Second
		list[3].delay = time.Second
		list[3].err = errDown
		c := newCluster(t, list, &Options{Read: Two, Write: Three, Hedge: 1})
		c.turn.Store(1) // the next is 2, then 3, and then both that are fast
		mustLoad(t, c, 7)
		_ = c.Close(ctx)
		if got := list[2].merges.Load() + list[3].merges.Load(); got != 0 || c.Stats().Repairs != 0 {
			t.Errorf("late replicas got %d merges, %+v, want none", got, c.Stats())
		}
		if got := c.Stats().Extra; got != 2 {
			t.Errorf("%d hedges, want 2, each after a nanosecond", got)
		}
	})
}

// TestTrapRepairFails checks that a read returns its value although a repair
// fails (scylladb/scylladb#28125).
func TestTrapRepairFails(t *testing.T) {
	for _, mode := range []RepairMode{RepairAsync, RepairBlocking} {
		list := stubs(3)
		list[1].set(7)
		c := newCluster(t, list, &Options{Read: All, Write: All, Repair: mode})
		broken := &mergeFails{list[0]}
		c.replicas[0] = broken
		mustLoad(t, c, 7)
	}
}

// A mergeFails is a replica that can be read only.
type mergeFails struct{ *stub }

func (*mergeFails) Merge(context.Context, string, LWW[int]) error { return errDown }

// TestRepairAll checks the hook for anti-entropy.
func TestRepairAll(t *testing.T) {
	list := stubs(4)
	list[1].set(7)
	list[2].set(6)
	c := newCluster(t, list, nil)
	if got, err := c.Repair(ctx, "k"); got != First(4) || err != nil {
		t.Errorf("Repair = %v, %v, want all", got, err)
	}
	for i, s := range list {
		if got := s.holds(); got != 7 {
			t.Errorf("replica %d holds %d, want 7", i, got)
		}
	}

	// All agree: nobody is told.
	if got, err := c.Repair(ctx, "k"); got != First(4) || err != nil {
		t.Errorf("second Repair = %v, %v, want all", got, err)
	}
	if got := list[1].merges.Load(); got != 0 {
		t.Errorf("the replica that was ahead got %d merges, want 0", got)
	}
	if got := c.Stats().Repairs; got != 1 {
		t.Errorf("Repairs = %d, want 1", got)
	}

	// One is down, and two that are not differ.
	list[3].set(8)
	list[0].err = errDown
	got, err := c.Repair(ctx, "k")
	var e *Error
	if got != SetOf(1, 2, 3) || !errors.As(err, &e) || e.Failed != SetOf(0) || !errors.Is(err, ErrIndeterminate) {
		t.Errorf("Repair with one down = %v, %v, want {1 2 3} and an error of 0", got, err)
	}
	for _, s := range list {
		s.err = errDown
	}
	if got, err := c.Repair(ctx, "k"); got != 0 || !errors.Is(err, ErrUnavailable) {
		t.Errorf("Repair with all down = %v, %v, want none, unavailable", got, err)
	}
}

// TestRepairUnread checks that Repair says when a replica could be written but
// not read.
func TestRepairUnread(t *testing.T) {
	list := stubs(3)
	list[0].set(7)
	c := newCluster(t, list, nil)
	c.replicas[2] = &loadFails{list[2]}
	got, err := c.Repair(ctx, "k")
	var e *Error
	if got != First(3) || !errors.As(err, &e) || e.Failed != SetOf(2) || e.Kind != ErrUnavailable {
		t.Errorf("Repair = %v, %v, want all told and 2 not read", got, err)
	}
	if got := list[2].holds(); got != 7 {
		t.Errorf("the replica that was not read holds %d, want 7", got)
	}
}

// A loadFails is a replica that can be written only.
type loadFails struct{ *stub }

func (*loadFails) Load(context.Context, string) (LWW[int], error) { return LWW[int]{}, errDown }

// TestClose checks that nothing starts after Close, and that it is bounded by
// its context and by the timeout of writes.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, stubs(3), nil)
		if err := c.Close(ctx); err != nil {
			t.Errorf("Close of an idle cluster = %v, want nil", err)
		}
		if err := c.Close(ctx); err != ErrClosed {
			t.Errorf("second Close = %v, want ErrClosed", err)
		}
		if _, err := c.Load(ctx, "k"); err != ErrClosed {
			t.Errorf("Load = %v, want ErrClosed", err)
		}
		if err := c.Merge(ctx, "k", at(1)); err != ErrClosed {
			t.Errorf("Merge = %v, want ErrClosed", err)
		}
		if held, err := c.Repair(ctx, "k"); held != 0 || err != ErrClosed {
			t.Errorf("Repair = %v, %v, want none, ErrClosed", held, err)
		}

		// A replica that heeds no context.
		list := stubs(3)
		list[2].deaf = true
		list[2].freed = make(chan struct{})
		for _, tt := range []struct {
			after time.Duration // of the context
			want  time.Duration
			err   error
		}{
			{time.Second, time.Second, context.DeadlineExceeded},
			{time.Hour, 20 * time.Second, context.DeadlineExceeded},
		} {
			c := newCluster(t, list, nil)
			mustMerge(t, c, 1)
			inner, cancel := context.WithTimeout(ctx, tt.after)
			start := time.Now()
			err := c.Close(inner)
			if got := time.Since(start); !errors.Is(err, tt.err) || got != tt.want {
				t.Errorf("Close = %v after %v, want %v after %v", err, got, tt.err, tt.want)
			}
			cancel()
		}
		close(list[2].freed)
	})
}

// TestGoexit checks that a replica that ends its goroutine has failed.
func TestGoexit(t *testing.T) {
	list := stubs(3)
	c := newCluster(t, list, nil)
	for i := range c.replicas[:2] {
		c.replicas[i] = goexits{list[i]}
	}
	if err := c.Merge(ctx, "k", at(1)); !errors.Is(err, errEnded) {
		t.Errorf("Merge = %v, want %v", err, errEnded)
	}
	if _, err := c.Load(ctx, "k"); !errors.Is(err, errEnded) {
		t.Errorf("Load = %v, want %v", err, errEnded)
	}
}

// A goexits is a replica that never returns.
type goexits struct{ *stub }

func (goexits) Load(context.Context, string) (LWW[int], error) {
	runtime.Goexit()
	panic("unreachable")
}
func (goexits) Merge(context.Context, string, LWW[int]) error { runtime.Goexit(); return nil }
