// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"math"
	"testing"
	"time"
)

// TestValidate checks every bound of Options, and its neighbor.
func TestValidate(t *testing.T) {
	for _, o := range []*Options{
		nil,
		{},
		{Durability: Async},
		{Memory: minMemory},
		{Memory: maxMemory},
		{LogSize: minLogSize},
		{LogSize: maxLogSize},
		{StallTimeout: 1},
		{ErrorIfMissing: true, ReadOnly: true},
	} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}

	for _, o := range []*Options{
		{Durability: Async + 1},
		{Memory: minMemory - 1},
		{Memory: maxMemory + 1},
		{Memory: -1},
		{LogSize: minLogSize - 1},
		{LogSize: maxLogSize + 1},
		{LogSize: -1},
		{StallTimeout: -1},
		{ErrorIfExists: true, ReadOnly: true},
		{ErrorIfExists: true, ErrorIfMissing: true},
	} {
		err := o.Validate()
		if err == nil {
			t.Errorf("%+v is valid", o)
		}

		if _, got := Open("db", o); got == nil || err == nil || got.Error() != err.Error() {
			t.Errorf("Open with %+v: got %v, want %v", o, got, err)
		}
	}
}

// TestDefaults checks what nil means.
func TestDefaults(t *testing.T) {
	got := (*Options)(nil).resolve()
	want := Options{Memory: 1 << 30, LogSize: 4 << 20, StallTimeout: 10 * time.Second, FS: OSFS{}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestDurabilityText checks that durabilities have names that can be read back.
func TestDurabilityText(t *testing.T) {
	for d, want := range []string{"sync", "nosync", "async"} {
		b, err := Durability(d).MarshalText()
		if string(b) != want || err != nil {
			t.Errorf("%d: got %q, %v, want %q", d, b, err, want)
		}
		got := Async + 1
		if err := got.UnmarshalText([]byte(want)); got != Durability(d) || err != nil {
			t.Errorf("%q: got %v, %v, want %d", want, got, err, d)
		}
	}

	if _, err := (Async + 1).MarshalText(); err == nil {
		t.Error("durability 3 has a name")
	}
	d := NoSync
	if err := d.UnmarshalText([]byte("sometimes")); err == nil || d != NoSync {
		t.Errorf("an unknown name: %v, %v, want an error and no change", d, err)
	}
	if got, want := (Async + 1).String(), "Durability(3)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	mustPanic(t, "durability must be Sync, NoSync or Async, got 3", func() { new(Batch).SetDurability(Async + 1) })
}

// TestBatchLimits checks the length of the largest batch, and one byte more.
// Nothing is written: the room is computed.
func TestBatchLimits(t *testing.T) {
	for _, c := range []struct {
		have, key, value int
		want             error
	}{
		{0, MaxKeyLen, 0, nil},
		{0, MaxKeyLen + 1, 0, ErrTooLarge},
		{0, 0, MaxBatchLen - 1 - 1 - 5, nil},
		{0, 0, MaxBatchLen - 1 - 1 - 5 + 1, ErrTooLarge},
		{100, 0, MaxBatchLen - 1 - 1 - 5 - 100, nil},
		{100, 0, MaxBatchLen - 1 - 1 - 5 - 99, ErrTooLarge},
		{0, 0, math.MaxInt32, ErrTooLarge},
	} {
		b := &Batch{data: make([]byte, c.have)}
		if ok := b.room(c.key, c.value); ok != (c.want == nil) || !errors.Is(b.err, c.want) {
			t.Errorf("%d bytes, then %d and %d: got %t, %v, want %v", c.have, c.key, c.value, ok, b.err, c.want)
		}
	}

	b := &Batch{count: math.MaxUint32}
	b.Delete(nil)
	if !errors.Is(b.err, ErrTooLarge) {
		t.Errorf("one operation more than can be counted: got %v, want ErrTooLarge", b.err)
	}

	// opLen is what Set appends.
	for _, n := range []int{0, 1, 127, 128, 16383, 16384} {
		var b Batch
		b.Set(make([]byte, n), make([]byte, n))
		if got, want := opLen(n, n), int64(b.Size()); got != want {
			t.Errorf("opLen(%d, %d) = %d, want %d", n, n, got, want)
		}
	}
}
