// SPDX-License-Identifier: MIT

package breaker

// An admission is the right of one call to run: the generation, the ticket,
// which is 0 unless the call is a probe, and the reading at which it started.
type admission struct {
	gen, ticket uint32
	start       int64 // or untimed
}

// untimed is the start of a call whose duration nobody asked for.
const untimed = -1 << 63

// admit asks for one call. It returns an [*OpenError] if the call is rejected.
func (b *Breaker) admit() (admission, error) {
	w := b.word.Load()
	if s := stateOf(w); w != 0 && (s == Closed || s == Disabled) {
		a := admission{gen: uint32(w >> genShift), start: untimed}
		if b.per.Load().cfg.SlowCall > 0 {
			a.start = b.clock.read()
		}
		return a, nil
	}
	return b.admitSlow(w)
}

// admitSlow is admit in the states that may reject, and for the zero Breaker,
// given the word.
func (b *Breaker) admitSlow(w uint64) (admission, error) {
	if w == 0 {
		b.lock() // starts it
		b.unlock()
		return b.admit()
	}

	// Look without the lock. If the period is not the word's, a change is just
	// being published, and the lock waits for it.
	per := b.per.Load()
	if per.gen == uint32(w>>genShift) {
		timed := b.clock.now == nil // a timer ends the period
		switch state := stateOf(w); {
		case state == ForcedOpen,
			state == Open && timed,
			state == HalfOpen && timed && outstandingOf(w) >= per.cfg.Probes:
			return b.reject(per)
		case state == Recovering:
			if t := b.clock.read(); t < per.until {
				return b.ramp(per, t)
			}
		}
	}

	b.lock()
	defer b.unlock()
	return b.admitLocked()
}

func (b *Breaker) admitLocked() (admission, error) {
	t := b.readLocked()
	b.settleLocked(t)

	// The state is that of now: decide by it.
	per, w := b.per.Load(), b.word.Load()
	switch per.state {
	case Closed, Disabled:
		return admission{gen: per.gen, start: t}, nil
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

// reject returns the error of per, and counts the rejection if that is wanted.
func (b *Breaker) reject(per *period) (admission, error) {
	if per.cfg.Count {
		b.all.Load().rejected.Add(1)
	}
	return admission{}, per.err
}

// ramp admits a part of the calls of a recovering breaker that grows with t.
func (b *Breaker) ramp(per *period, t int64) (admission, error) {
	c := per.cfg
	part := max(float64(t-per.since)/float64(per.until-per.since), 0)
	if c.rand() >= c.RecoveryStart+(1-c.RecoveryStart)*part {
		return b.reject(per)
	}
	return admission{gen: per.gen, start: t}, nil
}

// probeLocked gives a ticket to a probe.
func (b *Breaker) probeLocked(per *period, w uint64, t int64) admission {
	b.ticket++
	if b.ticket == 0 {
		b.ticket = 1 // 0 is no ticket
	}

	// A probe that has not answered by the end of its lease is lost.
	lease := int64(never)
	if d := int64(per.cfg.ProbeTimeout); d > 0 && t < never-d {
		lease = t + d
	}

	// The place is taken before the lock is let go.
	b.probes = append(b.probes, probe{b.ticket, lease})
	b.word.Store(w + 1<<outstandingShift)
	if len(b.probes) == 1 {
		b.armLocked(t)
	}
	return admission{gen: per.gen, ticket: b.ticket, start: t}
}
