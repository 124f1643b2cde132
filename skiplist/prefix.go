// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"encoding/binary"
)

// Comparing two strings follows two pointers, each of which may miss every
// cache. So a block of strings has, beside them, eight bytes of each as a
// number that compares as they do: those after the bytes that all strings of
// the block begin with. Only strings whose numbers are equal are looked at.

// prefixes are the numbers of the strings of a block.
type prefixes struct {
	skip  int // bytes that all strings begin with, or fewer
	words [width]uint64
}

// textOf returns key, which is a string.
func textOf[K any](key K) string { return any(key).(string) }

// wordOf returns the eight bytes of s from skip on as a number. Bytes that are
// not there count as 0.
func wordOf(s string, skip int) uint64 {
	if len(s) >= skip+8 {
		return binary.BigEndian.Uint64([]byte(s[skip : skip+8]))
	}
	w := uint64(0)
	for i := range 8 {
		w <<= 8
		if skip+i < len(s) {
			w |= uint64(s[skip+i])
		}
	}
	return w
}

// commonPrefix returns how many bytes a and b have in common at their start.
func commonPrefix(a, b string) int {
	const step = 32 // is compared as words
	n := min(len(a), len(b))
	i := 0
	for i+step <= n && a[i:i+step] == b[i:i+step] {
		i += step
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// clone returns a copy of p, or nil.
func (p *prefixes) clone() *prefixes {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// makePrefixes makes p the numbers of keys, which are in order.
func makePrefixes[K any](p *prefixes, keys []K) {
	p.skip = 0
	if n := len(keys); n > 1 {
		p.skip = commonPrefix(textOf(keys[0]), textOf(keys[n-1]))
	}
	for i, key := range keys {
		p.words[i] = wordOf(textOf(key), p.skip)
	}
	clear(p.words[len(keys):])
}

// insertPrefix puts the number of keys[i], which is new, into p. A key at
// either end may make the common start shorter; one between others cannot.
func insertPrefix[K any](p *prefixes, keys []K, i int) {
	n := len(keys)
	if n <= 2 || (i == 0 || i == n-1) && commonPrefix(textOf(keys[0]), textOf(keys[n-1])) < p.skip {
		makePrefixes(p, keys)
		return
	}
	copy(p.words[i+1:n], p.words[i:n-1])
	p.words[i] = wordOf(textOf(keys[i]), p.skip)
}

// cut removes the numbers from place i to j.
func (p *prefixes) cut(i, j int) {
	k := i + copy(p.words[i:], p.words[j:])
	clear(p.words[k:])
}

// renewPrefixes makes the numbers of the fences of x.
func (x *index[K, V]) renewPrefixes() {
	if x.prefix != nil {
		makePrefixes(x.prefix, x.fences[1:max(x.n, 1)])
	}
}

// setFence makes fence the lower bound of kid i of x.
func (x *index[K, V]) setFence(i int, fence K) {
	x.fences[i] = fence
	x.renewPrefixes()
}

// beside compares text with keys by the bytes that they have in common: it is
// negative if text comes before all of them, positive if after, and 0 if it
// begins as they do.
func beside[K any](p *prefixes, keys []K, text string) int {
	if p.skip == 0 {
		return 0 // and there may be no keys
	}
	return cmp.Compare(text[:min(p.skip, len(text))], textOf(keys[0])[:p.skip])
}

// searchWords returns the number of keys before key, and whether key comes
// next, for a text that begins as the keys do.
func searchWords[K cmp.Ordered](p *prefixes, keys []K, key K, text string) (int, bool) {
	w := wordOf(text, p.skip)
	words := p.words[:len(keys)]
	lo := 0
	for lo < len(words) && words[lo] < w {
		lo++
	}
	hi := lo
	for hi < len(words) && words[hi] == w {
		hi++
	}

	// The strings decide.
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		switch c := cmp.Compare(keys[mid], key); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// findString compares strings by their prefixes.
func findString[K cmp.Ordered, V any](m *Map[K, V], key K, why purpose) (l *leaf[K, V], at, rank int, ok bool) {
	text := textOf(key)
	l = m.only
	for x := m.top; x != nil; {
		fences := x.fences[1:x.n]
		i := 0
		switch c := beside(x.prefix, fences, text); {
		case c > 0:
			i = len(fences)
		case c == 0:
			var found bool
			if i, found = searchWords(x.prefix, fences, key, text); found {
				i++
			}
		}
		if why != forEntry {
			rank += m.note(x, i, why)
		}
		if x.leaves != nil {
			l = x.leaves[i]
			break
		}
		x = x.kids[i]
	}

	// If the key is there it begins as the others do. Else look whether it
	// does.
	keys := l.keys[:l.n]
	i, ok := searchWords(l.prefix, keys, key, text)
	if !ok {
		switch c := beside(l.prefix, keys, text); {
		case c < 0:
			i = 0
		case c > 0:
			i = len(keys)
		}
	}
	return l, i, rank + i, ok
}
