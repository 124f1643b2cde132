// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"math"
)

// A Gate is a limit that can be combined with others by [All].
type Gate interface {
	// Take takes n tokens, all or none.
	Take(n int) Decision
	// Peek returns the answer of Take, and changes nothing.
	Peek(n int) Decision
	// Return puts n tokens back.
	Return(n int)
}

// A revoker is a gate that takes back exactly the tokens it gave, for All:
// Return does not know whose tokens are returned.
type revoker interface {
	Gate
	takeFor(n int) (Decision, receipt)
	revoke(n int, r receipt)
}

// A receipt describes the tokens of a revoker.
type receipt struct {
	bucket *bucket // of span, the place of a canceled reservation; or nil
	span   span
	until  int64 // the reading at which the events stop counting
}

// all is several gates that act as one.
type all struct{ gates []member }

// A member is a gate of All. Gates of an All within are members as well.
type member struct {
	gate  Gate
	index int
}

// All returns a gate that allows a request if every one of gates does: all or
// nothing. It takes from them in order; when one refuses, the tokens of the
// earlier ones are returned to them at once, so that a long quota is not spent
// on refusals of a short one. Put the gate that refuses most often first.
// Several limits of one key belong in a [Keyed], which decides about all of
// them under one lock.
//
// A decision is that of the tightest gate: of those that refuse the one with
// the longest RetryAfter, else the one with the fewest tokens left.
// Decision.Gate is its index.
func All(gates ...Gate) Gate {
	a := &all{}
	for i, g := range gates {
		inner, ok := g.(*all)
		if !ok {
			a.gates = append(a.gates, member{g, i})
			continue
		}
		for _, m := range inner.gates {
			a.gates = append(a.gates, member{m.gate, i})
		}
	}
	return a
}

func (a *all) Take(n int) Decision {
	checkN(n)
	worst := Decision{OK: true}
	var few [8]receipt // without an allocation, for as many gates
	receipts := few[:0]
	for i, m := range a.gates {
		var d Decision
		var r receipt
		if g, ok := m.gate.(revoker); ok {
			d, r = g.takeFor(n)
		} else {
			d = m.gate.Take(n)
		}
		d.Gate = m.index

		// A refusal: the gates before give back exactly what they took.
		if !d.OK {
			a.revokeAll(n, receipts)
			return a.tightest(n, i+1, d)
		}

		receipts = append(receipts, r)
		if i == 0 || tighter(d, worst) {
			worst = d
		}
	}
	return worst
}

// revokeAll returns n tokens to each of the first gates, one for each receipt.
func (a *all) revokeAll(n int, receipts []receipt) {
	for i, r := range receipts {
		if g, ok := a.gates[i].gate.(revoker); ok {
			g.revoke(n, r)
		} else {
			a.gates[i].gate.Return(n)
		}
	}
}

// tightest returns the decision about n tokens of the gate that refuses for
// longest, of the one that decided d and those from the one at index from on.
func (a *all) tightest(n, from int, d Decision) Decision {
	for _, m := range a.gates[from:] {
		p := m.gate.Peek(n)
		p.Gate = m.index
		if !p.OK && tighter(p, d) {
			d = p
		}
	}
	return d
}

func (a *all) Peek(n int) Decision {
	checkN(n)
	worst := Decision{OK: true}
	for i, m := range a.gates {
		d := m.gate.Peek(n)
		d.Gate = m.index
		if i == 0 || tighter(d, worst) {
			worst = d
		}
	}
	return worst
}

func (a *all) Return(n int) {
	checkN(n)
	for _, m := range a.gates {
		m.gate.Return(n)
	}
}

// A keyGate is the gate of one key of a Keyed.
type keyGate[K comparable] struct {
	k   *Keyed[K]
	key K
}

func (g keyGate[K]) Take(n int) Decision { return g.k.Take(g.key, n) }
func (g keyGate[K]) Peek(n int) Decision { return g.k.Peek(g.key, n) }
func (g keyGate[K]) Return(n int)        { g.k.Return(g.key, n) }

// A windowGate is the gate of one key of a KeyedWindow.
type windowGate[K comparable] struct {
	w   *KeyedWindow[K]
	key K
}

func (g windowGate[K]) Take(n int) Decision { return g.w.Take(g.key, n) }
func (g windowGate[K]) Peek(n int) Decision { return g.w.Peek(g.key, n) }
func (g windowGate[K]) Return(n int)        { g.w.Return(g.key, n) }

func (g windowGate[K]) takeFor(n int) (Decision, receipt) {
	events := checkN(n)
	var r receipt
	d := g.w.takeAt(g.key, g.w.reading(), events, g.w.n.Load(), &r)
	return d, r
}

func (g windowGate[K]) revoke(n int, r receipt) { g.w.giveBack(g.key, int64(n), r.until) }

// A sharedGate is the gate of one key of a Shared, for one call.
type sharedGate struct {
	s   *Shared
	ctx context.Context //nolint:containedctx // a gate lives for one call
	key string
}

func (g sharedGate) Take(n int) Decision {
	d, _ := g.takeFor(n)
	return d
}

func (g sharedGate) Peek(n int) Decision {
	d, _ := g.s.Peek(g.ctx, g.key, n)
	return d
}

func (g sharedGate) Return(n int) { _ = g.s.Return(g.ctx, g.key, n) } // else they stay spent

func (g sharedGate) takeFor(n int) (Decision, receipt) {
	d, r, _ := g.s.takeFor(g.ctx, g.key, n) // with an error it is a refusal
	return d, r
}

// revoke gives back what takeFor took from the store, which is nothing if the
// policy for its failures admitted the events.
func (g sharedGate) revoke(n int, r receipt) {
	if r.until != math.MinInt64 {
		_ = g.s.giveBack(g.ctx, g.key, n, r.until) // else they stay spent
	}
}
