// SPDX-License-Identifier: MIT

package bloom

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

const (
	blockBytes    = 32
	blockWords    = blockBytes / 4
	maxBlocks     = (1<<31 - 1) / blockBytes // numBytes is a signed number of 32 bits
	minPortable   = 64 / blockBytes          // blocks of the smallest filter that all readers take
	mostPortable  = 128 << 20 / blockBytes   // and of the largest
	maxBlockLoad  = 64                       // keys a block: one takes at least 4 bits of it, whatever the rate
	errBlockLimit = "bloom: %d keys at %v need more than %s"
)

// A block is the unit of a SplitBlock: each key sets one bit in each word of
// one block.
type block [blockWords]uint32

// The salts spread a hash over the words of a block; the specification names
// them.
const (
	salt0 = 0x47b6137b
	salt1 = 0x44974d91
	salt2 = 0x8824ad5b
	salt3 = 0xa2b7289d
	salt4 = 0x705495c7
	salt5 = 0x2df1424b
	salt6 = 0x9efc4947
	salt7 = 0x5c6bfb31
)

// A SplitBlock is the split block Bloom filter of Apache Parquet, bit for bit.
// It is for data that other systems write or read; among programs that use this
// package a [Filter] takes less memory for the same rate. Use [NewSplitBlock]
// or [ParseParquet]; the zero SplitBlock is empty, and Add to it panics. It is
// safe for any number of concurrent readers, and not while a goroutine adds. It
// must not be copied.
//
// Its hash is XXH64 with seed 0 of the plain encoding of a value: the bytes of
// a BYTE_ARRAY without its length, and the 8 bytes, little endian, of an INT64.
// The values of INT32, FLOAT and DOUBLE columns are their 4 or 8 bytes, which
// Add and Has take; AddUint64 is for INT64 alone.
type SplitBlock struct {
	_      noCopy
	blocks []block
}

// NewSplitBlock returns an empty filter for n different keys and a rate of at
// most p. If opts is nil, the defaults are used: the size is a power of two
// from 64 bytes to 128 MiB, a size that all readers take. It panics unless
// 1e-12 <= p < 1 and 0 <= n <= 2^48, and if the filter would be larger than
// that, or with AnySize larger than the 2 GiB of the format.
func NewSplitBlock(n int, p float64, opts *SplitBlockOptions) *SplitBlock {
	if err := validateSize(n, p); err != nil {
		panic(err)
	}

	load := uint64(largestLoad(maxBlockLoad, p, blockRate))
	if uint64(n)*loadUnit > load*maxBlocks {
		panic(fmt.Sprintf(errBlockLimit, n, p, "2 GiB"))
	}

	// Round up to a size that all readers take.
	count := max((uint64(n)*loadUnit+load-1)/load, 1)
	if !opts.resolve().AnySize {
		count = max(uint64(1)<<bits.Len64(count-1), minPortable)
		if count > mostPortable {
			panic(fmt.Sprintf(errBlockLimit, n, p, "the 128 MiB that all readers take: set AnySize"))
		}
	}
	return &SplitBlock{blocks: make([]block, count)}
}

// blockRate returns the expected rate of blocks that hold load keys on average:
// of a block with j keys, each of the 8 bits of another is set with probability
// 1-(31/32)^j. The formula that older writers use, which counts on every block
// holding as many keys as the others, is up to 8 times too low.
func blockRate(load float64) (rate float64) {
	weight := math.Exp(-load)
	unset := 1.0
	for j := range int(load+12*math.Sqrt(load)) + 30 {
		rate += weight * power(1-unset, blockWords)
		weight *= load / float64(j+1)
		unset *= 31.0 / 32
	}
	return rate
}

// Add adds a BYTE_ARRAY and reports whether it is definitely new.
func (s *SplitBlock) Add(key []byte) bool { return s.AddHash(Hash(key, 0)) }

// AddString is [SplitBlock.Add] of the bytes of key.
func (s *SplitBlock) AddString(key string) bool { return s.AddHash(HashString(key, 0)) }

// AddUint64 adds the INT64 with the bits of v.
func (s *SplitBlock) AddUint64(v uint64) bool { return s.AddHash(plain(v)) }

// plain returns the hash of the plain encoding of v.
func plain(v uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return Hash(b[:], 0)
}

// AddHash adds the value whose XXH64 is h.
func (s *SplitBlock) AddHash(h uint64) bool {
	if len(s.blocks) == 0 {
		panic("bloom: zero SplitBlock: use NewSplitBlock")
	}
	if haveKernels {
		return addKernel(&s.blocks[0], uint64(len(s.blocks)), h)
	}
	return s.blocks[(h>>32)*uint64(len(s.blocks))>>32].add(uint32(h))
}

// add sets the bits of x and reports whether one was not set.
func (b *block) add(x uint32) bool {
	a0, a1, a2, a3 := set(&b[0], x*salt0>>27), set(&b[1], x*salt1>>27), set(&b[2], x*salt2>>27), set(&b[3], x*salt3>>27)
	a4, a5, a6, a7 := set(&b[4], x*salt4>>27), set(&b[5], x*salt5>>27), set(&b[6], x*salt6>>27), set(&b[7], x*salt7>>27)
	return a0|a1|a2|a3|a4|a5|a6|a7 != 0
}

// set sets bit i of w, which is below 32, and returns the bit if it was not
// set.
func set(w *uint32, i uint32) uint32 {
	bit := uint32(1) << (i & 31)
	missing := bit &^ *w
	*w |= bit
	return missing
}

// Has reports whether a BYTE_ARRAY may have been added. False is certain.
func (s *SplitBlock) Has(key []byte) bool { return s.HasHash(Hash(key, 0)) }

// HasString is [SplitBlock.Has] of the bytes of key.
func (s *SplitBlock) HasString(key string) bool { return s.HasHash(HashString(key, 0)) }

// HasUint64 reports whether the INT64 with the bits of v may have been added.
func (s *SplitBlock) HasUint64(v uint64) bool { return s.HasHash(plain(v)) }

// HasHash reports whether the value whose XXH64 is h may have been added.
func (s *SplitBlock) HasHash(h uint64) bool { return hasBlock(s.blocks, h) }

// hasBlockPure is hasBlock without a kernel.
func hasBlockPure(blocks []block, h uint64) bool {
	n := uint64(len(blocks))
	i := (h >> 32) * n >> 32
	return i < n && blocks[i].has(uint32(h)) // i = n only in the zero SplitBlock
}

// HasHashes appends to dst, for each of hs, what [SplitBlock.HasHash] returns,
// and returns the result. With AVX2 it is two to three times as fast as that.
// Reuse dst to allocate nothing.
func (s *SplitBlock) HasHashes(dst []bool, hs []uint64) []bool {
	if !haveKernels || len(s.blocks) == 0 || len(hs) == 0 {
		for _, h := range hs {
			dst = append(dst, s.HasHash(h))
		}
		return dst
	}
	from := len(dst)
	dst = append(dst, make([]bool, len(hs))...)
	hasAllKernel(&s.blocks[0], uint64(len(s.blocks)), &hs[0], uint64(len(hs)), &dst[from])
	return dst
}

// has reports whether the bits of x are set. It is written out, since a loop
// over the salts takes twice as long, and has no branch on data, as
// Filter.HasHash.
func (b *block) has(x uint32) bool {
	return b[0]>>(x*salt0>>27)&(b[1]>>(x*salt1>>27))&(b[2]>>(x*salt2>>27))&(b[3]>>(x*salt3>>27))&
		(b[4]>>(x*salt4>>27))&(b[5]>>(x*salt5>>27))&(b[6]>>(x*salt6>>27))&(b[7]>>(x*salt7>>27))&1 != 0
}

// Bits returns the size of the filter in bits, a multiple of 256.
func (s *SplitBlock) Bits() uint64 { return uint64(len(s.blocks)) * blockBytes * 8 }
