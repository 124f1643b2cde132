// SPDX-License-Identifier: MIT

package ratelimit

import (
	"math"
	"sync/atomic"
	"time"
)

// maxTiers bounds the limits of a plan: a set of at most 8 tiers fits on the
// stack.
const maxTiers = 8

// A plan is the limits of a key, its tiers. It is the rule of a slot that holds
// the spending, a word a tier. It never changes, except that SetLimits gives it
// a successor.
type plan struct {
	meters []meter
	limits []Limit
	span   int64 // the smallest of the meters
	since  int64 // the reading at which it became the plan of its Keyed
	next   atomic.Pointer[plan]
}

func newPlan(limits []Limit) *plan {
	p := &plan{span: maxCapacity}
	for _, l := range limits {
		m := newMeter(l.resolve())
		p.meters = append(p.meters, m)
		p.limits = append(p.limits, l)
		p.span = min(p.span, m.span)
	}
	return p
}

// unspent are the words of a key that was never seen.
var unspent = [maxTiers]int64{full, full, full, full, full, full, full, full}

// admit returns the spending in each tier after n more tokens, and whether
// every tier permits it while keep tokens stay behind.
func (p *plan) admit(spent []int64, d, n, keep int64) (next [maxTiers]int64, ok bool) {
	ok = true
	for j := range p.meters {
		m := &p.meters[j]
		var fits bool
		next[j&(maxTiers-1)], fits = m.admit(spent[j], m.supply(d), n, keep)
		ok = ok && fits
	}
	return next, ok || n == 0 && keep == 0
}

// describe returns the decision about n tokens by the tightest tier.
func (p *plan) describe(spent []int64, d, n int64, ok bool) Decision {
	var worst Decision
	for j := range p.meters {
		dec := p.describeTier(j, spent[j], d, n, ok)
		if j == 0 || tighter(dec, worst) {
			worst = dec
		}
	}
	return worst
}

// describeTier returns the decision about n tokens by tier j.
func (p *plan) describeTier(j int, spent, d, n int64, ok bool) Decision {
	m := &p.meters[j]
	v := m.supply(d)
	_, fits := m.admit(spent, v, n, 0)
	dec := m.decide(spent, v, d, n, ok || fits)
	dec.Tier = j
	return dec
}

// tokens returns the tokens that every tier has, at most n.
func (p *plan) tokens(spent []int64, d, n int64) int64 {
	for j := range p.meters {
		m := &p.meters[j]
		n = min(n, m.tokens(spent[j], m.supply(d)))
	}
	return n
}

// due returns the first reading from d on at which every tier has n tokens, or
// never. It reports whether every tier ever holds so many.
func (p *plan) due(spent []int64, d, n int64) (at int64, ok bool) {
	at = d
	for j := range p.meters {
		m := &p.meters[j]
		if n > m.burst {
			return never, false
		}

		// The tier is due when its supply reaches the need.
		need := max(spent[j], m.supply(d)) + n*m.unit - m.capacity
		if need > m.supply(d) {
			at = max(at, m.when(need))
		}
	}
	if at > p.span {
		return never, true
	}
	return at, true
}

// carry converts spent, the words of a slot, from p to the plan to at reading
// d. Tiers are matched by position; one that p does not have begins full.
func (p *plan) carry(spent []int64, to *plan, d int64) {
	for j := range to.meters {
		if j >= len(p.meters) {
			spent[j] = full
			continue
		}
		m := &to.meters[j]
		pos := p.meters[j].convert(m, spent[j], p.meters[j].supply(d))
		spent[j] = max(pos+m.supply(d), full)
	}
}

func (p *plan) fresh(words []int64) { copy(words, unspent[:]) }

// owed returns the nanoseconds that the bucket needs to be full.
func (p *plan) owed(words []int64, d int64) float64 {
	most := 0.0
	for j := range p.meters {
		m := &p.meters[j]
		if units := words[j] - m.supply(d); units > 0 {
			most = max(most, float64(units)*m.nsPerUnit)
		}
	}
	return most
}

// victim is shard.victim for two sets that begin at slots a and b and all have
// the rule p: the supply of each tier is computed once, and not for each slot.
func (p *plan) victim(words []int64, width int, d int64, a, b int) (best int, least float64) {
	var supply [maxTiers]int64
	for j := range p.meters {
		supply[j&(maxTiers-1)] = p.meters[j].supply(d)
	}

	// The key that owes least, and the first that owes nothing.
	best = -1
	for _, from := range [2]int{a, b} {
		for i := from; i < from+ways; i++ {
			owed := 0.0
			for j := range p.meters {
				if units := words[i*width+j] - supply[j&(maxTiers-1)]; units > 0 {
					owed = max(owed, float64(units)*p.meters[j].nsPerUnit)
				}
			}
			if best < 0 || owed < least {
				best, least = i, owed
			}
			if owed == 0 {
				return i, 0
			}
		}
	}
	return best, least
}

// forgiven returns the debt in whole tokens, of the tier where it is largest.
func (p *plan) forgiven(words []int64, d int64) uint64 {
	most := int64(0)
	for j := range p.meters {
		m := &p.meters[j]
		debt := words[j] - m.supply(d)
		if debt > 0 && m.unit > 0 {
			most = max(most, (debt-1)/m.unit+1)
		}
	}
	return uint64(min(most, math.MaxInt64))
}

func (p *plan) freeAfter(words []int64, d int64) time.Duration {
	wait := time.Duration(0)
	for j := range p.meters {
		w := p.meters[j].until(words[j], d)
		if w < 0 {
			return -1
		}
		wait = max(wait, w)
	}
	return wait
}

func (p *plan) move(words []int64, d int64) {
	for j := range p.meters {
		m := &p.meters[j]
		words[j] = m.convert(m, words[j], m.supply(d))
	}
}
