// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// The textbook writes the files of a database by the words of FORMAT.md, with
// nothing of the package. It syncs never, and puts all into one log.

// A textFile is a file that is written by hand.
type textFile struct {
	b    []byte
	salt uint64
}

func textMix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// put appends numbers of so many bytes.
func (f *textFile) put(widths string, numbers ...uint64) {
	for i, x := range numbers {
		b := binary.LittleEndian.AppendUint64(nil, x)
		f.b = append(f.b, b[:widths[i]-'0']...)
	}
}

// textHeader begins a file.
func textHeader(magic string, number, id, nonce uint64, n int) *textFile {
	f := &textFile{salt: textMix(textMix(id) + nonce + number*0x9e3779b97f4a7c15)}
	f.b = append(f.b, magic...)
	f.put("224888", 1, 0, 0, number, id, nonce)
	f.b = append(f.b, make([]byte, n-len(f.b))...)
	all := append(append([]byte{}, f.b[:12]...), f.b[16:]...)
	binary.LittleEndian.PutUint32(f.b[12:], crc32.Checksum(all, crc32.MakeTable(crc32.Castagnoli)))
	return f
}

// sum returns the checksum of the bytes from off to end, salted for an offset.
func (f *textFile) sum(off, end, at int) uint32 {
	return crc32.Checksum(f.b[off:end], crc32.MakeTable(crc32.Castagnoli)) ^ uint32(textMix(f.salt+uint64(at)))
}

// body ends a record or edit, which begins at off and has a head of so many
// bytes. The body has its checksum first, because the head contains that.
func (f *textFile) body(off, head int, body []byte) {
	f.b = append(f.b, body...)
	for len(f.b)%8 != 0 {
		f.b = append(f.b, 0)
	}
	binary.LittleEndian.PutUint32(f.b[off+4:], f.sum(off+head, len(f.b), off+head))
	binary.LittleEndian.PutUint32(f.b[off:], f.sum(off+4, off+head, off))
}

func (f *textFile) record(operations, first, durable, kind uint64, body []byte) {
	off := len(f.b)
	f.put("44448817", 0, 0, uint64(len(body)), operations, first, durable, kind, 0)
	f.body(off, 40, body)
}

func (f *textFile) edit(number, kind uint64, body []byte) {
	off := len(f.b)
	f.put("4444817", 0, 0, uint64(len(body)), 0, number, kind, 0)
	f.body(off, 32, body)
}

// TestTextbook checks that the files which the textbook writes are a database,
// and byte for byte those of the package: FORMAT.md says enough.
func TestTextbook(t *testing.T) {
	const id, nonce1, nonce2 = 11, 22, 33
	first := textHeader("ashlarwl", 1, id, nonce1, 64)
	first.record(2, 1, 64, 1, []byte("\x01\x01a\x03one\x00\x01b"))
	first.record(1, 3, 64, 1, []byte("\x01\x01b\x03two"))
	first.record(0, 4, uint64(len(first.b)), 4, nil)
	seal := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 2), nonce2)
	first.record(0, 4, uint64(len(first.b)-40), 2, seal)
	second := textHeader("ashlarwl", 2, id, nonce2, 64)
	second.record(0, 4, 64, 3, nil)
	mf := textHeader("ashlarmf", 1, id, 44, 48)
	mf.edit(1, 1, append(append([]byte{1, 9, 1}, binary.LittleEndian.AppendUint64(nil, nonce1)...), 2, 1, 0, 3, 1, 3))

	m := NewMemFS()
	m.put("000001.wal", first.b)
	m.put("000002.wal", second.b)
	m.put("MANIFEST-000001", mf.b)
	db := openMem(t, m)
	for key, want := range map[string]string{"a": "one", "b": "two"} {
		wantValue(t, "by the textbook", db, key, want)
	}
	closeDB(t, db)

	// The same commits, by the package.
	nonces := []uint64{id, nonce1, 44, nonce2}
	m = NewMemFS()
	db, err := openWith("db", &Options{FS: m}, func() uint64 { x := nonces[0]; nonces = nonces[1:]; return x }, noLimits)
	if err != nil {
		t.Fatal(err)
	}
	b := new(Batch)
	b.SetDurability(NoSync)
	b.Set([]byte("a"), []byte("one"))
	b.Delete([]byte("b"))
	if err := db.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	set(t, db, "b", "two", Sync)
	closeDB(t, db)
	for name, want := range map[string][]byte{"000001.wal": first.b, "000002.wal": second.b} {
		if got := m.bytes(name); !bytes.Equal(got, want) {
			t.Errorf("%s has %x, want %x", name, got, want)
		}
	}
}
