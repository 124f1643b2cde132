// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"reflect"
	"sort"
	"time"
)

// A snapshot is the content of a limit, as bytes that another process reads:
// little-endian, and times since 1970.
//
//	offset  bytes  content
//	0       8      "ashlarsn"
//	8       2      version, 1
//	10      2      kind: 1 of a Keyed, 2 of a KeyedWindow, 3 of a Window
//	12      4      CRC-32C of bytes 0 to 11 and 16 to the end
//	16      8      the time of writing, in ns
//	24      8      the length of the rest
//	32             a savedKeyed or savedWindows, by encoding/gob
const (
	snapshotMagic   = "ashlarsn"
	snapshotVersion = 1
	snapshotHeader  = 32
	maxSnapshot     = 1 << 30

	kindKeyed       = 1
	kindKeyedWindow = 2
	kindWindow      = 3
)

// A savedKeyed is the buckets of a Keyed that are not full, by columns.
type savedKeyed[K comparable] struct {
	Plans [][]savedLimit // the first is that of keys without one of their own
	Keys  []K
	Plan  []int     // of each key
	Debts [][]int64 // of each key, in units of its limits
}

// A savedLimit is a limit with its default burst filled in.
type savedLimit struct{ Count, Per, Burst int64 }

// savedWindows are the events that count, by key.
type savedWindows[K comparable] struct {
	Keys   []K
	Events [][]savedEvents
}

// savedEvents are N events that stop counting at the time Until.
type savedEvents struct{ Until, N int64 }

// writeSnapshot writes v at the time at, in nanoseconds since 1970.
func writeSnapshot(w io.Writer, kind uint16, at int64, v any) (int64, error) {
	var b bytes.Buffer
	b.Write(make([]byte, snapshotHeader))
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		return 0, fmt.Errorf("ratelimit: write snapshot: %w", err)
	}
	out := b.Bytes()
	if len(out) > maxSnapshot {
		return 0, fmt.Errorf("ratelimit: write snapshot: %d bytes are too many", len(out))
	}

	// The header comes first, and has the checksum of the rest.
	copy(out, snapshotMagic)
	binary.LittleEndian.PutUint16(out[8:], snapshotVersion)
	binary.LittleEndian.PutUint16(out[10:], kind)
	binary.LittleEndian.PutUint64(out[16:], uint64(at))
	binary.LittleEndian.PutUint64(out[24:], uint64(len(out)-snapshotHeader))
	binary.LittleEndian.PutUint32(out[12:], checksum(out))
	n, err := w.Write(out)
	if err != nil {
		return int64(n), fmt.Errorf("ratelimit: write snapshot: %w", err)
	}
	return int64(n), nil
}

// readSnapshot reads v, and returns the number of bytes read and the time of
// writing.
func readSnapshot(r io.Reader, kind uint16, v any) (n int64, at int64, err error) {
	header := make([]byte, snapshotHeader)
	k, err := io.ReadFull(r, header)
	n = int64(k)
	if err != nil {
		return n, 0, readError(err)
	}

	// Bytes of a later version are not damage, so magic, version and kind come
	// before the checksum.
	if string(header[:8]) != snapshotMagic {
		return n, 0, fmt.Errorf("%w: not a snapshot", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint16(header[8:]); v != snapshotVersion {
		return n, 0, fmt.Errorf("%w: %d", ErrVersion, v)
	}
	got := binary.LittleEndian.Uint16(header[10:])
	if got < kindKeyed || got > kindWindow {
		return n, 0, fmt.Errorf("%w: kind %d", ErrVersion, got)
	}
	if got != kind {
		return n, 0, fmt.Errorf("%w: a snapshot of another type", ErrCorrupt)
	}

	// Memory grows with the bytes that come, not with the length they claim.
	length := binary.LittleEndian.Uint64(header[24:])
	if length > maxSnapshot {
		return n, 0, fmt.Errorf("%w: a snapshot of %d bytes", ErrCorrupt, length)
	}
	var b bytes.Buffer
	read, err := io.CopyN(&b, r, int64(length))
	n += read
	if err != nil {
		return n, 0, readError(err)
	}

	// The checksum stands within the header, and is not part of itself.
	sum := crc32.Checksum(header[:12], castagnoli)
	sum = crc32.Update(sum, castagnoli, header[16:])
	if crc32.Update(sum, castagnoli, b.Bytes()) != binary.LittleEndian.Uint32(header[12:]) {
		return n, 0, fmt.Errorf("%w: checksum of a snapshot", ErrCorrupt)
	}
	if err := gob.NewDecoder(&b).Decode(v); err != nil {
		return n, 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return n, int64(binary.LittleEndian.Uint64(header[16:])), nil
}

// readError returns the error of a snapshot that ended too early, or whose
// reader has failed: that says nothing about its bytes.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: a snapshot ends too early: %w", ErrCorrupt, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("ratelimit: read snapshot: %w", err)
}

// wall returns the reading t of c in nanoseconds since 1970, or the nearest
// that 64 bits hold.
func (c *clock) wall(t int64) int64 {
	return int64(c.base.Add(time.Duration(t)).Sub(time.Unix(0, 0)))
}

// WriteTo writes the buckets that are not full to w, for [Keyed.ReadFrom] of
// another process, so that a deployment resets no limit. Keys are encoded by
// encoding/gob. It writes each shard as it was when it was reached.
func (k *Keyed[K]) WriteTo(w io.Writer) (int64, error) {
	v := savedKeyed[K]{Plans: [][]savedLimit{saveLimits(k.current())}}
	plans := map[*plan]int{}
	t := k.read()
	for i := range k.table.shards {
		s := &k.table.shards[i]
		s.mu.Lock()
		s.follow(k.current())
		for i := range s.keys {
			if !s.occupied(i) {
				continue
			}
			p := s.planOf(i)
			spent, d := s.peek(i, t)
			if p.owed(spent[:], d) == 0 {
				continue
			}

			// Number the plans that keys have of their own.
			id := 0
			if own := s.ownPlan(i); own != nil {
				if id = plans[own]; id == 0 {
					id = len(v.Plans)
					plans[own] = id
					v.Plans = append(v.Plans, saveLimits(own))
				}
			}

			// Debts do not depend on the base of the clock.
			debts := make([]int64, len(p.meters))
			for j := range debts {
				debts[j] = max(spent[j]-p.meters[j].supply(d), 0)
			}
			v.Keys = append(v.Keys, s.keys[i])
			v.Plan = append(v.Plan, id)
			v.Debts = append(v.Debts, debts)
		}
		s.mu.Unlock()
	}
	return writeSnapshot(w, kindKeyed, k.table.clock.wall(t), v)
}

func saveLimits(p *plan) (saved []savedLimit) {
	for _, l := range p.limits {
		l = l.canonical()
		saved = append(saved, savedLimit{l.Rate.count, int64(l.Rate.per), int64(l.Burst)})
	}
	return saved
}

// restoreLimits returns the limits of saved, and whether they are valid.
func restoreLimits(saved []savedLimit) ([]Limit, bool) {
	limits := make([]Limit, len(saved))
	for i, l := range saved {
		limits[i] = Limit{Rate{l.Count, time.Duration(l.Per)}, int(l.Burst)}
		if int64(limits[i].Burst) != l.Burst || !limits[i].stored() {
			return nil, false
		}
	}
	return limits, validateLimits(limits) == nil
}

// ReadFrom takes over the buckets that WriteTo has written, as of the time that
// has passed since. Tokens stay spent; limits are matched by position, as by
// [Keyed.SetLimits], and keys of TakeLimits keep the limits they had. The
// tokens that k has spent already count too. Errors are those of r, or
// [ErrCorrupt] for bytes that are not such a snapshot, or [ErrVersion] if a
// later version wrote them. On an error nothing has changed.
func (k *Keyed[K]) ReadFrom(r io.Reader) (int64, error) {
	var v savedKeyed[K]
	k.current()
	n, written, err := readSnapshot(r, kindKeyed, &v)
	if err != nil {
		return n, err
	}

	// Check everything before anything is changed.
	plans := make([][]Limit, len(v.Plans))
	ok := len(v.Plan) == len(v.Keys) && len(v.Debts) == len(v.Keys) && len(v.Plans) > 0
	for i := range v.Plans {
		var valid bool
		plans[i], valid = restoreLimits(v.Plans[i])
		ok = ok && valid
	}
	for i := 0; ok && i < len(v.Keys); i++ {
		p := v.Plan[i]
		ok = p >= 0 && p < len(plans) && len(v.Debts[i]) == len(plans[p]) && hashable(v.Keys[i])
	}
	if !ok {
		return n, errSnapshot
	}

	// The time between writing and reading has paid its part of the debts.
	t := k.read()
	now := max(k.table.clock.wall(t), written)
	for i, key := range v.Keys {
		var own *plan
		if v.Plan[i] > 0 {
			own = k.intern(plans[v.Plan[i]])
		}
		k.restore(key, t, own, func(j int, to Limit) int64 {
			from := plans[v.Plan[i]]
			if j >= len(from) || v.Debts[i][j] <= 0 {
				return 0
			}
			return to.Adopt(State{Base: written, Spent: v.Debts[i][j]}, from[j], now).Spent
		})
	}
	return n, nil
}

// hashable reports whether key, which bytes may have made, can be a key: an
// interface may hold a slice.
func hashable[K comparable](key K) bool { return reflect.ValueOf(&key).Elem().Comparable() }

// restore adds debt(j, limit) to the spending of key in each tier, at reading
// t.
func (k *Keyed[K]) restore(key K, t int64, own *plan, debt func(j int, to Limit) int64) {
	s, h, d := k.enter(key, t)
	defer s.mu.Unlock()
	if own != nil {
		s.widen(len(own.meters))
		if own.span < s.span {
			s.span = own.span
			d = s.near(t)
		}
	}
	i := s.find(key, h)
	if i < 0 {
		d = s.absent(d)
		if i = s.place(&k.table, key, h, d, own, !k.table.denyNew); i < 0 {
			return // there is no room for the key
		}
	}

	// The debt comes on top of what the key spent since.
	p := s.planOf(i)
	spent := s.at(i)
	for j := range p.meters {
		v := p.meters[j].supply(d)
		add := min(max(debt(j, p.limits[j]), 0), maxDebt)
		spent[j] = max(spent[j], v)
		spent[j] += min(add, v+maxDebt-spent[j])
	}
}

// dump returns the events of w that count at reading t, with times of c.
func (w *windowState) dump(c *clock, t int64) (events []savedEvents) {
	counter := w.counter.whole()
	all := int(min(counter.count(t), math.MaxInt))
	for first := 0; first < all; {
		// The events that stop counting next, and all that stop with them.
		until := counter.free(t, int64(first)+1)
		n := sort.Search(all-first, func(i int) bool { return counter.free(t, int64(first+i)+1) > until })
		events = append(events, savedEvents{c.wall(until), int64(n)})
		first += n
	}
	return events
}

// restore counts events at reading t until their times, as many as most.
func (w *windowState) restore(c *clock, t int64, events []savedEvents, most int64) {
	w.used -= w.counter.expire(t)
	for _, e := range events {
		until := c.at(time.Unix(0, e.Until))
		n := min(e.N, most-w.used)
		if n > 0 && until > t {
			w.used += w.counter.hold(until, n)
		}
	}
}

// validEvents reports whether events can be those of one key.
func validEvents(events []savedEvents) bool {
	for i, e := range events {
		if e.N < 1 || i > 0 && e.Until < events[i-1].Until {
			return false
		}
	}
	return true
}

// WriteTo writes the events that count to out, for [KeyedWindow.ReadFrom] of
// another process, so that a deployment does not reset the day. Keys are
// encoded by encoding/gob. It writes each shard as it was when it was reached.
func (w *KeyedWindow[K]) WriteTo(out io.Writer) (int64, error) {
	var v savedWindows[K]
	now := w.reading()
	for i := range w.table.shards {
		s := &w.table.shards[i]
		s.mu.Lock()
		r := s.rule.(*windowRule)
		for i := range s.keys {
			if !s.occupied(i) {
				continue
			}
			if events := r.open(s.at(i)).dump(&w.table.clock, now); len(events) > 0 {
				v.Keys = append(v.Keys, s.keys[i])
				v.Events = append(v.Events, events)
			}
		}
		s.mu.Unlock()
	}
	return writeSnapshot(out, kindKeyedWindow, w.table.clock.wall(now), v)
}

// ReadFrom counts the events that WriteTo has written, until the time at which
// they stop counting there, or up to a slice longer. A keyed log drops those
// that exceed its slots. Errors are those of [Keyed.ReadFrom].
func (w *KeyedWindow[K]) ReadFrom(in io.Reader) (int64, error) {
	var v savedWindows[K]
	t := w.reading()
	n, _, err := readSnapshot(in, kindKeyedWindow, &v)
	if err != nil {
		return n, err
	}

	// Check everything before anything is changed.
	ok := len(v.Keys) == len(v.Events)
	for i := 0; ok && i < len(v.Keys); i++ {
		ok = validEvents(v.Events[i]) && hashable(v.Keys[i])
	}
	if !ok {
		return n, errSnapshot
	}

	for i, key := range v.Keys {
		w.restore(key, t, v.Events[i])
	}
	return n, nil
}

// restore counts events of key.
func (w *KeyedWindow[K]) restore(key K, t int64, events []savedEvents) {
	s, r, h, t := w.enter(key, t)
	defer s.mu.Unlock()
	i := s.find(key, h)
	if i < 0 {
		if i = s.place(&w.table, key, h, t, nil, !w.table.denyNew); i < 0 {
			return // there is no room for the key
		}
	}
	r.open(s.at(i)).restore(&w.table.clock, t, events, w.most)
	r.shut(s.at(i))
}

// WriteTo writes the events that count to out, for [Window.ReadFrom] of another
// process, so that a deployment does not reset the day.
func (w *Window) WriteTo(out io.Writer) (int64, error) {
	t := w.reading()
	w.mu.Lock()
	events := w.state.dump(&w.clock, t)
	w.mu.Unlock()
	v := savedWindows[int]{Keys: []int{0}, Events: [][]savedEvents{events}}
	return writeSnapshot(out, kindWindow, w.clock.wall(t), v)
}

// ReadFrom counts the events that WriteTo has written, until the time at which
// they stop counting there, or up to a slice longer. A log drops those that
// exceed the limit of w. Errors are those of [Keyed.ReadFrom].
func (w *Window) ReadFrom(in io.Reader) (int64, error) {
	var v savedWindows[int]
	t := w.reading()
	n, _, err := readSnapshot(in, kindWindow, &v)
	if err != nil {
		return n, err
	}
	if len(v.Events) != 1 || !validEvents(v.Events[0]) {
		return n, errSnapshot
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	most := int64(math.MaxInt64)
	if _, ok := w.state.counter.(*eventLog); ok {
		most = w.state.n
	}
	w.state.restore(&w.clock, t, v.Events[0], most)
	return n, nil
}
