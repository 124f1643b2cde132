// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestPropShared checks that a Shared over a store that works decides as a
// Keyed does, in every field.
func TestPropShared(t *testing.T) { rapid.Check(t, propShared) }

func propShared(t *rapid.T) {
	var clock fakeClock
	clock.t = 1 << 60

	// As in modelKeyed: nothing is ever rounded.
	draw := func(label string) Limit {
		return Limit{
			Every(time.Duration(1) << rapid.IntRange(14, 22).Draw(t, label+".token")),
			rapid.IntRange(1, 8).Draw(t, label+".burst"),
		}
	}

	limits := []Limit{draw("a"), draw("b")}
	store := NewMemStore(&Options{Now: clock.now})
	opts := &SharedOptions{Now: func(context.Context) (time.Time, error) { return clock.now(), nil }}
	s := NewShared(store, limits, opts)
	model := NewKeyed[string](limits, &KeyedOptions{Now: clock.now})
	ctx := context.Background()

	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
		n := rapid.IntRange(0, 9).Draw(t, "n")
		clock.t += rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(0, 1<<20)).Draw(t, "dt") << 20
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0:
			if err := s.Return(ctx, key, n); err != nil {
				t.Fatal(err)
			}
			model.Return(key, n)
		case 1:
			limits = []Limit{draw("c"), draw("d")}
			s = NewShared(store, limits, opts) // another process, deployed later
			// The store learns of it when a key is next used.
			for _, key := range []string{"a", "b", "c"} {
				if _, err := s.Take(ctx, key, 0); err != nil {
					t.Fatal(err)
				}
			}
			model.SetLimits(limits...)
		case 2:
			if got, want := All(s.Gate(ctx, key)).Take(n), model.Take(key, n); got.OK != want.OK {
				t.Fatalf("Gate.Take(%q, %d) = %+v, want %+v", key, n, got, want)
			}
		default:
			peek, err := s.Peek(ctx, key, n)
			got, err2 := s.Take(ctx, key, n)
			want := model.Take(key, n)
			checkErr(t, err, nil, "Peek(%q, %d)", key, n)
			check(t, peek, want, "Peek(%q, %d)", key, n)
			checkErr(t, err2, nil, "Take(%q, %d)", key, n)
			check(t, got, want, "Take(%q, %d)", key, n)
		}
	}
}

// A badStore is a store as networks make it: it loses replies, before or after
// it has served the request, answers from a replica that is behind, and lets
// others in between.
type badStore struct {
	Store
	fault   func() int
	between func()            // runs after each Load
	stale   map[string][]byte // states that replicas still hold
}

var errLost = errors.New("lost")

func (b *badStore) Load(ctx context.Context, key string) ([]byte, error) {
	state, err := b.Store.Load(ctx, key)
	defer b.between()
	switch b.fault() {
	case 0:
		return nil, errLost
	case 1:
		return b.stale[key], err
	case 2:
		b.stale[key] = state
	}
	return state, err
}

func (b *badStore) CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	switch b.fault() {
	case 0:
		return false, errLost // before it was done
	case 1:
		_, _ = b.Store.CompareAndSwap(ctx, key, old, next, ttl)
		return false, errLost // after
	case 2:
		// Done, but a client that repeats by itself finds another state.
		_, err := b.Store.CompareAndSwap(ctx, key, old, next, ttl)
		return false, err
	}
	return b.Store.CompareAndSwap(ctx, key, old, next, ttl)
}

// TestPropSharedLaw checks the law of a Shared: whatever the store loses,
// however far the clocks of processes differ, up to e, and whoever comes in
// between, a window w of true time admits at most burst + rate·(w + e + 2 ns).
func TestPropSharedLaw(t *testing.T) { rapid.Check(t, propSharedLaw) }

func propSharedLaw(t *rapid.T) {
	truth := fakeClock{1 << 60}
	l := Limit{Per(rapid.IntRange(1, 50).Draw(t, "count"), time.Duration(rapid.Int64Range(1, 60e9).Draw(t, "per"))), rapid.IntRange(1, 10).Draw(t, "burst")}
	skew := rapid.Int64Range(0, int64(ttlSlack)).Draw(t, "skew")
	token := max(int64(l.Rate.per)/l.Rate.count, 1)
	steps := rapid.OneOf(rapid.Int64Range(0, 2*token), rapid.Int64Range(0, int64(3*ttlSlack)))
	admitted := admitLossy(t, &truth, skew, steps, func(store Store, opts *SharedOptions) *Shared {
		return NewShared(store, []Limit{l}, opts)
	})
	checkEnvelope(t, l, skew+2, admitted)
}

// admitLossy takes from two processes that share a key of a store whose answers
// get lost, at clocks that are up to skew ahead of truth, one call in the midst
// of another, and returns what was admitted. Truth moves by steps.
func admitLossy(t *rapid.T, truth *fakeClock, skew int64, steps *rapid.Generator[int64], share func(Store, *SharedOptions) *Shared) (admitted []admission) {
	bad := &badStore{Store: NewMemStore(&Options{Now: truth.now}), stale: map[string][]byte{}}
	bad.fault = func() int { return rapid.IntRange(0, 9).Draw(t, "fault") }
	opts := &SharedOptions{Now: func(context.Context) (time.Time, error) {
		ahead := rapid.OneOf(rapid.Just(int64(0)), rapid.Just(skew), rapid.Int64Range(0, skew)).Draw(t, "ahead")
		return time.Unix(0, truth.t+ahead), nil
	}}

	processes := [2]*Shared{share(bad, opts), share(bad, opts)}
	var take func(depth int)
	take = func(depth int) {
		bad.between = func() {
			if depth < 2 && rapid.IntRange(0, 4).Draw(t, "between") == 0 {
				take(depth + 1)
			}
		}

		n := rapid.IntRange(1, 3).Draw(t, "n")
		d, err := processes[rapid.IntRange(0, 1).Draw(t, "process")].Take(context.Background(), "key", n)
		switch {
		case err != nil && !errors.Is(err, errLost):
			t.Fatal(err)
		case err == nil && d.OK:
			admitted = append(admitted, admission{truth.t, n})
		case err != nil && d != (Decision{}):
			t.Fatalf("%+v with %v", d, err)
		}
	}

	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		truth.t += steps.Draw(t, "dt")
		take(0)
	}
	return admitted
}

// TestSharedForgetsLate checks, with every clock that is up to half a minute
// ahead, at every second, that a key is not forgotten too soon: were it
// forgotten as soon as it is full by the clock of one process, one that is
// behind would find a full bucket that is not, and all clocks would fill it
// once more.
func TestSharedForgetsLate(t *testing.T) {
	for burst, idle := range map[int]int64{10: 10, 200: 165} { // seconds; idle so that nothing renews the key
		truth, ahead := fakeClock{1 << 60}, int64(0)
		l := Limit{PerSecond(1), burst}
		s := NewShared(NewMemStore(&Options{Now: truth.now}), []Limit{l}, &SharedOptions{
			Now: func(context.Context) (time.Time, error) { return time.Unix(0, truth.t+ahead), nil },
		})

		const skew = int64(30 * time.Second)
		var admitted []admission
		ask := func() {
			for ahead = 0; ahead <= skew; ahead += int64(time.Second) {
				for {
					ok, err := s.Allow(t.Context(), "key")
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					admitted = append(admitted, admission{truth.t, 1})
				}
			}
		}
		ask()

		for truth.t += idle * int64(time.Second); truth.t < 1<<60+(idle+20)*int64(time.Second); truth.t += int64(time.Second) {
			ask()
		}
		checkEnvelope(t, l, skew+2, admitted)
	}
}

// TestSharedComplete checks that a lost reply costs no more tokens than it may
// have taken.
func TestSharedComplete(t *testing.T) {
	clock := fakeClock{1 << 60}
	faults := []int{9, 0, 9, 9, 1, 9, 9, 9, 9, 9, 9, 9}
	bad := &badStore{Store: NewMemStore(&Options{Now: clock.now}), between: func() {}}
	bad.fault = func() (f int) {
		f, faults = faults[0], faults[1:]
		return f
	}
	s := NewShared(bad, []Limit{{PerHour(1), 3}}, &SharedOptions{
		Now: func(context.Context) (time.Time, error) { return clock.now(), nil },
	})
	var got []string
	for range 5 { // lost before it was done; lost after; and 2 are left of 3
		ok, err := s.Allow(t.Context(), "key")
		got = append(got, fmt.Sprint(ok, errors.Is(err, errLost)))
		if len(got) == 1 {
			faults = faults[1:] // the next request is a Load
		}
	}
	if want := "false true,false true,true false,true false,false false"; strings.Join(got, ",") != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTrapContentionError checks that contention alone is never an error, as it
// is for throttled after ten lost races, and so a page that says 500. It ends
// with the context of the caller, and with Timeout.
func TestTrapContentionError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Another process writes between each Load and CompareAndSwap.
		limits := []Limit{{PerSecond(1), 1000}}
		store := NewMemStore(nil)
		other := NewShared(store, limits, nil)
		races := 0
		busy := &badStore{Store: store, fault: func() int { return 9 }, between: func() {
			if races++; races <= 100 {
				_, _ = other.Allow(t.Context(), "key")
			}
		}}
		ok, err := NewShared(busy, limits, &SharedOptions{Timeout: time.Minute}).Allow(t.Context(), "key")
		checkErr(t, err, nil, "Allow")
		check(t, ok, true, "Allow")
		check(t, races, 101, "races")

		races = math.MinInt // forever
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s := NewShared(busy, limits, &SharedOptions{Timeout: -1})
		start := time.Now()
		_, err = s.Take(ctx, "key", 1)
		check(t, err, context.DeadlineExceeded, "error of Take") // as it is
		check(t, time.Since(start), time.Second, "time of Take")
		if err := s.Return(ctx, "key", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Return: %v, want the deadline", err)
		}

		for timeout, want := range map[time.Duration]time.Duration{0: time.Second, 2 * time.Second: 2 * time.Second} {
			s = NewShared(busy, limits, &SharedOptions{Timeout: timeout})
			start = time.Now()
			d, err := s.Take(t.Context(), "key", 1)
			checkErr(t, err, context.DeadlineExceeded, "Timeout %v: Take", timeout)
			check(t, d.OK, false, "Timeout %v: OK of Take", timeout)
			check(t, time.Since(start), want, "Timeout %v: time of Take", timeout)
		}
	})
}

// TestTrapStoreStuck checks that a store whose rows cannot be replaced, as of
// an INSERT ON CONFLICT DO NOTHING over an expired row, is an error and not a
// loop without end.
func TestTrapStoreStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewShared(swapStore{NewMemStore(nil), func() bool { return false }}, []Limit{{PerSecond(1), 1}}, &SharedOptions{Timeout: -1})
		start := time.Now()
		ok, err := s.Allow(t.Context(), "key")
		checkErr(t, err, errStuck, "Allow")
		check(t, ok, false, "Allow")
		if got := time.Since(start); got > 2*time.Second {
			t.Errorf("Allow took %v, want at most 2s", got)
		}
		check(t, s.Stats().Failed, 1, "Failed")
		check(t, s.Stats().Retries, maxStuck, "Retries")
	})
}

// A swapStore refuses swaps when it is told to.
type swapStore struct {
	Store
	lets func() bool
}

func (s swapStore) CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	if !s.lets() {
		return false, ctx.Err()
	}
	return s.Store.CompareAndSwap(ctx, key, old, next, ttl)
}

// TestTrapSwapReportedLost checks a store whose client repeats swaps by itself:
// they are done, and reported as lost. Nothing is taken or returned twice, also
// while three others write in between.
func TestTrapSwapReportedLost(t *testing.T) {
	for others := range 4 {
		limits := []Limit{{PerHour(1), 100}}
		store := NewMemStore(nil)
		other := NewShared(store, limits, nil)
		taken := 0
		bad := &badStore{Store: store, stale: map[string][]byte{}}
		faults := 0 // one for each call of the store, a Load first
		bad.fault = func() int {
			if faults++; faults%2 == 0 {
				return 2
			}
			return 9
		}
		bad.between = func() {
			for range others {
				if faults%2 == 1 && faults > 1 {
					_, _ = other.Allow(t.Context(), "key")
					taken++
				}
			}
		}
		s := NewShared(bad, limits, nil)

		faults = 0
		ok, err := s.Allow(t.Context(), "key")
		checkErr(t, err, nil, "Allow")
		check(t, ok, true, "Allow")
		faults = 0
		if err := s.Return(t.Context(), "key", 1); err != nil {
			t.Fatalf("Return: %v", err)
		}
		d, err := other.Peek(t.Context(), "key", 0)
		checkErr(t, err, nil, "Peek after %d others", others)
		check(t, d.Remaining, 100-taken, "Remaining after %d others", others)
	}
}

// TestSharedStateLost checks the law of a store that loses its state, such as a
// Redis without a log that is restarted: one more burst for each loss.
func TestSharedStateLost(t *testing.T) {
	clock := fakeClock{1 << 60}
	start := clock.t
	const burst, losses = 50, 3
	l := Limit{PerDay(burst), burst}
	opts := &SharedOptions{Now: func(context.Context) (time.Time, error) { return clock.now(), nil }}
	admitted := 0
	for range losses + 1 {
		s := NewShared(NewMemStore(&Options{Now: clock.now}), []Limit{l}, opts)
		for range 10 * burst {
			clock.sleep(time.Second)
			ok, err := s.Allow(t.Context(), "key")
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				admitted++
			}
		}
	}

	refill := burst * int(time.Duration(clock.t-start)/time.Second) / 86400
	if most := burst*(1+losses) + refill; admitted > most || admitted < burst*(1+losses) {
		t.Errorf("%d admitted with %d losses, want %d to %d", admitted, losses, burst*(1+losses), most)
	}
}

// TestSharedReadsClockLast checks that the clock is read after the state, so
// that a reading is not older than the writes that the state holds.
func TestSharedReadsClockLast(t *testing.T) {
	loads, reads := 0, 0
	store := &badStore{Store: NewMemStore(nil), fault: func() int { return 9 }, between: func() { loads++ }}
	s := NewShared(store, []Limit{{PerSecond(1), 1}}, &SharedOptions{Now: func(context.Context) (time.Time, error) {
		if reads++; reads != loads {
			t.Errorf("reading %d comes after %d loads, want as many", reads, loads)
		}
		return time.Unix(0, 0), nil
	}})
	for range 3 {
		if _, err := s.Allow(t.Context(), "key"); err != nil {
			t.Error(err)
		}
	}
	_, err := s.Peek(t.Context(), "key", 1)
	checkErr(t, err, nil, "Peek")
	check(t, reads, 4, "readings")
}

// TestSharedReturnNothing checks that returning nothing, or to a key that is
// not held, writes nothing.
func TestSharedReturnNothing(t *testing.T) {
	swaps := 0
	s := NewShared(swapStore{NewMemStore(nil), func() bool { swaps++; return true }}, []Limit{{PerHour(1), 2}}, nil)
	checkErr(t, s.Return(t.Context(), "key", 5), nil, "Return to an absent key")
	check(t, swaps, 0, "swaps of Return to an absent key")
	if _, err := s.Take(t.Context(), "key", 1); err != nil {
		t.Fatal(err)
	}
	checkErr(t, s.Return(t.Context(), "key", 0), nil, "Return(0)")
	check(t, swaps, 1, "swaps of Take and Return(0)")
}

// A deafStore does not look at contexts.
type deafStore struct{ Store }

func (s deafStore) Load(_ context.Context, key string) ([]byte, error) {
	return s.Store.Load(context.Background(), key)
}

func (s deafStore) CompareAndSwap(_ context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	return s.Store.CompareAndSwap(context.Background(), key, old, next, ttl)
}

// TestSharedEndedContext checks that a context that has ended takes nothing,
// whatever the store makes of it.
func TestSharedEndedContext(t *testing.T) {
	s := NewShared(deafStore{NewMemStore(nil)}, []Limit{{PerHour(1), 2}}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d, err := s.Take(ctx, "key", 1)
	checkErr(t, err, context.Canceled, "Take")
	check(t, d.OK, false, "OK of Take")
	checkErr(t, s.Return(ctx, "key", 1), context.Canceled, "Return")
	d, err = s.Take(t.Context(), "key", 2)
	checkErr(t, err, nil, "Take(2)")
	check(t, d.OK, true, "OK of Take(2), after nothing was taken")
}

// TestSharedConcurrent checks that the events two processes admit at a standing
// clock under contention add up exactly.
func TestSharedConcurrent(t *testing.T) {
	store, clock := NewMemStore(nil), fakeClock{1 << 60}
	var admitted atomic.Int64
	var wg sync.WaitGroup

	for range 2 {
		s := NewShared(store, []Limit{{PerHour(1), 60}, {PerDay(1), 100}}, &SharedOptions{
			Now: func(context.Context) (time.Time, error) { return clock.now(), nil },
		})

		for range 4 {
			wg.Go(func() {
				for range 20 {
					ok, err := s.Allow(context.Background(), "key")
					if err != nil {
						t.Error(err)
					}
					if ok {
						admitted.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()

	if got := admitted.Load(); got != 60 {
		t.Errorf("%d admitted, want 60", got)
	}
}

// TestSharedPolicies checks the policies for a store that fails: closed, open,
// or local.
func TestSharedPolicies(t *testing.T) {
	bad := &badStore{Store: NewMemStore(nil), fault: func() int { return 0 }, between: func() {}}
	limits := []Limit{{PerHour(1), 2}}
	count := func(o *SharedOptions) (admitted, failed int) {
		s := NewShared(bad, limits, o)
		for range 5 {
			ok, err := s.Allow(t.Context(), "key")
			if ok {
				admitted++
			}
			if err != nil {
				failed++
			}
		}
		if d := All(s.Gate(t.Context(), "key")).Peek(1); d.OK != (admitted == 5) {
			t.Errorf("Gate.Peek = %+v", d)
		}
		return admitted, failed
	}

	expect := func(name string, o *SharedOptions, admitted, failed int) {
		t.Helper()
		a, f := count(o)
		check(t, a, admitted, "%s: admitted", name)
		check(t, f, failed, "%s: errors", name)
	}
	expect("closed", nil, 0, 5)
	var seen error
	expect("open", &SharedOptions{OnError: func(_ string, _ int, err error) Decision { seen = err; return Decision{OK: true} }}, 5, 0)
	checkErr(t, seen, errLost, "OnError")

	local := NewKeyed[string](limits, nil)
	onError := func(key string, n int, _ error) Decision { return local.Take(key, n) }
	expect("local", &SharedOptions{OnError: onError}, 2, 0)

	// A clock that fails is a store that fails.
	s := NewShared(NewMemStore(nil), limits, &SharedOptions{Now: func(context.Context) (time.Time, error) { return time.Time{}, errLost }})
	if _, err := s.Allow(t.Context(), "key"); !errors.Is(err, errLost) {
		t.Error(err)
	}

	// OnError hears nothing of a caller whose context has ended.
	ctx, cancel := context.WithCancel(t.Context())
	s = NewShared(&badStore{Store: bad, fault: bad.fault, between: cancel}, limits, &SharedOptions{OnError: func(string, int, error) Decision {
		t.Error("OnError was called")
		return Decision{}
	}})

	for range 2 { // it ends on the way, and has ended
		d, err := s.Take(ctx, "key", 1)
		check(t, err, context.Canceled, "error of Take") // as it is
		check(t, d.OK, false, "OK of Take")
	}

	if All(s.Gate(ctx, "key")).Take(1).OK {
		t.Error("a gate admits what it cannot take")
	}
}

// TestSharedLimitsChange checks that refusals do not keep the old rate in force
// after other limits were deployed.
func TestSharedLimitsChange(t *testing.T) {
	clock, store := fakeClock{1 << 60}, NewMemStore(nil)
	deploy := func(limits ...Limit) *Shared {
		return NewShared(store, limits, &SharedOptions{Now: func(context.Context) (time.Time, error) { return clock.now(), nil }})
	}

	take := func(s *Shared, n int) Decision {
		t.Helper()
		d, err := s.Take(t.Context(), "key", n)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	take(deploy(Limit{PerHour(1), 10}), 10)
	fast := deploy(Limit{PerSecond(1), 10})
	check(t, take(fast, 1).RetryAfter, time.Second, "RetryAfter at the new rate")
	clock.t += int64(time.Second)
	if d := take(fast, 1); !d.OK {
		t.Errorf("after RetryAfter: %+v", d)
	}

	two := deploy(Limit{PerSecond(1), 10}, Limit{PerDay(1), 3}) // a second limit begins full
	clock.t += int64(time.Minute)
	d := take(two, 3)
	check(t, d.OK, true, "OK by two limits")
	check(t, d.Tier, 1, "Tier by two limits")
	check(t, d.Remaining, 0, "Remaining by two limits")

	d = take(fast, 7) // by a process that knows of one
	check(t, d.OK, true, "OK by one limit")
	check(t, d.Remaining, 0, "Remaining by one limit")

	if d := take(deploy(Limit{Rate: Inf}), math.MaxInt); !d.OK {
		t.Errorf("%+v", d)
	}

	// A refusal that writes new limits down takes nothing.
	a, b := deploy(Limit{PerDay(1), 20}, Limit{PerDay(1), 20}), deploy(Limit{PerDay(1), 15}, Limit{PerDay(1), 5})
	take(a, 5)
	before := take(a, 0).Remaining
	d = take(b, 3)
	check(t, d.OK, false, "OK of a limit of 5")
	check(t, d.Tier, 1, "Tier of a limit of 5")

	if d := take(a, 0); d.Remaining != before {
		t.Errorf("%+v, want %d as before", d, before)
	}

	if got, want := deploy(Limit{Rate: PerMinute(7)}).Limits(), []Limit{{PerMinute(7), 7}}; !slices.Equal(got, want) {
		t.Errorf("Limits = %v, want %v", got, want)
	}
}

// FuzzDecodeBuckets checks that no bytes in the store panic or admit more than
// a burst, and that a state which is read is written alike.
func FuzzDecodeBuckets(f *testing.F) {
	limits := []Limit{{PerSecond(3), 5}, {Rate: Inf}}

	for _, l := range append(limits, Limit{Burst: 1}, Limit{perSecond(1e12), mostBurst}) {
		b := buckets{n: 1, limits: [maxTiers]Limit{l}}
		f.Add(b.encode(), int64(1<<60), 1)
	}
	f.Fuzz(func(t *testing.T, data []byte, now int64, n int) {
		b, err := decodeBuckets(data)
		if err != nil {
			return
		}

		if b.n > 0 && !bytes.Equal(b.encode(), data) {
			t.Fatalf("%x is written as %x", data, b.encode())
		}

		d, _ := b.takeAll(limits, now, max(n, 0))
		if d.OK && n > 5 {
			t.Fatalf("%d of 5 were admitted: %+v", n, d)
		}
		b.give(limits, now, max(n, 0))
		if ttl := b.ttl(now); ttl < 0 {
			t.Fatalf("ttl %v, want at least 0", ttl)
		}

		if _, err := decodeBuckets(b.encode()); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}

// A ttlStore remembers how long it was to keep the last state.
type ttlStore struct {
	Store
	ttl time.Duration
}

func (s *ttlStore) CompareAndSwap(ctx context.Context, key string, old, next []byte, ttl time.Duration) (bool, error) {
	s.ttl = ttl
	return s.Store.CompareAndSwap(ctx, key, old, next, ttl)
}

// TestSharedTTL checks that the store keeps a state until its bucket is full
// and a minute longer, or forever if that never comes or is too far.
func TestSharedTTL(t *testing.T) {
	now := func(context.Context) (time.Time, error) { return time.Unix(0, 0), nil }
	for l, want := range map[Limit]time.Duration{
		{PerSecond(1), 2}:                      time.Second + ttlSlack,
		{Rate{}, 2}:                            0,
		{Every(math.MaxInt64 - ttlSlack/2), 2}: 0,
	} {
		store := &ttlStore{Store: NewMemStore(nil)}
		_, err := NewShared(store, []Limit{l}, &SharedOptions{Now: now}).Take(t.Context(), "key", 1)
		checkErr(t, err, nil, "%v: Take", l)
		check(t, store.ttl, want, "%v: ttl", l)
	}
}

// TestMemStore checks the contract of a Store: compare, swap, forget.
func TestMemStore(t *testing.T) {
	var clock fakeClock
	store := NewMemStore(&Options{Now: clock.now})
	ctx := t.Context()
	swap := func(key, old, next string, ttl time.Duration, want bool) {
		t.Helper()
		ok, err := store.CompareAndSwap(ctx, key, []byte(old), []byte(next), ttl)
		checkErr(t, err, nil, "swap of %q for %q", old, next)
		check(t, ok, want, "swap of %q for %q", old, next)
	}

	load := func(key, want string) {
		t.Helper()
		got, err := store.Load(ctx, key)
		checkErr(t, err, nil, "Load(%s)", key)
		check(t, string(got), want, "Load(%s)", key)
		check(t, got == nil, want == "", "Load(%s) is nil", key)
	}
	swap("a", "x", "y", time.Second, false)
	load("a", "")
	swap("a", "", "1", time.Second, true)
	swap("a", "", "2", time.Second, false)
	load("a", "1")
	swap("a", "1", "2", time.Second, true)
	swap("b", "", "3", 0, true)
	got, _ := store.Load(ctx, "a")
	got[0] = 'X' // the caller's own
	clock.t = int64(time.Second) - 1
	load("a", "2")
	clock.t++
	load("a", "")
	load("b", "3")
	swap("a", "2", "4", time.Second, false)
	swap("a", "", "4", time.Second, true)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := store.Load(ended, "a")
	checkErr(t, err, context.Canceled, "Load")
	ok, err := store.CompareAndSwap(ended, "a", []byte("4"), nil, 0)
	checkErr(t, err, context.Canceled, "CompareAndSwap")
	check(t, ok, false, "CompareAndSwap")

	// Memory follows the keys in use.
	m := store.(*memStore)

	for i := range 10_000 {
		clock.t += int64(time.Millisecond)
		swap(fmt.Sprint(i), "", "v", 100*time.Millisecond, true)
		if len(m.entries) > 2*102+1 {
			t.Fatalf("%d entries with about 102 in use", len(m.entries))
		}
	}
}

// TestSharedGate checks that the tokens of a Shared are returned when a later
// gate refuses.
func TestSharedGate(t *testing.T) {
	s := NewShared(NewMemStore(nil), []Limit{{PerHour(1), 5}}, nil)
	closed := New(Rate{}, 1, nil)
	for range 3 {
		d := All(s.Gate(t.Context(), "key"), closed).Take(2)
		check(t, d.OK, false, "OK")
		check(t, d.Gate, 1, "gate of the refusal")
	}
	d, err := s.Peek(t.Context(), "key", 0)
	checkErr(t, err, nil, "Peek")
	check(t, d.Remaining, 5, "Remaining")
}

// TestStepForged checks that a state of any bytes denies or allows by the
// rules: spending beyond all bounds is not taken for none.
func TestStepForged(t *testing.T) {
	l := Limit{PerSecond(1), 1}
	now := int64(time.Hour)
	forged := State{Base: now + int64(time.Minute), Spent: math.MaxInt64}
	_, d := l.Step(forged, now, 1)
	checkLater(t, d, "Step")
}

// TestStepFar checks that a reading or a base more than 146 years away counts
// as one of 146 years, from which a bucket tells a wait and no overflow.
func TestStepFar(t *testing.T) {
	for _, l := range []Limit{{PerSecond(1), 3}, {perSecond(1e12), 3}, {Rate{}, 3}, {Inf, 3}} {
		for _, base := range []int64{math.MinInt64, -maxReading, 0, maxReading, math.MaxInt64} {
			s := State{Base: base, Spent: 2}
			near := State{Base: min(max(base, -maxReading), maxReading), Spent: 2}
			for _, far := range []int64{math.MinInt64, math.MaxInt64} {
				now := min(max(far, -maxReading), maxReading)
				next, d := l.Step(s, far, 1)
				want, wantD := l.Step(near, now, 1)
				check(t, d, wantD, "%v: decision at %d from %d", l, far, base)
				if d.OK {
					check(t, next, want, "%v: state at %d from %d", l, far, base)
				}
				check(t, Limit{PerHour(5), 2}.Adopt(s, l, far), Limit{PerHour(5), 2}.Adopt(near, l, now), "%v: Adopt at %d from %d", l, far, base)
			}
		}
	}
}

// TestTakeNothing checks that a request for no tokens writes nothing.
func TestTakeNothing(t *testing.T) {
	store := &countedStore{Store: NewMemStore(nil)}
	s := NewShared(store, []Limit{{PerHour(1), 1}}, nil)
	for _, n := range []int{0, 1, 0} {
		d, err := s.Take(t.Context(), "key", n)
		checkErr(t, err, nil, "Take(%d)", n)
		check(t, d.OK, true, "OK of Take(%d)", n)
	}
	if got := store.writes; got != 1 {
		t.Errorf("%d writes, want 1", got)
	}
}

// A countedStore is a Store that counts writes.
type countedStore struct {
	Store

	writes int
}

func (c *countedStore) CompareAndSwap(
	ctx context.Context, key string, old, next []byte, ttl time.Duration,
) (bool, error) {
	c.writes++
	return c.Store.CompareAndSwap(ctx, key, old, next, ttl)
}

// TestSharedTTLOfFull checks that a state that is full again is kept for the
// clocks that are behind, and not forever.
func TestSharedTTLOfFull(t *testing.T) {
	store := &ttlStore{Store: NewMemStore(nil)}
	s := NewShared(store, []Limit{{PerHour(1), 2}, {Rate: Inf}}, nil)
	_, err := s.Take(t.Context(), "key", 1)
	checkErr(t, err, nil, "Take")
	checkErr(t, s.Return(t.Context(), "key", 1), nil, "Return")
	check(t, store.ttl, ttlSlack, "ttl")
}

// TestSharedWaitErrors checks that a wait ends with the error of its store.
func TestSharedWaitErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &badStore{Store: NewMemStore(nil), fault: func() int { return 0 }, between: func() {}}
		s := NewShared(bad, []Limit{{PerHour(1), 1}}, nil)
		start := time.Now()
		checkErr(t, s.Wait(t.Context(), "key", 1), errLost, "Wait")
		check(t, time.Since(start), 0, "time of Wait")
	})
}

// TestMemStoreKeeps checks that a sweep forgets no key that is in use.
func TestMemStoreKeeps(t *testing.T) {
	var clock fakeClock
	store := NewMemStore(&Options{Now: clock.now})
	for i := range 3 * minSweep {
		_, err := store.CompareAndSwap(t.Context(), fmt.Sprint(i), nil, []byte("x"), 1+time.Duration(i%2)*time.Hour)
		checkErr(t, err, nil, "CompareAndSwap")
		clock.sleep(1)
	}
	for i := range 3 * minSweep {
		state, err := store.Load(t.Context(), fmt.Sprint(i))
		checkErr(t, err, nil, "Load")
		check(t, len(state), i%2, "bytes of key %d", i)
	}
}

// TestSharedWaitRefusedByPolicy checks that a refusal of OnError, which says
// nothing of the tokens, makes a caller that waits ask again.
func TestSharedWaitRefusedByPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := []int{0, 0, 0} // the store fails three times
		bad := &badStore{Store: NewMemStore(nil), between: func() {}, fault: func() int {
			if len(faults) == 0 {
				return 9
			}
			faults = faults[1:]
			return 0
		}}
		s := NewShared(bad, []Limit{{PerHour(1), 1}}, &SharedOptions{
			OnError: func(string, int, error) Decision { return Decision{} },
		})
		checkErr(t, s.Wait(t.Context(), "key", 1), nil, "Wait")
		check(t, s.Stats().Failed, 3, "Failed")
	})
}

// TestSharedStuckInARow checks that only refusals in a row that replace the
// same bytes make a store one that is stuck.
func TestSharedStuckInARow(t *testing.T) {
	for refusals, want := range map[int]error{maxStuck: nil, maxStuck + 1: errStuck} {
		synctest.Test(t, func(t *testing.T) {
			limits := []Limit{{PerHour(1), 100}}
			store := NewMemStore(nil)
			other := NewShared(store, limits, nil)
			swaps := 0
			s := NewShared(swapStore{store, func() bool {
				// Another process writes before the second row of refusals.
				if swaps++; swaps == 5 {
					_, _ = other.Allow(t.Context(), "key")
				}
				return swaps > 5+refusals-1
			}}, limits, &SharedOptions{Timeout: -1})
			_, err := s.Allow(t.Context(), "key")
			checkErr(t, err, want, "Allow after %d refusals in a row", refusals)
		})
	}
}

// TestSharedBadCount checks that a negative count panics, whatever the context.
func TestSharedBadCount(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := NewShared(NewMemStore(nil), []Limit{{PerHour(1), 1}}, nil)
	mustPanic(t, "must not be negative, got -1", func() { _, _ = s.Take(ctx, "key", -1) })
	mustPanic(t, "must not be negative, got -1", func() { _, _ = s.Peek(ctx, "key", -1) })
	mustPanic(t, "must not be negative, got -1", func() { _ = s.Return(ctx, "key", -1) })
	mustPanic(t, "must not be negative, got -1", func() { _ = s.Wait(ctx, "key", -1) })
}
