// SPDX-License-Identifier: MIT

package breaker

import (
	"sync/atomic"
	"time"
	"weak"
)

// A period holds the settings and counters of one generation. Only its counters
// change.
type period struct {
	gen          uint32
	plain        bool // nothing but the window needs to know of a success; see [period.succeed]
	windowed     bool // there is a ring or a last
	state        State
	cfg          *config
	err          *OpenError   // of rejections; nil if there are none
	since, until int64        // readings; until is the end of Open and Recovering
	fails        atomic.Int64 // failures in a row; written with the lock held
	ring         *ring        // the window, if it is one of time
	last         *last        // the window, if it is one of calls
	word         uint64       // of this period while no probe is outstanding
}

// A probe is an outstanding call of a half-open breaker.
type probe struct {
	ticket uint32
	lease  int64 // the reading at which it counts as failed
}

const (
	outstandingShift = 3
	successShift     = 17
	genShift         = 32
	never            = 1<<63 - 1
)

func stateOf(w uint64) State { return State(w & (1<<outstandingShift - 1)) }

func outstandingOf(w uint64) int {
	return int(w >> outstandingShift & (1<<(successShift-outstandingShift) - 1))
}

func successesOf(w uint64) int { return int(w >> successShift & (1<<(genShift-successShift) - 1)) }

// pack returns the word of a generation that has no probes yet.
func pack(gen uint32, s State) uint64 { return uint64(gen)<<genShift | uint64(s) }

// startWindow gives per an empty window from reading t on, if a rule needs one.
func (per *period) startWindow(t int64) {
	c := per.cfg
	switch {
	case !c.counted():
	case c.WindowCalls > 0:
		per.last = newLast(c.WindowCalls)
	default:
		per.ring = newRing(int64(c.Window), c.Buckets, t)
	}
}

// keepWindow gives per the window of old if it has the right shape, else an
// empty one.
func (per *period) keepWindow(old *period, t int64) {
	c, was := per.cfg, old.cfg
	if c.counted() && was.counted() &&
		c.WindowCalls == was.WindowCalls && c.Window == was.Window && c.Buckets == was.Buckets {
		per.ring = old.ring
		per.last = old.last
		return
	}
	per.startWindow(t)
}

// add counts a call in the window, if there is one.
func (per *period) add(t int64, failed, slow bool) {
	switch {
	case per.ring != nil:
		per.ring.add(t, failed, slow)
	case per.last != nil:
		per.last.add(failed, slow)
	}
}

// sum returns the counts of the window at reading t.
func (per *period) sum(t int64) tally {
	switch {
	case per.ring != nil:
		return per.ring.sum(t)
	case per.last != nil:
		return per.last.sum()
	}
	return tally{}
}

// breaks reports whether the window breaks the rule of a ratio.
func (per *period) breaks(t int64) bool {
	c := per.cfg
	if c.FailureRatio == 0 && c.SlowRatio == 0 {
		return false
	}

	// A ratio of few calls says nothing.
	sum := per.sum(t)
	if sum[calls] < uint64(c.MinCalls) {
		return false
	}

	// The quotient, not the product: 55 of 100 is 0.55, but 0.55 times 100 is
	// more than 55.
	n := float64(sum[calls])
	return c.FailureRatio > 0 && float64(sum[failures])/n >= c.FailureRatio ||
		c.SlowRatio > 0 && float64(sum[slows])/n >= c.SlowRatio
}

// publishLocked makes per the current period, and w the word. While refusal is
// set the word says the same: refusal is taken back before the word changes,
// and set after.
func (b *Breaker) publishLocked(per *period, w uint64) {
	c := per.cfg
	per.word = pack(per.gen, per.state)
	per.windowed = per.ring != nil || per.last != nil
	per.plain = per.state == Closed && c.SlowCall == 0 && c.Timeout == 0 && !c.custom && !c.Count

	b.refusal.Store(nil)
	b.per.Store(per)
	b.word.Store(w)
	if !c.Count && (per.state == Open && b.clock.now == nil || per.state == ForcedOpen) {
		refusal := error(per.err)
		b.refusal.Store(&refusal)
	}
}

// settleLocked makes the changes that time has brought by reading t, as of when
// they were due.
func (b *Breaker) settleLocked(t int64) {
	for {
		per := b.per.Load()
		due := b.dueLocked(per)
		if due == never || t < due {
			return
		}

		// Several periods may have ended since the last look.
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

	// A clock of the caller's has no timers: its periods end when a call looks.
	due := b.dueLocked(b.per.Load())
	if b.clock.now != nil || due == never {
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
	t := b.readLocked()
	b.settleLocked(t)
	b.armLocked(t)
}

// openLocked opens at reading at, for d or, if d is 0, for the next time of the
// backoff.
func (b *Breaker) openLocked(at, d int64, cause error) {
	per := b.per.Load()
	if per.state == Closed && at-per.since >= int64(per.cfg.StableFor) {
		b.row = 0
	}
	if d == 0 {
		d = per.cfg.delay(int(b.row))
	}
	b.row++
	b.opened++
	b.moveLocked(Open, at, at+min(d, maxReading), cause)
}

// moveLocked starts the generation of state to at reading at.
func (b *Breaker) moveLocked(to State, at, until int64, cause error) {
	old := b.per.Load()
	per := &period{gen: max(old.gen+1, 1), state: to, cfg: old.cfg, since: at, until: until}
	if to == Closed || to == Disabled || to == Recovering {
		per.startWindow(at)
	}
	per.err = b.openError(per, cause)

	// Probes in flight belong to the old generation, as do their reports.
	b.probes = b.probes[:0]
	b.publishLocked(per, pack(per.gen, to))
	b.armLocked(b.readLocked())

	// The callback runs when the lock is let go.
	if per.cfg.OnChange != nil {
		b.queueLocked(Change{
			Name: per.cfg.Name, From: old.state, To: to, At: b.clock.base.Add(time.Duration(at)),
			Generation: per.gen, Until: b.untilOf(per), Cause: cause, Stats: b.statsLocked(old, at),
		})
	}
}

// openError returns the error of the rejections of per, or nil if it has none.
func (b *Breaker) openError(per *period, cause error) *OpenError {
	e := &OpenError{Name: per.cfg.Name, State: per.state, Cause: cause, now: b.clock.now}
	switch per.state {
	case Closed, Disabled:
		return nil
	case Open:
		e.Until = b.untilOf(per)
	case HalfOpen:
		// By then the probes have answered or lost their lease.
		if d := per.cfg.ProbeTimeout; d > 0 {
			e.Until = b.clock.base.Add(time.Duration(per.since)).Add(d)
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
	return b.clock.base.Add(time.Duration(per.until))
}
