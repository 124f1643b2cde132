// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"iter"
)

// An Entry is a key with its value, which are valid until the next step of the
// loop that yields them. Use [bytes.Clone] to keep one.
type Entry struct {
	Key   []byte // in full
	Value []byte // of the newest version
}

// Scan yields the entries from lo up to but not including hi, in ascending
// order. A nil hi is beyond all keys. An error ends it, and is its last pair:
// nothing is skipped.
func (t *Table) Scan(lo, hi []byte) iter.Seq2[Entry, error] { return t.scan(lo, hi, maxSeq) }

// scan is Scan of the versions that are not newer than seq.
func (t *Table) scan(lo, hi []byte, seq uint64) iter.Seq2[Entry, error] {
	lo, hi = bytes.Clone(lo), bytes.Clone(hi)
	return func(yield func(Entry, error) bool) {
		s := tableScan{t: t, hi: hi, seq: seq}
		s.run(lo, yield)
		if s.err != nil {
			yield(Entry{}, s.err)
		}
	}
}

// A tableScan is a loop over a table.
type tableScan struct {
	t   *Table
	hi  []byte
	seq uint64
	err error // the error that ended it

	buf   blockBuffer
	key   []byte // of the entry at hand
	done  []byte // the last key whose version was chosen
	begun bool   // there is one
}

// run yields the entries from lo.
func (s *tableScan) run(lo []byte, yield func(Entry, error) bool) {
	first := s.t.index.search(lo)
	for i := first; i < s.t.index.n; i++ {
		d, err := s.t.block(i, &s.buf)
		from := 0
		if err == nil && i == first {
			from, err = d.search(lo, maxSeq)
			if err != nil {
				err = s.t.blame(s.t.index.start(i), err)
			}
		}
		if err != nil {
			s.err = err
			return
		}
		if !s.block(i, &d, from, yield) {
			return
		}
	}
}

// block yields the entries of block i from a place on, and reports whether
// those of the next one are wanted.
func (s *tableScan) block(i int, d *dataBlock, from int, yield func(Entry, error) bool) bool {
	for ; from < d.n; from++ {
		e, err := d.entry(from)
		if err != nil {
			s.err = s.t.blame(s.t.index.start(i), err)
			return false
		}
		s.key = d.appendKey(s.key[:0], from, &e)
		if s.hi != nil && bytes.Compare(s.key, s.hi) >= 0 {
			return false
		}

		// The first version that is old enough hides the others of its key.
		if e.seq > s.seq || s.begun && bytes.Equal(s.key, s.done) {
			continue
		}
		s.done = append(s.done[:0], s.key...)
		s.begun = true
		if e.kind == kindDelete {
			continue
		}
		if !yield(Entry{s.key, e.value}, nil) {
			return false
		}
		if invariants {
			mangle(s.key)
			mangle(e.value)
		}
	}
	return true
}

// mangle makes b useless, to show callers that keep slices too long.
func mangle(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}
