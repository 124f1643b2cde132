// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// A bound is a limit as the law reads it: from the text alone, without the
// package that the law is there to judge. Over a window w it permits burst +
// count·w/per requests.
type bound struct {
	text  string
	inf   bool
	count int64
	per   time.Duration
	burst int64
}

func parseBound(text string) (bound, error) {
	b := bound{text: text, inf: text == "inf"}
	if b.inf {
		return b, nil
	}

	rate, burst, bursts := strings.Cut(text, " burst ")
	count, period, ok := strings.Cut(rate, "/")
	if !ok {
		return b, fmt.Errorf("law: no rate in %q", text)
	}

	var err error
	if b.count, err = strconv.ParseInt(count, 10, 64); err != nil {
		return b, fmt.Errorf("law: %w", err)
	}
	if period == "d" {
		period = "24h"
	} else if strings.Trim(period, "0123456789") == period {
		period = "1" + period // "m" is one minute
	}
	if b.per, err = time.ParseDuration(period); err != nil {
		return b, fmt.Errorf("law: %w", err)
	}

	// Without a burst, that of one period.
	b.burst = b.count
	if bursts {
		b.burst, err = strconv.ParseInt(burst, 10, 64)
	}
	return b, err
}

// slack is the time that the limiter may add to a window because its clock
// ticks: it promises admitted <= burst + rate·(w + 2 ns).
const slack = 2

// A law keeps the account of each client's requests and admissions, and finds
// the worst window.
//
// Let E(j) be the largest excess of work over supply of a window that ends with
// admission j, in units of 1/per of a request: the maximum over i of
// (j-i+1)·per - count·(t(j)-t(i)). Either the window is j alone, or it is a
// window that ends at j-1 and goes on:
//
//	E(j) = per + max(0, E(j-1) - count·(t(j)-t(j-1)))
//
// so that one number per client and limit is enough to look at every window.
// The law is E(j) <= burst·per. A refusal at t was needed if one more request
// would have broken it. The integers are of any size: nothing is rounded and
// nothing overflows.
type law struct {
	bounds  []bound
	clients map[string]*account
}

// An account is the law's record of one client.
type account struct {
	key                string
	first, last        int64 // nanoseconds of its first and its latest request
	requests, admitted int
	needless           int // refusals that no limit called for
	tiers              []debt
}

// A debt is how far one client has gone into one limit.
type debt struct {
	level big.Int // E, as above
	worst big.Int // the most that E went beyond the bound; negative or zero if the law holds
	seen  bool    // worst is set
}

func newLaw(bounds []bound) *law {
	return &law{bounds: bounds, clients: make(map[string]*account)}
}

// observe enters a request. Time that goes back stands still.
func (l *law) observe(key string, at time.Time, admitted bool) {
	t := at.UnixNano()
	a := l.clients[key]
	if a == nil {
		a = &account{key: key, first: t, last: t, tiers: make([]debt, len(l.bounds))}
		l.clients[key] = a
	}

	elapsed := big.NewInt(max(t, a.last))
	elapsed.Sub(elapsed, big.NewInt(a.last))
	a.last = max(t, a.last)
	a.requests++

	needed := false
	for i, b := range l.bounds {
		if b.inf {
			continue
		}
		if over := a.tiers[i].next(b, elapsed, admitted); over.Sign() > 0 {
			needed = true
		}
	}

	switch {
	case admitted:
		a.admitted++
	case !needed:
		a.needless++
	}
}

// next moves s on by elapsed and adds the request if it was admitted. It
// returns how far the request goes, or would go, beyond b. The slack leaves
// that uncertain; the doubt favors the limiter, so over is short by the slack
// for an admission and long for a refusal.
func (s *debt) next(b bound, elapsed *big.Int, admitted bool) (over *big.Int) {
	count, per := big.NewInt(b.count), big.NewInt(int64(b.per))
	s.level.Sub(&s.level, new(big.Int).Mul(count, elapsed))
	if s.level.Sign() < 0 {
		s.level.SetInt64(0)
	}

	over = new(big.Int).Add(&s.level, per)
	over.Sub(over, new(big.Int).Mul(big.NewInt(b.burst), per))
	margin := new(big.Int).Mul(count, big.NewInt(slack))

	if !admitted {
		return over.Add(over, margin)
	}
	s.level.Add(&s.level, per)
	over.Sub(over, margin)
	if !s.seen || over.Cmp(&s.worst) > 0 {
		s.worst.Set(over)
		s.seen = true
	}
	return over
}

// excess returns how many requests, rounded up, the worst window held beyond b.
func (s *debt) excess(b bound) *big.Int {
	if s.worst.Sign() <= 0 {
		return new(big.Int)
	}
	n := new(big.Int).Add(&s.worst, big.NewInt(int64(b.per)-1))
	return n.Quo(n, big.NewInt(int64(b.per)))
}

// check returns an error if a client got more than its limits permit, or was
// refused without need. A limiter that runs out of room forgets clients, and
// forgives them what they had taken: all the excess there is must be within
// what it says it forgave.
func (l *law) check(forgiven uint64) error {
	for i, b := range l.bounds {
		if b.inf {
			continue
		}

		total, most, key := new(big.Int), new(big.Int), ""
		for _, a := range l.clients {
			n := a.tiers[i].excess(b)
			total.Add(total, n)
			if c := n.Cmp(most); c > 0 || c == 0 && n.Sign() > 0 && a.key < key {
				most, key = n, a.key
			}
		}
		if total.Cmp(new(big.Int).SetUint64(forgiven)) > 0 {
			return fmt.Errorf("law broken: %s admitted %v requests too many in all, %v of them of %s within one window; %d forgiven",
				b.text, total, most, key, forgiven)
		}
	}

	for _, a := range l.clients {
		if a.needless > 0 {
			return fmt.Errorf("law broken: %s was refused %d times while every limit permitted the request", a.key, a.needless)
		}
	}
	return nil
}

// bound returns the most requests that all limits permit within the time that a
// was seen.
func (l *law) bound(a *account) int64 {
	least := int64(math.MaxInt64)
	for _, b := range l.bounds {
		if b.inf {
			continue
		}
		n := new(big.Int).Sub(big.NewInt(a.last), big.NewInt(a.first))
		n.Add(n, big.NewInt(slack)).Mul(n, big.NewInt(b.count)).Quo(n, big.NewInt(int64(b.per)))
		if n.Add(n, big.NewInt(b.burst)); n.IsInt64() {
			least = min(least, n.Int64())
		}
	}
	return least
}
