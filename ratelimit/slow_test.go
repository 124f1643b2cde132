// SPDX-License-Identifier: MIT

package ratelimit

import "math/big"

// A slowBucket is the token bucket of the textbooks in rational numbers: the
// reference for every decision. It keeps the tokens spent and not yet refilled,
// and the time of the last call; ours keeps neither, and so is one word and
// safe from clocks that go back.
type slowBucket struct {
	limit Limit
	debt  *big.Rat // tokens; at most limit.Burst unless charged
	at    int64    // nanoseconds
}

func newSlowBucket(l Limit) *slowBucket { return &slowBucket{limit: l, debt: new(big.Rat)} }

// advance refills up to t.
func (b *slowBucket) advance(t int64) {
	if t <= b.at {
		return
	}
	refill := new(big.Rat).SetFrac64(b.limit.Rate.count, int64(b.limit.Rate.per))
	refill.Mul(refill, new(big.Rat).SetInt64(t-b.at))
	b.debt.Sub(b.debt, refill)
	if b.debt.Sign() < 0 {
		b.debt.SetInt64(0)
	}
	b.at = t
}

// left returns the tokens left, negative if in debt.
func (b *slowBucket) left() *big.Rat {
	l := new(big.Rat).SetInt64(int64(b.limit.Burst))
	return l.Sub(l, b.debt)
}

// spend takes n tokens, into debt if need be; a negative n puts tokens back.
func (b *slowBucket) spend(n int) {
	b.debt.Add(b.debt, ratOf(n))
	if b.debt.Sign() < 0 {
		b.debt.SetInt64(0)
	}
}
