// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// reference are the leaves of the reference implementation of Certificate
// Transparency, and the roots of the first 0 to 8 of them.
var reference = struct{ leaves, roots []string }{
	[]string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"},
	[]string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	},
}

func referenceLeaves(t *testing.T) (d [][]byte) {
	t.Helper()
	for _, s := range reference.leaves {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		d = append(d, b)
	}
	return d
}

func hashesOf(t *testing.T, text ...string) (list []Hash) {
	t.Helper()
	for _, s := range text {
		var h Hash
		if err := h.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		list = append(list, h)
	}
	return list
}

// TestCertificateTransparency checks roots and proofs that the reference
// implementation of RFC 6962 publishes.
func TestCertificateTransparency(t *testing.T) {
	tree := treeOf(referenceLeaves(t))
	for n, want := range hashesOf(t, reference.roots...) {
		if got, err := tree.RootAt(uint64(n)); got != want || err != nil {
			t.Errorf("RootAt(%d) = %v, %v, want %v", n, got, err, want)
		}
	}

	for _, c := range []struct {
		name string
		got  func() ([]Hash, error)
		want []string
	}{
		{"inclusion of 0 in 8", func() ([]Hash, error) { return AppendInclusion(nil, tree, nil, 0, 8) }, []string{
			"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
			"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
			"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
		}},
		{"consistency from 6 to 8", func() ([]Hash, error) { return AppendConsistency(nil, tree, nil, 6, 8) }, []string{
			"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
			"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
			"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		}},
		{"consistency from 2 to 5", func() ([]Hash, error) { return AppendConsistency(nil, tree, nil, 2, 5) }, []string{
			"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
			"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
		}},
	} {
		if got, err := c.got(); err != nil || !slices.Equal(got, hashesOf(t, c.want...)) {
			t.Errorf("%s = %v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

// The sums of all roots and proofs of up to 130 leaves, leaf i being the byte
// i, one a line, as golang.org/x/mod/sumdb/tlog computes them.
const (
	sumOfRoots       = "9c67f07f906103b6bf201842a50ff0b8c91fca9b3e211334a6b7aa3133165dec"
	sumOfInclusion   = "893ce6eea61adc33c22c0e3a952498b76dfa3c282e78ac659f6fcc0ea44f9983"
	sumOfConsistency = "2498232e1aebe8d1aa8d339d897fc471f4495fe0b8a55ac08f7dae3d88bc4c2a"
	rootOf130        = "f05d2f5ef24c72dd70b0a8f28e576b3acaf944c00e014524c47aa42325d7d1c3"
)

// TestGolden compares the roots and proofs of all trees of up to 130 leaves
// with those of another implementation.
func TestGolden(t *testing.T) {
	const most = 130
	tree := treeOf(bytesOf(most))
	roots, inclusion, consistency := sha256.New(), sha256.New(), sha256.New()
	for n := range uint64(most + 1) {
		root, err := tree.RootAt(n)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(roots, "%d %x\n", n, root[:])

		for i := range n {
			p, err := AppendInclusion(nil, tree, nil, i, n)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(inclusion, "%d %d%s\n", i, n, spaced(p))

			p, err = AppendConsistency(p[:0], tree, nil, i+1, n)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(consistency, "%d %d%s\n", i+1, n, spaced(p))
		}
	}

	for _, c := range []struct{ name, got, want string }{
		{"root of 130", tree.Root().String(), rootOf130},
		{"roots", hex.EncodeToString(roots.Sum(nil)), sumOfRoots},
		{"inclusion", hex.EncodeToString(inclusion.Sum(nil)), sumOfInclusion},
		{"consistency", hex.EncodeToString(consistency.Sum(nil)), sumOfConsistency},
	} {
		if c.got != c.want {
			t.Errorf("%s = %s, want %s", c.name, c.got, c.want)
		}
	}
}

// TestRFC9162Example checks the proofs of the seven leaves that RFC 9162 shows
// in section 2.1.5.
func TestRFC9162Example(t *testing.T) {
	tree := treeOf(numbers(7))
	node := func(l int, i uint64) Hash {
		h, err := tree.Node(l, i)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	b, c, d, f := node(0, 1), node(0, 2), node(0, 3), node(0, 5)
	g, h, i, j := node(1, 0), node(1, 1), node(1, 2), node(0, 6)
	k, l := node(2, 0), SHA256.Node(i, j)

	for index, want := range map[uint64][]Hash{0: {b, h, l}, 3: {c, g, l}, 4: {f, j, k}, 6: {i, k}} {
		if got, err := AppendInclusion(nil, tree, nil, index, 7); err != nil || !slices.Equal(got, want) {
			t.Errorf("inclusion of d%d = %v, %v, want %v", index, got, err, want)
		}
	}
	for old, want := range map[uint64][]Hash{3: {c, d, g, l}, 4: {l}, 6: {i, j, k}} {
		if got, err := AppendConsistency(nil, tree, nil, old, 7); err != nil || !slices.Equal(got, want) {
			t.Errorf("consistency from %d = %v, %v, want %v", old, got, err, want)
		}
	}
}

// The sums of all subtrees of up to 130 leaves, of the proofs of their leaves,
// and of their own in larger trees: appendix C.1 of the Internet-Draft
// draft-ietf-plants-merkle-tree-certs, against which
// github.com/transparency-dev/merkle and filippo.io/torchwood are tested.
const (
	sumOfSubtrees           = "b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81"
	sumOfSubtreeInclusion   = "ac2a8f989e44d99e399db448050ff5f19757df53cfb716aa81015d3955d8163f"
	sumOfSubtreeConsistency = "10fa99b37bf9bf9ffa26b412fbd98bd75363256d0b75d61bc4538b9c9c5a0a74"
)

// A subtree is the reader of the leaves of a tree from start on.
type subtree struct {
	*Tree
	start uint64
}

func (r subtree) Node(l int, i uint64) (Hash, error) { return r.Tree.Node(l, r.start>>l+i) }

// subtreeLevel returns the level of the node that the subtree [lo, hi) is, or
// is the beginning of, and whether there is one.
func subtreeLevel(lo, hi uint64) (l int, ok bool) {
	for 1<<l < hi-lo {
		l++
	}
	return l, lo>>l<<l == lo
}

// TestGoldenSubtrees compares the subtrees of all trees of up to 130 leaves,
// and their proofs, with those of other implementations.
func TestGoldenSubtrees(t *testing.T) {
	const most = 130
	tree := treeOf(bytesOf(most))
	leaves := leafHashes(bytesOf(most))
	hashes, inclusion, consistency := sha256.New(), sha256.New(), sha256.New()
	w := SHA256.worker()
	defer w.release()

	for hi := range uint64(most + 1) {
		for lo := range hi + 1 {
			root := SHA256.Empty()
			if _, ok := subtreeLevel(lo, hi); !ok {
				continue
			}
			if lo < hi {
				var err error
				root, err = fold(tree, w, lo, hi)
				must(t, err)
			}
			fmt.Fprintf(hashes, "[%d, %d) %x\n", lo, hi, root[:])

			for i := lo; i < hi; i++ {
				p, err := AppendInclusion(nil, subtree{tree, lo}, nil, i-lo, hi-lo)
				must(t, err)
				must(t, VerifyInclusion(nil, p, i-lo, hi-lo, leaves[i], root))
				fmt.Fprintf(inclusion, "%d [%d, %d)%s\n", i, lo, hi, spaced(p))
			}
		}
	}

	for n := range uint64(most + 1) {
		for hi := range n + 1 {
			for lo := range hi + 1 {
				if l, ok := subtreeLevel(lo, hi); ok {
					fmt.Fprintf(consistency, "[%d, %d) %d%s\n", lo, hi, n, spaced(subtreeProof(t, tree, l, lo, hi, n)))
				}
			}
		}
	}
	for _, c := range []struct{ name, got, want string }{
		{"hashes", hex.EncodeToString(hashes.Sum(nil)), sumOfSubtrees},
		{"inclusion", hex.EncodeToString(inclusion.Sum(nil)), sumOfSubtreeInclusion},
		{"consistency", hex.EncodeToString(consistency.Sum(nil)), sumOfSubtreeConsistency},
	} {
		if c.got != c.want {
			t.Errorf("%s = %s, want %s", c.name, c.got, c.want)
		}
	}
}

// subtreeProof returns the proof that the leaves [lo, hi), which begin the node
// of level l above them, are in the tree of n: that the node begins with them,
// and that it is in the tree.
func subtreeProof(t *testing.T, tree *Tree, l int, lo, hi, n uint64) []Hash {
	if lo == hi {
		return nil // no leaves are in every tree
	}
	w := SHA256.worker()
	defer w.release()
	p, err := AppendConsistency(nil, subtree{tree, lo}, nil, hi-lo, min(1<<l, n-lo))
	must(t, err)
	p, err = appendPath(p, tree, w, l, lo>>l, n)
	must(t, err)
	return p
}

// spaced returns the hashes of p, each after a space.
func spaced(p []Hash) string {
	var b strings.Builder
	for _, h := range p {
		b.WriteString(" " + h.String())
	}
	return b.String()
}

// TestGoldenMessages compares messages with those that a program in another
// language made from FORMAT.md.
func TestGoldenMessages(t *testing.T) {
	const (
		ask    = "6173686c61726d690100014f3b307fdf052c51813a859325e87e6970af24c18c5d76cda9e7a0c31fa6808e03"
		answer = "6173686c61726d690100024f3b307fdf052c51830206757365723a31010101010101010101010101010101015e323a61206c6f6e676572206b657903030303030303030303030303030303e67a27cba00d3e90"
	)
	of := func(b byte) (d Digest) {
		copy(d[:], bytes.Repeat([]byte{b}, len(d)))
		return d
	}

	here := NewIndex([]byte("0123456789abcdef"), nil)
	here.Set("user:1", of(1))
	here.Set("user:2", of(2))
	there := NewIndex([]byte("0123456789abcdef"), nil)
	there.Set("user:1", of(1))
	there.Set("user:2:a longer key", of(3))

	var sent []string
	peer := peerFunc(func(msg []byte) ([]byte, error) {
		reply, err := there.Respond(msg)
		sent = append(sent, hex.EncodeToString(msg), hex.EncodeToString(reply))
		return reply, err
	})
	for _, err := range here.Diff(t.Context(), peer) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{ask, answer}; !slices.Equal(sent, want) {
		t.Errorf("sent %q, want %q", sent, want)
	}
}

// A peerFunc is a peer that answers in this process.
type peerFunc func(msg []byte) ([]byte, error)

func (f peerFunc) Exchange(_ context.Context, msg []byte) ([]byte, error) { return f(msg) }
