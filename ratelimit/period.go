// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"time"
)

// A Period is a part of the calendar that repeats: see [Daily], [Weekly] and
// [Monthly]. The zero Period is Daily(time.UTC).
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

// Daily returns the period from midnight to midnight in loc, or in UTC if loc
// is nil. Days on which clocks change are as long as they are there: 23 or 25
// hours, or 23 and a half.
func Daily(loc *time.Location) Period { return Period{day, loc} }

// Weekly returns the period from Monday to Monday in loc, or in UTC if loc is
// nil.
func Weekly(loc *time.Location) Period { return Period{week, loc} }

// Monthly returns the period from the first of a month to the first of the next
// in loc, or in UTC if loc is nil.
func Monthly(loc *time.Location) Period { return Period{month, loc} }

// next returns the first instant after t of the period that follows the one t
// is in.
//
// time.Date does not say which instant it returns for a midnight that occurs
// twice or not at all, as when clocks change at midnight. So next visits the
// stretches of constant offset, of which one or two matter, and within each the
// time of day is plain arithmetic.
func (p Period) next(t time.Time) time.Time {
	loc := cmp.Or(p.loc, time.UTC)
	t = t.In(loc)

	// The date of the end, which time.Date normalizes.
	y, m, d := t.Date()
	switch p.unit {
	case day:
		d++
	case week:
		d += 7 - (int(t.Weekday())+6)%7 // Monday is day 0
	case month:
		m, d = m+1, 1
	}

	// Midnight by the wall clock is at another instant in each zone offset:
	// take the first offset in which it fits.
	midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	for {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		at := midnight.Add(-time.Duration(offset) * time.Second).In(loc)
		switch {
		case at.Before(t):
			// Clocks went forward over midnight: the period begins here.
			return t
		case end.IsZero() || at.Before(end):
			return at
		}
		t = end
	}
}

// length returns the length of p, without regard to the calendar: 30 days for a
// month.
func (p Period) length() time.Duration {
	return [...]time.Duration{day: 1, week: 7, month: 30}[p.unit] * 24 * time.Hour
}
