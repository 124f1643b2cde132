// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// FuzzDecode gives every decoder the same bytes, in half of the cases with the
// checksum put right. None may panic; bytes that it accepts must be written
// back as they were, and both ways to read a tree must agree.
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
			err := v[1].UnmarshalBinary(b)
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
		n, readErr := two.ReadFrom(bytes.NewReader(b))
		if ok := readErr == nil && n == int64(len(b)); ok != (err == nil) {
			t.Fatalf("UnmarshalBinary: %v, ReadFrom: %v after %d of %d bytes", err, readErr, n, len(b))
		}
	})
}

// FuzzVerify gives every verifier the same numbers and hashes. None may panic,
// and none accepts what was not proved: the root is that of another tree.
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

		for name, err := range map[string]error{
			"VerifyInclusion":   VerifyInclusion(nil, proof, a, b, Hash{}, root),
			"VerifyConsistency": VerifyConsistency(nil, proof, a, b, Hash{1}, root),
			"VerifyRange":       VerifyRange(nil, proof, a, b, leaves, root),
			"VerifyMulti":       VerifyMulti(nil, proof, indices, b, leaves, root),
		} {
			if !errors.Is(err, ErrProof) {
				t.Fatalf("%s: %v, want ErrProof", name, err)
			}
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
		got, err := file.OpenSlice(slice, off, n)
		if err == nil && !bytes.Equal(got, b[off:off+n]) {
			t.Fatalf("%d bytes at %d are not those of the file", n, off)
		}
	})
}

// FuzzExchange gives both sides any bytes as a message, in half of the cases
// behind a good head. Neither may panic or go on forever.
func FuzzExchange(f *testing.F) {
	x := NewIndex(secret, nil)
	for i := range 200 {
		x.Set(fmt.Sprint(i), digestOf(uint64(i)))
	}
	f.Add([]byte{byte(modePrint) | ends}, true)
	f.Add(listOf("a", "ab", "b"), true)
	f.Add([]byte("ashlarmi"), false)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		ask, answer := b, b
		if repair {
			ask = appendSum(append(appendHead(nil, kindAsk, x.id), b...), 0)
			answer = appendSum(append(appendHead(nil, kindAnswer, x.id), b...), 0)
		}

		if reply, err := x.Respond(ask); err == nil && len(reply) > 4*defaultFrame {
			t.Fatalf("an answer of %d bytes", len(reply))
		}
		p := &badPeer{local{x: NewIndex(secret, nil)}, func([]byte) []byte { return answer }}
		n := 0
		for _, err := range x.Diff(t.Context(), p) {
			if n++; err != nil {
				break
			}
		}
		if p.exchanges > maxVain*(n+1) {
			t.Fatalf("%d exchanges", p.exchanges)
		}
	})
}
