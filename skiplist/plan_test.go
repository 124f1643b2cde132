// SPDX-License-Identifier: MIT

package skiplist

import (
	"math/rand/v2"
	"slices"
)

// A plan is a map of a certain shape, and the operations of each goroutine.
type plan struct {
	m     *ConcurrentMap[int, int16]
	init  content
	ops   [][]call
	value int16 // the last that was used: all are different
}

// mixes are kinds of operations to choose from: all, navigation beside updates,
// pops, one key, all keys at once, CompareAndSwap.
var mixes = [][]verb{
	{
		load, swap, loadOrStore, loadOrCompute, loadAndDelete, add, toggle, casSwap, casDelete, floor, lower, ceiling, higher,
		minimum, maximum, popMin, popMax, snapshotAll, snapshotSpan, scanUp, scanDown,
	},
	{swap, loadAndDelete, swap, loadAndDelete, swap, loadAndDelete, lower, higher, floor, ceiling},
	{swap, loadAndDelete, popMin, popMax, popMax, minimum, maximum, swap},
	{load, swap, loadOrStore, loadOrCompute, loadAndDelete, add, toggle},
	{swap, loadAndDelete, swap, loadAndDelete, snapshotAll, floor, wipe, load},
	{swap, loadAndDelete, popMax, popMin, snapshotSpan, lower, higher},
	{swap, swap, loadAndDelete, scanUp, scanDown, snapshotAll},
	{load, casSwap, casSwap, casDelete, swap, loadOrStore},
}

// newPlan returns a plan by r.
func newPlan(r *rand.Rand) *plan {
	p := &plan{value: 100}
	size := blockSizes[r.IntN(len(blockSizes)-1)]
	fill := r.IntN(5)
	for key := range p.init {
		if r.IntN(5) < fill {
			p.init[key] = p.next()
		}
	}
	procs := 3 + r.IntN(2)
	ops := 2 + r.IntN(3)
	switch r.IntN(4) {
	case 0:
		p.ferry(r, size, procs, ops)
	case 1:
		p.witness(r, size, procs, ops)
	case 2:
		p.sharp(r, size)
	default:
		p.mixed(r, size, procs, ops)
	}
	p.m.tries = r.IntN(3)
	p.m.coins.Seed(r.Uint64(), 1)
	return p
}

// next returns a value that no other operation uses.
func (p *plan) next() int16 {
	p.value++
	return p.value
}

// mixed lets all goroutines do anything of a mix, on all keys or on a few.
func (p *plan) mixed(r *rand.Rand, size [3]int, procs, ops int) {
	p.m = build(r, size, p.init)
	lo := r.IntN(spread)
	narrow := r.IntN(2) == 0
	mix := mixes[r.IntN(len(mixes))]
	p.ops = make([][]call, procs)
	for g := range p.ops {
		for range ops {
			key := r.IntN(spread)
			if narrow {
				key = (lo + r.IntN(4)) % spread
			}
			old := p.init[key]
			if r.IntN(2) == 0 {
				old = p.value - int16(r.IntN(6))
			}
			p.ops[g] = append(p.ops[g], call{mix[r.IntN(len(mix))], key, p.next(), old})
		}
	}
}

// near returns keys a, b and c, one after the other, upward or downward, and
// the operations that look from c to a. There is no entry between a and c.
func (p *plan) near(r *rand.Rand) (a, b, c int, look []verb) {
	a = r.IntN(spread - 2)
	b = a + 1 + r.IntN(min(3, spread-a-2))
	c = b + 1 + r.IntN(min(2, spread-b-1))
	look = []verb{lower, floor}
	if r.IntN(2) == 0 {
		a, b, c = spread-1-a, spread-1-b, spread-1-c
		look = []verb{higher, ceiling}
	}
	clear(p.init[min(a, c) : max(a, c)+1])
	if r.IntN(3) == 0 {
		look = append(look, snapshotAll, maximum, minimum, popMax, popMin)
	}
	return a, b, c, look
}

// ferry has one goroutine move an entry to and fro between two keys, and one
// look for it across the bounds of leaves. The others disturb.
func (p *plan) ferry(r *rand.Rand, size [3]int, procs, ops int) {
	a, b, c, look := p.near(r)
	p.init[b] = 99
	p.m = build(r, size, p.init)
	cycle := []call{{verb: swap, key: a, value: 1}, {verb: loadAndDelete, key: b}, {verb: swap, key: b, value: 2}, {verb: loadAndDelete, key: a}}
	p.ops = make([][]call, procs)
	for i := range ops {
		p.ops[0] = append(p.ops[0], cycle[i%len(cycle)])
		p.ops[1] = append(p.ops[1], call{verb: look[r.IntN(len(look))], key: c})
		p.disturb(r, 2, a)
	}
}

// witness has one goroutine write b, one see that and then write a, and one
// look for both.
func (p *plan) witness(r *rand.Rand, size [3]int, procs, ops int) {
	a, b, c, look := p.near(r)
	p.m = build(r, size, p.init)
	if r.IntN(3) == 0 {
		a, b = b, a
	}
	p.ops = make([][]call, procs)
	for i := range ops {
		write := call{verb: swap, key: b, value: p.next()}
		see := call{verb: load, key: b}
		if i%2 == 1 {
			write.verb = []verb{loadAndDelete, popMin, wipe}[r.IntN(3)]
			see = call{verb: []verb{swap, loadAndDelete}[r.IntN(2)], key: a, value: p.next()}
		}
		p.ops[0] = append(p.ops[0], write)
		p.ops[1] = append(p.ops[1], call{verb: look[r.IntN(len(look))], key: c})
		p.ops[2] = append(p.ops[2], see)
		p.disturb(r, 3, a)
	}
}

// disturb gives the goroutines from g on one more update each, near key a.
func (p *plan) disturb(r *rand.Rand, g, a int) {
	for ; g < len(p.ops); g++ {
		v := []verb{swap, swap, loadAndDelete, loadAndDelete, loadAndDelete}[r.IntN(5)]
		p.ops[g] = append(p.ops[g], call{verb: v, key: (a + spread - 2 + r.IntN(5)) % spread, value: p.next()})
	}
}

// sharp is ferry or witness reduced to what matters: two leaves under one
// guide, without room in their logs, of which the next insert splits the one
// where the search ends. It starts in the other.
func (p *plan) sharp(r *rand.Rand, size [3]int) {
	turn := func(key int) int { return key }
	look := []verb{lower, floor}[r.IntN(2)]
	down := r.IntN(2) == 0
	if !down {
		turn = func(key int) int { return spread - 1 - key }
		look = []verb{higher, ceiling}[r.IntN(2)]
	}
	far := []int{turn(0), turn(1), turn(2), turn(3)} // more than a leaf keeps
	y, z, from := turn(4), turn(5), turn(6)
	near := []int{turn(7), turn(8), turn(9)}
	if r.IntN(2) == 0 {
		near[2] = z
		p.ops = [][]call{{{verb: swap, key: y, value: 1}, {verb: loadAndDelete, key: z}}, {{verb: look, key: from}}}
	} else {
		p.ops = [][]call{{{verb: swap, key: z, value: 1}}, {{verb: load, key: z}, {verb: swap, key: y, value: 2}}, {{verb: look, key: from}}}
	}

	leaves, fence := [][]int{far, near}, 5
	if !down {
		leaves, fence = [][]int{near, far}, turn(4)
	}
	p.init = content{}
	for _, key := range slices.Concat(leaves...) {
		p.init[key] = p.next()
	}
	s := shape{m: newSized[int, int16]([3]int{3, size[1], size[2]})}
	s.leaf(p.init, 0, fence, 0)
	s.leaf(p.init, fence, spread, 0)
	s.publish(func() int { return 2 })
	p.m = s.m
}

// A shape is a map under construction.
type shape struct {
	m      *ConcurrentMap[int, int16]
	leaves []*logLeaf[int, int16]
}

// leaf appends a leaf of the keys from lo on and before hi, with some free
// slots in its log.
func (s *shape) leaf(init content, lo, hi, free int) {
	b := &logLeaf[int, int16]{low: lo, high: hi, first: lo == 0, last: hi == spread}
	for key := lo; key < hi; key++ {
		if init[key] != 0 {
			b.keys[b.base] = key
			b.vals[b.base] = init[key]
			b.base++
		}
	}
	s.m.openLog(b)
	b.limit = b.base + uint8(free)
	s.m.len.Add(int64(b.base))
	s.leaves = append(s.leaves, b)
}

// publish puts guides above the leaves, and each has as many kids as width
// says.
func (s *shape) publish(width func() int) {
	var guides []*guide[int, int16]
	for rest := s.leaves; len(rest) > 0; {
		x := newGuide[int, int16](1)
		x.first = len(guides) == 0
		n := min(width(), len(rest))
		for _, b := range rest[:n] {
			x.appendLeaf(b.low, b)
		}
		rest = rest[n:]
		guides = append(guides, x)
	}

	for len(guides) > 1 {
		var above []*guide[int, int16]
		for rest := guides; len(rest) > 0; {
			x := newGuide[int, int16](guides[0].level + 1)
			x.first = len(above) == 0
			n := min(width(), len(rest))
			for _, y := range rest[:n] {
				x.appendGuide(y.fences[0], y)
			}
			rest = rest[n:]
			above = append(above, x)
		}
		guides = above
	}
	s.m.root.Store(guides[0])
}

// build returns a map of the entries of init: leaves of up to as many entries
// as they keep, or none, with room for up to two in their logs, under guides of
// any width.
func build(r *rand.Rand, size [3]int, init content) *ConcurrentMap[int, int16] {
	s := shape{m: newSized[int, int16](size)}
	lo, n := 0, 0
	for key, value := range init {
		there := value != 0
		if key > 0 && (n == size[0] || there && r.IntN(3) == 0 || !there && r.IntN(5) == 0) {
			s.leaf(init, lo, key, r.IntN(3))
			lo, n = key, 0
		}
		if there {
			n++
		}
	}
	s.leaf(init, lo, spread, r.IntN(3))
	s.publish(func() int { return 1 + r.IntN(size[2]) })
	return s.m
}
