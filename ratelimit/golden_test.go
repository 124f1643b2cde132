// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"
)

// goldenState is the state of a key of one limit, 1 a second with a burst of 2,
// after one event 5 ns after 1970. The marks are those of the test.
const goldenState = "6173686c61727273" + // "ashlarrs"
	"0100" + "01" + "01" + "7bb3a734" + // version, kind, limits, checksum
	"0100000000000000" + "0200000000000000" + "0300000000000000" + "0400000000000000" +
	"0500000000000000" + "00ca9a3b00000000" + // base; a token is 10^9 units
	"0100000000000000" + "00ca9a3b00000000" + "0200000000000000"

// TestGolden checks the bytes of a state against those that the documentation
// of the package describes, and that Shared reads and writes them.
func TestGolden(t *testing.T) {
	want, err := hex.DecodeString(goldenState)
	if err != nil {
		t.Fatal(err)
	}
	b := buckets{n: 1, marks: [4]uint64{1, 2, 3, 4}}
	b.limits[0] = Limit{PerSecond(1), 2}
	b.states[0] = State{Base: 5, Spent: 1e9}
	if got := b.encode(); !bytes.Equal(got, want) {
		t.Fatalf("the state is\n%x, want\n%x", got, want)
	}
	got, err := decodeBuckets(want)
	checkErr(t, err, nil, "decodeBuckets")
	check(t, got, b, "decodeBuckets")

	// A Shared writes the same, but for the mark and the checksum.
	store := NewMemStore(nil)
	s := NewShared(store, []Limit{{PerSecond(1), 2}}, &SharedOptions{
		Now: func(context.Context) (time.Time, error) { return time.Unix(0, 5), nil },
	})
	if _, err := s.Take(t.Context(), "key", 1); err != nil {
		t.Fatal(err)
	}
	state, _ := store.Load(t.Context(), "key")
	if !bytes.Equal(state[:12], want[:12]) || !bytes.Equal(state[48:], want[48:]) {
		t.Errorf("Shared writes\n%x, want\n%x", state, want)
	}
}

// reseal returns b with a checksum that is right.
func reseal(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[12:], checksum(b))
	return b
}

// TestStateErrors checks that bytes of a store that this version cannot read
// are errors: of a later version if version or kind says so, and else corrupt.
func TestStateErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"magic":         {func(b []byte) []byte { b[0]++; return reseal(b) }, ErrCorrupt},
		"short":         {func(b []byte) []byte { return b[:15] }, ErrCorrupt},
		"version":       {func(b []byte) []byte { b[8]++; return b }, ErrVersion},
		"version, high": {func(b []byte) []byte { b[9]++; return b }, ErrVersion},
		"version 0":     {func(b []byte) []byte { b[8] = 0; return reseal(b) }, ErrVersion},
		"kind":          {func(b []byte) []byte { b[10] = kindEvents + 1; return b }, ErrVersion},
		"window":        {func(b []byte) []byte { b[10] = kindEvents; return reseal(b) }, ErrCorrupt},
		"kind 0":        {func(b []byte) []byte { b[10] = 0; return reseal(b) }, ErrVersion},
		"checksum":      {func(b []byte) []byte { b[12]++; return b }, ErrCorrupt},
		"a bit":         {func(b []byte) []byte { b[70] ^= 4; return b }, ErrCorrupt},
		"no limit":      {func(b []byte) []byte { b[11] = 0; return reseal(b[:48]) }, ErrCorrupt},
		"length":        {func(b []byte) []byte { return reseal(b[:80]) }, ErrCorrupt},
		"words":         {func(b []byte) []byte { return reseal(b[:87]) }, ErrCorrupt},
		"too many": {func(b []byte) []byte {
			b[11] = maxTiers + 1
			return reseal(append(b, bytes.Repeat(b[48:], maxTiers)...))
		}, ErrCorrupt},
		"burst":    {func(b []byte) []byte { b[87] = 0x80; return reseal(b) }, ErrCorrupt},
		"no burst": {func(b []byte) []byte { b[80] = 0; return reseal(b) }, ErrCorrupt},
		"rate":     {func(b []byte) []byte { b[71] = 0x80; return reseal(b) }, ErrCorrupt},
		"fast":     {func(b []byte) []byte { b[71] = 1; return reseal(b) }, ErrCorrupt},
		"period":   {func(b []byte) []byte { clear(b[72:80]); return reseal(b) }, ErrCorrupt},
	} {
		b, _ := hex.DecodeString(goldenState)
		bytes := tt.change(b)
		if _, err := decodeBuckets(bytes); !errors.Is(err, tt.want) {
			t.Errorf("%s: err = %v, want %v", name, err, tt.want)
		}

		store := NewMemStore(nil)
		ok, err := store.CompareAndSwap(t.Context(), "key", nil, bytes, 0)
		checkErr(t, err, nil, "CompareAndSwap")
		check(t, ok, true, "CompareAndSwap")

		_, err = NewShared(store, []Limit{{PerSecond(1), 2}}, nil).Take(t.Context(), "key", 1)
		checkErr(t, err, tt.want, "%s: Take", name)
		check(t, fmt.Sprint(err), fmt.Sprintf("%v: key %q", tt.want, "key"), "%s: error of Take", name)
	}
}

// TestUnits pins the units of states that stores hold: another unit would be
// another format.
func TestUnits(t *testing.T) {
	for l, want := range map[Limit]int64{
		{PerSecond(1), 2}:                     1e9,
		{PerSecond(3), 2}:                     333_333_333,
		{perSecond(1e9), 1}:                   1,
		{perSecond(1e12), 5}:                  1,
		{Rate{}, 3}:                           1,
		{PerDay(1), 0}:                        86400e9,
		{Every(50 * 365 * 24 * time.Hour), 1}: 50 * 365 * 86400e9,
		{Every(time.Hour), mostBurst}:         min(3600e9, maxCapacity/mostBurst),
	} {
		m := newMeter(l)
		check(t, m.unit, want, "unit of %v", l)
		check(t, m.capacity, want*int64(l.Burst), "capacity of %v", l)
	}
}
