// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"sync"
	"time"
)

// A Period is a part of the calendar that repeats: see [Daily], [Weekly] and [Monthly].
// The zero Period is Daily(time.UTC).
type Period struct {
	unit periodUnit
	loc  *time.Location
}

type periodUnit int

const (
	day periodUnit = iota
	week
	month
)

// Daily returns the period from midnight to midnight in loc, or in UTC if loc is nil. Days on which
// clocks change are as long as they are there: 23 or 25 hours, or 23 and a half.
func Daily(loc *time.Location) Period { return Period{day, loc} }

// Weekly returns the period from Monday to Monday in loc, or in UTC if loc is nil.
func Weekly(loc *time.Location) Period { return Period{week, loc} }

// Monthly returns the period from the first of a month to the first of the next in loc, or in UTC
// if loc is nil.
func Monthly(loc *time.Location) Period { return Period{month, loc} }

// next returns the first instant after t of the period that follows the one t is in.
//
// time.Date does not say which instant it returns for a midnight that occurs twice or not at
// all, as when clocks change at midnight. So this goes through the stretches of constant offset,
// of which one or two matter, and within each the time of day is plain arithmetic.
func (p Period) next(t time.Time) time.Time {
	loc := p.loc
	if loc == nil {
		loc = time.UTC
	}
	t = t.In(loc)
	y, m, d := t.Date()
	switch p.unit {
	case day:
		d++
	case week:
		d += 7 - (int(t.Weekday())+6)%7 // Monday is day 0
	case month:
		m, d = m+1, 1
	}
	midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	for {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		at := midnight.Add(-time.Duration(offset) * time.Second).In(loc)
		switch {
		case at.Before(t):
			return t // clocks went forward over midnight: the period begins here
		case end.IsZero() || at.Before(end):
			return at
		}
		t = end
	}
}

// A Quota admits a number of events in each [Period] of the calendar: "1000 a day", where a day
// is what the customer's wall says. It is safe for concurrent use by multiple goroutines, must
// not be copied, needs no Close and starts no goroutine. Use [NewQuota].
//
// It goes by the wall clock, unlike everything else here, and remembers the end of the period that
// it is in: a clock that is set back grants nothing twice. A clock that was wrongly far ahead ends
// the period it showed only when that time comes, or when Reset is called.
type Quota struct {
	n      int64
	period Period
	now    func() time.Time

	mu   sync.Mutex // protects what follows
	used int64
	end  time.Time // of the period; zero until the first call
}

// NewQuota returns a Quota of n events in each period. If opts is nil, the defaults are used;
// the default clock is time.Now. It panics if n is not positive.
func NewQuota(n int64, period Period, opts *Options) *Quota {
	if n < 1 {
		panic(fmt.Sprintf("ratelimit: NewQuota: the number of events must be positive, got %d", n))
	}
	q := &Quota{n: n, period: period, now: time.Now}
	if opts != nil && opts.Now != nil {
		q.now = opts.Now
	}
	return q
}

func (q *Quota) clock() time.Time {
	if q.now == nil {
		panic("ratelimit: zero Quota: use NewQuota")
	}
	return q.now()
}

// Allow reports whether one event may happen now, and counts it if so.
func (q *Quota) Allow() bool { return q.take(q.clock(), 1, true).OK }

// AllowN reports whether n events may happen now, and counts them, all or none.
// Zero events may always happen. It panics if n is negative.
func (q *Quota) AllowN(n int64) bool { return q.take(q.clock(), checkN("AllowN", n), true).OK }

// AllowAt is AllowN at time t, for replays and simulations.
func (q *Quota) AllowAt(t time.Time, n int64) bool { return q.take(t, checkN("AllowAt", n), true).OK }

// Take counts n events, all or none, and describes the quota at that instant: RetryAfter and
// ResetAfter are the time to the end of the period. It panics if n is negative.
func (q *Quota) Take(n int64) Decision { return q.take(q.clock(), checkN("Take", n), true) }

// Peek returns what Take(n) would, and counts nothing. It panics if n is negative.
func (q *Quota) Peek(n int64) Decision { return q.take(q.clock(), checkN("Peek", n), false) }

func (q *Quota) take(t time.Time, n int64, keep bool) Decision {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advanceLocked(t)
	used := q.used
	d := Decision{OK: n <= q.n-used || n == 0, Limit: q.n}
	switch {
	case d.OK:
		used += n
	case n > q.n:
		d.RetryAfter = -1
	default:
		d.RetryAfter = q.end.Sub(t)
	}
	d.Remaining = q.n - used
	if used > 0 {
		d.ResetAfter = q.end.Sub(t)
	}
	if keep {
		q.used = used
	}
	return d
}

// advanceLocked begins a new period if t is past the end of this one.
func (q *Quota) advanceLocked(t time.Time) {
	if q.end.IsZero() || !t.Before(q.end) {
		q.used, q.end = 0, q.period.next(t)
	}
}

// Return takes back n events of this period: they did not happen. It panics if n is negative.
func (q *Quota) Return(n int64) {
	checkN("Return", n)
	t := q.clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.advanceLocked(t)
	q.used -= min(n, q.used)
}

// Reset forgets what was counted, and the period: the next call begins one by its clock.
func (q *Quota) Reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used, q.end = 0, time.Time{}
}
