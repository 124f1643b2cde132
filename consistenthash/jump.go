// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"math/bits"
)

// Jump returns the bucket in [0, buckets) of a key by the jump consistent hash
// of Lamping and Veach, as other languages compute it. Adding the bucket n
// moves 1 key in n+1, all to it. The key must be a hash: a counter or an
// identifier has too little entropy. Only the last bucket can be removed. If no
// other language has to agree, [JumpBack] is faster. The complexity is O(log n)
// where n = buckets. It panics if buckets is not positive.
func Jump(key uint64, buckets int) int {
	if buckets < 1 {
		panic(fmt.Sprintf("consistenthash: buckets must be positive, got %d", buckets))
	}

	// The bucket changes ln(buckets) times in the mean as the number grows.
	// Jump from change to change.
	b := int64(-1)
	next := int64(0)
	for next < int64(buckets) {
		b = next
		key = key*2862933555777941757 + 1
		// A quotient and a product, each rounded once: no sum that a machine
		// could fuse.
		f := float64(b+1) * (float64(int64(1)<<31) / float64(key>>33+1))
		if f >= float64(buckets) {
			break
		}
		next = int64(f)
	}
	return int(b)
}

// JumpBack returns the bucket in [0, buckets) of a key by the JumpBackHash of
// Ertl. It has the guarantees of [Jump], with other buckets. Like Jump it wants
// a hash as the key; 0 is always in bucket 0. The complexity is O(1) expected.
// It panics if buckets is not between 1 and 2^31-1.
func JumpBack(key uint64, buckets int) int {
	if buckets < 1 || buckets > 1<<31-1 {
		panic(fmt.Sprintf("consistenthash: buckets must be between 1 and 2^31-1, got %d", buckets))
	}

	n := uint32(buckets)
	v := key
	r := key
	// Bit q of u says whether a key has a bucket in [q, 2q): its highest one
	// below n is wanted.
	u := uint32(v^v>>32) & (1<<bits.Len32(n-1) - 1)
	for u != 0 {
		q := uint32(1) << (bits.Len32(u) - 1)
		b := q + uint32(v>>(uint(bits.OnesCount32(u)&1)*32))&(q-1)

		// Draw until the bucket is below n or the half above q is left.
		for {
			if b < n {
				return int(b)
			}
			r = xorshift(r)
			if b = uint32(r) & (2*q - 1); b < q {
				break
			}
			if b < n {
				return int(b)
			}
			if b = uint32(r>>32) & (2*q - 1); b < q {
				break
			}
		}
		u ^= q
	}
	return 0
}

// xorshift is the generator of Marsaglia with the shifts left 7 and right 9.
func xorshift(x uint64) uint64 {
	x ^= x << 7
	return x ^ x>>9
}
