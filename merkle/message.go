// SPDX-License-Identifier: MIT

package merkle

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// The layout of messages of version 1; FORMAT.md has the table.
const (
	messageMagic = "ashlarmi"
	messageHead  = 8 + 2 + 1 + 8
)

// The kinds of messages.
const (
	kindAsk    = 1
	kindAnswer = 2
)

// A mode says what a message has about a range of keys.
type mode byte

const (
	modeSkip  mode = 0 // in asks: nothing; in answers: the sets are equal there
	modePrint mode = 1 // a fingerprint: is yours equal, or what differs?
	modeWant  mode = 2 // in asks: send all items
	modeList  mode = 3 // in answers: all items
	modeAgain mode = 4 // in answers: no room; ask again
	modeMarks mode = 5 // in asks: the marks of all items; what differs?
	modeDelta mode = 6 // in answers to marks: the marks of no item here, and the items of no mark
)

// A mark is the start of the fingerprint of an item, and stands for it in an
// ask. Two items may have one mark: then the list that results from the answer
// has another fingerprint than that of the peer.
type mark [4]byte

// A piece is a range of keys [lo, hi) in a message. In a message of asks, the
// last piece may be open; in an answer, the last piece for each ask ends where
// the ask does.
type piece struct {
	mode  mode
	lo    string
	hi    bound
	print fingerprint
	items []item
	marks []mark
	gone  []int // indices of the marks in the ask that are of no item
}

// appendHead appends the head of a message.
func appendHead(dst []byte, kind byte, id uint64) []byte {
	dst = append(dst, messageMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, version)
	dst = append(dst, kind)
	return binary.LittleEndian.AppendUint64(dst, id)
}

// A writer appends to a message. A key is written without what it has in common
// with the one before it: the number of these bytes, that of the others, and
// these. Both numbers share a byte while they are small, as they mostly are.
type writer struct {
	b    []byte
	last string // the key before
}

// A number below shortNumber fits into half a byte; for another one the half is
// shortNumber, and the difference follows. The bytes in common are at most
// maxShared, which bounds the memory that a few bytes take at a reader.
const (
	shortNumber = 15
	maxShared   = shortNumber + 255
)

// ends is set in the mode of a piece without a bound, which is the last.
const ends = 0x80

// piece appends a piece without its contents.
func (w *writer) piece(m mode, hi bound) {
	if hi.open {
		w.b = append(w.b, byte(m)|ends)
		return
	}
	w.b = append(w.b, byte(m))
	w.key(hi.key)
}

// key appends a key.
func (w *writer) key(key string) {
	n := 0
	for n < min(len(key), len(w.last), maxShared) && key[n] == w.last[n] {
		n++
	}
	rest := len(key) - n
	w.b = append(w.b, byte(min(n, shortNumber)<<4|min(rest, shortNumber)))
	if n >= shortNumber {
		w.b = append(w.b, byte(n-shortNumber))
	}
	if rest >= shortNumber {
		w.b = binary.AppendUvarint(w.b, uint64(rest-shortNumber))
	}
	w.b = append(w.b, key[n:]...)
	w.last = key
}

// print appends a piece with a fingerprint.
func (w *writer) print(hi bound, print fingerprint) {
	w.piece(modePrint, hi)
	w.b = append(w.b, print[:]...)
}

// list appends a piece with items.
func (w *writer) list(hi bound, items []item) {
	w.piece(modeList, hi)
	w.items(items)
}

// items appends items and, before them, their number.
func (w *writer) items(items []item) {
	w.b = binary.AppendUvarint(w.b, uint64(len(items)))
	for _, it := range items {
		w.key(it.key)
		w.b = append(w.b, it.digest[:]...)
	}
}

// marks appends a piece with marks.
func (w *writer) marks(hi bound, marks []mark) {
	w.piece(modeMarks, hi)
	w.b = binary.AppendUvarint(w.b, uint64(len(marks)))
	for _, m := range marks {
		w.b = append(w.b, m[:]...)
	}
}

// delta appends the answer to marks. Of gone, which ascends, it writes how many
// marks lie between one and the next.
func (w *writer) delta(gone []int, items []item) {
	w.piece(modeDelta, openEnd)
	w.b = binary.AppendUvarint(w.b, uint64(len(gone)))
	next := 0
	for _, i := range gone {
		w.b = binary.AppendUvarint(w.b, uint64(i-next))
		next = i + 1
	}
	w.items(items)
}

// itemBytes returns the most bytes that an item has in a list.
func itemBytes(it item) int { return 2 + binary.MaxVarintLen32 + len(it.key) + len(it.digest) }

// splitMessage returns the body of a message of this kind.
func splitMessage(b []byte, kind byte, id uint64) ([]byte, error) {
	if len(b) < messageHead+sumBytes {
		return nil, fmt.Errorf("%w: %d bytes are less than an empty message", ErrCorrupt, len(b))
	}
	if string(b[:8]) != messageMagic {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, messageMagic)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return nil, fmt.Errorf("%w: version %d", ErrVersion, v)
	}

	// The contents of the head mean something only if the checksum is right.
	end := len(b) - sumBytes
	if binary.LittleEndian.Uint64(b[end:]) != xxhash.Sum64(b[:end]) {
		return nil, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	if b[10] != kind {
		return nil, fmt.Errorf("%w: message of kind %d, want %d", ErrVersion, b[10], kind)
	}
	if binary.LittleEndian.Uint64(b[11:]) != id {
		return nil, ErrMismatch
	}
	return b[messageHead:end], nil
}

// A parser takes the parts of a message from the front. After something that is
// not there it is bad, and returns zeros.
type parser struct {
	b    []byte
	bad  bool
	last string // the key before
}

// bytes returns the next n bytes, which the message owns.
func (p *parser) bytes(n uint64) []byte {
	if n > uint64(len(p.b)) {
		p.bad = true
		p.b = nil
		return nil
	}
	out := p.b[:n]
	p.b = p.b[n:]
	return out
}

// number returns the next number. Each has one encoding.
func (p *parser) number() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || n > 1 && p.b[n-1] == 0 {
		p.bad = true
		p.b = nil
		return 0
	}
	p.b = p.b[n:]
	return v
}

// key returns the next key.
func (p *parser) key() string {
	head := p.bytes(1)
	if p.bad {
		return ""
	}
	shared := int(head[0] >> 4)
	if shared == shortNumber {
		if more := p.bytes(1); !p.bad {
			shared += int(more[0])
		}
	}
	n := uint64(head[0] & shortNumber)
	if n == shortNumber {
		n += min(p.number(), math.MaxUint32) // no sum wraps around
	}

	rest := p.bytes(n)
	if p.bad || shared > len(p.last) {
		p.bad = true
		return ""
	}
	p.last = p.last[:shared] + string(rest)
	return p.last
}

// piece returns the next piece, which begins at lo. It ends before end, or at
// end if it is the last.
func (p *parser) piece(lo string, end bound) (out piece, last bool) {
	m := p.bytes(1)
	if p.bad {
		return out, true
	}
	last = m[0]&ends != 0
	out = piece{mode: mode(m[0] &^ ends), lo: lo, hi: end}
	if !last {
		out.hi = bound{key: p.key()}
		p.bad = p.bad || out.hi.key <= lo || end.after(out.hi.key)
	}

	// What follows the bound.
	switch out.mode {
	case modePrint:
		copy(out.print[:], p.bytes(uint64(len(out.print))))
	case modeList:
		p.list(&out)
	case modeMarks:
		p.marks(&out)
	case modeDelta:
		p.gone(&out)
		p.list(&out)
	}
	return out, last
}

// marks reads the marks of a piece.
func (p *parser) marks(out *piece) {
	n := p.number()
	if n > listKeys {
		p.bad = true
		return
	}
	for range n {
		out.marks = append(out.marks, mark{})
		copy(out.marks[len(out.marks)-1][:], p.bytes(uint64(len(mark{}))))
	}
}

// gone reads the indices of the marks that are of no item.
func (p *parser) gone(out *piece) {
	n := p.number()
	if n > listKeys {
		p.bad = true
		return
	}
	next := uint64(0)
	for range n {
		next += min(p.number(), listKeys) // no sum wraps around
		if next >= listKeys {
			p.bad = true
			return
		}
		out.gone = append(out.gone, int(next))
		next++
	}
}

// list reads the items of a piece, which are in order and within it.
func (p *parser) list(out *piece) {
	n := p.number()
	if n > uint64(len(p.b))/uint64(1+len(Digest{})) {
		p.bad = true
		return
	}

	// Keys are within the piece, and each is above the one before.
	for range n {
		it := item{key: p.key()}
		copy(it.digest[:], p.bytes(uint64(len(it.digest))))
		switch last := len(out.items) - 1; {
		case it.key < out.lo, out.hi.after(it.key), last >= 0 && it.key <= out.items[last].key:
			p.bad = true
			return
		}
		out.items = append(out.items, it)
	}
}

// maxAsks is the largest number of ranges in an ask.
const maxAsks = 4096

// parseAsks returns the pieces of an ask, without those that skip.
func parseAsks(body []byte) ([]piece, error) {
	p := parser{b: body}
	var list []piece
	lo := ""
	skips := 0

	// Each piece begins where the one before it ends. Too many are refused
	// while they are read: one has more bytes in memory than in the message.
	for last := false; len(p.b) > 0 && !p.bad && !last; {
		var next piece
		next, last = p.piece(lo, openEnd)
		lo = next.hi.key
		switch next.mode {
		case modeSkip:
			skips++
		case modePrint, modeWant, modeMarks:
			list = append(list, next)
		default:
			p.bad = true
		}
		p.bad = p.bad || max(len(list), skips) > maxAsks
	}
	if p.bad || len(p.b) > 0 {
		return nil, fmt.Errorf("%w: ask", ErrCorrupt)
	}
	return list, nil
}

// parseAnswer returns the pieces of the answer to asks: for each ask the pieces
// that divide it, at most fanout. A delta answers marks, and is the only piece.
func parseAnswer(body []byte, asks []ask) ([][]piece, error) {
	p := parser{b: body}
	out := make([][]piece, len(asks))

	// The pieces of each ask divide its range from the start to the end.
	for i, a := range asks {
		lo := a.lo
		for last := false; !last && !p.bad; {
			var next piece
			next, last = p.piece(lo, a.hi)
			lo = next.hi.key
			out[i] = append(out[i], next)
			switch next.mode {
			case modeDelta:
				n := len(next.gone)
				p.bad = p.bad || len(out[i]) > 1 || !last || len(a.have) == 0 || n > 0 && next.gone[n-1] >= len(a.have)
			case modeSkip, modePrint, modeList, modeAgain:
				p.bad = p.bad || len(out[i]) > fanout
			default:
				p.bad = true
			}
		}
	}
	if p.bad || len(p.b) > 0 {
		return nil, fmt.Errorf("%w: answer", ErrCorrupt)
	}
	return out, nil
}
