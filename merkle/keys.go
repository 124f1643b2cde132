// SPDX-License-Identifier: MIT

package merkle

import (
	"encoding/binary"
	"strings"
)

// keys are the keys of a page: few, and in order. Comparing two strings follows
// two pointers, each of which may miss every cache. So each key also has a
// number: eight of its bytes, after those that all keys of the page begin with.
// Numbers compare as the keys do, and only keys of equal numbers are looked at.
type keys struct {
	n     int
	skip  int // bytes that all keys begin with, or fewer
	words [pageKeys]uint64
	text  [pageKeys]string
}

// all returns the keys.
func (k *keys) all() []string { return k.text[:k.n] }

// search returns the number of keys that are less than key, and whether key is
// the next one.
func (k *keys) search(key string) (i int, ok bool) {
	if k.skip > 0 {
		switch start := key[:min(k.skip, len(key))]; strings.Compare(start, k.text[0][:k.skip]) {
		case -1:
			return 0, false
		case 1:
			return k.n, false
		}
	}
	w := wordOf(key, k.skip)
	for i < k.n && k.words[i] < w {
		i++
	}

	// The strings decide among those with the same number.
	for ; i < k.n && k.words[i] == w; i++ {
		if c := strings.Compare(k.text[i], key); c >= 0 {
			return i, c == 0
		}
	}
	return i, false
}

// insert makes key the i-th. There is room. A key at an end may make the common
// start shorter; one between others cannot.
func (k *keys) insert(i int, key string) {
	copy(k.text[i+1:], k.text[i:k.n])
	k.text[i] = key
	k.n++
	if k.n <= 2 || (i == 0 || i == k.n-1) && commonPrefix(k.text[0], k.text[k.n-1]) < k.skip {
		k.renew()
		return
	}
	copy(k.words[i+1:k.n], k.words[i:])
	k.words[i] = wordOf(key, k.skip)
}

// add adds keys that come after all others, for which there is room.
func (k *keys) add(list ...string) {
	k.n += copy(k.text[k.n:], list)
	k.renew()
}

// remove removes the keys [i, j).
func (k *keys) remove(i, j int) {
	copy(k.words[i:], k.words[j:k.n])
	copy(k.text[i:], k.text[j:k.n])
	n := k.n - (j - i)
	clear(k.text[n:k.n])
	k.n = n
	if n == 0 {
		k.skip = 0 // there is no key to have a start in common with
	}
}

// renew makes the numbers of all keys anew.
func (k *keys) renew() {
	k.skip = 0
	if k.n > 1 {
		k.skip = commonPrefix(k.text[0], k.text[k.n-1])
	}
	for i, key := range k.all() {
		k.words[i] = wordOf(key, k.skip)
	}
}

// wordOf returns the eight bytes of s from skip on as a number, most
// significant first. Bytes that are not there count as 0.
func wordOf(s string, skip int) uint64 {
	if len(s) >= skip+8 {
		return binary.BigEndian.Uint64([]byte(s[skip : skip+8]))
	}
	var b [8]byte
	copy(b[:], s[min(skip, len(s)):])
	return binary.BigEndian.Uint64(b[:])
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
