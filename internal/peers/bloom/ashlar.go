// SPDX-License-Identifier: MIT

// Package bloom compares the bloom package with other people's.
package bloom

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const ours = "ours"

// A size is how many keys a filter is made for and filled with, and the rate
// that is asked for. All filters of a row have the bits that ours has; where a
// peer chooses them itself, a row says so.
type size struct {
	n int
	p float64
}

func (s size) bits() uint64 { return bloom.New(s.n, s.p, nil).Bits() }

// keyHash returns the hash of the i-th key. Those below n are in the filter;
// keys from absent on are not.
func keyHash(i int) uint64 {
	x := (uint64(i) + 1) * 0x9E3779B97F4A7C15
	x = (x ^ x>>32) * 0xD6E8FEB86659FD93
	x = (x ^ x>>32) * 0xD6E8FEB86659FD93
	return x ^ x>>32
}

const absent = 1 << 40

// A mix is which keys are asked for.
type mix string

const (
	positive mix = "pos"
	negative mix = "neg"
	half     mix = "mix" // half of them in random order: no branch can be guessed
)

// asked is how many hashes are asked for in turn: 8 MiB of them, read in order.
const asked = 1 << 20

// questions returns the hashes to ask a filter of n keys for.
func questions(m mix, n int) []uint64 {
	rng := rand.New(rand.NewPCG(1, 2))
	hs := make([]uint64, asked)
	for i := range hs {
		switch j := rng.IntN(n); {
		case m == positive, m == half && rng.IntN(2) == 0:
			hs[i] = keyHash(j)
		default:
			hs[i] = keyHash(absent + i)
		}
	}
	return hs
}

// oursFilter and the like of peers return a filter of s with all its keys, made
// once for all rows.
func oursFilter(s size) *bloom.Filter {
	return once(ours, s, func() *bloom.Filter {
		f := bloom.New(s.n, s.p, nil)
		fill(s.n, f.AddHashes)
		return f
	})
}

// fill calls add with the hashes of n keys, some at a time.
func fill(n int, add func([]uint64) int) {
	chunk := make([]uint64, 0, 4096)
	for i := range n {
		if chunk = append(chunk, keyHash(i)); len(chunk) == cap(chunk) || i == n-1 {
			add(chunk)
			chunk = chunk[:0]
		}
	}
}

var (
	made    sync.Mutex // protects filters
	filters = map[string]any{}
)

// once returns what make returned the first time for that name and size;
// filters of another size are dropped, so that only one of 10^8 keys is held
// for each name.
func once[T any](name string, s size, make func() T) T {
	made.Lock()
	defer made.Unlock()
	id := fmt.Sprint(name, s)
	if f, ok := filters[id].(T); ok {
		return f
	}
	if s.n >= 1e7 {
		clear(filters)
		runtime.GC()
	}
	f := make()
	filters[id] = f
	return f
}

func oursHas(s size, m mix) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		f, hs := oursFilter(s), questions(m, s.n)
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if f.HasHash(hs[i&(asked-1)]) {
					found++
				}
			}
			return found
		}
	}}
}

// batch is how many questions are asked at once.
const batch = 1024

func oursHasBatch(s size, m mix) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		return askBatches(oursFilter(s).HasHashes, questions(m, s.n))
	}}
}

// askBatches asks for the next hashes of hs, batch of them a call.
func askBatches(hasHashes func(dst []bool, hs []uint64) []bool, hs []uint64) bench.Op {
	answers := make([]bool, 0, batch)
	return func(start, n int) (found int) {
		for i := 0; i < n; i += batch {
			from := (start + i) & (asked - 1) &^ (batch - 1)
			answers = hasHashes(answers[:0], hs[from:from+min(batch, n-i)])
			for _, yes := range answers {
				if yes {
					found++
				}
			}
		}
		return found
	}
}

// newcomers returns the hashes of n different keys over and over. What is added
// is new to a filter that is cleared whenever they begin again.
func newcomers(n int) *cycle {
	c := &cycle{n: n, table: make([]uint64, min(n, asked))}
	for i := range c.table {
		c.table[i] = keyHash(i)
	}
	return c
}

type cycle struct {
	n, at int
	table []uint64
}

// next returns a hash, and whether it is the first of a round. It costs what a
// loop over a table costs.
func (c *cycle) next() (h uint64, first bool) {
	if c.at == c.n {
		c.at = 0
	}
	if c.at < len(c.table) {
		h = c.table[c.at]
	} else {
		h = keyHash(c.at)
	}
	c.at++
	return h, c.at == 1
}

func oursAdd(s size) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		f, keys := bloom.New(s.n, s.p, nil), newcomers(s.n)
		return func(start, n int) int {
			for range n {
				h, full := keys.next()
				if full {
					f.Clear()
				}
				f.AddHash(h)
			}
			return n
		}
	}}
}

func oursAddBatch(s size) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		f, keys, hs := bloom.New(s.n, s.p, nil), newcomers(s.n), make([]uint64, batch)
		return func(_, n int) int {
			for i := 0; i < n; i += batch {
				part := hs[:min(batch, n-i)]
				for j := range part {
					h, full := keys.next()
					if full {
						f.Clear()
					}
					part[j] = h
				}
				f.AddHashes(part)
			}
			return n
		}
	}}
}

var names = sync.OnceValue(func() []string { return bench.Names(1 << 20) })

// members returns half of the names, at random.
var members = sync.OnceValue(func() (half []string) {
	for i, k := range names() {
		if keyHash(i)&1 == 1 {
			half = append(half, k)
		}
	}
	return half
})

// oursHasString is with the hash of a key of 16 bytes. Half of the keys are in
// the filter.
func oursHasString(s size) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		f, all := bloom.New(s.n, s.p, nil), names()
		for _, k := range members() {
			f.AddString(k)
		}
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if f.HasString(all[i&(len(all)-1)]) {
					found++
				}
			}
			return found
		}
	}}
}

func oursAddString(s size) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		f, all := bloom.New(s.n, s.p, nil), names()
		return func(start, n int) int {
			for i := start; i < start+n; i++ {
				if i&(s.n-1) == 0 { // a power of two
					f.Clear()
				}
				f.AddString(all[i&(len(all)-1)])
			}
			return n
		}
	}}
}

func oursSplitBlockHas(s size, m mix) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		f, hs := bloom.NewSplitBlock(s.n, s.p, nil), questions(m, s.n)
		for i := range s.n {
			f.AddHash(keyHash(i))
		}
		return splitBlockAsk(f, hs)
	}}
}

// splitBlockAsk is parquetAsk for our filter.
func splitBlockAsk(f *bloom.SplitBlock, hs []uint64) bench.Op {
	return func(start, n int) (found int) {
		for i := start; i < start+n; i++ {
			if f.HasHash(hs[i&(asked-1)]) {
				found++
			}
		}
		return found
	}
}

func oursSplitBlockBatch(s size, m mix) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		f := bloom.NewSplitBlock(s.n, s.p, nil)
		for i := range s.n {
			f.AddHash(keyHash(i))
		}
		return askBatches(f.HasHashes, questions(m, s.n))
	}}
}

func oursSplitBlockAdd(s size) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		f := bloom.NewSplitBlock(s.n, s.p, nil)
		return func(start, n int) int {
			for i := start; i < start+n; i++ {
				f.AddHash(keyHash(i & (1<<20 - 1)))
			}
			return n
		}
	}}
}

// oursConcurrentAdd adds keys that are new, to filters that are replaced when
// they are full, or, if repeated, keys that are in the filter already.
func oursConcurrentAdd(s size, repeated bool) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		if repeated {
			f := bloom.NewConcurrent(s.n, s.p, nil)
			fill(s.n, f.AddHashes)
			return func(start, n int) int {
				for i := start; i < start+n; i++ {
					f.AddHash(keyHash(i & (1<<19 - 1)))
				}
				return n
			}
		}

		all := newSeries(s.n, func() *bloom.Concurrent { return bloom.NewConcurrent(s.n, s.p, nil) })
		return all.each(func(f *bloom.Concurrent, start, n int) (added int) {
			for i := start; i < start+n; i++ {
				if f.AddHash(keyHash(i)) {
					added++
				}
			}
			return added
		})
	}}
}

// A series is a filter that is replaced by an empty one when n keys were added,
// so that keys which are new go into filters that are half full on average.
type series[F any] struct {
	fresh func() F
	n     int

	mu    sync.Mutex // protects now and added
	now   F
	added int
}

func newSeries[F any](n int, fresh func() F) *series[F] {
	return &series[F]{fresh: fresh, n: n, now: fresh()}
}

// each returns an Op that calls add for a thousand keys at a time.
func (s *series[F]) each(add func(f F, start, n int) int) bench.Op {
	const chunk = 1000
	return func(start, n int) (added int) {
		for i := 0; i < n; i += chunk {
			k := min(chunk, n-i)
			added += add(s.next(k), start+i, k)
		}
		return added
	}
}

// next returns the filter for the next k keys.
func (s *series[F]) next(k int) F {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added += k
	if s.added > s.n {
		s.now = s.fresh()
		s.added = k
	}
	return s.now
}

func oursCounting(s size) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		c, all := bloom.NewCounting(s.n, s.p, nil), names()
		return func(start, n int) (removed int) {
			for i := start; i < start+n; i++ {
				k := all[i&(len(all)-1)]
				if c.AddString(k); c.HasString(k) && c.RemoveString(k) {
					removed++
				}
			}
			return removed
		}
	}}
}

// grown returns the impl that measures the time a key takes to be added, from
// 10^4 keys to 10^6, or the rate or the bits a key at the end.
func oursGrown(what string) bench.Impl {
	return bench.Impl{Name: ours, Measure: func() (float64, int) {
		s := bloom.NewScalable(1e4, 0.01, nil)
		start := time.Now()
		for i := range grownKeys {
			s.AddUint64(uint64(i))
		}
		took := time.Since(start)
		switch what {
		case "rate":
			wrong := 0
			for i := range probes {
				if s.HasUint64(uint64(absent + i)) {
					wrong++
				}
			}
			return float64(wrong) / probes, grownKeys
		case "bits":
			return float64(s.Bits()) / grownKeys, grownKeys
		}
		return float64(took) / grownKeys, grownKeys
	}}
}

const (
	grownKeys = 1_000_000
	probes    = 1_000_000
)

// span is the window of the rows of Seen; the clock moves on by it while n keys
// come, so that a window holds n keys at each moment.
const span = 10 * time.Minute

// oursSeen asks a window whether a key was seen; none was.
func oursSeen(s size) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		now := time.Unix(0, 0)
		w := bloom.NewWindow(s.n, s.p, span, &bloom.WindowOptions{Now: func() time.Time { return now }})
		step := span / time.Duration(s.n)
		return func(start, n int) (unseen int) {
			for i := start; i < start+n; i++ {
				now = now.Add(step)
				if !w.SeenHash(keyHash(i)) {
					unseen++
				}
			}
			return unseen
		}
	}}
}

// mapSeen is the usual code: a map from the key to the time, under a mutex, and
// every quarter of the window a sweep of the keys that are too old.
func mapSeen(s size) bench.Impl {
	return bench.Impl{Name: "map+mutex", Note: "exact", Setup: func(func(func())) bench.Op {
		var mu sync.Mutex
		now := time.Unix(0, 0)
		last := make(map[uint64]time.Time)
		step := span / time.Duration(s.n)
		swept := now
		return func(start, n int) (unseen int) {
			for i := start; i < start+n; i++ {
				h := keyHash(i)
				mu.Lock()
				now = now.Add(step)
				if at, ok := last[h]; !ok || now.Sub(at) > span {
					unseen++
				}
				if now.Sub(swept) > span/4 {
					for k, at := range last {
						if now.Sub(at) > span {
							delete(last, k)
						}
					}
					swept = now
				}
				last[h] = now
				mu.Unlock()
			}

			return unseen
		}
	}}
}

// wrong returns the impl that measures how often a filter that is full says yes
// to a key that it does not have, as a multiple of the rate that ours was made
// for.
func wrong(name string, s size, has func(s size) func(h uint64) bool) bench.Impl {
	return bench.Impl{Name: name, Measure: func() (float64, int) {
		f, yes := has(s), 0
		n := min(max(int(100/s.p), 1_000_000), 50_000_000)
		for i := range n {
			if f(keyHash(absent + i)) {
				yes++
			}
		}
		return float64(yes) / float64(n) / s.p, n
	}}
}

func oursRate(s size) func(uint64) bool { return oursFilter(s).HasHash }

// load is what no filter can avoid: a word from a random place of as much
// memory.
func load(s size) bench.Impl {
	return bench.Impl{Name: "load", Setup: func(func(func())) bench.Op {
		words, hs := make([]uint64, s.bits()/64), questions(negative, s.n)
		for i := range words {
			words[i] = 1
		}
		return func(start, n int) (sum int) {
			for i := start; i < start+n; i++ {
				sum += int(words[hs[i&(asked-1)]%uint64(len(words))])
			}
			return sum
		}
	}}
}
