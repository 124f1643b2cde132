// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A stored is a filter of any type that has a stored form.
type stored interface {
	encoding.BinaryAppender
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
	encoding.TextMarshaler
	encoding.TextUnmarshaler
	AddUint64(v uint64) bool
	HasUint64(v uint64) bool
	Bits() uint64
}

// storedTypes makes a filter of each type, and an empty value to read it into.
var storedTypes = map[string]struct {
	make func() stored
	zero func() stored
}{
	"Filter":     {func() stored { return New(1000, 1e-6, nil) }, func() stored { return new(Filter) }},
	"Concurrent": {func() stored { return NewConcurrent(1000, 0.01, nil) }, func() stored { return new(Concurrent) }},
	"Counting":   {func() stored { return NewCounting(1000, 1e-4, &Options{Seed: 7}) }, func() stored { return new(Counting) }},
	"Scalable":   {func() stored { return NewScalable(50, 0.01, &Options{Seed: 9, Lines: 1}) }, func() stored { return new(Scalable) }},
	"Window":     {func() stored { return NewWindow(300, 0.01, 0, nil) }, func() stored { return new(Window) }},
	"SplitBlock": {func() stored { return NewSplitBlock(1000, 0.01, nil) }, func() stored { return new(SplitBlock) }},
}

// sampleOf returns a filter with keys 0 to 999, and its bytes.
func sampleOf(t *testing.T, of func() stored) (stored, []byte) {
	t.Helper()
	f := of()
	for i := range uint64(1000) {
		f.AddUint64(i)
	}
	b, err := f.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return f, b
}

// TestStored checks for each type that a value that is read answers as the one
// that was written, goes on from there, and writes the same bytes.
func TestStored(t *testing.T) {
	for name, typ := range storedTypes {
		t.Run(name, func(t *testing.T) {
			f, b := sampleOf(t, typ.make)
			g := typ.zero()
			if err := g.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			if again, err := g.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("MarshalBinary = %x, %v, want %x as before", again, err, b)
			}
			if cap(b) != len(b) && name != "SplitBlock" {
				t.Errorf("%d bytes were written into %d: more than one allocation", len(b), cap(b))
			}
			if after, err := g.AppendBinary([]byte("x")); err != nil || !bytes.Equal(after[1:], b) {
				t.Errorf("AppendBinary = %x, %v, want x and %x", after, err, b)
			}

			for i := range uint64(5000) {
				if got, want := g.HasUint64(i), f.HasUint64(i); got != want {
					t.Fatalf("HasUint64(%d) = %t, want %t", i, got, want)
				}
			}
			for i := range uint64(3000) {
				if got, want := g.AddUint64(5000+i), f.AddUint64(5000+i); got != want {
					t.Fatalf("AddUint64(%d) = %t, want %t", 5000+i, got, want)
				}
			}
			if got, want := g.Bits(), f.Bits(); got != want {
				t.Errorf("Bits = %d, want %d", got, want)
			}
		})
	}
}

// TestStoredDamage flips every bit and cuts at every byte of each type but
// SplitBlock, whose format has no checksum: reading must refuse, and change
// nothing.
func TestStoredDamage(t *testing.T) {
	for name, typ := range storedTypes {
		if name == "SplitBlock" {
			continue // TestParquetHostile
		}
		t.Run(name, func(t *testing.T) {
			f := typ.make()
			f.AddUint64(1)
			b, err := f.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			g := typ.make()
			g.AddUint64(2)
			before, err := g.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}

			step := max(len(b)*8/4000, 1) | 1
			for i := 0; i < len(b)*8; i += step {
				c := bytes.Clone(b)
				c[i/8] ^= 1 << (i % 8)
				if err := g.UnmarshalBinary(c); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
					t.Fatalf("bit %d flipped: %v, want %v or %v", i, err, ErrCorrupt, ErrVersion)
				}
			}
			for i := 0; i < len(b); i += max(len(b)/500, 1) {
				if err := g.UnmarshalBinary(b[:i]); !errors.Is(err, ErrCorrupt) {
					t.Fatalf("cut at %d: %v, want %v", i, err, ErrCorrupt)
				}
			}
			if err := g.UnmarshalBinary(append(bytes.Clone(b), 0)); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a byte more: %v, want %v", err, ErrCorrupt)
			}
			if after, err := g.MarshalBinary(); err != nil || !bytes.Equal(after, before) {
				t.Errorf("MarshalBinary = %x, %v, want %x as before", after, err, before)
			}
		})
	}
}

// TestStoredKinds checks that no type reads another.
func TestStoredKinds(t *testing.T) {
	for from, typ := range storedTypes {
		_, b := sampleOf(t, typ.make)
		for to, other := range storedTypes {
			same := from == to || from == "Concurrent" && to == "Filter" || from == "Filter" && to == "Concurrent"
			if err := other.zero().UnmarshalBinary(b); (err == nil) != same {
				t.Errorf("%s reads %s: %v", to, from, err)
			}
		}
		if _, err := typ.zero().MarshalBinary(); err == nil {
			t.Errorf("a zero %s was written", from)
		}
	}
}

// TestTrapJSONWithoutError checks that a filter in a struct is stored by
// encoding/json and encoding/gob, and does not become {} without an error.
func TestTrapJSONWithoutError(t *testing.T) {
	type index struct {
		Keys  *Filter
		ByDay map[string]*Scalable
	}
	x := index{New(100, 0.01, nil), map[string]*Scalable{"monday": NewScalable(10, 0.01, nil)}}
	x.Keys.AddString("alice")
	x.ByDay["monday"].AddString("bob")
	text, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	var y index
	if err := json.Unmarshal(text, &y); err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, []answer{
		{"HasString(alice) through JSON", y.Keys.HasString("alice"), true},
		{"HasString(bob) through JSON", y.ByDay["monday"].HasString("bob"), true},
	})

	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(x); err != nil {
		t.Fatal(err)
	}
	var z index
	if err := gob.NewDecoder(&b).Decode(&z); err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, []answer{
		{"HasString(alice) through gob", z.Keys.HasString("alice"), true},
		{"HasString(bob) through gob", z.ByDay["monday"].HasString("bob"), true},
	})
	for name, typ := range storedTypes {
		f, _ := sampleOf(t, typ.make)
		text, err := f.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		g := typ.zero()
		if err := g.UnmarshalText(text); err != nil || !g.HasUint64(999) {
			t.Errorf("%s: UnmarshalText = %v, key 999 is there: %t", name, err, g.HasUint64(999))
		}
		if err := g.UnmarshalText([]byte("?")); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: no base64: %v, want %v", name, err, ErrCorrupt)
		}
		if _, err := typ.zero().MarshalText(); err == nil {
			t.Errorf("%s: the zero value was written", name)
		}
	}
}

// resum puts the checksums of a header, and of the state of a Window, right.
func resum(b []byte) []byte {
	copy(b[56:], sumOf(b[:56]))
	if len(b) >= headerBytes+windowBytes && kind(b[10]) == kindWindow {
		copy(b[headerBytes+56:], sumOf(b[headerBytes:headerBytes+56]))
	}
	return b
}

// TestStoredForged checks headers that a stranger wrote, with right checksums.
func TestStoredForged(t *testing.T) {
	set := func(name string, at int, v uint64) []byte {
		_, b := sampleOf(t, storedTypes[name].make)
		binary.LittleEndian.PutUint64(b[at:], v)
		return resum(b)
	}

	for name, b := range map[string][]byte{
		"Scalable of no layers":       set("Scalable", 24, 0),
		"Scalable of 2^60 layers":     set("Scalable", 24, 1<<60),
		"Scalable with a rate of 7":   set("Scalable", 32, 0x401c000000000000),
		"Scalable with a rate of 1":   set("Scalable", 32, 0x3ff0000000000000),
		"Scalable with no size":       set("Scalable", 40, 0),
		"Scalable of 2^63 keys":       set("Scalable", 40, 1<<63),
		"Scalable with too much room": set("Scalable", 48, 1<<40),
		"Scalable of another seed":    set("Scalable", 16, 1),
		"Window of one generation":    set("Window", 64, 1),
		"Window of 2^32 generations":  set("Window", 64, 1<<32),
		"Window of odd generations":   set("Window", 64, 7),
		"Window before its turn":      set("Window", 72, 0),
		"Window beyond all turns":     set("Window", 72, 1<<63),
		"Window with a negative step": set("Window", 80, 1<<63),
		"Window without a share":      set("Window", 88, 0),
		"Window with too much room":   set("Window", 96, 1<<40),
		"Window in no step":           set("Window", 104, 1),
		"Window of 2^58 lines":        set("Window", 24, 1<<58),
		"Counting of 4 bits a lane":   set("Counting", 8, 4<<32|1<<24|uint64(kindCounting)<<16|version),
		"Counting of 2^63 lines":      set("Counting", 24, 1<<63),
	} {
		var s Scalable
		var w Window
		var c Counting

		for _, f := range []encoding.BinaryUnmarshaler{&s, &w, &c} {
			if err := f.UnmarshalBinary(b); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrVersion) {
				t.Errorf("%s: %T = %v, want an error", name, f, err)
			}
		}
	}
}

// TestStoredMemory checks that a few bytes cannot ask for much memory.
func TestStoredMemory(t *testing.T) {
	for name, typ := range storedTypes {
		_, b := sampleOf(t, typ.make)
		short := b[:min(len(b), 256)]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := typ.zero().UnmarshalBinary(short)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; err == nil || got > 1<<14 {
			t.Errorf("%s: %v after %d bytes, want an error after few", name, err, got)
		}
	}
}

// TestWindowStoredAge checks that keys age while a window of time is stored,
// that the part of a turn that had passed is kept, and that a clock which was
// set back does not bring keys back.
func TestWindowStoredAge(t *testing.T) {
	clock := &fakeClock{}
	opts := &WindowOptions{Generations: 4, Now: clock.now}
	clock.sleep(123_456_789)                        // times have a part below a second
	w := NewWindow(1000, 1e-6, 3*time.Minute, opts) // turns of a minute
	clock.sleep(30 * time.Second)
	w.AddString("x")
	clock.sleep(90 * time.Second)
	w.AddString("y")
	b, err := w.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		away time.Duration
		x, y bool
	}{
		{0, true, true},
		{-time.Hour, true, true}, // the clock was set back
		{time.Minute, true, true},
		{2*time.Minute - 1, true, true},
		{2 * time.Minute, false, true},
		{4*time.Minute - 1, false, true},
		{4 * time.Minute, false, false},
		{200 * 365 * 24 * time.Hour, false, false},
	} {
		later := &fakeClock{t: clock.t}
		later.sleep(tt.away)
		v := NewWindow(1, 0.1, time.Hour, &WindowOptions{Now: later.now})
		if err := v.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if x, y := v.HasString("x"), v.HasString("y"); x != tt.x || y != tt.y {
			t.Errorf("after %v: x, y = %t, %t, want %t, %t", tt.away, x, y, tt.x, tt.y)
		}

		// From there it forgets as ever.
		later.sleep(4 * time.Minute)
		if x, y := v.HasString("x"), v.HasString("y"); x || y {
			t.Errorf("after %v and 4 minutes: x, y = %t, %t, want false", tt.away, x, y)
		}
	}
}

// TestWindowStoredSystemClock checks that a window by the system's clock ages
// while it is stored, in the clock of the value that it is read into.
func TestWindowStoredSystemClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(1000, 1e-6, 3*time.Minute, nil) // turns of a minute
		w.AddString("x")
		time.Sleep(90 * time.Second)
		b, err := w.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		var v Window
		if err := v.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}

		time.Sleep(30*time.Second - 1)
		if !v.HasString("x") {
			t.Error("x is forgotten before 4 minutes have passed")
		}
		time.Sleep(time.Nanosecond)
		if v.HasString("x") {
			t.Error("x is there after 4 minutes")
		}
	})
}

// TestWindowStoredSmallest checks that a window for one key a generation is
// read.
func TestWindowStoredSmallest(t *testing.T) {
	b, err := NewWindow(1, 0.1, 0, nil).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Window).UnmarshalBinary(b); err != nil {
		t.Error(err)
	}
}

// TestWindowStoredTwice checks that a window which is stored in the middle of a
// turn, read, and stored once more goes on in the middle of that turn.
func TestWindowStoredTwice(t *testing.T) {
	clock := &fakeClock{}
	opts := &WindowOptions{Generations: 4, Now: clock.now}
	w := NewWindow(1000, 1e-6, 3*time.Minute, opts) // turns of a minute
	w.AddString("x")                                // forgotten after 4 minutes
	clock.sleep(90 * time.Second)
	for range 3 {
		b, err := w.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		w = NewWindow(1, 0.1, time.Hour, opts)
		if err := w.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		clock.sleep(40 * time.Second)
	}

	clock.sleep(30*time.Second - 1)
	if !w.HasString("x") {
		t.Error("x is forgotten before 4 minutes have passed")
	}
	clock.sleep(1)
	if w.HasString("x") {
		t.Error("x is there after 4 minutes")
	}
}

// TestStoredResumes checks that what a filter has room for is stored: one that
// was stored, in the middle of a layer or of a turn, grows and forgets as if it
// had not been.
func TestStoredResumes(t *testing.T) {
	const at, keys = 777, 10_000
	for name, typ := range map[string]struct {
		make func() stored
		zero func() stored
	}{
		"Scalable": {func() stored { return NewScalable(100, 0.01, nil) }, func() stored { return new(Scalable) }},
		"Window":   {func() stored { return NewWindow(300, 0.01, 0, nil) }, func() stored { return new(Window) }},
	} {
		t.Run(name, func(t *testing.T) {
			f, want := typ.make(), typ.make()
			for i := range uint64(keys) {
				if i == at {
					b, err := f.MarshalBinary()
					if err != nil {
						t.Fatal(err)
					}
					f = typ.zero()
					if err := f.UnmarshalBinary(b); err != nil {
						t.Fatal(err)
					}
				}
				f.AddUint64(i)
				want.AddUint64(i)
				if i != at && i != keys-1 {
					continue
				}

				a, _ := f.MarshalBinary()
				b, _ := want.MarshalBinary()
				if !bytes.Equal(a, b) {
					t.Fatalf("after key %d: MarshalBinary = %d bytes that differ, want the %d of a filter that was not stored", i, len(a), len(b))
				}
			}
		})
	}
}

// FuzzStored gives each type any bytes, with the checksum of the header put
// right: it refuses them, or writes them back.
func FuzzStored(f *testing.F) {
	for _, typ := range storedTypes {
		s := typ.make()
		s.AddUint64(1)
		b, err := s.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}

		f.Add(b)
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerBytes && string(b[:8]) == magic {
			b = resum(bytes.Clone(b))
		}

		for name, typ := range storedTypes {
			g := typ.zero()
			if err := g.UnmarshalBinary(b); err != nil {
				continue
			}
			out, err := g.MarshalBinary()
			if err != nil || len(out) != len(b) && name != "SplitBlock" {
				t.Fatalf("%s: %d bytes written back as %d: %v", name, len(b), len(out), err)
			}
			g.HasUint64(1)
			g.AddUint64(1)
		}
	})
}
