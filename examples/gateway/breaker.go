// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
)

// What a breaker does with a server that fails: after tripAfter failures in a row it asks it
// nothing for openFor, then for twice as long each time, up to openMax, and in between one probe.
const (
	tripAfter = 5
	probes    = 1
	openFor   = 30 * time.Second
	openMax   = 8 * time.Minute
)

// newBreaker returns the breaker of a server, in the time of the log.
func newBreaker(name string, now func() time.Time, h *history) *breaker.Breaker {
	return breaker.New(&breaker.Options{
		Name:     name,
		Failures: tripAfter,
		Probes:   probes,
		OpenFor:  openFor,
		OpenMax:  openMax,
		Jitter:   -1, // one gateway is no fleet, and the report must not differ from run to run
		OnChange: h.change,
		Now:      now,
	})
}

// A history is what happened to one server, in order: what its breaker says, and what the
// server itself says of the requests that reached it.
type history struct {
	now    func() time.Time
	mu     sync.Mutex // protects events
	events []happening
}

// A happening is a change of the breaker or of the server's health, a request that arrived, or
// the server's death or return.
type happening struct {
	at    time.Time
	kind  kind
	state breaker.State // after a change
}

type kind uint8

const (
	changed kind = iota
	arrived
	killed
	revived
	sick // by the health check
	well
)

func (h *history) add(k kind) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, happening{at: h.now(), kind: k})
}

// change is the breaker's OnChange. A change that time brought was due before now: between then
// and now the breaker was not asked, so nothing can have arrived.
func (h *history) change(c breaker.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, happening{at: c.At, kind: changed, state: c.To})
}

// checkKilled returns an error if the server got more while it was dead than its breaker should
// have let through: up to the trip at most the threshold and those in flight, while open none
// but those in flight at the trip, and at most so many as there are probes in each half-open period.
// It also returns how many requests reached the dead server.
func (srv *server) checkKilled() (reached int, err error) {
	inFlight := int(srv.most.Load())
	dead, state, n := false, breaker.Closed, 0
	for _, e := range srv.history.events {
		switch e.kind {
		case killed, revived:
			dead, n = e.kind == killed, 0
		case changed:
			state, n = e.state, 0
		case arrived:
			if !dead {
				continue
			}
			reached++
			n++
			limit := map[breaker.State]int{
				breaker.Closed:   tripAfter + inFlight,
				breaker.Open:     inFlight - 1, // the one that tripped it is not in flight any more
				breaker.HalfOpen: probes,
			}[state]
			if n > limit {
				return reached, fmt.Errorf("law broken: %s is dead and got %d requests while its breaker was %v, at most %d",
					srv.name, n, state, limit)
			}
		}
	}
	return reached, nil
}

// strips draws the history over n columns of step from origin: what the breaker was, and how
// many requests arrived.
func (srv *server) strips(origin time.Time, step time.Duration, n int) (states string, arrivals []int) {
	row := make([]rune, n)
	arrivals = make([]int, n)
	column := func(at time.Time) int { return min(max(int(at.Sub(origin)/step), 0), n-1) }
	const worse = "·░▒█×" // closed, recovering, half-open, open, out by the health check
	draw := func(from, to int, r rune) {
		for i := from; i <= to; i++ {
			if rank(worse, r) > rank(worse, row[i]) {
				row[i] = r
			}
		}
	}
	look := map[breaker.State]rune{breaker.Closed: '·', breaker.Recovering: '░', breaker.HalfOpen: '▒', breaker.Open: '█'}
	state, healthy, from := breaker.Closed, true, 0
	now := func() rune {
		if !healthy {
			return '×'
		}
		return look[state]
	}
	for _, e := range srv.history.events {
		to := column(e.at)
		draw(from, to, now())
		from = to
		switch e.kind {
		case changed:
			state = e.state
		case arrived:
			arrivals[to]++
		case sick, well:
			healthy = e.kind == well
		}
	}
	draw(from, n-1, now())
	return string(row), arrivals
}

// rank returns the place of r in order, -1 if it has none.
func rank(order string, r rune) int {
	i := 0
	for _, o := range order {
		if o == r {
			return i
		}
		i++
	}
	return -1
}

// opened returns how often the breaker opened, and whether anything happened at all but requests.
func (srv *server) opened() (times int, eventful bool) {
	for _, e := range srv.history.events {
		if e.kind == changed && e.state == breaker.Open {
			times++
		}
		eventful = eventful || e.kind != arrived
	}
	return times, eventful
}

func (sys *system) printServers(w io.Writer) {
	weights := sys.weights
	fmt.Fprintf(w, "balance by %s over servers of weight %s\n", sys.lb, joinInts(weights, ":"))
	fmt.Fprintf(w, "%-10s %9s  %-24s %s\n", "service", "calls", "by server", "imbalance")
	for _, s := range sys.services {
		var calls []int
		for _, srv := range s.servers {
			calls = append(calls, int(srv.calls.Load()))
		}
		fmt.Fprintf(w, "%-10s %9d  %-24s %.2fx\n", s.name, sum(calls), joinInts(calls, " "), imbalance(calls, weights))
	}
}

// printTimelines draws the servers to which something happened, on the columns of the other strips.
func (sys *system) printTimelines(w io.Writer, origin time.Time, step time.Duration, n int) {
	header := false
	for _, s := range sys.services {
		for _, srv := range s.servers {
			times, eventful := srv.opened()
			if !eventful {
				continue
			}
			if !header {
				fmt.Fprintln(w, "breakers: · closed, █ open, ▒ half-open, × taken out by the health check; below, the requests that arrived")
				header = true
			}
			states, arrivals := srv.strips(origin, step, n)
			most := 0
			for _, a := range arrivals {
				most = max(most, a)
			}
			fmt.Fprintf(w, "%-10s│%s│ trips: %d\n", srv.name, states, times)
			fmt.Fprintf(w, "%-10s│%s│ a full column is %d\n", "", strip(arrivals, most), most)
		}
	}
	if !header {
		fmt.Fprintln(w, "breakers: all stayed closed")
	}
}

// printKilled judges what the breakers let through to servers that were dead.
func (sys *system) printKilled(w io.Writer) error {
	if sys.kill.number == 0 {
		return nil
	}
	total := 0
	for _, s := range sys.services {
		reached, err := s.servers[sys.kill.number-1].checkKilled()
		if err != nil {
			return err
		}
		total += reached
	}
	fmt.Fprintf(w, "law holds: of machine %d, while it was dead, each server got at most %d requests and those in flight until\n"+
		"           its breaker opened, and then at most %d in each half-open period (%d in all)\n", sys.kill.number, tripAfter, probes, total)
	return nil
}
