// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// A version is an entry of a table, whatever wrote it.
type version struct {
	key   string
	seq   uint64
	kind  byte
	value string
}

// A textTable is a table that is written by the words of FORMAT.md. Blocks are
// cut by hand, and what is not to be there can be put in.
type textTable struct {
	textFile
	nonce  uint64
	bits   int    // of the filter for a key, or 0
	ranges []byte // the payload, if not nil
	more   []byte // fields at the end of the properties
	props  []byte // instead of the properties, if not nil

	rawFilter, rawIndex []byte // instead of these, if not nil

	codec    Codec // of data blocks, or nil
	rawCodec byte  // of those with any payload

	keys    []string // distinct ones
	ends    []uint64
	seps    []string
	numbers [12]uint64
}

// encode puts what the codec makes of the payload at the end of the file from
// off on in its place, if that is shorter, and returns the codec of the block.
func (f *textTable) encode(off int) byte {
	if f.codec == nil {
		return 0
	}
	payload := f.b[off:]
	encoded := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	encoded = append(encoded, f.codec.Encode(nil, payload)...)
	if len(encoded) >= len(payload) {
		return 0
	}
	f.b = append(f.b[:off], encoded...)
	f.numbers[11] = uint64(f.codec.ID())
	return f.codec.ID()
}

// block ends a block whose payload is at the end of the file from off on.
func (f *textTable) block(off int, codec byte) {
	zeros := 0
	for len(f.b)%8 != 0 {
		f.b = append(f.b, 0)
		zeros++
	}
	f.put("112", uint64(codec), uint64(zeros), 0)
	f.put("4", uint64(f.sum(off, len(f.b), off)))
}

// textPrefix returns the common prefix of keys in order.
func textPrefix(keys []string) string {
	p := keys[0]
	for len(p) > 0 && (len(keys[len(keys)-1]) < len(p) || keys[len(keys)-1][:len(p)] != p) {
		p = p[:len(p)-1]
	}
	return p
}

// data writes a data block, and sep for the index.
func (f *textTable) data(list []version, sep string) {
	var keys []string
	var entries, offsets []byte
	flags := 2 + 4
	for _, v := range list {
		keys = append(keys, v.key)
		if v.seq != 0 {
			flags &^= 2
		}
		if v.kind != 1 {
			flags &^= 4
		}
	}

	var starts []int
	prefix := textPrefix(keys)
	for _, v := range list {
		starts = append(starts, len(entries))
		rest := v.key[len(prefix):]
		if flags&4 == 0 {
			entries = append(entries, v.kind)
		}
		if flags&2 == 0 {
			entries = binary.AppendUvarint(entries, v.seq)
		}
		entries = binary.AppendUvarint(entries, uint64(len(rest)))
		if v.kind == 1 {
			entries = binary.AppendUvarint(entries, uint64(len(v.value)))
		}
		entries = append(entries, rest[min(4, len(rest)):]+v.value...)
		f.count(v)
	}
	for _, s := range starts {
		if len(entries) >= 1<<16 {
			flags |= 1
			offsets = binary.LittleEndian.AppendUint64(offsets, uint64(s))
		} else {
			offsets = binary.LittleEndian.AppendUint16(offsets, uint16(s))
		}
	}

	off := len(f.b)
	f.put("4211", uint64(len(list)), uint64(len(prefix)), uint64(flags), 0)
	for _, k := range keys {
		head := append([]byte(k[len(prefix):]), 0, 0, 0, 0)
		f.put("4", uint64(binary.BigEndian.Uint32(head)))
	}
	f.b = append(append(append(f.b, offsets...), prefix...), entries...)
	f.numbers[9] = max(f.numbers[9], uint64(len(f.b)-off))
	f.numbers[10]++
	f.block(off, f.encode(off))
	f.ends = append(f.ends, uint64(len(f.b)/8))
	f.seps = append(f.seps, sep)
}

// count counts an entry.
func (f *textTable) count(v version) {
	if n := len(f.keys); n == 0 || f.keys[n-1] != v.key {
		f.keys = append(f.keys, v.key)
	}
	n := &f.numbers
	if n[1] == 0 {
		n[5] = v.seq
	}
	n[1]++
	n[2] += 1 - uint64(v.kind)
	n[5] = min(n[5], v.seq)
	n[6] = max(n[6], v.seq)
	n[7] += uint64(len(v.key))
	n[8] += uint64(len(v.value))
}

// finish writes the rest, and returns the file.
func (f *textTable) finish() []byte {
	offsets := []uint64{uint64(len(f.b))}
	if f.ranges != nil {
		f.b = append(f.b, f.ranges...)
		f.block(int(offsets[0]), 0)
	}
	offsets = append(offsets, uint64(len(f.b)))
	if f.rawFilter != nil {
		f.b = append(f.b, f.rawFilter...)
		f.block(int(offsets[1]), 0)
	} else if f.bits > 0 && len(f.keys) > 0 {
		f.filter()
	}
	offsets = append(offsets, uint64(len(f.b)))
	if f.rawIndex != nil {
		f.b = append(f.b, f.rawIndex...)
		f.block(int(offsets[2]), 0)
	} else {
		f.index()
	}
	offsets = append(offsets, uint64(len(f.b)))

	props := f.props
	switch n := len(f.keys); {
	case props != nil:
	case n == 0:
		props = f.properties("", "")
	default:
		props = f.properties(f.keys[0], f.keys[n-1])
	}
	f.b = append(append(f.b, props...), f.more...)
	f.block(int(offsets[3]), 0)

	at := len(f.b)
	f.b = append(f.b, "ashlarst"...)
	f.put("224888888", 1, 0, 0, f.nonce, offsets[0], offsets[1], offsets[2], offsets[3], uint64(at))
	all := append(append([]byte{}, f.b[at:at+12]...), f.b[at+16:]...)
	sum := crc32.Checksum(all, crc32.MakeTable(crc32.Castagnoli)) ^ uint32(textMix(f.salt+uint64(at)))
	binary.LittleEndian.PutUint32(f.b[at+12:], sum)
	return f.b
}

// properties returns fields. Those of the keys come first: the order is free.
func (f *textTable) properties(smallest, largest string) (props []byte) {
	if len(f.keys) > 0 {
		props = appendField(appendField(nil, 3, []byte(smallest)), 4, []byte(largest))
	}
	for tag := uint64(1); tag <= 11; tag++ {
		if tag != 3 && tag != 4 && (tag != 11 || f.numbers[11] > 0) {
			props = appendField(props, tag, binary.AppendUvarint(nil, f.numbers[tag]))
		}
	}
	return props
}

// raw writes a data block with any payload, as that of some keys without
// values.
func (f *textTable) raw(payload string, keys ...string) {
	off := len(f.b)
	f.b = append(f.b, payload...)
	f.block(off, f.rawCodec)
	for _, k := range keys {
		f.count(version{k, 0, 1, ""})
	}
	f.numbers[9] = uint64(len(payload))
	f.numbers[10]++
	f.ends = append(f.ends, uint64(len(f.b)/8))
	f.seps = append(f.seps, keys[len(keys)-1])
}

func (f *textTable) filter() {
	off := len(f.b)
	lines := uint64((len(f.keys)*f.bits + 511) / 512)
	probes := f.bits * 6 / 10
	f.put("411", lines, uint64(probes), 1)
	f.b = append(f.b, make([]byte, 58+64*lines)...)
	for _, k := range f.keys {
		h := xxhash.Sum64String(k)
		line := f.b[off+64+64*int(lines*(h%(1<<32))>>32):]
		for i := range probes {
			x := uint32(h>>32) * uint32(textPower(0x9e3779b9, i))
			line[x>>23/8] |= 1 << (x >> 23 % 8)
		}
	}
	f.block(off, 0)
}

// textPower returns x to the power n, modulo 2^32.
func textPower(x uint64, n int) uint64 {
	p := uint64(1)
	for range n {
		_, lo := bits.Mul64(p, x)
		p = lo % (1 << 32)
	}
	return p
}

func (f *textTable) index() {
	off := len(f.b)
	prefix := ""
	if len(f.seps) > 0 {
		prefix = textPrefix(f.seps)
	}
	f.put("422", uint64(len(f.seps)), uint64(len(prefix)), 0)
	for _, s := range f.seps {
		f.put("8", binary.BigEndian.Uint64(append([]byte(s[len(prefix):]), make([]byte, 8)...)))
	}
	for _, end := range f.ends {
		f.put("4", end)
	}
	sum, rests := 0, ""
	for _, s := range f.seps {
		f.put("4", uint64(sum))
		sum += len(s) - len(prefix)
		rests += s[len(prefix):]
	}
	f.put("4", uint64(sum))
	f.b = append(f.b, prefix+rests...)
	f.block(off, 0)
}

func newTextTable(nonce uint64, bits int) *textTable {
	return &textTable{textFile: textFile{salt: textMix(nonce)}, nonce: nonce, bits: bits}
}

// TestTableFormat checks that a [TableWriter] writes what the words of
// FORMAT.md say, byte by byte.
func TestTableFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := drawVersions(t)
		o := TableOptions{BlockSize: rapid.SampledFrom([]int{64, 300}).Draw(t, "block"), FilterBits: rapid.SampledFrom([]int{-1, 2, 10}).Draw(t, "bits")}
		o.Codec = rapid.SampledFrom([]Codec{nil, runCodec{}}).Draw(t, "codec")
		got := writeTable(t, list, &o)
		table, err := openTable(got)
		if err != nil {
			t.Fatal(err)
		}

		// The blocks end where ours do.
		f := newTextTable(testTableNonce, max(0, o.FilterBits))
		f.codec = o.Codec
		rest := list
		for i := range table.index.n {
			d, err := table.block(i, new(blockBuffer))
			if err != nil {
				t.Fatal(err)
			}
			f.data(rest[:d.n], string(table.index.prefix)+string(table.index.rest(i)))
			rest = rest[d.n:]
		}
		if want := f.finish(); string(got) != string(want) {
			t.Fatalf("got  %x\nwant %x", got, want)
		}
	})
}
