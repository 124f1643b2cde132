// SPDX-License-Identifier: MIT

package breaker

// Implementation notes.
//
// One word decides; everything else is reached from it only when needed:
//
//	 63            32 31         17 16         3 2   0
//	┌────────────────┬─────────────┬────────────┬─────┐
//	│   generation   │  successes  │ outstanding│state│
//	└────────────────┴─────────────┴────────────┴─────┘
//	                  of probes; 0 unless half-open
//
//	Breaker ─▶ period   the parts of one generation: its settings, the
//	                    counters of its calls, the error of its rejections
//
// Each change of state starts a generation, and with it a period of its own. An
// admission carries the generation that admitted the call. Its report is
// counted in the period of that generation or not at all, so that a late result
// cannot speak about a state that it has not seen. The counters are replaced
// rather than cleared: a report that races with a change falls either before it
// or into a period that nobody reads any more.
//
// Closed is the hot state: Do compares the word with that of the period, and a
// success adds to the period. A failure, and the success that ends a row of
// failures, take the lock. Open is the other hot state: Do loads refusal, and
// Allow the word and the error. Half-open is cold: probes get tickets under the
// lock, and only the refusal of one too many is lock-free.
//
// A period ends in one of three ways: a rule trips it, the caller orders it, or
// its time is up (open, a lease of a probe, recovering). The third is
// settleLocked. The timer runs it, and every access that looks closely: State,
// Stats, Err, a report, and Allow if Options.Now is set.
//
// Invariants, checked under the tag invariants after each change made with the
// lock held:
//
//	I1 The generation of the word and of the period are equal, and so are
//	   their states.
//	I2 outstanding is the number of probes that hold tickets, at most the most
//	   Probes ever set.
//	I3 outstanding and successes are 0 unless half-open, and no probe holds a
//	   ticket then.
//	I4 A period that rejects has an error; Closed and Disabled have none.
//	I5 Without Options.Now, a timer is set if and only if the period has an end.
//	I6 refusal is set only while all calls are rejected and nothing but a
//	   change of the word ends that.
//
// Lock order: Group.mu, then mu of a Breaker, then mu of its window. User code
// runs under none of them, except Options.Now under the first two.
//
// Why not a mutex around all of it, as sony/gobreaker: every call of every
// goroutine asks a closed breaker, and they would all share that lock. Why not
// one counter of requests in half-open, as it does too: a probe that never
// reports wedges it (its issues 30, 49, 53, 63). Why not a bitmap of probes:
// with Successes above Probes a second report of one call would free the slot
// of another; tickets are unique. Why not change state only on the next call:
// State would lie meanwhile, and nobody would hear the event
// (App-vNext/Polly#481).

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
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

var stateNames = [...]string{"closed", "open", "half-open", "recovering", "forced open", "disabled"}

// String returns the name of s in lower case.
func (s State) String() string { return nameOf(stateNames[:], uint8(s), "state") }

// MarshalText returns the name of s.
func (s State) MarshalText() ([]byte, error) {
	return marshalName(stateNames[:], uint8(s), "state")
}

// UnmarshalText sets s to the state that text names.
func (s *State) UnmarshalText(text []byte) error {
	i, err := unmarshalName(stateNames[:], text, "state")
	if err == nil {
		*s = State(i)
	}
	return err
}

// A Breaker decides whether to call something that may be failing, and learns
// from the outcomes. It is safe for concurrent use by multiple goroutines, must
// not be copied after first use, and needs no Close. The zero Breaker is closed
// and ready, with default [Options].
//
// Most callers should use [Do] or [Breaker.Do]. Where admission and outcome are
// seen in different places, as in interceptors, use [Breaker.Allow] and report
// to the [Permit].
type Breaker struct {
	word    atomic.Uint64 // 0 until first use
	per     atomic.Pointer[period]
	refusal atomic.Pointer[error]  // of all calls, if only a change of the word ends that
	late    atomic.Uint64          // reports that came too late to be counted
	all     atomic.Pointer[totals] // nil unless Options.Count was ever set
	clock   clock                  // set once

	mu     sync.Mutex // protects the fields below, and every change of word and per
	row    int32      // openings in a row, since the breaker was last stable
	ticket uint32     // the last given
	opened uint64     // openings since the start
	bad    int64      // the reading of the last failed or slow call
	probes []probe
	timer  *time.Timer
	queue  *changeQueue // nil until the first change that OnChange is to see
}

// totals are the counters of Options.Count.
type totals struct{ succeeded, failed, ignored, rejected atomic.Uint64 }

// New returns a closed Breaker. If opts is nil, the defaults are used.
// It panics if opts is not valid.
func New(opts *Options) *Breaker {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	return newBreaker(configOf(opts))
}

func newBreaker(c *config) *Breaker {
	b := &Breaker{}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.startLocked(c)
	return b
}

// startLocked makes a zero Breaker a closed one.
func (b *Breaker) startLocked(c *config) {
	b.clock = newClock(c.Now)
	if c.Count {
		b.all.Store(&totals{})
	}
	per := &period{gen: 1, cfg: c}
	per.startWindow(0)
	b.publishLocked(per, pack(1, Closed))
}

// lock locks b and starts it if it is the zero Breaker.
func (b *Breaker) lock() {
	b.mu.Lock()
	if b.word.Load() == 0 {
		b.startLocked(defaults)
	}
}

// unlock ends every section that may have changed the state, and delivers what
// it changed.
func (b *Breaker) unlock() {
	if invariants {
		b.checkLocked()
	}
	changes := b.queue != nil && len(b.queue.waiting) > 0
	b.mu.Unlock()
	if changes {
		b.deliver()
	}
}

// readLocked returns the reading of the clock, but none before the current
// period: the clock stands still while it goes back.
func (b *Breaker) readLocked() int64 { return max(b.clock.read(), b.per.Load().since) }

// State returns the state. It is exact even if the timer is late.
func (b *Breaker) State() State { return b.settled().state }

// settled returns the current period after the changes that time has brought.
func (b *Breaker) settled() *period {
	w := b.word.Load()
	if s := stateOf(w); w != 0 && (s == Closed || s == ForcedOpen || s == Disabled) {
		// Time does not end these states. If the period is of a newer
		// generation than the word, a change is being published: wait for it.
		if per := b.per.Load(); per.gen == uint32(w>>genShift) {
			return per
		}
	}
	b.lock()
	defer b.unlock()
	b.settleLocked(b.readLocked())
	return b.per.Load()
}

// Err returns the error with which a call would be rejected now, or nil if it
// might be admitted. It takes nothing: use it for health checks, not before
// Allow.
func (b *Breaker) Err() error {
	b.lock()
	defer b.unlock()
	b.settleLocked(b.readLocked())

	per := b.per.Load()
	switch {
	case per.state == Open, per.state == ForcedOpen,
		per.state == HalfOpen && outstandingOf(b.word.Load()) >= per.cfg.Probes:
		return per.err
	}
	return nil
}

// Until returns when the breaker will try again, or the zero time if it is not
// open.
func (b *Breaker) Until() time.Time { return b.untilOf(b.settled()) }

// ForceOpen rejects all calls until Auto or Reset.
func (b *Breaker) ForceOpen() { b.force(ForcedOpen) }

// ForceClosed admits all calls until Auto or Reset: nothing trips the breaker,
// which is then [Disabled], but outcomes are counted as ever.
func (b *Breaker) ForceClosed() { b.force(Disabled) }

func (b *Breaker) force(to State) {
	b.lock()
	defer b.unlock()
	t := b.readLocked()
	b.settleLocked(t)
	if b.per.Load().state != to {
		b.moveLocked(to, t, t, nil)
	}
}

// Auto ends ForceOpen and ForceClosed: the breaker is closed, as if new. In
// other states it does nothing.
func (b *Breaker) Auto() {
	b.lock()
	defer b.unlock()
	if s := b.per.Load().state; s == ForcedOpen || s == Disabled {
		b.resetLocked()
	}
}

// Reset closes the breaker and forgets all outcomes, those of calls in flight
// included.
func (b *Breaker) Reset() {
	b.lock()
	defer b.unlock()
	b.settleLocked(b.readLocked())
	b.resetLocked()
}

func (b *Breaker) resetLocked() {
	t := b.readLocked()
	b.row = 0
	b.moveLocked(Closed, t, t, nil)
}

// Trip opens the breaker for d, or for as long as a rule would if d is 0: use
// it when the other side says when to come back. An open breaker stays open for
// the longer of both times. A breaker that was forced into a state stays in it.
// Trip panics if d is negative.
func (b *Breaker) Trip(d time.Duration, cause error) {
	if d < 0 {
		panic(fmt.Sprintf("breaker: d must not be negative, got %v", d))
	}

	b.lock()
	defer b.unlock()
	t := b.readLocked()
	b.settleLocked(t)

	// A longer open time replaces a shorter one, never the other way round.
	until := t + min(int64(d), maxReading)
	switch per := b.per.Load(); {
	case per.state == ForcedOpen || per.state == Disabled:
	case per.state != Open:
		b.openLocked(t, int64(d), cause)
	case until > per.until:
		b.moveLocked(Open, t, until, cause)
	}
}

// SetOptions changes the settings and keeps the state, the failures in a row
// and the probes. The window is kept if Window, Buckets and WindowCalls are
// what they were; else it begins anew, and an outcome reported at the same
// moment may be forgotten. An open time that runs is not changed, and Now stays
// what it was. It returns an error, and changes nothing, if opts is not valid.
func (b *Breaker) SetOptions(opts *Options) error {
	if err := opts.Validate(); err != nil {
		return err
	}
	c := configOf(opts)

	b.lock()
	defer b.unlock()
	t := b.readLocked()
	b.settleLocked(t)

	// The period is replaced within its generation, so that calls in flight
	// still count.
	old := b.per.Load()
	per := &period{gen: old.gen, state: old.state, cfg: c, since: old.since, until: old.until}
	per.fails.Store(old.fails.Load())

	// The window keeps its counts if the new one has its shape.
	if old.err != nil {
		per.err = b.openError(per, old.err.Cause)
	}
	if old.err == nil || old.state == Recovering {
		per.keepWindow(old, t)
	}
	if c.Count && b.all.Load() == nil {
		b.all.Store(&totals{})
	}
	b.publishLocked(per, b.word.Load())
	return nil
}
