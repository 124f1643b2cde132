// SPDX-License-Identifier: MIT

package breaker

import (
	"slices"
	"time"
)

// A slowBreaker is the sequential specification: one call at a time, each with
// its time, and every outcome kept in a list that is counted anew. The real one
// keeps a word and counters, which is what makes it safe for concurrent use and
// cheap.
type slowBreaker struct {
	c                                    *config
	state                                State
	gen                                  uint32
	since, until                         int64
	bad                                  int64 // the time of the last failed or slow call
	row                                  int
	opened, late                         uint64
	fails                                uint64
	outcomes                             []slowOutcome // of this generation
	probes                               []probe
	ticket                               uint32
	successes                            int
	changes                              []Change // From, To, At (since the epoch of Unix) and Generation only
	succeeded, failed, ignored, rejected uint64
}

type slowOutcome struct {
	t            int64
	failed, slow bool
}

// A slowPermit is the admission of a call: its generation, its ticket if it is
// a probe, its start.
type slowPermit struct {
	gen, ticket uint32
	start       int64
}

func newSlowBreaker(opts *Options) *slowBreaker {
	return &slowBreaker{c: newConfig(opts), gen: 1}
}

func (m *slowBreaker) move(to State, at, until int64) {
	m.changes = append(m.changes, Change{From: m.state, To: to, At: time.Unix(0, at), Generation: m.gen + 1})
	m.state = to
	m.gen++
	m.since = at
	m.until = until
	m.fails = 0
	m.outcomes = nil
	m.probes = nil
	m.successes = 0
}

func (m *slowBreaker) open(at, d int64) {
	if m.state == Closed && at-m.since >= int64(m.c.StableFor) {
		m.row = 0
	}
	if d == 0 {
		d = int64(m.c.OpenFor)
		for range m.row {
			d = min(int64(float64(d)*m.c.OpenFactor), int64(m.c.OpenMax))
		}
	}
	m.row++
	m.opened++
	m.move(Open, at, at+d)
}

// settle makes the changes that time has brought.
func (m *slowBreaker) settle(t int64) {
	for {
		switch {
		case m.state == Open && t >= m.until:
			m.move(HalfOpen, m.until, m.until)
		case m.state == Recovering && t >= m.until:
			m.move(Closed, m.until, m.until)
		case m.state == HalfOpen && len(m.probes) > 0 && t >= m.lease():
			m.open(m.lease(), 0)
		default:
			return
		}
	}
}

func (m *slowBreaker) lease() int64 {
	first := m.probes[0].lease
	for _, p := range m.probes {
		first = min(first, p.lease)
	}
	return first
}

// allow reports whether the call is admitted, when chance comes out as rand.
func (m *slowBreaker) allow(t int64, rand float64) (slowPermit, bool) {
	m.settle(t)
	p := slowPermit{gen: m.gen, start: t}
	ok := m.state == Closed || m.state == Disabled
	switch {
	case m.state == Recovering:
		part := float64(t-m.since) / float64(m.until-m.since)
		ok = rand < m.c.RecoveryStart+(1-m.c.RecoveryStart)*part
	case m.state == HalfOpen && len(m.probes) < m.c.Probes:
		m.ticket++
		p.ticket, ok = m.ticket, true
		lease := int64(never)
		if m.c.ProbeTimeout > 0 {
			lease = t + int64(m.c.ProbeTimeout)
		}
		m.probes = append(m.probes, probe{p.ticket, lease})
	}
	if !ok {
		m.rejected++
	}
	return p, ok
}

// report returns whether the outcome counts.
func (m *slowBreaker) report(t int64, p slowPermit, o Outcome) bool {
	m.settle(t)
	slow := m.c.SlowCall > 0 && t-p.start >= int64(m.c.SlowCall)
	i := slices.IndexFunc(m.probes, func(q probe) bool { return q.ticket == p.ticket })
	if p.gen != m.gen || p.ticket != 0 && i < 0 {
		m.late++
		return false
	}

	switch o {
	case Success:
		m.succeeded++
	case Failure:
		m.failed++
	default:
		m.ignored++
	}

	if p.ticket != 0 {
		m.probes = slices.Delete(m.probes, i, i+1)
		switch {
		case o == Failure || o == Success && slow:
			m.open(t, 0)
		case o == Success:
			m.successes++
			if m.successes >= m.c.Successes && m.c.Recovery > 0 {
				m.move(Recovering, t, t+int64(m.c.Recovery))
			} else if m.successes >= m.c.Successes {
				m.move(Closed, t, t)
			}
		}
		return true
	}

	if o == Ignored {
		return true
	}
	m.outcomes = append(m.outcomes, slowOutcome{t, o == Failure, slow})
	if o == Failure || slow {
		m.bad = t
	}
	m.fails++
	if o == Success {
		m.fails = 0
	}
	if (o == Failure || slow) && m.state != Disabled && m.breaks(t, o) {
		m.open(t, 0)
	}
	return true
}

func (m *slowBreaker) breaks(t int64, o Outcome) bool {
	if m.c.Failures > 0 && o == Failure && m.fails >= uint64(m.c.Failures) {
		return true
	}
	s := m.window(t)
	n := float64(s[calls])
	return s[calls] >= uint64(m.c.MinCalls) &&
		(m.c.FailureRatio > 0 && float64(s[failures])/n >= m.c.FailureRatio ||
			m.c.SlowRatio > 0 && float64(s[slows])/n >= m.c.SlowRatio)
}

// window counts the outcomes that are within the window at t.
func (m *slowBreaker) window(t int64) (s tally) {
	if m.c.FailureRatio == 0 && m.c.SlowRatio == 0 {
		return s
	}
	width := (int64(m.c.Window) + int64(m.c.Buckets) - 1) / int64(m.c.Buckets)
	for i, o := range m.outcomes {
		if m.c.WindowCalls > 0 && i < len(m.outcomes)-m.c.WindowCalls ||
			m.c.WindowCalls == 0 && o.t/width <= t/width-int64(m.c.Buckets) {
			continue
		}
		s[calls]++
		if o.failed {
			s[failures]++
		}
		if o.slow {
			s[slows]++
		}
	}
	return s
}

func (m *slowBreaker) stats(t int64) Stats {
	m.settle(t)
	w := m.window(t)
	s := Stats{
		State: m.state, Generation: m.gen, Row: m.fails, Calls: w[calls], Failures: w[failures], Slow: w[slows],
		Probes: len(m.probes), Successes: m.successes, Quiet: time.Duration(t - max(m.since, m.bad)), Opened: m.opened, Late: m.late,
	}
	if m.c.Count {
		s.Succeeded, s.Failed, s.Ignored, s.Rejected = m.succeeded, m.failed, m.ignored, m.rejected
	}
	return s
}
