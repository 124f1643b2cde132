// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A cloudflareCounter is the sliding window counter of Cloudflare and httprate,
// as they write it: the rate is that of the last window, by the part of it that
// is still inside, and that of this one.
type cloudflareCounter struct {
	n, length       int64
	window          int64 // number of the current one
	current, before int64
}

func (c *cloudflareCounter) allow(t int64) bool {
	switch w := t / c.length; {
	case w == c.window+1:
		c.window, c.before, c.current = w, c.current, 0
	case w > c.window:
		c.window, c.before, c.current = w, 0, 0
	}
	inside := c.length - t%c.length
	if c.current*c.length+c.before*inside+c.length > c.n*c.length {
		return false
	}
	c.current++
	return true
}

// TestTrapWeightedCounter checks that Weighted decides as the counter of
// Cloudflare and httprate does, without its rounding, and what it costs:
// requests at the end of a window, and then all the time, get nearly twice the
// limit within one length. A sliding window, of two counters as well, gives
// them the limit.
func TestTrapWeightedCounter(t *testing.T) {
	const n, length = 1000, int64(time.Minute)
	var clock fakeClock
	theirs := &cloudflareCounter{n: n, length: length}
	weighted := NewSlidingWindow(n, time.Duration(length), Weighted, &Options{Now: clock.now})
	sliding := NewSlidingWindow(n, time.Duration(length), 1, &Options{Now: clock.now})
	both := map[string]int{}
	for clock.t = length - int64(time.Millisecond); clock.t < 2*length-int64(time.Millisecond); clock.t += int64(time.Millisecond) {
		for range 2 * n {
			want := theirs.allow(clock.t)
			check(t, weighted.Allow(), want, "Allow at %d", clock.t)
			if !want {
				break
			}
			both["weighted"]++
		}
		both["sliding"] += b2i(sliding.Allow())
	}
	if got := both["weighted"]; got < 2*n-5 || got > 2*n-1 {
		t.Errorf("weighted counters admitted %d, want about %d", got, 2*n-1)
	}
	check(t, both["sliding"], n, "events of the sliding window")
}

// TestPropWeightedExact checks the arithmetic of weights against integers
// without bounds, for numbers of events and lengths up to the largest: the
// weight is rounded up, and the time at which some of it is gone is the first.
func TestPropWeightedExact(t *testing.T) {
	large := rapid.OneOf(rapid.Int64Range(1, 1000), rapid.Int64Range(1, math.MaxInt64), rapid.Just(int64(math.MaxInt64)))
	rapid.Check(t, func(t *rapid.T) {
		width := large.Draw(t, "length")
		now := rapid.Int64Range(-maxReading, maxReading).Draw(t, "now")
		older := rapid.Int64Range(0, large.Draw(t, "older")).Draw(t, "of them")
		newer := rapid.Int64Range(0, math.MaxInt64-older).Draw(t, "newer")
		c := newWeightedCounter(width)
		c.expire(now - min(width, now+maxReading))
		if c.slice(now) == c.current {
			older = 0 // the slot before is before all readings
		}
		c.add(now, older)
		c.expire(now)
		c.add(now, newer)

		// The weight at any time, in integers without bounds.
		end := new(big.Int).Div(big.NewInt(now), big.NewInt(width)) // rounds down
		end.Add(end, big.NewInt(1))
		end.Mul(end, big.NewInt(width))
		weight := func(t *big.Int) *big.Int {
			n, then := big.NewInt(older), big.NewInt(newer)
			left := new(big.Int).Sub(end, t)
			if left.Sign() <= 0 {
				n, then = then, new(big.Int)
				left.Add(left, big.NewInt(width))
			}
			if left.Sign() <= 0 {
				return new(big.Int)
			}
			n.Mul(n, left)
			n.Add(n, big.NewInt(width-1))
			n.Div(n, big.NewInt(width))
			return n.Add(n, then)
		}

		count := c.count(now)
		check(t, big.NewInt(count).Cmp(weight(big.NewInt(now))), 0, "count %d against %v", count, weight(big.NewInt(now)))
		if count == 0 {
			return
		}
		n := rapid.Int64Range(1, count).Draw(t, "n")
		at1 := big.NewInt(c.free(now, n))
		want := big.NewInt(count - n)
		if got := weight(at1); got.Cmp(want) > 0 && at1.Int64() < math.MaxInt64 {
			t.Fatalf("free(%d) = %v, when %v are left, want %v", n, at1, got, want)
		}
		if got := weight(new(big.Int).Sub(at1, big.NewInt(1))); got.Cmp(want) <= 0 {
			t.Fatalf("free(%d) = %v, and %v are left before, want more than %v", n, at1, got, want)
		}
	})
}

// TestWeightedStored checks that a store and a snapshot hold whole events: what
// is read of them half a slot later weighs half of them, and not of half.
func TestWeightedStored(t *testing.T) {
	var clock fakeClock
	opts := &Options{Now: clock.now}
	w := NewSlidingWindow(100, time.Minute, Weighted, opts)
	s := w.Share(NewMemStore(opts), sharedAt(&clock))
	w.AllowN(80)
	_, err := s.Take(t.Context(), "key", 80)
	checkErr(t, err, nil, "Take")
	for range 3 {
		clock.t = int64(90 * time.Second) // half of them count
		d, err := s.Take(t.Context(), "key", 1)
		checkErr(t, err, nil, "Take")
		check(t, d, w.Take(1), "Take half a slot later")
	}

	var b bytes.Buffer
	_, err = w.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	again := NewSlidingWindow(100, time.Minute, Weighted, opts)
	_, err = again.ReadFrom(&b)
	checkErr(t, err, nil, "ReadFrom")
	check(t, again.Peek(0).Remaining, 100-80-3, "Remaining of a window whose slot begins now")
}
