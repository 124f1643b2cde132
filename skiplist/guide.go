// SPDX-License-Identifier: MIT

package skiplist

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// guideSlots is the number of kids that a guide has room for. One more than a
// guide keeps fits, before it is cut.
const guideSlots = 64

// A guide is an index block of a ConcurrentMap: fences and kids of one level.
// Nothing of it changes but which block a kid is, and that only under its guard
// while the guide is current: mu on level 1, up of the map above.
type guide[K, V any] struct {
	leaves *[guideSlots]atomic.Pointer[logLeaf[K, V]] // of level 1, else nil
	kids   *[guideSlots]atomic.Pointer[guide[K, V]]   // of the levels above, else nil
	n      int
	fences [guideSlots]K // lower bounds of the kids; fences[0] is that of the guide
	first  bool          // leftmost of its level: fences[0] is before all keys
	level  int

	mu   sync.Mutex // of level 1 only
	gone bool       // replaced; guarded by mu
}

// newGuide returns a guide without kids.
func newGuide[K, V any](level int) *guide[K, V] {
	if level == 1 {
		both := new(struct {
			guide[K, V]
			leaves [guideSlots]atomic.Pointer[logLeaf[K, V]]
		})
		both.guide.leaves = &both.leaves
		both.level = level
		return &both.guide
	}
	both := new(struct {
		guide[K, V]
		kids [guideSlots]atomic.Pointer[guide[K, V]]
	})
	both.guide.kids = &both.kids
	both.level = level
	return &both.guide
}

// appendKids appends kids i to j of y, j excluded, to x.
func (x *guide[K, V]) appendKids(y *guide[K, V], i, j int) {
	for ; i < j; i++ {
		x.fences[x.n] = y.fences[i]
		if x.leaves != nil {
			x.leaves[x.n].Store(y.leaves[i].Load())
		} else {
			x.kids[x.n].Store(y.kids[i].Load())
		}
		x.n++
	}
}

// appendLeaf appends b to x, with fence as its lower bound.
func (x *guide[K, V]) appendLeaf(fence K, b *logLeaf[K, V]) {
	x.fences[x.n] = fence
	x.leaves[x.n].Store(b)
	x.n++
}

// appendGuide appends y to x, with fence as its lower bound.
func (x *guide[K, V]) appendGuide(fence K, y *guide[K, V]) {
	x.fences[x.n] = fence
	x.kids[x.n].Store(y)
	x.n++
}

// part returns a copy of x with kids i to j, j excluded.
func (x *guide[K, V]) part(i, j int) *guide[K, V] {
	y := newGuide[K, V](x.level)
	y.first = x.first && i == 0
	y.appendKids(x, i, j)
	return y
}

// withLeaves returns a copy of x with news in place of n leaves from slot i on.
func (x *guide[K, V]) withLeaves(i, n int, news ...*logLeaf[K, V]) *guide[K, V] {
	y := x.part(0, i)
	fence := x.fences[i]
	for _, b := range news {
		y.appendLeaf(fence, b)
		fence = b.high
	}
	y.appendKids(x, i+n, x.n)
	return y
}

// withGuides returns a copy of x with news in place of n kids from slot i on.
func (x *guide[K, V]) withGuides(i, n int, news ...*guide[K, V]) *guide[K, V] {
	y := x.part(0, i)
	for _, z := range news {
		y.appendGuide(z.fences[0], z)
	}
	y.appendKids(x, i+n, x.n)
	return y
}

// leaf returns the leaf of slot i.
func (x *guide[K, V]) leaf(i int) *logLeaf[K, V] {
	step()
	return x.leaves[i].Load()
}

// leafAt returns the slot of b, or -1. It looks for the pointer: so a change
// that ends at level 1 calls no compare of the caller's under mu.
func (x *guide[K, V]) leafAt(b *logLeaf[K, V]) int {
	for i := range x.n {
		if x.leaves[i].Load() == b {
			return i
		}
	}
	return -1
}

// guideAt returns the slot of y, or -1.
func (x *guide[K, V]) guideAt(y *guide[K, V]) int {
	for i := range x.n {
		if x.kids[i].Load() == y {
			return i
		}
	}
	return -1
}

// In the functions below m.up is held, and so is mu of a guide of level 1 that
// is replaced. They call compare only before they store, so that a compare that
// panics leaves all as it was.

// growLocked replaces x by y, which has a new fence in slot f. A coin promotes
// the fence, and so cuts y there; without luck the middle one of a guide that
// is too full goes up.
func (m *ConcurrentMap[K, V]) growLocked(x, y *guide[K, V], f int) {
	cut := 0
	switch {
	case bits.TrailingZeros64(m.coins.Uint64()) >= bits.Len(uint(m.fan)):
		cut = f
	case y.n > m.fan:
		cut = y.n / 2
	}
	if cut == 0 {
		m.replaceLocked(x, y)
	} else {
		m.replaceLocked(x, y.part(0, cut), y.part(cut, y.n))
	}
}

// replaceLocked puts news in place of x, which is current, on the level above.
func (m *ConcurrentMap[K, V]) replaceLocked(x *guide[K, V], news ...*guide[K, V]) {
	root := m.root.Load()
	if x == root {
		m.crownLocked(news)
		return
	}
	p := m.aboveLocked(root, x)
	i := p.guideAt(x)

	y := news[0]
	switch {
	case len(news) == 2:
		m.growLocked(p, p.withGuides(i, 1, news...), i+1)
		return
	case y.n == 1 && p.n == 1 && p != root:
		// First give p a second kid, for y to be joined with.
		m.replaceLocked(p, p.part(0, 1))
		m.replaceLocked(x, y)
		return
	case y.n == 1 || y.n <= m.fan/4:
		if m.joinLocked(p, y, i, i+1) || m.joinLocked(p, y, i, i-1) {
			return
		}
	}
	step()
	p.kids[i].Store(y)
}

// crownLocked makes news the kids of a new root, or the one guide of news the
// root. A root above level 1 has two kids at least.
func (m *ConcurrentMap[K, V]) crownLocked(news []*guide[K, V]) {
	r := news[0]
	if len(news) == 2 {
		r = newGuide[K, V](r.level + 1)
		r.first = true
		for _, x := range news {
			r.appendGuide(x.fences[0], x)
		}
	}
	for r.level > 1 && r.n == 1 {
		r = r.kids[0].Load()
	}
	step()
	m.root.Store(r)
}

// aboveLocked returns the guide that x is a kid of. It is below root.
func (m *ConcurrentMap[K, V]) aboveLocked(root, x *guide[K, V]) *guide[K, V] {
	p := root
	for p.level > x.level+1 {
		i := 0
		if !x.first {
			var found bool
			if i, found = searchFunc(p.fences[1:p.n], x.fences[0], m.compare); found {
				i++
			}
		}
		p = p.kids[i].Load()
	}
	return p
}

// joinLocked puts y in place of kid i of p, and joins it with kid j, if there
// is one and it fits. It reports whether it did. A kid of level 1 that is busy
// is left alone.
func (m *ConcurrentMap[K, V]) joinLocked(p, y *guide[K, V], i, j int) bool {
	if j < 0 || j >= p.n {
		return false
	}
	z := p.kids[j].Load()
	if y.n > 1 && z.n+y.n > m.fan*3/4 {
		return false
	}
	if z.level == 1 {
		if !tryLock(&z.mu) {
			return false
		}
		defer z.mu.Unlock()
	}

	lo, hi := y, z
	if j < i {
		lo, hi = z, y
	}
	both := newGuide[K, V](y.level)
	both.first = p.first && min(i, j) == 0
	both.appendKids(lo, 0, lo.n)
	both.appendKids(hi, 0, hi.n)

	// A lone kid beside a full guide: both get half.
	news := []*guide[K, V]{both}
	if both.n > m.fan {
		news = []*guide[K, V]{both.part(0, both.n/2), both.part(both.n/2, both.n)}
	}
	m.replaceLocked(p, p.withGuides(min(i, j), 2, news...))
	z.gone = true
	return true
}
