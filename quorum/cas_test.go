// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// acceptors returns n acceptors in memory.
func acceptors(n int) []Acceptor[string, int] {
	list := make([]Acceptor[string, int], n)
	for i := range list {
		list[i] = new(MemoryAcceptor[string, int])
	}
	return list
}

// newCAS returns a CAS that is surely valid.
func newCAS(t testing.TB, list []Acceptor[string, int], opts *CASOptions) *CAS[string, int] {
	t.Helper()
	c, err := NewCAS(list, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// add returns a function for Update that adds n.
func add(n int) func(int, uint64) (int, error) {
	return func(old int, _ uint64) (int, error) { return old + n, nil }
}

// A fragile acceptor fails as a test says, and counts what it is asked.
type fragile struct {
	Acceptor[string, int]
	prepares, accepts atomic.Int64

	mu            sync.Mutex              // protects the fields below
	before, after func(kind string) error // the request is lost, or its answer; nil: none
}

// fragiles returns n fragile acceptors, as such and as acceptors.
func fragiles(n int) ([]*fragile, []Acceptor[string, int]) {
	list, as := make([]*fragile, n), acceptors(n)
	for i := range list {
		list[i] = &fragile{Acceptor: as[i]}
		as[i] = list[i]
	}
	return list, as
}

// fail sets what is lost from now on.
func (f *fragile) fail(before, after func(kind string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
	f.after = after
}

// lost returns the error of a request, or of its answer.
func (f *fragile) lost(kind string, answer bool) error {
	f.mu.Lock()
	fails := f.before
	if answer {
		fails = f.after
	}
	f.mu.Unlock()
	if fails == nil {
		return nil
	}
	return fails(kind)
}

// always returns a function that fails requests of a kind, or all, with err.
func always(kind string, err error) func(string) error {
	return func(k string) error {
		if kind == k || kind == "" {
			return err
		}
		return nil
	}
}

func (f *fragile) Prepare(ctx context.Context, key string, b Ballot) (Slot[int], error) {
	f.prepares.Add(1)
	if err := f.lost("prepare", false); err != nil {
		return Slot[int]{}, err
	}
	s, err := f.Acceptor.Prepare(ctx, key, b)
	return s, errors.Join(err, f.lost("prepare", true))
}

func (f *fragile) Accept(ctx context.Context, key string, p Slot[int]) (Ballot, error) {
	f.accepts.Add(1)
	if err := f.lost("accept", false); err != nil {
		return Ballot{}, err
	}
	got, err := f.Acceptor.Accept(ctx, key, p)
	return got, errors.Join(err, f.lost("accept", true))
}

// TestSlot checks the rules of an acceptor, at their bounds.
func TestSlot(t *testing.T) {
	b := func(round uint64) Ballot { return Ballot{round, 7} }
	var s Slot[int]

	// The zero ballot asks, a greater one is promised, a lesser one is not.
	for _, tt := range []struct{ ballot, want Ballot }{
		{Ballot{}, Ballot{}}, {b(2), b(2)}, {Ballot{}, b(2)}, {b(1), b(2)}, {b(2), b(2)}, {Ballot{2, 8}, Ballot{2, 8}}, {b(2), Ballot{2, 8}},
	} {
		if got := s.Prepare(tt.ballot); got.Promised != tt.want || !reflect.DeepEqual(got, s) {
			t.Errorf("Prepare(%v) = %+v, want a promise of %v", tt.ballot, got, tt.want)
		}
	}

	// What is below the promise is refused, and leaves no trace.
	for _, tt := range []struct {
		name             string
		ballot, promised Ballot
		accepted         bool
	}{
		{"below", b(2), b(9), false},
		{"at the promise", Ballot{2, 8}, Ballot{3, 8}, true},
		{"again, late", Ballot{2, 8}, Ballot{3, 8}, false},
		{"above the promise", b(4), b(5), true},
	} {
		before := s
		p := Slot[int]{Promised: tt.promised, Accepted: tt.ballot, Value: int(tt.ballot.Round), Version: 1}
		want := before
		if tt.accepted {
			want = p
		}
		if got := s.Accept(p); got != want.Promised || !reflect.DeepEqual(s, want) {
			t.Errorf("Accept %s: promised %v, %+v, want %+v", tt.name, got, s, want)
		}
	}
}

// TestSlotUpdates checks that the last update of each of the last proposers is
// known, and that others are not taken for none.
func TestSlotUpdates(t *testing.T) {
	b := func(round, proposer int) Ballot { return Ballot{uint64(round), uint64(proposer)} }
	var s Slot[int]
	for i := range 3 {
		s = s.updated(b(i, 1), i)
	}
	for i := range 3 {
		if has, known := s.has(b(i, 1), uint64(i+1)); has != (i == 2) || !known {
			t.Errorf("update %d of 3 of one proposer: %v, %v", i, has, known)
		}
	}
	if has, known := s.has(b(1, 2), 1); has || !known {
		t.Errorf("one that was not made: %v, %v", has, known)
	}

	// The first is forgotten when as many others have come.
	for i := range recentProposers {
		has, known := s.has(b(2, 1), 3)
		if !has || !known {
			t.Errorf("after %d others: %v, %v", i, has, known)
		}
		s = s.updated(b(3, 10+i), 0)
	}
	if has, known := s.has(b(2, 1), 3); has || known {
		t.Errorf("after %d others: %v, %v, want unknown", recentProposers, has, known)
	}
	if has, known := s.has(b(2, 1), s.Version-recentProposers+1); has || !known {
		t.Errorf("one that would be the last that is known: %v, %v", has, known)
	}
}

// TestCAS checks updates, refused ones, and what they cost: two round trips,
// and one if nobody has come between.
func TestCAS(t *testing.T) {
	list, as := fragiles(3)
	c := newCAS(t, as, nil)
	if v, n, err := c.Get(ctx, "k"); v != 0 || n != 0 || err != nil {
		t.Errorf("Get of nothing = %d, %d, %v", v, n, err)
	}
	for i := 1; i <= 20; i++ {
		if v, n, err := c.Update(ctx, "k", add(2)); v != 2*i || n != uint64(i) || err != nil {
			t.Fatalf("update %d = %d, %d, %v", i, v, n, err)
		}
	}
	eventually(t, func() bool { return list[0].accepts.Load() == 20 })
	if got := list[0].prepares.Load(); got > 2 {
		t.Errorf("%d questions for 20 updates, want one of Get and one of the first", got)
	}

	// Refused: the value that was seen, and nothing is written.
	v, n, err := c.Update(ctx, "k", func(int, uint64) (int, error) { return 1000, errDown })
	if v != 40 || n != 20 || !errors.Is(err, errDown) || errors.Is(err, ErrUnavailable) {
		t.Errorf("a refused update = %d, %d, %v, want 40, 20 and the error", v, n, err)
	}

	// Another one sees it, and each sees what the other does.
	d := newCAS(t, as, nil)
	for i := range 10 {
		for _, c := range []*CAS[string, int]{d, c} {
			v, _, err := c.Update(ctx, "k", add(1))
			got, n, err2 := c.Get(ctx, "k")
			if got != v || n != uint64(v-20) || err != nil || err2 != nil {
				t.Fatalf("round %d: Update = %d, %v; Get = %d, %d, %v", i, v, err, got, n, err2)
			}
		}
	}
}

// eventually waits until ok, for requests that a call did not wait for.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatal("it does not come to pass")
		}
	}
}

// TestCASConcurrent checks that no update is lost, and none made twice, by
// goroutines and proposers that get in each other's way.
func TestCASConcurrent(t *testing.T) {
	const proposers, goroutines, each = 3, 2, 20
	as := acceptors(5)
	var wg sync.WaitGroup
	for range proposers {
		c := newCAS(t, as, nil)
		for range goroutines {
			wg.Go(func() {
				for range each {
					if _, _, err := c.Update(ctx, "k", add(1)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	const want = proposers * goroutines * each
	if v, n, err := newCAS(t, as, nil).Get(ctx, "k"); v != want || n != want || err != nil {
		t.Errorf("Get = %d, %d, %v, want %d of both", v, n, err, want)
	}
}

// TestCASErrors checks which error says what, with two of three acceptors
// failing.
func TestCASErrors(t *testing.T) {
	sure := errors.Join(ErrUnavailable, errDown)
	for _, tt := range []struct {
		name          string
		when          string
		before, after error
		want          error
		most, least   int // that a later Get returns
	}{
		{"the question is lost", "prepare", errDown, nil, ErrUnavailable, 0, 0},
		{"its answer is lost", "prepare", nil, errDown, ErrUnavailable, 0, 0},
		{"the proposal is lost", "accept", errDown, nil, ErrIndeterminate, 1, 0}, // one may have kept it
		{"its answer is lost", "accept", nil, errDown, ErrIndeterminate, 1, 1},
		{"the proposal is surely not kept", "accept", sure, nil, ErrIndeterminate, 1, 0},
	} {
		list, as := fragiles(3)
		c := newCAS(t, as, nil)
		for _, f := range list[:2] {
			f.fail(always(tt.when, tt.before), always(tt.when, tt.after))
		}
		_, _, err := c.Update(ctx, "k", add(1))
		var e *Error
		if !errors.As(err, &e) || e.Op != "update" || !errors.Is(err, tt.want) || !errors.Is(err, errDown) {
			t.Errorf("%s, %s: %v, want %v and the reason", tt.when, tt.name, err, tt.want)
		}

		// A later Get tells.
		for _, f := range list {
			f.fail(nil, nil)
		}
		if v, n, err := newCAS(t, as, nil).Get(ctx, "k"); err != nil || v < tt.least || v > tt.most || n != uint64(v) {
			t.Errorf("%s, %s: Get = %d, %d, %v, want %d to %d", tt.when, tt.name, v, n, err, tt.least, tt.most)
		}
	}

	// A Get that finds nobody asks each once.
	down, ds := fragiles(3)
	for _, f := range down {
		f.fail(always("", errDown), nil)
	}
	if _, n, err := newCAS(t, ds, nil).Get(ctx, "k"); n != 0 || !errors.Is(err, ErrUnavailable) || !errors.Is(err, errDown) {
		t.Errorf("Get without acceptors = %d, %v, want unavailable", n, err)
	}
	eventually(t, func() bool { return down[0].prepares.Load()+down[1].prepares.Load()+down[2].prepares.Load() >= 3 })
	for i, f := range down {
		if n := f.prepares.Load(); n != 1 {
			t.Errorf("acceptor %d was asked %d times, want once", i, n)
		}
	}

	// If all say that they have kept nothing, nothing was written.
	list, as := fragiles(1)
	list[0].fail(always("accept", sure), nil)
	if _, _, err := newCAS(t, as, nil).Update(ctx, "k", add(1)); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrIndeterminate) {
		t.Errorf("all have surely kept nothing: %v, want unavailable", err)
	}
}

// TestTrapCASReportedRefused checks an update whose proposal was kept by all,
// who then say that it was refused, as when a client asks twice by itself: it
// is found again, and not made twice. After many others it cannot be found.
func TestTrapCASReportedRefused(t *testing.T) {
	for _, others := range []int{0, 1, recentProposers - 1, recentProposers} {
		list, as := fragiles(3)
		other := newCAS(t, as, nil)
		var lied atomic.Int64
		lie := func(kind string) error {
			if kind == "accept" && lied.Add(1) <= 3 {
				return &refusal{Ballot{5, 5}}
			}
			return nil
		}
		for _, f := range list {
			f.fail(nil, lie)
		}

		// Before the next try, others update.
		c := newCAS(t, as, nil)
		left := others
		c.random = func(int64) int64 {
			for ; left > 0; left-- {
				if _, _, err := newCAS(t, as, nil).Update(ctx, "k", add(100)); err != nil {
					t.Error(err)
				}
			}
			return 0
		}
		calls := 0
		v, n, err := c.Update(ctx, "k", func(old int, _ uint64) (int, error) { calls++; return old + 1, nil })
		got, version, _ := other.Get(ctx, "k")
		if got != 1+100*others || version != uint64(1+others) || calls != 1 {
			t.Errorf("%d others: the value is %d, version %d after %d calls, want one update", others, got, version, calls)
		}
		if others < recentProposers && (v != 1 || n != 1 || err != nil) || others == recentProposers && !errors.Is(err, ErrIndeterminate) {
			t.Errorf("%d others: Update = %d, %d, %v", others, v, n, err)
		}
	}
}

// TestTrapFailedReadVanishes checks that what a Get or a refused update has
// seen is seen by all that come later, although the update that wrote it has
// failed (CASSANDRA-12126).
func TestTrapFailedReadVanishes(t *testing.T) {
	decline := func(c *CAS[string, int]) (int, error) {
		v, _, err := c.Update(ctx, "k", func(int, uint64) (int, error) { return 0, errDeclined })
		if errors.Is(err, errDeclined) {
			err = nil
		}
		return v, err
	}
	get := func(c *CAS[string, int]) (int, error) { v, _, err := c.Get(ctx, "k"); return v, err }

	for name, look := range map[string]func(*CAS[string, int]) (int, error){"Get": get, "a refused update": decline} {
		bubble(t, func(t *testing.T) {
			list, as := fragiles(3)
			for _, f := range list[1:] {
				f.fail(always("accept", errDown), nil)
			}
			_, _, err := newCAS(t, as, nil).Update(ctx, "k", add(7))
			if !errors.Is(err, ErrIndeterminate) {
				t.Fatalf("Update = %v, want ErrIndeterminate", err)
			}
			synctest.Wait() // it fails before the first has accepted, perhaps
			for _, f := range list[:2] {
				f.fail(nil, nil)
			}

			// With the first and second, then with the second and third.
			list[2].fail(always("", errDown), nil)
			seen, err := look(newCAS(t, as, nil))
			list[2].fail(nil, nil)
			list[0].fail(always("", errDown), nil)
			again, err2 := look(newCAS(t, as, nil))
			if seen != 7 || again != 7 || err != nil || err2 != nil {
				t.Errorf("%s sees %d, %v, and later %d, %v, want 7 twice", name, seen, err, again, err2)
			}
		})
	}
}

// TestCASContext checks that calls end with their contexts, while others hold
// the key, or acceptors hang.
func TestCASContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list, as := fragiles(3)
		hang := func(string) error { time.Sleep(time.Hour); return errDown }
		c := newCAS(t, as, &CASOptions{Timeout: time.Minute})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := c.Update(ended, "k", add(1)); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("an ended context: %v", err)
		}
		for _, f := range list {
			f.fail(hang, nil)
		}

		// One asks, and the other waits for it.
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				_, _, err := c.Update(short, "k", add(1))
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
					t.Errorf("a context that ends: %v", err)
				}
			})
		}
		start := time.Now()
		wg.Wait()
		if _, _, err := c.Get(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get: %v, want DeadlineExceeded", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("they took %v, want a second", took)
		}
	})
}

// TestCASConflict checks that a call whose proposals are always refused ends
// with its context, and waits longer each time.
func TestCASConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list, as := fragiles(3)
		round := atomic.Uint64{}
		for _, f := range list {
			f.fail(nil, func(kind string) error {
				if kind == "prepare" {
					return &refusal{Ballot{round.Add(10), 1}}
				}
				return nil
			})
		}
		var waits []int64
		c := newCAS(t, as, nil)
		c.random = func(n int64) int64 { waits = append(waits, n); return n - 1 }
		limit, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := c.Update(limit, "k", add(1))
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Update = %v", err)
		}
		if len(waits) < 10 || !slices.IsSorted(waits) || waits[1] != 2*waits[0] || waits[9] != waits[len(waits)-1] {
			t.Errorf("waits of %d, want them to double eight times", waits)
		}
	})
}

// TestCASPause checks that slow acceptors make nobody wait for long.
func TestCASPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list, as := fragiles(3)
		for _, f := range list {
			f.fail(func(string) error { time.Sleep(5 * time.Second); return &refusal{Ballot{9, 9}} }, nil)
		}
		longest := int64(0)
		c := newCAS(t, as, nil)
		c.random = func(n int64) int64 { longest = max(longest, n); return 0 }
		limit, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := c.Update(limit, "k", add(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Update = %v, want DeadlineExceeded", err)
		}
		if longest != int64(time.Second) {
			t.Errorf("a pause of up to %v, want a second", time.Duration(longest))
		}
		time.Sleep(time.Minute) // requests end
	})
}

// TestMemoryAcceptor checks that keys have nothing to do with each other, and
// that a question leaves nothing behind.
func TestMemoryAcceptor(t *testing.T) {
	as := acceptors(1)
	c := newCAS(t, as, nil)
	keys := []string{"a", "b", "c"}
	for i, key := range keys {
		if _, _, err := c.Update(ctx, key, add(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	other := newCAS(t, as, nil)
	for i, key := range keys {
		if v, n, err := other.Get(ctx, key); v != i+1 || n != 1 || err != nil {
			t.Errorf("Get of %s = %d, %d, %v, want %d", key, v, n, err, i+1)
		}
	}
	if v, n, err := other.Get(ctx, "d"); v != 0 || n != 0 || err != nil {
		t.Errorf("Get of nothing = %d, %d, %v", v, n, err)
	}
	if m, ok := as[0].(*MemoryAcceptor[string, int]); !ok || len(m.slots) != len(keys) {
		t.Errorf("the acceptor has %d slots, want %d", len(m.slots), len(keys))
	}
}

// TestCASTimeout checks that acceptors that hang end an update, which has no
// deadline itself, after the timeout of each of its two requests.
func TestCASTimeout(t *testing.T) {
	for _, tt := range []struct{ timeout, want time.Duration }{{0, 10 * time.Second}, {time.Minute, time.Minute}} {
		for _, kind := range []string{"prepare", "accept"} {
			bubble(t, func(t *testing.T) {
				c := newCAS(t, []Acceptor[string, int]{hangs{new(MemoryAcceptor[string, int]), kind}}, &CASOptions{Timeout: tt.timeout})
				start := time.Now()
				_, _, err := c.Update(ctx, "k", add(1))
				if took := time.Since(start); took != tt.want || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s with timeout %v: %v after %v, want the deadline after %v", kind, tt.timeout, err, took, tt.want)
				}
			})
		}
	}
}

// A hangs is an acceptor of which one kind of request hangs until its context
// ends.
type hangs struct {
	Acceptor[string, int]
	kind string
}

func (h hangs) Prepare(ctx context.Context, key string, b Ballot) (Slot[int], error) {
	if h.kind == "prepare" {
		<-ctx.Done()
		return Slot[int]{}, ctx.Err()
	}
	return h.Acceptor.Prepare(ctx, key, b)
}

func (h hangs) Accept(ctx context.Context, key string, p Slot[int]) (Ballot, error) {
	if h.kind == "accept" {
		<-ctx.Done()
		return Ballot{}, ctx.Err()
	}
	return h.Acceptor.Accept(ctx, key, p)
}

// TestCASZero checks that the zero CAS panics with what is missing.
func TestCASZero(t *testing.T) {
	var c CAS[string, int]
	for name, f := range map[string]func(){
		"Get":    func() { _, _, _ = c.Get(ctx, "k") },
		"Update": func() { _, _, _ = c.Update(ctx, "k", add(1)) },
	} {
		func() {
			defer func() {
				if got, want := recover(), "quorum: zero CAS: use NewCAS"; got != want {
					t.Errorf("%s panics with %v, want %q", name, got, want)
				}
			}()
			f()
		}()
	}
}

// TestCASKeys checks that few keys are remembered, and that a key in use is not
// forgotten.
func TestCASKeys(t *testing.T) {
	list, as := fragiles(3)
	c := newCAS(t, as, &CASOptions{Keys: 2})
	for _, key := range []string{"a", "b", "c", "d", "a"} {
		if _, _, err := c.Update(ctx, key, add(1)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool { return list[0].accepts.Load() == 5 && list[0].prepares.Load() >= 4 })
	if len(c.turns.keys) != 2 || list[0].prepares.Load() != 4 {
		t.Errorf("%d keys and %d questions, want 2 and 4", len(c.turns.keys), list[0].prepares.Load())
	}

	// A function that panics lets go of its key.
	func() {
		defer func() { _ = recover() }()
		_, _, _ = c.Update(ctx, "a", func(int, uint64) (int, error) { panic("x") })
	}()
	if v, _, err := c.Update(ctx, "a", add(1)); v != 3 || err != nil {
		t.Errorf("after a panic: %d, %v, want 3", v, err)
	}
}

// TestNewCASErrors checks what NewCAS refuses.
func TestNewCASErrors(t *testing.T) {
	for _, tt := range []struct {
		list []Acceptor[string, int]
		opts *CASOptions
		want error
	}{
		{nil, nil, nil},
		{acceptors(65), nil, nil},
		{[]Acceptor[string, int]{nil}, nil, nil},
		{acceptors(3), &CASOptions{Timeout: -1}, nil},
		{acceptors(3), &CASOptions{Keys: -1}, nil},
		{acceptors(3), &CASOptions{System: Majority(First(4))}, ErrLevel},
		{acceptors(4), &CASOptions{System: Threshold(2, First(4))}, ErrLevel},
	} {
		if _, err := NewCAS(tt.list, tt.opts); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%d acceptors, %+v: %v, want an error", len(tt.list), tt.opts, err)
		}
	}
	if _, err := NewCAS(acceptors(64), &CASOptions{System: Threshold(33, First(64))}); err != nil {
		t.Error(err)
	}
}
