// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
)

// The calls to a backend that is down for a while.
const (
	callEvery   = 250 * time.Millisecond
	callTakes   = 100 * time.Millisecond
	callTimeout = 400 * time.Millisecond // what it takes while the backend is down
	callsEnd    = 40 * time.Second
	downFrom    = 10 * time.Second
	downTo      = 25 * time.Second
	everyNth    = 12 // call fails in any case
)

// An outcome is what became of a call.
type outcome int

const (
	succeeded outcome = iota
	failed
	rejected
)

// callInks are the colors of the outcomes.
var callInks = []ink{teal, orange, silver}

// A call has begun, and ends at a time.
type call struct {
	begin, end time.Duration
	permit     breaker.Permit
	outcome    outcome
	probe      bool
}

// A breakerRun is what a breaker did.
type breakerRun struct {
	changes []breaker.Change
	calls   []*call
	base    time.Time
}

// runBreaker calls the backend again and again.
func runBreaker() *breakerRun {
	c := newClock()
	r := &breakerRun{base: c.now}
	b := breaker.New(&breaker.Options{
		FailureRatio: 0.5, MinCalls: 10, Window: 5 * time.Second,
		OpenFor: 2 * time.Second, Jitter: -1, Now: c.Now,
		OnChange: func(c breaker.Change) { r.changes = append(r.changes, c) },
	})

	const step = 50 * time.Millisecond
	var running []*call
	for t := time.Duration(0); t <= callsEnd; t += step {
		c.now = r.base.Add(t)
		running = slices.DeleteFunc(running, func(k *call) bool { return k.reported(t) })
		if t%callEvery == 0 && t < callsEnd {
			k := begin(b, t, len(r.calls))
			r.calls = append(r.calls, k)
			if k.outcome != rejected {
				running = append(running, k)
			}
		}
	}
	return r
}

// begin asks b for call number n. What becomes of it is decided by the time at
// which it begins.
func begin(b *breaker.Breaker, t time.Duration, n int) *call {
	k := &call{begin: t, end: t + callTakes, outcome: rejected}
	p, err := b.Allow()
	if err != nil {
		return k
	}

	k.permit = p
	k.probe = b.State() == breaker.HalfOpen
	k.outcome = succeeded
	switch down := t >= downFrom && t < downTo; {
	case down:
		k.outcome = failed
		k.end = t + callTimeout
	case n%everyNth == everyNth-1:
		k.outcome = failed
	}
	return k
}

// reported reports the outcome, if the call has ended at t.
func (k *call) reported(t time.Duration) bool {
	switch {
	case k.end > t:
		return false
	case k.outcome == failed:
		k.permit.Failure(errors.New("timeout"))
	default:
		k.permit.Success()
	}
	return true
}

// The strips of the picture.
const (
	stripLeft  = 82
	stripRight = pixels - 18
	backendTop = 44
	stateTop   = 84
	callsTop   = 124
	stripHigh  = 26
)

// stripX returns the place of a time.
func stripX(t time.Duration) float64 {
	return stripLeft + (stripRight-stripLeft)*t.Seconds()/callsEnd.Seconds()
}

// drawBreaker draws the states of a breaker over time.
func drawBreaker() (picture, error) {
	r := runBreaker()
	d := newDrawing(296)
	d.text(pixels/2, 22, middle, black, "A breaker and a backend that is down for 15 seconds")
	for i, label := range []string{"backend", "breaker", "calls"} {
		d.text(stripLeft-10, []float64{backendTop, stateTop, callsTop}[i]+17, end, black, label)
	}

	d.strip(backendTop, 0, downFrom, pale, "up")
	d.strip(backendTop, downFrom, downTo, peach, "down")
	d.strip(backendTop, downTo, callsEnd, pale, "up")
	opens := r.drawStates(d)
	r.drawCalls(d)

	// The axis, and what the marks are.
	for s := 0; s <= int(callsEnd.Seconds()); s += 5 {
		x := stripX(time.Duration(s) * time.Second)
		d.line(x, 214, x, 219, 1, gray)
		d.text(x, 233, middle, black, fmt.Sprint(s))
	}
	d.line(stripLeft, 214, stripRight, 214, 1, gray)
	d.text((stripLeft+stripRight)/2, 252, middle, black, "time in seconds")
	for i, name := range []string{"succeeded", "failed", "rejected", "probe", "half-open"} {
		x := stripLeft + 112*float64(i)
		switch name {
		case "probe":
			d.circle(x+4, 274, 4, white, black)
		case "half-open":
			d.rect(x, 267, 8, 14, gray, none)
		default:
			d.rect(x+3, 265, 1.6, 18, callInks[i], none)
		}
		d.text(x+14, 278, start, black, name)
	}
	return picture{
		title:   "States of a breaker over time, with the outcomes of calls",
		svg:     d.bytes(),
		caption: r.caption(opens),
	}, nil
}

// strip draws a part of a strip, and its name if there is room.
func (d *drawing) strip(top float64, from, to time.Duration, fill ink, name string) {
	x := stripX(from)
	w := stripX(to) - x
	d.rect(x, top, w, stripHigh, fill, none)
	if w > 20 {
		d.text(x+w/2, top+17, middle, black, name)
	}
}

// drawStates draws the strip of the breaker, and returns how long it was open
// each time.
func (r *breakerRun) drawStates(d *drawing) (opens []time.Duration) {
	fills := map[breaker.State]ink{breaker.Closed: pale, breaker.Open: peach, breaker.HalfOpen: gray}
	state := breaker.Closed
	from := time.Duration(0)
	part := func(to time.Duration) {
		name := state.String()
		if state == breaker.Open {
			opens = append(opens, to-from)
			name = fmt.Sprintf("open %.0f s", (to - from).Seconds())
			if to-from < 4*time.Second {
				name = fmt.Sprintf("%.0f s", (to - from).Seconds())
			}
		}
		d.strip(stateTop, from, to, fills[state], name)
	}

	for _, c := range r.changes {
		at := c.At.Sub(r.base)
		part(at)
		state = c.To
		from = at
	}
	part(callsEnd)
	return opens
}

// drawCalls draws a mark for each call, those of an outcome on a line.
func (r *breakerRun) drawCalls(d *drawing) {
	for _, k := range r.calls {
		x := stripX(k.begin)
		y := callsTop + 13 + 28*float64(k.outcome)
		d.rect(x-0.8, y-9, 1.6, 18, callInks[k.outcome], none)
		if k.probe {
			d.circle(x, y, 4, white, black)
		}
	}
}

// caption says what is to be seen.
func (r *breakerRun) caption(opens []time.Duration) string {
	asked, sent := 0, 0
	var closed time.Duration
	for _, k := range r.calls {
		if k.begin >= downFrom && k.begin < downTo {
			asked++
			if k.outcome != rejected {
				sent++
			}
		}
	}
	for _, c := range r.changes {
		if c.To == breaker.Closed {
			closed = c.At.Sub(r.base)
		}
	}

	return fmt.Sprintf("Four calls a second, to a backend that is down from 10 s to 25 s. Half of the calls in a window of 5 s have "+
		"failed at %.1f s: the breaker opens for %.0f s, and each probe that fails doubles that, to %.0f s and %.0f s. While the "+
		"backend was down it got %d of %d calls. At %.1f s a probe succeeds and the breaker is closed, %.1f s after the backend came "+
		"back. The few calls that fail at other times trip nothing.",
		r.changes[0].At.Sub(r.base).Seconds(), opens[0].Seconds(), opens[1].Seconds(), opens[2].Seconds(), sent, asked,
		closed.Seconds(), (closed - downTo).Seconds())
}
