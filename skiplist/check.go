// SPDX-License-Identifier: MIT

package skiplist

import (
	"fmt"
	"reflect"
)

// checkedLen is the length up to which each change is followed by a check,
// which takes time in proportion to it.
const checkedLen = 200

// check panics if an invariant of the implementation notes does not hold.
func (m *Map[K, V]) check() {
	if m.len == 0 {
		if m.top != nil || m.only != nil && m.only.n > 0 {
			panic("skiplist: I2 violated: an empty map has blocks")
		}
		return
	}
	if m.top == nil {
		m.checkLeaf(m.only, nil, nil, m.only.owner == m.owner.Load())
		if m.only.n != m.len {
			panic(fmt.Sprintf("skiplist: I2 violated: %d entries, counted %d", m.only.n, m.len))
		}
		return
	}

	if m.only != nil || m.top.n < 2 {
		panic(fmt.Sprintf("skiplist: I3 violated: a top with %d kids, and a leaf: %t", m.top.n, m.only != nil))
	}
	depth := -1
	if n := m.checkIndex(m.top, nil, nil, true, 0, &depth); n != m.len {
		panic(fmt.Sprintf("skiplist: I2 violated: %d entries, counted %d", n, m.len))
	}
}

// checkIndex checks the block x of depth d, whose keys lie from lo to hi, and
// returns the number of entries under it. mine says that the block above is
// owned, and depth is that of the blocks above the leaves, or -1.
func (m *Map[K, V]) checkIndex(x *index[K, V], lo, hi *K, mine bool, d int, depth *int) (n int) {
	owned := x.owner == m.owner.Load()
	if owned && !mine {
		panic("skiplist: I5 violated: an owned block under one that is not")
	}
	if x.n < 1 || x.n > m.limit {
		panic(fmt.Sprintf("skiplist: I3 violated: an index block with %d kids", x.n))
	}
	if x.leaves != nil && *depth < 0 {
		*depth = d
	}
	if (x.leaves != nil) != (d == *depth) {
		panic("skiplist: I4 violated: leaves on two levels")
	}
	m.checkFree(x.fences[x.n:], x.counts[x.n:])
	m.checkFree(x.fences[:1], []int{})
	if x.leaves != nil {
		m.checkFree(nil, x.leaves[x.n:])
	} else {
		m.checkFree(nil, x.kids[x.n:])
	}
	if x.prefix != nil {
		checkPrefixes(x.prefix, x.fences[1:x.n])
	}

	for i := range x.n {
		from, to := lo, hi
		if i > 0 {
			from = &x.fences[i]
		}
		if i+1 < x.n {
			to = &x.fences[i+1]
		}
		count := 0
		if x.leaves != nil {
			count = m.checkLeaf(x.leaves[i], from, to, owned)
		} else {
			count = m.checkIndex(x.kids[i], from, to, owned, d+1, depth)
		}
		if count != x.counts[i] {
			panic(fmt.Sprintf("skiplist: I2 violated: %d entries, counted %d", count, x.counts[i]))
		}
		n += count
	}
	return n
}

// checkLeaf checks a leaf whose keys lie from lo to hi, hi excluded, and
// returns the number of its entries.
func (m *Map[K, V]) checkLeaf(l *leaf[K, V], lo, hi *K, mine bool) int {
	if l.owner == m.owner.Load() && !mine {
		panic("skiplist: I5 violated: an owned leaf under a block that is not")
	}
	if l.n < 1 || l.n > m.limit {
		panic(fmt.Sprintf("skiplist: I3 violated: a leaf with %d entries", l.n))
	}
	for i := range l.n {
		key := l.keys[i]
		if i > 0 && m.compare(l.keys[i-1], key) >= 0 || lo != nil && m.compare(*lo, key) > 0 || hi != nil && m.compare(key, *hi) >= 0 {
			panic(fmt.Sprintf("skiplist: I1 violated: key %v in its place", key))
		}
	}
	if lo != nil && hi != nil && l.n < m.limit/4 {
		panic(fmt.Sprintf("skiplist: I8 violated: a leaf with %d entries between others", l.n))
	}
	m.checkFree(l.keys[l.n:], l.vals[l.n:])
	if l.prefix != nil {
		checkPrefixes(l.prefix, l.keys[:l.n])
	}
	return l.n
}

// checkFree checks places that hold nothing.
func (m *Map[K, V]) checkFree(keys []K, rest any) {
	for _, list := range []reflect.Value{reflect.ValueOf(keys), reflect.ValueOf(rest)} {
		for i := range list.Len() {
			if !list.Index(i).IsZero() {
				panic("skiplist: I6 violated: a free place holds something")
			}
		}
	}
}

// checkPrefixes checks the numbers of keys (I7).
func checkPrefixes[K any](p *prefixes, keys []K) {
	for i, key := range keys {
		text := textOf(key)
		if len(text) < p.skip || text[:p.skip] != textOf(keys[0])[:p.skip] || p.words[i] != wordOf(text, p.skip) {
			panic(fmt.Sprintf("skiplist: I7 violated: the prefix of %q after %d bytes is %x", text, p.skip, p.words[i]))
		}
	}
	for _, w := range p.words[len(keys):] {
		if w != 0 {
			panic("skiplist: I7 violated: a free place has a prefix")
		}
	}
}

// checkPublished checks the leaf b, which is locked and has just got an entry.
func (m *ConcurrentMap[K, V]) checkPublished(b *logLeaf[K, V]) {
	s := b.loadLocked()
	if s.count() > int(b.limit) || int(b.base) > s.count() {
		panic(fmt.Sprintf("skiplist: I6 violated: state %x, base %d, limit %d", uint64(s), b.base, b.limit))
	}
}

// check panics if an invariant of the implementation notes does not hold. No
// operation may run.
func (m *ConcurrentMap[K, V]) check() {
	root := m.root.Load()
	if !m.up.TryLock() {
		panic("skiplist: I3 violated: a lock was left behind")
	}
	m.up.Unlock()
	if !root.first || root.level > 1 && root.n == 1 {
		panic(fmt.Sprintf("skiplist: I1 violated: a root of level %d with %d kids", root.level, root.n))
	}
	var leaves []*logLeaf[K, V]
	m.checkGuide(root, &leaves)

	n := 0
	for i, b := range leaves {
		if b.first != (i == 0) || b.last != (i == len(leaves)-1) || i > 0 && m.compare(leaves[i-1].high, b.low) != 0 {
			panic(fmt.Sprintf("skiplist: I1 violated: leaf %d does not begin where the one before ends", i))
		}
		n += m.checkLeaf(b)
	}
	if n != m.Len() {
		panic(fmt.Sprintf("skiplist: I7 violated: %d entries, counted %d", n, m.Len()))
	}
}

// checkGuide checks x and what is below it, and appends the leaves.
func (m *ConcurrentMap[K, V]) checkGuide(x *guide[K, V], leaves *[]*logLeaf[K, V]) {
	if x.gone || x.n < 1 || x.n > m.fan || !x.mu.TryLock() {
		panic(fmt.Sprintf("skiplist: I3 violated: a guide with %d kids, gone: %t", x.n, x.gone))
	}
	x.mu.Unlock()
	for i := range x.n {
		if i > 0 && (i > 1 || !x.first) && m.compare(x.fences[i-1], x.fences[i]) >= 0 {
			panic(fmt.Sprintf("skiplist: I1 violated: fence %v in its place", x.fences[i]))
		}
		first := x.first && i == 0
		if x.level == 1 {
			b := x.leaves[i].Load()
			if b.first != first || !first && m.compare(b.low, x.fences[i]) != 0 {
				panic(fmt.Sprintf("skiplist: I1 violated: a leaf from %v behind fence %v", b.low, x.fences[i]))
			}
			*leaves = append(*leaves, b)
			continue
		}
		y := x.kids[i].Load()
		if y.level != x.level-1 || y.first != first || !first && m.compare(y.fences[0], x.fences[i]) != 0 {
			panic(fmt.Sprintf("skiplist: I1 violated: a guide from %v behind fence %v", y.fences[0], x.fences[i]))
		}
		m.checkGuide(y, leaves)
	}
}

// checkLeaf checks b, and returns the number of its entries.
func (m *ConcurrentMap[K, V]) checkLeaf(b *logLeaf[K, V]) int {
	s := b.loadLocked()
	if s&dead != 0 || !b.mu.TryLock() {
		panic(fmt.Sprintf("skiplist: I4 violated: a leaf that can be reached is locked or dead: %x", uint64(s)))
	}
	b.mu.Unlock()
	m.checkPublished(b)
	var o ordering
	slots := o[:m.slotsOf(b, s, &o)]
	if len(slots) != s.size() {
		panic(fmt.Sprintf("skiplist: I5 violated: %d entries, %d slots with one", len(slots), s.size()))
	}
	for i, j := range slots {
		key := b.keys[j]
		if i > 0 && m.compare(b.keys[slots[i-1]], key) >= 0 ||
			!b.first && m.compare(key, b.low) < 0 || !b.last && m.compare(key, b.high) >= 0 {
			panic(fmt.Sprintf("skiplist: I1 violated: key %v in its place", key))
		}
	}
	return len(slots)
}
