// SPDX-License-Identifier: MIT

package bloom

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// The odd multipliers that spread a hash over a pattern: the golden ratio, and
// one of the constants of xxhash. Both are part of the format.
const (
	spread1 = 0x9E3779B97F4A7C15
	spread2 = 0xC2B2AE3D27D4EB4F
)

// Hash returns the hash that Add and Has use for key under seed: XXH64 of key,
// and if seed is not zero, that value xored with seed and mixed. It never
// changes, so it may be stored and given to AddHash and HasHash. It is not a
// secret: see the package comment about adversaries.
func Hash(key []byte, seed uint64) uint64 { return seeded(xxhash.Sum64(key), seed) }

// HashString is [Hash] of the bytes of key.
func HashString(key string, seed uint64) uint64 { return seeded(xxhash.Sum64String(key), seed) }

// HashUint64 returns the hash that AddUint64 and HasUint64 use for v under
// seed. It is a permutation of the 64-bit numbers, so that different v never
// collide.
func HashUint64(v, seed uint64) uint64 { return mix64(v ^ seed) }

func seeded(h, seed uint64) uint64 {
	if seed != 0 {
		h = mix64(h ^ seed)
	}
	return h
}

// mix64 is the finalizer of SplitMix64 (Stafford's variant 13): a permutation
// in which each bit of the argument flips each bit of the result with
// probability near one half.
func mix64(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// index maps h to a number below n, all of them equally often, in the order of
// h. It is a multiplication of 64 by 64 bits: one of 32 bits would leave most
// of a large filter unused.
func index(h, n uint64) uint64 {
	hi, _ := bits.Mul64(h, n)
	return hi
}
