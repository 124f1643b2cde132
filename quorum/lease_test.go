// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// grants returns a CAS of leases on acceptors in memory.
func grants(t testing.TB, list []*MemoryAcceptor[string, Grant]) *CAS[string, Grant] {
	t.Helper()
	as := make([]Acceptor[string, Grant], len(list))
	for i := range as {
		as[i] = list[i]
	}
	c, err := NewCAS(as, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// grantAcceptors returns three acceptors.
func grantAcceptors() []*MemoryAcceptor[string, Grant] {
	list := make([]*MemoryAcceptor[string, Grant], 3)
	for i := range list {
		list[i] = new(MemoryAcceptor[string, Grant])
	}
	return list
}

// newLease returns a lease with a CAS of its own.
func newLease(t testing.TB, list []*MemoryAcceptor[string, Grant], opts *LeaseOptions) *Lease[string] {
	t.Helper()
	l, err := NewLease(grants(t, list), "leader", opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// about reports whether d is want, or a little more: proposers that meet wait
// for a random time.
func about(d, want time.Duration) bool { return d >= want && d < want+50*time.Millisecond }

// wantHeld checks whether l is held.
func wantHeld(t testing.TB, what string, l *Lease[string], want bool) {
	t.Helper()
	if token, ok := l.Held(); ok != want || ok != (token > 0) {
		t.Errorf("%s: Held = %d, %t, want %t", what, token, ok, want)
	}
}

// acquire acquires l, which must succeed.
func acquire(t testing.TB, l *Lease[string]) (token uint64) {
	t.Helper()
	token, err := l.Acquire(ctx)
	if err != nil || token == 0 {
		t.Fatalf("Acquire = %d, %v", token, err)
	}
	return token
}

// TestLease checks that a lease passes from one to the next: when it is given
// back, and when its holder is silent for long enough, and not before.
func TestLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := grantAcceptors()
		opts := &LeaseOptions{TTL: 8 * time.Second, Retry: time.Second}
		a, b := newLease(t, list, opts), newLease(t, list, opts)
		wantHeld(t, "a, new", a, false)
		first := acquire(t, a)
		wantHeld(t, "a", a, true)
		if again := acquire(t, a); again != first {
			t.Errorf("Acquire of what is held = %d, want %d", again, first)
		}

		// b waits until a gives it back.
		start := time.Now()
		time.AfterFunc(3500*time.Millisecond, func() {
			if err := a.Release(ctx); err != nil {
				t.Error(err)
			}
			wantHeld(t, "a, released", a, false)
		})
		second := acquire(t, b)
		if d := time.Since(start); second <= first || !about(d, 4*time.Second) {
			t.Errorf("b has token %d after %v, want more than %d after 4s", second, d, first)
		}

		// b dies. a waits from when it has seen that b lives.
		time.Sleep(5 * time.Second)
		wantHeld(t, "b, after 5 of 8 seconds", b, true)
		start = time.Now()
		third := acquire(t, a)
		if d := time.Since(start); third <= second || !about(d, 9*time.Second) {
			t.Errorf("a has token %d after %v, want more than %d after 9s", third, d, second)
		}
		wantHeld(t, "b, after its end", b, false)
		if err := b.Release(ctx); err != nil {
			t.Errorf("b.Release = %v, want nil", err)
		}
		if err := a.Renew(ctx); err != nil {
			t.Errorf("a.Renew after b's Release = %v, want nil", err)
		}

		// a dies as well, and finds out when it renews.
		acquire(t, b)
		if err := a.Renew(ctx); !errors.Is(err, ErrLost) {
			t.Errorf("a.Renew = %v, want ErrLost", err)
		}
		wantHeld(t, "a, lost", a, false)
	})
}

// TestLeaseRenew checks that a holder that renews is left alone, however long
// another waits, and that a renewal after the end is possible if nobody came.
func TestLeaseRenew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := grantAcceptors()
		opts := &LeaseOptions{TTL: 8 * time.Second, Retry: time.Second}
		a, b := newLease(t, list, opts), newLease(t, list, opts)
		if err := a.Renew(ctx); !errors.Is(err, ErrLost) {
			t.Errorf("Renew of what was never held = %v, want ErrLost", err)
		}
		token := acquire(t, a)
		limit, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		done := make(chan error)
		go func() { // ends after a minute
			_, err := b.Acquire(limit)
			done <- err
		}()
		for range 9 {
			time.Sleep(7 * time.Second)
			if err := a.Renew(ctx); err != nil {
				t.Error(err)
			}
			got, ok := a.Held()
			if !ok || got != token {
				t.Errorf("Held = %d, %t, want %d", got, ok, token)
			}
		}
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errHeld) {
			t.Errorf("b.Acquire = %v, want the end of its context, and why", err)
		}

		time.Sleep(time.Hour)
		wantHeld(t, "a, after an hour", a, false)
		if err := a.Renew(ctx); err != nil {
			t.Errorf("Renew when nobody else came: %v, want no error", err)
		}
		wantHeld(t, "a, renewed late", a, true)
	})
}

// TestLeaseClocks checks that two never hold a lease at once though their
// clocks run differently fast.
func TestLeaseClocks(t *testing.T) {
	for _, rate := range []float64{0.9, 1, 1.1} {
		bubble(t, func(t *testing.T) {
			list := grantAcceptors()
			opts := &LeaseOptions{TTL: 10 * time.Second}
			a, b := newLease(t, list, opts), newLease(t, list, opts)
			start := time.Now()
			b.now = func() time.Duration { return time.Duration(rate * float64(time.Since(start))) }
			for round := range 10 {
				for _, next := range []*Lease[string]{a, b} {
					acquire(t, next)
					if other := [...]*Lease[string]{a, b}; next == a {
						wantHeld(t, fmt.Sprint("b at rate ", rate), other[1], false)
					} else {
						wantHeld(t, fmt.Sprint("a, beside rate ", rate), other[0], false)
					}
					time.Sleep(time.Duration(round%3) * 3 * time.Second)
				}
			}
		})
	}
}

// A downAcceptor is an acceptor that can be down.
type downAcceptor struct {
	Acceptor[string, Grant]
	mu         sync.Mutex // protects down and lose
	down, lose bool       // lose: the answer of Accept is lost
}

func (d *downAcceptor) set(down, lose bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
	d.lose = lose
}

func (d *downAcceptor) get() (down, lose bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.down, d.lose
}

func (d *downAcceptor) Prepare(ctx context.Context, key string, b Ballot) (Slot[Grant], error) {
	if down, _ := d.get(); down {
		return Slot[Grant]{}, errDown
	}
	return d.Acceptor.Prepare(ctx, key, b)
}

func (d *downAcceptor) Accept(ctx context.Context, key string, p Slot[Grant]) (Ballot, error) {
	down, lose := d.get()
	if down {
		return Ballot{}, errDown
	}
	got, err := d.Acceptor.Accept(ctx, key, p)
	if lose {
		err = errDown
	}
	return got, err
}

// downLease returns a lease on acceptors that can all be down.
func downLease(t testing.TB, opts *LeaseOptions) (l *Lease[string], set func(down, lose bool)) {
	t.Helper()
	var list []*downAcceptor
	var as []Acceptor[string, Grant]
	for _, m := range grantAcceptors() {
		d := &downAcceptor{Acceptor: m}
		list = append(list, d)
		as = append(as, d)
	}
	c, err := NewCAS(as, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err = NewLease(c, "leader", opts)
	if err != nil {
		t.Fatal(err)
	}
	return l, func(down, lose bool) {
		for _, d := range list {
			d.set(down, lose)
		}
	}
}

// TestLeaseUnavailable checks that a lease is tried again while acceptors are
// down, that a renewal that fails changes nothing, and that an outcome that
// nobody knows is no lease.
func TestLeaseUnavailable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, set := downLease(t, &LeaseOptions{TTL: 8 * time.Second, Retry: time.Second})
		set(true, false)
		limit, cancel := context.WithTimeout(ctx, 5500*time.Millisecond)
		defer cancel()
		if _, err := l.Acquire(limit); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errDown) {
			t.Errorf("Acquire = %v, want the end of the context, and that acceptors are down", err)
		}
		time.AfterFunc(3500*time.Millisecond, func() { set(false, false) })
		start := time.Now()
		first := acquire(t, l)
		if d := time.Since(start); !about(d, 4*time.Second) {
			t.Errorf("Acquire took %v, want 4s", d)
		}

		// What was held before is held as long as it was.
		set(true, false)
		time.Sleep(5 * time.Second)
		if err := l.Renew(ctx); !errors.Is(err, errDown) {
			t.Errorf("Renew = %v, want that acceptors are down", err)
		}
		wantHeld(t, "after 5 of 8 seconds", l, true)
		time.Sleep(3 * time.Second)
		wantHeld(t, "after 8 seconds", l, false)

		// The grant is there, and its holder does not know.
		set(false, true)
		limit, cancel = context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if _, err := l.Acquire(limit); !errors.Is(err, ErrIndeterminate) {
			t.Errorf("Acquire = %v, want ErrIndeterminate", err)
		}
		wantHeld(t, "when nobody knows", l, false)
		set(false, false)
		if second := acquire(t, l); second <= first {
			t.Errorf("token %d after %d, want a greater one", second, first)
		}
		set(true, false)
		if err := l.Release(ctx); err == nil {
			t.Error("Release without acceptors: got no error")
		}
		wantHeld(t, "released in vain", l, false)
	})
}

// A slowAcceptor answers late, in a bubble.
type slowAcceptor struct{ Acceptor[string, Grant] }

// Accept answers late, in a bubble.
func (s slowAcceptor) Accept(ctx context.Context, key string, p Slot[Grant]) (Ballot, error) {
	got, err := s.Acceptor.Accept(ctx, key, p)
	time.Sleep(3 * time.Second)
	return got, err
}

// TestLeaseSlow checks that a lease counts from before it was asked for, and so
// does a renewal: others may count from the moment at which it was granted.
func TestLeaseSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var as []Acceptor[string, Grant]
		for _, m := range grantAcceptors() {
			as = append(as, slowAcceptor{m})
		}
		c, err := NewCAS(as, nil)
		if err != nil {
			t.Fatal(err)
		}
		l, err := NewLease(c, "leader", &LeaseOptions{TTL: 8 * time.Second})
		if err != nil {
			t.Fatal(err)
		}

		for _, renew := range []bool{false, true} {
			start := time.Now()
			if renew {
				err = l.Renew(ctx)
			} else {
				_, err = l.Acquire(ctx)
			}
			if d := time.Since(start); err != nil || d != 3*time.Second {
				t.Errorf("renew %t: %v after %v, want no error after 3s", renew, err, d)
			}
			time.Sleep(5*time.Second - time.Nanosecond)
			wantHeld(t, fmt.Sprintf("renew %t, before the end", renew), l, true)
			time.Sleep(time.Nanosecond)
			wantHeld(t, fmt.Sprintf("renew %t, at the end", renew), l, false)
		}
	})
}

// TestLeaseDo checks that Do renews for as long as its function runs, gives the
// lease back however that ends, and ends its context when the lease is lost.
func TestLeaseDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l, set := downLease(t, &LeaseOptions{TTL: 9 * time.Second, Retry: time.Second})
		fails := errors.New("fails")
		err := l.Do(ctx, func(ctx context.Context, token uint64) error {
			for range 60 {
				time.Sleep(time.Second)
				if got, ok := l.Held(); !ok || got != token {
					t.Fatalf("Held = %d, %t within Do, want %d", got, ok, token)
				}
			}
			return errors.Join(fails, ctx.Err())
		})
		if !errors.Is(err, fails) || errors.Is(err, ErrLost) {
			t.Errorf("Do = %v, want the error of its function alone", err)
		}
		wantHeld(t, "after Do", l, false)

		// A short failure of the acceptors does no harm.
		err = l.Do(ctx, func(ctx context.Context, _ uint64) error {
			set(true, false)
			time.Sleep(7 * time.Second)
			set(false, false)
			time.Sleep(20 * time.Second)
			return ctx.Err()
		})
		if err != nil {
			t.Errorf("Do over a short failure = %v, want no error", err)
		}

		// A long one does.
		err = l.Do(ctx, func(ctx context.Context, _ uint64) error {
			start := time.Now()
			set(true, false)
			<-ctx.Done()
			if d := time.Since(start); d != 9*time.Second {
				t.Errorf("the context ended after %v, want 9s", d)
			}
			if cause := context.Cause(ctx); !errors.Is(cause, ErrLost) {
				t.Errorf("cause %v, want ErrLost", cause)
			}
			return nil
		})
		if !errors.Is(err, ErrLost) {
			t.Errorf("Do = %v, want ErrLost", err)
		}
		set(false, false)

		// The caller's end is that of the function.
		limit, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		err = l.Do(limit, func(ctx context.Context, _ uint64) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrLost) {
			t.Errorf("Do = %v, want the end of the caller's context", err)
		}
		if err := l.Do(limit, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do with an ended context = %v, want DeadlineExceeded", err)
		}
	})
}

// TestLeaseDoPanics checks that a function that panics gives the lease back.
func TestLeaseDoPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		list := grantAcceptors()
		a, b := newLease(t, list, nil), newLease(t, list, nil)
		mustPanic(t, "at work", func() {
			_ = a.Do(ctx, func(context.Context, uint64) error { panic("at work") })
		})
		start := time.Now()
		acquire(t, b)
		if d := time.Since(start); !about(d, 0) {
			t.Errorf("b has waited %v for a lease that was given back", d)
		}
	})
}

// TestLeaseOptions checks bounds, defaults, and values that are not from
// NewLease.
func TestLeaseOptions(t *testing.T) {
	c := grants(t, grantAcceptors())
	for _, o := range []*LeaseOptions{{TTL: -1}, {Retry: -1}} {
		if _, err := NewLease(c, "k", o); err == nil {
			t.Errorf("NewLease with %+v: got no error", o)
		}
	}
	for _, tt := range []struct{ in, want LeaseOptions }{
		{LeaseOptions{}, LeaseOptions{TTL: 10 * time.Second, Retry: time.Second}},
		{LeaseOptions{TTL: 1}, LeaseOptions{TTL: 1, Retry: 1}},
		{LeaseOptions{TTL: 50, Name: "x"}, LeaseOptions{TTL: 50, Retry: 5, Name: "x"}},
	} {
		if got := tt.in.resolve(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v means %+v, want %+v", tt.in, got, tt.want)
		}
	}

	var zero Lease[string]
	wantHeld(t, "the zero Lease", &zero, false)
	mustPanic(t, "use NewLease", func() { _, _ = zero.Acquire(ctx) })
	mustPanic(t, "use NewLease", func() { _, _, _ = zero.TryAcquire(ctx) })
	mustPanic(t, "use NewLease", func() { _ = zero.Renew(ctx) })
	mustPanic(t, "use NewLease", func() { _ = zero.Release(ctx) })
	mustPanic(t, "use NewCAS", func() { _, _ = NewLease(new(CAS[string, Grant]), "k", nil) })
}

// A tenure is a time in which a client of a history held the lease.
type tenure struct {
	client   int
	token    uint64
	from, to time.Duration
}

// TestLeaseAlone checks that in no history two hold a lease at once, that
// tokens grow, and that a store which looks at them is not written by two at
// once, even if holders are stopped before they write. It is so whatever is
// lost, late, repeated or cut off, with clocks that run up to a twentieth too
// fast or too slow.
func TestLeaseAlone(t *testing.T) {
	n := uint64(*histories) / 20
	if testing.Short() || raceEnabled {
		n = 200
	}

	tenures, passed, refused := 0, 0, 0
	for seed := range n {
		var store fencedStore
		list := leaseHistory(t, seed, &store)
		store.check(t, seed)
		refused += store.refused
		for i, a := range list {
			for _, b := range list[:i] {
				if a.client != b.client {
					passed++
				}
				if a.from < b.to && b.from < a.to && a.client != b.client {
					t.Fatalf("seed %d: %+v and %+v at once", seed, a, b)
				}
				if (a.token > b.token) != (a.from > b.from) && a.token != b.token {
					t.Fatalf("seed %d: %+v and %+v: tokens do not grow", seed, a, b)
				}
				if a.token == b.token && a.client != b.client {
					t.Fatalf("seed %d: %+v and %+v have one token", seed, a, b)
				}
			}
		}
		tenures += len(list)
	}
	t.Logf("%d tenures, %d pairs of different clients, %d writes refused", tenures, passed, refused)
	if tenures < int(n)*2 || passed < int(n) || refused < int(n)/2 {
		t.Errorf("%d tenures, %d pairs, %d writes refused in %d histories say little", tenures, passed, refused, n)
	}
}

// A fencedStore is what a lease protects: it refuses tokens that are less than
// one it has seen.
type fencedStore struct {
	mu      sync.Mutex // protects the fields below
	newest  uint64
	writes  []tenure // that were not refused, of a client with its token
	refused int
}

func (f *fencedStore) write(client int, token uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if token < f.newest {
		f.refused++
		return
	}
	f.newest = token
	f.writes = append(f.writes, tenure{client: client, token: token})
}

// check checks that the writes of a holder are not mixed with those of another.
func (f *fencedStore) check(t *testing.T, seed uint64) {
	t.Helper()
	for i := 1; i < len(f.writes); i++ {
		a, b := f.writes[i-1], f.writes[i]
		if b.token < a.token || a.token == b.token && a.client != b.client {
			t.Fatalf("seed %d: the store has a write of client %d, token %d, and then one of client %d, token %d",
				seed, a.client, a.token, b.client, b.token)
		}
	}
}

// leaseHistory plays a history in a bubble, and returns the tenures. Holders
// write to store, and may be stopped for some time before they do.
func leaseHistory(t *testing.T, seed uint64, store *fencedStore) (list []tenure) {
	t.Helper()
	s := newSim(seed)
	var as []*MemoryAcceptor[string, Grant]
	for range s.n {
		as = append(as, new(MemoryAcceptor[string, Grant]))
	}
	s.wipe = func(replica int) {
		as[replica].mu.Lock()
		defer as[replica].mu.Unlock()
		clear(as[replica].slots)
	}

	s.play(t, func(t *testing.T, client int) {
		links := make([]Acceptor[string, Grant], s.n)
		for i := range links {
			links[i] = &casLink[Grant]{link{s, client, i}, as[i]}
		}
		r := s.rand(drawClient, uint64(client), 2, 0)
		c, err := NewCAS(links, &CASOptions{Timeout: 50 * time.Millisecond})
		if err != nil {
			t.Error(err)
			return
		}
		c.proposer = uint64(client + 1)
		c.random = r.Int64N
		l, err := NewLease(c, "k", &LeaseOptions{TTL: 100 * time.Millisecond, Retry: 20 * time.Millisecond})
		if err != nil {
			t.Error(err)
			return
		}
		rate := 0.95 + r.Float64()/10
		l.now = func() time.Duration { return time.Duration(rate * float64(time.Since(s.start))) }

		for op := range 6 {
			time.Sleep(time.Duration(r.Int64N(int64(50 * time.Millisecond))))
			limit, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, uint64(op)), 400*time.Millisecond)
			token, err := l.Acquire(limit)
			cancel()
			if err == nil {
				pause := time.Duration(r.Int64N(int64(300 * time.Millisecond)))
				store.write(client, token)
				e := leaseTenure(s, l, uint64(op), client, token, r.IntN(4))
				time.AfterFunc(pause, func() { store.write(client, token) })
				s.mu.Lock()
				list = append(list, e)
				s.mu.Unlock()
			}
		}
	})
	return list
}

// leaseTenure holds l in a bubble, renews it some times, and gives it back or
// not.
func leaseTenure(s *sim, l *Lease[string], op uint64, client int, token uint64, renewals int) tenure {
	e := tenure{client: client, token: token, from: time.Since(s.start)}
	for k := range renewals {
		time.Sleep(40 * time.Millisecond)
		if _, ok := l.Held(); !ok {
			break
		}
		e.to = time.Since(s.start)
		limit, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, 100*op+uint64(k)), 30*time.Millisecond)
		_ = l.Renew(limit) // Held says what is left
		cancel()
	}
	for range 10 {
		if _, ok := l.Held(); !ok {
			break
		}
		e.to = time.Since(s.start)
		time.Sleep(5 * time.Millisecond)
	}
	if renewals%2 == 1 {
		limit, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, 1000+op), 100*time.Millisecond)
		_ = l.Release(limit) // others wait for the end else
		cancel()
	}
	return e
}

// TestLeaseAtOnce checks that many goroutines and processes in one bubble hold
// the lease one after the other, with a counter that only holders touch.
func TestLeaseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := grantAcceptors()
		var wg sync.WaitGroup
		inside, rounds := 0, 0

		for range 4 {
			l := newLease(t, list, &LeaseOptions{TTL: time.Second})
			wg.Go(func() { // ends after five turns
				for range 5 {
					err := l.Do(ctx, func(context.Context, uint64) error {
						inside++
						if inside != 1 {
							t.Errorf("%d hold the lease at once", inside)
						}
						time.Sleep(2 * time.Second)
						inside--
						rounds++
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if rounds != 20 {
			t.Errorf("%d turns, want 20", rounds)
		}
	})
}

// TestLeaseTryAcquire checks that TryAcquire takes what is free, waits for
// nobody, and takes over from a holder that was silent for long enough since
// the first try, by the clock of the options.
func TestLeaseTryAcquire(t *testing.T) {
	list := grantAcceptors()
	now := time.Unix(1e9, 0)
	opts := &LeaseOptions{TTL: 8 * time.Second, Now: func() time.Time { return now }}
	a, b := newLease(t, list, opts), newLease(t, list, opts)
	try := func(what string, l *Lease[string], want bool) (token uint64) {
		t.Helper()
		token, ok, err := l.TryAcquire(ctx)
		if ok != want || err != nil || ok != (token > 0) {
			t.Errorf("%s: TryAcquire = %d, %t, %v, want %t", what, token, ok, err, want)
		}
		wantHeld(t, what, l, want)
		return token
	}
	first := try("a, when it is free", a, true)
	if again := try("a, when it has it", a, true); again != first {
		t.Errorf("TryAcquire of what is held = %d, want %d", again, first)
	}

	// a lives: it renews, and b has to count anew.
	try("b, when a has it", b, false)
	now = now.Add(7 * time.Second)
	if err := a.Renew(ctx); err != nil {
		t.Error(err)
	}
	now = now.Add(2 * time.Second)
	try("b, after a renewal", b, false)
	now = now.Add(9*time.Second - 1)
	wantHeld(t, "a, after its end", a, false)
	try("b, a nanosecond early", b, false)
	now = now.Add(1)
	if second := try("b, after 9 seconds", b, true); second <= first {
		t.Errorf("b has token %d after %d", second, first)
	}

	// What was given back is free at once.
	try("a, when b has it", a, false)
	if err := b.Release(ctx); err != nil {
		t.Error(err)
	}
	try("a, when b has given it back", a, true)
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, ok, err := b.TryAcquire(done); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("TryAcquire after its context = %t, %v", ok, err)
	}
}

// TestLeaseTryAcquireUnavailable checks that a quorum that does not answer is
// an error, and not another holder.
func TestLeaseTryAcquireUnavailable(t *testing.T) {
	as := []Acceptor[string, Grant]{new(MemoryAcceptor[string, Grant]), deadAcceptor{}, deadAcceptor{}}
	cas, err := NewCAS(as, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLease(cas, "leader", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := l.TryAcquire(ctx); ok || !errors.Is(err, ErrUnavailable) {
		t.Errorf("TryAcquire = %t, %v, want ErrUnavailable", ok, err)
	}
}

// A deadAcceptor answers nothing.
type deadAcceptor struct{}

func (deadAcceptor) Prepare(context.Context, string, Ballot) (Slot[Grant], error) {
	return Slot[Grant]{}, ErrUnavailable
}

func (deadAcceptor) Accept(context.Context, string, Slot[Grant]) (Ballot, error) {
	return Ballot{}, ErrUnavailable
}
