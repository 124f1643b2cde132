// SPDX-License-Identifier: MIT

package merkle

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A Digest stands for the value of a key in an [Index]: the first 16 bytes of a
// hash of it, or its version. Equal digests mean equal values.
type Digest [16]byte

// An item is a key with its digest.
type item struct {
	key    string
	digest Digest
}

// A tally is what a set of items adds up to: their number, and the sum of their
// hashes modulo 2^256, least significant word first. It does not depend on the
// order in which they came.
type tally struct {
	count uint64
	sum   [4]uint64
}

// add adds u to t, modulo 2^256.
func (t *tally) add(u *tally) {
	t.count += u.count
	carry := uint64(0)
	for i := range t.sum {
		t.sum[i], carry = bits.Add64(t.sum[i], u.sum[i], carry)
	}
}

// sub subtracts u from t, modulo 2^256.
func (t *tally) sub(u *tally) {
	t.count -= u.count
	borrow := uint64(0)
	for i := range t.sum {
		t.sum[i], borrow = bits.Sub64(t.sum[i], u.sum[i], borrow)
	}
}

// A fingerprint stands for a tally in messages.
type fingerprint [16]byte

// fingerprint returns the hash of t. From the sum itself a peer could compute
// keys that cancel each other.
func (t *tally) fingerprint(w *worker) fingerprint {
	b := binary.LittleEndian.AppendUint64(w.buf[:0], t.count)
	for _, x := range t.sum {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	h := w.sum(len(b))
	return fingerprint(h[:])
}

// A page with pageKeys keys or kids is split in two. Two pages that have fewer
// than pageMerge together become one.
const (
	pageKeys  = 32
	pageMerge = 20
)

// A page is a node of the B+tree of an [Index]: a leaf if it has no kids. Key i
// of a leaf belongs to digest i. Key i of another page is the bound of two
// kids: all keys below kid i are less, and those below kid i+1 are not.
type page struct {
	keys    keys
	digests []Digest
	kids    []*page
	tallies []tally // of the items below each kid
}

// newLeaf returns a leaf without items.
func newLeaf() *page { return &page{digests: make([]Digest, 0, pageKeys)} }

// len returns the number of items of a leaf, or of the kids of another page.
func (p *page) len() int {
	if p.kids == nil {
		return p.keys.n
	}
	return len(p.kids)
}

// child returns the kid that key belongs to.
func (p *page) child(key string) int {
	i, ok := p.keys.search(key)
	if ok {
		i++
	}
	return i
}

// A step is a page on the way to a leaf, and the kid that is the next.
type step struct {
	page *page
	kid  int
}

// items is the set of items of an Index, in order of their keys.
type items struct {
	secret Hash // keys the hash of an item
	root   *page
	total  tally
}

// weigh returns the tally of one item: a keyed hash of it. The digest ends the
// message, so that no two items have the same.
func (s *items) weigh(w *worker, key string, d Digest) tally {
	var h Hash
	if n := len(s.secret) + len(key) + len(d); n <= maxPadded {
		at := copy(w.buf[:], s.secret[:])
		at += copy(w.buf[at:], key)
		copy(w.buf[at:], d[:])
		h = w.sum(n)
	} else {
		end := w.buf[:copy(w.buf[:], d[:])] // d itself would have to be allocated
		h = w.long(s.secret[:], []byte(key), end)
	}
	t := tally{count: 1}
	for i := range t.sum {
		t.sum[i] = binary.LittleEndian.Uint64(h[8*i:])
	}
	return t
}

// mark returns the mark of an item.
func (s *items) mark(w *worker, it *item) mark {
	t := s.weigh(w, it.key, it.digest)
	print := t.fingerprint(w)
	return mark(print[:])
}

// find returns the leaf that key belongs to, and appends the way to it.
func (s *items) find(path []step, key string) (*page, []step) {
	p := s.root
	for p.kids != nil {
		i := p.child(key)
		path = append(path, step{p, i})
		p = p.kids[i]
	}
	return p, path
}

// get returns the digest of key.
func (s *items) get(key string) (Digest, bool) {
	p := s.root
	for p.kids != nil {
		p = p.kids[p.child(key)]
	}
	i, ok := p.keys.search(key)
	if !ok {
		return Digest{}, false
	}
	return p.digests[i], true
}

// maxPath is more than the height of any tree that fits into memory.
const maxPath = 16

// set sets the digest of key.
func (s *items) set(w *worker, key string, d Digest) {
	var room [maxPath]step
	p, path := s.find(room[:0], key)
	i, ok := p.keys.search(key)

	// The sums on the way change by the new item less the old one.
	change := s.weigh(w, key, d)
	if ok {
		old := s.weigh(w, key, p.digests[i])
		change.sub(&old)
		p.digests[i] = d
	} else {
		p.keys.insert(i, key)
		p.digests = slices.Insert(p.digests, i, d)
	}
	for _, st := range path {
		st.page.tallies[st.kid].add(&change)
	}
	s.total.add(&change)

	// Split full pages, from the leaf up. A page that is the last of its level
	// is split at its end, so that keys that come in order leave full pages.
	last := i == p.keys.n-1
	for p.len() >= pageKeys {
		cut := pageKeys / 2
		if last {
			cut = pageKeys - 1
		}
		right, key := p.cut(cut)
		if len(path) == 0 {
			s.root = &page{kids: []*page{p}, tallies: []tally{s.total}}
			path = append(path, step{s.root, 0})
		}
		up := path[len(path)-1]
		path = path[:len(path)-1]
		part := s.weighPage(w, right)
		up.page.tallies[up.kid].sub(&part)
		last = last && up.kid == len(up.page.kids)-1
		up.page.insert(up.kid+1, key, right, part)
		p = up.page
	}
}

// cut moves the items, or kids, of p from i on to a new page right, and returns
// the bound of the two.
func (p *page) cut(i int) (right *page, bound string) {
	if p.kids == nil {
		bound = p.keys.text[i]
		right = newLeaf()
		right.keys.add(p.keys.all()[i:]...)
		right.digests = append(right.digests, p.digests[i:]...)
		p.keys.remove(i, p.keys.n)
		p.keys.renew() // may have more in common now
		p.digests = p.digests[:i]
		return right, bound
	}

	// The bound that goes up is in neither page.
	bound = p.keys.text[i-1]
	right = &page{kids: slices.Clone(p.kids[i:]), tallies: slices.Clone(p.tallies[i:])}
	right.keys.add(p.keys.all()[i:]...)
	p.keys.remove(i-1, p.keys.n)
	p.keys.renew()
	clear(p.kids[i:])
	p.kids = p.kids[:i]
	p.tallies = p.tallies[:i]
	return right, bound
}

// insert makes right the kid i of p, and bound that of it and the one before.
func (p *page) insert(i int, bound string, right *page, t tally) {
	p.keys.insert(i-1, bound)
	p.kids = slices.Insert(p.kids, i, right)
	p.tallies = slices.Insert(p.tallies, i, t)
}

// remove removes kid i of p, which is not the first.
func (p *page) remove(i int) {
	p.keys.remove(i-1, i)
	p.kids = slices.Delete(p.kids, i, i+1)
	p.tallies = slices.Delete(p.tallies, i, i+1)
}

// weighPage returns the tally of all items below p.
func (s *items) weighPage(w *worker, p *page) (t tally) {
	for i := range p.tallies {
		t.add(&p.tallies[i])
	}
	for i := range p.digests {
		one := s.weigh(w, p.keys.text[i], p.digests[i])
		t.add(&one)
	}
	return t
}

// remove removes key, and reports whether it was there.
func (s *items) remove(w *worker, key string) bool {
	var room [maxPath]step
	p, path := s.find(room[:0], key)
	i, ok := p.keys.search(key)
	if !ok {
		return false
	}
	gone := s.weigh(w, key, p.digests[i])
	p.keys.remove(i, i+1)
	p.digests = slices.Delete(p.digests, i, i+1)
	for _, st := range path {
		st.page.tallies[st.kid].sub(&gone)
	}
	s.total.sub(&gone)

	// Merge pages with few keys, from the leaf up.
	for _, st := range slices.Backward(path) {
		st.page.tidy(st.kid)
		st.page.tidy(st.kid - 1)
	}
	for len(s.root.kids) == 1 {
		s.root = s.root.kids[0]
	}
	return true
}

// tidy merges kids i and i+1 of p, if they are there and have few keys.
func (p *page) tidy(i int) {
	if i < 0 || i+1 >= len(p.kids) {
		return
	}
	left, right := p.kids[i], p.kids[i+1]
	if left.len()+right.len() >= pageMerge {
		return
	}

	// One of the two kinds of page has digests, the other kids and tallies.
	if left.kids != nil {
		left.keys.add(p.keys.text[i])
	}
	left.keys.add(right.keys.all()...)
	left.digests = append(left.digests, right.digests...)
	left.kids = append(left.kids, right.kids...)
	left.tallies = append(left.tallies, right.tallies...)
	p.tallies[i].add(&p.tallies[i+1])
	p.remove(i + 1)
}

// A bound is the end of a range of keys: those below key, or if open, all.
type bound struct {
	key  string
	open bool
}

// openEnd is the bound above all keys. The last piece of an answer has it too,
// and ends where the ask does.
var openEnd = bound{open: true}

// after reports whether key is not below b.
func (b bound) after(key string) bool { return !b.open && key >= b.key }

// before returns the tally of the items below b.
func (s *items) before(w *worker, b bound) (t tally) {
	if b.open {
		return s.total
	}

	// Whole kids count by their tallies, the keys of the last leaf one by one.
	p := s.root
	for p.kids != nil {
		i := p.child(b.key)
		for j := range i {
			t.add(&p.tallies[j])
		}
		p = p.kids[i]
	}
	n, _ := p.keys.search(b.key)
	for i := range n {
		one := s.weigh(w, p.keys.text[i], p.digests[i])
		t.add(&one)
	}
	return t
}

// within returns the tally of the items of [lo, hi), and of those before.
func (s *items) within(w *worker, lo string, hi bound) (from, part tally) {
	from = s.before(w, bound{key: lo})
	part = s.before(w, hi)
	part.sub(&from)
	return from, part
}

// key returns the key that has rank keys before it.
func (s *items) key(rank uint64) string {
	p := s.root
	for p.kids != nil {
		i := 0
		for rank >= p.tallies[i].count {
			rank -= p.tallies[i].count
			i++
		}
		p = p.kids[i]
	}
	return p.keys.text[rank]
}

// separator returns the shortest key that lies above the key before rank, and
// is at most the key at rank.
func (s *items) separator(rank uint64) string {
	a, b := s.key(rank-1), s.key(rank)
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return b[:n+1]
}

// appendItems appends the items of [lo, hi), at most n.
func (s *items) appendItems(dst []item, lo string, hi bound, n int) []item {
	return s.root.appendItems(dst, lo, hi, len(dst)+n)
}

// appendItems appends the items of p in [lo, hi) until dst has n.
func (p *page) appendItems(dst []item, lo string, hi bound, n int) []item {
	if p.kids != nil {
		for i := p.child(lo); i < len(p.kids) && len(dst) < n; i++ {
			if i > 0 && hi.after(p.keys.text[i-1]) {
				break
			}
			dst = p.kids[i].appendItems(dst, lo, hi, n)
		}
		return dst
	}
	i, _ := p.keys.search(lo)
	for ; i < p.keys.n && len(dst) < n && !hi.after(p.keys.text[i]); i++ {
		dst = append(dst, item{p.keys.text[i], p.digests[i]})
	}
	return dst
}
