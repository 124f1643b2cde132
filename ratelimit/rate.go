// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Rate is an exact quotient: so many events per so much time.
// The zero Rate refills nothing: what the burst holds is all there will ever be.
// Two rates are equal under == if they were written alike: 60 a minute is not == to 1 a second,
// although limiters made from them decide alike.
type Rate struct {
	count int64
	per   time.Duration
}

// Inf is the rate that limits nothing.
var Inf = Rate{count: math.MaxInt64}

// maxRate bounds count/per, in events per nanosecond.
const maxRate = 1000

// Per returns the rate of n events every d.
// It panics if n is negative, if d is not positive, or if the rate is above 10^12 a second.
func Per(n int64, d time.Duration) Rate {
	if n < 0 {
		panic(fmt.Sprintf("ratelimit: Per: count must not be negative, got %d", n))
	}
	if d <= 0 {
		panic(fmt.Sprintf("ratelimit: Per: period must be positive, got %v", d))
	}
	if n/maxRate > int64(d) || n/maxRate == int64(d) && n%maxRate > 0 {
		panic(fmt.Sprintf("ratelimit: Per: %d events every %v is above 10^12 a second; use Inf", n, d))
	}
	return Rate{count: n, per: d}
}

// PerSecond returns the rate of n events a second.
func PerSecond(n int64) Rate { return Per(n, time.Second) }

// PerMinute returns the rate of n events a minute.
func PerMinute(n int64) Rate { return Per(n, time.Minute) }

// PerHour returns the rate of n events an hour.
func PerHour(n int64) Rate { return Per(n, time.Hour) }

// PerDay returns the rate of n events every 24 hours.
func PerDay(n int64) Rate { return Per(n, 24*time.Hour) }

// Every returns the rate of one event every d. It panics if d is not positive.
func Every(d time.Duration) Rate { return Per(1, d) }

// String returns r as [ParseLimit] reads it: "100/s", "1/1m30s", "inf".
func (r Rate) String() string {
	switch {
	case r == Inf:
		return "inf"
	case r.per <= 0:
		return "0/s"
	}
	for _, u := range units {
		if r.per == u.d {
			return strconv.FormatInt(r.count, 10) + "/" + u.name
		}
	}
	return strconv.FormatInt(r.count, 10) + "/" + r.per.String()
}

// units are the periods that have a name of their own.
var units = []struct {
	name string
	d    time.Duration
}{
	{"s", time.Second},
	{"m", time.Minute},
	{"h", time.Hour},
	{"d", 24 * time.Hour},
	{"ms", time.Millisecond},
	{"us", time.Microsecond},
	{"ns", time.Nanosecond},
}

// A Limit is a rate and the burst that may exceed it: a bucket of Burst tokens, refilled at Rate.
type Limit struct {
	// Rate is how fast tokens come back.
	Rate Rate

	// Burst is how many tokens the bucket holds: what may happen at one instant.
	// If zero, the count of Rate, and at least 1: with "100 a minute" all 100 may come at once.
	// At most 2^61.
	Burst int64
}

// maxBurst keeps the cost of a full bucket within 61 bits at one unit a token.
const maxBurst = 1 << 61

// Validate returns an error if l's burst is negative or above 2^61.
func (l Limit) Validate() error {
	if l.Burst < 0 || l.Burst > maxBurst {
		return fmt.Errorf("ratelimit: burst must be between 0 and 2^61, got %d", l.Burst)
	}
	return nil
}

// resolve returns l with its default burst filled in.
func (l Limit) resolve() Limit {
	switch {
	case l.Rate == Inf:
		l.Burst = math.MaxInt64
	case l.Burst == 0:
		l.Burst = min(max(l.Rate.count, 1), maxBurst)
	}
	return l
}

// String returns l as [ParseLimit] reads it: "100/s", "1000/h burst 50".
func (l Limit) String() string {
	if l.Rate == Inf || l.Burst == 0 {
		return l.Rate.String()
	}
	return l.Rate.String() + " burst " + strconv.FormatInt(l.Burst, 10)
}

// ParseLimit reads a limit as people write it in a configuration:
//
//	100/s              100 a second, bursts of 100
//	1000/h burst 50    1000 an hour, bursts of 50
//	1/1m30s            one every 90 seconds
//	inf                no limit
//
// The period is ns, us, ms, s, m, h, d (24 hours) or a duration as [time.ParseDuration] reads it.
// Bad text is an error, never a panic and never another limit than the one written.
func ParseLimit(s string) (Limit, error) {
	rate, burst, hasBurst := strings.Cut(strings.TrimSpace(s), " ")
	var l Limit
	var err error
	if l.Rate, err = parseRate(rate); err != nil {
		return Limit{}, fmt.Errorf("ratelimit: parse limit %q: %w", s, err)
	}
	if !hasBurst {
		return l, nil
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(burst), "burst ")
	if !ok {
		return Limit{}, fmt.Errorf("ratelimit: parse limit %q: want \"burst N\" after the rate", s)
	}
	l.Burst, err = strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || l.Burst < 1 || l.Burst > maxBurst {
		return Limit{}, fmt.Errorf("ratelimit: parse limit %q: burst must be a number from 1 to 2^61", s)
	}
	if l.Rate == Inf {
		return Limit{}, fmt.Errorf("ratelimit: parse limit %q: inf has no burst", s)
	}
	return l, nil
}

func parseRate(s string) (Rate, error) {
	if s == "inf" {
		return Inf, nil
	}
	digits, period, ok := strings.Cut(s, "/")
	if !ok {
		return Rate{}, fmt.Errorf("want COUNT/PERIOD or inf")
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return Rate{}, fmt.Errorf("count must be a number from 0 to 2^63-1")
	}
	d, err := parsePeriod(period)
	if err != nil {
		return Rate{}, err
	}
	if n/maxRate >= int64(d) && n != maxRate*int64(d) {
		return Rate{}, fmt.Errorf("rate is above 10^12 a second")
	}
	return Rate{count: n, per: d}, nil
}

func parsePeriod(s string) (time.Duration, error) {
	for _, u := range units {
		if s == u.name {
			return u.d, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("period must be ns, us, ms, s, m, h, d or a positive duration")
	}
	return d, nil
}

// MarshalText returns l.String(), so that a Limit can stand in a configuration file.
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText sets l to what [ParseLimit] reads from text. On an error l is unchanged.
func (l *Limit) UnmarshalText(text []byte) error {
	p, err := ParseLimit(string(text))
	if err != nil {
		return err
	}
	*l = p
	return nil
}
