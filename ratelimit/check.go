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
	length, queued := int64(0), int64(0)
	for w := l.queue.head; w != nil; w = w.next {
		if w.held && (w != l.queue.head || w.span.end > spent) {
			panic(fmt.Sprintf("ratelimit: I4 violated: waiter %d holds %v of %d", length, w.span, spent))
		}
		if !w.held {
			queued += w.n
		}
		length++
	}
	if length != l.queue.waiting.Load() || queued != l.queue.queued {
		panic(fmt.Sprintf("ratelimit: I5 violated: %d waiters for %d tokens, counted %d for %d",
			length, queued, l.queue.waiting.Load(), l.queue.queued))
	}
}

// checkLocked panics if an invariant of the notes on Concurrency does not hold.
func (c *Concurrency) checkLocked() {
	w := c.word.Load()
	if (w&queueBit != 0) != (c.line.waiting > 0) {
		panic(fmt.Sprintf("ratelimit: C1 violated: word %#x with %d waiting", w, c.line.waiting))
	}
	if w&queueBit != 0 && inFlightOf(w) < limitOf(w) {
		panic(fmt.Sprintf("ratelimit: C2 violated: %d wait with %d of %d in flight", c.line.waiting, inFlightOf(w), limitOf(w)))
	}
	waiting := 0
	for i, v := range c.line.levels {
		if v.head == nil || i > 0 && c.line.levels[i-1].priority <= v.priority {
			panic(fmt.Sprintf("ratelimit: C3 violated: level %d, of priority %d", i, v.priority))
		}
		for w := v.head; w != nil; w = w.next {
			waiting++
		}
	}
	if waiting != c.line.waiting {
		panic(fmt.Sprintf("ratelimit: C3 violated: %d waiting, counted %d", waiting, c.line.waiting))
	}
}

// checkLocked panics if an invariant of the notes on Keyed does not hold.
func (s *shard[K]) checkLocked(k *Keyed[K]) {
	used := 0
	for i := range s.keys {
		if !s.occupied(i) {
			continue
		}
		used++
		h := maphash.Comparable(k.seed, s.keys[i])
		if a, b := s.setsOf(h); i/ways != a && i/ways != b || s.find(s.keys[i], h) != i {
			panic(fmt.Sprintf("ratelimit: K2 violated: slot %d, sets %d and %d", i, a, b))
		}
		tiers := len(s.plan.meters)
		for _, spent := range s.spent[i*tiers : (i+1)*tiers] {
			if spent < full || spent > maxSupply+maxDebt {
				panic(fmt.Sprintf("ratelimit: K3 violated: spent is %d", spent))
			}
		}
	}
	if used != s.used || used > s.maxSets*ways {
		panic(fmt.Sprintf("ratelimit: K1 violated: %d slots, counted %d, room for %d", used, s.used, s.maxSets*ways))
	}
}
