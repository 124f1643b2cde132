// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"hash/maphash"
)

// checkLocked panics if an invariant of the implementation notes does not hold.
// It runs only under the tag invariants.
func (l *Limiter) checkLocked() {
	b := l.bucket.Load()
	spent := b.spent.Load()
	if spent < full || spent > maxSupply+maxDebt {
		panic(fmt.Sprintf("ratelimit: I1 violated: spent is %d", spent))
	}
	for i, h := range l.holes {
		if h.start >= h.end || h.end > spent || i > 0 && l.holes[i-1].end >= h.start {
			panic(fmt.Sprintf("ratelimit: I3 violated: holes %v below %d", l.holes, spent))
		}
	}

	owed := int64(0)
	for w := l.queue.first(); w != nil; w = w.next {
		if w.held && (w != l.queue.first() || w.span.end > spent) {
			panic(fmt.Sprintf("ratelimit: I4 violated: a waiter holds %v of %d", w.span, spent))
		}
		if !w.held {
			owed += w.n
		}
	}
	if owed != l.owed {
		panic(fmt.Sprintf("ratelimit: I5 violated: waiters are owed %d tokens, counted %d", owed, l.owed))
	}
	l.queue.checkLocked()
}

// checkLocked panics if q is not sorted, or its length is not that of its
// levels.
func (q *queue) checkLocked() {
	length := int64(0)
	for i, v := range q.levels {
		if v.head == nil || i > 0 && q.levels[i-1].priority <= v.priority {
			panic(fmt.Sprintf("ratelimit: C3 violated: level %d, of priority %d", i, v.priority))
		}
		for w := v.head; w != nil; w = w.next {
			length++
		}
	}
	if length != q.length.Load() {
		panic(fmt.Sprintf("ratelimit: C3 violated: %d wait, counted %d", length, q.length.Load()))
	}
}

// checkLocked panics if an invariant of the notes on Concurrency does not hold.
func (c *Concurrency) checkLocked() {
	w := c.word.Load()
	waits := c.queue.first() != nil
	if (w&queueBit != 0) != waits {
		panic(fmt.Sprintf("ratelimit: C1 violated: word %#x, somebody waits: %v", w, waits))
	}
	if w&queueBit != 0 && outOf(w) < limitOf(w) {
		panic(fmt.Sprintf("ratelimit: C2 violated: somebody waits with %d of %d in flight", outOf(w), limitOf(w)))
	}
	c.queue.checkLocked()
}

// checkLocked panics if an invariant of the notes on Keyed does not hold.
func (s *shard[K]) checkLocked(t *table[K]) {
	used := 0
	for i := range s.keys {
		if !s.occupied(i) {
			continue
		}
		used++
		h := maphash.Comparable(t.seed, s.keys[i])
		if a, b := s.setsOf(h); i/ways != a && i/ways != b || s.find(s.keys[i], h) != i {
			panic(fmt.Sprintf("ratelimit: K2 violated: slot %d, sets %d and %d", i, a, b))
		}
		if s.plan == nil {
			continue
		}
		for _, spent := range s.at(i)[:len(s.planOf(i).meters)] {
			if spent < full || spent > maxSupply+maxDebt {
				panic(fmt.Sprintf("ratelimit: K3 violated: spent is %d", spent))
			}
		}
	}
	if used != s.used || used > s.maxSets*ways {
		panic(fmt.Sprintf("ratelimit: K1 violated: %d slots, counted %d, room for %d", used, s.used, s.maxSets*ways))
	}
}

// checkLocked panics if an invariant of the lines of a Keyed does not hold.
func (ls *lines[K]) checkLocked() {
	for key, l := range ls.byKey {
		owed := int64(0)
		for w := l.queue.first(); w != nil; w = w.next {
			if w.held && w != l.queue.first() {
				panic(fmt.Sprintf("ratelimit: K4 violated: a waiter for %v holds a promise behind others", key))
			}
			if !w.held {
				owed += w.n
			}
		}
		if owed != l.owed || l.queue.first() == nil {
			panic(fmt.Sprintf("ratelimit: K4 violated: waiters for %v are owed %d tokens, counted %d", key, owed, l.owed))
		}
		l.queue.checkLocked()
	}
	if n := ls.waiting.Load(); n != int64(len(ls.byKey)) {
		panic(fmt.Sprintf("ratelimit: K4 violated: %d lines, counted %d", len(ls.byKey), n))
	}
}
