// SPDX-License-Identifier: MIT

package ratelimit

// A Gate is a limit that can be combined with others by [All].
type Gate interface {
	// Take takes n tokens, all or none.
	Take(n int64) Decision
	// Peek returns what Take would, and takes nothing.
	Peek(n int64) Decision
	// Return puts n tokens back.
	Return(n int64)
}

// Tiers are several gates that act as one.
type Tiers struct{ gates []Gate }

// All returns a gate that allows what every one of gates allows: all or nothing.
// It takes from them in order; when one refuses, what the earlier ones gave is
// returned to them at once, so that a long quota is not spent on what a short one refuses.
// Put the gate that refuses most often first. Several limits of one key belong in a [Keyed],
// which decides about all of them under one lock.
func All(gates ...Gate) *Tiers { return &Tiers{gates: append([]Gate(nil), gates...)} }

// Take takes n tokens from every gate or from none. The decision is that of the tightest:
// of those that refuse the one with the longest RetryAfter, else the one with the fewest tokens
// left; Tier is its index.
func (t *Tiers) Take(n int64) Decision {
	checkN("Take", n)
	var worst Decision
	for i, g := range t.gates {
		d := g.Take(n)
		d.Tier = i
		if !d.OK {
			for _, earlier := range t.gates[:i] {
				earlier.Return(n)
			}
			for j, later := range t.gates[i+1:] {
				if p := later.Peek(n); !p.OK {
					p.Tier = i + 1 + j
					if tighter(p, d) {
						d = p
					}
				}
			}
			return d
		}
		if i == 0 || tighter(d, worst) {
			worst = d
		}
	}
	worst.OK = true
	return worst
}

// Peek returns what Take would, and takes nothing.
func (t *Tiers) Peek(n int64) Decision {
	checkN("Peek", n)
	worst := Decision{OK: true}
	for i, g := range t.gates {
		d := g.Peek(n)
		d.Tier = i
		if i == 0 || tighter(d, worst) {
			worst = d
		}
	}
	return worst
}

// Return puts n tokens back into every gate.
func (t *Tiers) Return(n int64) {
	checkN("Return", n)
	for _, g := range t.gates {
		g.Return(n)
	}
}
