// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"math"
	"reflect"
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
			t.Errorf("%+v: %v, want no error", o, err)
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

		_, got := Open("db", o)
		equal(t, fmt.Sprintf("Open with %+v", o), fmt.Sprint(got), fmt.Sprint(err))
	}
}

// TestDefaults checks what nil means.
func TestDefaults(t *testing.T) {
	got := (*Options)(nil).resolve()
	equal(t, "the size of the cache", got.Cache.limit, 64<<20)
	want := Options{
		Memory: 128 << 20, LogSize: 4 << 20, StallTimeout: 10 * time.Second, FS: OSFS{}, MaxOpenFiles: 500,
		Cache: got.Cache,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestDurabilityText checks that durabilities have names that can be read back.
func TestDurabilityText(t *testing.T) {
	for d, want := range []string{"sync", "nosync", "async"} {
		b, err := Durability(d).MarshalText()
		isError(t, want, err, nil)
		equal(t, want, string(b), want)
		got := Async + 1
		isError(t, want, got.UnmarshalText([]byte(want)), nil)
		equal(t, want, got, Durability(d))
	}

	if _, err := (Async + 1).MarshalText(); err == nil {
		t.Error("durability 3 has a name")
	}
	d := NoSync
	if err := d.UnmarshalText([]byte("sometimes")); err == nil {
		t.Error("an unknown name: got no error, want one")
	}
	equal(t, "after an unknown name", d, NoSync)
	if got, want := (Async + 1).String(), "Durability(3)"; !reflect.DeepEqual(got, want) {
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
		what := fmt.Sprintf("%d bytes, then %d and %d", c.have, c.key, c.value)
		equal(t, what+": is there room", b.room(c.key, c.value), c.want == nil)
		isError(t, what, b.err, c.want)
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
		if got, want := opLen(n, n), int64(b.Size()); !reflect.DeepEqual(got, want) {
			t.Errorf("opLen(%d, %d) = %d, want %d", n, n, got, want)
		}
	}
}

// TestBatchPool checks that a batch which has held a large value is not kept
// for others, and a small one may be.
func TestBatchPool(t *testing.T) {
	for range 100 {
		large := &Batch{data: make([]byte, 0, asyncBytes+1)}
		giveBatch(large)
		if takeBatch() == large {
			t.Fatalf("a batch with %d bytes of memory was kept, want it dropped", cap(large.data))
		}
	}
}

// TestDecodeOp checks the operations that are refused: those of other kinds,
// those that end too early, and those with a key that no batch has.
func TestDecodeOp(t *testing.T) {
	long := appendSet(nil, make([]byte, MaxKeyLen), nil)
	longer := appendSet(nil, make([]byte, MaxKeyLen+1), nil)

	for _, c := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"nothing", nil, false},
		{"another kind", []byte{kindSet + 1, 0, 0}, false},
		{"a Delete without a length", []byte{kindDelete}, false},
		{"a Delete of a key that is cut", []byte{kindDelete, 2, 'k'}, false},
		{"a Delete", []byte{kindDelete, 1, 'k'}, true},
		{"a Set without a value", []byte{kindSet, 1, 'k'}, false},
		{"a Set of a value that is cut", []byte{kindSet, 1, 'k', 2, 'v'}, false},
		{"a Set", []byte{kindSet, 1, 'k', 1, 'v'}, true},
		{"a Set of the longest key", long, true},
		{"a Set of a longer key", longer, false},
		{"a Delete of a longer key", append([]byte{kindDelete}, longer[1:len(longer)-1]...), false},
	} {
		o, rest, ok := decodeOp(c.b)
		equal(t, c.name, ok, c.ok)
		if ok && (len(rest) != 0 || o.kind != c.b[0]) {
			t.Errorf("%s: got kind %d and %d bytes more, want %d and none", c.name, o.kind, len(rest), c.b[0])
		}
	}
}
