// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A runCodec writes runs of a byte as their length and the byte.
type runCodec struct{}

func (runCodec) ID() byte { return 200 }

func (runCodec) Encode(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		n := 1
		for i+n < len(src) && n < 255 && src[i+n] == src[i] {
			n++
		}
		dst = append(dst, byte(n), src[i])
		i += n
	}
	return dst
}

var errRuns = errors.New("not a list of runs")

func (runCodec) Decode(dst, src []byte, n int) ([]byte, error) {
	for ; len(src) > 1 && n > 0; src = src[2:] {
		k := int(src[0])
		dst = append(dst, bytes.Repeat(src[1:2], k)...)
		n -= k
	}
	if len(src) > 0 || n != 0 {
		return nil, errRuns
	}
	return dst, nil
}

// A badCodec is a runCodec with another way to encode or decode.
type badCodec struct {
	runCodec
	encode func(dst, src []byte) []byte
	decode func(dst, src []byte, n int) ([]byte, error)
}

func (c *badCodec) Encode(dst, src []byte) []byte {
	if c.encode == nil {
		return c.runCodec.Encode(dst, src)
	}
	return c.encode(dst, src)
}

func (c *badCodec) Decode(dst, src []byte, n int) ([]byte, error) { return c.decode(dst, src, n) }

// runs returns entries that a runCodec makes shorter.
func runs(n int) (list []version) {
	for i := range n {
		list = append(list, version{fmt.Sprintf("%05d", i), 0, kindSet, strings.Repeat(fmt.Sprint(i%10), 500)})
	}
	return list
}

// TestCodecDB checks that a database with a codec takes less of the disk, has
// what it was given, and can be opened with that codec alone; and that one
// without can be opened with any.
func TestCodecDB(t *testing.T) {
	const n = 500 // several memtables and a merge
	for _, cache := range []int64{0, 3000, 20_000, 1 << 20} {
		m := NewMemFS()
		o := Options{FS: m, Memory: minMemory, Durability: NoSync, Cache: NewCache(cache)}
		model := map[string]string{}
		fill := func(codec Codec, from int) int64 {
			o.Codec = codec
			db := memDB(t, o)
			before := db.Stats().Stored
			for _, v := range runs(n)[from:] {
				model[v.key] = v.value
				must(t, db.Set([]byte(v.key), []byte(v.value)))
			}
			db.idle()
			stored := db.Stats().Stored - before
			isError(t, "Verify", db.Verify(t.Context()), nil)
			readAll(t, db, model)
			closeDB(t, db)
			return stored
		}

		plain := fill(nil, 0)
		encoded := fill(runCodec{}, 0)
		if encoded > plain/10 || encoded == 0 {
			t.Errorf("%d bytes with a codec, and %d without, want a tenth", encoded, plain)
		}
		o.Codec = &otherCodec{}
		_, err := Open("db", &o)
		isError(t, "Open with another codec", err, ErrVersion)
		o.Codec = nil
		_, err = Open("db", &o)
		isError(t, "Open without the codec", err, ErrVersion)
		if text := "codec 200"; !strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("Open without the codec: got %v, want a text with %q", err, text)
		}
		fill(runCodec{}, n-1)
	}
}

// An otherCodec is not the codec of a table.
type otherCodec struct{ runCodec }

func (*otherCodec) ID() byte { return 1 }

// TestCodecCache checks that blocks count in the cache with the memory that
// they take, which is more than they have in the file.
func TestCodecCache(t *testing.T) {
	const limit = 30_000
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Memory: minMemory, Codec: runCodec{}, Cache: NewCache(limit)})
	for _, v := range runs(500) {
		set(t, db, v.key, v.value, NoSync)
	}
	set(t, db, "large", strings.Repeat("x", limit), NoSync)
	closeDB(t, db)

	db = memDB(t, Options{FS: m, Codec: runCodec{}, Cache: NewCache(limit)})
	for range 3 {
		for _, v := range runs(500) {
			wantValue(t, "a key", db, v.key, v.value)
			wantValue(t, "a key", db, "large", strings.Repeat("x", limit))
		}
	}
	data := 0
	c := db.opts.Cache
	for _, b := range c.ring {
		if n := len(b.data.entries); n > 0 {
			data++
			if b.size < int64(n) {
				t.Errorf("a block of %d bytes counts as %d", n, b.size)
			}
		}
	}
	if data == 0 || c.Size() > limit {
		t.Errorf("%d blocks of data in a cache of %d bytes, want some, and at most %d", data, c.Size(), limit)
	}
	closeDB(t, db)
}

// TestCodecChoice checks that blocks which a codec does not make shorter are
// stored as they are, and that a table of those alone can be read without it.
func TestCodecChoice(t *testing.T) {
	list := []version{{"a", 0, kindSet, strings.Repeat("no run", 20)}, {"b", 0, kindSet, strings.Repeat("nor here", 20)}}
	b := writeTable(t, list, &TableOptions{Codec: runCodec{}})
	if plain := writeTable(t, list, nil); !bytes.Equal(b, plain) {
		t.Errorf("got %x, want %x, as without a codec", b, plain)
	}

	// Some blocks are encoded, and others are not.
	list = append(list, runs(2)...)
	for i := range list {
		list[i].key = fmt.Sprint(i, list[i].key)
	}
	b = writeTable(t, list, &TableOptions{Codec: runCodec{}, BlockSize: minBlockSize, FilterBits: -1})
	table, err := openTable(b)
	must(t, err)
	codecs := map[byte]int{}
	for i := range table.index.n {
		codecs[b[table.index.start(i+1)-blockTailLen]]++
	}
	if codecs[0] == 0 || codecs[200] == 0 || len(codecs) != 2 {
		t.Errorf("got the codecs %v of blocks, want 0 and 200", codecs)
	}
	isError(t, "Verify", table.Verify(context.Background()), nil)
	for _, v := range list {
		checkFind(t, table, list, v.key, maxSeq)
	}
}

// TestCodecDecode checks that a codec which fails, panics, or returns something
// else than was encoded makes a block corrupt.
func TestCodecDecode(t *testing.T) {
	list := runs(3)
	b := writeTable(t, list, &TableOptions{Codec: runCodec{}})
	for what, decode := range map[string]func(dst, src []byte, n int) ([]byte, error){
		"an error": func([]byte, []byte, int) ([]byte, error) { return nil, errRuns },
		"a panic":  func([]byte, []byte, int) ([]byte, error) { panic("unlucky") },
		"less":     func(dst, _ []byte, n int) ([]byte, error) { return make([]byte, n-1), nil },
		"one more": func(dst, src []byte, n int) ([]byte, error) {
			dst, err := runCodec{}.Decode(dst, src, n)
			return append(dst, 0), err
		},
		"nothing": func([]byte, []byte, int) ([]byte, error) { return nil, nil },
		"zeros":   func(dst, _ []byte, n int) ([]byte, error) { return make([]byte, n), nil },
	} {
		table, err := OpenTable(bytes.NewReader(b), int64(len(b)), &TableOptions{Codec: &badCodec{decode: decode}})
		must(t, err)
		_, err = table.Get([]byte(list[0].key))
		isError(t, what, err, ErrCorrupt)
		if what == "an error" {
			isError(t, what, err, errRuns)
		}
		isError(t, what+": Verify", table.Verify(context.Background()), ErrCorrupt)
	}
}

// TestCodecEncode checks that a codec which panics, or does not append, is an
// error of the table, after which it is not gone on with; a flush tries again.
func TestCodecEncode(t *testing.T) {
	for what, encode := range map[string]func(dst, src []byte) []byte{
		"panics":          func([]byte, []byte) []byte { panic("unlucky") },
		"does not append": func([]byte, []byte) []byte { return nil },
	} {
		codec := &badCodec{encode: encode, decode: runCodec{}.Decode}
		w := NewTableWriter(new(bytes.Buffer), &TableOptions{Codec: codec})
		must(t, w.Set([]byte("a"), nil))
		err := w.Finish()
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("Finish with a codec that %s: got %v", what, err)
		}
		isError(t, "Set after that", w.Set([]byte("b"), nil), err)

		m := NewMemFS()
		o := &Options{FS: m, LogSize: minLogSize, Codec: codec}
		db, err := openWith("db", o, testNonce(1), limits{versions: 5, edits: 1 << 20})
		must(t, err)
		for i := range 20 {
			set(t, db, fmt.Sprint(i), "", Sync)
		}
		db.idle()
		equal(t, "tables of a codec that "+what, db.Stats().Tables, 0)
		closeDB(t, db)
		db = memDB(t, Options{FS: m})
		for i := range 20 {
			wantHas(t, "without it", db, fmt.Sprint(i), true)
		}
		closeDB(t, db)
	}
}

// TestCodecLength checks that the length of an encoded block is believed only
// within that of the longest, and that a lie allocates little.
func TestCodecLength(t *testing.T) {
	type seen struct{ n, room int }
	var calls []seen
	codec := &badCodec{decode: func(dst, src []byte, n int) ([]byte, error) {
		calls = append(calls, seen{n, cap(dst)})
		return runCodec{}.Decode(dst, src, n)
	}}
	for _, c := range []struct {
		n, most uint64
		want    int // calls of the codec
	}{
		{1 << 30, 1 << 30, 1},
		{1<<30 + 1, 1<<32 - 1, 0},
		{1<<32 - 1, 1<<64 - 1, 0},
		{101, 100, 0},
		{100, 100, 1},
	} {
		b := codedTable(binary.LittleEndian.AppendUint32(nil, uint32(c.n)), c.most)
		calls = nil
		table, err := OpenTable(bytes.NewReader(b), int64(len(b)), &TableOptions{Codec: codec})
		must(t, err)
		_, err = table.Get([]byte("key"))
		what := fmt.Sprintf("a block of %d bytes in a table of at most %d", c.n, c.most)
		isError(t, what, err, ErrCorrupt)
		equal(t, what+": calls", len(calls), c.want)
		if c.want > 0 && calls[0].room > maxPooled {
			t.Errorf("%s: %d bytes were allocated, want at most %d", what, calls[0].room, maxPooled)
		}
	}

	// And so is one that ends within it.
	isError(t, "three bytes", askFirst(codedTable([]byte{1, 0, 0}, 1), "key"), ErrCorrupt)
}

// codedTable returns a table with one block, whose payload says that a runCodec
// has made it, and that the longest block has most bytes.
func codedTable(payload []byte, most uint64) []byte {
	f := newTextTable(9, 0)
	f.rawCodec = runCodec{}.ID()
	f.raw(string(payload), "key")
	f.numbers[9] = most
	f.numbers[11] = uint64(f.rawCodec)
	return f.finish()
}

// TestCodecOptions checks that a codec without an ID is refused.
func TestCodecOptions(t *testing.T) {
	_, err := Open("db", &Options{FS: NewMemFS(), Codec: zeroCodec{}})
	if err == nil {
		t.Error("Open with a codec of ID 0: got no error")
	}
	mustPanic(t, "Codec must not have the ID 0", func() {
		_, _ = OpenTable(strings.NewReader(""), 0, &TableOptions{Codec: zeroCodec{}})
	})
}

type zeroCodec struct{ runCodec }

func (zeroCodec) ID() byte { return 0 }

// TestTrapCodecOverwrites checks for a codec that writes over what it should
// append to, as snappy.Encode would: no block could be read. The commits stay
// where they are.
func TestTrapCodecOverwrites(t *testing.T) {
	log := new(eventLog)
	bad := &badCodec{encode: func(dst, src []byte) []byte { return runCodec{}.Encode(dst[:0], src) }}
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Codec: bad, OnEvent: log.add})
	set(t, db, "key", strings.Repeat("v", 1000), Sync)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- db.Flush(ctx) }() // ends when ctx is canceled
	eventually(t, "a failure", func() bool { return log.count("failure") > 0 })
	cancel()
	isError(t, "Flush", <-failed, context.Canceled)
	closeDB(t, db)
	wantValue(t, "with another codec", memDB(t, Options{FS: m, Codec: runCodec{}}), "key", strings.Repeat("v", 1000))
}
