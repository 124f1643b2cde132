// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"fmt"
)

// An Outcome is what a call says about the health of what was called.
type Outcome uint8

// Outcomes. An ignored call counts neither way, and its probe's place is free again.
const (
	Success Outcome = iota
	Failure
	Ignored
)

// String returns the name of o in lower case.
func (o Outcome) String() string {
	names := [...]string{"success", "failure", "ignored"}
	if int(o) < len(names) {
		return names[o]
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// A Permit is the admission of one call by [Breaker.Allow]. Report its outcome once, by any of its
// methods, each of which says whether the report was counted: it is not if the breaker has
// changed state since, or if the Permit was used before. A report through a copy of a used Permit is
// detected if it was a probe, else not. A Permit that is never reported costs nothing unless it is a
// probe, whose place is taken until Options.ProbeTimeout.
type Permit struct {
	b           *Breaker // nil once reported
	gen, ticket uint32   // ticket is 0 unless it is a probe
	start       int64    // the reading at admission, if calls are timed
}

// Done reports what Options.Classify makes of err, given the context of the caller.
func (p *Permit) Done(ctx context.Context, err error) bool {
	b := p.b
	if b == nil {
		return false
	}
	// Should Classify panic, the place of a probe must be free.
	done := false
	defer func() {
		if !done {
			p.report(Failure, err)
		}
	}()
	o := b.per.Load().cfg.Classify(ctx, err)
	done = true
	return p.report(o, err)
}

// Success reports that the call went well.
func (p *Permit) Success() bool { return p.report(Success, nil) }

// Failure reports that the call failed; cause, which may be nil, is shown by errors and events.
func (p *Permit) Failure(cause error) bool { return p.report(Failure, cause) }

// Ignore reports that the call says nothing about the health of what was called.
func (p *Permit) Ignore() bool { return p.report(Ignored, nil) }

func (p *Permit) report(o Outcome, cause error) bool {
	b := p.b
	if b == nil {
		return false
	}
	p.b = nil
	per := b.per.Load()
	if o == Success && per.plain && per.gen == p.gen && per.fails.Load() == 0 {
		if per.ring != nil {
			per.ring.at(b.elapsed()).calls.Add(1)
		}
		return true
	}
	if per.state == Recovering && b.elapsed() >= per.until {
		per = b.settled()
	}
	if p.ticket != 0 {
		return b.reportProbe(p, o, cause)
	}
	if per.gen != p.gen || o != Ignored && !b.record(per, p, o, cause) {
		// Wait until the word says so too: the caller must not be admitted by the old generation
		// after it was told that this has ended.
		b.lock()
		b.late.Add(1)
		b.unlock()
		return false
	}
	b.count(per, o)
	return true
}

// count keeps the totals, if they are wanted.
func (b *Breaker) count(per *period, o Outcome) {
	if !per.cfg.Count {
		return
	}
	all := b.all.Load()
	switch o {
	case Success:
		all.succeeded.Add(1)
	case Failure:
		all.failed.Add(1)
	default:
		all.ignored.Add(1)
	}
}

// record counts an outcome in per, and trips if that breaks a rule. Only failed and slow calls
// can: a success is never the reason to stop calling. It reports whether per had not ended.
//
// A success after a success takes no lock. All else does, since a failure that trips must be the
// last that its generation counts, and a success that ends a row must come before it or not count.
func (b *Breaker) record(per *period, p *Permit, o Outcome, cause error) bool {
	c := per.cfg
	slow := false
	var t int64
	if c.SlowCall > 0 {
		t = b.elapsed()
		slow = p.start != untimed && t-p.start >= int64(c.SlowCall)
	} else if per.win != nil && c.WindowCalls == 0 {
		t = b.elapsed()
	}
	if o == Success && !slow {
		if per.win != nil {
			per.win.add(t, false, false)
		}
		return per.fails.Load() == 0 || b.endRow(per.gen)
	}
	if cause == nil && o == Success {
		cause = ErrSlow
	}
	counted, tripped := b.recordBad(per.gen, o == Failure, slow, cause)
	if counted && !tripped && c.Trip != nil && per.state != Disabled && c.Trip(b.Stats()) {
		b.tripFrom(per.gen, cause)
	}
	return counted
}

// endRow ends the failures in a row of generation gen, and reports whether it is the current one.
func (b *Breaker) endRow(gen uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	per := b.per.Load()
	if per.gen == gen {
		per.fails.Store(0)
	}
	return per.gen == gen
}

// recordBad counts a failed or slow call of generation gen, and opens the breaker if that
// breaks a rule.
func (b *Breaker) recordBad(gen uint32, failed, slow bool, cause error) (counted, tripped bool) {
	b.lock()
	defer b.unlock()
	t := b.elapsedLocked()
	b.settleLocked(t)
	per := b.per.Load() // SetOptions may have replaced it within the generation
	if per.gen != gen {
		return false, false
	}
	if per.win != nil {
		per.win.add(t, failed, slow)
	}
	var row int64
	if failed {
		row = per.fails.Add(1)
	} else {
		per.fails.Store(0)
	}
	if per.state == Disabled || !(per.cfg.Failures > 0 && row >= int64(per.cfg.Failures)) && !per.breaks(t) {
		return true, false
	}
	b.openLocked(t, 0, cause)
	return true, true
}

// breaks reports whether the window breaks the rule of a ratio.
func (per *period) breaks(t int64) bool {
	c := per.cfg
	if c.FailureRatio == 0 && c.SlowRatio == 0 {
		return false
	}
	s := per.win.sum(t)
	if s.calls < uint64(c.MinCalls) {
		return false
	}
	// The quotient, not the product: 55 of 100 is 0.55, but 0.55 times 100 is more than 55.
	return c.FailureRatio > 0 && float64(s.failures)/float64(s.calls) >= c.FailureRatio ||
		c.SlowRatio > 0 && float64(s.slow)/float64(s.calls) >= c.SlowRatio
}

// tripFrom opens the breaker unless generation gen has ended.
func (b *Breaker) tripFrom(gen uint32, cause error) {
	b.lock()
	defer b.unlock()
	t := b.elapsedLocked()
	b.settleLocked(t)
	if b.per.Load().gen == gen {
		b.openLocked(t, 0, cause)
	}
}

// reportProbe takes the outcome of a probe.
func (b *Breaker) reportProbe(p *Permit, o Outcome, cause error) bool {
	b.lock()
	defer b.unlock()
	t := b.elapsedLocked()
	b.settleLocked(t)
	per := b.per.Load()
	if per.gen != p.gen || !b.returnLocked(p.ticket, t) {
		b.late.Add(1)
		return false
	}
	b.count(per, o)
	c := per.cfg
	if o == Success && c.SlowCall > 0 && t-p.start >= int64(c.SlowCall) {
		o, cause = Failure, ErrSlow
	}
	w := b.word.Load()
	switch {
	case o == Failure:
		b.openLocked(t, 0, cause)
	case o == Success && successesOf(w)+1 >= c.Successes && c.Recovery > 0:
		b.moveLocked(Recovering, t, t+min(int64(c.Recovery), maxReading), nil)
	case o == Success && successesOf(w)+1 >= c.Successes:
		b.moveLocked(Closed, t, t, nil)
	case o == Success:
		b.word.Store(w + 1<<successShift)
	}
	return true
}

// returnLocked takes back a ticket, and reports whether it was out.
func (b *Breaker) returnLocked(ticket uint32, t int64) bool {
	for i, p := range b.probes {
		if p.ticket == ticket {
			last := len(b.probes) - 1
			b.probes[i] = b.probes[last]
			b.probes = b.probes[:last]
			b.word.Store(b.word.Load() - 1<<outstandingShift)
			b.armLocked(t)
			return true
		}
	}
	return false
}
