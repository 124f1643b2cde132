// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// testManifest is the manifest of databases that these tests make by hand.
var testManifest = manifest{fileHeader: fileHeader{no: 1, id: 5, nonce: 9}, edit: 3, oldest: logRef{1, 7}, nextFile: 2}

// withEdit returns the bytes of testManifest and one edit after it.
func withEdit(h editHead, body []byte) []byte {
	b := testManifest.encode()
	salt := fileSalt(5, 1, 9)
	first, _ := parseEditHead(b[manifestHeaderLen:], salt, manifestHeaderLen)
	if h.chain == 0 {
		h.chain = first.sum
	}
	return append(b, encodeEdit(body, h, salt, int64(len(b)))...)
}

// TestManifestEdits checks which edits after the snapshot are applied, which
// are a later version's, and which are corrupt.
func TestManifestEdits(t *testing.T) {
	uvarint := func(x uint64) []byte { return binary.AppendUvarint(nil, x) }
	oldest := func(no, nonce uint64) []byte { return binary.LittleEndian.AppendUint64(uvarint(no), nonce) }
	next := appendField(nil, tagNextFile, uvarint(40))
	state := func(log, flushed, next uint64) []byte {
		b := appendField(appendField(nil, tagOldest, oldest(log, 8)), tagFlushed, uvarint(flushed))
		return appendField(b, tagNextFile, uvarint(next))
	}
	change := editHead{kind: editChange, number: 4}

	for _, c := range []struct {
		name string
		h    editHead
		body []byte
		want error
	}{
		{"next file", change, next, nil},
		{"oldest log", change, state(6, 0, 7), nil},
		{"a tag that may be skipped", change, appendField(next, 32, []byte("x")), nil},
		{"nothing", change, nil, nil},
		{"a table below the last level", change, appendField(nil, tagAdd, uvarint(numLevels)), ErrVersion},
		{"a table that goes from there", change, appendField(nil, tagRemove, uvarint(numLevels)), ErrVersion},
		{"a table that goes and was not there", change, appendField(nil, tagRemove, []byte{1, 9}), ErrCorrupt},
		{"a table that goes without a number", change, appendField(nil, tagRemove, uvarint(1)), ErrCorrupt},
		{"tag 6", change, appendField(nil, 6, uvarint(1)), ErrVersion},
		{"tag 31", change, appendField(nil, 31, uvarint(1)), ErrVersion},
		{"flushed", change, state(6, 9, 7), nil},
		{"the highest numbers", change, state(maxFileNo-1, maxFlushed, maxFileNo), nil},
		{"flushed too high", change, state(6, maxFlushed+1, 7), ErrCorrupt},
		{"flushed 2^64-1", change, state(6, math.MaxUint64, 7), ErrCorrupt},
		{"next file too high", change, appendField(nil, tagNextFile, uvarint(maxFileNo+1)), ErrCorrupt},
		{"next file 2^64-1", change, state(6, 0, math.MaxUint64), ErrCorrupt},
		{"oldest log not below next file", change, state(7, 0, 7), ErrCorrupt},
		{"oldest log 2^64-1", change, state(math.MaxUint64, 0, 7), ErrCorrupt},
		{"kind 3", editHead{kind: 3, number: 4}, nil, ErrVersion},
		{"a gap", editHead{kind: editChange, number: 5}, nil, ErrCorrupt},
		{"chain", editHead{kind: editChange, number: 4, chain: 1}, nil, ErrCorrupt},
		{"a second snapshot", editHead{kind: editSnapshot, number: 4}, nil, ErrCorrupt},
		{"twice", change, slices.Concat(next, next), ErrCorrupt},
		{"oldest log without flushed", change, slices.Concat(next, appendField(nil, tagOldest, oldest(6, 8))), ErrCorrupt},
		{"flushed without oldest log", change, appendField(nil, tagFlushed, uvarint(9)), ErrCorrupt},
		{"oldest log 0", change, appendField(nil, tagOldest, oldest(0, 8)), ErrCorrupt},
		{"short", change, appendField(nil, tagOldest, uvarint(1)), ErrCorrupt},
		{"empty value", change, appendField(nil, tagNextFile, nil), ErrCorrupt},
		{"long value", change, appendField(nil, tagNextFile, []byte{40, 0}), ErrCorrupt},
		{"cut", change, []byte{tagNextFile, 9}, ErrCorrupt},
		{"no tag", change, []byte{0x80}, ErrCorrupt},
	} {
		m := NewMemFS()
		m.put(manifestName(1), withEdit(c.h, c.body))
		got, err := readManifest(m, "db", 1)
		isError(t, c.name, err, c.want)
		wantPlace(t, c.name, err, manifestName(1), int64(len(testManifest.encode())))
		if err == nil {
			equal(t, c.name+": edit", got.edit, 4)
		}
	}
}

// TestTrapEditNumbers checks that a manifest whose edits have numbers that
// could overflow is corrupt: later edits would count as earlier ones.
func TestTrapEditNumbers(t *testing.T) {
	for number, want := range map[uint64]error{maxEdit: nil, maxEdit + 1: ErrCorrupt, math.MaxUint64: ErrCorrupt} {
		m := NewMemFS()
		state := testManifest
		state.edit = number
		m.put(manifestName(1), state.encode())
		_, err := readManifest(m, "db", 1)
		isError(t, fmt.Sprint("edit ", number), err, want)
	}
}

// TestManifestPlace checks that a manifest in the place of another is corrupt.
func TestManifestPlace(t *testing.T) {
	m := NewMemFS()
	m.put(manifestName(2), testManifest.encode())
	_, err := readManifest(m, "db", 2)
	isError(t, "manifest 1 as 2", err, ErrCorrupt)
	wantPlace(t, "manifest 1 as 2", err, manifestName(2), 0)
}

// TestManifestApplied checks what a change makes of a manifest.
func TestManifestApplied(t *testing.T) {
	body := appendField(nil, tagOldest, binary.LittleEndian.AppendUint64(binary.AppendUvarint(nil, 6), 8))
	body = appendField(body, tagFlushed, []byte{0})
	body = appendField(body, tagNextFile, []byte{40})
	m := NewMemFS()
	m.put(manifestName(1), withEdit(editHead{kind: editChange, number: 4}, body))
	got, err := readManifest(m, "db", 1)
	want := testManifest
	want.edit = 4
	want.oldest = logRef{6, 8}
	want.nextFile = 40
	isError(t, "a change", err, nil)
	equal(t, "a change", fmt.Sprint(got), fmt.Sprint(want))
}

// TestManifestTorn checks that an edit that was not finished is as if it had
// never been, and that one which is damaged before a valid one is corrupt.
func TestManifestTorn(t *testing.T) {
	whole := withEdit(editHead{kind: editChange, number: 4}, appendField(nil, tagNextFile, []byte{40}))
	snapshot := len(testManifest.encode())
	for n := snapshot; n < len(whole); n++ {
		m := NewMemFS()
		m.put(manifestName(1), whole[:n])
		got, err := readManifest(m, "db", 1)
		isError(t, fmt.Sprint("cut at ", n), err, nil)
		equal(t, fmt.Sprint("cut at ", n), fmt.Sprint(got), fmt.Sprint(testManifest))
	}

	for n := manifestHeaderLen; n < snapshot; n++ {
		m := NewMemFS()
		m.put(manifestName(1), whole[:n])
		_, err := readManifest(m, "db", 1)
		isError(t, fmt.Sprint("without a snapshot, cut at ", n), err, ErrCorrupt)
	}

	for at := manifestHeaderLen; at < snapshot; at++ {
		m := NewMemFS()
		b := slices.Clone(whole)
		b[at] ^= 1
		m.put(manifestName(1), b)
		if _, err := readManifest(m, "db", 1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d is damaged: got %v, want ErrCorrupt", at, err)
		}
	}

	// The second of three edits is damaged.
	salt := fileSalt(5, 1, 9)
	second, _ := parseEditHead(whole[snapshot:], salt, int64(snapshot))
	third := encodeEdit(nil, editHead{kind: editChange, number: 5, chain: second.sum}, salt, int64(len(whole)))
	three := slices.Concat(whole, third)
	for at := snapshot; at < len(whole); at++ {
		m := NewMemFS()
		b := slices.Clone(three)
		b[at] ^= 1
		m.put(manifestName(1), b)
		_, err := readManifest(m, "db", 1)
		isError(t, fmt.Sprintf("byte %d of an edit before a valid one is damaged", at), err, ErrCorrupt)
	}
}

// TestTableAlone checks that a table without a manifest is corrupt.
func TestTableAlone(t *testing.T) {
	m := NewMemFS()
	m.put("000007.sst", nil)
	err := openErrorOf(t, m)
	isError(t, "a table alone", err, ErrCorrupt)
	wantPlace(t, "a table alone", err, "000007.sst", 0)
}

// TestManifestEachOpen checks that every Open that may write makes a new
// manifest and removes what nothing refers to, after that is durable.
func TestManifestEachOpen(t *testing.T) {
	m := testFiles(t, 3, true)
	before := m.manifest(t)
	old, err := readManifest(m, "db", 1)
	must(t, err)
	m.put(tmpName, []byte("left over"))
	m.put(logName(90), fileHeader{no: 90}.encode(logMagic, logHeaderLen))
	m.put(tableName(80), nil)
	m.put("notes.txt", nil)

	var steps []string
	m.Inject(func(op FSOp) error {
		if op.Kind == "rename" || op.Kind == "syncdir" || op.Kind == "remove" {
			steps = append(steps, op.Kind)
		}
		return nil
	})
	db := openMem(t, m)
	m.Inject(nil)
	want := []string{"syncdir", "remove", "rename", "syncdir", "remove", "remove", "remove"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	if files, want := m.files(t), []string{logName(1), logName(2), manifestName(2), "notes.txt"}; !slices.Equal(files, want) {
		t.Errorf("files %v, want %v (before: %s)", files, want, before)
	}

	// Edits of one file are not those of another.
	made, err := readManifest(m, "db", 2)
	must(t, err)
	equal(t, "the number of the next file, after that of the stray log", made.nextFile, 91)
	if made.nonce == old.nonce {
		t.Errorf("two manifests have the nonce %#x, want one each", made.nonce)
	}
	closeDB(t, db)
}

// TestStray checks that a log which nothing refers to is removed if it is empty
// or was not finished, and corrupt if it holds a record, whether there is a
// manifest or not.
func TestStray(t *testing.T) {
	whole := slices.Clone(testFiles(t, 2, false).bytes(logName(1)))
	one := slices.Clone(testFiles(t, 1, false).bytes(logName(1)))
	second := slices.Clone(whole)
	second[logHeaderLen] ^= 1 // only the second record is valid

	for _, manifest := range []bool{true, false} {
		for _, c := range []struct {
			name string
			b    []byte
			want error
			off  int64
		}{
			{"nothing", nil, nil, 0},
			{"half a header", whole[:logHeaderLen/2], nil, 0},
			{"no record", whole[:logHeaderLen], nil, 0},
			{"half a record", whole[:logHeaderLen+recordHeadLen], nil, 0},
			{"a record", one, ErrCorrupt, 0},
			{"two records", whole, ErrCorrupt, 0},
			{"a record that says that one before was durable", second, ErrCorrupt, logHeaderLen},
		} {
			m := NewMemFS()
			if manifest {
				m = testFiles(t, 1, true)
			}
			m.put(logName(7), c.b)
			what := fmt.Sprintf("%s, manifest %t", c.name, manifest)
			err := openErrorOf(t, m)
			isError(t, what, err, c.want)
			wantPlace(t, what, err, logName(7), c.off)
			if gone := !slices.Contains(m.files(t), logName(7)); gone != (c.want == nil) {
				t.Errorf("%s: removed %t, want %t", what, gone, c.want == nil)
			}
		}
	}
}

// TestManifestManyTables checks a manifest with 20,000 edits that add a table
// each. If each looked at all tables, this would take 25 seconds. It is read in
// several pieces, of which the keys of the tables are no part.
func TestManifestManyTables(t *testing.T) {
	const n = 20_000
	m := testManifest
	m.flushed = n
	m.nextFile = n + 1
	b := m.encode()
	h := editHead{kind: editChange, number: m.edit, chain: binary.LittleEndian.Uint32(b[manifestHeaderLen:])}
	key := func(i uint64, end string) []byte { return fmt.Appendf(nil, "%0100d%s", i, end) }
	for i := range uint64(n) {
		added := tableMeta{no: i + 1, minSeq: i + 1, maxSeq: i + 1, smallest: key(i, "a"), largest: key(i, "z")}
		h.number++
		e := encodeEdit(appendField(nil, tagAdd, added.appendTo(nil, 0)), h, m.salt(), int64(len(b)))
		h.chain = binary.LittleEndian.Uint32(e)
		b = append(b, e...)
	}

	fsys := NewMemFS()
	fsys.put(manifestName(1), b)
	got, err := readManifest(fsys, "db", 1)
	must(t, err)
	equal(t, "tables", len(got.levels[0]), n)
	for i := range got.levels[0] {
		table := &got.levels[0][i]
		if no := uint64(i); !bytes.Equal(table.smallest, key(no, "a")) || !bytes.Equal(table.largest, key(no, "z")) {
			t.Fatalf("table %d has keys %q to %q, want %q to %q", table.no, table.smallest, table.largest, key(no, "a"), key(no, "z"))
		}
	}
}

// TestTrapFileNumbers checks that a stray file whose name has an enormous
// number does not make the numbers of logs overflow.
func TestTrapFileNumbers(t *testing.T) {
	for _, name := range []string{logName(1<<64 - 2), tableName(1<<64 - 2), manifestName(1<<64 - 1)} {
		m := NewMemFS()
		m.put(name, nil)
		for range 2 {
			db := memDB(t, Options{FS: m, LogSize: minLogSize})
			for i := range 200 {
				must(t, db.Set([]byte{byte(i)}, make([]byte, 100)))
			}
			closeDB(t, db)
		}
		isError(t, "reopen beside "+name, openErrorOf(t, m), nil)
	}
}

// TestManifestLevels checks what edits make of tables on several levels, and
// which do not fit.
func TestManifestLevels(t *testing.T) {
	table := func(no, seq uint64, lo, hi string) tableMeta {
		return tableMeta{no: no, size: 100, entries: 1, minSeq: seq, maxSeq: seq, smallest: []byte(lo), largest: []byte(hi)}
	}
	add := func(level int, meta tableMeta) []byte { return appendField(nil, tagAdd, meta.appendTo(nil, level)) }
	remove := func(level, no byte) []byte { return appendField(nil, tagRemove, []byte{level, no}) }
	state := testManifest
	state.flushed = 9
	state.nextFile = 50
	state.levels[0] = []tableMeta{table(11, 5, "a", "z"), table(12, 6, "b", "c")}
	state.levels[3] = []tableMeta{table(13, 0, "a", "b"), table(14, 0, "c", "d")}
	for _, c := range []struct {
		name string
		body []byte
		want error
		list string // numbers of the tables of levels 0, 3 and 4
	}{
		{"nothing", nil, nil, "[11 12] [13 14] []"},
		{"a merge", slices.Concat(remove(0, 11), remove(3, 13), add(3, table(15, 0, "a", "b"))), nil, "[12] [15 14] []"},
		{"a move", slices.Concat(remove(3, 14), add(4, table(14, 0, "c", "d"))), nil, "[11 12] [13] [14]"},
		{"a flush", add(0, table(16, 7, "a", "b")), nil, "[11 12 16] [13 14] []"},
		{"a table of level 0 that is older", add(0, table(16, 6, "a", "b")), ErrCorrupt, ""},
		{"tables of a level that overlap", add(3, table(16, 0, "d", "e")), ErrCorrupt, ""},
		{"tables beside each other", add(3, table(16, 0, "d\x00", "e")), nil, "[11 12] [13 14 16] []"},
		{"a table that is there", add(4, table(14, 0, "c", "d")), ErrCorrupt, ""},
		{"a table that goes twice", slices.Concat(remove(3, 14), remove(3, 14)), ErrCorrupt, ""},
		{"a table of another level goes", remove(4, 14), ErrCorrupt, ""},
		{"a sequence that is not flushed", add(4, table(16, 10, "a", "b")), ErrCorrupt, ""},
		{"a number that is too high", add(4, table(50, 1, "a", "b")), ErrCorrupt, ""},
		{"a table that ends before it begins", add(4, table(16, 1, "b", "a")), ErrCorrupt, ""},
	} {
		// The edit follows the snapshot of state.
		b := state.encode()
		first, _ := parseEditHead(b[manifestHeaderLen:], state.salt(), manifestHeaderLen)
		h := editHead{kind: editChange, number: state.edit + 1, chain: first.sum}
		m := NewMemFS()
		m.put(manifestName(1), append(b, encodeEdit(c.body, h, state.salt(), int64(len(b)))...))
		got, err := readManifest(m, "db", 1)
		isError(t, c.name, err, c.want)
		if err != nil {
			continue
		}

		var list []string
		for _, level := range []int{0, 3, 4} {
			numbers := []uint64{}
			for i := range got.levels[level] {
				numbers = append(numbers, got.levels[level][i].no)
			}
			list = append(list, fmt.Sprint(numbers))
		}
		equal(t, c.name, strings.Join(list, " "), c.list)
	}
}

// TestManifestReadError checks that a manifest of which a read fails is not
// taken for one that ends there, also behind its edits, where only damage is
// looked for.
func TestManifestReadError(t *testing.T) {
	m := NewMemFS()
	m.put(manifestName(1), append(testManifest.encode(), make([]byte, 3*windowLen)...))
	reads := 0
	failAt := 0
	m.Inject(func(op FSOp) error {
		if op.Kind == "read" {
			if reads++; reads == failAt {
				return syscall.EIO
			}
		}
		return nil
	})
	_, err := readManifest(m, "db", 1)
	must(t, err)
	total := reads
	if total < 4 {
		t.Errorf("%d reads, want several", total)
	}

	for failAt = 1; failAt <= total; failAt++ {
		reads = 0
		_, err := readManifest(m, "db", 1)
		isError(t, fmt.Sprintf("read %d of %d fails", failAt, total), err, syscall.EIO)
	}
	must(t, m.leaks())
}
