// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"fmt"
)

// checkLocked panics if an invariant does not hold. The caller is the leader.
func (p *pipeline) checkLocked() {
	logs := &p.db.logs
	hold(p.visible.Load() <= p.seq && p.synced <= p.seq, "I1")
	hold(p.leading || !p.open.waited, "I3")
	hold(p.open.count == 0 || p.open.first+uint64(p.open.count) == p.seq+1, "I4")

	need := p.open.reserved
	if logs.tail == logs.current {
		need += logs.current.off + logs.current.markRoom()
	}
	hold(need <= logs.used, "I5")
	hold(logs.used == logs.tail.off || logs.used+sealLen <= logs.tail.size, "I5")
	hold(logs.current.off <= logs.current.size, "I5")
	hold(p.open.log == nil || p.open.log == logs.tail, "I7")
}

// checkLocked panics if an invariant does not hold.
func (c *Cache) checkLocked() {
	size := int64(0)
	seen := map[*cachedBlock]bool{}
	for i, b := range c.ring {
		size += b.size
		hold(b.slot.block.Load() == b && b.at == i && !seen[b], "C2")
		seen[b] = true
	}
	hold(c.size == size, "C1")
	hold(c.size <= c.limit || len(c.ring) == 1, "C3")
}

// check panics if an invariant does not hold. Only the writer may call it.
func (m *memtable) check() {
	leaf := m.checkNode(nil, m.root.Load(), 0, 0)
	hold(leaf.next.Load() == nil, "M5")
	hold(m.size == m.root.Load().bytesBelow(), "M6")
}

// bytesBelow returns the memory of n and the nodes below it.
func (n *node) bytesBelow() int64 {
	if n.kids == nil {
		return leafSize
	}
	size := int64(innerSize)
	p := perm(n.perm.Load())
	for i := range p.len() {
		size += n.kids[p.at(i)].Load().bytesBelow()
	}
	return size
}

// checkNode checks the tree below n, whose fences are lo and hi. leaf is the
// leaf to the left; the last one below n is returned.
func (m *memtable) checkNode(leaf, n *node, lo, hi uint32) *node {
	p := perm(n.perm.Load())
	skip := 0
	if lo != 0 && hi != 0 {
		skip = commonPrefix(m.key(lo), m.key(hi))
	}
	hold(n.skip == skip, "M2")
	hold(p.len() > 0 || n == m.root.Load() && n.kids == nil, "M4")

	for i := range p.len() {
		slot := p.at(i)
		if i == 0 && n.kids != nil {
			continue // M3
		}
		key, _, trailer := m.arena.get(n.refs[slot])
		hold(n.heads[slot] == head(key[n.skip:]), "M1")
		if i > 0 && (i > 1 || n.kids == nil) {
			hold(m.arena.before(n.refs[p.at(i-1)], key, trailer>>8, 0), "M1")
		}
		hold(lo == 0 || !m.arena.before(n.refs[slot], m.key(lo), m.seq(lo), 0), "M1")
		hold(hi == 0 || m.arena.before(n.refs[slot], m.key(hi), m.seq(hi), 0), "M1")
	}

	if n.kids == nil {
		hold(n.prev == leaf && (leaf == nil || leaf.next.Load() == n), "M5")
		return n
	}
	for i := range p.len() {
		l, h := lo, hi
		if i > 0 {
			l = n.refs[p.at(i)]
		}
		if i+1 < p.len() {
			h = n.refs[p.at(i+1)]
		}
		leaf = m.checkNode(leaf, n.kids[p.at(i)].Load(), l, h)
	}
	return leaf
}

// check panics if V1 or V2 does not hold.
func (v *tableSet) check() {
	for level, tables := range v.levels {
		for i := 1; i < len(tables); i++ {
			if level == 0 {
				hold(tables[i-1].maxSeq < tables[i].minSeq, "V1")
			} else {
				hold(bytes.Compare(tables[i-1].largest, tables[i].smallest) < 0, "V2")
			}
		}
	}
}

// hold panics if an invariant does not hold.
func hold(ok bool, name string) {
	if !ok {
		panic(fmt.Sprintf("lsm: %s violated", name))
	}
}
