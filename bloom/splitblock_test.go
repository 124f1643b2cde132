// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// parquetFile returns the filter of data/bloom_filter.xxhash.bin in
// apache/parquet-testing, which parquet-mr wrote: 1024 bytes, zero but for four
// blocks.
func parquetFile(t testing.TB) []byte {
	b, err := hex.DecodeString("1580101c1c00001c1c00001c1c000000")
	if err != nil {
		t.Fatal(err)
	}
	set := make([]byte, 1024)
	for i, text := range map[int]string{
		4:  "0000100000020000000400008000000000020000000000800000001000000008",
		5:  "0000800000000010010000000000001020000000000020000000004000000800",
		7:  "0400000000004000000040000000080000000004002000001000000002000000",
		10: "0000200000080000000100000000002000008000000000080001000000100000",
	} {
		if _, err := hex.Decode(set[i*blockBytes:], []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return append(b, set...)
}

// TestParquetVector checks both directions against a file of another
// implementation.
func TestParquetVector(t *testing.T) {
	file := parquetFile(t)
	if got := Hash(file[16:], 0); got != 0xb56ca192578a4053 {
		t.Fatalf("the vector was copied wrongly: its hash is %x", got)
	}

	s := &SplitBlock{blocks: make([]block, 32)}
	for _, key := range []string{"hello", "parquet", "bloom", "filter"} {
		checkAnswers(t, []answer{
			{"HasString " + key, s.HasString(key), false},
			{"AddString " + key, s.AddString(key), true},
			{"Add again " + key, s.Add([]byte(key)), false},
			{"Has " + key, s.Has([]byte(key)), true},
		})
	}
	if got := s.AppendParquet(nil); !bytes.Equal(got, file) {
		t.Errorf("written: %x\nwant %x", got, file)
	}

	r, rest, err := ParseParquet(append(file, "next"...))
	if err != nil || string(rest) != "next" {
		t.Fatalf("ParseParquet leaves %q, %v, want next", rest, err)
	}
	if got := r.Bits(); got != 8192 {
		t.Fatalf("Bits = %d, want 8192", got)
	}
	checkAnswers(t, []answer{
		{"HasString(parquet)", r.HasString("parquet"), true},
		{"HasString(orc)", r.HasString("orc"), false},
	})
}

// TestParquetInt64 checks that a number is its 8 bytes, little endian.
func TestParquetInt64(t *testing.T) {
	s := NewSplitBlock(100, 1e-6, nil)
	s.AddUint64(0x0102030405060708)
	checkAnswers(t, []answer{
		{"Has of its 8 bytes", s.Has([]byte{8, 7, 6, 5, 4, 3, 2, 1}), true},
		{"HasUint64", s.HasUint64(0x0102030405060708), true},
		{"HasUint64(1)", s.HasUint64(1), false},
	})
}

// TestParquetRates checks the rates that the specification gives for 1024
// blocks.
func TestParquetRates(t *testing.T) {
	for n, want := range map[int]float64{26214: 0.0126, 52428: 0.18, 13107: 0.0004} {
		if got := blockRate(float64(n) / 1024); math.Abs(got-want) > 0.05*want {
			t.Errorf("%d keys: %g, want %g", n, got, want)
		}
	}
}

// TestTrapSplitBlockSize: the formula -8n/ln(1-p^(1/8)), which several writers
// use, makes filters too small: lance-format/lance#4730 saw 8 times the rate.
// The specification's own table of bits a key is that of the Poisson
// distribution.
func TestTrapSplitBlockSize(t *testing.T) {
	n, probes := 100_000, 1_000_000
	if testing.Short() || raceEnabled || invariants {
		n, probes = 20_000, 100_000
	}

	for p, bits := range map[float64]float64{0.1: 6.0, 0.01: 10.5, 1e-3: 16.9, 1e-4: 26.4, 1e-5: 41} {
		s := NewSplitBlock(n, p, &SplitBlockOptions{AnySize: true})
		if got := float64(s.Bits()) / float64(n); math.Abs(got-bits) > 0.02*bits {
			t.Errorf("p = %g: %.2f bits a key, want %.1f", p, got, bits)
		}

		for i := range n {
			s.AddUint64(uint64(i))
		}

		hits := 0

		for i := range probes {
			if s.HasUint64(uint64(n + i)) {
				hits++
			}
		}

		if want := 1.1 * p * float64(probes); float64(hits) > want+5*math.Sqrt(want)+1 {
			t.Errorf("p = %g: %d hits of %d, want about %.0f at most", p, hits, probes, want)
		}

		for i := range n {
			if !s.HasUint64(uint64(i)) {
				t.Fatalf("p = %g: %d was added and is absent", p, i)
			}
		}
	}
}

// TestSplitBlockSizes checks that sizes are powers of two from 64 bytes to 128
// MiB, which all readers take, unless AnySize is set.
func TestSplitBlockSizes(t *testing.T) {
	for n := 1; n < 1e7; n = n*3/2 + 1 {
		for _, p := range []float64{0.1, 0.01, 1e-4} {
			size := NewSplitBlock(n, p, nil).Bits() / 8
			if size < 64 || size > 128<<20 {
				t.Errorf("NewSplitBlock(%d, %g) has %d bytes, want 64 to 128 Mi", n, p, size)
			}
			if size&(size-1) != 0 {
				t.Errorf("NewSplitBlock(%d, %g) has %d bytes, want a power of two", n, p, size)
			}
			exact := NewSplitBlock(n, p, &SplitBlockOptions{AnySize: true}).Bits() / 8
			if exact > size || size > 64 && exact < size/2 {
				t.Errorf("NewSplitBlock(%d, %g) has %d bytes with AnySize, want half of %d to all", n, p, exact, size)
			}
			if exact%32 != 0 {
				t.Errorf("NewSplitBlock(%d, %g) has %d bytes with AnySize, want a multiple of 32", n, p, exact)
			}
		}
	}
	mustPanic(t, "set AnySize", func() { NewSplitBlock(110e6, 0.01, nil) })
}

// TestParquetHostile checks that bytes that are no filter are refused, and
// takes no memory.
func TestParquetHostile(t *testing.T) {
	file := parquetFile(t)
	for i := range file {
		if _, rest, err := ParseParquet(file[:i]); !errors.Is(err, ErrCorrupt) || len(rest) != i {
			t.Fatalf("ParseParquet of %d bytes leaves %d, %v, want all, %v", i, len(rest), err, ErrCorrupt)
		}
	}

	for i := range 16 {
		b := bytes.Clone(file)
		b[i] ^= 2
		if _, _, err := ParseParquet(b); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && i != 1 {
			t.Errorf("byte %d: %v", i, err)
		}
	}

	for _, b := range []string{"\x15\xff\xff\xff\xff\x0f", "\x15\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x15\x00", "\x15\x42"} {
		// Two blocks follow, so that only the number is wrong.
		if _, _, err := ParseParquet([]byte(b + parquetRest + strings.Repeat("\x00", 2*blockBytes))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("numBytes %x: %v, want %v", b, err, ErrCorrupt)
		}
	}

	for _, other := range []string{"1c2c00001c1c00001c1c000000", "1c1c00001c2c00001c1c000000"} {
		rest, err := hex.DecodeString(other)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ParseParquet(slices.Clip(append([]byte{0x15, 0x40}, rest...))); !errors.Is(err, ErrVersion) {
			t.Errorf("header %s: %v, want %v", other, err, ErrVersion)
		}
	}
	whole := NewSplitBlock(10, 0.1, nil).AppendParquet(nil)
	if err := new(SplitBlock).UnmarshalBinary(append(whole, 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte after the filter: %v, want %v", err, ErrCorrupt)
	}

	var zero SplitBlock
	if has, bits := zero.HasString("x"), zero.Bits(); has || bits != 0 {
		t.Errorf("HasString, Bits of the zero SplitBlock = %t, %d, want false, 0", has, bits)
	}

	if got := NewSplitBlock(0, 0.99, nil).Bits(); got != 512 {
		t.Errorf("Bits = %d of a filter for no keys, want 512, the smallest that all readers take", got)
	}

	if got := NewSplitBlock(0, 0.99, &SplitBlockOptions{AnySize: true}).Bits(); got != 256 {
		t.Errorf("Bits = %d of a filter for no keys, want one block", got)
	}

	for want, f := range map[string]func(){
		"bloom: zero SplitBlock: use NewSplitBlock":           func() { zero.AddString("x") },
		"bloom: n must be between 0 and 2^48, got -1":         func() { NewSplitBlock(-1, 0.1, nil) },
		"bloom: 2000000000 keys at 0.01 need more than 2 GiB": func() { NewSplitBlock(2e9, 0.01, nil) },
	} {
		mustPanic(t, want, f)
	}

	mustPanic(t, "zero SplitBlock", func() { zero.AppendParquet(nil) })
}

// FuzzParquet gives ParseParquet any bytes. Bytes that it accepts must be
// written back as they were, but for the length, which has more than one form.
func FuzzParquet(f *testing.F) {
	f.Add(parquetFile(f))
	f.Add([]byte("\x15\xff\xff\xff\xff\x0f" + parquetRest))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, err := ParseParquet(b)
		if err != nil {
			return
		}
		size := int(s.Bits() / 8)
		out := s.AppendParquet(nil)
		if body := b[:len(b)-len(rest)]; !bytes.Equal(body[len(body)-size:], out[len(out)-size:]) {
			t.Fatalf("written back as %x", out)
		}
		r, _, err := ParseParquet(out)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.Bits(), s.Bits(); got != want {
			t.Fatalf("Bits = %d of what was written, want %d", got, want)
		}
	})
}

// TestKernels checks that the kernels of a processor do what the methods of
// block do, for filters of all small sizes and hashes of all kinds.
func TestKernels(t *testing.T) {
	if !haveKernels {
		t.Skip("this build, or this processor, has no kernels")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 200; n++ {
		ours := make([]block, n)
		theirs := make([]block, n)
		var hs []uint64
		for i := range 500 {
			h := rng.Uint64()
			switch i % 10 {
			case 0:
				h = 1<<64 - 1 - h&0xff
			case 1:
				h &= 0xff
			case 2:
				h |= 1<<32 - 1
			}
			hs = append(hs, h)
			b := &theirs[(h>>32)*uint64(n)>>32]
			want := b.has(uint32(h))
			if got, pure := hasBlock(ours, h), hasBlockPure(theirs, h); got != want || pure != want {
				t.Fatalf("hasBlock, hasBlockPure(%d, %#x) = %t, %t, want %t", n, h, got, pure, want)
			}
			if i%3 == 0 {
				if got, want := addKernel(&ours[0], uint64(n), h), b.add(uint32(h)); got != want {
					t.Fatalf("addKernel(%d, %#x) = %t, want %t", n, h, got, want)
				}
			}
		}
		if !slices.Equal(ours, theirs) {
			t.Fatalf("blocks of %d differ", n)
		}

		got := make([]bool, len(hs)+1)
		hasAllKernel(&ours[0], uint64(n), &hs[0], uint64(len(hs)), &got[0])
		for i, h := range hs {
			if want := theirs[(h>>32)*uint64(n)>>32].has(uint32(h)); got[i] != want {
				t.Fatalf("hasAllKernel: %#x of %d = %t, want %t", h, n, got[i], want)
			}
		}
		if got[len(hs)] {
			t.Fatal("hasAllKernel wrote beyond its end")
		}
	}
}

// TestKernelsPure checks that hasBlock goes on without AVX2.
func TestKernelsPure(t *testing.T) {
	s := NewSplitBlock(1000, 0.01, nil)
	for i := range uint64(1000) {
		s.AddHash(HashUint64(i, 0))
	}
	withoutKernels(t)
	for i := range uint64(2000) {
		h := HashUint64(i, 0)
		if got, want := s.HasHash(h), hasBlockPure(s.blocks, h); got != want || i < 1000 && !got {
			t.Fatalf("HasHash(%#x) = %t, want %t", h, got, want)
		}
	}
	checkAnswers(t, []answer{
		{"AddHash(1) without AVX2", s.AddHash(1), true},
		{"AddHash(1) again", s.AddHash(1), false},
		{"HasHashes(1)", s.HasHashes(nil, []uint64{1})[0], true},
	})
	if new(SplitBlock).HasHash(1) {
		t.Error("the zero SplitBlock holds something")
	}
}

// TestSplitBlockHashes checks batches of every length against single questions.
func TestSplitBlockHashes(t *testing.T) {
	s := NewSplitBlock(1000, 0.01, nil)
	for i := range uint64(1000) {
		s.AddHash(HashUint64(i, 0))
	}

	for n := range 130 {
		hs := make([]uint64, n)
		for i := range hs {
			hs[i] = HashUint64(uint64(i*17), 0)
		}
		got := s.HasHashes([]bool{true}, hs)
		if len(got) != n+1 {
			t.Fatalf("HasHashes appended %d answers, want %d", len(got)-1, n)
		}
		if !got[0] {
			t.Fatal("HasHashes changed the answer before its own")
		}
		for i, h := range hs {
			if want := s.HasHash(h); got[i+1] != want {
				t.Fatalf("HasHashes: %#x = %t, want %t", h, got[i+1], want)
			}
		}
	}

	if got := new(SplitBlock).HasHashes(nil, []uint64{1}); len(got) != 1 || got[0] {
		t.Errorf("HasHashes of the zero SplitBlock = %v, want false", got)
	}
}
