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
