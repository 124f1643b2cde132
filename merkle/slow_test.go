// SPDX-License-Identifier: MIT

package merkle

import "crypto/sha256"

// The definitions of RFC 6962, section 2.1, as they stand there: recursive,
// over lists of leaves, with nothing kept.

// slowRoot is MTH(D[n]).
func slowRoot(d [][]byte) Hash {
	switch len(d) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0x00}, d[0]...))
	}
	k := slowSplit(len(d))
	return slowNode(slowRoot(d[:k]), slowRoot(d[k:]))
}

func slowNode(left, right Hash) Hash {
	return sha256.Sum256(append(append([]byte{0x01}, left[:]...), right[:]...))
}

// slowSplit returns the largest power of two below n.
func slowSplit(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

// slowPath is PATH(m, D[n]).
func slowPath(m int, d [][]byte) []Hash {
	if len(d) == 1 {
		return nil
	}
	k := slowSplit(len(d))
	if m < k {
		return append(slowPath(m, d[:k]), slowRoot(d[k:]))
	}
	return append(slowPath(m-k, d[k:]), slowRoot(d[:k]))
}

// slowConsistency is SUBPROOF(m, D[n], b), and with b true PROOF(m, D[n]).
func slowConsistency(m int, d [][]byte, b bool) []Hash {
	if m == len(d) {
		if b {
			return nil
		}
		return []Hash{slowRoot(d)}
	}
	k := slowSplit(len(d))
	if m <= k {
		return append(slowConsistency(m, d[:k], b), slowRoot(d[k:]))
	}
	return append(slowConsistency(m-k, d[k:], false), slowRoot(d[:k]))
}

// slowMulti returns the hashes that a proof of the leaves in picked needs,
// where the leaves d begin at index lo.
func slowMulti(picked map[int]bool, lo int, d [][]byte) []Hash {
	n := 0
	for i := range d {
		if picked[lo+i] {
			n++
		}
	}
	switch n {
	case 0:
		return []Hash{slowRoot(d)}
	case len(d):
		return nil
	}
	k := slowSplit(len(d))
	return append(slowMulti(picked, lo, d[:k]), slowMulti(picked, lo+k, d[k:])...)
}

// textbookRoot is the tree of the textbooks and of Bitcoin: a leaf is the hash
// of its data, a node the hash of its children, and if the last of a level has
// no sibling, it is its own.
func textbookRoot(d [][]byte) Hash {
	var row []Hash
	for _, data := range d {
		row = append(row, sha256.Sum256(data))
	}
	for len(row) > 1 {
		var up []Hash
		for i := 0; i < len(row); i += 2 {
			j := min(i+1, len(row)-1)
			up = append(up, sha256.Sum256(append(row[i][:], row[j][:]...)))
		}
		row = up
	}
	return row[0]
}
