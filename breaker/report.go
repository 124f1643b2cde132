// SPDX-License-Identifier: MIT

package breaker

// succeed counts a success in per, if that takes no lock, and reports whether
// it did. The caller has found per to be current. It need not still be: if a
// change comes in between, the success falls into counters that nobody reads
// any more, as if it had come before the change.
//
// The caller has found per to be plain, too: nothing but the window wants to
// hear of a success. If there are no failures in a row, there is no row to end;
// a failure that starts one now is as good as one that comes after this
// success.
func (per *period) succeed(c *clock) bool {
	if per.fails.Load() != 0 {
		return false
	}
	return !per.windowed || per.countSuccess(c)
}

// countSuccess counts a success in the window, and returns true. It stands
// alone so that succeed can be inlined.
func (per *period) countSuccess(c *clock) bool {
	if per.ring != nil {
		per.ring.succeed(c.read())
	} else {
		per.last.succeed()
	}
	return true
}

// report takes the outcome of the call that a admitted, and reports whether it
// was counted.
func (b *Breaker) report(a admission, o Outcome, cause error) bool {
	// The usual case takes no lock.
	per := b.per.Load()
	if o == Success && per.gen == a.gen && per.plain && per.succeed(&b.clock) {
		return true
	}
	if per.state == Recovering && b.clock.read() >= per.until {
		// The timer is late, or there is none: the generation is over.
		per = b.settled()
	}
	if a.ticket != 0 {
		return b.reportProbe(a, o, cause)
	}

	if per.gen != a.gen || o != Ignored && !b.record(per, a, o, cause) {
		// The period is published before the word. Wait until the word is, too:
		// the caller must not be admitted by the old generation after it was
		// told that this has ended.
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

// record counts an outcome in per, and trips if that breaks a rule. Only failed
// and slow calls can: a success is never the reason to stop calling. It reports
// whether the outcome was counted: not if the generation of per has ended.
//
// A success after a success takes no lock. All else does, since a failure that
// trips must be the last that its generation counts, and a success that ends a
// row must come before it or not count.
func (b *Breaker) record(per *period, a admission, o Outcome, cause error) bool {
	c := per.cfg
	slow := false
	var t int64
	if c.SlowCall > 0 || per.ring != nil {
		t = b.clock.read()
		slow = c.SlowCall > 0 && a.start != untimed && t-a.start >= int64(c.SlowCall)
	}

	// A success counts, and ends a row of failures.
	if o == Success && !slow {
		per.add(t, false, false)
		return per.fails.Load() == 0 || b.endRow(per.gen)
	}

	// A failure, or a success that took too long.
	if cause == nil && o == Success {
		cause = ErrSlow
	}
	counted, tripped := b.recordBad(per.gen, o == Failure, slow, cause)
	if counted && !tripped && c.Trip != nil && per.state != Disabled && c.Trip(b.Stats()) {
		b.tripFrom(per.gen, cause)
	}
	return counted
}

// endRow ends the failures in a row of generation gen, and reports whether it
// is the current one.
func (b *Breaker) endRow(gen uint32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	per := b.per.Load()
	if per.gen != gen {
		return false // a failure tripped since the caller looked
	}
	per.fails.Store(0)
	return true
}

// recordBad counts a failed or slow call of generation gen, and opens the
// breaker if that breaks a rule. It reports whether the call was counted, and
// whether the breaker opened.
func (b *Breaker) recordBad(gen uint32, failed, slow bool, cause error) (counted, tripped bool) {
	b.lock()
	defer b.unlock()
	t := b.readLocked()
	b.settleLocked(t)

	// SetOptions may have replaced the period within the generation.
	per := b.per.Load()
	if per.gen != gen {
		return false, false // another failure tripped first
	}

	// Count it. A slow success ends a row of failures, too.
	b.bad = t
	per.add(t, failed, slow)
	if failed {
		per.fails.Add(1)
	} else {
		per.fails.Store(0)
	}

	// Open if that was one too many.
	c := per.cfg
	byRow := failed && c.Failures > 0 && per.fails.Load() >= int64(c.Failures)
	if per.state == Disabled || !byRow && !per.breaks(t) {
		return true, false
	}
	b.openLocked(t, 0, cause)
	return true, true
}

// tripFrom opens the breaker unless generation gen has ended.
func (b *Breaker) tripFrom(gen uint32, cause error) {
	b.lock()
	defer b.unlock()
	t := b.readLocked()
	b.settleLocked(t)
	if b.per.Load().gen == gen {
		b.openLocked(t, 0, cause)
	}
}

// reportProbe takes the outcome of a probe.
func (b *Breaker) reportProbe(a admission, o Outcome, cause error) bool {
	b.lock()
	defer b.unlock()
	t := b.readLocked()
	b.settleLocked(t)

	per := b.per.Load()
	if per.gen != a.gen || !b.returnLocked(a.ticket, t) {
		b.late.Add(1) // another probe failed, or the lease of this one ended
		return false
	}

	// A slow probe is a failed one, though a success in the totals.
	b.count(per, o)
	c := per.cfg
	if o == Success && c.SlowCall > 0 && t-a.start >= int64(c.SlowCall) {
		o = Failure
		cause = ErrSlow
	}

	// One failed probe is enough to open, and Successes good ones to close.
	w := b.word.Load()
	enough := successesOf(w)+1 >= c.Successes
	switch {
	case o == Failure:
		b.openLocked(t, 0, cause)
	case o == Success && enough && c.Recovery > 0:
		b.moveLocked(Recovering, t, t+min(int64(c.Recovery), maxReading), nil)
	case o == Success && enough:
		b.moveLocked(Closed, t, t, nil)
	case o == Success:
		b.word.Store(w + 1<<successShift)
	}
	return true
}

// returnLocked takes back a ticket, and reports whether it was out.
func (b *Breaker) returnLocked(ticket uint32, t int64) bool {
	for i, p := range b.probes {
		if p.ticket != ticket {
			continue
		}
		last := len(b.probes) - 1
		b.probes[i] = b.probes[last]
		b.probes = b.probes[:last]
		b.word.Store(b.word.Load() - 1<<outstandingShift)
		b.armLocked(t)
		return true
	}
	return false
}
