// SPDX-License-Identifier: MIT

package ratelimit

import (
	"encoding/binary"
	"math"
	"time"
)

// A sharedWindowRule decides about keys that obey a window each.
//
// The store holds the events that count, each with the reading at which it
// stops counting, and the reading of the last write. That says nothing about
// the kind of the window, so that processes of two rules can use one key: an
// event counts as long as the rule under which it happened says, or as the rule
// in force says of an event that happens now, whichever is sooner.
type sharedWindowRule struct {
	limit  int64
	length time.Duration
	kind   counter // empty; the counters of keys are made from it
	most   int64   // bounds the events of a key, whatever the store says
}

// The bytes of the last reading and of events that stop counting together.
const (
	latestSize = 8
	eventsSize = 2 * 8
)

// epoch is the base of the readings that processes share.
var epoch = clock{base: time.Unix(0, 0)}

// maxSharedEvents bounds the events of a key, for arithmetic.
const maxSharedEvents = 1 << 61

// Share returns a Shared whose keys each obey the rule of w: "1000 a day for
// each user, on all servers, and a deployment does not reset the day". The
// events, the clock and later limits of w itself do not matter. If opts is nil,
// the defaults are used.
//
// All processes must agree about windows, so those that [NewFixedWindow] and
// [NewSlidingWindow] count by begin at multiples of their length since 1970. A
// quota takes 72 bytes a key in the store, a sliding window 56 and 16 a slice
// in which events count, a log 16 an event: share one of hundreds, not of
// thousands. Share panics for a log of more than 65536 events.
//
// Processes with other rules may use the same keys, as while a change is rolled
// out: an event counts as long as the rule under which it happened says, but no
// longer than an event of now does. A rule that counts events together, in a
// slice, a window or a period, counts those of other rules to the end of that;
// so while both rules are in use, an event may count until one of now does not.
// A key cannot hold both a window and the limits of [NewShared]: the one finds
// [ErrCorrupt] there.
func (w *Window) Share(store Store, opts *SharedOptions) *Shared {
	w.mustUse()
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &sharedWindowRule{
		limit:  w.state.n,
		length: w.state.length,
		kind:   w.state.counter.another(epoch.base),
		most:   maxSharedEvents,
	}
	if _, ok := r.kind.(*eventLog); ok {
		checkLog(int(r.limit))
		r.most = maxKeyedLog
	}
	return &Shared{store: store, rule: r, opts: opts.resolve()}
}

func (r *sharedWindowRule) decode(data []byte) (sharedState, error) {
	w := &sharedWindow{rule: r, latest: math.MinInt64}
	w.state = windowState{length: r.length, counter: r.kind.another(epoch.base)}
	if len(data) == 0 {
		return w, nil
	}
	count, words, err := w.open(data, kindEvents)
	if err != nil {
		return nil, err
	}
	if count != 0 || len(words)%eventsSize != latestSize {
		return nil, ErrCorrupt
	}

	// The checksum holds. The events must be in order nevertheless, and have
	// counted when they were written.
	w.latest = cutWord(&words)
	if w.latest != clamped(w.latest) {
		return nil, ErrCorrupt
	}
	w.state.counter.expire(w.latest)
	last := w.state.counter.until(w.latest) // of an event of now
	for before := w.latest; len(words) > 0; {
		e := savedEvents{Until: cutWord(&words), N: cutWord(&words)}
		if e.Until <= before || e.N < 1 {
			return nil, ErrCorrupt
		}
		before = e.Until
		n := min(e.N, max(r.most-w.state.used, 0))
		w.state.used += w.state.counter.hold(min(e.Until, last), n)
	}
	return w, nil
}

// clamped returns the reading t, or the nearest within maxReading of 1970.
func clamped(t int64) int64 { return min(max(t, -maxReading), maxReading) }

// A sharedWindow is the window of one key.
type sharedWindow struct {
	marks
	rule   *sharedWindowRule
	state  windowState
	latest int64 // the latest reading of a write, or math.MinInt64
}

func (w *sharedWindow) encode() []byte {
	events := w.state.dump(&epoch, w.latest)
	out := w.header(kindEvents, 0, latestSize+len(events)*eventsSize)
	out = binary.LittleEndian.AppendUint64(out, uint64(w.latest))
	for _, e := range events {
		out = binary.LittleEndian.AppendUint64(out, uint64(e.Until))
		out = binary.LittleEndian.AppendUint64(out, uint64(e.N))
	}
	return seal(out)
}

func (w *sharedWindow) take(now int64, n int) (Decision, bool) {
	t := clamped(now)
	d := w.state.take(t, int64(n), w.rule.limit)
	if !d.OK || n == 0 {
		return d, false
	}
	w.latest = max(w.latest, t)
	return d, true
}

func (w *sharedWindow) giveBack(now int64, n int, until int64) bool {
	t := clamped(now)
	if w.state.counter.count(t) == 0 || n == 0 {
		return false
	}
	w.state.giveBack(t, int64(n), until)
	w.latest = max(w.latest, t)
	return true
}

func (w *sharedWindow) until(now int64) int64 { return w.state.counter.until(clamped(now)) }

// ttl returns how long the store must keep w, or 0 if forever.
func (w *sharedWindow) ttl(now int64) time.Duration {
	d := w.state.peek(clamped(now), 0, w.rule.limit).ResetAfter
	if d > math.MaxInt64-ttlSlack {
		return 0
	}
	return d + ttlSlack
}
