// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// The service of which the law is shown: 10,000 requests a second, each of
// which takes 10 ms.
const (
	arrivalRate = 10_000
	serviceTime = 10 * time.Millisecond
	arrivals    = 200_000
)

// offered is the mean number that would be in flight if none was refused.
var offered = arrivalRate * serviceTime.Seconds()

// A flow is what became of the arrivals at a limit.
type flow struct {
	limit   int
	refused float64 // part of the arrivals
	mean    float64 // in flight
	most    int
}

// simulate lets requests arrive at random, each of an exponential time, at a
// limit of so many at once.
func simulate(seed uint64, limit int) flow {
	rng := rand.New(rand.NewPCG(seed, uint64(limit)))
	gate := ratelimit.NewConcurrency(limit, nil)
	type end struct {
		at     float64 // seconds
		permit ratelimit.Permit
	}
	var ends []end // by time
	var now, area float64
	f := flow{limit: limit}
	pass := func(until float64) {
		area += float64(gate.InFlight()) * (until - now)
		now = until
	}

	for range arrivals {
		at := now + rng.ExpFloat64()/arrivalRate
		for len(ends) > 0 && ends[0].at <= at {
			pass(ends[0].at)
			ends[0].permit.Release()
			ends = ends[1:]
		}
		pass(at)

		// The request comes in, or does not.
		permit, ok := gate.TryAcquire()
		if !ok {
			f.refused++
			continue
		}
		e := end{at + rng.ExpFloat64()*serviceTime.Seconds(), permit}
		i, _ := slices.BinarySearchFunc(ends, e.at, func(e end, at float64) int {
			if e.at < at {
				return -1
			}
			return 1
		})
		ends = slices.Insert(ends, i, e)
		f.most = max(f.most, gate.InFlight())
	}
	f.refused /= arrivals
	f.mean = area / now
	return f
}

// erlang returns the part of the arrivals that finds all servers busy, by
// Erlang's formula B of 1917: B(0) = 1, B(n) = a·B(n-1) / (n + a·B(n-1)).
func erlang(servers int, load float64) float64 {
	b := 1.0
	for n := 1; n <= servers; n++ {
		b = load * b / (float64(n) + load*b)
	}
	return b
}

// printLittle prints what is busy at once, by the law of Little (1961).
func printLittle(w io.Writer, c *config, f *figures) error {
	err := printEstimates(w, "busy at once", []estimate{
		{what: "cores", formula: "10,000 a second × 10 ms", value: offered, notes: 100},
		{what: "of these, for a limiter", formula: fmt.Sprintf("10,000 × %s", duration(f.limit)), value: arrivalRate * f.limit / 1e9},
		{what: "for a breaker", formula: fmt.Sprintf("10,000 × %s", duration(f.breaker)), value: arrivalRate * f.breaker / 1e9},
		{what: "for a ring of 345 servers", formula: fmt.Sprintf("10,000 × %s", duration(f.ring)), value: arrivalRate * f.ring / 1e9},
		{what: "for a filter", formula: fmt.Sprintf("10,000 × %s", duration(f.bloom)), value: arrivalRate * f.bloom / 1e9},
		{what: "for a rank by score", formula: fmt.Sprintf("10,000 × %s", duration(f.floor)), value: arrivalRate * f.floor / 1e9},
	}, true)
	if err != nil {
		return err
	}

	fmt.Fprintf(w, "%-12s %10s %10s %10s %10s\n", "limit", "in flight", "at most", "refused", "Erlang")
	for _, limit := range []int{80, 100, 120, 150} {
		s := simulate(c.seed, limit)
		theory := erlang(limit, offered)
		fmt.Fprintf(w, "%-12d %10.1f %10d %8.2f %% %8.2f %%\n", limit, s.mean, s.most, 100*s.refused, 100*theory)
		if err := judgeFlow(s, theory); err != nil {
			return err
		}
	}
	fmt.Fprint(w, "law holds: in flight = admitted per second × seconds, at each limit\n\n")
	return nil
}

// judgeFlow returns an error unless what is in flight is what was admitted in a
// second times the seconds it took, and what was refused is what theory says. A
// run of 20 seconds is off by a hundredth or so.
func judgeFlow(s flow, theory float64) error {
	if want := offered * (1 - s.refused); math.Abs(s.mean-want) > 0.02*want {
		return fmt.Errorf("law broken: %.1f are in flight at a limit of %d, and Little says %.1f", s.mean, s.limit, want)
	}
	if math.Abs(s.refused-theory) > 0.01 {
		return fmt.Errorf("law broken: %.3f are refused at a limit of %d, and Erlang says %.3f", s.refused, s.limit, theory)
	}
	if s.most > s.limit {
		return fmt.Errorf("law broken: %d were in flight at once, at a limit of %d", s.most, s.limit)
	}
	return nil
}
