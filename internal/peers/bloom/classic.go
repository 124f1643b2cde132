// SPDX-License-Identifier: MIT

package bloom

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/bits-and-blooms/bloom/v3"
	"github.com/cespare/xxhash/v2"
	holiman "github.com/holiman/bloomfilter/v2"
	cuckoo "github.com/seiflotfy/cuckoofilter"
	boom "github.com/tylertreat/BoomFilters"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// The peers that read as many cache lines as they have hashes, or hash a key
// themselves.

const (
	bits  = "bits-and-blooms"
	holi  = "holiman"
	boomf = "BoomFilters"
	cuck  = "seiflotfy"
)

// hashes is the k that a classic filter of as many bits has.
func hashes(s size) uint { return max(1, uint(float64(s.bits())/float64(s.n)*0.6931+0.5)) }

func newBits(s size) *bloom.BloomFilter { return bloom.New(uint(s.bits()), hashes(s)) }

func bitsHasString(s size) bench.Impl {
	return bench.Impl{Name: bits, Setup: func(func(func())) bench.Op {
		f, all := newBits(s), names()
		for _, k := range members() {
			f.AddString(k)
		}
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if f.TestString(all[i&(len(all)-1)]) {
					found++
				}
			}
			return found
		}
	}}
}

func bitsAddString(s size) bench.Impl {
	return bench.Impl{Name: bits, Setup: func(func(func())) bench.Op {
		f, all := newBits(s), names()
		return func(start, n int) int {
			for i := start; i < start+n; i++ {
				if i&(s.n-1) == 0 { // a power of two
					f.ClearAll()
				}
				f.AddString(all[i&(len(all)-1)])
			}
			return n
		}
	}}
}

func bitsRate(s size) func(uint64) bool {
	f := newBits(s)
	var key [8]byte
	for i := range s.n {
		binary.LittleEndian.PutUint64(key[:], keyHash(i))
		f.Add(key[:])
	}
	return func(h uint64) bool {
		binary.LittleEndian.PutUint64(key[:], h)
		return f.Test(key[:])
	}
}

func newHoliman(s size) *holiman.Filter {
	f, err := holiman.New(s.bits(), uint64(hashes(s)))
	if err != nil {
		panic(err)
	}
	return f
}

// holimanHasString hashes with ours: its Hash64 is an interface that each
// caller brings.
func holimanHasString(s size) bench.Impl {
	return bench.Impl{Name: holi, Setup: func(func(func())) bench.Op {
		f, all := newHoliman(s), names()
		for _, k := range members() {
			f.AddHash(xxhash.Sum64String(k))
		}
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if f.ContainsHash(xxhash.Sum64String(all[i&(len(all)-1)])) {
					found++
				}
			}
			return found
		}
	}}
}

func holimanRate(s size) func(uint64) bool {
	f := newHoliman(s)
	for i := range s.n {
		f.AddHash(keyHash(i))
	}
	return f.ContainsHash
}

// boomHasString: it chooses its bits itself, those of the theory, which are
// fewer than ours.
func boomHasString(s size) bench.Impl {
	return bench.Impl{Name: boomf, Setup: func(func(func())) bench.Op {
		f, all := boom.NewBloomFilter(uint(s.n), s.p), names()
		for _, k := range members() {
			f.Add([]byte(k))
		}
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if f.Test([]byte(all[i&(len(all)-1)])) {
					found++
				}
			}
			return found
		}
	}}
}

func boomRate(s size) func(uint64) bool {
	f := boom.NewBloomFilter(uint(s.n), s.p)
	var key [8]byte
	for i := range s.n {
		binary.LittleEndian.PutUint64(key[:], keyHash(i))
		f.Add(key[:])
	}
	return func(h uint64) bool {
		binary.LittleEndian.PutUint64(key[:], h)
		return f.Test(key[:])
	}
}

func boomCounting(s size) bench.Impl {
	return bench.Impl{Name: boomf, Setup: func(func(func())) bench.Op {
		c, all := boom.NewDefaultCountingBloomFilter(uint(s.n), s.p), names()
		return func(start, n int) (removed int) {
			for i := start; i < start+n; i++ {
				k := []byte(all[i&(len(all)-1)])
				if c.Add(k); c.Test(k) && c.TestAndRemove(k) {
					removed++
				}
			}
			return removed
		}
	}}
}

// cuckooCounting: its rate is 3 % whatever is asked for, and an Insert may
// fail.
func cuckooCounting(s size) bench.Impl {
	return bench.Impl{Name: cuck, Note: "a rate of 3 %", Setup: func(func(func())) bench.Op {
		c, all := cuckoo.NewFilter(uint(s.n)), names()
		return func(start, n int) (removed int) {
			for i := start; i < start+n; i++ {
				k := []byte(all[i&(len(all)-1)])
				if c.Insert(k); c.Lookup(k) && c.Delete(k) {
					removed++
				}
			}
			return removed
		}
	}}
}

func boomGrown(what string) bench.Impl {
	return bench.Impl{Name: boomf, Measure: func() (float64, int) {
		s := boom.NewScalableBloomFilter(1e4, 0.01, 0.8)
		var key [8]byte
		start := time.Now()
		for i := range grownKeys {
			binary.LittleEndian.PutUint64(key[:], uint64(i))
			s.Add(key[:])
		}
		took := time.Since(start)
		switch what {
		case "rate":
			yes := 0
			for i := range probes {
				binary.LittleEndian.PutUint64(key[:], uint64(absent+i))
				if s.Test(key[:]) {
					yes++
				}
			}
			return float64(yes) / probes, grownKeys
		case "bits":
			return float64(s.Capacity()) / grownKeys, grownKeys
		}
		return float64(took) / grownKeys, grownKeys
	}}
}

// classicBits is what the theory asks for.
func classicBits(p float64) float64 { return -math.Log2(p) / math.Ln2 }
