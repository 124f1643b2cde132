// SPDX-License-Identifier: MIT

package merkle

import "fmt"

// check panics if the invariants of the implementation notes do not hold.
// It runs only under the tag invariants.
func (t *Tree) check() {
	w := t.hasher.worker()
	defer w.release()
	n := t.Len()

	// Each level is looked at where it ends: the rest was checked before.
	for l := 0; n>>l > 0; l++ {
		have := 0
		if p := t.levels[l].blocks.Load(); p != nil {
			have = len(*p)
		}
		last := n>>l - 1
		if block, _ := locate(last); block >= have {
			panic(fmt.Sprintf("merkle: I1 violated: level %d has %d blocks, want %d", l, have, block+1))
		}
		if l == 0 {
			continue
		}
		below := &t.levels[l-1]
		if *t.levels[l].at(last) != w.node(below.at(2*last), below.at(2*last+1)) {
			panic(fmt.Sprintf("merkle: I2 violated: node %d of level %d is not the hash of its children", last, l))
		}
	}
}

// check panics if the invariants of the implementation notes do not hold.
// It runs only under the tag invariants.
func (r *Range) check() {
	if got, want := len(r.hashes), coverLen(r.begin, r.end); got != want {
		panic(fmt.Sprintf("merkle: I3 violated: [%d, %d) has %d hashes, want %d", r.begin, r.end, got, want))
	}
}

// checkLocked panics if the invariants of the implementation notes do not hold.
// It runs only under the tag invariants, after one change in 16, and looks at
// the way to one leaf. The caller holds x.mu.
func (x *Index) checkLocked() {
	if x.items.total.sum[0]%16 != 0 {
		return
	}
	w := SHA256.worker()
	defer w.release()
	total := x.items.total
	p := x.items.root

	// The way goes on with a kid that the count chooses, down to a leaf.
	for p.kids != nil {
		var sum tally
		for i := range p.tallies {
			sum.add(&p.tallies[i])
		}
		if sum != total || p.keys.n != len(p.kids)-1 || len(p.tallies) != len(p.kids) || len(p.kids) >= pageKeys {
			panic(fmt.Sprintf("merkle: I4 violated: %d kids, %d bounds, %d items, want %d", len(p.kids), p.keys.n, sum.count, total.count))
		}
		p.keys.check()
		i := int(total.count) % len(p.kids)
		total = p.tallies[i]
		p = p.kids[i]
	}
	if got := x.items.weighPage(w, p); got != total || p.keys.n >= pageKeys {
		panic(fmt.Sprintf("merkle: I4 violated: a leaf of %d items, want %d", got.count, total.count))
	}
	p.keys.check()
}

// check panics if the invariants of the implementation notes do not hold.
func (k *keys) check() {
	for i, key := range k.all() {
		if i > 0 && key <= k.text[i-1] {
			panic(fmt.Sprintf("merkle: I5 violated: %q comes after %q", key, k.text[i-1]))
		}
		if len(key) < k.skip || key[:k.skip] != k.text[0][:k.skip] || k.words[i] != wordOf(key, k.skip) {
			panic(fmt.Sprintf("merkle: I5 violated: the bytes of %q from %d on are %x", key, k.skip, k.words[i]))
		}
	}
}
