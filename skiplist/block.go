// SPDX-License-Identifier: MIT

package skiplist

// A leaf is a block of level 0: entries in the order of their keys. The pointer
// comes first and the number of entries next, so that the garbage collector
// looks at one word of a leaf whose keys and values have no pointers.
type leaf[K, V any] struct {
	prefix *prefixes // of keys that are strings
	owner  uint64
	n      int
	keys   [width]K
	vals   [width]V
}

// An index is a block of a level above. Fence i is the lower bound of kid i.
// That of kid 0 is in the block above, and here zero.
type index[K, V any] struct {
	kids   *[width]*index[K, V] // nil above the leaves
	leaves *[width]*leaf[K, V]  // nil on other levels
	prefix *prefixes            // of fences that are strings
	owner  uint64
	n      int
	fences [width]K
	counts [width]int // entries under each kid
}

// A kid is a block under an index block, with the number of its entries. One of
// the pointers is nil.
type kid[K, V any] struct {
	index *index[K, V]
	leaf  *leaf[K, V]
	count int
}

// newLeaf returns an empty leaf that m owns.
func (m *Map[K, V]) newLeaf() *leaf[K, V] {
	l := &leaf[K, V]{owner: m.owner.Load()}
	if m.strings {
		l.prefix = new(prefixes)
	}
	return l
}

// newIndex returns an empty index block that m owns.
func (m *Map[K, V]) newIndex(aboveLeaves bool) *index[K, V] {
	var x *index[K, V]
	if aboveLeaves {
		both := new(struct {
			index[K, V]
			leaves [width]*leaf[K, V]
		})
		x = &both.index
		x.leaves = &both.leaves
	} else {
		both := new(struct {
			index[K, V]
			kids [width]*index[K, V]
		})
		x = &both.index
		x.kids = &both.kids
	}
	x.owner = m.owner.Load()
	if m.strings {
		x.prefix = new(prefixes)
	}
	return x
}

// insert puts an entry at place i, for which there is room.
func (l *leaf[K, V]) insert(i int, key K, value V) {
	copy(l.keys[i+1:l.n+1], l.keys[i:l.n])
	copy(l.vals[i+1:l.n+1], l.vals[i:l.n])
	l.keys[i] = key
	l.vals[i] = value
	l.n++
	if l.prefix != nil {
		insertPrefix(l.prefix, l.keys[:l.n], i)
	}
}

// remove removes the entries from place i to j.
func (l *leaf[K, V]) remove(i, j int) {
	copy(l.keys[i:], l.keys[j:l.n])
	copy(l.vals[i:], l.vals[j:l.n])
	k := l.n - (j - i)
	clear(l.keys[k:l.n])
	clear(l.vals[k:l.n])
	l.n = k
	if l.prefix != nil {
		l.prefix.cut(i, j)
	}
}

// moveTo moves the first k entries of l behind those of to, which come before.
func (l *leaf[K, V]) moveTo(to *leaf[K, V], k int) {
	copy(to.keys[to.n:], l.keys[:k])
	copy(to.vals[to.n:], l.vals[:k])
	to.n += k
	l.remove(0, k)
	if l.prefix != nil {
		makePrefixes(to.prefix, to.keys[:to.n])
	}
}

// moveBack moves the last k entries of l before those of to, which come after.
func (l *leaf[K, V]) moveBack(to *leaf[K, V], k int) {
	copy(to.keys[k:], to.keys[:to.n])
	copy(to.vals[k:], to.vals[:to.n])
	copy(to.keys[:k], l.keys[l.n-k:l.n])
	copy(to.vals[:k], l.vals[l.n-k:l.n])
	to.n += k
	l.remove(l.n-k, l.n)
	if l.prefix != nil {
		makePrefixes(to.prefix, to.keys[:to.n])
	}
}

// kid returns kid i.
func (x *index[K, V]) kid(i int) kid[K, V] {
	if x.leaves != nil {
		return kid[K, V]{leaf: x.leaves[i], count: x.counts[i]}
	}
	return kid[K, V]{index: x.kids[i], count: x.counts[i]}
}

// size returns the number of entries or kids of kid i.
func (x *index[K, V]) size(i int) int {
	if x.leaves != nil {
		return x.leaves[i].n
	}
	return x.kids[i].n
}

// insert puts a kid at place i, for which there is room. fence is its lower
// bound; at place 0 it is the one of the kid that was there.
func (x *index[K, V]) insert(i int, fence K, k kid[K, V]) {
	if x.n > 0 {
		at := max(i, 1)
		copy(x.fences[at+1:x.n+1], x.fences[at:x.n])
		x.fences[at] = fence
	}
	copy(x.counts[i+1:x.n+1], x.counts[i:x.n])
	x.counts[i] = k.count
	if x.leaves != nil {
		copy(x.leaves[i+1:x.n+1], x.leaves[i:x.n])
		x.leaves[i] = k.leaf
	} else {
		copy(x.kids[i+1:x.n+1], x.kids[i:x.n])
		x.kids[i] = k.index
	}
	x.n++
	x.renewPrefixes()
}

// remove removes the kids from place i to j.
func (x *index[K, V]) remove(i, j int) {
	copy(x.fences[i:], x.fences[j:x.n])
	copy(x.counts[i:], x.counts[j:x.n])
	k := x.n - (j - i)
	clear(x.fences[k:x.n])
	clear(x.counts[k:x.n])
	if x.leaves != nil {
		copy(x.leaves[i:], x.leaves[j:x.n])
		clear(x.leaves[k:x.n])
	} else {
		copy(x.kids[i:], x.kids[j:x.n])
		clear(x.kids[k:x.n])
	}
	x.n = k
	x.fences[0] = *new(K)
	x.renewPrefixes()
}

// moveTo moves the first k kids of x behind those of to, which come before.
// fence is the lower bound of x. It returns that which x has then. k is less
// than width.
func (x *index[K, V]) moveTo(to *index[K, V], k int, fence K) (next K) {
	next = x.fences[k]
	x.fences[0] = fence
	copy(to.fences[to.n:], x.fences[:k])
	copy(to.counts[to.n:], x.counts[:k])
	if x.leaves != nil {
		copy(to.leaves[to.n:], x.leaves[:k])
	} else {
		copy(to.kids[to.n:], x.kids[:k])
	}
	to.n += k
	x.remove(0, k)
	to.renewPrefixes()
	return next
}

// moveBack moves the last k kids of x before those of to, which come after, and
// whose lower bound is fence. It returns that which to has then.
func (x *index[K, V]) moveBack(to *index[K, V], k int, fence K) (next K) {
	from := x.n - k
	next = x.fences[from]
	to.fences[0] = fence
	copy(to.fences[k:], to.fences[:to.n])
	copy(to.counts[k:], to.counts[:to.n])
	copy(to.fences[:k], x.fences[from:x.n])
	copy(to.counts[:k], x.counts[from:x.n])
	if x.leaves != nil {
		copy(to.leaves[k:], to.leaves[:to.n])
		copy(to.leaves[:k], x.leaves[from:x.n])
	} else {
		copy(to.kids[k:], to.kids[:to.n])
		copy(to.kids[:k], x.kids[from:x.n])
	}
	to.n += k
	to.fences[0] = *new(K)
	x.remove(from, x.n)
	to.renewPrefixes()
	return next
}

// sum returns the number of entries under the kids from place i to j.
func (x *index[K, V]) sum(i, j int) int {
	n := 0
	for _, c := range x.counts[i:j] {
		n += c
	}
	return n
}

// ownLeaf returns l, or a copy of it if m may not change l.
func (m *Map[K, V]) ownLeaf(l *leaf[K, V]) *leaf[K, V] {
	owner := m.owner.Load()
	if l.owner == owner {
		return l
	}
	c := new(leaf[K, V])
	*c = *l
	c.owner = owner
	c.prefix = l.prefix.clone()
	return c
}

// ownIndex returns x, or a copy of it if m may not change x.
func (m *Map[K, V]) ownIndex(x *index[K, V]) *index[K, V] {
	if x.owner == m.owner.Load() {
		return x
	}
	c := m.newIndex(x.leaves != nil)
	c.n = x.n
	c.fences = x.fences
	c.counts = x.counts
	if x.leaves != nil {
		*c.leaves = *x.leaves
	} else {
		*c.kids = *x.kids
	}
	c.prefix = x.prefix.clone()
	return c
}

// ownKid makes sure that m may change kid i of x, which m owns, and returns it.
func (m *Map[K, V]) ownKid(x *index[K, V], i int) kid[K, V] {
	if x.leaves != nil {
		x.leaves[i] = m.ownLeaf(x.leaves[i])
	} else {
		x.kids[i] = m.ownIndex(x.kids[i])
	}
	return x.kid(i)
}
