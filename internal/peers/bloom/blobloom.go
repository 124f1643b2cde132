// SPDX-License-Identifier: MIT

package bloom

import (
	"github.com/greatroar/blobloom"
	parquet "github.com/parquet-go/parquet-go/bloom"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// The peers that take the hash from the caller, as ours can, and read one block
// a key.

const (
	blob = "blobloom"
	parq = "parquet-go"
)

// blobHashes is how many hashes blobloom makes of one: what its optimizer
// chooses for the bits.
func blobHashes(s size) int {
	_, k := blobloom.Optimize(blobloom.Config{Capacity: uint64(s.n), FPRate: s.p})
	return k
}

func newBlob(s size) *blobloom.Filter { return blobloom.New(s.bits(), blobHashes(s)) }

func blobFilter(s size) *blobloom.Filter {
	return once(blob, s, func() *blobloom.Filter {
		f := newBlob(s)
		for i := range s.n {
			f.Add(keyHash(i))
		}
		return f
	})
}

func blobHas(s size, m mix) bench.Impl {
	return bench.Impl{Name: blob, Setup: func(func(func())) bench.Op {
		f, hs := blobFilter(s), questions(m, s.n)
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if f.Has(hs[i&(asked-1)]) {
					found++
				}
			}
			return found
		}
	}}
}

func blobAdd(s size) bench.Impl {
	return bench.Impl{Name: blob, Setup: func(func(func())) bench.Op {
		f, keys := newBlob(s), newcomers(s.n)
		return func(_, n int) int {
			for range n {
				h, full := keys.next()
				if full {
					f.Clear()
				}
				f.Add(h)
			}
			return n
		}
	}}
}

func blobRate(s size) func(uint64) bool { return blobFilter(s).Has }

func blobSyncAdd(s size, repeated bool) bench.Impl {
	return bench.Impl{Name: blob, Setup: func(func(func())) bench.Op {
		if repeated {
			f := blobloom.NewSync(s.bits(), blobHashes(s))
			for i := range s.n {
				f.Add(keyHash(i))
			}
			return func(start, n int) int {
				for i := start; i < start+n; i++ {
					f.Add(keyHash(i & (1<<19 - 1)))
				}
				return n
			}
		}

		all := newSeries(s.n, func() *blobloom.SyncFilter { return blobloom.NewSync(s.bits(), blobHashes(s)) })
		return all.each(func(f *blobloom.SyncFilter, start, n int) int {
			for i := start; i < start+n; i++ {
				f.Add(keyHash(i))
			}
			return n
		})
	}}
}

// newParquet returns its filter, in assembly, of as many bits as another filter
// has.
func newParquet(bits uint64) parquet.SplitBlockFilter {
	return make(parquet.SplitBlockFilter, max(bits/256, 1))
}

func parquetFilter(s size) parquet.SplitBlockFilter {
	return once(parq, s, func() parquet.SplitBlockFilter {
		f := newParquet(s.bits())
		for i := range s.n {
			f.Insert(keyHash(i))
		}
		return f
	})
}

func parquetHas(s size, m mix) bench.Impl {
	return bench.Impl{Name: parq, Note: "assembly", Setup: func(func(func())) bench.Op {
		return parquetAsk(parquetFilter(s), questions(m, s.n))
	}}
}

func parquetAsk(f parquet.SplitBlockFilter, hs []uint64) bench.Op {
	return func(start, n int) (found int) {
		for i := start; i < start+n; i++ {
			if f.Check(hs[i&(asked-1)]) {
				found++
			}
		}
		return found
	}
}

// parquetSplitBlock is the same filter as our SplitBlock, bit for bit.
func parquetSplitBlockHas(s size, m mix) bench.Impl {
	return bench.Impl{Name: parq, Setup: func(func(func())) bench.Op {
		f := newParquet(bloom.NewSplitBlock(s.n, s.p, nil).Bits())
		for i := range s.n {
			f.Insert(keyHash(i))
		}
		return parquetAsk(f, questions(m, s.n))
	}}
}

func parquetSplitBlockAdd(s size) bench.Impl {
	return bench.Impl{Name: parq, Setup: func(func(func())) bench.Op {
		f := newParquet(bloom.NewSplitBlock(s.n, s.p, nil).Bits())
		return func(start, n int) int {
			for i := start; i < start+n; i++ {
				f.Insert(keyHash(i & (1<<20 - 1)))
			}
			return n
		}
	}}
}

func parquetRate(s size) func(uint64) bool { return parquetFilter(s).Check }
