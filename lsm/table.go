// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
)

// A Table is a sorted file of keys and values that a [TableWriter] has written
// and that does not change. It is safe for concurrent use by multiple
// goroutines. Use [OpenTable].
//
// A Table keeps its index and its filter in memory, some 2 bytes a key, and
// reads one block for each key that is there, and for one in a hundred that is
// not.
type Table struct {
	tableFile
	index tableIndex
	filt  tableFilter
}

// A tableFile reads the parts of a table.
type tableFile struct {
	r     io.ReaderAt
	size  int64
	name  string // of the file
	codec Codec  // that was given, or nil
	foot  footer
	salt  uint64
	props tableProps
}

// FORMAT.md has the format of a table. Ranges of deletes and expiry will use
// what is reserved there.
//
// Entries are ordered by key, and of one key the highest sequence is first. All
// versions of a key lie in one block, whatever its length.
//
//	T1  A length is believed when the checksum over it is right; then it lies
//	    within the file that was named, or the table is corrupt.
//	T2  A block is found by its separators alone: no other can have the key.
//	T3  No byte is outside of a checksum, and each checksum knows its offset
//	    and its table.
const (
	tableMagic  = "ashlarst"
	footerLen   = 64
	openLen     = 16 << 10 // read at once at the end of a table
	maxTableLen = 8 * (1<<32 - 1)
	maxPropsLen = 1 << 20
	maxIndexLen = 1 << 30 // and of a filter
)

// OpenTable opens the table in r, which is size bytes long. r stays open as
// long as the Table is in use, and the caller closes it. If r has a method
// Name, as [os.File] has, errors say that name. If opts is nil, the defaults
// are used; only the Codec matters. It panics if opts is not valid.
//
// A table that was damaged gives an error that is [ErrCorrupt], here or where
// the damage is met, and one of a later version or another codec [ErrVersion].
// An error of r is returned as it is.
func OpenTable(r io.ReaderAt, size int64, opts *TableOptions) (*Table, error) {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	name := "table"
	if f, ok := r.(interface{ Name() string }); ok {
		name = f.Name()
	}
	return newTable(tableFile{r: r, size: size, name: name, codec: opts.resolve().Codec})
}

// newTable opens the table in a file, of which it knows nothing else yet.
func newTable(f tableFile) (*Table, error) {
	t := &Table{tableFile: f}
	tail, err := t.readEnd()
	if err != nil {
		return nil, err
	}
	if t.index, err = t.readIndex(tail); err != nil {
		return nil, err
	}
	if t.filt, err = t.readFilter(tail); err != nil {
		return nil, err
	}
	return t, nil
}

// readEnd reads the footer and the properties. It returns the end of the file:
// all of a small table, and of a larger one the sections that say where the
// rest is.
func (t *tableFile) readEnd() (tail []byte, err error) {
	if t.size < footerLen {
		return nil, corrupt(t.name, 0, "the file is shorter than a footer")
	}
	off := max(0, t.size-openLen)
	tail = make([]byte, t.size-off)
	if err := t.readAt(tail, off); err != nil {
		return nil, err
	}
	if err := t.parseFooter(tail[len(tail)-footerLen:]); err != nil {
		return nil, err
	}
	return tail, t.readProps(tail)
}

// readAt fills b with the bytes at off.
func (t *tableFile) readAt(b []byte, off int64) error {
	n, err := t.r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil // with EOF, perhaps
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return corrupt(t.name, off, "the file is shorter than its length")
	}
	return err
}

// blame returns err, which was found at off, as an error about the table.
func (t *tableFile) blame(off int64, err error) error {
	if errors.Is(err, errUnknown) {
		return &versionError{t.name, err.Error()}
	}
	return &CorruptError{File: t.name, Offset: off, Err: err}
}

// A footer says where the sections of a table are.
type footer struct {
	nonce                            uint64
	ranges, filter, index, props, at int64
}

// encode returns the footer, which stands at f.at.
func (f *footer) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, footerLen)
	copy(b, tableMagic)
	le.PutUint16(b[8:], formatVersion)
	le.PutUint64(b[16:], f.nonce)
	for i, off := range f.offsets() {
		le.PutUint64(b[24+8*i:], uint64(off))
	}
	le.PutUint32(b[12:], f.sum(b))
	return b
}

// offsets returns where the sections begin, and the footer.
func (f *footer) offsets() [5]int64 { return [5]int64{f.ranges, f.filter, f.index, f.props, f.at} }

// sum returns the checksum of b, the encoded footer.
func (f *footer) sum(b []byte) uint32 { return headerSum(b) ^ uint32(mix(mix(f.nonce)+uint64(f.at))) }

// parseFooter decodes the footer b.
func (t *tableFile) parseFooter(b []byte) error {
	le := binary.LittleEndian
	f := footer{
		nonce:  le.Uint64(b[16:]),
		ranges: int64(le.Uint64(b[24:])),
		filter: int64(le.Uint64(b[32:])),
		index:  int64(le.Uint64(b[40:])),
		props:  int64(le.Uint64(b[48:])),
		at:     t.size - footerLen,
	}

	// The checksum is that of this footer alone, at its place; the version
	// comes before the fields that it may have changed the meaning of.
	offsets := f.offsets()
	switch {
	case string(b[:8]) != tableMagic:
		return corrupt(t.name, f.at, "the file does not end with a footer")
	case le.Uint32(b[12:]) != f.sum(b):
		return corrupt(t.name, f.at, "the checksum of the footer does not match")
	case le.Uint16(b[8:]) != formatVersion || b[10] != 0 || b[11] != 0:
		return &versionError{t.name, "a footer of another version"}
	case le.Uint64(b[56:]) != uint64(f.at):
		return corrupt(t.name, f.at, "the footer is not where it should be")
	case f.ranges < 0, !slices.IsSorted(offsets[:]):
		return corrupt(t.name, f.at, "the offsets in the footer do not fit")
	case f.filter != f.ranges:
		return &versionError{t.name, "ranges"}
	}
	t.foot = f
	t.salt = mix(f.nonce)
	return nil
}

// section returns the payload of the block from off to end, which has at most
// limit bytes. tail is the end of the file.
func (t *tableFile) section(tail []byte, off, end, limit int64) ([]byte, error) {
	if end-off > limit {
		return nil, corrupt(t.name, off, "a section is too long")
	}
	b := make([]byte, end-off)
	if from := off - (t.size - int64(len(tail))); from >= 0 {
		copy(b, tail[from:])
	} else if err := t.readAt(b, off); err != nil {
		return nil, err
	}
	b, _, err := openBlock(b, 0, t.salt, off)
	if err != nil {
		return nil, t.blame(off, err)
	}
	return b, nil
}

// A blockBuffer holds a block while a call looks at it.
type blockBuffer struct {
	b   []byte
	raw []byte // the payload, if it was encoded
}

// maxPooled bounds the buffers that are kept for reuse.
const maxPooled = 1 << 20

var blockBuffers = sync.Pool{New: func() any { return new(blockBuffer) }}

func takeBlockBuffer() *blockBuffer { return blockBuffers.Get().(*blockBuffer) }

func giveBlockBuffer(buf *blockBuffer) {
	if max(cap(buf.b), cap(buf.raw)) <= maxPooled {
		blockBuffers.Put(buf)
	}
}

// block reads block i into buf.
func (t *Table) block(i int, buf *blockBuffer) (d dataBlock, err error) {
	return t.readBlock(t.index.start(i), t.index.start(i+1), buf)
}

// readBlock reads the block from off to end into buf.
func (t *tableFile) readBlock(off, end int64, buf *blockBuffer) (d dataBlock, err error) {
	n := end - off
	if int64(int(n)) != n {
		return d, ErrTooLarge // of 32 bits
	}
	if int64(cap(buf.b)) < n {
		buf.b = make([]byte, n)
	}
	buf.b = buf.b[:n]
	if err := t.readAt(buf.b, off); err != nil {
		return d, err
	}
	return t.parseBlock(buf.b, off, buf)
}

// parseBlock decodes b, a block that stands at off. If it is encoded, its
// payload is in buf.
func (t *tableFile) parseBlock(b []byte, off int64, buf *blockBuffer) (d dataBlock, err error) {
	b, encoded, err := openBlock(b, byte(t.props.numbers[propCodec]), t.salt, off)
	if err == nil && encoded {
		b, err = t.decode(b, buf)
	}
	if err == nil {
		d, err = parseDataBlock(b)
	}
	if err != nil {
		return d, t.blame(off, err)
	}
	return d, nil
}

// find returns the newest version of key that is not newer than seq, in buf. ok
// is false if there is none. hash is that of the key.
func (t *Table) find(key []byte, hash, seq uint64, buf *blockBuffer) (e blockEntry, ok bool, err error) {
	if !t.filt.has(hash) {
		return e, false, nil
	}
	i := t.index.search(key)
	if i == t.index.n {
		return e, false, nil
	}

	d, err := t.block(i, buf)
	if err != nil {
		return e, false, err
	}
	e, ok, err = d.find(key, seq)
	if err != nil {
		return e, false, t.blame(t.index.start(i), err)
	}
	return e, ok, nil
}

// value returns the value of key, in buf. If there is none, the error is
// ErrNotFound.
func (t *Table) value(key []byte, buf *blockBuffer) ([]byte, error) {
	if len(key) > MaxKeyLen {
		return nil, ErrNotFound
	}
	e, ok, err := t.find(key, filterHash(key), maxSeq, buf)
	if err == nil && (!ok || e.kind == kindDelete) {
		err = ErrNotFound
	}
	return e.value, err
}

// Get returns a copy of the value of key. If there is none, the error is
// [ErrNotFound]. The complexity is O(log n) where n is the number of entries.
func (t *Table) Get(key []byte) ([]byte, error) {
	v, err := t.AppendGet([]byte{}, key)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// AppendGet appends the value of key to dst, and returns the extended slice. If
// there is none, the error is [ErrNotFound], and dst is returned as it is.
func (t *Table) AppendGet(dst, key []byte) ([]byte, error) {
	buf := takeBlockBuffer()
	defer giveBlockBuffer(buf)
	v, err := t.value(key, buf)
	if err != nil {
		return dst, err
	}
	return append(dst, v...), nil
}

// Has reports whether key has a value.
func (t *Table) Has(key []byte) (bool, error) {
	buf := takeBlockBuffer()
	defer giveBlockBuffer(buf)
	_, err := t.value(key, buf)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
