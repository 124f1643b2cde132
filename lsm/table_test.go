// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const testTableNonce = 7

// failing is what tests end with: testing.TB and rapid.T have it.
type failing interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// writeTable returns a table with the entries of list.
func writeTable(t failing, list []version, o *TableOptions) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := newTableWriter(&buf, o, testTableNonce)
	for _, v := range list {
		if err := w.add([]byte(v.key), v.seq, v.kind, []byte(v.value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := w.Size(); got != int64(buf.Len()) {
		t.Fatalf("size %d, want %d", got, buf.Len())
	}
	return buf.Bytes()
}

// openTable opens the table b, which may have the codec of tests.
func openTable(b []byte) (*Table, error) {
	return OpenTable(bytes.NewReader(b), int64(len(b)), &TableOptions{Codec: runCodec{}})
}

// mustTable opens a table with the entries of list.
func mustTable(t failing, list []version, o *TableOptions) *Table {
	t.Helper()
	table, err := openTable(writeTable(t, list, o))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// The twin of a table is the sorted slice of its entries.

// twinGet returns the newest version of key up to seq, if it is a value.
func twinGet(list []version, key string, seq uint64) (value string, ok bool) {
	for _, v := range list {
		if v.key == key && v.seq <= seq {
			return v.value, v.kind == kindSet
		}
	}
	return "", false
}

// twinScan returns the values between lo and hi as of seq.
func twinScan(list []version, lo string, hi []byte, seq uint64) (found []string) {
	for i, v := range list {
		if i > 0 && list[i-1].key == v.key || v.key < lo || hi != nil && v.key >= string(hi) {
			continue
		}
		if value, ok := twinGet(list, v.key, seq); ok {
			found = append(found, v.key+"="+value)
		}
	}
	return found
}

// scanAll returns what a scan yields.
func scanAll(table *Table, lo, hi []byte, seq uint64) (found []string, err error) {
	it := table.scan(lo, hi, seq)
	for key, value := range it.All() {
		found = append(found, string(key)+"="+string(value))
	}
	return found, it.Close()
}

// drawKey draws a key that is likely to be like another one.
func drawKey(t *rapid.T) string {
	prefix := rapid.SampledFrom([]string{"", "user", "user:0000", "\xff\xff"}).Draw(t, "prefix")
	return prefix + string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'b', 0xff}), 0, 9).Draw(t, "key"))
}

// drawVersions draws the entries of a table.
func drawVersions(t *rapid.T) (list []version) {
	plain := rapid.Bool().Draw(t, "plain") // as a TableWriter writes
	n := rapid.IntRange(0, 60).Draw(t, "n")
	seen := map[string]bool{}

	for range n {
		v := version{key: drawKey(t), kind: kindSet}
		if len(list) > 0 && rapid.Bool().Draw(t, "again") {
			v.key = list[len(list)-1].key
		}
		if !plain {
			v.seq = rapid.Uint64Range(0, 9).Draw(t, "seq")
			v.kind = rapid.SampledFrom([]byte{kindDelete, kindSet, kindSet}).Draw(t, "kind")
		}
		if v.kind == kindSet {
			v.value = strings.Repeat("v", rapid.SampledFrom([]int{0, 1, 20, 130, 200}).Draw(t, "length"))
			v.value += fmt.Sprint(len(list))
		}
		if id := fmt.Sprint(v.seq, v.key); !seen[id] {
			seen[id] = true
			list = append(list, v)
		}
	}

	slices.SortFunc(list, func(a, b version) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return int(b.seq) - int(a.seq)
	})
	return list
}

// drawTableOptions draws how a table is written.
func drawTableOptions(t *rapid.T) *TableOptions {
	return &TableOptions{
		BlockSize:  rapid.SampledFrom([]int{0, minBlockSize, 200, 1000}).Draw(t, "block size"),
		FilterBits: rapid.SampledFrom([]int{0, -1, 1, 20}).Draw(t, "filter bits"),
		Codec:      rapid.SampledFrom([]Codec{nil, runCodec{}}).Draw(t, "codec"),
	}
}

// TestModelTable checks a table against the sorted slice that it was written
// from, as of all sequences.
func TestModelTable(t *testing.T) { rapid.Check(t, modelTable) }

func modelTable(t *rapid.T) {
	list := drawVersions(t)
	table := mustTable(t, list, drawTableOptions(t))
	if err := table.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}

	keys := []string{drawKey(t), drawKey(t), drawKey(t)}
	for _, v := range list {
		keys = append(keys, v.key, v.key+"\x00", v.key[:len(v.key)/2])
	}
	for _, seq := range []uint64{0, 3, 8, 9, maxSeq} {
		for _, key := range keys {
			checkFind(t, table, list, key, seq)
		}
	}

	lo, hi := keys[0], []byte(keys[1])
	if rapid.Bool().Draw(t, "to the end") {
		hi = nil
	}
	for _, seq := range []uint64{0, 4, maxSeq} {
		got, err := scanAll(table, []byte(lo), hi, seq)
		if want := twinScan(list, lo, hi, seq); err != nil || !slices.Equal(got, want) {
			t.Fatalf("scan from %q to %q at %d: got %q and %v, want %q", lo, hi, seq, got, err, want)
		}
	}
}

// checkFind compares what a table and its twin have for a key.
func checkFind(t failing, table *Table, list []version, key string, seq uint64) {
	t.Helper()
	want, ok := twinGet(list, key, seq)
	e, found, err := table.find([]byte(key), filterHash([]byte(key)), seq, new(blockBuffer))
	if err != nil || ok != (found && e.kind == kindSet) {
		t.Fatalf("find(%q, %d): got %t of kind %d and %v, want a value: %t", key, seq, found, e.kind, err, ok)
	}
	if string(e.value) != want && ok {
		t.Fatalf("find(%q, %d): got %q, want %q", key, seq, e.value, want)
	}
	if seq != maxSeq {
		return
	}

	v, err := table.Get([]byte(key))
	if ok != (err == nil) || ok != (v != nil) {
		t.Fatalf("Get(%q): got %q and %v, want a value: %t", key, v, err, ok)
	}
	if ok && string(v) != want {
		t.Fatalf("Get(%q): got %q, want %q", key, v, want)
	}
	if v, _ := table.AppendGet([]byte("x"), []byte(key)); ok && string(v) != "x"+want || !ok && string(v) != "x" {
		t.Fatalf("AppendGet(x, %q) = %q, want x and %q", key, v, want)
	}
	if has, err := table.Has([]byte(key)); has != ok || err != nil {
		t.Fatalf("Has(%q) = %t and %v, want %t", key, has, err, ok)
	}
}

// TestBlockKeys checks blocks of all short keys, of every second one, and of
// those after a prefix: keys with equal heads, with zeros at their ends, and
// the empty key.
func TestBlockKeys(t *testing.T) {
	var all []string
	var grow func(key string)
	grow = func(key string) {
		all = append(all, key)
		if len(key) < 6 {
			for _, c := range []string{"\x00", "a", "\xff"} {
				grow(key + c)
			}
		}
	}
	grow("")
	slices.Sort(all)

	for step := 1; step <= 3; step++ {
		for _, prefix := range []string{"", "a", "user:0000"} {
			var b blockBuilder
			var list []version
			for i := 0; i < len(all); i += step {
				list = append(list, version{prefix + all[i], 0, kindSet, fmt.Sprint(i)})
				b.add([]byte(prefix+all[i]), 0, kindSet, fmt.Append(nil, i))
			}
			d, err := parseDataBlock(b.appendBlock(nil))
			isError(t, "a block", err, nil)

			others := []string{"", "a", "b", "\x00", "\xff\xff", "user:000", "user:0001", "v"}
			for _, key := range all {
				others = append(others, prefix+key)
			}
			for _, key := range others {
				e, ok, err := d.find([]byte(key), maxSeq)
				want, wantOK := twinGet(list, key, maxSeq)
				if err != nil || ok != wantOK || ok && string(e.value) != want {
					t.Fatalf("every %d, find(%q): got %q, %t and %v, want %q, %t", step, key, e.value, ok, err, want, wantOK)
				}
			}
		}
	}
}

// TestBlockHead checks the heads of blocks that have nothing else, and one byte
// less: damage is told from fields of later versions.
func TestBlockHead(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want error
	}{
		{make([]byte, blockHeadLen-1), errDamaged},
		{make([]byte, blockHeadLen), errDamaged},
		{[]byte{0, 0, 0, 0, 0, 0, allFlags + 1, 0}, errUnknown},
		{[]byte{0, 0, 0, 0, 0, 0, 0, 1}, errUnknown},
	} {
		_, err := parseDataBlock(c.b)
		isError(t, fmt.Sprintf("a block of %x", c.b), err, c.want)
	}
}

// TestBlockPayload checks that blocks of every short payload, also of none, are
// opened as they were sealed, and that a byte less is damage.
func TestBlockPayload(t *testing.T) {
	for n := range 20 {
		want := bytes.Repeat([]byte{'x'}, n)
		what := fmt.Sprintf("a payload of %d bytes", n)
		for _, codec := range []byte{0, 200} {
			b := sealBlock(slices.Clone(want), codec, 3, 16)
			got, encoded, err := openBlock(b, 200, 3, 16)
			isError(t, what, err, nil)
			equal(t, what, string(got), string(want))
			equal(t, what+" is encoded", encoded, codec > 0)
			if _, _, err := openBlock(b[:len(b)-1], 200, 3, 16); err == nil {
				t.Errorf("%s that is cut: got no error, want one", what)
			}
		}
		_, _, err := openBlock(sealBlock(slices.Clone(want), 1, 3, 16), 200, 3, 16)
		isError(t, what+" of another codec", err, errUnknown)
	}
	_, _, err := openBlock(make([]byte, blockTailLen-1), 0, 3, 16)
	isError(t, "less than the end of a block", err, errDamaged)
}

// TestIndexHead checks the shortest index, and those whose parts are longer
// than what is there by a byte.
func TestIndexHead(t *testing.T) {
	index := func(n, prefix, rest int) []byte {
		b := make([]byte, 8, 8+rest)
		binary.LittleEndian.PutUint32(b, uint32(n))
		binary.LittleEndian.PutUint16(b[4:], uint16(prefix))
		return append(b, make([]byte, rest)...)
	}
	for _, c := range []struct {
		n, prefix, rest int
		want            error
	}{
		{0, 0, 3, errDamaged},
		{0, 0, 4, nil},
		{0, 1, 4, errDamaged},
		{0, 1, 5, nil},
		{0, 9, 12, errDamaged},
		{1, 0, 19, errDamaged},
		{1, 7, 26, errDamaged},
		{1, 8, 27, errDamaged},
	} {
		_, err := parseIndex(slices.Clip(index(c.n, c.prefix, c.rest)))
		isError(t, fmt.Sprintf("%+v", c), err, c.want)
	}
}

// TestTableVersions checks a key with more versions than a block, and those of
// its neighbors.
func TestTableVersions(t *testing.T) {
	const n = 3000
	list := []version{{"a", 5, kindSet, "first"}}
	for i := range uint64(n) {
		v := version{"key", 2 * (n - i), kindSet, fmt.Sprint(n - i)}
		if i%3 == 0 {
			v.kind = kindDelete
			v.value = ""
		}
		list = append(list, v)
	}
	list = append(list, version{"z", 5, kindSet, "last"})
	table := mustTable(t, list, &TableOptions{BlockSize: minBlockSize})
	equal(t, "blocks", table.index.n, 2) // "a" was too small to end one
	isError(t, "verify", table.Verify(context.Background()), nil)
	for seq := uint64(0); seq <= 2*n+2; seq += 5 {
		checkFind(t, table, list, "key", seq)
	}
	for _, key := range []string{"a", "key", "z", "k", "kez"} {
		checkFind(t, table, list, key, maxSeq)
	}
}

// TestTableSizes checks keys and values at the limits of what a block can have
// with short offsets, and of keys.
func TestTableSizes(t *testing.T) {
	long := strings.Repeat("k", MaxKeyLen-1)
	lengths := []int{0, 1, 65_500, 65_533, 65_534, 65_535, 65_536, 70_000}
	switch {
	case raceEnabled:
		lengths = []int{0, 70_000} // copies are slow
	case !testing.Short():
		lengths = append(lengths, 3*maxPooled)
	}

	for _, n := range lengths {
		list := []version{
			{"", 0, kindSet, strings.Repeat("v", n)},
			{"a", 0, kindSet, "small"},
			{"b", 0, kindSet, strings.Repeat("w", n)},
			{long + "a", 0, kindSet, "x"},
			{long + "b", 0, kindSet, "y"},
		}
		for _, size := range []int{minBlockSize, maxBlockSize} {
			table := mustTable(t, list, &TableOptions{BlockSize: size})
			isError(t, fmt.Sprint("verify with ", n), table.Verify(context.Background()), nil)
			for _, v := range list {
				checkFind(t, table, list, v.key, maxSeq)
			}
			checkFind(t, table, list, long, maxSeq)
			_, err := table.Get([]byte(long + "aa"))
			isError(t, "a key that is too long", err, ErrNotFound)
		}
	}
}

// TestWide checks that offsets are wide exactly from the length on at which
// they must be.
func TestWide(t *testing.T) {
	for _, c := range []struct {
		n    int
		wide bool
	}{{math.MaxUint16 - 6, false}, {math.MaxUint16 - 5, true}} {
		var b blockBuilder
		b.add([]byte("a"), 0, kindSet, make([]byte, c.n))
		b.add([]byte("b"), 0, kindSet, nil)
		d, err := parseDataBlock(b.appendBlock(nil))
		isError(t, "a block", err, nil)
		equal(t, fmt.Sprint("entries of ", len(d.entries), " bytes are wide"), d.flags&flagWide != 0, c.wide)
		_, ok, err := d.find([]byte("b"), 0)
		isError(t, "find", err, nil)
		equal(t, "the last key is found", ok, true)
	}
}

// TestBlockSize checks that a block ends when it is as long as was wanted, and
// that the memory of a writer does not grow with the table.
func TestBlockSize(t *testing.T) {
	const n = 100
	for _, c := range []struct{ value, want int }{{minBlockSize - 10, n}, {minBlockSize - 11, n / 2}} {
		w := NewTableWriter(io.Discard, &TableOptions{BlockSize: minBlockSize, FilterBits: -1})
		for i := range n {
			isError(t, "set", w.Set(fmt.Appendf(nil, "%04d", i), make([]byte, c.value)), nil)
		}
		isError(t, "finish", w.Finish(), nil)
		equal(t, fmt.Sprint("blocks with values of ", c.value), int(w.props.numbers[propBlocks]), c.want)
		equal(t, "the highest sequence", w.props.numbers[propMaxSeq], 0)
		if got := cap(w.block.data); got > 4*minBlockSize {
			t.Errorf("values of %d: the buffer has %d bytes, want at most %d", c.value, got, 4*minBlockSize)
		}
		if got := cap(w.block.list); got > 8 {
			t.Errorf("values of %d: the buffer has %d entries, want at most 8", c.value, got)
		}
	}
}

// TestTableLimits checks the lengths of sections that are refused.
func TestTableLimits(t *testing.T) {
	if got := indexBound(1<<20, maxIndexLen-1<<24-27); got != maxIndexLen {
		t.Errorf("an index has at most %d bytes, want %d", got, maxIndexLen)
	}
	for _, c := range []struct {
		more int
		want error
	}{{0, nil}, {8, ErrCorrupt}} {
		f := newTextTable(9, 0)
		f.more = appendField(nil, 40, make([]byte, maxPropsLen-28-8+c.more))
		table, err := openTable(f.finish())
		isError(t, fmt.Sprint("properties that are longer by ", c.more), err, c.want)
		if err == nil {
			equal(t, "bytes of the properties", table.foot.at-table.foot.props, maxPropsLen)
		}
	}

	for n, want := range map[int]int{1: 1, 64: 1, 65: 2, 128: 2} {
		payload := appendFilter(nil, make([]uint64, n), 8)
		equal(t, fmt.Sprint("lines of ", n, " keys"), (len(payload)-filterHeadLen)/filterLineLen, want)
	}

	for _, big := range []*blockBuffer{{b: make([]byte, maxPooled+1)}, {raw: make([]byte, maxPooled+1)}} {
		giveBlockBuffer(big)
		if takeBlockBuffer() == big {
			t.Error("a large buffer is kept")
		}
	}
	for bits, want := range map[int]bool{-1: false, 1: true, 0: true} {
		table := mustTable(t, []version{{"a", 0, kindSet, ""}}, &TableOptions{FilterBits: bits})
		equal(t, fmt.Sprint("a filter of bits ", bits), table.filt.lines != nil, want)
	}
}

// TestSeparator checks all pairs of short keys: a <= separator < b, and it is
// not longer than a.
func TestSeparator(t *testing.T) {
	keys := []string{""}
	for i := 0; i < len(keys); i++ {
		if len(keys[i]) < 3 {
			for _, c := range []string{"\x00", "\x01", "a", "c", "\xfe", "\xff"} {
				keys = append(keys, keys[i]+c)
			}
		}
	}
	for _, a := range keys {
		for _, b := range keys {
			if a >= b {
				continue
			}
			s := string(separator([]byte(a), []byte(b)))
			if s < a || s >= b || len(s) > len(a) {
				t.Fatalf("separator(%q, %q) = %q, want one between them", a, b, s)
			}
		}
	}
	equal(t, "a separator", string(separator([]byte("user:0017"), []byte("user:0029"))), "user:0017")
	equal(t, "a short separator", string(separator([]byte("apple pie"), []byte("cherry"))), "b")
}

// TestTableWriterOrder checks which keys are refused, and that a refused key
// changes nothing.
func TestTableWriterOrder(t *testing.T) {
	var buf bytes.Buffer
	w := NewTableWriter(&buf, nil)
	isError(t, "b", w.Set([]byte("b"), nil), nil)
	for _, key := range []string{"a", "b", ""} {
		if err := w.Set([]byte(key), nil); err == nil {
			t.Errorf("%q after b: got no error", key)
		}
	}
	isError(t, "a long key", w.Set(make([]byte, MaxKeyLen+1), nil), ErrTooLarge)
	isError(t, "the longest key", w.Set(bytes.Repeat([]byte("c"), MaxKeyLen), []byte("3")), nil)
	if err := w.add([]byte("d"), 7, kindSet, nil); err != nil {
		t.Error(err)
	}
	if err := w.add([]byte("d"), 7, kindSet, nil); err == nil {
		t.Error("a version twice: got no error")
	}
	isError(t, "an older version", w.add([]byte("d"), 6, kindDelete, nil), nil)
	isError(t, "finish", w.Finish(), nil)
	isError(t, "finish again", w.Finish(), ErrClosed)
	isError(t, "set after finish", w.Set([]byte("e"), nil), ErrClosed)

	table, err := openTable(buf.Bytes())
	isError(t, "open", err, nil)
	isError(t, "verify", table.Verify(context.Background()), nil)
	equal(t, "entries", table.props.numbers[propEntries], 4)

	a, b := new(bytes.Buffer), new(bytes.Buffer)
	isError(t, "an empty table", errors.Join(NewTableWriter(a, nil).Finish(), NewTableWriter(b, nil).Finish()), nil)
	if bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two tables have the same nonce")
	}
}

// TestTableOptions checks which options are refused.
func TestTableOptions(t *testing.T) {
	for _, c := range []struct {
		o    *TableOptions
		want string
	}{
		{nil, ""},
		{&TableOptions{}, ""},
		{&TableOptions{FilterBits: maxFilterBits, BlockSize: maxBlockSize}, ""},
		{&TableOptions{FilterBits: -1, BlockSize: minBlockSize}, ""},
		{&TableOptions{FilterBits: maxFilterBits + 1}, "FilterBits must be at most 64, got 65"},
		{&TableOptions{BlockSize: minBlockSize - 1}, "BlockSize must be between 64 and 1048576, got 63"},
		{&TableOptions{BlockSize: maxBlockSize + 1}, "BlockSize must be between 64 and 1048576, got 1048577"},
		{&TableOptions{BlockSize: -1}, "BlockSize must be between 64 and 1048576, got -1"},
	} {
		if err := c.o.Validate(); (err == nil) != (c.want == "") {
			t.Errorf("%+v: got %v, want %q", c.o, err, c.want)
		}
		if c.want != "" {
			mustPanic(t, c.want, func() { NewTableWriter(io.Discard, c.o) })
		}
	}
	equal(t, "defaults", (*TableOptions)(nil).resolve(), TableOptions{FilterBits: 10, BlockSize: 8 << 10})
}

// A brokenWriter fails from some write on, or writes less without an error.
type brokenWriter struct {
	left  int
	short bool
	calls int
}

var errBroken = errors.New("broken")

func (w *brokenWriter) Write(b []byte) (int, error) {
	w.calls++
	if w.left--; w.left >= 0 {
		return len(b), nil
	}
	if w.short {
		return len(b) - 1, nil
	}
	return 0, errBroken
}

// testVersions are the entries of a small table with several blocks, deletes
// and versions.
func testVersions() (list []version) {
	for i := range 40 {
		key := fmt.Sprintf("user:%04d", i*3)
		if i%5 == 0 {
			list = append(list, version{key, uint64(100 + i), kindDelete, ""})
		}
		list = append(list, version{key, uint64(i), kindSet, strings.Repeat("v", i%7) + fmt.Sprint(i)})
	}
	return list
}

// TestTableWriterFails checks that an error of any write is the error of all
// further calls, and that nothing is written after it.
func TestTableWriterFails(t *testing.T) {
	list := testVersions()
	for n := range 100 {
		for _, short := range []bool{false, true} {
			out := &brokenWriter{left: n, short: short}
			w := newTableWriter(out, &TableOptions{BlockSize: minBlockSize}, 1)
			var first error
			for _, v := range list {
				err := w.add([]byte(v.key), v.seq, v.kind, []byte(v.value))
				if first == nil {
					first = err
				}
				isError(t, "after the first error", err, first)
				equal(t, "an error with the write that fails", err != nil, out.calls > n)
			}

			err := w.Finish()
			if err == nil {
				if n < 10 || first != nil {
					t.Errorf("%d writes: got no error after %v", n, first)
				}
				return
			}
			want := errBroken
			if short {
				want = io.ErrShortWrite
			}
			isError(t, fmt.Sprint("finish after ", n), err, want)
			isError(t, fmt.Sprint("finish twice after ", n), w.Finish(), want)
			equal(t, "writes", out.calls, n+1)
		}
	}
	t.Error("the table was never finished")
}

// A brokenReader fails at one call.
type brokenReader struct {
	io.ReaderAt
	left int
	err  error
}

func (r *brokenReader) ReadAt(b []byte, off int64) (int, error) {
	if r.left--; r.left == -1 {
		return len(b) / 2, r.err
	}
	return r.ReaderAt.ReadAt(b, off)
}

// largeTable returns a table whose sections do not fit into one read.
func largeTable(t testing.TB) []byte {
	var list []version
	for i := range 2000 {
		list = append(list, version{fmt.Sprintf("%0200d", i), 0, kindSet, "value"})
	}
	return writeTable(t, list, &TableOptions{BlockSize: minBlockSize, FilterBits: 64})
}

// TestTableReadFails checks that an error of any read is that of the call, and
// that nothing is skipped or missed because of it. A read that ends early means
// that the file is not what it was.
func TestTableReadFails(t *testing.T) {
	b := largeTable(t)
	for _, c := range []struct{ err, want error }{{errBroken, errBroken}, {io.EOF, ErrCorrupt}, {io.ErrUnexpectedEOF, ErrCorrupt}, {nil, ErrCorrupt}} {
		for n := range 5 {
			r := &brokenReader{bytes.NewReader(b), n, c.err}
			table, err := OpenTable(r, int64(len(b)), nil)
			if n < 3 {
				isError(t, fmt.Sprint("open, read ", n), err, c.want)
				continue
			}
			isError(t, "open", err, nil)

			key := fmt.Appendf(nil, "%0200d", 7)
			for what, f := range map[string]func() error{
				"get":    func() error { _, err := table.Get(key); return err },
				"has":    func() error { _, err := table.Has(key); return err },
				"verify": func() error { return table.Verify(context.Background()) },
				"scan":   func() error { _, err := scanAll(table, nil, nil, maxSeq); return err },
				"seek":   func() error { _, err := scanAll(table, key, nil, maxSeq); return err },
			} {
				r.left = 0
				isError(t, what, f(), c.want)
				r.left = -2
				isError(t, what+" again", f(), nil)
			}

			// A scan yields what comes before the error, and stays there.
			r.left = 4
			got := 0
			it := table.Scan(nil, nil)
			for range it.All() {
				got++
			}
			if got == 0 || got >= 2000 {
				t.Errorf("a scan yielded %d entries, want some", got)
			}
			isError(t, "a scan", it.Err(), c.want)
			equal(t, "the entry of an error", len(it.Key())+len(it.Value()), 0)
			equal(t, "a step after an error", it.Next() || it.Prev(), false)
			isError(t, "a scan after a step", it.Err(), c.want)
			equal(t, "what was read is there again", it.First(), true)
			isError(t, "a scan from the start", it.Close(), nil)
		}
	}
}

// TestTableScanStops checks that a loop can be left, and begun again.
func TestTableScanStops(t *testing.T) {
	list := testVersions()
	table := mustTable(t, list, &TableOptions{BlockSize: minBlockSize})
	it := table.Scan([]byte("user:0003"), []byte("user:0060"))
	want := twinScan(list, "user:0003", []byte("user:0060"), maxSeq)
	for n := 1; n <= len(want); n++ {
		var got []string
		for key, value := range it.All() {
			got = append(got, string(key)+"="+string(value))
			if len(got) == n {
				break
			}
		}
		if !slices.Equal(got, want[:n]) {
			t.Fatalf("got %q, want %q", got, want[:n])
		}
	}

	// The bounds belong to the caller.
	lo, hi := []byte("user:0003"), []byte("user:0060")
	it = table.Scan(lo, hi)
	copy(lo, "zzzz")
	copy(hi, "zzzz")
	n := 0
	for range it.All() {
		n++
	}
	equal(t, "entries", n, len(want))
	got, err := scanAll(table, []byte("b"), []byte("a"), maxSeq)
	isError(t, "a scan backward", err, nil)
	equal(t, "entries of a scan backward", len(got), 0)
	got, err = scanAll(table, nil, []byte{}, maxSeq)
	isError(t, "a scan to the empty key", err, nil)
	equal(t, "entries of a scan to the empty key", len(got), 0)
}

// TestTableMangle checks that entries that are kept are made useless, where
// invariants are checked.
func TestTableMangle(t *testing.T) {
	if !invariants {
		t.Skip("needs -tags invariants")
	}
	table := mustTable(t, []version{{"a", 0, kindSet, "1"}, {"b", 0, kindSet, "2"}}, nil)
	var key, value []byte
	for k, v := range table.Scan(nil, nil).All() {
		if key == nil {
			key = k
			value = v
		}
	}
	if string(key) == "a" || string(value) == "1" {
		t.Error("an entry that was kept is still right")
	}
}

// TestTableReads checks how often a table is read: once to open a small one,
// never for most keys that are not there, once for others, and by a scan no
// block behind the one that ends it.
func TestTableReads(t *testing.T) {
	var list []version
	for i := range 100 {
		list = append(list, version{fmt.Sprintf("%04d", i), 0, kindSet, "v"})
	}
	b := writeTable(t, list, nil)
	r := &brokenReader{bytes.NewReader(b), 0, nil}
	reads := func() int {
		n := -r.left - 2
		r.left = -2
		return n
	}
	reads()
	table, err := OpenTable(r, int64(len(b)), nil)
	isError(t, "open", err, nil)
	equal(t, "reads of OpenTable", reads(), 1)

	empty := writeTable(t, nil, nil)
	r.ReaderAt = bytes.NewReader(empty)
	_, err = OpenTable(r, int64(len(empty)), nil)
	isError(t, "open an empty table", err, nil)
	equal(t, "reads of OpenTable of an empty table", reads(), 1)
	r.ReaderAt = bytes.NewReader(b)

	_, err = table.Get([]byte("0050"))
	isError(t, "get", err, nil)
	equal(t, "reads of a key", reads(), 1)
	_, err = table.Get([]byte("9"))
	isError(t, "a key after all", err, ErrNotFound)
	equal(t, "reads of a key after all", reads(), 0)
	for i := range 1000 {
		_, err := table.Has(fmt.Appendf(nil, "%04d.", i%100))
		isError(t, "has", err, nil)
	}
	if got := reads(); got > 40 {
		t.Errorf("%d reads for 1000 keys that are not there, want at most 40", got)
	}

	large := largeTable(t)
	r.ReaderAt = bytes.NewReader(large)
	table, err = OpenTable(r, int64(len(large)), nil)
	isError(t, "open a table of many blocks", err, nil)
	reads()
	got, err := scanAll(table, nil, fmt.Appendf(nil, "%0200d", 1), maxSeq)
	isError(t, "scan", err, nil)
	equal(t, "entries of a scan of one key", len(got), 1)
	equal(t, "reads of a scan of one key, in a block of its own", reads(), 2)
}

// TestTableHuge checks that a file that claims to be long takes no memory: a
// reader is never asked for more than OpenTable reads at once.
func TestTableHuge(t *testing.T) {
	const size = 1 << 40
	props := sealBlock(new(tableProps).appendTo(nil), 0, mix(0), size-footerLen-32)
	index, _ := new(indexBuilder).appendIndex(nil)
	index = sealBlock(index, 0, mix(0), size-footerLen-32-24)
	equal(t, "bytes of the properties", len(props), 32)
	equal(t, "bytes of the index", len(index), 24)

	const at = size - footerLen
	for _, c := range []struct {
		name string
		f    footer
	}{
		{"properties from the start", footer{}},
		{"properties from the middle", footer{ranges: 1 << 39, filter: 1 << 39, index: 1 << 39, props: 1 << 39}},
		{"properties of zeros", footer{ranges: at - 8<<10, filter: at - 8<<10, index: at - 8<<10, props: at - 4<<10}},
		{"an index from the start", footer{props: at - 32}},
		{"a filter from the start", footer{index: at - 32 - 24, props: at - 32}},
	} {
		c.f.at = at
		end := slices.Concat(index, props)
		r := &sparseReader{end: append(end, c.f.encode()...), size: size}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := OpenTable(r, size, nil)
		runtime.ReadMemStats(&after)
		isError(t, c.name, err, ErrCorrupt)
		if r.longest > openLen {
			t.Errorf("%s: a read of %d bytes, want at most %d", c.name, r.longest, openLen)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes of memory, want little", c.name, n)
		}
	}
}

// A sparseReader reads zeros up to end.
type sparseReader struct {
	end     []byte
	size    int64
	longest int
}

func (r *sparseReader) ReadAt(b []byte, off int64) (int, error) {
	r.longest = max(r.longest, len(b))
	clear(b)
	if at := r.size - int64(len(r.end)) - off; at < int64(len(b)) {
		copy(b[max(0, at):], r.end)
	}
	return len(b), nil
}

// TestFilterRate checks how many keys that are not there a filter lets through:
// at most what F. Putze et al. compute for filters of lines, and 5 standard
// deviations of so many questions.
func TestFilterRate(t *testing.T) {
	const n, questions = 20_000, 100_000
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() uint64 { return filterHash(binary.LittleEndian.AppendUint64(nil, rng.Uint64())) }
	hashes := make([]uint64, n)
	for i := range hashes {
		hashes[i] = random()
	}

	for _, bits := range []int{1, 4, 10, 16, 64} {
		f, err := parseFilter(appendFilter(nil, hashes, bits))
		isError(t, "a filter", err, nil)
		for _, h := range hashes {
			if !f.has(h) {
				t.Fatalf("%d bits: the filter lacks %x", bits, h)
			}
		}

		wrong := 0.0
		for range questions {
			if f.has(random()) {
				wrong++
			}
		}
		p := lineFilterRate(float64(bits), float64(f.probes))
		bound := p + 5*math.Sqrt(p/questions) + 5.0/questions
		t.Logf("%d bits: %.5f, computed %.5f", bits, wrong/questions, p)
		if wrong/questions > bound {
			t.Errorf("%d bits: %.5f of other keys pass, want at most %.5f", bits, wrong/questions, bound)
		}
	}
}

// lineFilterRate returns how many of the keys that are not there pass a filter
// of lines of 512 bits: the mean over the keys of a line, whose number has a
// Poisson distribution.
func lineFilterRate(bits, probes float64) (rate float64) {
	mean := filterLineBits / bits
	chance := math.Exp(-mean) // of i keys in a line
	for i := 0.0; i < 10*mean+50; i++ {
		set := 1 - math.Pow(1-1.0/filterLineBits, i*probes)
		rate += chance * math.Pow(set, probes)
		chance *= mean / (i + 1)
	}
	return rate
}

// TestTableName checks that errors name the file.
func TestTableName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.table")
	if err := os.WriteFile(name, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenTable(strings.NewReader("short"), 5, nil)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.File != "table" || corrupt.Offset != 0 {
		t.Errorf("got %v, want an error about a table at 0", err)
	}

	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = OpenTable(f, 100, nil)
	if !errors.As(err, &corrupt) || corrupt.File != name || corrupt.Offset != 100-footerLen {
		t.Errorf("got %v, want an error about %s at %d", err, name, 100-footerLen)
	}
}

// TestTableVerify checks that Verify notices another file in the place of the
// one that was opened, and stops with its context.
func TestTableVerify(t *testing.T) {
	b := writeTable(t, testVersions(), nil)
	table, err := openTable(b)
	isError(t, "open", err, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	isError(t, "verify with a context that is done", table.Verify(ctx), context.Canceled)

	var other bytes.Buffer
	w := newTableWriter(&other, nil, testTableNonce+1)
	for _, v := range testVersions() {
		isError(t, "add", w.add([]byte(v.key), v.seq, v.kind, []byte(v.value)), nil)
	}
	isError(t, "finish", w.Finish(), nil)
	copy(b, other.Bytes())
	isError(t, "another table", table.Verify(context.Background()), ErrCorrupt)
	_, err = table.Get([]byte("user:0003"))
	isError(t, "a block of another table", err, ErrCorrupt)
}
