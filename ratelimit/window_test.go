// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A windowModel is a list of the events that a window holds, and one of those
// that happened.
type windowModel struct {
	w     *Window
	since func(t int64) int64 // the first reading whose events still count at t
	most  int                 // of the events that happen in any length
	slots bool                // each admits as many as the limit
	slot  int64               // the length of those that weigh, or 0
	last  int64               // the latest reading at which w forgot events
	held  []admission         // in order of time; Return takes back the oldest
	real  []admission
}

// count returns the events held that count at t, or their weight.
func (m *windowModel) count(t int64) int {
	sum, older := 0, 0
	for _, e := range m.held {
		switch since := m.since(t); {
		case e.at < since:
		case e.at < since+m.slot:
			older += e.n
		default:
			sum += e.n
		}
	}
	if older > 0 { // of which a part is inside
		left := m.since(t) + 2*m.slot - t
		sum += int((int64(older)*left-1)/m.slot) + 1
	}
	return sum
}

// mostWeighted returns the most events that two counters with weights admit in
// a length of time: n at the end of a slot, and in what is left of the length
// as many as the weight lets in.
func mostWeighted(n int, length int64) int {
	return max(n, n+int(int64(n)*(length-2)/length))
}

// windowModels returns one of each kind, for windows of n events in length
// whose clock reads base when they are made.
func windowModels(n int, length int64, parts int, base int64, opts *Options) []*windowModel {
	width := (length-1)/int64(parts) + 1
	models := []*windowModel{
		{
			w:     NewSlidingLog(n, time.Duration(length), opts),
			since: func(t int64) int64 { return t - length + 1 },
			most:  n,
		},
		{
			w:     NewSlidingWindow(n, time.Duration(length), parts, opts),
			since: func(t int64) int64 { return base + (floorDiv(t-base, width)-int64(parts))*width },
			most:  n,
		},
		{
			w:     NewFixedWindow(n, time.Duration(length), opts),
			since: func(t int64) int64 { return base + floorDiv(t-base, length)*length },
			most:  2 * n,
			slots: true,
		},
		{
			w:     NewSlidingWindow(n, time.Duration(length), Weighted, opts),
			since: func(t int64) int64 { return base + (floorDiv(t-base, length)-1)*length },
			most:  mostWeighted(n, length),
			slots: true,
			slot:  length,
		},
	}

	for _, m := range models {
		m.last = math.MinInt64
	}
	return models
}

// TestPropWindow checks the four kinds of window against a list of all events,
// while the clock goes on, stands still and goes back, while events of any age
// are taken back, and while another gate refuses some: the log admits exactly
// the events that the list has room for; the sliding window all that fit when
// one slice more is counted; the fixed window those that its own window has
// room for; the weighted one those that the weight has room for. Of the events
// that happened, no length holds more than n, or no fixed window and no slot of
// a weighted one; a length of these holds 2n, or less with weights.
func TestPropWindow(t *testing.T) { rapid.Check(t, propWindow) }

// FuzzPropWindow is TestPropWindow for the fuzzer.
func FuzzPropWindow(f *testing.F) { f.Fuzz(rapid.MakeFuzz(propWindow)) }

func propWindow(t *rapid.T) {
	n := rapid.IntRange(1, 6).Draw(t, "n")
	length := rapid.Int64Range(1, 40).Draw(t, "length")
	parts := rapid.IntRange(1, int(length)).Draw(t, "slices")
	var clock fakeClock
	clock.t = rapid.Int64Range(-100, 100).Draw(t, "start")
	kinds := windowModels(n, length, parts, clock.t, &Options{Now: clock.now})

	for range rapid.IntRange(1, 80).Draw(t, "steps") {
		clock.t += rapid.Int64Range(-5, 15).Draw(t, "dt")
		k := rapid.IntRange(0, n+1).Draw(t, "k")
		back := rapid.IntRange(0, 3).Draw(t, "return") == 0
		which := rapid.IntRange(0, 1000).Draw(t, "whose")
		refused := min(rapid.IntRange(-3, 3).Draw(t, "refused by another gate"), n)
		for i, m := range kinds {
			if back {
				m.giveBack(clock.t, which)
			}
			m.refuse(t, i, &clock, refused, n, k, int64(which%7))
			m.take(t, i, clock.t, k, n)
			checkAnyWindow(t, m.most, length, m.real)
			if m.slots {
				checkOneWindow(t, n, m)
			}
		}
	}
}

// take takes k events of n at reading now and checks the decision.
func (m *windowModel) take(t *rapid.T, kind int, now int64, k, n int) {
	latest := max(m.last, now)
	if k <= n {
		m.last = latest // a refusal for good forgets nothing
	}
	used := m.count(latest)
	peek := m.w.Peek(k)
	d := m.w.Take(k)
	if d != peek {
		t.Fatalf("kind %d: Take(%d) = %+v, want %+v as from Peek", kind, k, d, peek)
	}
	if want := k == 0 || used+k <= n; d.OK != want {
		t.Fatalf("kind %d: Take(%d) = %+v, want %v with %d of %d used", kind, k, d, want, used, n)
	}
	if d.OK && k > 0 {
		m.held = append(m.held, admission{latest, k})
		m.real = append(m.real, admission{latest, k})
		used += k
	}
	check(t, d.Remaining, n-used, "kind %d: Remaining", kind)
	check(t, d.Limit, n, "kind %d: Limit", kind)

	// Times are from now on, even if the clock has gone back.
	if reset := now + int64(d.ResetAfter); used > 0 {
		check(t, m.count(reset), 0, "kind %d: events that count after ResetAfter", kind)
		if m.count(reset-1) == 0 {
			t.Fatalf("kind %d: no event counts just before ResetAfter, want some of %d", kind, used)
		}
	}
	at := now + int64(d.RetryAfter)
	switch {
	case d.OK && d.RetryAfter != 0, k > n && d.RetryAfter >= 0:
		t.Fatalf("kind %d: RetryAfter = %v for %d of %d, OK %v", kind, d.RetryAfter, k, n, d.OK)
	case d.OK || k > n:
	case m.count(at)+k > n || m.count(at-1)+k <= n:
		t.Fatalf("kind %d: RetryAfter %d for %d: %d count then, %d before", kind, d.RetryAfter, k, m.count(at), m.count(at-1))
	}
}

// giveBack lets the caller of some event that still counts return it. The
// window cannot know which it was, and forgets the oldest.
func (m *windowModel) giveBack(now int64, which int) {
	latest := max(m.last, now)
	var live []int
	for i, e := range m.real {
		if e.n > 0 && e.at >= m.since(latest) {
			live = append(live, i)
		}
	}
	if len(live) == 0 {
		return
	}
	m.last = latest
	e := &m.real[live[which%len(live)]]
	n := e.n
	m.w.Return(n)
	e.n = 0

	for i := range m.held {
		if h := &m.held[i]; h.at >= m.since(latest) {
			k := min(n, h.n)
			h.n -= k
			n -= k
		}
	}
}

// refuse takes k events, which another gate refuses, after a time in which
// others take as many as others. Then m is as if the k had not been taken.
func (m *windowModel) refuse(t *rapid.T, kind int, clock *fakeClock, k, n, others int, later int64) {
	if k < 1 {
		return
	}
	start := clock.t
	mine := -1
	if m.last = max(m.last, start); m.count(m.last)+k <= n {
		mine = len(m.held)
		m.held = append(m.held, admission{m.last, k})
	}
	asked := false
	All(m.w, fickleGate{func() {
		asked = true
		clock.t += later
		m.take(t, kind, clock.t, others, n)
		m.last = max(m.last, clock.t)
	}}).Take(k)
	check(t, asked, mine >= 0, "kind %d: %d of %d events taken", kind, k, n)
	if mine >= 0 {
		m.held[mine].n = 0
	}
	clock.t = start
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}

// checkAnyWindow fails if some window [at, at+length) holds more than n events.
func checkAnyWindow(t *rapid.T, n int, length int64, events []admission) {
	for i := range events {
		sum := 0
		for _, e := range events[i:] {
			if e.at < events[i].at+length {
				sum += e.n
			}
		}
		if sum > n {
			t.Fatalf("%d events from %d on, want at most %d", sum, events[i].at, n)
		}
	}
}

// checkOneWindow fails if a window of a fixed window saw more than n events.
func checkOneWindow(t *rapid.T, n int, m *windowModel) {
	sums := map[int64]int{}
	for _, e := range m.real {
		if sums[m.since(e.at)] += e.n; sums[m.since(e.at)] > n {
			t.Fatalf("%d events in the window of %d, want at most %d", sums[m.since(e.at)], e.at, n)
		}
	}
}

// TestTrapReturnOfAnother checks that a Return after somebody else's Take does
// not make room for a third event within the length: the window cannot know
// whose event did not happen.
func TestTrapReturnOfAnother(t *testing.T) {
	var clock fakeClock
	w := NewSlidingLog(2, time.Minute, &Options{Now: clock.now})
	w.Allow() // mine
	clock.sleep(59 * time.Second)
	w.Allow() // somebody else's, which happens
	w.Return(1)
	clock.sleep(time.Second)
	if got := w.Allow(); !got {
		t.Errorf("Allow = %v, want true: one event in the last minute", got)
	}
	if got := w.Allow(); got {
		t.Errorf("Allow = %v, want false: two events in the last minute", got)
	}
}

// A fickleGate refuses, after it has moved the clock, as time passes between
// the gates of All.
type fickleGate struct{ between func() }

func (g fickleGate) Take(int) Decision { g.between(); return Decision{RetryAfter: -1} }
func (fickleGate) Peek(int) Decision   { return Decision{RetryAfter: -1} }
func (fickleGate) Return(int)          {}

// TestTrapRefusedByOther checks that events which a later gate of All refuses
// leave no trace in the windows before it: a client that asks again and again
// at 0:59 does not move the events of 0:00 there.
func TestTrapRefusedByOther(t *testing.T) {
	var clock fakeClock
	opts := &Options{Now: clock.now}
	for name, newGate := range map[string]func() Gate{
		"log":      func() Gate { return NewSlidingLog(100, time.Minute, opts) },
		"sliding":  func() Gate { return NewSlidingWindow(100, time.Minute, 6, opts) },
		"weighted": func() Gate { return NewSlidingWindow(100, time.Minute, Weighted, opts) },
		"keyed":    func() Gate { return NewKeyedSlidingLog[int](100, time.Minute, &KeyedOptions{Now: clock.now}).Gate(1) },
		"shared": func() Gate {
			s := NewSlidingLog(100, time.Minute, nil).Share(NewMemStore(opts), sharedAt(&clock))
			return s.Gate(t.Context(), "key")
		},
	} {
		clock.t = 0
		w, quiet := newGate(), newGate()
		w.Take(90)
		quiet.Take(90)
		for range 200 {
			clock.t += int64(time.Minute) / 201
			All(w, New(Rate{}, 0, nil)).Take(1)
		}
		check(t, w.Peek(1), quiet.Peek(1), "%s: Peek after 200 refusals", name)
		clock.t = int64(time.Minute)
		check(t, w.Peek(1), quiet.Peek(1), "%s: Peek when the length is over", name)
	}
}

// TestTrapReturnOverBoundary checks that All takes back the events of a period
// or window that has ended since from nobody else: a second gate that takes
// its time and refuses must not make room in the next period.
func TestTrapReturnOverBoundary(t *testing.T) {
	for name, newGate := range map[string]func(o *Options) Gate{
		"fixed":    func(o *Options) Gate { return NewFixedWindow(2, 24*time.Hour, o) },
		"quota":    func(o *Options) Gate { return NewQuota(2, Daily(nil), o) },
		"log":      func(o *Options) Gate { return NewSlidingLog(2, time.Second, o) },
		"sliding":  func(o *Options) Gate { return NewSlidingWindow(2, time.Second, 1, o) },
		"weighted": func(o *Options) Gate { return NewSlidingWindow(2, time.Second, Weighted, o) },
		"keyed": func(o *Options) Gate {
			return NewKeyedQuota[int](2, Daily(nil), &KeyedOptions{Now: o.Now}).Gate(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var clock fakeClock
			w := newGate(&Options{Now: clock.now})
			clock.sleep(24*time.Hour - 1)

			All(w, fickleGate{func() {
				clock.sleep(3 * time.Second)
				if got := w.Take(2); !got.OK {
					t.Errorf("Take(2) = %+v in the next period, want OK", got)
				}
			}}).Take(1)
			if got := w.Take(1); got.OK {
				t.Errorf("Take = %+v, want a refusal: two events happened", got)
			}
		})
	}
}

// A limitedGate is the gate of one key, with the limit of all.
type limitedGate struct {
	Gate
	w *KeyedWindow[int]
}

func (g limitedGate) SetLimit(n int) { g.w.SetLimit(n) }

// TestWindowSetLimit checks that events stay counted when the limit changes, in
// windows of one and of many.
func TestWindowSetLimit(t *testing.T) {
	var clock fakeClock
	o := &KeyedOptions{Now: clock.now}
	keyed := NewKeyedSlidingLog[int](4, time.Hour, o)
	for name, w := range map[string]interface {
		Gate
		SetLimit(n int)
	}{
		"log":   NewSlidingLog(4, time.Hour, &Options{Now: clock.now}),
		"quota": NewQuota(4, Daily(nil), &Options{Now: clock.now}),
		"keyed": limitedGate{keyed.Gate(1), keyed},
	} {
		w.Take(3)
		w.SetLimit(2)
		d := w.Take(1)
		checkLater(t, d, "%s: Take(1) with 3 of 2 used", name)
		check(t, d.Remaining, 0, "%s: Remaining with 3 of 2 used", name)
		check(t, d.Limit, 2, "%s: Limit", name)
		w.SetLimit(4)
		d = w.Take(1)
		check(t, d.OK, true, "%s: OK with 3 of 4 used", name)
		check(t, d.Remaining, 0, "%s: Remaining with 4 of 4 used", name)
	}
}

// TestWindowClear checks that Clear forgets the events and the latest time of
// every kind.
func TestWindowClear(t *testing.T) {
	var clock fakeClock
	opts := &Options{Now: clock.now}
	for name, w := range map[string]*Window{
		"log":      NewSlidingLog(3, time.Hour, opts),
		"sliding":  NewSlidingWindow(3, time.Hour, 6, opts),
		"weighted": NewSlidingWindow(3, time.Hour, Weighted, opts),
		"fixed":    NewFixedWindow(3, time.Hour, opts),
		"quota":    NewQuota(3, Daily(nil), opts),
	} {
		clock.t = int64(1000 * time.Hour)
		w.AllowN(3)
		w.Clear()
		clock.t = int64(time.Hour) // a clock that was wrongly far ahead
		for i, want := range []bool{true, false} {
			if got := w.AllowN(3); got != want {
				t.Errorf("%s: AllowN(3) %d = %v after Clear, want %v", name, i, got, want)
			}
		}
		clock.sleep(25 * time.Hour)
		check(t, w.Peek(3).OK, true, "%s: OK of Peek(3) a day later", name)
	}
}

// TestSlidingClear checks that the events a Clear forgot are not taken off
// later ones when their slices end.
func TestSlidingClear(t *testing.T) {
	var clock fakeClock
	w := NewSlidingWindow(2, 4, 4, &Options{Now: clock.now})
	w.AllowN(2)
	w.Clear()
	for _, want := range []bool{true, false, false, true} {
		clock.t += 2
		check(t, w.AllowN(2), want, "AllowN(2) at %d", clock.t)
	}
}

// TestWindowAdversary checks, by every pattern of asking for small windows, the
// most that any length admits: n for the sliding kinds, 2n for the fixed one
// (trap 9), and one less with weights.
func TestWindowAdversary(t *testing.T) {
	const n, length, steps = 2, 4, 12
	for name, tt := range map[string]struct {
		make func(*Options) *Window
		most int64
	}{
		"log":        {func(o *Options) *Window { return NewSlidingLog(n, length, o) }, n},
		"sliding, 1": {func(o *Options) *Window { return NewSlidingWindow(n, length, 1, o) }, n},
		"sliding, 4": {func(o *Options) *Window { return NewSlidingWindow(n, length, 4, o) }, n},
		"weighted":   {func(o *Options) *Window { return NewSlidingWindow(n, length, Weighted, o) }, 2*n - 1},
		"fixed":      {func(o *Options) *Window { return NewFixedWindow(n, length, o) }, 2 * n},
	} {
		t.Run(name, func(t *testing.T) {
			most := int64(0)
			for pattern := range 1 << steps {
				var clock fakeClock
				w := tt.make(&Options{Now: clock.now})
				var admitted [steps]int64
				for i := range steps {
					for pattern>>i&1 == 1 && w.Allow() {
						admitted[i]++
					}
					sum := int64(0)
					for j := max(0, i-length+1); j <= i; j++ {
						sum += admitted[j]
					}
					most = max(most, sum)
					clock.t++
				}
			}

			if most != tt.most {
				t.Errorf("the most in any window is %d, want %d", most, tt.most)
			}
		})
	}
}

// TestWindowThroughput checks the price of the sliding window: a steady stream
// gets k/(k+1) of the limit, and with weights all but one.
func TestWindowThroughput(t *testing.T) {
	for _, k := range []int{1, 4, 60, Weighted} {
		var clock fakeClock
		w := NewSlidingWindow(1000, time.Minute, k, &Options{Now: clock.now})
		admitted := 0
		const minutes = 60
		for range minutes * 6000 {
			clock.sleep(10 * time.Millisecond)
			if w.Allow() {
				admitted++
			}
		}
		want := 999 * minutes
		if k != Weighted {
			want = 1000 * minutes * k / (k + 1)
		}
		if got := admitted; got < want || got > want+2000 {
			t.Errorf("%d slices: %d admitted, want %d to %d", k, got, want, want+2000)
		}
	}
}

// TestWindowConcurrent checks the number of admissions at a standing clock
// under contention.
func TestWindowConcurrent(t *testing.T) {
	var clock fakeClock
	opts := &Options{Now: clock.now}
	for name, w := range map[string]*Window{
		"log":      NewSlidingLog(500, time.Minute, opts),
		"sliding":  NewSlidingWindow(500, time.Minute, 6, opts),
		"weighted": NewSlidingWindow(500, time.Minute, Weighted, opts),
		"fixed":    NewFixedWindow(500, time.Minute, opts),
	} {
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					if w.AllowN(1) {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()

		if got := admitted.Load(); got != 500 {
			t.Errorf("%s: %d admitted, want 500", name, got)
		}
		if got, want := w.Stats(), (WindowStats{Limit: 500, Allowed: 500, Denied: 1100}); got != want {
			t.Errorf("%s: Stats = %+v, want %+v", name, got, want)
		}
	}
}

// TestWindowReadings checks windows after idle times of a century, and with the
// real clock.
func TestWindowReadings(t *testing.T) {
	for _, w := range []*Window{
		NewSlidingLog(1, time.Hour, nil), NewFixedWindow(1, time.Hour, nil),
		NewSlidingWindow(1, time.Hour, 60, nil), NewSlidingWindow(1, time.Hour, Weighted, nil),
	} {
		now := time.Now()
		century := now.Add(100 * 365 * 24 * time.Hour)
		for i, step := range []struct {
			at   time.Time
			want bool
		}{{now, true}, {now, false}, {century, true}, {now, false}, {century.Add(time.Minute), false}} {
			if got := w.AllowAt(step.at, 1); got != step.want {
				t.Errorf("step %d: AllowAt(%v) = %v, want %v", i, step.at, got, step.want)
			}
		}
	}
}

// TestWindowLong checks windows so long that their ends are past the end of
// time: the wait is long, and not without end or of no length.
func TestWindowLong(t *testing.T) {
	for name, w := range map[string]*Window{
		"log":      NewSlidingLog(1, math.MaxInt64, nil),
		"sliding":  NewSlidingWindow(1, math.MaxInt64, 1, nil),
		"weighted": NewSlidingWindow(1, math.MaxInt64, Weighted, nil),
		"fixed":    NewFixedWindow(1, math.MaxInt64, nil),
	} {
		w.Allow()
		d := w.Take(1)
		check(t, d.OK, false, "%s: OK", name)
		if years := d.RetryAfter / (365 * 24 * time.Hour); years < 290 {
			t.Errorf("%s: RetryAfter = %d years, want 292", name, years)
		}
		if d.ResetAfter < d.RetryAfter {
			t.Errorf("%s: ResetAfter = %v, want %v or more", name, d.ResetAfter, d.RetryAfter)
		}
	}
}

// TestTrapZeroClock checks limits whose clock is not set when they are made: it
// reads the zero time, and is set later.
func TestTrapZeroClock(t *testing.T) {
	for name, newAllow := range map[string]func(now func() time.Time) func() bool{
		"Limiter": func(now func() time.Time) func() bool { return New(PerSecond(1), 1, &Options{Now: now}).Allow },
		"log": func(now func() time.Time) func() bool {
			return NewSlidingLog(1, time.Second, &Options{Now: now}).Allow
		},
		"quota": func(now func() time.Time) func() bool { return NewQuota(1, Daily(nil), &Options{Now: now}).Allow },
		"Keyed": func(now func() time.Time) func() bool {
			k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{Now: now})
			return func() bool { return k.Allow(1) }
		},
		"keyed quota": func(now func() time.Time) func() bool {
			w := NewKeyedQuota[int](1, Daily(nil), &KeyedOptions{Now: now})
			return func() bool { return w.Allow(1) }
		},
	} {

		var at time.Time
		allow := newAllow(func() time.Time { return at })
		admitted := 0

		for i := range 10 {
			if allow() {
				admitted++
			}
			at = time.Date(2026, 1, 2+i, 0, 0, 0, 0, time.UTC)
		}

		if admitted != 10 {
			t.Errorf("%s: %d admitted on 10 days, want 10", name, admitted)
		}
	}
}

// TestPeekMovesNothing checks that a Peek at a reading 38 days or 10 years
// ahead changes no later decision, for limits of every kind, at rates where
// that is more than the arithmetic spans.
func TestPeekMovesNothing(t *testing.T) {
	limits := []Limit{{perSecond(1e12), 1000}}

	for name, newGate := range map[string]func(c *fakeClock) Gate{
		"Limiter": func(c *fakeClock) Gate { return New(limits[0].Rate, 1000, &Options{Now: c.now}) },
		"Keyed":   func(c *fakeClock) Gate { return NewKeyed[int](limits, &KeyedOptions{Now: c.now}).Gate(1) },
		"log":     func(c *fakeClock) Gate { return NewSlidingLog(1000, time.Nanosecond, &Options{Now: c.now}) },
		"sliding": func(c *fakeClock) Gate { return NewSlidingWindow(1000, time.Nanosecond, 1, &Options{Now: c.now}) },
		"weighted": func(c *fakeClock) Gate {
			return NewSlidingWindow(1000, time.Nanosecond, Weighted, &Options{Now: c.now})
		},
		"quota": func(c *fakeClock) Gate { return NewQuota(1000, Daily(nil), &Options{Now: c.now}) },
		"keyed log": func(c *fakeClock) Gate {
			return NewKeyedSlidingLog[int](1000, time.Nanosecond, &KeyedOptions{Now: c.now}).Gate(1)
		},
	} {
		var clock, quiet fakeClock
		g, want := newGate(&clock), newGate(&quiet)

		for i := range 20 {
			clock.t = quiet.t
			if i%10 == 1 { // and then the refill of several steps is seen
				ahead := []time.Duration{38 * 24 * time.Hour, 10 * 365 * 24 * time.Hour}[i/10]
				clock.sleep(ahead)
				g.Peek(1)
				All(g).Peek(2000)
				clock.t = quiet.t
			}
			if got, want := g.Take(500), want.Take(500); got != want {
				t.Fatalf("%s: step %d: Take = %+v after a Peek ahead, want %+v", name, i, got, want)
			}
			quiet.t++
		}
	}
}

// TestPolicyOfShortWindow checks the quota of a second at the shortest window
// and at none.
func TestPolicyOfShortWindow(t *testing.T) {
	for d, want := range map[Decision]string{
		{Limit: 1, Window: 1}:                       ";q=1000000000;w=1",
		{Limit: 1, Window: 3}:                       ";q=333333334;w=1",
		{Limit: 7, Window: 0}:                       ";q=7",
		{Limit: 7, Window: -1}:                      ";q=7",
		{Limit: 7, Window: time.Second}:             ";q=7;w=1",
		{Limit: 7, Window: time.Second + 1}:         ";q=13;w=2",
		{Limit: math.MaxInt32, Window: 1}:           ";q=999999999999999;w=1",
		{Limit: 1, Window: 999_999_999}:             ";q=1;w=1",
		{Limit: 3, Window: 1500 * time.Millisecond}: ";q=4;w=2",
	} {
		check(t, d.policy(), want, "policy of %d in %v", d.Limit, d.Window)
	}
}

// TestEventLogOrder checks that an event which comes after one that was held
// from the time ahead stops counting no sooner than that: the order of a log is
// what its search relies on.
func TestEventLogOrder(t *testing.T) {
	l := newEventLog(time.Hour)
	hour := int64(time.Hour)
	l.expire(0)
	l.hold(3*hour, 1) // an event of two hours from now
	l.add(0, 2)

	for _, tt := range []struct{ at, want int64 }{{0, 3}, {hour, 3}, {3*hour - 1, 3}, {3 * hour, 0}} {
		check(t, l.count(tt.at), tt.want, "events that count at %v", time.Duration(tt.at))
	}
	for n := range int64(3) {
		check(t, l.free(0, n+1), 3*hour, "the reading at which %d have stopped counting", n+1)
	}
}

// TestFillWhenDue checks that Fill keeps a reservation that is still ahead, and
// forgets one whose time has come.
func TestFillWhenDue(t *testing.T) {
	for ahead, want := range map[time.Duration]bool{1: false, 0: true} {
		var clock fakeClock
		l := New(PerSecond(1), 1, &Options{Now: clock.now})
		check(t, l.Allow(), true, "Allow")
		check(t, l.Reserve(1).OK(), true, "Reserve")
		clock.sleep(time.Second - ahead)
		l.Fill()
		check(t, l.Allow(), want, "Allow after Fill, %v before the reservation", ahead)
	}
}
