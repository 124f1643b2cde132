// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
)

// A TableWriter writes a [Table]. It is not safe for concurrent use. Use
// [NewTableWriter].
//
// It keeps one block, and 8 bytes a key for the filter, in memory. Its writes
// are not synced.
type TableWriter struct {
	w     io.Writer
	opts  TableOptions
	foot  footer
	salt  uint64
	off   int64 // bytes written
	block blockBuilder
	index indexBuilder
	props tableProps
	last  []byte // the last key
	seq   uint64 // and its sequence

	hashes  []uint64 // of keys
	buf     []byte
	encoded []byte // the last block as opts.Codec has encoded it
	err     error  // of all further calls
}

// NewTableWriter returns a TableWriter that writes to w, block by block, and
// does not close it. If opts is nil, the defaults are used. It panics if opts
// is not valid.
func NewTableWriter(w io.Writer, opts *TableOptions) *TableWriter {
	return newTableWriter(w, opts, rand.Uint64())
}

// newTableWriter is NewTableWriter with a nonce.
func newTableWriter(w io.Writer, opts *TableOptions, nonce uint64) *TableWriter {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	return &TableWriter{w: w, opts: opts.resolve(), foot: footer{nonce: nonce}, salt: mix(nonce)}
}

// Set adds a key with its value; nil is the empty key or value. Keys come in
// ascending order, each once, or Set fails. After that error, and after
// [ErrTooLarge] for a key longer than [MaxKeyLen] or a value longer than
// [MaxBatchLen], the key is not in the table, and others may follow. Any other
// error is final.
func (w *TableWriter) Set(key, value []byte) error { return w.add(key, 0, kindSet, value) }

// add adds a version of a key. Of one key the newest comes first.
func (w *TableWriter) add(key []byte, seq uint64, kind byte, value []byte) error {
	n := &w.props.numbers
	first := n[propEntries] == 0
	c := bytes.Compare(w.last, key)
	switch {
	case w.err != nil:
		return w.err
	case len(key) > MaxKeyLen || len(value) > MaxBatchLen:
		return errEntrySize(len(key), len(value))
	case !first && (c > 0 || c == 0 && seq >= w.seq):
		return fmt.Errorf("lsm: key %.32q after %.32q: keys must ascend", key, w.last)
	}

	// A block ends only between keys.
	if first || c != 0 {
		if w.block.raw >= int64(w.opts.BlockSize) {
			if w.err = w.endBlock(separator(w.last, key)); w.err != nil {
				return w.err
			}
		}
		if w.opts.FilterBits > 0 {
			w.hashes = append(w.hashes, filterHash(key))
		}
	}
	w.block.add(key, seq, kind, value)
	w.last = append(w.last[:0], key...)
	w.seq = seq

	if first {
		w.props.smallest = bytes.Clone(key)
		n[propMinSeq] = seq
	}
	n[propMinSeq] = min(n[propMinSeq], seq)
	n[propMaxSeq] = max(n[propMaxSeq], seq)
	n[propEntries]++
	if kind == kindDelete {
		n[propDeletes]++
	}
	n[propKeyBytes] += uint64(len(key))
	n[propValueBytes] += uint64(len(value))
	return nil
}

// errEntrySize returns the error about a key or value that is too long.
func errEntrySize(key, value int) error {
	return fmt.Errorf("%w: a key of %d and a value of %d bytes, want at most %d and %d", ErrTooLarge, key, value, MaxKeyLen, MaxBatchLen)
}

// Size returns the bytes of the table so far, as far as they can be told before
// they are written. After Finish it is exact.
func (w *TableWriter) Size() int64 { return w.off + w.block.raw }

// Finish writes the rest of the table. Afterwards all methods but Size return
// [ErrClosed].
func (w *TableWriter) Finish() error {
	if w.err != nil {
		return w.err
	}
	w.err = w.finish()
	if w.err != nil {
		return w.err
	}
	w.err = ErrClosed
	return nil
}

// finish writes the last block and the sections after it.
func (w *TableWriter) finish() error {
	w.props.largest = w.last
	if len(w.block.list) > 0 {
		if err := w.endBlock(w.last); err != nil {
			return err
		}
	}

	// No ranges are written yet: the filter begins where they would.
	w.foot.ranges = w.off
	w.foot.filter = w.off
	if len(w.hashes) > 0 {
		if err := w.write(appendFilter(w.buf[:0], w.hashes, w.opts.FilterBits)); err != nil {
			return err
		}
	}

	w.foot.index = w.off
	index, err := w.index.appendIndex(w.buf[:0])
	if err != nil {
		return err
	}
	if err := w.write(index); err != nil {
		return err
	}

	w.foot.props = w.off
	if err := w.write(w.props.appendTo(w.buf[:0])); err != nil {
		return err
	}
	w.foot.at = w.off
	return w.writeAll(w.foot.encode())
}

// endBlock writes the data block at hand. sep separates it from the next one.
func (w *TableWriter) endBlock(sep []byte) error {
	payload := w.block.appendBlock(w.buf[:0])
	w.block.reset()
	w.props.numbers[propBlocks]++
	w.props.numbers[propLargestRaw] = max(w.props.numbers[propLargestRaw], uint64(len(payload)))
	if err := w.writeData(payload); err != nil {
		return err
	}
	if w.off > maxTableLen {
		return fmt.Errorf("%w: a table of more than %d bytes", ErrTooLarge, int64(maxTableLen))
	}
	w.index.addBlock(sep, w.off)
	return nil
}

// writeData writes a data block, encoded if that makes it shorter.
func (w *TableWriter) writeData(payload []byte) error {
	c := w.opts.Codec
	if c == nil || len(payload) > maxEncoded {
		return w.write(payload)
	}
	b, err := encodeBlock(c, w.encoded[:0], payload)
	if err != nil {
		return err
	}
	w.encoded = b
	if len(b) >= len(payload) {
		return w.write(payload)
	}

	// The memory of the payload becomes the buffer of the next one.
	w.buf = payload
	w.props.numbers[propCodec] = uint64(c.ID())
	w.encoded = sealBlock(b, c.ID(), w.salt, w.off)
	return w.writeAll(w.encoded)
}

// write writes a block with a payload, whose memory becomes the buffer of the
// next one.
func (w *TableWriter) write(payload []byte) error {
	w.buf = sealBlock(payload, 0, w.salt, w.off)
	return w.writeAll(w.buf)
}

// writeAll writes b.
func (w *TableWriter) writeAll(b []byte) error {
	n, err := w.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	w.off += int64(len(b))
	return nil
}
