// SPDX-License-Identifier: MIT

package breaker

// Implementation notes.
//
// One word decides; everything else is reached from it only when needed:
//
//	 63            32 31         17 16         3 2   0
//	┌────────────────┬─────────────┬────────────┬─────┐
//	│   generation   │  successes  │ outstanding│state│   successes and outstanding are those
//	└────────────────┴─────────────┴────────────┴─────┘   of probes; 0 unless half-open
//
//	Breaker ─▶ period   what belongs to one generation: its settings, the counters of its
//	                    calls, and the error of its rejections, made once
//
// Each change of state starts a generation, and with it a period of its own. A Permit carries
// the generation that admitted it. Its report is counted in the period of that generation or not at
// all, so that a late result cannot speak about a state that it has not seen; and since the
// counters are replaced rather than cleared, a report that races with a change falls either
// before it or into a period that nobody reads any more.
//
// Closed is the hot state: Allow loads the word, and the report of a success adds to the period; what
// may trip, and what ends a row of failures, takes the lock. Open is the other hot state:
// Do loads refusal, and Allow the word and the error. Half-open is cold: probes are given tickets under the lock,
// and only the refusal of one too many is lock-free.
//
// A period ends in one of three ways: a rule trips it, the caller orders it, or its time is up
// (open, a lease of a probe, recovering). The third is settleLocked, which is run by the timer, and
// by every access that looks closely: State, Stats, Err, a report, and Allow if Options.Now is set.
//
// Invariants, checked under the tag invariants after each change made with the lock held:
//
//	I1 The generation of the word and of the period are equal, and so are their states.
//	I2 outstanding is the number of probes that hold tickets, at most the most Probes ever set.
//	I3 outstanding and successes are 0 unless half-open, and no probe holds a ticket then.
//	I4 A period that rejects has an error; Closed and Disabled have none.
//	I5 Without Options.Now, a timer is set if and only if the period has an end.
//	I6 refusal is set only while all calls are rejected and nothing but a change of the word ends that.
//
// Lock order: mu is the only lock of a Breaker, and window.mu of a window is taken alone or below
// it. User code (Options.Now) may run under mu; Trip, Classify and OnChange do not.
//
// Why not a mutex around all of it, as sony/gobreaker: a closed breaker is asked by every call of
// every goroutine, and is then the lock that they all share. Why not one counter of requests in
// half-open, as it does too: a probe that never reports wedges it (its issues 30, 49, 53, 63).
// Why not a bitmap of probes: with Successes above Probes a second report of one call would free the
// slot of another; tickets are unique. Why not change state only on the next call: State would
// lie meanwhile, and nobody would hear the event (App-vNext/Polly#481).

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// A State is what a [Breaker] does with calls.
type State uint8

// States. ForcedOpen and Disabled are entered and left by order only.
const (
	Closed     State = iota // calls are admitted and counted
	Open                    // calls are rejected until a time
	HalfOpen                // a few calls, the probes, are admitted
	Recovering              // a growing part of the calls is admitted, and counted
	ForcedOpen              // calls are rejected until Auto
	Disabled                // calls are admitted until Auto, and counted, but nothing trips
)

// String returns the name of s in lower case.
func (s State) String() string {
	names := [...]string{"closed", "open", "half-open", "recovering", "forced open", "disabled"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// A Breaker decides whether to call something that may be failing, and learns from the outcomes.
// It is safe for concurrent use by multiple goroutines, must not be copied after first use, and needs
// no Close. The zero Breaker is closed and ready, with default [Options].
//
// Most callers should use [Do] or [Breaker.Do]. Where admission and outcome are seen in different
// places, as in interceptors, use [Breaker.Allow] and report to the [Permit].
type Breaker struct {
	word    atomic.Uint64 // 0 until first use
	per     atomic.Pointer[period]
	refusal atomic.Pointer[error] // of all calls, if nothing but a change of the word ends that
	late    atomic.Uint64
	all     atomic.Pointer[totals] // nil unless Options.Count was ever set

	now  func() time.Time // nil: the system's monotonic clock; set once
	base time.Time        // readings are nanoseconds since base; set once

	mu       sync.Mutex // protects what follows, and every change of word and per
	row      int        // openings since the breaker was last stable
	opened   uint64
	ticket   uint32 // the last given
	probes   []probe
	timer    *time.Timer
	events   []Change
	draining bool // a goroutine is delivering events
}

// A probe is an outstanding call of a half-open breaker.
type probe struct {
	ticket uint32
	lease  int64 // the reading at which it counts as failed
}

// A period is what belongs to one generation. Only its counters change.
type period struct {
	gen          uint32
	state        State
	cfg          *config
	err          *OpenError   // of rejections; nil if there are none
	since, until int64        // readings; until is the end of Open and Recovering
	fails        atomic.Int64 // in a row; written with the lock held
	win          window       // nil if no rule needs one

	// What Do may do without looking further, while the word is this one.
	word  uint64
	plain bool  // admit, and if the call succeeds and fails is 0 count it in ring, if there is one
	ring  *ring // win, if it is one
}

// ready fills in what follows from the rest.
func (per *period) ready() *period {
	c := per.cfg
	per.word = pack(per.gen, per.state, 0, 0)
	per.ring, _ = per.win.(*ring)
	counted := per.win != nil && per.ring == nil // with a lock
	per.plain = per.state == Closed && !counted && c.SlowCall == 0 && c.Timeout == 0 && !c.custom && !c.Count
	return per
}

// publishLocked makes per the current period. While refusal is set the word says so, too: it is taken
// back before the word changes, and set after.
func (b *Breaker) publishLocked(per *period, w uint64) {
	b.refusal.Store(nil)
	b.per.Store(per.ready())
	b.word.Store(w)
	if !per.cfg.Count && (per.state == Open && b.now == nil || per.state == ForcedOpen) {
		refusal := error(per.err)
		b.refusal.Store(&refusal)
	}
}

// totals are the counters of Options.Count.
type totals struct{ succeeded, failed, ignored, rejected atomic.Uint64 }

const (
	outstandingShift = 3
	successShift     = 17
	genShift         = 32
	never            = 1<<63 - 1
	// maxReading keeps the difference of two readings within 64 bits.
	maxReading = 1<<62 - 1
	// untimed is the start of a call whose duration nobody asked for.
	untimed = -1 << 63
)

func stateOf(w uint64) State { return State(w & (1<<outstandingShift - 1)) }
func outstandingOf(w uint64) int {
	return int(w >> outstandingShift & (1<<(successShift-outstandingShift) - 1))
}
func successesOf(w uint64) int { return int(w >> successShift & (1<<(genShift-successShift) - 1)) }

func pack(gen uint32, s State, outstanding, successes int) uint64 {
	return uint64(gen)<<genShift | uint64(successes)<<successShift | uint64(outstanding)<<outstandingShift | uint64(s)
}

// New returns a closed Breaker. If opts is nil, the defaults are used.
// It panics if opts are not valid.
func New(opts *Options) *Breaker {
	if err := opts.Validate(); err != nil {
		panic("breaker: New: " + reason(err))
	}
	b := &Breaker{}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.startLocked(opts)
	return b
}

// startLocked makes a zero Breaker a closed one.
func (b *Breaker) startLocked(opts *Options) {
	c := resolve(opts)
	b.now = c.Now
	b.base = b.clock()
	if c.Count {
		b.all.Store(&totals{})
	}
	b.publishLocked(&period{gen: 1, cfg: c, win: newWindow(c, 0)}, pack(1, Closed, 0, 0))
}

// lock locks b and starts it if it is the zero Breaker.
func (b *Breaker) lock() {
	b.mu.Lock()
	if b.word.Load() == 0 {
		b.startLocked(nil)
	}
}

// unlock ends every section that may have changed the state, and delivers what it changed.
func (b *Breaker) unlock() {
	if invariants {
		b.checkLocked()
	}
	events := len(b.events) > 0
	b.mu.Unlock()
	if events {
		b.deliver()
	}
}

func (b *Breaker) clock() time.Time {
	if b.now != nil {
		return b.now()
	}
	return time.Now()
}

// elapsed returns the reading of the clock: nanoseconds since base.
func (b *Breaker) elapsed() int64 {
	if b.now != nil {
		return min(max(int64(b.now().Sub(b.base)), -maxReading), maxReading)
	}
	return int64(time.Since(b.base))
}

// elapsedLocked is elapsed, but never before the current period: the clock stands still while
// it goes back.
func (b *Breaker) elapsedLocked() int64 { return max(b.elapsed(), b.per.Load().since) }

// Allow asks for one call. It returns a Permit, to which the outcome must be reported, or an
// [*OpenError] that is an [ErrOpen]. It does not block, and allocates only the timer of a first probe. The complexity is O(1),
// and O(n) where n = Options.Probes while half-open.
func (b *Breaker) Allow() (Permit, error) {
	w := b.word.Load()
	if s := stateOf(w); w != 0 && (s == Closed || s == Disabled) {
		p := Permit{b: b, gen: uint32(w >> genShift), start: untimed}
		if b.per.Load().cfg.SlowCall > 0 {
			p.start = b.elapsed()
		}
		return p, nil
	}
	return b.allow(w)
}

// allow is Allow in the states that reject, given the word.
func (b *Breaker) allow(w uint64) (Permit, error) {
	if w == 0 {
		b.lock()
		b.unlock()
		return b.Allow()
	}
	per := b.per.Load()
	if per.gen == uint32(w>>genShift) {
		switch stateOf(w) {
		case ForcedOpen:
			return b.reject(per)
		case Open:
			if b.now == nil { // the timer ends it
				return b.reject(per)
			}
		case HalfOpen:
			if b.now == nil && outstandingOf(w) >= per.cfg.Probes {
				return b.reject(per)
			}
		case Recovering:
			if t := b.elapsed(); t < per.until {
				return b.ramp(per, t)
			}
		}
	}
	b.lock()
	defer b.unlock()
	return b.allowLocked()
}

func (b *Breaker) allowLocked() (Permit, error) {
	t := b.elapsedLocked()
	b.settleLocked(t)
	per, w := b.per.Load(), b.word.Load()
	switch per.state {
	case Closed, Disabled:
		return Permit{b: b, gen: per.gen, start: t}, nil
	case HalfOpen:
		if outstandingOf(w) < per.cfg.Probes {
			return b.probeLocked(per, w, t), nil
		}
	case Recovering:
		return b.ramp(per, t)
	case Open, ForcedOpen:
	}
	return b.reject(per)
}

// reject returns the error of per, and counts if that is wanted.
func (b *Breaker) reject(per *period) (Permit, error) {
	if per.cfg.Count {
		b.all.Load().rejected.Add(1)
	}
	return Permit{}, per.err
}

// ramp admits a part of the calls of a recovering breaker that grows with t.
func (b *Breaker) ramp(per *period, t int64) (Permit, error) {
	c := per.cfg
	part := max(float64(t-per.since)/float64(per.until-per.since), 0)
	if c.rand() >= c.RecoveryStart+(1-c.RecoveryStart)*part {
		return b.reject(per)
	}
	return Permit{b: b, gen: per.gen, start: t}, nil
}

// probeLocked gives a ticket to a probe.
func (b *Breaker) probeLocked(per *period, w uint64, t int64) Permit {
	b.ticket++
	if b.ticket == 0 {
		b.ticket = 1 // 0 is no ticket
	}
	lease := int64(never)
	if d := int64(per.cfg.ProbeTimeout); d > 0 && t < never-d {
		lease = t + d
	}
	b.probes = append(b.probes, probe{b.ticket, lease})
	b.word.Store(w + 1<<outstandingShift)
	if len(b.probes) == 1 {
		b.armLocked(t)
	}
	return Permit{b: b, gen: per.gen, ticket: b.ticket, start: t}
}

// settleLocked makes the changes that time has brought by reading t, as of when they were due.
func (b *Breaker) settleLocked(t int64) {
	for {
		per := b.per.Load()
		due := b.dueLocked(per)
		if due == never || t < due {
			return
		}
		switch per.state {
		case Open:
			b.moveLocked(HalfOpen, due, due, per.err.Cause)
		case HalfOpen:
			b.openLocked(due, 0, ErrLost)
		default:
			b.moveLocked(Closed, due, due, nil)
		}
	}
}

// dueLocked returns the reading at which per ends by itself, or never.
func (b *Breaker) dueLocked(per *period) int64 {
	switch per.state {
	case Open, Recovering:
		return per.until
	case HalfOpen:
		due := int64(never)
		for _, p := range b.probes {
			due = min(due, p.lease)
		}
		return due
	default:
		return never
	}
}

// armLocked sets the timer for the end of the current period, if it has one.
func (b *Breaker) armLocked(t int64) {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	due := b.dueLocked(b.per.Load())
	if b.now != nil || due == never {
		return
	}
	// The timer must not keep alive a breaker that nobody else can see.
	w := weak.Make(b)
	b.timer = time.AfterFunc(time.Duration(max(due-t, 0)), func() {
		if b := w.Value(); b != nil {
			b.wake()
		}
	})
}

// wake runs when the end of a period may have come.
func (b *Breaker) wake() {
	b.mu.Lock()
	defer b.unlock()
	t := b.elapsedLocked()
	b.settleLocked(t)
	b.armLocked(t)
}

// openLocked opens at reading at, for d or, if that is 0, for as long as it is the turn of.
func (b *Breaker) openLocked(at, d int64, cause error) {
	per := b.per.Load()
	if per.state == Closed && at-per.since >= int64(per.cfg.StableFor) {
		b.row = 0
	}
	if d == 0 {
		d = per.cfg.delay(b.row)
	}
	b.row++
	b.opened++
	b.moveLocked(Open, at, at+min(d, maxReading), cause)
}

// moveLocked starts the generation of state to at reading at.
func (b *Breaker) moveLocked(to State, at, until int64, cause error) {
	old := b.per.Load()
	c := old.cfg
	per := &period{gen: max(old.gen+1, 1), state: to, cfg: c, since: at, until: until}
	switch to {
	case Closed, Disabled, Recovering:
		per.win = newWindow(c, at)
	case Open, HalfOpen, ForcedOpen:
	}
	per.err = b.openError(per, cause)
	b.probes = b.probes[:0]
	b.publishLocked(per, pack(per.gen, to, 0, 0))
	b.armLocked(b.elapsedLocked())
	if c.OnChange != nil {
		b.events = append(b.events, Change{
			Name: c.Name, From: old.state, To: to, At: b.base.Add(time.Duration(at)),
			Generation: per.gen, Until: b.untilOf(per), Cause: cause, Stats: b.statsLocked(old, at),
		})
	}
}

// openError returns the error of the rejections of per, or nil if it has none.
func (b *Breaker) openError(per *period, cause error) *OpenError {
	e := &OpenError{Name: per.cfg.Name, State: per.state, Cause: cause, now: b.now}
	switch per.state {
	case Closed, Disabled:
		return nil
	case Open:
		e.Until = b.untilOf(per)
	case HalfOpen: // by then the probes have answered or lost their lease
		if d := per.cfg.ProbeTimeout; d > 0 {
			e.Until = b.base.Add(time.Duration(per.since)).Add(d)
		}
	case Recovering, ForcedOpen:
	}
	return e
}

// untilOf returns the time at which an open per ends, else the zero time.
func (b *Breaker) untilOf(per *period) time.Time {
	if per.state != Open {
		return time.Time{}
	}
	return b.base.Add(time.Duration(per.until))
}

// State returns the state. It is exact even if the timer is late.
func (b *Breaker) State() State { return b.settled().state }

// settled returns the current period after the changes that time has brought.
func (b *Breaker) settled() *period {
	w := b.word.Load()
	if s := stateOf(w); w != 0 && (s == Closed || s == ForcedOpen || s == Disabled) {
		if per := b.per.Load(); per.gen == uint32(w>>genShift) {
			return per
		}
	}
	b.lock()
	defer b.unlock()
	b.settleLocked(b.elapsedLocked())
	return b.per.Load()
}

// Err returns the error with which a call would be rejected now, or nil if it might be admitted.
// It takes nothing: use it for health checks, not before Allow.
func (b *Breaker) Err() error {
	b.lock()
	defer b.unlock()
	b.settleLocked(b.elapsedLocked())
	per := b.per.Load()
	switch {
	case per.state == Open, per.state == ForcedOpen,
		per.state == HalfOpen && outstandingOf(b.word.Load()) >= per.cfg.Probes:
		return per.err
	}
	return nil
}

// Until returns when the breaker will try again, or the zero time if it is not open.
func (b *Breaker) Until() time.Time { return b.untilOf(b.settled()) }

// ForceOpen rejects all calls until Auto or Reset.
func (b *Breaker) ForceOpen() { b.force(ForcedOpen) }

// ForceClosed admits all calls until Auto or Reset: nothing trips the breaker, which is then
// [Disabled], but outcomes are counted as ever.
func (b *Breaker) ForceClosed() { b.force(Disabled) }

func (b *Breaker) force(to State) {
	b.lock()
	defer b.unlock()
	t := b.elapsedLocked()
	b.settleLocked(t)
	if b.per.Load().state != to {
		b.moveLocked(to, t, t, nil)
	}
}

// Auto ends ForceOpen and ForceClosed: the breaker is closed, as if new. In other states it does
// nothing.
func (b *Breaker) Auto() {
	b.lock()
	defer b.unlock()
	if s := b.per.Load().state; s == ForcedOpen || s == Disabled {
		b.resetLocked()
	}
}

// Reset closes the breaker and forgets all outcomes, those of calls in flight included.
func (b *Breaker) Reset() {
	b.lock()
	defer b.unlock()
	b.settleLocked(b.elapsedLocked())
	b.resetLocked()
}

func (b *Breaker) resetLocked() {
	t := b.elapsedLocked()
	b.row = 0
	b.moveLocked(Closed, t, t, nil)
}

// Trip opens the breaker for d, or for as long as a rule would if d is 0: use it when the other
// side says when to come back. If the breaker is open already it stays so for the longer of both;
// if it was forced into a state it does nothing. It panics if d is negative.
func (b *Breaker) Trip(d time.Duration, cause error) {
	if d < 0 {
		panic(fmt.Sprintf("breaker: Trip: d must not be negative, got %v", d))
	}
	b.lock()
	defer b.unlock()
	t := b.elapsedLocked()
	b.settleLocked(t)
	switch per := b.per.Load(); {
	case per.state == ForcedOpen || per.state == Disabled:
	case per.state != Open:
		b.openLocked(t, int64(d), cause)
	case t+min(int64(d), maxReading) > per.until:
		b.moveLocked(Open, t, t+min(int64(d), maxReading), cause)
	}
}

// SetOptions changes the settings and keeps the state, the failures in a row and the probes;
// windows begin anew, an open time that runs is not changed, and Now stays what it was. An outcome
// reported at the same moment may be forgotten.
// It returns an error, and changes nothing, if opts are not valid.
func (b *Breaker) SetOptions(opts *Options) error {
	if err := opts.Validate(); err != nil {
		return err
	}
	b.lock()
	defer b.unlock()
	t := b.elapsedLocked()
	b.settleLocked(t)
	old, c := b.per.Load(), resolve(opts)
	per := &period{gen: old.gen, state: old.state, cfg: c, err: old.err, since: old.since, until: old.until}
	per.fails.Store(old.fails.Load())
	if old.err != nil {
		per.err = b.openError(per, old.err.Cause)
	}
	if old.err == nil || old.state == Recovering {
		per.win = newWindow(c, t)
	}
	if c.Count && b.all.Load() == nil {
		b.all.Store(&totals{})
	}
	b.publishLocked(per, b.word.Load())
	return nil
}
