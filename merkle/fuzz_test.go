// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// within checks that f allocates a mebibyte, more bytes and 64 for each of n at
// most.
func within(t *testing.T, name string, n, more int, f func()) {
	t.Helper()
	if got, limit := allocated(f), uint64(1<<20+more+64*n); got > limit {
		t.Fatalf("%s: %d bytes are allocated for %d, want at most %d", name, got, n, limit)
	}
}

// FuzzDecode gives every decoder the same bytes, in half of the cases with the
// checksum put right. None may panic or take memory that the bytes do not
// account for; bytes that it accepts must be written back as they were, and
// both ways to read a tree must agree.
func FuzzDecode(f *testing.F) {
	for _, v := range forms() {
		f.Add(mustMarshal(f, v[0]), false)
		f.Add(mustMarshal(f, v[0])[:headerBytes+sumBytes], true)
	}
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair && len(b) >= headerBytes+sumBytes {
			b = resummed(b, func(b []byte) []byte { return b })
		}
		for name, v := range forms() {
			var err error
			within(t, name, len(b), 0, func() { err = v[1].UnmarshalBinary(b) })
			if err == nil {
				if out := mustMarshal(t, v[1]); !bytes.Equal(out, b) {
					t.Fatalf("%s: written again %x, want %x", name, out, b)
				}
				continue
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%s: %v, want ErrCorrupt or ErrVersion", name, err)
			}
		}

		var one, two Tree
		err := one.UnmarshalBinary(b)
		var n int64
		var readErr error
		within(t, "ReadFrom", len(b), 0, func() { n, readErr = two.ReadFrom(bytes.NewReader(b)) })
		if ok := readErr == nil && n == int64(len(b)); ok != (err == nil) {
			t.Fatalf("UnmarshalBinary: %v, ReadFrom: %v after %d of %d bytes", err, readErr, n, len(b))
		}
	})
}

// FuzzVerify gives every verifier the same numbers and hashes. None may panic
// or take memory by what a number says, and none accepts what was not proved:
// the root is that of another tree.
func FuzzVerify(f *testing.F) {
	f.Add(uint64(3), uint64(8), make([]byte, 96), make([]byte, 32))
	f.Add(uint64(1)<<63, uint64(1<<64-1), make([]byte, 64*32), make([]byte, 64))
	f.Fuzz(func(t *testing.T, a, b uint64, proofBytes, leafBytes []byte) {
		cut := func(b []byte) []Hash {
			hashes, err := parseHashes(nil, b[:len(b)/hashBytes*hashBytes], uint64(len(b)/hashBytes))
			if err != nil {
				t.Fatal(err)
			}
			return hashes
		}

		proof, leaves := cut(proofBytes), cut(leafBytes)
		root := SHA256.Leaf([]byte("the root of none of them"))
		indices := make([]uint64, len(leaves))
		for i := range indices {
			indices[i] = a + uint64(i)*3
		}

		for name, verify := range map[string]func() error{
			"VerifyInclusion":   func() error { return VerifyInclusion(nil, proof, a, b, Hash{}, root) },
			"VerifyConsistency": func() error { return VerifyConsistency(nil, proof, a, b, Hash{1}, root) },
			"VerifyRange":       func() error { return VerifyRange(nil, proof, a, b, leaves, root) },
			"VerifyMulti":       func() error { return VerifyMulti(nil, proof, indices, b, leaves, root) },
		} {
			within(t, name, 0, 0, func() {
				if err := verify(); !errors.Is(err, ErrProof) {
					t.Fatalf("%s: %v, want ErrProof", name, err)
				}
			})
		}
	})
}

// FuzzOpenSlice opens any bytes, in half of the cases with the checksum put
// right. What it accepts must be the bytes of the file.
func FuzzOpenSlice(f *testing.F) {
	b := contents(3*testChunk + 5)
	file, tree := mustSum(f, b)
	slice, err := file.AppendSlice(nil, bytes.NewReader(b), tree, 1000, 100)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slice, int64(1000), int64(100), false)
	f.Add(slice, int64(1000), int64(101), true)
	f.Fuzz(func(t *testing.T, slice []byte, off, n int64, repair bool) {
		if repair && len(slice) >= headerBytes+sumBytes {
			slice = resummed(slice, func(b []byte) []byte { return b })
		}
		var got []byte
		var err error
		within(t, "OpenSlice", len(slice), 0, func() { got, err = file.OpenSlice(slice, off, n) })
		if err == nil && !bytes.Equal(got, b[off:off+n]) {
			t.Fatalf("%d bytes at %d are not those of the file", n, off)
		}
	})
}

// FuzzExchange gives both sides any bytes as a message, in half of the cases
// behind a good head. Neither may panic, go on forever, or take memory that the
// bytes do not account for: what an index answers is bounded by its frame.
func FuzzExchange(f *testing.F) {
	x := NewIndex(secret, nil)
	for i := range 200 {
		x.Set(fmt.Sprint(i), digestOf(uint64(i)))
	}
	f.Add([]byte{byte(modePrint) | ends}, true)
	f.Add(listOf("a", "ab", "b"), true)
	f.Add([]byte("ashlarmi"), false)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		msg, answer := b, b
		if repair {
			msg = appendSum(append(appendHead(nil, kindAsk, x.id), b...), 0)
			answer = appendSum(append(appendHead(nil, kindAnswer, x.id), b...), 0)
		}

		within(t, "Respond", len(msg), 64*defaultFrame, func() {
			if reply, err := x.Respond(msg); err == nil && len(reply) > defaultFrame+maxAsks {
				t.Fatalf("an answer of %d bytes", len(reply))
			}
		})
		within(t, "parseAnswer", len(b), 0, func() { _, _ = parseAnswer(b, []ask{{hi: openEnd}}) })
		p := &badPeer{local{x: NewIndex(secret, nil)}, func([]byte) []byte { return answer }}
		n := 0
		for _, err := range x.Diff(t.Context(), p) {
			if n++; err != nil {
				break
			}
		}
		if p.exchanges > maxVain*(n+x.Len()+1) {
			t.Fatalf("%d exchanges", p.exchanges)
		}
	})
}
