// SPDX-License-Identifier: MIT

package bloom

// Implementation notes.
//
// A filter is an array of lines of 64 bytes. A line is 4 lanes of 2 words of 64
// bits. A key lies in 1 line, or in 2 that are chosen independently. In each
// lane it picks one of the two words and sets r of its bits, so that it has k =
// 4r bits in a line:
//
//	         lane 0          lane 1          lane 2          lane 3
//	byte 0       8       16      24      32      40      48      56      64
//	     ┌───────┬───────┬───────┬───────┬───────┬───────┬───────┬───────┐
//	line │ word 0│ word 1│ word 2│ word 3│ word 4│ word 5│ word 6│ word 7│
//	     └───────┴───────┴───────┴───────┴───────┴───────┴───────┴───────┘
//
// The hash h of a key, 64 bits, decides everything:
//
//	line       floor(h·n / 2^64), where n is the number of lines
//	x          h·spread1 mod 2^64
//	lane i     13 bits of x from bit 63-13i down: the word (1), bit number a (6), bit number b (6)
//	y          h·spread2 mod 2^64: 12 bits from bit 63-12i down are bit numbers c and d
//	2nd line   all of the above with mix64(h) for h
//
// r bits are the first r of a, b, c, d. Top bits of a product depend on all
// bits below, so keys that share a line, whose hashes share their top bits,
// have patterns of their own.
//
// Invariants, checked under the tag invariants:
//
//	I1 a filter that is not zero has 1 or 2 lines a key, 1 to 4 bits a lane and at least one line.
//	I2 after a key was added it is present.
//	I3 lines that New allocates begin at a multiple of 64 bytes, by the size classes of the allocator.
//
// Why not any bit of the line for each of k hashes: 8 words would be read and,
// by a concurrent Add, written, instead of 4; the rate is within 3 % of it. Why
// not positions a + i·b mod 512, as greatroar/blobloom: there are only 2^18
// patterns, and the rate never falls below the number of keys in a line over
// 2^18, which at 1e-6 is 43 times too many. Why not bits all over the array, as
// the textbook: k cache misses, for 6 % to 11 % less memory.

import "fmt"

// A shape holds the parameters that two filters must share, besides their size,
// for their bits to mean the same.
type shape struct {
	perKey  int // lines of a key
	perLane int // bits of a key in a lane
	seed    uint64
}

// A Filter is a set of keys that may report a key that was never added, at a
// chosen rate, and never misses one that was. Use [New]; the zero Filter is
// empty, and Add to it panics.
//
// It is safe for any number of concurrent readers, and not while a goroutine
// adds: see [Concurrent]. It must not be copied.
type Filter struct {
	_ noCopy
	shape
	lines    []line
	readOnly bool // a view of bytes that belong to the caller
}

// noCopy lets go vet report copies, which would share their bits.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// New returns an empty filter that, once n different keys were added, reports a
// key that was not with probability at most p. If opts is nil, the defaults are
// used. It takes the bits that the table in the package comment says, or a few
// hundred if that is more: a filter is at least one line. It panics unless
// 1e-12 <= p < 1 and 0 <= n <= 2^48, and if opts is not valid.
func New(n int, p float64, opts *Options) *Filter {
	s, lines := mustPlan(bitCurves[:], n, p, opts)
	f := &Filter{shape: s, lines: make([]line, lines)}
	if invariants {
		f.check()
	}
	return f
}

// mustPlan is plan for constructors, which panic if they are called wrongly.
func mustPlan(curves []curve, n int, p float64, opts *Options) (shape, uint64) {
	if err := validateSize(n, p); err != nil {
		panic(err)
	}
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	s, lines := plan(curves, n, p, opts.resolve())
	if lines > maxAddress/lineBytes {
		panic(fmt.Sprintf("bloom: n is too large for this machine, got %d", n))
	}
	return s, lines
}

// maxAddress is the largest number of bytes that a slice may have.
const maxAddress = uint64(^uint(0) >> 1)

// Add adds key and reports whether key is definitely new. False means that it
// probably was there, and that nothing changed.
func (f *Filter) Add(key []byte) bool { return f.AddHash(Hash(key, f.seed)) }

// AddString is [Filter.Add] of the bytes of key.
func (f *Filter) AddString(key string) bool { return f.AddHash(HashString(key, f.seed)) }

// AddUint64 is [Filter.Add] for numbers, which are keys of their own: v is not
// the key that its bytes or digits are.
func (f *Filter) AddUint64(v uint64) bool { return f.AddHash(HashUint64(v, f.seed)) }

// AddHash adds the key whose hash is h. All 64 bits of h must depend on all of
// the key, as those of [Hash] or hash/maphash do; a number, or a hash of 32
// bits, must go through [HashUint64]. Options.Seed plays no part.
func (f *Filter) AddHash(h uint64) bool {
	f.mustChange()
	l := &f.lines[index(h, uint64(len(f.lines)))]
	if f.perKey != 1 || f.perLane != 2 {
		return f.addOther(l, h)
	}

	// Two bits a lane, as in most filters. A call would cost a third of this,
	// and so would a branch on data.
	x := h * spread1
	p0, p1, p2, p3 := &l[x>>63], &l[2|x>>50&1], &l[4|x>>37&1], &l[6|x>>24&1]
	a0, a1, a2, a3 := *p0, *p1, *p2, *p3
	b0 := a0 | 1<<(x>>57&63) | 1<<(x>>51&63)
	b1 := a1 | 1<<(x>>44&63) | 1<<(x>>38&63)
	b2 := a2 | 1<<(x>>31&63) | 1<<(x>>25&63)
	b3 := a3 | 1<<(x>>18&63) | 1<<(x>>12&63)
	*p0, *p1, *p2, *p3 = b0, b1, b2, b3
	if invariants {
		f.checkAdded(h)
	}
	return (a0^b0)|(a1^b1)|(a2^b2)|(a3^b3) != 0
}

// addOther is AddHash for any shape; l is the line of h.
func (f *Filter) addOther(l *line, h uint64) bool {
	added := l.add(h, f.perLane)
	if f.perKey > 1 {
		g := mix64(h)
		added = f.lines[index(g, uint64(len(f.lines)))].add(g, f.perLane) || added
	}
	if invariants {
		f.checkAdded(h)
	}
	return added
}

// mustChange panics if the filter is zero, or a view.
func (f *Filter) mustChange() {
	f.mustNotView()
	if len(f.lines) == 0 {
		panic("bloom: zero Filter: use New")
	}
}

// mustNotView panics if the bits belong to the caller.
func (f *Filter) mustNotView() {
	if f.readOnly {
		panic("bloom: the filter is a view: use Clone")
	}
}

// Has reports whether key may have been added. False is certain.
func (f *Filter) Has(key []byte) bool { return f.HasHash(Hash(key, f.seed)) }

// HasString is [Filter.Has] of the bytes of key.
func (f *Filter) HasString(key string) bool { return f.HasHash(HashString(key, f.seed)) }

// HasUint64 reports whether v may have been added by AddUint64.
func (f *Filter) HasUint64(v uint64) bool { return f.HasHash(HashUint64(v, f.seed)) }

// HasHash reports whether the key whose hash is h may have been added.
func (f *Filter) HasHash(h uint64) bool {
	n := uint64(len(f.lines))
	i := index(h, n)
	if i >= n { // only in the zero Filter
		return false
	}
	l := &f.lines[i]
	if f.perKey != 1 || f.perLane != 2 {
		return f.hasOther(l, h)
	}

	// Two bits a lane, as in most filters, without a call: the fewer
	// instructions, the more questions wait for memory at once. And without a
	// branch on data: half of the questions of a mixed stream would be
	// mispredicted, which costs more than all eight bits.
	x := h * spread1
	m0 := uint64(1)<<(x>>57&63) | 1<<(x>>51&63)
	m1 := uint64(1)<<(x>>44&63) | 1<<(x>>38&63)
	lacks := m0&^l[x>>63] | m1&^l[2|x>>50&1]
	if n > uncached && lacks != 0 {
		// But in a filter that lies in memory, the next question can go there
		// while this one is being answered: a guess that is wrong costs little.
		return false
	}
	m2 := uint64(1)<<(x>>31&63) | 1<<(x>>25&63)
	m3 := uint64(1)<<(x>>18&63) | 1<<(x>>12&63)
	return lacks|m2&^l[4|x>>37&1]|m3&^l[6|x>>24&1] == 0
}

// hasOther is HasHash for any shape; l is the line of h.
func (f *Filter) hasOther(l *line, h uint64) bool {
	if !l.has(h, f.perLane) {
		return false
	}
	if f.perKey == 1 {
		return true
	}
	g := mix64(h)
	return f.lines[index(g, uint64(len(f.lines)))].has(g, f.perLane)
}
