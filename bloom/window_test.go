// SPDX-License-Identifier: MIT

package bloom

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestModelWindow drives a window of time against the times at which keys came:
// a key is present for at least the window, and what Has says changes nothing.
func TestModelWindow(t *testing.T) { rapid.Check(t, modelWindow) }

func modelWindow(t *rapid.T) {
	now := time.Unix(0, rapid.Int64Range(-1e9, 1e9).Draw(t, "start"))
	gens := rapid.IntRange(2, 5).Draw(t, "gens")
	span := time.Duration(rapid.Int64Range(1, 1000).Draw(t, "window"))
	w := NewWindow(1000, 1e-9, span, &WindowOptions{
		Generations: gens, Lines: rapid.IntRange(1, 2).Draw(t, "lines"), Now: func() time.Time { return now },
	})

	last, highest := map[uint64]time.Time{}, now
	longest := w.step * time.Duration(gens)
	key := rapid.Uint64Range(0, 20)
	saw := func(t *rapid.T, v uint64, there bool) {
		at, ok := last[v]
		age := highest.Sub(at)
		if ok && age < span && !there {
			t.Fatalf("%d came %v ago and is absent; window %v", v, age, span)
		}
		if there && (!ok || age >= longest) {
			t.Fatalf("%d came %v ago (%v) and is there; forgotten after %v", v, age, ok, longest)
		}
	}

	t.Repeat(map[string]func(*rapid.T){
		"Add": func(t *rapid.T) {
			v := key.Draw(t, "v")
			saw(t, v, !w.AddUint64(v))
			last[v] = highest
		},
		"wait": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.Int64Range(-50, 2*int64(span)).Draw(t, "d")))
			if now.After(highest) {
				highest = now
			}
			w.AddHash(1) // the clock is taken to stand still only once it was read for a change
		},
		"": func(t *rapid.T) {
			for v := range uint64(21) {
				saw(t, v, w.HasUint64(v))
			}
		},
	})
}

// TestWindowKeys checks that a window of keys remembers the last n, and at most
// as many more as it says, at a rate of p.
func TestWindowKeys(t *testing.T) {
	for _, gens := range []int{2, 4, 9} {
		for _, n := range []int{1, 10, 3000} {
			const p = 0.01
			w := NewWindow(n, p, 0, &WindowOptions{Generations: gens})
			share := (n + gens - 2) / (gens - 1)
			total := 4*n + 1000

			for i := range total {
				w.AddUint64(uint64(i))
				if w.turn > uint64(gens) && i > 2*n && i%7 == 0 && !w.HasUint64(uint64(i-n+1)) {
					t.Fatalf("%d generations, n = %d: the %d-th last key is absent", gens, n, n)
				}
			}

			old := 0.0

			for i := range total - share*gens {
				if w.HasUint64(uint64(i)) {
					old++
				}
			}

			if want := p * float64(total); old > want+5*math.Sqrt(want) {
				t.Errorf("%d generations, n = %d: %v of %d keys that were forgotten are present", gens, n, old, total)
			}

			if got := w.Rate(); n > 1000 && (got > 1.1*p || got < 0.2*p) {
				t.Errorf("%d generations, n = %d: Rate = %g, want %g to %g", gens, n, got, 0.2*p, 1.1*p)
			}
		}
	}
}

// TestWindowClock checks a window by the system's clock: remembered for the
// whole window, forgotten after G/(G-1) of it, and when it rests for long.
func TestWindowClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(1000, 1e-6, 3*time.Minute, nil)
		time.Sleep(59 * time.Second)
		if w.Seen([]byte("x")) {
			t.Error("x was seen before it came")
		}
		time.Sleep(3*time.Minute - time.Nanosecond)
		checkAnswers(t, []answer{
			{"HasString(x) within the window", w.HasString("x"), true},
			{"Has(x) within the window", w.Has([]byte("x")), true},
		})
		time.Sleep(time.Minute)
		checkAnswers(t, []answer{ // after 4/3 of the window
			{"HasString(x)", w.HasString("x"), false},
			{"SeenString(x)", w.SeenString("x"), false},
			{"SeenString(x) again", w.SeenString("x"), true},
			{"SeenUint64(1)", w.SeenUint64(1), false},
			{"SeenHash of 1", w.SeenHash(HashUint64(1, 0)), true},
		})
		time.Sleep(100 * 365 * 24 * time.Hour)
		if has, rate := w.HasString("x"), w.Rate(); has || rate != 0 {
			t.Errorf("HasString, Rate after a hundred years = %t, %v, want false, 0", has, rate)
		}
	})
}

// TestWindowClockUnset checks a window whose clock is not set when it is made,
// and then is: keys age before, across and after that.
func TestWindowClockUnset(t *testing.T) {
	var now time.Time
	w := NewWindow(1000, 1e-6, 3*time.Minute, &WindowOptions{Now: func() time.Time { return now }})
	ages := func(key string) {
		t.Helper()
		w.AddString(key)
		now = now.Add(3 * time.Minute)
		if !w.HasString(key) {
			t.Errorf("HasString(%s) = false after the window, at %v, want true", key, now)
		}
		now = now.Add(time.Minute)
		if w.HasString(key) {
			t.Errorf("HasString(%s) = true after 4/3 of the window, at %v, want false", key, now)
		}
	}

	ages("before")
	w.AddString("across")
	now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	if w.HasString("across") {
		t.Error("HasString(across) = true when the clock was set, want false")
	}
	ages("after")
}

// TestWindowRotate checks that the generations are forgotten in their order.
func TestWindowRotate(t *testing.T) {
	for _, span := range []time.Duration{0, time.Hour} {
		now := time.Unix(0, 0)
		w := NewWindow(1000, 1e-6, span, &WindowOptions{Generations: 3, Now: func() time.Time { return now }})
		for i := range uint64(10) {
			w.AddUint64(i)
			for j := range i + 1 {
				if got, want := w.HasUint64(j), i-j < 3; got != want {
					t.Errorf("window %v: HasUint64 of %d turns ago = %t, want %t", span, i-j, got, want)
				}
			}
			w.Rotate()
		}
		now = now.Add(-time.Hour)
		checkAnswers(t, []answer{
			{"HasUint64(9) after the clock went back", w.HasUint64(9), true},
			{"Add(a)", w.Add([]byte("a")), true},
			{"AddString(a) again", w.AddString("a"), false},
		})
	}
}

// TestWindowRotateAges checks that Rotate makes keys that are there age by the
// rest of the turn: one that came just before lives so much shorter.
func TestWindowRotateAges(t *testing.T) {
	var clock fakeClock
	w := NewWindow(1000, 1e-6, 3*time.Second, &WindowOptions{Now: clock.now})
	clock.sleep(900 * time.Millisecond)
	w.AddString("before")
	w.Rotate()
	w.AddString("after")
	clock.sleep(2100*time.Millisecond - 1)
	checkAnswers(t, []answer{
		{"HasString(before) at the end", w.HasString("before"), true},
	})
	clock.sleep(1)
	checkAnswers(t, []answer{
		{"HasString(before) after it", w.HasString("before"), false},
		{"HasString(after)", w.HasString("after"), true},
	})
	clock.sleep(time.Second)
	checkAnswers(t, []answer{
		{"HasString(after) after its window", w.HasString("after"), false},
	})
}

// TestWindowRateForgets checks that Rate does not count lines that were written
// in turns which are over.
func TestWindowRateForgets(t *testing.T) {
	w := NewWindow(1000, 0.01, 0, nil)
	for i := range uint64(1000) {
		w.AddUint64(i)
	}
	if got := w.Rate(); got < 0.002 || got > 0.01 {
		t.Errorf("a full window errs at %g, want nearly 0.01", got)
	}
	for range w.gens {
		w.Rotate()
	}
	if got := w.Rate(); got != 0 {
		t.Errorf("a window that has forgotten all errs at %g, want 0", got)
	}
}

// TestWindowNoPause checks that a new turn clears no more than the lines that a
// key lies in.
func TestWindowNoPause(t *testing.T) {
	w := NewWindow(10_000, 1e-6, 0, nil)
	for i := range uint64(10_000) {
		w.AddUint64(i)
	}
	for range 2 * w.gens {
		w.Rotate()
		before := append([]line(nil), w.lines...)
		w.AddUint64(1)
		changed := 0
		for i := range before {
			if before[i] != w.lines[i] {
				changed++
			}
		}
		if changed > w.perKey {
			t.Fatalf("one Add changed %d lines", changed)
		}
	}
}

// TestWindowPanics checks the options, and the words of the panics.
func TestWindowPanics(t *testing.T) {
	if got := NewWindow(10, 0.1, time.Hour, nil).Bits(); got == 0 || got%lineBits != 0 {
		t.Errorf("Bits = %d, want a multiple of %d", got, lineBits)
	}
	if err := (*WindowOptions)(nil).Validate(); err != nil {
		t.Error(err)
	}
	for want, f := range map[string]func(){
		"bloom: zero Window: use NewWindow":                                func() { new(Window).HasUint64(1) },
		"bloom: n must be between 0 and 2^48, got -1":                      func() { NewWindow(-1, 0.1, 0, nil) },
		"bloom: window must not be negative, got -1ns":                     func() { NewWindow(1, 0.1, -1, nil) },
		"bloom: p must be at least 4e-12 for 4 generations, got 2e-12":     func() { NewWindow(1, 2e-12, 0, nil) },
		"bloom: WindowOptions.Generations must be between 2 and 64, got 1": func() { NewWindow(1, 0.1, 0, &WindowOptions{Generations: 1}) },
		"bloom: WindowOptions.Lines must be between 0 and 2, got 3":        func() { NewWindow(1, 0.1, 0, &WindowOptions{Lines: 3}) },
	} {
		mustPanic(t, want, f)
	}
}
