// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
)

var (
	_ encoding.BinaryAppender    = (*Filter)(nil)
	_ encoding.BinaryMarshaler   = (*Filter)(nil)
	_ encoding.BinaryUnmarshaler = (*Filter)(nil)
	_ io.WriterTo                = (*Filter)(nil)
	_ io.ReaderFrom              = (*Filter)(nil)
)

// sampleBytes returns a filter of 3 lines with a few keys, and its bytes.
func sampleBytes(t testing.TB) (*Filter, []byte) {
	f := &Filter{shape: shape{perKey: 2, perLane: 3, seed: 7}, lines: make([]line, 3)}
	for _, key := range []string{"alice", "bob", "carol"} {
		f.AddString(key)
	}
	b, err := f.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return f, b
}

// decoders are all ways to read b, and report an error.
var decoders = map[string]func(b []byte) error{
	"UnmarshalBinary": func(b []byte) error { return new(Filter).UnmarshalBinary(b) },
	"ReadFrom": func(b []byte) error {
		r := bytes.NewReader(b)
		if _, err := new(Filter).ReadFrom(r); err != nil {
			return err
		}
		if r.Len() > 0 {
			return ErrCorrupt // the others refuse what follows
		}
		return nil
	},
	"Verify": Verify,
}

// TestDamage flips every bit and cuts at every byte: every reader must refuse.
func TestDamage(t *testing.T) {
	_, b := sampleBytes(t)
	for name, decode := range decoders {
		if err := decode(b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}

		for i := range len(b) * 8 {
			c := bytes.Clone(b)
			c[i/8] ^= 1 << (i % 8)
			if err := decode(c); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%s: bit %d flipped: %v, want %v or %v", name, i, err, ErrCorrupt, ErrVersion)
			}
		}

		for i := range b {
			err := decode(b[:i])
			empty := i == 0 && errors.Is(err, io.EOF)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) && !empty {
				t.Fatalf("%s: cut at %d: %v", name, i, err)
			}
			if _, err := View(b[:i]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("View: cut at %d: %v, want %v", i, err, ErrCorrupt)
			}
		}
		if err := decode(append(bytes.Clone(b), 0)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: a byte more: %v, want %v", name, err, ErrCorrupt)
		}
	}
}

// TestUnknown checks that a later version, another kind and reserved bytes are
// refused by name.
func TestUnknown(t *testing.T) {
	_, b := sampleBytes(t)
	for at, want := range map[int]error{0: ErrCorrupt, 8: ErrVersion, 9: ErrVersion, 10: ErrVersion, 13: ErrVersion, 15: ErrVersion, 32: ErrVersion, 55: ErrVersion} {
		c := bytes.Clone(b)
		c[at] ^= 64
		copy(c[56:], sumOf(c[:56]))
		for name, decode := range decoders {
			if err := decode(c); !errors.Is(err, want) {
				t.Errorf("%s: byte %d: %v, want %v", name, at, err, want)
			}
		}
	}
}

func sumOf(b []byte) []byte { return binary.LittleEndian.AppendUint64(nil, Hash(b, 0)) }

// TestTrapAllocateFromHeader: greatroar/blobloom allocates 256 GiB for 64 bytes
// that say so.
func TestTrapAllocateFromHeader(t *testing.T) {
	b := header{shape: shape{perKey: 1, perLane: 1}, kind: kindFilter, lines: 1 << 20}.append(nil) // small enough for all machines
	b = append(b, make([]byte, 3*chunkBytes/2)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var f Filter
	n, err := f.ReadFrom(bytes.NewReader(b))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) || n != int64(len(b)) {
		t.Errorf("ReadFrom = %d, %v, want %d, %v", n, err, len(b), io.ErrUnexpectedEOF)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 8*chunkBytes {
		t.Errorf("%d bytes were allocated for %d", got, len(b))
	}
}

// TestReadFrom checks filters larger than a chunk, readers that give a byte at
// a time, and those that fail.
func TestReadFrom(t *testing.T) {
	f := New(200_000, 0.01, nil)
	f.AddUint64(1)
	f.AddUint64(99)
	var b bytes.Buffer
	if _, err := f.WriteTo(&b); err != nil {
		t.Fatal(err)
	}

	want, err := f.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Bytes(); !bytes.Equal(got, want) {
		t.Fatalf("WriteTo wrote %x, want %x as MarshalBinary", got, want)
	}

	var g Filter
	if n, err := g.ReadFrom(iotest.HalfReader(&b)); err != nil || n != int64(len(want)) {
		t.Fatalf("ReadFrom = %d, %v, want %d, nil", n, err, len(want))
	}
	if !g.Equal(f) {
		t.Fatal("ReadFrom made a filter with other bits")
	}

	if len(g.lines) != cap(g.lines) {
		t.Errorf("%d lines in room for %d", len(g.lines), cap(g.lines))
	}

	bad := errors.New("bad disk")

	for _, n := range []int{0, 10, headerBytes, headerBytes + 100, len(want) - 3} {
		r := io.MultiReader(bytes.NewReader(want[:n]), iotest.ErrReader(bad))
		if m, err := g.ReadFrom(r); !errors.Is(err, bad) || m != int64(n) {
			t.Errorf("ReadFrom = %d, %v, want %d, %v", m, err, n, bad)
		}
		if !g.Equal(f) {
			t.Errorf("a failure after %d bytes changed the filter", n)
		}
		if m, err := f.WriteTo(&limited{n, bad}); !errors.Is(err, bad) || m != int64(n) {
			t.Errorf("WriteTo = %d, %v, want %d, %v", m, err, n, bad)
		}
	}

	if _, err := new(Filter).WriteTo(io.Discard); err == nil {
		t.Error("the zero Filter was written")
	}
}

// A limited writer fails after n bytes.
type limited struct {
	n   int
	err error
}

func (w *limited) Write(b []byte) (int, error) {
	if len(b) > w.n {
		return w.n, w.err
	}
	w.n -= len(b)
	return len(b), nil
}

// TestView checks that a view reads the bytes it was given, aligned or not, and
// that a clone of it is free.
func TestView(t *testing.T) {
	f, b := sampleBytes(t)
	for shift := range 9 {
		c := append(make([]byte, shift), b...)[shift:]
		v, err := View(c)
		if err != nil {
			t.Fatalf("shift %d: %v", shift, err)
		}
		if !v.Equal(f) {
			t.Fatalf("shift %d: the view has other bits", shift)
		}

		w := v.Clone()
		w.AddString("dave")
		checkAnswers(t, []answer{
			{"HasString(dave) of the view", v.HasString("dave"), false},
			{"HasString(dave) of its clone", w.HasString("dave"), true},
			{"HasString(alice) of the view", v.HasString("alice"), true},
		})

		if err := v.UnmarshalBinary(b); err != nil {
			t.Errorf("shift %d: %v", shift, err)
		}
		if !v.AddString("erin") {
			t.Errorf("shift %d: AddString = false of a filter that was a view, want true", shift)
		}
	}

	c := slices.Clone(b)
	c[headerBytes+5] ^= 1
	if _, err := View(c); err != nil {
		t.Errorf("View reads the lines: %v", err)
	}
}

// TestViewShares checks that a view of aligned bytes has no copy of them: a
// change of the bytes, here to zeros, is one of its keys.
func TestViewShares(t *testing.T) {
	_, b := sampleBytes(t)
	v, err := View(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[headerBytes : len(b)-sumBytes])
	if shares := !v.HasString("alice"); shares != viewsShare {
		t.Errorf("a view shares its bytes: %t, want %t", shares, viewsShare)
	}
}

// TestProbeError checks that the error of the reader is that of the probe.
func TestProbeError(t *testing.T) {
	_, b := sampleBytes(t)
	bad := errors.New("bad sector")
	p, err := OpenProbe(failing{bytes.NewReader(b), headerBytes, bad})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := p.HasString("alice"); !ok || !errors.Is(err, bad) {
		t.Errorf("HasString = %t, %v, want true, %v", ok, err, bad)
	}
}

// failing is a file whose bytes from good on cannot be read.
type failing struct {
	*bytes.Reader
	good int64
	err  error
}

func (f failing) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > f.good {
		return 0, f.err
	}
	return f.Reader.ReadAt(b, off)
}

// TestProbe checks a probe against the filter, and that it reads one line, or
// two where the first does not settle it.
func TestProbe(t *testing.T) {
	for _, lines := range []int{1, 2} {
		f := New(1000, 0.01, &Options{Lines: lines, Seed: 5})
		for i := range uint64(1000) {
			f.AddUint64(i)
		}

		b, err := f.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}

		r := &countingReader{b: b}
		p, err := OpenProbe(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.Bits(), f.Bits(); got != want {
			t.Fatalf("Bits = %d, want %d", got, want)
		}

		for i := range uint64(3000) {
			r.reads = 0
			got, err := p.HasUint64(i)
			if want := f.HasUint64(i); err != nil || got != want {
				t.Fatalf("HasUint64(%d) = %t, %v, want %t", i, got, err, want)
			}
			if r.reads > lines || i < 1000 && r.reads != lines {
				t.Fatalf("HasUint64(%d) took %d reads, want at most %d, and all for a key that was added", i, r.reads, lines)
			}
		}

		f.AddString("x")

		for i := range b {
			if _, err := OpenProbe(bytes.NewReader(b[:min(i, headerBytes-1)])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%d bytes: %v, want %v", i, err, io.ErrUnexpectedEOF)
			}
		}

		cut, err := OpenProbe(bytes.NewReader(b[:headerBytes+10]))
		if err != nil {
			t.Fatal(err)
		}

		if ok, err := cut.HasString("x"); !ok || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("HasString without its line = %t, %v, want true, %v", ok, err, io.ErrUnexpectedEOF)
		}

		if ok, err := cut.Has([]byte("x")); !ok || err == nil {
			t.Errorf("Has without its line = %t, %v, want true and an error", ok, err)
		}

		b[0] = 'x'
		if _, err := OpenProbe(r); !errors.Is(err, ErrCorrupt) {
			t.Errorf("no filter: %v, want %v", err, ErrCorrupt)
		}
	}
}

// A countingReader reports the end together with the last bytes, as an
// [io.ReaderAt] may.
type countingReader struct {
	b     []byte
	reads int
}

func (r *countingReader) ReadAt(b []byte, off int64) (int, error) {
	r.reads++
	n := copy(b, r.b[off:])
	return n, io.EOF
}
