// SPDX-License-Identifier: MIT

package bloom

// A counting filter has the lines, lanes and words of a Filter, with 16
// counters of 4 bits where a word had 64 bits. The hash picks the word of a
// lane by one bit and up to 3 counters by 4 bits each, 13 bits a lane as there.
// All counters of a word are changed by one addition: those that are to count
// have a one in their lowest bit, those that are full are masked out, and so
// none can carry.
//
// Invariants:
//
//	C1 a key that was added more often than removed is present.
//	C2 a counter that reached 15 stays there, and one that is zero is not counted down.

const (
	wordCounters = 16
	maxCounters  = 3                  // of a key in a lane
	lowBits      = 0x1111111111111111 // of each counter
)

// A Counting is a [Filter] from which keys can be removed, at four to five
// times the memory. Use [NewCounting]; methods of a zero Counting that take a
// key panic. It is safe for any number of concurrent readers, and not while a
// goroutine adds or removes.
//
// Each key counts as often as it was added, up to 15 for each counter it shares
// with others. A counter that reached 15 no longer knows its number: it stays
// forever, so that no present key is lost, and those keys may be reported after
// they were removed. It must not be copied.
type Counting struct {
	_ noCopy
	shape
	lines []line
}

// NewCounting returns an empty filter that, while it holds at most n different
// keys, reports a key that it does not hold with probability at most p. If opts
// is nil, the defaults are used; Options.Foldable has no effect. It panics as
// [New] does.
func NewCounting(n int, p float64, opts *Options) *Counting {
	s, lines := mustPlan(counterCurves[:maxCounters+1], n, p, opts)
	return &Counting{shape: s, lines: make([]line, lines)}
}

// counters returns masks with the lowest bits of the counters of h in its word
// of each lane. The words are those of a Filter.
func counters(h uint64, r int) (m0, m1, m2, m3 uint64) {
	x := h * spread1
	m0, m1, m2, m3 = low(x>>59), low(x>>46), low(x>>33), low(x>>20)
	if r >= 2 {
		m0 |= low(x >> 55)
		m1 |= low(x >> 42)
		m2 |= low(x >> 29)
		m3 |= low(x >> 16)
	}
	if r >= 3 {
		m0 |= low(x >> 51)
		m1 |= low(x >> 38)
		m2 |= low(x >> 25)
		m3 |= low(x >> 12)
	}
	return m0, m1, m2, m3
}

// low returns the lowest bit of the counter whose number is the lowest 4 bits
// of x.
func low(x uint64) uint64 { return 1 << (x & 15 << 2) }

// raise adds one to the counters of m in w that are not full, and reports
// whether one was zero.
func raise(w *uint64, m uint64) bool {
	zero := m&^counted(*w) != 0
	*w += m &^ saturated(*w)
	return zero
}

// lower takes one from the counters of m in w that are not full. If both lines
// of a key are one, and it was not added, a counter may be zero by now.
func lower(w *uint64, m uint64) { *w -= m & counted(*w) &^ saturated(*w) }

// counted returns the lowest bits of the counters of w that are not zero.
func counted(w uint64) uint64 {
	w |= w >> 2
	return (w | w>>1) & lowBits
}

// saturated returns the lowest bits of the counters of w that are full.
func saturated(w uint64) uint64 {
	w &= w >> 2
	return w & (w >> 1) & lowBits
}

func (c *Counting) line(h uint64) *line {
	if len(c.lines) == 0 {
		panic("bloom: zero Counting: use NewCounting")
	}
	return &c.lines[index(h, uint64(len(c.lines)))]
}

// Add adds key once more and reports whether key is definitely new.
func (c *Counting) Add(key []byte) bool { return c.AddHash(Hash(key, c.seed)) }

// AddString is [Counting.Add] of the bytes of key.
func (c *Counting) AddString(key string) bool { return c.AddHash(HashString(key, c.seed)) }

// AddUint64 is [Counting.Add] for numbers, which are keys of their own.
func (c *Counting) AddUint64(v uint64) bool { return c.AddHash(HashUint64(v, c.seed)) }

// AddHash adds the key whose hash is h, see [Filter.AddHash] for what it must
// be.
func (c *Counting) AddHash(h uint64) bool {
	added := false
	g := h
	for range c.perKeyOf() {
		// Raise the counters in all four lanes, also when the first shows that
		// the key is new.
		l := c.line(g)
		x := g * spread1
		m0, m1, m2, m3 := counters(g, c.perLane)
		z0 := raise(&l[x>>63], m0)
		z1 := raise(&l[2|x>>50&1], m1)
		z2 := raise(&l[4|x>>37&1], m2)
		z3 := raise(&l[6|x>>24&1], m3)
		added = added || z0 || z1 || z2 || z3
		g = mix64(g)
	}

	if invariants && !c.HasHash(h) {
		panic("bloom: C1 violated: a key that was added is absent")
	}
	return added
}

// perKeyOf returns the number of lines of a key. That of a zero Counting is 1,
// for line to panic.
func (c *Counting) perKeyOf() int { return max(c.perKey, 1) }

// Remove takes back one Add of key and reports whether it did: it changes
// nothing if key is certainly not there. Removing a key that was not added, or
// more often than it was, may make others absent, if by a false report it seems
// to be there: at the rate of the filter. Otherwise every key that was added
// more often than removed stays present.
func (c *Counting) Remove(key []byte) bool { return c.RemoveHash(Hash(key, c.seed)) }

// RemoveString is [Counting.Remove] of the bytes of key.
func (c *Counting) RemoveString(key string) bool { return c.RemoveHash(HashString(key, c.seed)) }

// RemoveUint64 is [Counting.Remove] for numbers that were added by AddUint64.
func (c *Counting) RemoveUint64(v uint64) bool { return c.RemoveHash(HashUint64(v, c.seed)) }

// RemoveHash is [Counting.Remove] for the key whose hash is h.
func (c *Counting) RemoveHash(h uint64) bool {
	if !c.HasHash(h) {
		return false
	}

	// The key may have been added, so each of its counters is at least one.
	for range c.perKeyOf() {
		l := c.line(h)
		x := h * spread1
		m0, m1, m2, m3 := counters(h, c.perLane)
		lower(&l[x>>63], m0)
		lower(&l[2|x>>50&1], m1)
		lower(&l[4|x>>37&1], m2)
		lower(&l[6|x>>24&1], m3)
		h = mix64(h)
	}
	return true
}

// Has reports whether key may be there. False is certain, if only keys that
// were added were removed.
func (c *Counting) Has(key []byte) bool { return c.HasHash(Hash(key, c.seed)) }

// HasString is [Counting.Has] of the bytes of key.
func (c *Counting) HasString(key string) bool { return c.HasHash(HashString(key, c.seed)) }

// HasUint64 reports whether v may be there, after AddUint64.
func (c *Counting) HasUint64(v uint64) bool { return c.HasHash(HashUint64(v, c.seed)) }

// HasHash reports whether the key whose hash is h may be there.
func (c *Counting) HasHash(h uint64) bool {
	for range c.perKeyOf() {
		l := c.line(h)
		x := h * spread1
		m0, m1, m2, m3 := counters(h, c.perLane)
		missing := m0&^counted(l[x>>63]) | m1&^counted(l[2|x>>50&1]) |
			m2&^counted(l[4|x>>37&1]) | m3&^counted(l[6|x>>24&1])
		if missing != 0 {
			return false
		}
		h = mix64(h)
	}
	return true
}

// Clear removes all keys, also from counters that are full.
func (c *Counting) Clear() { clear(c.lines) }

// Rate returns the probability that a key that is not there is reported now,
// computed from the counters as [Filter.Rate] computes it from bits.
func (c *Counting) Rate() float64 {
	sum := takeCensus(len(c.lines), c.perLane, wordCounters, func(i int) line {
		l := c.lines[i]
		for j, w := range l {
			l[j] = counted(w)
		}
		return l
	})
	return power(sum.rate, c.perKeyOf())
}

// Bits returns the size of the filter in bits, a multiple of 512.
func (c *Counting) Bits() uint64 { return uint64(len(c.lines)) * lineBits }
