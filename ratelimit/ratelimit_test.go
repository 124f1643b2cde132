// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestVectors checks the examples that are published.
func TestVectors(t *testing.T) {
	var clock fakeClock

	// The table of doc.go: 100 a minute with a burst of 100 admits 200 in the
	// first minute.
	lim := New(PerMinute(100), 100, &Options{Now: clock.now})
	admitted := 0

	for ; clock.t < int64(time.Minute); clock.t += int64(100 * time.Millisecond) {
		admitted += lim.TakeUpTo(math.MaxInt)
	}

	if admitted != 199 { // the 200th comes at 60 s
		t.Errorf("the first minute admits %d, want 199 before its end", admitted)
	}

	// boulder's README: 20 a second, burst 20: after one request 19 are left,
	// reset in 50 ms.
	lim = New(PerSecond(20), 20, &Options{Now: clock.now})
	check(t, lim.Take(1), Decision{OK: true, Limit: 20, Remaining: 19, ResetAfter: 50 * time.Millisecond, Window: time.Second}, "Take(1)")

	// sethvargo/go-limiter#29: 65535 a second, a second later: 65535.
	lim = New(PerSecond(65535), 65535, &Options{Now: clock.now})
	lim.Drain()
	clock.t += int64(time.Second)
	if got := lim.TakeUpTo(1e9); got != 65535 && got != 65534 { // within 2 ns
		t.Errorf("%d after a second", got)
	}
}

// TestI371 checks that the limiter is both forms of the algorithm of ITU-T
// I.371, virtual scheduling and the continuous-state leaky bucket, whose
// decisions are the same.
func TestI371(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var clock fakeClock
	const increment, burst = 1000, 5 // T, and tau = (burst-1)·T
	lim := New(Every(increment), burst, &Options{Now: clock.now})
	tat, level, last := int64(0), int64(0), int64(0)

	for range 10_000 {
		clock.t += rng.Int64N(2 * increment)

		// Virtual scheduling: early by more than tau is non-conforming.
		scheduled := clock.t >= tat-(burst-1)*increment
		if scheduled {
			tat = max(clock.t, tat) + increment
		}

		// Leaky bucket: drained by one a nanosecond, it conforms up to tau.
		drained := max(level-(clock.t-last), 0)
		leaky := drained <= (burst-1)*increment
		if leaky {
			level, last = drained+increment, clock.t
		}

		got := lim.Allow()
		check(t, got, scheduled, "at %d: Allow by virtual scheduling", clock.t)
		check(t, got, leaky, "at %d: Allow by the leaky bucket", clock.t)
	}
}

// TestPriorityReserve checks that TakeReserving leaves the reserve to AllowN.
func TestPriorityReserve(t *testing.T) {
	var clock fakeClock
	lim := New(PerSecond(1), 10, &Options{Now: clock.now})
	low := 0
	for lim.TakeReserving(1, 3) {
		low++
	}
	check(t, low, 7, "events of low priority")
	check(t, lim.AllowN(3), true, "AllowN(3)")
	check(t, lim.Allow(), false, "Allow of an empty bucket")
}

// TestParseLimit checks the texts that are limits, how they are written back,
// and those that are errors.
func TestParseLimit(t *testing.T) {
	for _, tt := range []struct {
		text, canon string
		want        Limit
	}{
		{"100/s", "100/s", Limit{Rate: PerSecond(100)}},
		{" 1000/h  burst  50 ", "1000/h burst 50", Limit{PerHour(1000), 50}},
		{"1/1m30s", "1/1m30s", Limit{Rate: Every(90 * time.Second)}},
		{"5/60s", "5/m", Limit{Rate: PerMinute(5)}},
		{"2/24h", "2/d", Limit{Rate: PerDay(2)}},
		{"0/s burst 3", "0/s burst 3", Limit{PerSecond(0), 3}},
		{"1000/ns", "1000/ns", Limit{Rate: Per(1000, 1)}},
		{"inf", "inf", Limit{Rate: Inf}},
		{"100/min", "100/m", Limit{Rate: PerMinute(100)}},
		{"100/minute", "100/m", Limit{Rate: PerMinute(100)}},
		{"7/sec", "7/s", Limit{Rate: PerSecond(7)}},
		{"7/second", "7/s", Limit{Rate: PerSecond(7)}},
		{"9/hour", "9/h", Limit{Rate: PerHour(9)}},
		{"9/day", "9/d", Limit{Rate: PerDay(9)}},
		{"100 per minute", "100/m", Limit{Rate: PerMinute(100)}},
		{"100 / s , burst 50", "100/s burst 50", Limit{PerSecond(100), 50}},
		{"100/s, burst 50", "100/s burst 50", Limit{PerSecond(100), 50}},
		{"100 per hour,burst 5", "100/h burst 5", Limit{PerHour(100), 5}},
		{"0/s", "0/s", Limit{Rate: PerSecond(0)}},
	} {
		got, err := ParseLimit(tt.text)
		checkErr(t, err, nil, "ParseLimit(%q)", tt.text)
		check(t, got, tt.want, "ParseLimit(%q)", tt.text)
		check(t, got.String(), tt.canon, "String of %q", tt.text)
	}

	for _, bad := range []string{
		"", "100", "/s", "100/", "-1/s", "1/0s", "1/-1s", "1.5/s", "1001/ns", "x/s", "1/week", "per minute", "1 per", "1perminute", "1/sburst 5", "burst 5", "1/s,, burst 5", "1/s,", "1/s burst", "1/s burst 0",
		"1/s burst -1", "1/s 5", "1/s burst 5 6", "9223372036854775808/s", "inf burst 3", "1/s burst 2305843009213693953", "INF",
	} {
		got, err := ParseLimit(bad)
		check(t, got, Limit{}, "ParseLimit(%q)", bad)
		if prefix := "ratelimit: parse limit "; err == nil || !strings.HasPrefix(err.Error(), prefix) {
			t.Errorf("ParseLimit(%q): err = %v, want %s...", bad, err, prefix)
		}

		l := Limit{PerSecond(7), 7}
		if err := l.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("UnmarshalText(%q): err = nil, want an error", bad)
		}
		check(t, l, Limit{PerSecond(7), 7}, "limit after UnmarshalText(%q)", bad)
	}

	var _ encoding.TextUnmarshaler = (*Limit)(nil)
	if got := (Rate{}).String(); got != "0/s" {
		t.Errorf("the zero rate is %q", got)
	}
}

// FuzzParseLimit checks that text never panics, and that a limit which was read
// is written and read alike and makes a limiter.
func FuzzParseLimit(f *testing.F) {
	for _, s := range []string{"100/s", "1000/h burst 50", "1/1m30s", "inf", "9/ns burst 2305843009213693951"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLimit(s)
		if err != nil {
			return
		}
		text, _ := l.MarshalText()
		var again Limit
		checkErr(t, again.UnmarshalText(text), nil, "UnmarshalText(%q)", text)
		check(t, again, l, "limit of %q, written %q", s, text)
		NewKeyed[int]([]Limit{l}, nil).Allow(1)
	})
}

// TestHeaders checks the fields of single policies: rounding, quotas of whole
// seconds, limits that never come back, and names that need quoting.
func TestHeaders(t *testing.T) {
	for _, tt := range []struct {
		d    Decision
		want []string
	}{
		{Decision{OK: true, Limit: 100, Remaining: 50, ResetAfter: 29*time.Second + 1, Window: time.Minute}, []string{
			`RateLimit-Policy: "my \"api\"";q=100;w=60`, `RateLimit: "my \"api\"";r=50;t=30`,
		}},
		{Decision{Limit: 100, RetryAfter: 1, ResetAfter: time.Minute, Window: time.Minute}, []string{
			`RateLimit-Policy: "my \"api\"";q=100;w=60`, `RateLimit: "my \"api\"";r=0;t=60`, "Retry-After: 1",
		}},
		{Decision{Limit: math.MaxInt, RetryAfter: -1, ResetAfter: -1, Window: -1}, []string{
			`RateLimit-Policy: "my \"api\"";q=` + structured(math.MaxInt), `RateLimit: "my \"api\"";r=0`,
		}},
		{Decision{OK: true, Limit: math.MaxInt, Window: math.MaxInt64}, []string{
			`RateLimit-Policy: "my \"api\"";q=` + structured(math.MaxInt) + ";w=9223372037", `RateLimit: "my \"api\"";r=0;t=0`,
		}},
	} {

		var got []string
		for field, value := range tt.d.Headers(`my "api"`) {
			got = append(got, field+": "+value)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %q, want %q", tt.d, got, tt.want)
		}
		for range tt.d.Headers("x") {
			break // must not go on
		}
	}
}

// TestHeadersOfLimits checks that each kind of limit knows its window, in whole
// seconds: 100 a second with a burst of 20 is not told as 20 a second.
func TestHeadersOfLimits(t *testing.T) {
	for _, tt := range []struct {
		g    Gate
		want string
	}{
		{New(PerSecond(100), 20, nil), `"";q=100;w=1`},
		{New(PerMinute(100), 20, nil), `"";q=20;w=12`},
		{New(PerSecond(3), 10, nil), `"";q=12;w=4`},
		{New(Rate{}, 5, nil), `"";q=5`},
		{New(PerSecond(5), 0, nil), `"";q=0`},
		{NewSlidingLog(7, time.Minute, nil), `"";q=7;w=60`},
		{NewSlidingWindow(7, time.Minute, 6, nil), `"";q=7;w=60`},
		{NewFixedWindow(7, time.Hour, nil), `"";q=7;w=3600`},
		{NewQuota(7, Weekly(nil), nil), `"";q=7;w=604800`},
		{NewKeyed[int]([]Limit{{PerMinute(60), 5}}, nil).Gate(1), `"";q=5;w=5`},
		{NewKeyedQuota[int](7, Monthly(nil), nil).Gate(1), `"";q=7;w=2592000`},
		{NewStriped(PerSecond(1000), 2000, nil), `"";q=2000;w=2`},
		{NewShared(NewMemStore(nil), []Limit{{PerMinute(60), 5}}, nil).Gate(t.Context(), "key"), `"";q=5;w=5`},
	} {
		for field, got := range tt.g.Take(0).Headers("") {
			if field == "RateLimit-Policy" && got != tt.want {
				t.Errorf("%T: policy %s, want %s", tt.g, got, tt.want)
			}
		}
	}
}

// TestHeadersOfSeveral checks that policies are joined, and that the longest
// Retry-After wins.
func TestHeadersOfSeveral(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerSecond(2), 2}, {PerHour(6), 6}}, &KeyedOptions{Now: clock.now})
	k.AllowN(1, 2)
	tiers := k.Tiers(1)
	refused := Decision{Limit: 1, RetryAfter: 9 * time.Second, ResetAfter: 9 * time.Second, Window: 9 * time.Second}
	longer := Decision{Limit: 1, RetryAfter: 10 * time.Second, ResetAfter: 10 * time.Second, Window: 10 * time.Second}

	sooner := Decision{Limit: 1, RetryAfter: 8 * time.Second, ResetAfter: 8 * time.Second, Window: 8 * time.Second}
	got := maps.Collect(tiers[0].Headers("x", refused.Headers("y"), sooner.Headers("z")))
	check(t, got["Retry-After"], "9", "Retry-After of 9 s and 8 s")

	got = maps.Collect(tiers[0].Headers("s", tiers[1].Headers("h"), longer.Headers("x", refused.Headers("y"))))
	want := map[string]string{
		"RateLimit-Policy": `"s";q=2;w=1, "h";q=6;w=3600, "x";q=1;w=10, "y";q=1;w=9`,
		"RateLimit":        `"s";r=0;t=1, "h";r=4;t=1200, "x";r=0;t=10, "y";r=0;t=9`,
		"Retry-After":      "10",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestLimitAccessors checks that a limit that was read from text tells its
// figures, default burst included.
func TestLimitAccessors(t *testing.T) {
	for _, tt := range []struct {
		text     string
		count    int64
		period   time.Duration
		capacity int
		window   time.Duration
	}{
		{"100/s", 100, time.Second, 100, time.Second},
		{"100/m burst 20", 100, time.Minute, 20, 12 * time.Second},
		{"5/s burst 1", 5, time.Second, 1, time.Second / 5},
		{"3/s burst 10", 3, time.Second, 10, 3333333334},
		{"0/s burst 3", 0, time.Second, 3, -1},
		{"0/s", 0, time.Second, 0, -1},
		{"inf", math.MaxInt64, 0, math.MaxInt, 0},
		{"1/200000h burst 2000000000", 1, 200000 * time.Hour, 2e9, math.MaxInt64},
	} {
		l, err := ParseLimit(tt.text)
		if err != nil {
			t.Fatal(err)
		}

		check(t, l.Rate.Count(), tt.count, "%s: Count", tt.text)
		check(t, l.Rate.Period(), tt.period, "%s: Period", tt.text)
		check(t, l.Capacity(), tt.capacity, "%s: Capacity", tt.text)
		check(t, l.Window(), tt.window, "%s: Window", tt.text)
	}
}

// TestPropStep checks that the pure function decides as a Limiter does, and
// that states are safe whatever they hold.
func TestPropStep(t *testing.T) { rapid.Check(t, propStep) }

// FuzzPropStep is TestPropStep for the fuzzer.
func FuzzPropStep(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propStep)) }

func propStep(t *rapid.T) {
	var clock fakeClock
	clock.t = rapid.Int64Range(0, 1<<61).Draw(t, "start")
	l := drawLimit(t, "limit")
	lim := New(l.Rate, l.Burst, &Options{Now: clock.now})
	s := State{Base: clock.t, Spent: full} // as New does, so that both round alike

	for range rapid.IntRange(1, 20).Draw(t, "steps") {
		clock.t += rapid.OneOf(rapid.Int64Range(-5, 1e10), rapid.Int64Range(0, 1<<55)).Draw(t, "dt")
		n := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, math.MaxInt)).Draw(t, "n")
		if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
			to := drawLimit(t, "limit")
			s, l = to.Adopt(s, l, clock.t), to
			lim.SetLimit(l.Rate, l.Burst)
		}

		next, got := l.Step(s, clock.t, n)
		if want := lim.Take(n); got != want {
			t.Fatalf("Step(%+v, %d, %d) of %v = %+v, Take = %+v", s, clock.t, n, l, got, want)
		}

		if !got.OK && next != s {
			t.Fatalf("a refusal changed %+v to %+v", s, next)
		}

		s = next
	}

	// The zero State is a full bucket, before and after a change of limit.
	if _, d := l.Step(l.Adopt(State{}, l, clock.t), clock.t, l.Burst); !d.OK {
		t.Fatalf("a new key of %v denied: %+v", l, d)
	}

	// A state from elsewhere may hold anything.
	l.Step(State{rapid.Int64().Draw(t, "base"), rapid.Int64().Draw(t, "spent")}, rapid.Int64().Draw(t, "now"), 1)
}

// TestAllGates checks that All takes from all gates or from none, and describes
// the tightest.
func TestAllGates(t *testing.T) {
	var clock fakeClock
	global := New(PerSecond(100), 5, &Options{Now: clock.now})
	users := NewKeyed[string]([]Limit{{PerSecond(1), 2}}, &KeyedOptions{Now: clock.now})
	alice := All(users.Gate("alice"), global)

	for i, want := range []Decision{
		{OK: true, Limit: 2, Remaining: 1, ResetAfter: time.Second, Window: 2 * time.Second},
		{OK: true, Limit: 2, Remaining: 0, ResetAfter: 2 * time.Second, Window: 2 * time.Second},
		{OK: false, Limit: 2, Remaining: 0, ResetAfter: 2 * time.Second, RetryAfter: time.Second, Window: 2 * time.Second},
	} {
		if peek := alice.Peek(1); peek.OK != want.OK {
			t.Errorf("%d: Peek %+v", i, peek)
		}

		if got := alice.Take(1); got != want {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	alice.Return(2)
	if got := global.Peek(0).Remaining; got != 5 {
		t.Errorf("global has %d left, want 5", got)
	}
	global.Drain()
	users.Drain("alice")
	d := alice.Take(1)
	check(t, d.OK, false, "OK of two empty buckets")
	check(t, d.Tier, 0, "Tier")
	check(t, d.RetryAfter, time.Second, "RetryAfter")

	if d := All().Peek(1); !d.OK {
		t.Errorf("All().Peek(1) = %+v, want OK", d)
	}
	if d := All().Take(1); !d.OK {
		t.Errorf("nothing refuses nothing: %+v", d)
	}

	if errors.Is(ErrBurst, ErrLimited) {
		t.Error("the sentinels are one")
	}
}

// TestZeroMethods checks that every method of a zero value panics with the name
// of its constructor, but for those that return counters and what they were
// given.
func TestZeroMethods(t *testing.T) {
	fine := []string{
		"Shared.Limits", "Shared.Stats", "Keyed[int].Gate", "KeyedWindow[int].Gate", "Shared.Gate",
		"Window.Stats", "Striped.Stats", "Keyed[int].All", "Concurrency.Limit", "Concurrency.InFlight", "Concurrency.Queued", "Concurrency.Stats",
	}
	for _, v := range []any{
		new(Limiter), new(Keyed[int]), new(Window), new(KeyedWindow[int]), new(Striped), new(Concurrency), new(Shared),
	} {
		kind := reflect.TypeOf(v)
		name := kind.Elem().Name()
		for i := range kind.NumMethod() {
			m := kind.Method(i)
			of := reflect.New(kind.Elem())
			full := name + "." + m.Name
			if slices.Contains(fine, full) {
				continue
			}

			// Arguments that are fine.
			args := []reflect.Value{}
			for j := 1; j < m.Type.NumIn(); j++ {
				in := m.Type.In(j)
				arg := reflect.New(in).Elem()
				switch in {
				case reflect.TypeFor[context.Context]():
					arg.Set(reflect.ValueOf(context.Background()))
				case reflect.TypeFor[int]():
					arg.SetInt(minStriped)
				case reflect.TypeFor[Store]():
					arg.Set(reflect.ValueOf(NewMemStore(nil)))
				case reflect.TypeFor[io.Reader](), reflect.TypeFor[io.Writer]():
					arg.Set(reflect.ValueOf(&bytes.Buffer{}))
				case reflect.TypeFor[[]Limit]():
					arg.Set(reflect.ValueOf([]Limit{{PerHour(1), 1}}))
				}
				args = append(args, arg)
			}

			func() {
				defer func() {
					short, _, _ := strings.Cut(name, "[")
					if got := recover(); !strings.Contains(fmt.Sprint(got), "ratelimit: zero "+short+": use New") {
						t.Errorf("zero %s: panic = %v, want the name of its constructor", full, got)
					}
				}()
				call := of.Method(i).Call
				if m.Type.IsVariadic() {
					call = of.Method(i).CallSlice
				}
				call(args)
			}()
		}
	}
}

// TestCountersOfNothing checks that requests for nothing and Peek count as
// neither allowed nor denied, and what counts as what.
func TestCountersOfNothing(t *testing.T) {
	w := NewSlidingLog(2, time.Hour, nil)
	for _, n := range []int{0, 1, 0, 1, 1, 0} {
		w.Peek(n)
		w.Take(n)
	}
	check(t, w.Stats(), WindowStats{Limit: 2, Allowed: 2, Denied: 1}, "Stats of a Window")
	k := NewKeyedSlidingLog[int](2, time.Hour, nil)
	for _, n := range []int{0, 1, 0, 1, 1, 0} {
		k.Peek(1, n)
		k.Take(1, n)
	}
	check(t, k.Stats(), KeyedStats{Keys: 1, Allowed: 2, Denied: 1}, "Stats of a KeyedWindow")

	fault := 9
	bad := &badStore{Store: NewMemStore(nil), fault: func() int { return fault }, between: func() {}}
	s := NewShared(bad, []Limit{{PerHour(1), 2}}, nil)
	for _, n := range []int{0, 1, 0, 1, 1, 0} {
		_, err := s.Peek(t.Context(), "key", n)
		checkErr(t, err, nil, "Peek(%d)", n)
		_, err = s.Take(t.Context(), "key", n)
		checkErr(t, err, nil, "Take(%d)", n)
	}
	fault = 0
	for range 4 {
		_, err := s.Allow(t.Context(), "key")
		checkErr(t, err, errLost, "Allow of a store that fails")
	}
	check(t, s.Stats(), SharedStats{Allowed: 2, Denied: 1, Failed: 4}, "Stats of a Shared")
}

// TestFrozenBucket checks that calls which meet a bucket that SetLimit is about
// to replace wait for the next one.
func TestFrozenBucket(t *testing.T) {
	for name, f := range map[string]func(*Limiter) int{
		"TakeUpTo": func(l *Limiter) int { return l.TakeUpTo(3) },
		"Charge":   func(l *Limiter) int { l.Charge(3); return 3 },
		"AllowN":   func(l *Limiter) int { return 3 * b2i(l.AllowN(3)) },
		"Take":     func(l *Limiter) int { return 3 * b2i(l.Take(3).OK) },
	} {
		asked := make(chan struct{}, 10)
		var clock fakeClock
		lim := New(PerHour(1), 10, &Options{Now: func() time.Time {
			asked <- struct{}{}
			return clock.now()
		}})
		<-asked
		lim.mu.Lock()
		b := lim.bucket.Load()
		spent := b.spent.Swap(frozen)
		got := make(chan int)
		go func() { got <- f(lim) }() // ends when the bucket is back
		<-asked
		for range 1000 {
			runtime.Gosched()
		}
		select {
		case n := <-got:
			t.Errorf("%s: %d from a frozen bucket, want none before the next", name, n)
			lim.mu.Unlock()
			continue
		default:
		}

		b.spent.Store(spent)
		lim.mu.Unlock()
		check(t, <-got, 3, "%s: tokens", name)
		check(t, lim.Peek(0).Remaining, 7, "%s: Remaining", name)
	}
}

// TestRetryAtOnce checks that a refusal which ends at once is told to a client.
func TestRetryAtOnce(t *testing.T) {
	got := maps.Collect(Decision{Limit: 1}.Headers("p"))
	check(t, got["Retry-After"], "0", "Retry-After")
}
