// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A KeyedWindow is a [Window] for each key, in bounded memory: "100 a minute
// per address", "1000 a day per user". It decides for each key as a Window of
// its own does, by the same code. Keys not heard of have counted nothing; a key
// of which nothing counts any more is forgotten when another needs its place.
//
// It is the table of [Keyed], with its bound: when that is full, a new key
// takes the place of one of up to 16 others, the one of which the fewest events
// count, and [KeyedStats] counts the events forgiven. It is safe for concurrent
// use by multiple goroutines, must not be copied, needs no Close and starts no
// goroutine. Use [NewKeyedSlidingLog], [NewKeyedSlidingWindow] or
// [NewKeyedQuota]; methods of a zero KeyedWindow panic.
//
// A clock that steps back is treated, for each key, as stopped until it catches
// up.
type KeyedWindow[K comparable] struct {
	table table[K]
	n     atomic.Int64
	most  int64 // bounds n and the limits of keys
}

// maxKeyedLog keeps a set of a keyed log, which is allocated as a whole, within
// a few megabytes.
const maxKeyedLog = 1 << 16

// NewKeyedSlidingLog returns a KeyedWindow that is exact, like [NewSlidingLog].
// A slot of its table takes 24 bytes and 8 for each of n events, n rounded up
// to a power of two, whether they happen or not. If opts is nil, the defaults
// are used. It panics if n is not between 1 and 65536, if length is not
// positive, or if opts is not valid.
func NewKeyedSlidingLog[K comparable](n int, length time.Duration, opts *KeyedOptions) *KeyedWindow[K] {
	checkWindow(n, length)
	checkLog(n)
	ring := 1 << bits.Len64(uint64(n-1))
	return newKeyedWindow[K](n, length, 3+ring, int64(ring), mustKeyed(opts), func(clock) storedCounter {
		return newEventLog(length)
	})
}

// checkLog panics if n is more than the events of a log of a key.
func checkLog(n int) {
	if n > maxKeyedLog {
		panic(fmt.Sprintf("ratelimit: number of events of a keyed log must be at most 65536, got %d", n))
	}
}

// NewKeyedSlidingWindow returns a KeyedWindow that counts by slices, like
// [NewSlidingWindow]. A slot of its table takes 8·(slices+3) bytes, and 32 with
// [Weighted]. If opts is nil, the defaults are used. It panics if n, length or
// slices is not positive, except for Weighted, if slices exceed the nanoseconds
// of length, or if opts is not valid.
func NewKeyedSlidingWindow[K comparable](n int, length time.Duration, slices int, opts *KeyedOptions) *KeyedWindow[K] {
	checkWindow(n, length)
	_, counts := newSlidingCounter(length, slices)
	return newKeyedWindow[K](n, length, 2+counts, math.MaxInt64, mustKeyed(opts), func(clock) storedCounter {
		c, _ := newSlidingCounter(length, slices)
		return c
	})
}

// NewKeyedQuota returns a KeyedWindow that admits n events of a key in each
// period of the calendar, like [NewQuota]. A slot of its table takes 16 bytes.
// If opts is nil, the defaults are used; the default clock is time.Now. It
// panics if n is not positive or if opts is not valid.
func NewKeyedQuota[K comparable](n int, period Period, opts *KeyedOptions) *KeyedWindow[K] {
	checkWindow(n, 1)
	o := mustKeyed(opts)
	o.Now = wallClock(o.Now)
	return newKeyedWindow[K](n, period.length(), 2, math.MaxInt64, o, func(c clock) storedCounter {
		return newPeriodCounter(period, c.base)
	})
}

// newKeyedWindow returns a KeyedWindow of at most most events a key, whose
// slots have width words. Each shard has a counter of its own.
func newKeyedWindow[K comparable](
	n int, length time.Duration, width int, most int64, o KeyedOptions, counter func(clock) storedCounter,
) *KeyedWindow[K] {
	w := &KeyedWindow[K]{table: newTable[K](o, nil, width, maxCapacity), most: most}
	w.n.Store(int64(n))
	for i := range w.table.shards {
		c := counter(w.table.clock)
		w.table.shards[i].rule = &windowRule{
			state:  windowState{length: length, counter: c},
			stored: c,
			blank:  make([]int64, width),
		}
	}
	return w
}

// A windowRule is the rule of a KeyedWindow: a window that is used, with the
// lock of its shard held, for one key after another. It takes on the words of a
// slot, and leaves them there after the decision. The first word is the number
// of events that count; the others are the counter's.
type windowRule struct {
	state  windowState
	stored storedCounter // state.counter
	blank  []int64       // the words of a key that is absent
}

// open returns the window of words. shut must follow if it is changed.
func (r *windowRule) open(words []int64) *windowState {
	r.state.used = words[0]
	r.stored.load(words[1:], words[0])
	return &r.state
}

// shut puts the window into words.
func (r *windowRule) shut(words []int64) {
	words[0] = r.state.used
	r.stored.store(words[1:])
}

func (r *windowRule) fresh(words []int64) {
	clear(words)
	words[1] = math.MinInt64
}

func (r *windowRule) owed(words []int64, d int64) float64 {
	return float64(r.open(words).counter.count(d))
}

func (r *windowRule) forgiven(words []int64, d int64) uint64 {
	return uint64(r.open(words).counter.count(d))
}

func (r *windowRule) freeAfter(words []int64, d int64) time.Duration {
	return r.open(words).peek(d, 0, math.MaxInt64).ResetAfter
}

// move does nothing: the base of windows never moves.
func (r *windowRule) move([]int64, int64) {}

// mustUse panics if w is the zero KeyedWindow.
func (w *KeyedWindow[K]) mustUse() {
	if w.table.shards == nil {
		panic("ratelimit: zero KeyedWindow: use NewKeyedSlidingLog, NewKeyedSlidingWindow or NewKeyedQuota")
	}
}

// reading returns the reading of the clock.
func (w *KeyedWindow[K]) reading() int64 {
	w.mustUse()
	return w.table.clock.read()
}

// Allow reports whether one event of key may happen now, and counts it if so.
func (w *KeyedWindow[K]) Allow(key K) bool { return w.takeAt(key, w.reading(), 1, w.n.Load(), nil).OK }

// AllowN reports whether n events of key may happen now, and counts them, all
// or none. Zero events may always happen. It panics if n is negative.
func (w *KeyedWindow[K]) AllowN(key K, n int) bool {
	return w.takeAt(key, w.reading(), checkN(n), w.n.Load(), nil).OK
}

// AllowAt is AllowN at time t, for replays and simulations; see
// [Keyed.AllowAt]. A time before that of an earlier event of the key counts as
// that. It must lie within 73 years of the time when w was made.
func (w *KeyedWindow[K]) AllowAt(key K, t time.Time, n int) bool {
	w.mustUse()
	return w.takeAt(key, w.table.clock.at(t), checkN(n), w.n.Load(), nil).OK
}

// Take counts n events of key, all or none, and describes its window at that
// instant. It panics if n is negative.
func (w *KeyedWindow[K]) Take(key K, n int) Decision {
	return w.takeAt(key, w.reading(), checkN(n), w.n.Load(), nil)
}

// TakeLimit is Take under a number of events of the key's own, such as that of
// a customer's contract, in place of the one given to the constructor. It
// panics if n is negative, or if limit is not positive or, for a keyed log, if
// it exceeds the number given to the constructor, rounded up to a power of two.
func (w *KeyedWindow[K]) TakeLimit(key K, n, limit int) Decision {
	t := w.reading()
	return w.takeAt(key, t, checkN(n), w.checkLimit(limit), nil)
}

// SetLimit changes the number of events of each key to n, now: those counted so
// far stay counted. It panics if n is not positive or, for a keyed log, if it
// exceeds the number given to the constructor, rounded up to a power of two.
func (w *KeyedWindow[K]) SetLimit(n int) {
	w.mustUse()
	w.n.Store(w.checkLimit(n))
}

// checkLimit returns n. It panics if n is not between 1 and w.most.
func (w *KeyedWindow[K]) checkLimit(n int) int64 {
	checkWindow(n, 1)
	if int64(n) > w.most {
		panic(fmt.Sprintf("ratelimit: number of events must be at most %d, got %d", w.most, n))
	}
	return int64(n)
}

// maxWindowReading keeps readings within the span of the table, 73 years.
const maxWindowReading = maxCapacity

// enter locks the shard of key. It returns its rule and the reading t as one of
// the table.
func (w *KeyedWindow[K]) enter(key K, t int64) (s *shard[K], r *windowRule, h uint64, d int64) {
	s, h = w.table.lock(key)
	return s, s.rule.(*windowRule), h, min(max(t, -maxWindowReading), maxWindowReading)
}

// takeAt counts n events of key at reading t under limit. rec, if not nil, is
// where to put a receipt.
func (w *KeyedWindow[K]) takeAt(key K, t, n, limit int64, rec *receipt) Decision {
	s, r, h, t := w.enter(key, t)
	defer s.mu.Unlock()
	i := s.find(key, h)
	words := r.blank
	if i >= 0 {
		words = s.at(i)
	} else {
		r.fresh(words)
		t = s.absent(t)
	}

	win := r.open(words)
	d := win.take(t, n, limit)
	if rec != nil {
		rec.until = win.counter.until(t)
	}
	r.shut(words)

	// A new key needs a slot. To find one, r opens others.
	if i < 0 && d.OK && n > 0 {
		if i = s.place(&w.table, key, h, t, nil, !w.table.denyNew); i >= 0 {
			copy(s.at(i), r.blank)
		} else {
			d = Decision{Limit: int(limit), Remaining: int(limit), RetryAfter: s.roomAfter(h, t), Window: d.Window}
		}
	}

	// Count the decision.
	switch {
	case !d.OK:
		s.denied++
	case n > 0:
		s.allowed++
	}
	if invariants {
		s.checkLocked(&w.table)
	}
	return d
}

// Peek returns the answer of Take(key, n), and changes nothing. It panics if n
// is negative.
func (w *KeyedWindow[K]) Peek(key K, n int) Decision {
	events := checkN(n)
	s, r, h, t := w.enter(key, w.reading())
	defer s.mu.Unlock()
	limit := w.n.Load()
	if i := s.find(key, h); i >= 0 {
		return r.open(s.at(i)).peek(t, events, limit)
	}

	t = s.absent(t)
	r.fresh(r.blank)
	d := r.open(r.blank).peek(t, events, limit)
	if d.OK && n > 0 && w.table.denyNew && !s.hasRoom(h, t) {
		return Decision{Limit: int(limit), Remaining: int(limit), RetryAfter: s.roomAfter(h, t), Window: d.Window}
	}
	return d
}

// Return takes back n events of key that were counted and did not happen; see
// [Window.Return]. It panics if n is negative.
func (w *KeyedWindow[K]) Return(key K, n int) {
	w.giveBack(key, checkN(n), math.MaxInt64)
}

func (w *KeyedWindow[K]) giveBack(key K, n, until int64) {
	s, r, h, t := w.enter(key, w.reading())
	defer s.mu.Unlock()
	if i := s.find(key, h); i >= 0 {
		r.open(s.at(i)).giveBack(t, n, until)
		r.shut(s.at(i))
	}
}

// Delete forgets the events of key.
func (w *KeyedWindow[K]) Delete(key K) {
	w.mustUse()
	w.table.remove(key)
}

// Clear forgets all keys.
func (w *KeyedWindow[K]) Clear() {
	w.mustUse()
	w.table.clear()
}

// Len returns the number of keys held, at most MaxKeys. Keys of which nothing
// counts any more are among them, until another needs their place. The
// complexity is O(1): at most 256 shards are locked, one after another.
func (w *KeyedWindow[K]) Len() int { return w.Stats().Keys }

// Stats returns the counters of w. The complexity is that of Len.
func (w *KeyedWindow[K]) Stats() KeyedStats {
	w.mustUse()
	return w.table.stats()
}

// Gate returns the window of key as a [Gate], to be combined by [All].
func (w *KeyedWindow[K]) Gate(key K) Gate { return windowGate[K]{w, key} }
