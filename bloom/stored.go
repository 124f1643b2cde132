// SPDX-License-Identifier: MIT

package bloom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cespare/xxhash/v2"
)

// The stored forms of the types beside Filter. Each begins with the header of
// format.go; bytes from outside cost memory in proportion to their number.

// AppendBinary appends a [Concurrent.Snapshot] of the filter to dst, in the
// format of a [Filter]. It fails only for the zero Concurrent.
func (c *Concurrent) AppendBinary(dst []byte) ([]byte, error) { return c.Snapshot().AppendBinary(dst) }

// MarshalBinary returns a [Concurrent.Snapshot] of the filter, in the format of
// a [Filter]. It fails only for the zero Concurrent.
func (c *Concurrent) MarshalBinary() ([]byte, error) { return c.Snapshot().MarshalBinary() }

// UnmarshalBinary replaces c by the [Filter] that b holds, with the errors of
// [Filter.UnmarshalBinary]. It must be done before c is shared.
func (c *Concurrent) UnmarshalBinary(b []byte) error { return c.f.UnmarshalBinary(b) }

// AppendBinary appends the filter to dst, in the format of FORMAT.md. It fails
// only for the zero Counting.
func (c *Counting) AppendBinary(dst []byte) ([]byte, error) {
	if len(c.lines) == 0 {
		return dst, errors.New("bloom: a zero Counting has no binary form: use NewCounting")
	}
	return appendPlain(dst, kindCounting, c.shape, c.lines), nil
}

// MarshalBinary returns the bytes that AppendBinary appends.
func (c *Counting) MarshalBinary() ([]byte, error) {
	return c.AppendBinary(make([]byte, 0, plainSize(len(c.lines))))
}

// UnmarshalBinary replaces c by the filter that b holds, and checks all of it.
// On failure it returns an error that wraps [ErrCorrupt], [ErrVersion] or
// [ErrTooLarge], and leaves c unchanged.
func (c *Counting) UnmarshalBinary(b []byte) error {
	h, body, err := splitVerified(b, kindCounting)
	if err != nil {
		return err
	}
	c.shape = h.shape
	c.lines = parseLines(make([]line, 0, h.lines), body)
	return nil
}

// maxLayers is more than the layers that any Scalable comes to: 48 hold 2^48
// keys, even if the first was made for one.
const maxLayers = 64

// AppendBinary appends the filter to dst, in the format of FORMAT.md: a header,
// and then each layer as a [Filter]. It fails only for the zero Scalable.
func (s *Scalable) AppendBinary(dst []byte) ([]byte, error) {
	if len(s.layers) == 0 {
		return dst, errors.New("bloom: a zero Scalable has no binary form: use NewScalable")
	}
	h := header{
		shape: shape{perKey: s.opts.Lines, seed: s.opts.Seed}, kind: kindScalable, lines: uint64(len(s.layers)),
		extra: [3]uint64{math.Float64bits(s.p), uint64(s.size), uint64(s.room)},
	}
	dst = h.append(dst)
	for _, f := range s.layers {
		dst = appendPlain(dst, kindFilter, f.shape, f.lines)
	}
	return dst, nil
}

// MarshalBinary returns the bytes that AppendBinary appends.
func (s *Scalable) MarshalBinary() ([]byte, error) {
	size := headerBytes
	for _, f := range s.layers {
		size += plainSize(len(f.lines))
	}
	return s.AppendBinary(make([]byte, 0, size))
}

// UnmarshalBinary replaces s by the filter that b holds, and checks all of it:
// it goes on growing from where it was. On failure it returns an error that
// wraps [ErrCorrupt], [ErrVersion] or [ErrTooLarge], and leaves s unchanged.
func (s *Scalable) UnmarshalBinary(b []byte) error {
	h, err := parseHeader(b, kindScalable)
	if err != nil {
		return err
	}

	// The header says how the layers grow.
	t := Scalable{opts: Options{Seed: h.seed, Lines: h.perKey}, p: math.Float64frombits(h.extra[0])}
	size := h.extra[1]
	room := h.extra[2]
	if !(t.p >= minScalableRate && t.p < 1) || t.opts.Validate() != nil || h.perLane != 0 ||
		size < 1 || size > min(maxKeys, maxAddress) || room > size || h.lines < 1 || h.lines > maxLayers {
		return fmt.Errorf("%w: header of a Scalable", ErrCorrupt)
	}
	t.size = int(size)
	t.room = int(room)

	// Each layer is a filter in its stored form.
	rest := b[headerBytes:]
	for range h.lines {
		f, after, err := cutFilter(rest)
		if err != nil {
			return err
		}
		if f.seed != h.seed {
			return fmt.Errorf("%w: a layer with another seed", ErrCorrupt)
		}
		t.layers = append(t.layers, f)
		rest = after
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes after the last layer", ErrCorrupt, len(rest))
	}

	// Nothing can fail any more.
	s.opts = t.opts
	s.p = t.p
	s.size = t.size
	s.room = t.room
	s.layers = t.layers
	return nil
}

// cutFilter returns the Filter at the beginning of b, and the bytes after it.
func cutFilter(b []byte) (f *Filter, rest []byte, err error) {
	h, err := parseHeader(b, kindFilter)
	if err != nil {
		return nil, nil, err
	}
	if h.lines > uint64(len(b))/lineBytes {
		return nil, nil, fmt.Errorf("%w: a layer of %d lines in %d bytes", ErrCorrupt, h.lines, len(b))
	}
	end := plainSize(int(h.lines))
	if end > len(b) {
		return nil, nil, fmt.Errorf("%w: a layer of %d bytes in %d", ErrCorrupt, end, len(b))
	}
	f = &Filter{}
	return f, b[end:], f.UnmarshalBinary(b[:end])
}

// A Window is a header, windowBytes of its state, a stamp for each line, the
// lines, and the sum of stamps and lines.
const (
	windowBytes = 64
	stampBytes  = 4
)

// A windowState is the state of a Window as it is stored.
type windowState struct {
	gens  uint64
	turn  uint64
	step  uint64 // of a turn in nanoseconds; 0 in a window of keys
	share uint64
	room  uint64
	phase uint64 // nanoseconds of the turn that have passed
	saved uint64 // the time of day, in Unix nanoseconds
}

// words are the fields of s in their order.
func (s *windowState) words() [7]*uint64 {
	return [...]*uint64{&s.gens, &s.turn, &s.step, &s.share, &s.room, &s.phase, &s.saved}
}

// append appends s and its checksum to dst.
func (s *windowState) append(dst []byte) []byte {
	start := len(dst)
	for _, x := range s.words() {
		dst = binary.LittleEndian.AppendUint64(dst, *x)
	}
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[start:]))
}

// parseWindowState is the inverse of append, for a window of lines.
func parseWindowState(b []byte, lines uint64) (s windowState, err error) {
	if binary.LittleEndian.Uint64(b[56:]) != xxhash.Sum64(b[:56]) {
		return s, fmt.Errorf("%w: checksum of the state", ErrCorrupt)
	}
	for i, x := range s.words() {
		*x = binary.LittleEndian.Uint64(b[8*i:])
	}

	// A checksum that holds does not make the values possible.
	switch {
	case s.gens < 2 || s.gens > maxGenerations || lines%s.gens != 0, s.turn < s.gens || s.turn > math.MaxInt64,
		s.step > math.MaxInt64 || s.phase > 0 && s.phase >= s.step,
		s.share < 1 || s.share > min(maxKeys, maxAddress) || s.room > s.share:
		return s, fmt.Errorf("%w: state of a Window", ErrCorrupt)
	}
	return s, nil
}

// AppendBinary appends the window to dst, in the format of FORMAT.md, with the
// time of day: while a window of time is stored, its keys age. It fails only
// for the zero Window.
func (w *Window) AppendBinary(dst []byte) ([]byte, error) {
	if w.gens == 0 {
		return dst, errors.New("bloom: a zero Window has no binary form: use NewWindow")
	}

	// The state says how much of the turn has passed, and at what time of day,
	// so that keys age on disk, too.
	s := windowState{
		gens: uint64(w.gens), turn: w.at(), step: uint64(w.step), share: uint64(w.share), room: uint64(w.room),
	}
	if w.step > 0 {
		begun := int64(s.turn-w.shift-s.gens) * int64(w.step)
		s.phase = uint64(min(max(w.clock.read()-begun, 0), int64(w.step)-1))
		s.saved = uint64(w.wallClock().UnixNano())
	}
	dst = header{shape: w.shape, kind: kindWindow, lines: uint64(len(w.lines))}.append(dst)
	dst = s.append(dst)

	// Stamps and lines have one checksum.
	body := len(dst)
	for _, stamp := range w.stamps {
		dst = binary.LittleEndian.AppendUint32(dst, stamp)
	}
	dst = appendLines(dst, w.lines)
	return binary.LittleEndian.AppendUint64(dst, xxhash.Sum64(dst[body:])), nil
}

// wallClock returns the time of day.
func (w *Window) wallClock() time.Time {
	if w.clock.now != nil {
		return w.clock.now()
	}
	return time.Now()
}

// MarshalBinary returns the bytes that AppendBinary appends.
func (w *Window) MarshalBinary() ([]byte, error) {
	return w.AppendBinary(make([]byte, 0, headerBytes+windowBytes+len(w.lines)*(stampBytes+lineBytes)+sumBytes))
}

// UnmarshalBinary replaces w by the window that b holds, and checks all of it.
// The clock of w stays, if it has one: make w by [NewWindow] to give it
// WindowOptions.Now. A window of time forgets the keys whose time passed while
// it was stored; if the clock says that it was stored in the future, none
// passed. On failure it returns an error that wraps [ErrCorrupt], [ErrVersion]
// or [ErrTooLarge], and leaves w unchanged.
func (w *Window) UnmarshalBinary(b []byte) error {
	h, err := parseHeader(b, kindWindow)
	if err != nil {
		return err
	}
	if want := headerBytes + windowBytes + h.lines*(stampBytes+lineBytes) + sumBytes; uint64(len(b)) != want {
		return fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, len(b), want)
	}

	// Nothing is used before its checksum was compared.
	s, err := parseWindowState(b[headerBytes:headerBytes+windowBytes], h.lines)
	if err != nil {
		return err
	}
	body := b[headerBytes+windowBytes : len(b)-sumBytes]
	if binary.LittleEndian.Uint64(b[len(b)-sumBytes:]) != xxhash.Sum64(body) {
		return fmt.Errorf("%w: checksum of the lines", ErrCorrupt)
	}

	// Nothing can fail any more.
	w.shape = h.shape
	w.gens = int(s.gens)
	w.turn = s.turn
	w.shift = s.turn - s.gens
	w.step = time.Duration(s.step)
	w.share = int(s.share)
	w.room = int(s.room)
	w.stamps = make([]uint32, h.lines)
	for i := range w.stamps {
		w.stamps[i] = binary.LittleEndian.Uint32(body[stampBytes*i:])
	}
	w.lines = parseLines(make([]line, 0, h.lines), body[stampBytes*h.lines:])

	// The turn began phase before the window was stored, which was away ago.
	w.clock = newClock(w.clock.now)
	phase := time.Duration(s.phase)
	away := max(w.clock.base.Sub(time.Unix(0, int64(s.saved))), 0)
	w.clock.base = w.clock.base.Add(-min(away, maxReading-phase) - phase)
	return nil
}
