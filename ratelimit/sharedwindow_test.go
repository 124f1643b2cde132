// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// sharedAt returns options whose clock is that of c.
func sharedAt(c *fakeClock) *SharedOptions {
	return &SharedOptions{Now: func(context.Context) (time.Time, error) { return c.now(), nil }}
}

// drawWindow draws a window of any kind, with slices of at least unit.
func drawWindow(t *rapid.T, n int, unit time.Duration) (kind string, w *Window) {
	length := unit * time.Duration(rapid.IntRange(1, 60).Draw(t, "length"))
	parts := rapid.IntRange(1, int(length/unit)).Draw(t, "slices")
	switch kind = rapid.SampledFrom([]string{"log", "sliding", "weighted", "fixed", "quota"}).Draw(t, "kind"); kind {
	case "log":
		w = NewSlidingLog(n, length, nil)
	case "sliding":
		w = NewSlidingWindow(n, length, parts, nil)
	case "weighted":
		w = NewSlidingWindow(n, length, Weighted, nil)
	case "fixed":
		w = NewFixedWindow(n, length, nil)
	case "quota":
		w = NewQuota(n, Daily(time.FixedZone("", 5000)), nil)
	}
	return kind, w
}

// ofEpoch returns a Window of the rule of w that reads now, and counts by the
// windows of a Shared.
func ofEpoch(w *Window, now func() time.Time) *Window {
	return newWindow(int(w.state.n), w.state.length, clock{now, epoch.base}, w.state.counter.another(epoch.base))
}

// TestPropSharedWindow checks that a shared window over a store that works
// decides for each key as a Window of its own does, in every field.
func TestPropSharedWindow(t *testing.T) { rapid.Check(t, propSharedWindow) }

// FuzzPropSharedWindow is TestPropSharedWindow for the fuzzer.
func FuzzPropSharedWindow(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propSharedWindow)) }

func propSharedWindow(t *rapid.T) {
	clock := fakeClock{1 << 60}
	n := rapid.IntRange(1, 6).Draw(t, "n")
	kind, w := drawWindow(t, n, 1)
	most := int64(80)
	if kind == "quota" {
		most = int64(30 * time.Hour)
	}
	s := w.Share(NewMemStore(&Options{Now: clock.now}), sharedAt(&clock))
	models := map[string]*Window{}
	for _, key := range []string{"a", "b"} {
		models[key] = ofEpoch(w, clock.now)
	}
	ctx := context.Background()

	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		clock.t += rapid.OneOf(rapid.Int64Range(0, most/4), rapid.Int64Range(0, most), rapid.Just(int64(2*ttlSlack))).Draw(t, "dt")
		key := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
		k := rapid.IntRange(0, n+1).Draw(t, "k")
		model := models[key]
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			checkErr(t, s.Return(ctx, key, k), nil, "Return(%q, %d)", key, k)
			model.Return(k)
		case 1:
			check(t, All(s.Gate(ctx, key)).Take(k), model.Take(k), "Gate(%q).Take(%d)", key, k)
		case 2:
			closed := New(Rate{}, 0, nil)
			got, want := All(s.Gate(ctx, key), closed).Take(max(k, 1)), All(model, closed).Take(max(k, 1))
			check(t, got, want, "%s: All with a closed gate", kind)
		default:
			peek, err := s.Peek(ctx, key, k)
			checkErr(t, err, nil, "Peek(%q, %d)", key, k)
			got, err := s.Take(ctx, key, k)
			checkErr(t, err, nil, "Take(%q, %d)", key, k)
			want := model.Take(k)
			check(t, peek, want, "%s: Peek(%q, %d)", kind, key, k)
			check(t, got, want, "%s: Take(%q, %d)", kind, key, k)
		}
	}
}

// TestPropSharedWindowLaw checks the law of a shared window: whatever the store
// loses, however far the clocks of processes differ, up to e, and whoever comes
// in between, no length of true time less e sees more than n events, or 2n with
// weights; and no period of a fixed window or a quota less e does, nor a slot
// with weights.
func TestPropSharedWindowLaw(t *testing.T) { rapid.Check(t, propSharedWindowLaw) }

func propSharedWindowLaw(t *rapid.T) {
	truth := fakeClock{1 << 60}
	n := rapid.IntRange(1, 5).Draw(t, "n")
	kind, w := drawWindow(t, n, 5*time.Second)
	length := int64(w.state.length)
	skew := rapid.Int64Range(0, min(int64(ttlSlack), length-1)).Draw(t, "skew")
	steps := rapid.OneOf(rapid.Int64Range(0, length/4), rapid.Int64Range(0, length))
	admitted := admitLossy(t, &truth, skew, steps, w.Share)

	switch kind {
	case "log", "sliding":
		checkAnyWindow(t, n, length-skew, admitted)
		return
	case "weighted":
		checkAnyWindow(t, mostWeighted(n, length), length-skew, admitted)
	}
	zone := int64(0)
	if kind == "quota" {
		zone = 5000e9
	}
	sums := map[int64]int{}
	for _, a := range admitted {
		if (a.at+zone)%length >= length-skew {
			continue // in one period or the next, as the clocks say
		}
		if sums[(a.at+zone)/length] += a.n; sums[(a.at+zone)/length] > n {
			t.Fatalf("%s: %d events in the period of %d, want at most %d", kind, sums[(a.at+zone)/length], a.at, n)
		}
	}
}

// TestSharedWindowConcurrent checks that the events that two processes admit at
// a standing clock under contention add up exactly.
func TestSharedWindowConcurrent(t *testing.T) {
	for name, w := range map[string]*Window{
		"log":   NewSlidingLog(60, time.Hour, nil),
		"quota": NewQuota(60, Daily(nil), nil),
	} {
		store, clock := NewMemStore(nil), fakeClock{1 << 60}
		var admitted atomic.Int64
		var wg sync.WaitGroup

		for range 2 {
			s := w.Share(store, sharedAt(&clock))
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
		check(t, admitted.Load(), 60, "%s: events admitted", name)
	}
}

// TestSharedWindowStateLost checks the law of a store that loses its state: one
// more window's events for each loss, and no more.
func TestSharedWindowStateLost(t *testing.T) {
	const n, losses = 7, 3
	for name, w := range map[string]*Window{
		"log":      NewSlidingLog(n, time.Hour, nil),
		"sliding":  NewSlidingWindow(n, time.Hour, 6, nil),
		"weighted": NewSlidingWindow(n, time.Hour, Weighted, nil),
		"quota":    NewQuota(n, Daily(nil), nil),
	} {
		clock := fakeClock{int64(1000 * 24 * time.Hour)}
		admitted := 0
		for range losses + 1 {
			s := w.Share(NewMemStore(&Options{Now: clock.now}), sharedAt(&clock))
			for range 3 * n {
				clock.sleep(time.Second)
				ok, err := s.Allow(t.Context(), "key")
				checkErr(t, err, nil, "%s: Allow", name)
				if ok {
					admitted++
				}
			}
		}
		check(t, admitted, n*(1+losses), "%s: events with %d losses", name, losses)
	}
}

// TestSharedWindowOutlivesDeployment checks what a shared quota is for: a
// process that starts anew, with the same store, finds the day as it was.
func TestSharedWindowOutlivesDeployment(t *testing.T) {
	clock := fakeClock{int64(1000*24*time.Hour + time.Hour)}
	store := NewMemStore(&Options{Now: clock.now})
	admitted := 0
	for range 40 { // deployments, one each hour
		s := NewQuota(5, Daily(time.UTC), nil).Share(store, sharedAt(&clock))
		for range 2 {
			ok, err := s.Allow(t.Context(), "key")
			checkErr(t, err, nil, "Allow")
			if ok {
				admitted++
			}
		}
		clock.sleep(time.Hour)
	}
	check(t, admitted, 10, "events of two days")
}

// TestSharedWindowOtherRule checks that processes of other rules find the
// events of each other: they count as long as the rule says under which they
// happened, and at most as long as an event of now.
func TestSharedWindowOtherRule(t *testing.T) {
	hour := int64(time.Hour)
	start := fakeClock{1000 * 24 * hour}
	for name, tt := range map[string]struct {
		from, to *Window
		busy     time.Duration // RetryAfter under the other rule
		kept     time.Duration // how long the first rule needs the events
	}{
		"shorter log":           {NewSlidingLog(5, time.Hour, nil), NewSlidingLog(5, time.Minute, nil), time.Minute, time.Hour},
		"longer log":            {NewSlidingLog(5, time.Minute, nil), NewSlidingLog(5, time.Hour, nil), time.Minute, time.Minute},
		"lower limit":           {NewSlidingLog(5, time.Hour, nil), NewSlidingLog(2, time.Hour, nil), time.Hour, time.Hour},
		"log to slices":         {NewSlidingLog(5, time.Hour, nil), NewSlidingWindow(5, time.Hour, 4, nil), time.Hour, time.Hour},
		"slices to log":         {NewSlidingWindow(5, time.Hour, 4, nil), NewSlidingLog(5, time.Hour, nil), time.Hour, 75 * time.Minute},
		"weights to log":        {NewSlidingWindow(5, time.Hour, Weighted, nil), NewSlidingLog(5, time.Hour, nil), time.Hour, 2 * time.Hour},
		"weights to slices":     {NewSlidingWindow(5, time.Hour, Weighted, nil), NewSlidingWindow(5, time.Hour, 1, nil), 2 * time.Hour, 2 * time.Hour},
		"slices to weights":     {NewSlidingWindow(5, time.Hour, 1, nil), NewSlidingWindow(5, time.Hour, Weighted, nil), 72 * time.Minute, 2 * time.Hour},
		"log to weights":        {NewSlidingLog(5, time.Hour, nil), NewSlidingWindow(5, time.Hour, Weighted, nil), 12 * time.Minute, time.Hour},
		"other slices":          {NewSlidingWindow(5, time.Hour, 4, nil), NewSlidingWindow(5, time.Hour, 3, nil), 80 * time.Minute, 75 * time.Minute},
		"a month to a day":      {NewQuota(5, Monthly(nil), nil), NewQuota(5, Daily(nil), nil), 24 * time.Hour, 96 * time.Hour},
		"a day to a month":      {NewQuota(5, Daily(nil), nil), NewQuota(5, Monthly(nil), nil), 4 * 24 * time.Hour, 24 * time.Hour},
		"a quota to a log":      {NewQuota(5, Daily(nil), nil), NewSlidingLog(5, time.Hour, nil), time.Hour, 24 * time.Hour},
		"a large one to a log":  {NewQuota(1e9, Daily(nil), nil), NewSlidingLog(5, time.Hour, nil), time.Hour, 24 * time.Hour},
		"a fixed one to a log":  {NewFixedWindow(5, time.Hour, nil), NewSlidingLog(5, 2*time.Hour, nil), time.Hour, time.Hour},
		"a log to a fixed one":  {NewSlidingLog(5, 2*time.Hour, nil), NewFixedWindow(5, time.Hour, nil), time.Hour, 2 * time.Hour},
		"a log to a longer one": {NewSlidingLog(5, time.Minute, nil), NewFixedWindow(5, time.Hour, nil), time.Hour, time.Minute},
	} {
		clock := start
		tt.kept += ttlSlack
		store := NewMemStore(&Options{Now: clock.now})
		from, to := tt.from.Share(store, sharedAt(&clock)), tt.to.Share(store, sharedAt(&clock))
		d, err := from.Take(t.Context(), "key", int(tt.from.state.n))
		checkErr(t, err, nil, "%s: Take", name)
		check(t, d.OK, true, "%s: OK", name)

		d, err = to.Take(t.Context(), "key", 1)
		checkErr(t, err, nil, "%s: Take under the other rule", name)
		check(t, d.OK, false, "%s: OK under the other rule", name)
		check(t, d.RetryAfter, tt.busy, "%s: RetryAfter", name)

		// The store may have forgotten the key before.
		clock.sleep(min(d.RetryAfter-1, tt.kept-1))
		early, _ := to.Allow(t.Context(), "key")
		check(t, early, false, "%s: Allow before RetryAfter", name)
		clock.sleep(max(d.RetryAfter-tt.kept, 0) + 1)
		ok, _ := to.Allow(t.Context(), "key")
		check(t, ok, true, "%s: Allow after RetryAfter", name)
	}
}

// TestSharedWindowWait checks that a call can wait for the next day.
func TestSharedWindowWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at midnight, in UTC
		s := NewQuota(2, Daily(nil), nil).Share(NewMemStore(nil), nil)
		start := time.Now()
		for i, want := range []time.Duration{0, 0, 24 * time.Hour, 24 * time.Hour, 48 * time.Hour} {
			checkErr(t, s.Wait(t.Context(), "key", 1), nil, "Wait %d", i)
			check(t, time.Since(start), want, "time of Wait %d", i)
		}
		checkErr(t, s.Wait(t.Context(), "key", 3), ErrBurst, "Wait(3)")
	})
}

// TestSharedWindowTTL checks that the store keeps events until they stop
// counting and a minute longer, or forever if that is too far.
func TestSharedWindowTTL(t *testing.T) {
	var clock fakeClock
	for name, tt := range map[string]struct {
		w    *Window
		want time.Duration
	}{
		"log":      {NewSlidingLog(2, 10*time.Second, nil), 10*time.Second + ttlSlack},
		"sliding":  {NewSlidingWindow(2, 10*time.Second, 5, nil), 12*time.Second + ttlSlack},
		"weighted": {NewSlidingWindow(2, 10*time.Second, Weighted, nil), 20*time.Second + ttlSlack},
		"quota":    {NewQuota(2, Daily(nil), nil), 24*time.Hour + ttlSlack},
		"forever":  {NewSlidingLog(2, math.MaxInt64-ttlSlack/2, nil), 0},
		"nearly":   {NewSlidingLog(2, math.MaxInt64-ttlSlack-time.Hour, nil), math.MaxInt64 - time.Hour},
	} {
		store := &ttlStore{Store: NewMemStore(nil)}
		s := tt.w.Share(store, sharedAt(&clock))
		_, err := s.Take(t.Context(), "key", 1)
		checkErr(t, err, nil, "%s: Take", name)
		check(t, store.ttl, tt.want, "%s: ttl", name)
		checkErr(t, s.Return(t.Context(), "key", 1), nil, "%s: Return", name)
		check(t, store.ttl, ttlSlack, "%s: ttl of no events", name)
	}
}

// TestSharedWindowWritesNothing checks that a refusal, a request for nothing
// and the return of nothing write nothing, and that a clock which is behind
// finds the events of one that is ahead.
func TestSharedWindowWritesNothing(t *testing.T) {
	clock := fakeClock{1 << 60}
	store := &countedStore{Store: NewMemStore(&Options{Now: clock.now})}
	s := NewSlidingLog(2, time.Minute, nil).Share(store, sharedAt(&clock))
	take := func(n int, want bool, writes int) {
		t.Helper()
		d, err := s.Take(t.Context(), "key", n)
		checkErr(t, err, nil, "Take(%d)", n)
		check(t, d.OK, want, "OK of Take(%d)", n)
		check(t, store.writes, writes, "writes after Take(%d)", n)
	}
	checkErr(t, s.Return(t.Context(), "key", 1), nil, "Return to an absent key")
	take(0, true, 0)
	take(2, true, 1)
	take(1, false, 1)
	take(3, false, 1)
	checkErr(t, s.Return(t.Context(), "key", 0), nil, "Return(0)")
	check(t, store.writes, 1, "writes after Return(0)")

	clock.sleep(-30 * time.Second)
	take(1, false, 1)
	checkErr(t, s.Return(t.Context(), "key", 1), nil, "Return(1)")
	take(1, true, 3)
	d, err := s.Peek(t.Context(), "key", 1)
	checkErr(t, err, nil, "Peek")
	check(t, d.RetryAfter, 90*time.Second, "RetryAfter by a clock that is behind")
	clock.sleep(90 * time.Second)
	checkErr(t, s.Return(t.Context(), "key", 1), nil, "Return when nothing counts")
	check(t, store.writes, 3, "writes when nothing counts")
}

// TestTrapSharedReturnOverBoundary checks that All gives nothing back to a
// shared window in which the events have stopped counting meanwhile: it would
// take back those of others.
func TestTrapSharedReturnOverBoundary(t *testing.T) {
	clock := fakeClock{int64(1000*24*time.Hour) - 1}
	s := NewQuota(3, Daily(nil), nil).Share(NewMemStore(&Options{Now: clock.now}), sharedAt(&clock))
	late := lateGate{func() { // the day ends, and others come
		clock.sleep(1)
		d, err := s.Take(t.Context(), "key", 2)
		checkErr(t, err, nil, "Take of others")
		check(t, d.OK, true, "OK of others")
	}}
	d := All(s.Gate(t.Context(), "key"), late).Take(1)
	check(t, d.OK, false, "OK of All")
	d, err := s.Peek(t.Context(), "key", 0)
	checkErr(t, err, nil, "Peek")
	check(t, d.Remaining, 1, "Remaining")
}

// A lateGate refuses, after a while.
type lateGate struct{ wait func() }

func (g lateGate) Take(int) Decision { g.wait(); return Decision{} }
func (g lateGate) Peek(int) Decision { return Decision{} }
func (g lateGate) Return(int)        {}

// TestTrapSharedOpenGivesNothing checks that events which the policy for a
// store that fails admitted are not given back to the store: it did not take
// them.
func TestTrapSharedOpenGivesNothing(t *testing.T) {
	for name, share := range map[string]func(Store, *SharedOptions) *Shared{
		"buckets": func(s Store, o *SharedOptions) *Shared { return NewShared(s, []Limit{{PerHour(1), 3}}, o) },
		"window":  NewSlidingLog(3, time.Hour, nil).Share,
	} {
		fault := 9
		bad := &badStore{Store: NewMemStore(nil), fault: func() int { return fault }, between: func() {}}
		s := share(bad, &SharedOptions{OnError: func(string, int, error) Decision { return Decision{OK: true} }})
		_, err := s.Take(t.Context(), "key", 3)
		checkErr(t, err, nil, "%s: Take", name)

		fault = 0
		d := All(s.Gate(t.Context(), "key"), lateGate{func() { fault = 9 }}).Take(2)
		check(t, d.OK, false, "%s: OK of All", name)
		d, err = s.Peek(t.Context(), "key", 0)
		checkErr(t, err, nil, "%s: Peek", name)
		check(t, d.Remaining, 0, "%s: Remaining", name)
	}
}

// TestSharePanics checks the bounds of what can be shared.
func TestSharePanics(t *testing.T) {
	mustPanic(t, "at most 65536, got 65537", func() { NewSlidingLog(maxKeyedLog+1, time.Hour, nil).Share(NewMemStore(nil), nil) })
	mustPanic(t, "zero Window", func() { new(Window).Share(NewMemStore(nil), nil) })
	NewSlidingLog(maxKeyedLog, time.Hour, nil).Share(NewMemStore(nil), nil)
	s := NewQuota(maxKeyedLog+1, Daily(nil), nil).Share(NewMemStore(nil), nil)
	if got := s.Limits(); len(got) != 0 {
		t.Errorf("Limits of a window = %v, want none", got)
	}

	w := NewFixedWindow(2, time.Hour, nil)
	w.SetLimit(3)
	d, err := w.Share(NewMemStore(nil), nil).Take(t.Context(), "key", 3)
	checkErr(t, err, nil, "Take")
	check(t, d.OK, true, "OK of the limit at the time of Share")
}

// goldenEvents is the state of a key of a log of an hour: two events 5 ns after
// 1970, and one an hour less 1 ns later.
const goldenEvents = "6173686c61727273" + // "ashlarrs"
	"0100" + "02" + "00" + "8cef1494" + // version, kind, no limits, checksum
	"0100000000000000" + "0200000000000000" + "0300000000000000" + "0400000000000000" +
	"04a0b83046030000" + // the latest reading
	"05a0b83046030000" + "0200000000000000" +
	"044071618c060000" + "0100000000000000"

// TestGoldenEvents checks the bytes of the state of a window against those that
// the documentation of the package describes, and that Share reads and writes
// them.
func TestGoldenEvents(t *testing.T) {
	want, err := hex.DecodeString(goldenEvents)
	checkErr(t, err, nil, "DecodeString")
	rule := NewSlidingLog(5, time.Hour, nil).Share(NewMemStore(nil), nil).rule
	state, err := rule.decode(nil)
	checkErr(t, err, nil, "decode(nil)")
	state.take(5, 2)
	state.take(4+int64(time.Hour), 1)
	for _, m := range []uint64{4, 3, 2, 1} {
		state.mark(m)
	}
	if got := state.encode(); !bytes.Equal(got, want) {
		t.Fatalf("the state is\n%x, want\n%x", got, want)
	}
	again, err := rule.decode(want)
	checkErr(t, err, nil, "decode")
	if got := again.encode(); !bytes.Equal(got, want) {
		t.Fatalf("the state is written as\n%x, want\n%x", got, want)
	}
	d, _ := again.take(4+int64(time.Hour), 3)
	check(t, d.RetryAfter, 1, "RetryAfter")
}

// TestEventsErrors checks that bytes of a store that are not the events of a
// key are errors.
func TestEventsErrors(t *testing.T) {
	rule := NewSlidingLog(5, time.Hour, nil).Share(NewMemStore(nil), nil).rule
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"nothing":       {slices.Clone[[]byte], nil},
		"magic":         {func(b []byte) []byte { b[0]++; return reseal(b) }, ErrCorrupt},
		"version":       {func(b []byte) []byte { b[8]++; return b }, ErrVersion},
		"kind":          {func(b []byte) []byte { b[10]++; return b }, ErrVersion},
		"buckets":       {func(b []byte) []byte { b[10] = kindBuckets; return reseal(b) }, ErrCorrupt},
		"count":         {func(b []byte) []byte { b[11] = 1; return reseal(b) }, ErrCorrupt},
		"checksum":      {func(b []byte) []byte { b[12]++; return b }, ErrCorrupt},
		"a bit":         {func(b []byte) []byte { b[70] ^= 4; return b }, ErrCorrupt},
		"short":         {func(b []byte) []byte { return reseal(b[:40]) }, ErrCorrupt},
		"no reading":    {func(b []byte) []byte { return reseal(b[:48]) }, ErrCorrupt},
		"no events":     {func(b []byte) []byte { return reseal(b[:56]) }, nil},
		"length":        {func(b []byte) []byte { return reseal(b[:80]) }, ErrCorrupt},
		"late":          {func(b []byte) []byte { b[55] = 0x40; return reseal(b) }, ErrCorrupt},
		"early":         {func(b []byte) []byte { b[55] = 0xC0; clear(b[48:55]); return reseal(b) }, ErrCorrupt},
		"expired":       {func(b []byte) []byte { b[56]--; return reseal(b) }, ErrCorrupt},
		"order":         {func(b []byte) []byte { copy(b[72:80], b[56:64]); return reseal(b) }, ErrCorrupt},
		"none":          {func(b []byte) []byte { b[64] = 0; return reseal(b) }, ErrCorrupt},
		"less than 0":   {func(b []byte) []byte { b[71] = 0x80; return reseal(b) }, ErrCorrupt},
		"very many":     {func(b []byte) []byte { b[71] = 0x7F; return reseal(b) }, nil},
		"the last time": {func(b []byte) []byte { b[79] = 0x7F; return reseal(b) }, nil},
	} {
		b, _ := hex.DecodeString(goldenEvents)
		state, err := rule.decode(tt.change(b))
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: err = %v, want %v", name, err, tt.want)
		}
		if err == nil && state.ttl(0) < ttlSlack {
			t.Errorf("%s: ttl = %v, want %v or more", name, state.ttl(0), ttlSlack)
		}
	}

	// A key of another type is no key of this one, whichever comes first.
	store := NewMemStore(nil)
	w, b := NewSlidingLog(5, time.Hour, nil).Share(store, nil), NewShared(store, []Limit{{PerHour(1), 1}}, nil)
	_, err := w.Take(t.Context(), "window", 1)
	checkErr(t, err, nil, "Take of the window")
	_, err = b.Take(t.Context(), "bucket", 1)
	checkErr(t, err, nil, "Take of the bucket")
	_, err = b.Take(t.Context(), "window", 1)
	checkErr(t, err, ErrCorrupt, "Take of a window as a bucket")
	_, err = w.Take(t.Context(), "bucket", 1)
	checkErr(t, err, ErrCorrupt, "Take of a bucket as a window")
}

// FuzzDecodeEvents checks that no bytes in the store panic, take more memory
// than they have, or admit more than the limit, whatever the kind of window,
// and that a state which is read and written can be read again.
func FuzzDecodeEvents(f *testing.F) {
	golden, _ := hex.DecodeString(goldenEvents)
	f.Add(golden, int64(1<<60), 1)
	f.Add(golden, int64(0), 3)
	f.Add([]byte{}, int64(0), 29) // refused, so nothing is written
	kinds := []*Window{
		NewSlidingLog(5, time.Hour, nil),
		NewSlidingWindow(5, time.Hour, 6, nil),
		NewSlidingWindow(5, time.Hour, Weighted, nil),
		NewFixedWindow(5, time.Hour, nil),
		NewQuota(5, Monthly(nil), nil),
	}
	f.Fuzz(func(t *testing.T, data []byte, now int64, n int) {
		if len(data) > headerSize {
			data = reseal(slices.Clone(data))
		}
		for i, w := range kinds {
			rule := w.Share(NewMemStore(nil), nil).rule
			state, err := rule.decode(data)
			if err != nil {
				continue
			}

			d, took := state.take(now, max(n, 0))
			if d.OK && n > 5 {
				t.Fatalf("kind %d: %d of 5 were admitted: %+v", i, n, d)
			}
			gave := state.giveBack(now, max(n, 0), state.until(now))
			if ttl := state.ttl(now); ttl < 0 {
				t.Fatalf("kind %d: ttl %v, want at least 0", i, ttl)
			}
			if !took && !gave {
				continue // as it was, so it is not written
			}
			if _, err := rule.decode(state.encode()); err != nil {
				t.Fatalf("kind %d: what was written cannot be read: %v", i, err)
			}
		}
	})
}
