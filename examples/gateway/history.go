// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
)

// A history is the events of one server, in order: the changes of its breaker,
// as the breaker reports them, and the requests that reached it, as the server
// reports them.
type history struct {
	now    func() time.Time
	mu     sync.Mutex // protects events
	events []historyEvent
}

// A historyEvent is a change of the breaker or of the server's health, a
// request that arrived, or the beginning or end of a fault of the server.
type historyEvent struct {
	at    time.Time
	kind  kind
	state breaker.State // after a change
}

type kind uint8

const (
	changed kind = iota
	arrived
	failed
	mended
	sick // by the health check
	well
)

// add enters an event that is happening. A nil history forgets it.
func (h *history) add(k kind) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, historyEvent{at: h.now(), kind: k})
}

// change is the breaker's OnChange. A change that time brought was due before
// now: between then and now the breaker was not asked, so nothing can have
// arrived.
func (h *history) change(c breaker.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, historyEvent{at: c.At, kind: changed, state: c.To})
}

// checkFailed returns an error if the server got more while it was dead, silent
// or slow than its breaker should have let through: up to the trip at most the
// threshold and those in flight, while open none but those in flight at the
// trip, and at most the number of probes in each half-open period. It also
// returns how many requests reached the server then.
func (srv *server) checkFailed() (reached int, err error) {
	inFlight := int(srv.most.Load())
	dead, state, n := false, breaker.Closed, 0

	for _, e := range srv.history.events {
		switch e.kind {
		case failed, mended:
			dead, n = e.kind == failed, 0
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
			if n > limit && err == nil {
				err = fmt.Errorf("law broken: %s fails and got %d requests while its breaker was %v, at most %d",
					srv.name, n, state, limit)
			}
		}
	}
	return reached, err
}

// strips draws the history over n columns of step from origin: what the breaker
// was, and how many requests arrived.
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

	// The state of the breaker at each event, out of service counting most.
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

// opened returns how often the breaker opened, and whether anything happened at
// all but requests.
func (srv *server) opened() (times int, eventful bool) {
	for _, e := range srv.history.events {
		if e.kind == changed && e.state == breaker.Open {
			times++
		}
		eventful = eventful || e.kind != arrived
	}
	return times, eventful
}
