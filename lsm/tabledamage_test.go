// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// smallTable returns a table of a few blocks, and what it holds.
func smallTable(t testing.TB) (b []byte, list []version) {
	list = testVersions()[:16]
	return writeTable(t, list, &TableOptions{BlockSize: minBlockSize, FilterBits: 8}), list
}

// askTable asks a table that was damaged everything. It reports whether
// anything was found to be wrong. Whatever is answered is right.
func askTable(t *testing.T, what string, b []byte, size int64, list []version) (found bool) {
	t.Helper()
	check := func(call string, err error) bool {
		t.Helper()
		if err == nil || errors.Is(err, ErrNotFound) {
			return true
		}
		found = true
		isError(t, what+", "+call, err, ErrCorrupt)
		var c *CorruptError
		if errors.As(err, &c) && (c.File == "" || c.Err == nil || c.Offset < 0 || c.Offset > max(0, size)) {
			t.Errorf("%s, %s: got %#v, want a place in a file and a reason", what, call, c)
		}
		return false
	}
	table, err := OpenTable(bytes.NewReader(b), size, nil)
	if !check("open", err) {
		return true
	}

	check("verify", table.Verify(context.Background()))
	keys := []string{"", "user:0004", "zzz"}
	for _, v := range list {
		keys = append(keys, v.key)
	}
	for _, key := range keys {
		want, ok := twinGet(list, key, maxSeq)
		v, err := table.Get([]byte(key))
		if check("get", err) && (ok != (err == nil) || string(v) != want) {
			t.Errorf("%s: Get(%q) = %q and %v, want %q, %t", what, key, v, err, want, ok)
		}
		has, err := table.Has([]byte(key))
		if check("has", err) && has != ok {
			t.Errorf("%s: Has(%q) = %t, want %t", what, key, has, ok)
		}
	}

	got, err := scanAll(table, nil, nil, maxSeq)
	want := twinScan(list, "", nil, maxSeq)
	whole := check("scan", err)
	if !slices.Equal(got, want[:min(len(want), len(got))]) || whole && len(got) != len(want) {
		t.Errorf("%s: scan yields %q, want %q", what, got, want)
	}
	return found
}

// TestTableFlips damages every byte of a table. Every damage is found, and all
// that is answered is right.
func TestTableFlips(t *testing.T) {
	whole, list := smallTable(t)
	if askTable(t, "whole", whole, int64(len(whole)), list) {
		t.Fatal("the table is corrupt before it was damaged")
	}
	for off := range whole {
		masks := []byte{1 << (off % 8), 0xff}
		if *all {
			masks = []byte{1, 2, 4, 8, 16, 32, 64, 128, 0xff}
		}
		for _, mask := range masks {
			b := slices.Clone(whole)
			b[off] ^= mask
			if what := fmt.Sprintf("[%d]^%d", off, mask); !askTable(t, what, b, int64(len(b)), list) {
				t.Errorf("%s: nothing was found", what)
			}
		}
	}
}

// TestTableTruncations cuts a table at every length, at both ends, makes it
// longer, and is wrong about its length.
func TestTableTruncations(t *testing.T) {
	whole, list := smallTable(t)
	find := func(what string, b []byte, size int64) {
		t.Helper()
		if !askTable(t, what, b, size, list) {
			t.Errorf("%s: nothing was found", what)
		}
	}
	for n := range whole {
		find(fmt.Sprintf("[:%d]", n), whole[:n], int64(n))
		find(fmt.Sprintf("[:%d], said to be whole", n), whole[:n], int64(len(whole)))
		find(fmt.Sprintf("whole, said to be %d", n), whole, int64(n))
		if n > 0 {
			find(fmt.Sprintf("[%d:]", n), whole[n:], int64(len(whole)-n))
			find(fmt.Sprintf("%d zeros before", n), append(make([]byte, n), whole...), int64(len(whole)+n))
			find(fmt.Sprintf("%d zeros after", n), append(slices.Clone(whole), make([]byte, n)...), int64(len(whole)+n))
		}
	}
	find("of a negative size", whole, -1)
	find("twice", slices.Concat(whole, whole), int64(2*len(whole)))
}

// TestTableMisplaced exchanges blocks of equal length, within a table and with
// another one: a checksum knows its place.
func TestTableMisplaced(t *testing.T) {
	var list, other []version
	for i := range 20 {
		list = append(list, version{fmt.Sprintf("%04d", i), 0, kindSet, "0123456789"})
		other = append(other, version{fmt.Sprintf("%04d", i), 0, kindSet, "abcdefghij"})
	}
	o := &TableOptions{BlockSize: minBlockSize, FilterBits: -1}
	whole := writeTable(t, list, o)
	table, err := openTable(whole)
	isError(t, "open", err, nil)
	from, to, end := table.index.start(0), table.index.start(1), table.index.start(2)
	equal(t, "length of block 1", end-to, to-from)

	b := slices.Concat(whole[to:end], whole[from:to], whole[end:])
	if !askTable(t, "exchanged blocks", b, int64(len(b)), list) {
		t.Error("exchanged blocks: nothing was found")
	}
	var buf bytes.Buffer
	w := newTableWriter(&buf, o, testTableNonce+1)
	for _, v := range other {
		isError(t, "set", w.Set([]byte(v.key), []byte(v.value)), nil)
	}
	isError(t, "finish", w.Finish(), nil)
	b = slices.Concat(buf.Bytes()[:to], whole[to:])
	if !askTable(t, "a block of another table", b, int64(len(b)), list) {
		t.Error("a block of another table: nothing was found")
	}
}

// repairTable makes the checksums of b right, as far as its offsets allow.
func repairTable(b []byte) {
	if len(b) < footerLen {
		return
	}
	le := binary.LittleEndian
	at := int64(len(b) - footerLen)
	foot := b[at:]
	f := footer{nonce: le.Uint64(foot[16:]), at: at}
	le.PutUint32(foot[12:], f.sum(foot))

	seal := func(off, end int64) {
		if off >= 0 && off <= end && end <= at && end-off >= blockTailLen {
			le.PutUint32(b[end-4:], checksum(b[off:end-4], mix(f.nonce), off))
		}
	}
	var ends [5]int64
	for i := range ends {
		ends[i] = int64(le.Uint64(foot[24+8*i:]))
	}
	for i := range 4 {
		seal(ends[i], ends[i+1])
	}

	// The ends of the data blocks stand in the index.
	index, off := ends[2], int64(0)
	if index < 0 || index > at-8 {
		return
	}
	n := int64(le.Uint32(b[index:]))
	for i := range n {
		p := index + 8 + 8*n + 4*i
		if p+4 > at {
			return
		}
		end := 8 * int64(le.Uint32(b[p:]))
		seal(off, end)
		off = end
	}
}

// TestTableReserved sets what version 1 writes as zero, or does not write, with
// checksums that are right: a later version has done it.
func TestTableReserved(t *testing.T) {
	whole, list := smallTable(t)
	table, err := openTable(whole)
	isError(t, "open", err, nil)
	f := table.foot
	data := table.index.start(1) // the end of the first block
	for _, c := range []struct {
		name string
		off  int64
		x    byte
	}{
		{"version", f.at + 8, 2},
		{"version, high byte", f.at + 9, 1},
		{"footer 10", f.at + 10, 1},
		{"footer 11", f.at + 11, 1},
		{"codec of a block", data - 8, 1},
		{"zeros of a block", data - 6, 1},
		{"zeros of a block, high byte", data - 5, 1},
		{"padding of a block", data - 9, 1},
		{"codec of the index", f.props - 8, 1},
		{"codec of the properties", f.at - 8, 1},
		{"codec of the filter", f.index - 8, 1},
		{"flags of a block", 6, 8},
		{"flags of a block, high bit", 6, 0x80},
		{"zero of a block", 7, 1},
		{"index 6", f.index + 6, 1},
		{"index 7", f.index + 7, 1},
		{"hash of the filter", f.filter + 5, 2},
		{"zeros of the filter", f.filter + 6, 1},
		{"last zero of the filter", f.filter + 63, 1},
	} {
		b := slices.Clone(whole)
		if b[c.off] == c.x {
			t.Errorf("%s is %d already", c.name, c.x)
		}
		b[c.off] = c.x
		repairTable(b)
		isError(t, c.name, askFirst(b, list[0].key), ErrVersion)
	}

	// What needs other lengths is written by hand.
	for _, c := range []struct {
		name string
		make func(f *textTable)
		want error
	}{
		{"nothing", func(*textTable) {}, nil},
		{"no filter", func(f *textTable) { f.bits = 0 }, nil},
		{"ranges", func(f *textTable) { f.ranges = []byte{} }, ErrVersion},
		{"property 0", func(f *textTable) { f.more = appendField(nil, 0, []byte{0}) }, ErrVersion},
		{"a codec", func(f *textTable) { f.more = appendField(nil, 11, []byte{1}) }, ErrVersion},
		{"property 31", func(f *textTable) { f.more = appendField(nil, 31, nil) }, ErrVersion},
		{"property 32", func(f *textTable) { f.more = appendField(nil, 32, []byte("skipped")) }, nil},
		{"property 32 twice", func(f *textTable) { f.more = appendField(appendField(nil, 1000, nil), 1000, nil) }, nil},
	} {
		f := newTextTable(9, 10)
		c.make(f)
		f.data([]version{{"key", 0, kindSet, "value"}}, "key")
		isError(t, c.name, askFirst(f.finish(), "key"), c.want)
	}
	for kind := byte(2); kind != 0; kind++ {
		f := newTextTable(9, 10)
		f.data([]version{{"key", 3, kind, "value"}}, "key")
		b := f.finish()
		isError(t, fmt.Sprint("kind ", kind), askFirst(b, "key"), ErrVersion)
		table, err := openTable(b)
		isError(t, "open", err, nil)
		for _, lo := range []string{"", "key"} {
			_, err = scanAll(table, []byte(lo), nil, maxSeq)
			isError(t, fmt.Sprintf("a scan of kind %d from %q", kind, lo), err, ErrVersion)
		}
		isError(t, fmt.Sprint("verify of kind ", kind), table.Verify(context.Background()), ErrVersion)
	}
}

// askFirst opens a table and gets a key.
func askFirst(b []byte, key string) error {
	table, err := openTable(b)
	if err != nil {
		return err
	}
	_, err = table.Has([]byte(key))
	return err
}

// TestTableWrong checks tables whose checksums are right and whose content is
// not: opened, asked or verified, they are corrupt.
func TestTableWrong(t *testing.T) {
	set := func(key string) version { return version{key, 0, kindSet, "value"} }
	uvarint := func(x uint64) []byte { return binary.AppendUvarint(nil, x) }
	deletes := func(f *textTable, field []byte) {
		f.data([]version{set("a")}, "a")
		f.props = bytes.Replace(f.properties("a", "a"), []byte{2, 1, 0}, field, 1)
	}
	for _, c := range []struct {
		name string
		make func(f *textTable)
		open bool // OpenTable finds it
	}{
		{"keys that descend", func(f *textTable) { f.data([]version{set("b"), set("a")}, "b") }, true},
		{"keys that descend within", func(f *textTable) { f.data([]version{set("a"), set("c"), set("b"), set("d")}, "d") }, false},
		{"a key twice", func(f *textTable) { f.data([]version{set("a"), set("a")}, "a") }, false},
		{"a newer version later", func(f *textTable) { f.data([]version{{"a", 3, kindSet, ""}, {"a", 4, kindSet, ""}}, "a") }, false},
		{"a key in two blocks", func(f *textTable) {
			f.data([]version{{"a", 3, kindSet, ""}}, "a")
			f.data([]version{{"a", 2, kindSet, ""}, {"b", 2, kindSet, ""}}, "b")
		}, false},
		{"a key after its separator", func(f *textTable) {
			f.data([]version{set("a"), set("c")}, "b")
			f.data([]version{set("d")}, "d")
		}, false},
		{"a key before the separator of the block before", func(f *textTable) {
			f.data([]version{set("a")}, "b")
			f.data([]version{set("b"), set("c")}, "c")
		}, false},
		{"equal separators", func(f *textTable) {
			f.data([]version{set("a")}, "b")
			f.data([]version{set("b")}, "b")
		}, true},
		{"separators that descend", func(f *textTable) {
			f.data([]version{set("a")}, "c")
			f.data([]version{set("b")}, "b")
		}, true},
		{"a last separator that is not the largest key", func(f *textTable) { f.data([]version{set("a")}, "b") }, true},
		{"a block too many", func(f *textTable) {
			f.data([]version{set("a")}, "a")
			f.numbers[10]++
		}, true},
		{"a sequence too high", func(f *textTable) { f.data([]version{{"a", maxSeq + 1, kindSet, ""}}, "a") }, false},
		{"no properties", func(f *textTable) {
			f.data([]version{set("a")}, "a")
			f.props = []byte{}
		}, true},
		{"a property twice", func(f *textTable) {
			f.data([]version{set("a")}, "a")
			f.more = appendField(nil, 2, uvarint(0))
		}, true},
		{"a property that is too long", func(f *textTable) { deletes(f, []byte{2, 2, 0, 0}) }, true},
		{"an empty property", func(f *textTable) { deletes(f, []byte{2, 0}) }, true},
		{"half a property", func(f *textTable) { deletes(f, []byte{2, 1, 0x80}) }, true},
		{"a property that is cut", func(f *textTable) {
			f.data([]version{set("a")}, "a")
			f.more = []byte{40, 9}
		}, true},
		{"half a tag", func(f *textTable) {
			f.data([]version{set("a")}, "a")
			f.more = []byte{0x80}
		}, true},
		{"a smallest key of an empty table", func(f *textTable) {
			f.more = appendField(appendField(nil, 3, nil), 4, nil)
		}, true},
		{"a filter without the key", func(f *textTable) {
			f.data([]version{set("a")}, "a")
			f.props = f.properties("a", "a")
			f.keys = []string{"b"}
		}, false},
		{"another smallest key", func(f *textTable) {
			f.data([]version{set("a"), set("b")}, "b")
			f.props = f.properties("", "b")
		}, false},
		{"another largest key", func(f *textTable) {
			f.data([]version{set("a"), set("b")}, "c")
			f.props = f.properties("a", "c")
		}, false},
		{"bytes between entries", func(f *textTable) {
			f.raw("\x02\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x00\x00\x00b\x00\x00\x03\x00\x01\x00x\x01\x00", "a", "b")
		}, false},
		{"entries that change places", func(f *textTable) {
			f.raw("\x02\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x00\x00\x00b\x02\x00\x00\x00\x01\x00\x01\x00", "a", "b")
		}, false},
		{"bytes before entries", func(f *textTable) {
			f.raw("\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x01\x00x\x01\x00", "a")
		}, false},
		{"bytes after entries", func(f *textTable) {
			f.raw("\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x00\x00\x01\x00x", "a")
		}, false},
		{"a head with more than the key", func(f *textTable) {
			f.raw("\x01\x00\x00\x00\x00\x00\x06\x00\x01\x00\x00a\x00\x00\x01\x00", "a")
		}, false},
	} {
		f := newTextTable(9, 10)
		c.make(f)
		table, err := openTable(f.finish())
		if c.open {
			isError(t, c.name, err, ErrCorrupt)
			continue
		}
		isError(t, "open: "+c.name, err, nil)
		if err == nil {
			isError(t, "verify: "+c.name, table.Verify(context.Background()), ErrCorrupt)
		}
	}

	// Each number of the properties is compared.
	for tag := range uint64(11) {
		if tag == 0 || tag == propSmallest || tag == propLargest || tag == propBlocks {
			continue
		}
		f := newTextTable(9, 10)
		f.data([]version{{"a", 3, kindSet, "x"}, {"b", 4, kindDelete, ""}}, "b")
		f.numbers[tag]++
		table, err := openTable(f.finish())
		isError(t, "open", err, nil)
		isError(t, fmt.Sprint("property ", tag), table.Verify(context.Background()), ErrCorrupt)
	}
}

// TestTableBent changes every byte of a table with checksums that are right:
// nothing panics, and errors are of the kinds that are documented.
func TestTableBent(t *testing.T) {
	whole, list := smallTable(t)
	for off := range whole {
		for _, x := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			b := slices.Clone(whole)
			b[off] = x
			repairTable(b)
			useTable(t, b, list)
		}
	}
}

// useTable calls all methods of a table whose bytes may be anything.
func useTable(t *testing.T, b []byte, list []version) {
	t.Helper()
	known := func(err error) bool {
		t.Helper()
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrNotFound) {
			t.Fatalf("got %v, want ErrCorrupt or ErrVersion", err)
		}
		return err == nil
	}
	table, err := openTable(b)
	if !known(err) {
		return
	}
	for _, v := range list {
		_, err := table.Get([]byte(v.key))
		known(err)
		_, err = table.Has([]byte(v.key + "x"))
		known(err)
	}

	// What can be verified is sorted, and has what it shows.
	whole := known(table.Verify(context.Background()))
	var last []byte
	n := 0
	it := table.Scan(nil, nil)
	defer func() {
		if err := it.Close(); !known(err) && whole || whole && err != nil {
			t.Fatalf("scan of a table that was verified: %v", err)
		}
	}()
	for key, value := range it.All() {
		if !whole {
			continue
		}
		if n > 0 && bytes.Compare(last, key) >= 0 {
			t.Fatalf("%q after %q in a table that was verified", key, last)
		}
		v, err := table.Get(key)
		if err != nil || !bytes.Equal(v, value) {
			t.Fatalf("Get(%q) = %q and %v, want %q", key, v, err, value)
		}
		last = append(last[:0], key...)
		n++
	}
}

// TestTableFooter changes the offsets of the footer, with checksums that are
// right: they are refused, or the sections are not what they should be.
func TestTableFooter(t *testing.T) {
	whole, list := smallTable(t)
	at := int64(len(whole) - footerLen)
	for i := range int64(5) {
		p := at + 24 + 8*i
		was := int64(binary.LittleEndian.Uint64(whole[p:]))
		for _, x := range []int64{0, 8, was - 8, was + 8, was + 1, was - 4, at - 8, at, at + 8, -8, 1 << 62, -1 << 63} {
			if x == was {
				continue
			}
			b := slices.Clone(whole)
			binary.LittleEndian.PutUint64(b[p:], uint64(x))
			repairTable(b)
			err := askFirst(b, list[0].key)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("offset %d is %d: got %v, want ErrCorrupt or ErrVersion", i, x, err)
			}
		}
	}
}

// TestTableSections checks sections that are too short for what is always in
// them.
func TestTableSections(t *testing.T) {
	for _, c := range []struct {
		name          string
		filter, index []byte
	}{
		{name: "nothing"},
		{name: "a short index", index: make([]byte, 4)},
		{name: "an index of 2 blocks", index: []byte{2, 0, 0, 0, 0, 0, 0, 0}},
		{name: "an index of 1<<32-1 blocks", index: []byte{255, 255, 255, 255, 0, 0, 0, 0}},
		{name: "an index with a long prefix", index: []byte{0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0}},
		{name: "an index whose first rest is not at 0", index: []byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 'x'}},
		{name: "an index with a rest too many", index: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x'}},
		{name: "a short filter", filter: make([]byte, 63)},
		{name: "a filter without probes", filter: append([]byte{1, 0, 0, 0, 0, 1}, make([]byte, 58+64)...)},
		{name: "a filter with 17 probes", filter: append([]byte{1, 0, 0, 0, 17, 1}, make([]byte, 58+64)...)},
		{name: "a filter without lines", filter: append([]byte{0, 0, 0, 0, 1, 1}, make([]byte, 58)...)},
		{name: "a filter with half a line", filter: append([]byte{1, 0, 0, 0, 1, 1}, make([]byte, 58+32)...)},
		{name: "a filter with a line too many", filter: append([]byte{1, 0, 0, 0, 1, 1}, make([]byte, 58+128)...)},
	} {
		f := newTextTable(9, 0)
		f.rawFilter = c.filter
		f.rawIndex = c.index
		_, err := openTable(f.finish())
		want := ErrCorrupt
		if c.name == "nothing" {
			want = nil
		}
		isError(t, c.name, err, want)
	}

	// Blocks are looked at when they are read.
	for _, payload := range []string{
		"", "\x01\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x06\x00", "\x01\x00\x00\x00\x00\x00\x06\x00abcd",
		"\x01\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00a\x00\x00", "\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x09\x00\x01\x00",
		"\xff\xff\xff\xff\xff\xff\x07\x00abcdefgh",
		"\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x00\x00\x01\x05ab",
		"\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x00\x00\x01\x80\x01",
		"\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x00\x00\x01\x80",
		"\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x00\x00\x80",
		"\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00a\x00\x00\x05\x00",
		"\x01\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00a\x00\x00\x01",
		"\x01\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00a\x02\x00\x01\x00",
	} {
		f := newTextTable(9, 0)
		f.raw(payload, "a")
		b := f.finish()
		isError(t, fmt.Sprintf("get of a block %x", payload), askFirst(b, "a"), ErrCorrupt)
		table, err := openTable(b)
		isError(t, "open", err, nil)
		_, err = scanAll(table, nil, nil, maxSeq)
		isError(t, fmt.Sprintf("scan of a block %x", payload), err, ErrCorrupt)
		isError(t, fmt.Sprintf("verify of a block %x", payload), table.Verify(context.Background()), ErrCorrupt)
	}
}

// TestTableScanDamaged checks that a scan ends at the first entry that is
// damaged, and says so once.
func TestTableScanDamaged(t *testing.T) {
	f := newTextTable(9, 0)
	f.data([]version{{"a", 0, kindSet, "1"}}, "a")
	f.raw("\x01\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00b\x00\x00\x01\x09", "b")
	f.data([]version{{"c", 0, kindSet, "3"}}, "c")
	table, err := openTable(f.finish())
	isError(t, "open", err, nil)
	var got strings.Builder
	it := table.Scan(nil, nil)
	for key := range it.All() {
		fmt.Fprintf(&got, "%s ", key)
	}
	equal(t, "a scan", got.String(), "a ")
	isError(t, "a scan", it.Close(), ErrCorrupt)
}

// TestTableTooLong checks that a table does not become longer than its index
// can say.
func TestTableTooLong(t *testing.T) {
	for _, c := range []struct {
		off  int64
		want error
	}{{maxTableLen - 40, nil}, {maxTableLen - 32, ErrTooLarge}} {
		w := NewTableWriter(io.Discard, nil)
		w.off = c.off
		isError(t, "set", w.Set([]byte("key"), []byte("0123456789")), nil)
		isError(t, fmt.Sprint("finish at ", c.off), w.Finish(), c.want)
	}
}

// TestBlockEntryEnds checks that an entry of a block which is longer than the
// block is damage, to the byte.
func TestBlockEntryEnds(t *testing.T) {
	for n, want := range map[byte]error{5: nil, 6: nil, 7: errDamaged, 10: errDamaged, 11: errDamaged} {
		// A key of 8 bytes, of which 4 are the head, and a value of n: there
		// are bytes for 6.
		b := []byte{1, 0, 0, 0, 0, 0, flagZero | flagSets, 0, 'h', 'e', 'a', 'd', 0, 0, 8, n}
		b = append(b, "tailvalues"...)
		d, err := parseDataBlock(b[:len(b):len(b)])
		must(t, err)
		_, err = d.entry(0)
		isError(t, fmt.Sprintf("a value of %d bytes", n), err, want)
	}
}
