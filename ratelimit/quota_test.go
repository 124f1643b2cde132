// SPDX-License-Identifier: MIT

package ratelimit

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // the tests need places that the machine may not know
)

func place(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// TestPeriodNext checks the ends of periods on days when clocks change, in leap
// years and at the ends of months.
func TestPeriodNext(t *testing.T) {
	for _, tt := range []struct {
		name, loc string
		period    func(*time.Location) Period
		at, want  string // RFC 3339
	}{
		{"plain", "UTC", Daily, "2026-11-25T10:00:00Z", "2026-11-26T00:00:00Z"},
		{"at midnight", "UTC", Daily, "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"},
		{"before midnight", "UTC", Daily, "2026-11-25T23:59:59.999999999Z", "2026-11-26T00:00:00Z"},
		{"23 hours", "Europe/Berlin", Daily, "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"},
		{"25 hours", "Europe/Berlin", Daily, "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"},
		{"23 and a half", "Australia/Lord_Howe", Daily, "2026-10-04T00:00:00+10:30", "2026-10-05T00:00:00+11:00"},
		{"24 and a half", "Australia/Lord_Howe", Daily, "2026-04-05T00:00:00+11:00", "2026-04-06T00:00:00+10:30"},
		{"no midnight", "America/Sao_Paulo", Daily, "2018-11-03T12:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		{"after no midnight", "America/Sao_Paulo", Daily, "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		{"back over midnight", "America/Sao_Paulo", Daily, "2018-02-17T12:00:00-02:00", "2018-02-18T00:00:00-03:00"},
		{"midnight twice", "America/Havana", Daily, "2026-10-31T12:00:00-04:00", "2026-11-01T00:00:00-04:00"},
		{"in the first midnight hour", "America/Havana", Daily, "2026-11-01T00:30:00-04:00", "2026-11-02T00:00:00-05:00"},
		{"no day at all", "Pacific/Apia", Daily, "2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00"},
		{"leap day", "UTC", Daily, "2028-02-28T12:00:00Z", "2028-02-29T00:00:00Z"},
		{"no leap day", "UTC", Daily, "2100-02-28T12:00:00Z", "2100-03-01T00:00:00Z"},
		{"month", "UTC", Monthly, "2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z"},
		{"february", "UTC", Monthly, "2028-02-29T12:00:00Z", "2028-03-01T00:00:00Z"},
		{"december", "Asia/Kolkata", Monthly, "2026-12-31T23:00:00+05:30", "2027-01-01T00:00:00+05:30"},
		{"month of a change", "Europe/Berlin", Monthly, "2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00"},
		{"wednesday", "UTC", Weekly, "2026-11-25T10:00:00Z", "2026-11-30T00:00:00Z"},
		{"sunday", "UTC", Weekly, "2026-11-29T23:00:00Z", "2026-11-30T00:00:00Z"},
		{"monday", "UTC", Weekly, "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"},
		{"week of a change", "Europe/Berlin", Weekly, "2026-10-21T00:00:00+02:00", "2026-10-26T00:00:00+01:00"},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}

		if got := tt.period(place(t, tt.loc)).next(at).Format(time.RFC3339Nano); got != tt.want {
			t.Errorf("%s: after %s comes %s, want %s", tt.name, tt.at, got, tt.want)
		}
	}

	if got := (Period{}).next(time.Unix(0, 0)); !got.Equal(time.Unix(86400, 0)) {
		t.Errorf("the zero Period ends at %v", got)
	}
}

// TestPeriodFirstInstant checks by search, in every zone and year where clocks
// change oddly, that next is the first instant whose date is a later one than
// any before.
func TestPeriodFirstInstant(t *testing.T) {
	for _, name := range []string{"America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia", "Europe/Berlin"} {
		loc := place(t, name)
		for year := 2010; year <= 2020; year += 2 {
			at := time.Date(year, 1, 1, 12, 0, 0, 0, loc)
			for at.Year() == year {
				end := Daily(loc).next(at)
				number := func(t time.Time) int { y, m, d := t.In(loc).Date(); return (y*100+int(m))*100 + d }
				if got := number(end); got <= number(at) {
					t.Fatalf("%s: the day after %d is %d, want a later one", name, number(at), got)
				}
				if got := number(end.Add(-1)); got > number(at) {
					t.Fatalf("%s: the day %d begins before %v, want then", name, got, end)
				}
				at = end
			}
		}
	}
}

// TestQuota checks a quota step by step: use, refusal, a clock set back, a new
// day.
func TestQuota(t *testing.T) {
	berlin := place(t, "Europe/Berlin")
	now := time.Date(2026, 3, 29, 0, 0, 0, 0, berlin) // the day has 23 hours
	q := NewQuota(10, Daily(berlin), &Options{Now: func() time.Time { return now }})
	check(t, q.Take(4), Decision{OK: true, Limit: 10, Remaining: 6, ResetAfter: 23 * time.Hour, Window: 24 * time.Hour}, "Take(4)")
	check(t, q.Peek(6), Decision{OK: true, Limit: 10, ResetAfter: 23 * time.Hour, Window: 24 * time.Hour}, "Peek(6)")

	now = now.Add(22 * time.Hour)
	check(t, q.Take(7), Decision{Limit: 10, Remaining: 6, RetryAfter: time.Hour, ResetAfter: time.Hour, Window: 24 * time.Hour}, "Take(7)")

	if d := q.Take(11); d.RetryAfter >= 0 {
		t.Errorf("more than the quota comes in %v", d.RetryAfter)
	}
	q.Return(1)
	check(t, q.AllowN(7), true, "AllowN(7) after Return(1)")
	check(t, q.Allow(), false, "Allow with none left")
	check(t, q.AllowN(0), true, "AllowN(0) with none left")

	now = now.Add(time.Hour) // midnight
	if !q.AllowN(10) {
		t.Error("a new day has no quota")
	}

	now = now.Add(-time.Hour) // the clock is set back to yesterday
	if q.Allow() {
		t.Error("a clock that was set back grants a second quota")
	}

	now = now.Add(time.Hour)
	if q.Allow() {
		t.Error("a day that comes twice grants a second quota")
	}
	q.Return(100)
	d := q.Peek(0)
	check(t, d.Remaining, 10, "Remaining after all was returned")
	check(t, d.ResetAfter, 0, "ResetAfter after all was returned")
	q.AllowAt(now.AddDate(1, 0, 0), 10) // a clock far ahead
	if q.Allow() {
		t.Error("before the year is over there is a quota")
	}
	q.Clear()
	check(t, q.AllowN(10), true, "AllowN(10) after Clear")
	check(t, q.Allow(), false, "Allow after 10")
}

// TestQuotaConcurrent checks the number of admissions of one day under
// contention.
func TestQuotaConcurrent(t *testing.T) {
	now := time.Unix(0, 0)
	q := NewQuota(500, Monthly(nil), &Options{Now: func() time.Time { return now }})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if All(q).Take(1).OK {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != 500 {
		t.Errorf("%d admitted, want 500", got)
	}
}
