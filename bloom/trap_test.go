// SPDX-License-Identifier: MIT

package bloom

import (
	"errors"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"hash/maphash"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each test is a fault that a filter in use had, or has. The names of the
// libraries are those of their repositories on GitHub.

// A pattern is the bits that a key sets in a line: for each lane the number of
// a word and its bits.
type pattern struct {
	word [lanes]uint64
	mask [lanes]uint64
}

// patternOf returns the pattern of h with r bits a lane.
func patternOf(h uint64, r int) (p pattern) {
	x := h * spread1
	p.word = [lanes]uint64{x >> 63, 2 | x>>50&1, 4 | x>>37&1, 6 | x>>24&1}
	p.mask[0], p.mask[1], p.mask[2], p.mask[3] = masks(h, r)
	return p
}

// TestTrapPatternSpace: greatroar/blobloom has 2^18 patterns, so that the rate
// at 1e-6 is 43 times the target while FPRate says 8e-7. Count the patterns of
// keys that share a line: they must not repeat more often than 52 bits do.
func TestTrapPatternSpace(t *testing.T) {
	keys := 1 << 20
	if testing.Short() || raceEnabled {
		keys = 1 << 17
	}
	seen := make(map[pattern]bool, keys)
	for i := range uint64(keys) {
		h := 12345<<40 | mix64(i)>>24 // the same line of any filter of up to 2^24
		seen[patternOf(h, 2)] = true
	}
	// The low 40 bits repeat for about keys^2/2^41 = 1/2 pairs, and patterns
	// for some more.
	if lost := keys - len(seen); lost > 16 {
		t.Errorf("%d of %d patterns are repeated, want at most 16", lost, keys)
	}
}

// TestTrapSmallFilter: tylertreat/BoomFilters at n = 1 and p = 1e-4 errs at
// 1e-2, since its positions are an arithmetic sequence in few bits;
// google/guava#2767 is the same.
func TestTrapSmallFilter(t *testing.T) {
	for _, n := range []int{1, 10, 100} {
		const probes = 400_000
		if hits := measure(t, n, 1e-4, probes, keyKinds["random"]); hits > 1.1e-4*probes+5*7 {
			t.Errorf("n = %d: %d hits of %d, want about %.0f", n, hits, probes, 1e-4*probes)
		}
	}
}

// TestTrapManyLines: an index from 32 bits leaves most of a large filter unused
// (SPARK-47547, google/guava#1119, facebook/rocksdb#6317). Spread keys over
// 2^33 lines, which are not allocated.
func TestTrapManyLines(t *testing.T) {
	const n, buckets, keys = 1 << 33, 64, 1 << 16
	var count [buckets]float64
	low := map[uint64]bool{}
	for i := range uint64(keys) {
		j := index(HashUint64(i, 0), n)
		count[j/(n/buckets)]++
		low[j%4096] = true
	}
	chi := 0.0
	for _, c := range count {
		d := c - keys/buckets
		chi += d * d / (keys / buckets)
	}
	// Chi square with 63 degrees of freedom exceeds 63 + 5·√126 less than once
	// in 10^6.
	if chi > 63+5*math.Sqrt(126) || len(low) != 4096 {
		t.Errorf("chi square is %.1f, want at most %.1f; %d of 4096 low parts occur", chi, 63+5*math.Sqrt(126), len(low))
	}
}

// TestTrapForgedHeader: bits-and-blooms/bloom accepts m = 0 (then divides by
// it), k = 0 (then all is present) and 2^40 bits of which 8 bytes came.
func TestTrapForgedHeader(t *testing.T) {
	for name, h := range map[string]header{
		"no lines":       {shape: shape{perKey: 1, perLane: 1}, kind: kindFilter, lines: 0},
		"no bits":        {shape: shape{perKey: 1, perLane: 0}, kind: kindFilter, lines: 1},
		"no line a key":  {shape: shape{perKey: 0, perLane: 1}, kind: kindFilter, lines: 1},
		"too many bits":  {shape: shape{perKey: 1, perLane: 5}, kind: kindFilter, lines: 1},
		"too many lines": {shape: shape{perKey: 3, perLane: 1}, kind: kindFilter, lines: 1},
		"2^40 lines":     {shape: shape{perKey: 1, perLane: 1}, kind: kindFilter, lines: 1 << 40},
		"2^63 lines":     {shape: shape{perKey: 1, perLane: 1}, kind: kindFilter, lines: 1 << 63},
		"2^64-1 lines":   {shape: shape{perKey: 1, perLane: 1}, kind: kindFilter, lines: 1<<64 - 1},
	} {
		b := append(h.append(nil), make([]byte, lineBytes+sumBytes)...)
		f := New(1, 0.1, nil)
		if err := f.UnmarshalBinary(b); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want %v or %v", name, err, ErrCorrupt, ErrTooLarge)
		}
		if _, err := View(b); err == nil {
			t.Errorf("%s: View accepts it", name)
		}
		if !f.Equal(New(1, 0.1, nil)) {
			t.Errorf("%s: the filter changed", name)
		}
	}
}

// TestTrapReproducible: holiman/bloomfilter draws keys at random, so that no
// two filters can be united and no result be repeated.
func TestTrapReproducible(t *testing.T) {
	f, g := New(100, 0.01, nil), New(100, 0.01, nil)
	for i := range uint64(100) {
		f.AddUint64(i)
		g.AddUint64(99 - i)
	}
	if !f.Equal(g) {
		t.Error("the same keys make different filters")
	}
	if err := f.Union(New(100, 0.01, &Options{Seed: 1})); !errors.Is(err, ErrMismatch) {
		t.Errorf("filters with different seeds are united: %v, want %v", err, ErrMismatch)
	}
}

// TestTrapBatchDuplicates: apache/arrow-go#525: bulk insertion counted a key
// that came twice as two, and so made filters too large.
func TestTrapBatchDuplicates(t *testing.T) {
	f := New(100, 1e-6, nil)
	if n := f.AddHashes([]uint64{1 << 60, 2 << 60, 1 << 60, 1 << 60}); n != 2 {
		t.Errorf("AddHashes of 4 hashes of 2 keys = %d, want 2", n)
	}
}

// TestTrapCountOfRepeats: google/guava#3952: the count grows when a key is
// added again.
func TestTrapCountOfRepeats(t *testing.T) {
	f := New(1000, 1e-3, nil)
	for range 1000 {
		f.AddString("one")
	}
	if f.Len() != 1 {
		t.Errorf("Len of one key a thousand times = %d, want 1", f.Len())
	}
}

// TestTrapNoBits: RedisBloom/RedisBloom#720 and #641: one key at a rate near 1
// gave a filter of no bits, and a crash.
func TestTrapNoBits(t *testing.T) {
	for _, n := range []int{0, 1} {
		f := New(n, 0.99, nil)
		f.AddString("x")
		if got := f.Bits(); got != lineBits {
			t.Errorf("n = %d: Bits = %d, want %d", n, got, lineBits)
		}
		if !f.HasString("x") {
			t.Errorf("n = %d: HasString = false after AddString, want true", n)
		}
	}
}

// TestTrapZero: the zero Filter of greatroar/blobloom panics when it is asked.
func TestTrapZero(t *testing.T) {
	var f Filter
	var c Concurrent
	checkAnswers(t, []answer{
		{"HasString(x)", f.HasString("x"), false},
		{"Has(nil)", f.Has(nil), false},
		{"Concurrent.HasUint64(1)", c.HasUint64(1), false},
	})
	if got, want := [4]any{f.Len(), f.Rate(), c.Rate(), f.Bits()}, [4]any{0, 0.0, 0.0, uint64(0)}; got != want {
		t.Errorf("Len, Rate, Rate and Bits of zero filters are %v, want %v", got, want)
	}
	if got := append(f.HasHashes(nil, []uint64{1, 2}), c.HasHashes(nil, []uint64{3})...); !slices.Equal(got, make([]bool, 3)) {
		t.Errorf("HasHashes of zero filters = %v, want 3 times false", got)
	}

	f.Clear()
	if err := f.Fold(2); err != nil {
		t.Errorf("Fold = %v of the zero Filter, want nil", err)
	}
	if !f.Clone().Equal(&Filter{}) {
		t.Error("a clone of the zero Filter is not equal to it")
	}

	if err := f.Union(New(1, 0.1, nil)); !errors.Is(err, ErrMismatch) {
		t.Errorf("union with the zero filter: %v, want %v", err, ErrMismatch)
	}
	if _, err := f.MarshalBinary(); err == nil {
		t.Error("the zero filter was marshaled")
	}
}

// TestZeroPanics checks that the types which must be made say so: every method
// of a zero value names the function that makes it.
func TestZeroPanics(t *testing.T) {
	var s Scalable
	var w Window
	for want, methods := range map[string][]func(){
		"bloom: zero Scalable: use NewScalable": {
			func() { s.AddString("x") }, func() { s.HasString("x") }, func() { s.Len() }, func() { s.Rate() }, func() { s.Bits() },
		},
		"bloom: zero Window: use NewWindow": {
			func() { w.AddString("x") }, func() { w.HasString("x") }, func() { w.SeenHash(1) }, func() { w.Rotate() }, func() { w.Rate() },
		},
		"bloom: zero Counting: use NewCounting": {func() { new(Counting).AddString("x") }},
	} {
		for _, method := range methods {
			mustPanic(t, want, method)
		}
	}
}

// TestTrapOnlyDuplicates: FastFilter/xorfilter#30 and #35: a builder that draws
// again until it succeeds never does if keys repeat. Ours build nothing, and
// take any keys.
func TestTrapOnlyDuplicates(t *testing.T) {
	hs := make([]uint64, 10_000)
	for i := range hs {
		hs[i] = HashUint64(uint64(i%2), 0)
	}
	f, s, w := New(2, 1e-3, nil), NewScalable(2, 1e-3, nil), NewWindow(2, 1e-3, time.Hour, nil)
	c := NewCounting(2, 1e-3, nil)
	if n := f.AddHashes(hs); n != 2 {
		t.Errorf("AddHashes of 2 keys = %d, want 2", n)
	}
	for _, h := range hs {
		s.AddHash(h)
		w.AddHash(h)
		c.AddHash(h)
	}
	if got := len(s.layers); got != 1 {
		t.Errorf("2 keys, 5,000 times each, take %d filters of room for 2, want 1", got)
	}
	checkAnswers(t, []answer{
		{"HasHash of Scalable", s.HasHash(hs[0]), true},
		{"HasHash of Window", w.HasHash(hs[0]), true},
		{"HasHash of Concurrent", c.HasHash(hs[1]), true},
	})
}

// TestTrapSeedIsNoSecret: ipfs/bbloom had its keys in the source, and a seed
// stands in the bytes of a filter. Whoever knows the hash finds keys that the
// filter takes for others, and finds them for the next filter too; if the hash
// is keyed with a number that nobody knows, those keys are as any.
func TestTrapSeedIsNoSecret(t *testing.T) {
	const n, p, wanted = 1000, 0.01, 1000
	f, secret, seed := New(n, p, nil), New(n, p, nil), maphash.MakeSeed()
	for i := range uint64(n) {
		f.AddUint64(i)
		secret.AddHash(maphash.Comparable(seed, i))
	}

	var crafted []uint64

	for i := uint64(n); len(crafted) < wanted; i++ {
		if f.HasUint64(i) {
			crafted = append(crafted, i)
		}
	}

	same, hits := f.Clone(), 0

	for _, v := range crafted {
		if !same.HasUint64(v) {
			t.Errorf("%d is no longer a false positive", v)
		}
		if secret.HasHash(maphash.Comparable(seed, v)) {
			hits++
		}
	}

	// 10 are expected of a rate of 1 %; 60 has a probability below 10^-20.
	if hits > 60 {
		t.Errorf("%d of %d crafted keys hit a filter with a secret hash", hits, wanted)
	}
}

// TestTrapContract: for years nobody could tell from the documentation of
// bits-and-blooms/bloom whether goroutines may share a filter
// (bits-and-blooms/bloom#31). Each type says so.
func TestTrapContract(t *testing.T) {
	files := token.NewFileSet()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}

	var parsed []*ast.File

	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			f, err := parser.ParseFile(files, e.Name(), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
	}

	pkg, err := doc.NewFromFiles(files, parsed, "bloom")
	if err != nil {
		t.Fatal(err)
	}

	for _, typ := range pkg.Types {
		if strings.HasSuffix(typ.Name, "Options") {
			continue
		}
		if !strings.Contains(strings.Join(strings.Fields(typ.Doc), " "), "safe for") {
			t.Errorf("%s does not say what goroutines may do with it", typ.Name)
		}
	}
}
