// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/v1, v1-tables, tables and levels.txt")

// TestGolden checks that the files of two small databases are those that were
// committed, and that they can be read: databases of any version are read by
// all later ones. One has tables, and an edit for each.
func TestGolden(t *testing.T) {
	goldenRound(t, "v1", testFiles(t, 8, true), 8)
	goldenRound(t, "v1-tables", goldenTables(t, 12), 12)
}

// goldenTables returns the files of a closed database with n commits of a
// script and several tables.
func goldenTables(t *testing.T, n int64) *MemFS {
	t.Helper()
	m := NewMemFS()
	s := new(script)

	synctest.Test(t, func(t *testing.T) { writeGoldenTables(t, m, s, n) })
	return m
}

// writeGoldenTables writes the database, in a bubble.
func writeGoldenTables(t *testing.T, m *MemFS, s *script, n int64) {
	t.Helper()

	// Logs are long, so that the next one is made when a memtable is full. It
	// gets its number while the leader writes, before the table does.
	m.Inject(func(op FSOp) error {
		if op.Kind == "write" {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10}, testNonce(1), limits{versions: 10, edits: 1 << 20})
	must(t, err)
	for range n {
		must(t, s.commit(db, Sync))
		db.idle()
	}
	equal(t, "tables", db.Stats().Tables, 2)
	closeDB(t, db)
	m.Inject(nil)
}

func goldenRound(t *testing.T, version string, m *MemFS, n int64) {
	t.Helper()
	dir := filepath.Join("testdata", version)
	c := NewMemFS() // opened through a copy: a LOCK file has no place in testdata
	for _, name := range m.files(t) {
		b := m.bytes(name)
		if *update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%s has %x, want %x", name, b, want)
		}
		c.put(name, want)
	}

	db := openMem(t, c)
	wantLast(t, "the files of version 1", db, n)
	closeDB(t, db)
}

// TestGoldenTables checks that tables are written as those that were committed,
// and that these can be read: one as a TableWriter is used, one with versions
// and deletes and no filter, one without entries, one with long offsets, and
// one with a codec.
func TestGoldenTables(t *testing.T) {
	var plain []version
	for i := range 50 {
		plain = append(plain, version{fmt.Sprintf("user:%04d", i*7), 0, kindSet, fmt.Sprint("value ", i)})
	}
	wide := []version{{"a", 0, kindSet, strings.Repeat("a", 1<<16)}, {"b", 0, kindSet, "b"}}

	for _, c := range []struct {
		name string
		list []version
		o    TableOptions
	}{
		{"plain", plain, TableOptions{BlockSize: 200}},
		{"versions", testVersions(), TableOptions{BlockSize: 200, FilterBits: -1}},
		{"empty", nil, TableOptions{}},
		{"wide", wide, TableOptions{}},
		{"codec", runs(20), TableOptions{BlockSize: 1000, Codec: runCodec{}}},
	} {
		b := writeTable(t, c.list, &c.o)
		name := filepath.Join("testdata", "tables", c.name+".v1.sst")
		if *update {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%s has %x, want %x", name, b, want)
		}

		table, err := openTable(want)
		if err != nil {
			t.Fatal(err)
		}
		isError(t, c.name, table.Verify(context.Background()), nil)
		got, err := scanAll(table, nil, nil, maxSeq)
		isError(t, c.name, err, nil)
		if want := twinScan(c.list, "", nil, maxSeq); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", c.name, got, want)
		}
	}
}

// TestCRCVectors checks CRC-32C with the vectors of RFC 3720, appendix B.4.
func TestCRCVectors(t *testing.T) {
	up, down := make([]byte, 32), make([]byte, 32)
	for i := range up {
		up[i], down[i] = byte(i), byte(31-i)
	}
	for _, v := range []struct {
		in   []byte
		want uint32
	}{
		{make([]byte, 32), 0x8a9136aa},
		{bytes.Repeat([]byte{0xff}, 32), 0x62a8ab43},
		{up, 0x46dd794e},
		{down, 0x113fdb5c},
		{[]byte("123456789"), 0xe3069283},
	} {
		if got := crc32.Checksum(v.in, castagnoli); got != v.want {
			t.Errorf("CRC-32C(%x) = %08x, want %08x", v.in, got, v.want)
		}
	}
}
