// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func FuzzModelTable(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelTable)) }

// FuzzTable opens any bytes as a table, with checksums that are right if they
// are to be. Nothing panics, and a table that can be verified is a sorted map.
func FuzzTable(f *testing.F) {
	b, list := smallTable(f)
	f.Add(b, false)
	f.Add(b, true)
	f.Add(writeTable(f, nil, nil), true)
	f.Add([]byte(tableMagic), true)
	f.Add(writeTable(f, runs(3), &TableOptions{Codec: runCodec{}}), true)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		b = slices.Clone(b)
		if repair {
			repairTable(b)
		}
		useTable(t, b, list[:3])
	})
}

// FuzzBlock decodes any bytes as a data block. Nothing panics, and a block
// whose entries are in order finds each of them.
func FuzzBlock(f *testing.F) {
	var b blockBuilder
	for _, v := range testVersions()[:9] {
		b.add([]byte(v.key), v.seq, v.kind, []byte(v.value))
	}
	f.Add(b.appendBlock(nil), []byte("user:0003"))
	f.Fuzz(func(t *testing.T, b, key []byte) {
		d, err := parseDataBlock(b)
		if err == nil {
			_, _, err = d.find(key, maxSeq)
		}
		if err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, errUnknown) {
			t.Fatal(err)
		}

		// The twin is the list of entries, if it is one.
		var last []byte
		for i := range d.n {
			e, err := d.entry(i)
			if err != nil {
				return
			}
			key := d.appendKey(nil, i, &e)
			if d.head(i) != head4(key[len(d.prefix):]) || i > 0 && bytes.Compare(last, key) >= 0 {
				return
			}
			last = key
		}
		for i := range d.n {
			want, _ := d.entry(i)
			got, ok, err := d.find(d.appendKey(nil, i, &want), maxSeq)
			if !ok || err != nil || got.seq != want.seq || !bytes.Equal(got.value, want.value) {
				t.Fatalf("entry %d: got %v, %t and %v, want %v", i, got, ok, err, want)
			}
		}
	})
}

// FuzzTableWriter writes any entries: each is refused or found.
func FuzzTableWriter(f *testing.F) {
	f.Add([]byte("\x01a1\x01b2\x02b\x003"), uint8(0))
	f.Add([]byte("\x00x\x00y"), uint8(70))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		var buf bytes.Buffer
		o := &TableOptions{BlockSize: minBlockSize + int(size), FilterBits: int(size%7) - 1}
		if size%2 > 0 {
			o.Codec = runCodec{}
		}
		w := NewTableWriter(&buf, o)
		want := map[string]string{}
		var last []byte
		for len(b) > 1 {
			n := min(int(b[0]), len(b)-2)
			key, value := b[1:1+n], b[1+n:2+n]
			b = b[2+n:]
			fits := len(want) == 0 || bytes.Compare(last, key) < 0
			if err := w.Set(key, value); (err == nil) != fits {
				t.Fatalf("Set(%q) after %q: got %v, want an error: %t", key, last, err, !fits)
			}
			if fits {
				want[string(key)] = string(value)
				last = key
			}
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}

		table, err := openTable(buf.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Verify(context.Background()); err != nil {
			t.Fatal(err)
		}
		for key, value := range want {
			if got, err := table.Get([]byte(key)); err != nil || string(got) != value {
				t.Fatalf("Get(%q) = %q and %v, want %q", key, got, err, value)
			}
		}
		if got := table.props.numbers[propEntries]; got != uint64(len(want)) {
			t.Fatalf("%d entries, want %d", got, len(want))
		}
	})
}
