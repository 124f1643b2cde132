// SPDX-License-Identifier: MIT

package bloom

import "sync/atomic"

// A Concurrent is a [Filter] that goroutines may add to and ask at the same
// time, without locks. It is safe for concurrent use by multiple goroutines.
// Use [NewConcurrent]; the zero Concurrent is empty, and Add to it panics. It
// must not be copied.
//
// If an Add returns before a Has of the same key begins, in the sense of the Go
// memory model (through a channel, a mutex, or an observed atomic), Has returns
// true. An Add and a Has that overlap may be in either order. An Add happens
// before any Has, Add or Snapshot that observes its bits.
type Concurrent struct {
	f Filter // its bits are read and written atomically
}

// NewConcurrent returns an empty filter as [New] does, and panics as it does.
func NewConcurrent(n int, p float64, opts *Options) *Concurrent {
	f := New(n, p, opts)
	return &Concurrent{f: Filter{shape: f.shape, lines: f.lines}}
}

// Add adds key and reports whether key is definitely new since Add began. If
// several goroutines add a new key at the same time, at least one of them gets
// true, unless a different key with the same bits came between, as may happen
// at the rate of the filter; more than one may.
func (c *Concurrent) Add(key []byte) bool { return c.AddHash(Hash(key, c.f.seed)) }

// AddString is [Concurrent.Add] of the bytes of key.
func (c *Concurrent) AddString(key string) bool { return c.AddHash(HashString(key, c.f.seed)) }

// AddUint64 is [Concurrent.Add] for numbers.
func (c *Concurrent) AddUint64(v uint64) bool { return c.AddHash(HashUint64(v, c.f.seed)) }

// AddHash adds the key whose hash is h, as [Filter.AddHash] does.
func (c *Concurrent) AddHash(h uint64) bool {
	if len(c.f.lines) == 0 {
		panic("bloom: zero Concurrent: use NewConcurrent")
	}

	// Several goroutines may set the same bits at once: at least one gets true.
	n := uint64(len(c.f.lines))
	added := c.f.lines[index(h, n)].addAtomic(h, c.f.perLane)
	if c.f.perKey > 1 {
		g := mix64(h)
		added = c.f.lines[index(g, n)].addAtomic(g, c.f.perLane) || added
	}
	if invariants && !c.HasHash(h) {
		panic("bloom: I2 violated: a key that was added is absent")
	}
	return added
}

// AddHashes adds the keys whose hashes are hs, and returns how many were
// definitely new.
func (c *Concurrent) AddHashes(hs []uint64) int {
	added := 0
	for len(hs) > 0 {
		group := hs[:min(batch, len(hs))]
		hs = hs[len(group):]

		// Bring the lines of the group into the cache, all at once.
		if len(c.f.lines) > cached {
			c.touch(group, c.f.perKey)
		}
		for _, h := range group {
			if c.AddHash(h) {
				added++
			}
		}
	}
	return added
}

// Has reports whether key may have been added. False is certain for every Add
// that returned before Has began.
func (c *Concurrent) Has(key []byte) bool { return c.HasHash(Hash(key, c.f.seed)) }

// HasString is [Concurrent.Has] of the bytes of key.
func (c *Concurrent) HasString(key string) bool { return c.HasHash(HashString(key, c.f.seed)) }

// HasUint64 reports whether v may have been added by AddUint64.
func (c *Concurrent) HasUint64(v uint64) bool { return c.HasHash(HashUint64(v, c.f.seed)) }

// HasHash reports whether the key whose hash is h may have been added.
func (c *Concurrent) HasHash(h uint64) bool {
	n := uint64(len(c.f.lines))
	i := index(h, n)
	if i >= n || !c.f.lines[i].hasAtomic(h, c.f.perLane) { // i = n only in the zero Concurrent
		return false
	}
	if c.f.perKey == 1 {
		return true
	}
	g := mix64(h)
	return c.f.lines[index(g, n)].hasAtomic(g, c.f.perLane)
}

// HasHashes appends to dst, for each of hs, what [Concurrent.HasHash] returns,
// and returns the result.
func (c *Concurrent) HasHashes(dst []bool, hs []uint64) []bool {
	for len(hs) > 0 {
		group := hs[:min(batch, len(hs))]
		hs = hs[len(group):]
		if len(c.f.lines) > cached {
			c.touch(group, 1)
		}
		for _, h := range group {
			dst = append(dst, c.HasHash(h))
		}
	}
	return dst
}

// touch is [Filter.touch] for lines that other goroutines write.
func (c *Concurrent) touch(hs []uint64, perKey int) {
	n := uint64(len(c.f.lines))
	sum := uint64(0)
	for _, h := range hs {
		sum |= atomic.LoadUint64(&c.f.lines[index(h, n)][0])
	}
	if perKey > 1 {
		for _, h := range hs {
			sum |= atomic.LoadUint64(&c.f.lines[index(mix64(h), n)][0])
		}
	}
	discard(sum)
}

// Union adds every key that was added to g, a filter that no goroutine changes
// meanwhile, as [Filter.Union] does.
func (c *Concurrent) Union(g *Filter) error {
	d, err := c.f.factor(g)
	if err != nil {
		return err
	}
	for i := range g.lines {
		for j, w := range g.lines[i] {
			if w != 0 {
				atomic.OrUint64(&c.f.lines[i/d][j], w)
			}
		}
	}
	return nil
}

// Snapshot returns a copy as a [Filter], to be stored or united with others. It
// holds every key whose Add returned before Snapshot began; of those added
// meanwhile it may hold some and not others.
func (c *Concurrent) Snapshot() *Filter {
	f := &Filter{shape: c.f.shape, lines: make([]line, len(c.f.lines))}
	for i := range f.lines {
		f.lines[i] = c.load(i)
	}
	return f
}

// load returns a copy of a line.
func (c *Concurrent) load(i int) (l line) {
	for j := range l {
		l[j] = atomic.LoadUint64(&c.f.lines[i][j])
	}
	return l
}

func (c *Concurrent) census() census {
	return takeCensus(len(c.f.lines), c.f.perLane, wordBits, c.load)
}

// Len returns an estimate of the number of different keys that were added, as
// [Filter.Len] does.
func (c *Concurrent) Len() int { return toInt(c.f.keys(len(c.f.lines), c.census().fill)) }

// FillRatio returns the share of bits that are set, as [Filter.FillRatio] does.
func (c *Concurrent) FillRatio() float64 { return c.census().fill }

// Rate returns the probability that a key that was never added is reported now,
// as [Filter.Rate] does.
func (c *Concurrent) Rate() float64 { return power(c.census().rate, max(c.f.perKey, 1)) }

// Bits returns the size of the filter in bits, a multiple of 512.
func (c *Concurrent) Bits() uint64 { return c.f.Bits() }
