// SPDX-License-Identifier: MIT

package skiplist

// maxLevels is above the height of any map: a level has a fifteenth of the
// blocks of the one below, and those that coins cut. Neither 15 to the power of
// 16 entries nor as many changes exist.
const maxLevels = 16

// A path leads from the top to an entry, or to the place where one would be.
type path[K, V any] struct {
	blocks [maxLevels]*index[K, V]
	places [maxLevels]int // of the kid that comes next
	depth  int            // index blocks on the path
	leaf   *leaf[K, V]    // nil in an empty map
	at     int
	atEnd  bool // the entry is the last of the map
}

// reset forgets the path, and with it the blocks that it kept.
func (p *path[K, V]) reset() { *p = path[K, V]{} }

// push adds kid i of x to the path.
func (p *path[K, V]) push(x *index[K, V], i int) {
	p.blocks[p.depth] = x
	p.places[p.depth] = i
	p.depth++
}

// seek leads p to the entry of rank r in m, which exists.
func (p *path[K, V]) seek(m *Map[K, V], r int) {
	p.depth = 0
	p.leaf = m.only
	for x := m.top; x != nil; {
		i := 0
		for r >= x.counts[i] {
			r -= x.counts[i]
			i++
		}
		p.push(x, i)
		if x.leaves != nil {
			p.leaf = x.leaves[i]
			break
		}
		x = x.kids[i]
	}
	p.at = r
}

// next leads p to the start of the next leaf, and reports whether there is one.
func (p *path[K, V]) next() bool {
	d := p.depth - 1
	for d >= 0 && p.places[d] == p.blocks[d].n-1 {
		d--
	}
	if d < 0 {
		return false
	}
	p.places[d]++
	for ; d < p.depth-1; d++ {
		p.blocks[d+1] = p.blocks[d].kids[p.places[d]]
		p.places[d+1] = 0
	}
	p.leaf = p.blocks[d].leaves[p.places[d]]
	p.at = 0
	return true
}

// prev leads p to the last entry of the leaf before, and reports whether there
// is one.
func (p *path[K, V]) prev() bool {
	d := p.depth - 1
	for d >= 0 && p.places[d] == 0 {
		d--
	}
	if d < 0 {
		return false
	}
	p.places[d]--
	for ; d < p.depth-1; d++ {
		p.blocks[d+1] = p.blocks[d].kids[p.places[d]]
		p.places[d+1] = p.blocks[d+1].n - 1
	}
	p.leaf = p.blocks[d].leaves[p.places[d]]
	p.at = p.leaf.n - 1
	return true
}

// isFirst reports whether the leaf of p is the first of the map.
func (p *path[K, V]) isFirst() bool {
	for _, i := range p.places[:p.depth] {
		if i > 0 {
			return false
		}
	}
	return true
}

// rank returns the rank of the entry to which p leads.
func (p *path[K, V]) rank() int {
	r := p.at
	for d, i := range p.places[:p.depth] {
		r += p.blocks[d].sum(0, i)
	}
	return r
}

// isLast reports whether the block of p at depth is the last one there.
func (p *path[K, V]) isLast(depth int) bool {
	for d, i := range p.places[:depth] {
		if i < p.blocks[d].n-1 {
			return false
		}
	}
	return true
}

// add adds n to the counts on the first depth blocks of p.
func (p *path[K, V]) add(depth, n int) {
	for d := range depth {
		p.blocks[d].counts[p.places[d]] += n
	}
}
