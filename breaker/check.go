// SPDX-License-Identifier: MIT

package breaker

import "fmt"

// checkLocked panics if an invariant of the implementation notes does not hold.
// It runs only under the tag invariants.
func (b *Breaker) checkLocked() {
	w, per := b.word.Load(), b.per.Load()
	if per.gen != uint32(w>>genShift) || per.state != stateOf(w) || per.word != pack(per.gen, per.state) {
		panic(fmt.Sprintf("breaker: I1 violated: word %#x, period %d is %v", w, per.gen, per.state))
	}
	if n := outstandingOf(w); n != len(b.probes) || n > maxProbes {
		panic(fmt.Sprintf("breaker: I2 violated: %d outstanding, %d tickets", n, len(b.probes)))
	}
	if per.state != HalfOpen && w<<genShift>>genShift != uint64(per.state) {
		panic(fmt.Sprintf("breaker: I3 violated: word %#x while %v", w, per.state))
	}
	if rejects := per.state != Closed && per.state != Disabled; rejects != (per.err != nil) {
		panic(fmt.Sprintf("breaker: I4 violated: %v with error %v", per.state, per.err))
	}
	if timed := b.clock.now == nil && b.dueLocked(per) != never; timed != (b.timer != nil) {
		panic(fmt.Sprintf("breaker: I5 violated: timer %v while %v", b.timer, per.state))
	}
	if b.refusal.Load() != nil && per.state != ForcedOpen && (per.state != Open || b.clock.now != nil) {
		panic(fmt.Sprintf("breaker: I6 violated: a refusal while %v", per.state))
	}
}

// checkLocked panics if the counters of l are not those of its bits.
func (l *last) checkLocked() {
	if sum := l.recount(); sum[failures] != l.tally[failures] || sum[slows] != l.tally[slows] {
		panic(fmt.Sprintf("breaker: window violated: %v, counted %v", l.tally, sum))
	}
}

// checkLocked panics if a member of g does not know its place.
func (g *Group[K]) checkLocked() {
	for i, m := range g.members {
		if v, ok := g.m.Load(m.key); m.place != i || !ok || v != any(m) {
			panic(fmt.Sprintf("breaker: group violated: member %v at %d believes to be at %d", m.key, i, m.place))
		}
	}
}
