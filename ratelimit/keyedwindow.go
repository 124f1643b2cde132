// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// A KeyedWindow is a [Window] or a [Quota] for each key, in bounded memory: "100 a minute per address",
// "1000 a day per user". It decides for each key as a Window or Quota of its own would, by
// the same code. Keys not heard of have counted nothing; a key of which nothing counts any more is
// forgotten when another needs its place.
//
// It is the table of [Keyed], with its bound: when that is full, a new key takes the place of
// one of up to 16 others, the one of which the fewest events count, and [KeyedStats] says how many
// were so forgiven. It is safe for concurrent use by multiple goroutines,
// needs no Close and starts no goroutine. Use [NewKeyedSlidingLog], [NewKeyedSlidingWindow] or
// [NewKeyedQuota]; methods of a zero KeyedWindow panic.
//
// A clock that goes back is taken to stand still, for all keys.
type KeyedWindow[K comparable] struct{ table *Keyed[K] }

// maxKeyedLog keeps a set of a keyed log, which is allocated as a whole, within a few megabytes.
const maxKeyedLog = 1 << 16

// NewKeyedSlidingLog returns a KeyedWindow that is exact, like [NewSlidingLog]. A slot of its table takes
// 8 bytes for each of n events, n rounded up to a power of two, whether they happen or not.
// If opts is nil, the defaults are used. It panics if n is not between 1 and 65536, if length is not
// positive, or if opts are not valid.
func NewKeyedSlidingLog[K comparable](n int64, length time.Duration, opts *KeyedOptions) *KeyedWindow[K] {
	w := newWindow("NewKeyedSlidingLog", n, length, nil)
	if n > maxKeyedLog {
		panic(fmt.Sprintf("ratelimit: NewKeyedSlidingLog: the number of events must be at most 65536, got %d", n))
	}
	width := 2 + 1<<bits.Len64(uint64(n-1))
	return newKeyedWindow[K]("NewKeyedSlidingLog", w, width, opts, func(*Keyed[K]) storedCounter {
		return &eventLog{length: int64(length)}
	})
}

// NewKeyedSlidingWindow returns a KeyedWindow that counts by slices, like [NewSlidingWindow]. A slot of its
// table takes 8·(slices+3) bytes.
// If opts is nil, the defaults are used. It panics if n, length or slices is not positive, if slices
// exceed the nanoseconds of length, or if opts are not valid.
func NewKeyedSlidingWindow[K comparable](n int64, length time.Duration, slices int, opts *KeyedOptions) *KeyedWindow[K] {
	w := newWindow("NewKeyedSlidingWindow", n, length, nil)
	part := sliceWidth("NewKeyedSlidingWindow", length, slices)
	return newKeyedWindow[K]("NewKeyedSlidingWindow", w, slices+3, opts, func(*Keyed[K]) storedCounter {
		return &sliceCounter{width: part}
	})
}

// NewKeyedQuota returns a KeyedWindow that admits n events of a key in each period of the calendar, like
// [NewQuota]. A slot of its table takes 16 bytes. If opts is nil, the defaults are used; the
// default clock is time.Now. It panics if n is not positive or if opts are not valid.
func NewKeyedQuota[K comparable](n int64, period Period, opts *KeyedOptions) *KeyedWindow[K] {
	w := newWindow("NewKeyedQuota", n, 1, nil) // the length is that of the period
	var o KeyedOptions
	if opts != nil {
		o = *opts
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	o.Now = func() time.Time { return now().Round(0) } // what the wall says, not how long it has been
	return newKeyedWindow[K]("NewKeyedQuota", w, 2, &o, func(k *Keyed[K]) storedCounter {
		return &periodCounter{period: period, base: k.base, latest: math.MinInt64}
	})
}

func newKeyedWindow[K comparable](method string, w *Window, width int, opts *KeyedOptions, counter func(*Keyed[K]) storedCounter) *KeyedWindow[K] {
	k := newTable[K](method, newPlan(nil), width, opts)
	for i := range k.shards {
		c := &cell{stored: counter(k), blank: make([]int64, width)}
		c.window.n, c.window.counter = w.n, c.stored
		k.shards[i].events = c
	}
	return &KeyedWindow[K]{k}
}

// A cell is a Window that is used, with the lock of a shard held, for one key after another: it
// takes on what the words of a slot hold, and leaves there what has become of it. The first of
// the words is the number of events that count; the others are the counter's.
type cell struct {
	window Window
	stored storedCounter // window.counter
	blank  []int64       // the words of a key that is absent
}

// A storedCounter is a counter that can be that of another key.
type storedCounter interface {
	counter
	// load makes words the counter, of n events.
	load(words []int64, n int64)
	// store completes words. The first is 64 bits that load sees again; blank words begin with math.MinInt64.
	store(words []int64)
}

// open returns the window of words at reading t, advanced to it. shut must follow.
func (c *cell) open(words []int64, t int64) *Window {
	w := &c.window
	w.latest, w.used = t, words[0]
	c.stored.load(words[1:], words[0])
	w.advanceLocked(t)
	return w
}

func (c *cell) shut(words []int64) {
	words[0] = c.window.used
	c.stored.store(words[1:])
}

// fresh returns the words of a key that is absent.
func (c *cell) fresh() []int64 {
	clear(c.blank)
	c.blank[1] = math.MinInt64
	return c.blank
}

// count returns how many of the events in words count at t.
func (c *cell) count(words []int64, t int64) int64 {
	defer c.shut(words)
	return c.open(words, t).used
}

// after returns the time until none of the events in words, which are not none, counts.
func (c *cell) after(words []int64, t int64) time.Duration {
	defer c.shut(words)
	return c.open(words, t).decideLocked(t, 0, true).ResetAfter
}

func (l *eventLog) load(words []int64, n int64) {
	l.times, l.size = words[1:], int(n)
	l.head = int(words[0] & int64(len(l.times)-1))
}

func (l *eventLog) store(words []int64) { words[0] = int64(l.head) }

func (c *sliceCounter) load(words []int64, _ int64) { c.current, c.counts = words[0], words[1:] }

func (c *sliceCounter) store(words []int64) { words[0] = c.current }

// A periodCounter counts the events of a period of the calendar.
type periodCounter struct {
	period Period
	base   time.Time
	latest int64 // the end of the latest period that any key was in
	end    int64 // of the period of this key
	used   int64
}

func (c *periodCounter) load(words []int64, n int64) { c.end, c.used = words[0], n }

func (c *periodCounter) store(words []int64) { words[0] = c.end }

func (c *periodCounter) expire(t int64) (n int64) {
	if t < c.end {
		return 0
	}
	if t >= c.latest {
		c.latest = int64(c.period.next(c.base.Add(time.Duration(t))).Sub(c.base))
	}
	n, c.used, c.end = c.used, 0, c.latest
	return n
}

func (c *periodCounter) add(_, n int64) { c.used += n }

func (c *periodCounter) remove(n int64) int64 {
	n = min(n, c.used)
	c.used -= n
	return n
}

func (c *periodCounter) when(int64) int64 { return c.end }

// maxWindowReading keeps readings within the span of a table without buckets, 73 years.
const maxWindowReading = maxCapacity

func (w *KeyedWindow[K]) elapsed() int64 {
	if w.table == nil {
		panic("ratelimit: zero KeyedWindow: use NewKeyedSlidingLog, NewKeyedSlidingWindow or NewKeyedQuota")
	}
	return w.table.elapsed()
}

// Allow reports whether one event of key may happen now, and counts it if so.
func (w *KeyedWindow[K]) Allow(key K) bool { return w.take(key, w.elapsed(), 1, true).OK }

// AllowN reports whether n events of key may happen now, and counts them, all or none.
// Zero events may always happen. It panics if n is negative.
func (w *KeyedWindow[K]) AllowN(key K, n int64) bool {
	return w.take(key, w.elapsed(), checkN("AllowN", n), true).OK
}

// AllowAt is AllowN at time t, for replays and simulations; a time before that of an earlier
// call, for any key, may count as that. It must lie within 73 years of when w was made.
func (w *KeyedWindow[K]) AllowAt(key K, t time.Time, n int64) bool {
	return w.take(key, w.table.reading(t), checkN("AllowAt", n), true).OK
}

// Take counts n events of key, all or none, and describes its window at that instant.
// It panics if n is negative.
func (w *KeyedWindow[K]) Take(key K, n int64) Decision {
	return w.take(key, w.elapsed(), checkN("Take", n), true)
}

// Peek returns what Take(key, n) would, and counts nothing. It panics if n is negative.
func (w *KeyedWindow[K]) Peek(key K, n int64) Decision {
	return w.take(key, w.elapsed(), checkN("Peek", n), false)
}

func (w *KeyedWindow[K]) lock(key K, t int64) (s *shard[K], h uint64, d int64) {
	return w.table.lock(key, min(max(t, -maxWindowReading), maxWindowReading), nil)
}

// take decides about n events of key, and counts them if keep is set.
func (w *KeyedWindow[K]) take(key K, t, n int64, keep bool) Decision {
	s, h, t := w.lock(key, t)
	defer s.mu.Unlock()
	i := s.find(key, h)
	var words []int64
	if i >= 0 {
		words = s.words(i)
	} else {
		words = s.events.fresh()
	}
	win := s.events.open(words, t)
	var d Decision
	if keep {
		d = win.takeLocked(t, n)
	} else {
		d = win.peekLocked(t, n)
	}
	s.events.shut(words)
	if d.OK && n > 0 && i < 0 {
		d = w.admitNew(s, key, h, t, d, keep)
	}
	switch {
	case !keep:
	case !d.OK:
		s.denied++
	case n > 0:
		s.allowed++
	}
	if invariants {
		s.checkLocked(w.table)
	}
	return d
}

// admitNew gives key, for which d was decided and whose words are those of an absent key, a slot.
// It returns d, or a refusal if there is no room.
func (w *KeyedWindow[K]) admitNew(s *shard[K], key K, h uint64, t int64, d Decision, keep bool) Decision {
	k := w.table
	if !keep && (!k.denyNew || s.hasRoom(h, t)) {
		return d
	}
	if keep {
		if i := s.place(k, key, h, t, nil, !k.denyNew); i >= 0 {
			copy(s.words(i), s.events.blank)
			return d
		}
	}
	return Decision{Limit: d.Limit, Remaining: d.Limit, RetryAfter: s.roomAfter(h, t)}
}

// Return takes back n of the latest events of key: they did not happen. It panics if n is negative.
func (w *KeyedWindow[K]) Return(key K, n int64) {
	checkN("Return", n)
	s, h, t := w.lock(key, w.elapsed())
	defer s.mu.Unlock()
	if i := s.find(key, h); i >= 0 {
		words := s.words(i)
		win := s.events.open(words, t)
		win.used -= win.counter.remove(n)
		s.events.shut(words)
	}
}

// Reset forgets what was counted of key.
func (w *KeyedWindow[K]) Reset(key K) {
	s, h, _ := w.lock(key, w.elapsed())
	defer s.mu.Unlock()
	if i := s.find(key, h); i >= 0 {
		s.remove(i)
	}
}

// Len returns the number of keys held, at most MaxKeys. Keys of which nothing counts any more are
// among them, until another needs their place. The complexity is O(1): at most 256 additions.
func (w *KeyedWindow[K]) Len() int { return w.table.Len() }

// Stats returns the counters of w. Its cost is a lock of each shard.
func (w *KeyedWindow[K]) Stats() KeyedStats { return w.table.Stats() }

// Gate returns the window of key as a [Gate], to be combined by [All].
func (w *KeyedWindow[K]) Gate(key K) Gate { return keyGate[K]{w, key} }
