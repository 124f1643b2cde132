// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/v1")

// TestGolden checks that the files of a small database are those that were
// committed, and that they can be read: databases of any version are read by
// all later ones.
func TestGolden(t *testing.T) {
	const n = 8
	m := testFiles(t, n, true)
	dir := filepath.Join("testdata", "v1")
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
