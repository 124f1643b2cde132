// SPDX-License-Identifier: MIT

package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// A Rate is an exact quotient: a number of events in a length of time. The zero
// Rate refills nothing: a bucket never gets its tokens back.
//
// Two rates are equal under == if they were written alike: 60 a minute is not
// == to 1 a second, although limiters of the two decide alike.
type Rate struct {
	count int64
	per   time.Duration
}

// Inf is the rate that limits nothing.
var Inf = Rate{count: math.MaxInt64}

// maxRate bounds count/per, in events per nanosecond.
const maxRate = 1000

// Per returns the rate of n events every d.
// It panics if n is negative, if d is not positive, or if the rate is above
// 10^12 a second.
func Per(n int, d time.Duration) Rate {
	if n < 0 {
		panic(fmt.Sprintf("ratelimit: count of a rate must not be negative, got %d", n))
	}
	if d <= 0 {
		panic(fmt.Sprintf("ratelimit: period of a rate must be positive, got %v", d))
	}

	r := Rate{count: int64(n), per: d}
	if !r.valid() {
		panic(fmt.Sprintf("ratelimit: %d events every %v is above 10^12 a second; use Inf", n, d))
	}
	return r
}

// PerSecond returns the rate of n events a second.
func PerSecond(n int) Rate { return Per(n, time.Second) }

// PerMinute returns the rate of n events a minute.
func PerMinute(n int) Rate { return Per(n, time.Minute) }

// PerHour returns the rate of n events an hour.
func PerHour(n int) Rate { return Per(n, time.Hour) }

// PerDay returns the rate of n events every 24 hours.
func PerDay(n int) Rate { return Per(n, 24*time.Hour) }

// Every returns the rate of one event every d. It panics if d is not positive.
func Every(d time.Duration) Rate { return Per(1, d) }

// valid reports whether r is the zero Rate, or one that Per returns.
func (r Rate) valid() bool {
	if r == (Rate{}) {
		return true
	}
	return r.count >= 0 && r.per > 0 && (r.count/maxRate < int64(r.per) || r.count == maxRate*int64(r.per))
}

// Count returns the number of events in each [Rate.Period] of r.
// It is 2^63-1 for Inf.
func (r Rate) Count() int64 { return r.count }

// Period returns the length of time in which [Rate.Count] events may happen.
// It is 0 for Inf and for the zero Rate.
func (r Rate) Period() time.Duration { return r.per }

// String returns r as [ParseLimit] reads it: "100/s", "1/1m30s", "inf".
func (r Rate) String() string {
	switch {
	case r == Inf:
		return "inf"
	case r.per <= 0:
		return "0/s"
	}

	// Units that have a name.
	count := strconv.FormatInt(r.count, 10)
	for _, p := range periods {
		if r.per == p.d {
			return count + "/" + p.name
		}
	}
	return count + "/" + r.per.String()
}

// periods are the periods that have names. The first name of a period is the
// one that String writes.
var periods = []struct {
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

	{"sec", time.Second},
	{"second", time.Second},
	{"min", time.Minute},
	{"minute", time.Minute},
	{"hour", time.Hour},
	{"day", 24 * time.Hour},
}

// A Limit is a bucket of Burst tokens, refilled at Rate. The zero Limit denies
// everything.
type Limit struct {
	// Rate is how fast tokens come back.
	Rate Rate

	// Burst is the number of tokens in a full bucket: the events that may
	// happen at one instant. If zero, the count of Rate: with "100 a minute",
	// all 100 may come at once. At most 2^61. A burst that takes more than 73
	// years to refill is kept to a 2^61st of itself, which the bound of a
	// limiter may exceed then instead of by 2 ns of refill.
	Burst int
}

// maxBurst keeps the cost of a full bucket within 61 bits at one unit a token.
const maxBurst = 1 << 61

// Validate returns an error if the burst of l is negative or above 2^61.
func (l Limit) Validate() error {
	if l.Burst < 0 || int64(l.Burst) > maxBurst {
		return fmt.Errorf("ratelimit: burst must be between 0 and 2^61, got %d", l.Burst)
	}
	return nil
}

// validateLimits returns an error if limits cannot be the limits of a key.
func validateLimits(limits []Limit) error {
	if len(limits) == 0 {
		return errors.New("ratelimit: at least one limit is needed")
	}
	if len(limits) > maxTiers {
		return fmt.Errorf("ratelimit: limits must be at most %d, got %d", maxTiers, len(limits))
	}
	for _, l := range limits {
		if err := l.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// newLimit returns the limit of a burst that is given by position, where 0
// means 0. It panics if burst is not between 0 and 2^61.
func newLimit(rate Rate, burst int) Limit {
	l := Limit{Rate: rate, Burst: burst}
	if err := l.Validate(); err != nil {
		panic(err)
	}
	if burst == 0 && rate != Inf {
		return Limit{} // a bucket without tokens, whatever its rate
	}
	return l.resolve()
}

// resolve returns l with its default burst filled in.
func (l Limit) resolve() Limit {
	switch {
	case l.Rate == Inf:
		l.Burst = math.MaxInt
	case l.Burst == 0:
		l.Burst = int(min(l.Rate.count, maxBurst, math.MaxInt))
	}
	return l
}

// canonical returns l with its default burst filled in, and Inf without a
// burst. Two limits that decide alike under one rate are then equal.
func (l Limit) canonical() Limit {
	if l.Rate == Inf {
		return Limit{Rate: Inf}
	}
	return l.resolve()
}

// Capacity returns the burst of l, with its default filled in: the number of
// tokens in a full bucket.
func (l Limit) Capacity() int { return l.resolve().Burst }

// Window returns the time in which the rate of l refills an empty bucket,
// rounded up. It is 0 for Inf, and negative if that time never comes.
func (l Limit) Window() time.Duration {
	l = l.resolve()
	switch {
	case l.Rate == Inf:
		return 0
	case l.Rate.count == 0:
		return -1
	}

	// The time that refills a whole burst, rounded up.
	count := uint64(l.Rate.count)
	hi, lo := bits.Mul64(uint64(l.Burst), uint64(l.Rate.per))
	if hi >= count {
		return math.MaxInt64
	}
	d, rem := bits.Div64(hi, lo, count)
	if rem > 0 {
		d++
	}
	return time.Duration(min(d, math.MaxInt64))
}

// String returns l as [ParseLimit] reads it: "100/s", "1000/h burst 50".
func (l Limit) String() string {
	if l.Rate == Inf || l.Burst == 0 {
		return l.Rate.String()
	}
	return l.Rate.String() + " burst " + strconv.Itoa(l.Burst)
}

// ParseLimit reads a limit as people write it in a configuration:
//
//	100/s                      100 a second, bursts of 100
//	1000/h burst 50            1000 an hour, bursts of 50
//	100 per minute, burst 20   100 a minute, bursts of 20
//	1/1m30s                    one every 90 seconds
//	0/s                        nothing at all
//	inf                        no limit
//
// The period is ns, us, ms, s, m, h or d (24 hours); sec, second, min, minute,
// hour or day; or a duration as [time.ParseDuration] reads it. Bad text is an
// error, never a panic and never another limit than the one written.
func ParseLimit(s string) (Limit, error) {
	text, burst, hasBurst := cutBurst(strings.TrimSpace(s))
	rate, err := parseRate(text)
	if err != nil {
		return Limit{}, fmt.Errorf("ratelimit: parse limit %q: %w", s, err)
	}
	if !hasBurst {
		return Limit{Rate: rate}, nil
	}

	// A burst is a number of its own.
	n, err := strconv.Atoi(burst)
	if err != nil || n < 1 || int64(n) > maxBurst {
		return Limit{}, fmt.Errorf("ratelimit: parse limit %q: burst must be a number from 1 to 2^61", s)
	}
	if rate == Inf {
		return Limit{}, fmt.Errorf("ratelimit: parse limit %q: inf has no burst", s)
	}
	return Limit{Rate: rate, Burst: n}, nil
}

// cutBurst splits the text of a limit into that of its rate and that of its
// burst, if it has one.
func cutBurst(s string) (rate, burst string, ok bool) {
	i := strings.LastIndex(s, "burst ")
	if i < 1 || s[i-1] != ' ' && s[i-1] != ',' {
		return s, "", false
	}
	rate = strings.TrimSpace(s[:i])
	return strings.TrimSpace(strings.TrimSuffix(rate, ",")), strings.TrimSpace(s[i+len("burst "):]), true
}

func parseRate(s string) (Rate, error) {
	if s == "inf" {
		return Inf, nil
	}
	count, period, ok := strings.Cut(s, "/")
	if !ok {
		count, period, ok = strings.Cut(s, " per ")
	}
	if !ok {
		return Rate{}, errors.New("want COUNT/PERIOD, COUNT per PERIOD or inf")
	}

	// A number, and a period in one of its spellings.
	n, err := strconv.ParseInt(strings.TrimSpace(count), 10, 64)
	if err != nil || n < 0 {
		return Rate{}, errors.New("count must be a number from 0 to 2^63-1")
	}
	d, err := parsePeriod(strings.TrimSpace(period))
	if err != nil {
		return Rate{}, err
	}

	r := Rate{count: n, per: d}
	if !r.valid() {
		return Rate{}, errors.New("rate is above 10^12 a second")
	}
	return r, nil
}

func parsePeriod(s string) (time.Duration, error) {
	for _, p := range periods {
		if s == p.name {
			return p.d, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, errors.New("period must be ns, us, ms, s, m, h, d, a word such as minute, or a positive duration")
	}
	return d, nil
}

// MarshalText returns l.String(), so that a Limit can stand in a configuration
// file.
func (l Limit) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText sets l to the limit that [ParseLimit] reads from text. On an
// error l is unchanged.
func (l *Limit) UnmarshalText(text []byte) error {
	p, err := ParseLimit(string(text))
	if err != nil {
		return err
	}
	*l = p
	return nil
}
