// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// A clock is the time of a workload.
type clock struct{ now time.Time }

// newClock returns a clock that starts at any time.
func newClock() *clock { return &clock{time.Unix(1_000_000_000, 0)} }

// Now returns the time.
func (c *clock) Now() time.Time { return c.now }

// The bucket, and the time of its events.
const (
	bucketRate  = 10 // tokens a second
	bucketBurst = 20
	bucketStep  = 50 * time.Millisecond
	bucketEnd   = 10 * time.Second
	barSteps    = 4 // of a bar
)

// bucketEvents returns how many events come at a time: few, 30 at once, more
// than the rate for some seconds, and 12 at once after a pause.
func bucketEvents(t time.Duration) int {
	switch {
	case t == 2*time.Second:
		return 30
	case t < 2*time.Second && t%(200*time.Millisecond) == 0:
		return 1
	case t >= 3*time.Second && t < 7*time.Second:
		return 1 // of each step
	case t == 8500*time.Millisecond:
		return 12
	}
	return 0
}

// A bucketRun is what a limiter did.
type bucketRun struct {
	level           plotter.XYs
	admitted, asked []float64 // by bar
	atOnce          [2]int    // admitted of the two that came at once
	steady          [2]int    // asked and admitted from 3 s to 7 s
}

// runBucket sends the events to a limiter.
func runBucket() *bucketRun {
	c := newClock()
	l := ratelimit.New(ratelimit.PerSecond(bucketRate), bucketBurst, &ratelimit.Options{Now: c.Now})
	bars := int(bucketEnd / bucketStep / barSteps)
	r := &bucketRun{admitted: make([]float64, bars), asked: make([]float64, bars)}
	look := func(t time.Duration) {
		missing := l.Peek(0).ResetAfter.Seconds() * bucketRate
		r.level = append(r.level, plotter.XY{X: t.Seconds(), Y: bucketBurst - missing})
	}

	base := c.now
	for t := time.Duration(0); t < bucketEnd; t += bucketStep {
		c.now = base.Add(t)
		look(t)
		asked := bucketEvents(t)
		admitted := 0
		for range asked {
			if l.Allow() {
				admitted++
			}
		}
		if asked > 0 {
			look(t)
		}

		bar := int(t / bucketStep / barSteps)
		r.asked[bar] += float64(asked)
		r.admitted[bar] += float64(admitted)
		switch {
		case asked == 30:
			r.atOnce[0] = admitted
		case asked == 12:
			r.atOnce[1] = admitted
		case t >= 3*time.Second && t < 7*time.Second:
			r.steady[0] += asked
			r.steady[1] += admitted
		}
	}
	c.now = base.Add(bucketEnd)
	look(bucketEnd)
	return r
}

// drawBucket draws the level of a token bucket, and what came and went.
func drawBucket() (picture, error) {
	r := runBucket()
	level := newPanel(fmt.Sprintf("A token bucket: %d tokens a second, a burst of %d", bucketRate, bucketBurst), "", "tokens in the bucket")
	if err := addLine(level, "", r.level, style{ink: teal, width: 1.5}); err != nil {
		return picture{}, err
	}
	level.Y.Min = 0
	level.Y.Max = bucketBurst + 1

	events := newPanel("", "time in seconds", "events in 0.2 s")
	width := (bucketStep * barSteps).Seconds()
	addBars(events, "denied", r.asked, width, orange)
	addBars(events, "admitted", r.admitted, width, teal)
	events.Legend.XOffs = 340
	events.Y.Min = 0
	for _, p := range []*plot.Plot{level, events} {
		p.X.Min = 0
		p.X.Max = bucketEnd.Seconds()
		p.X.Tick.Marker = ticks(plain, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	}

	svg, err := render(400, []*plot.Plot{level}, []*plot.Plot{events})
	return picture{
		title: "The level of a token bucket over time, and events admitted and denied",
		svg:   svg,
		caption: fmt.Sprintf("A Limiter of %d events a second with a burst of %d. Of 30 events that come at once after 2 s, a full "+
			"bucket admits %d. From 3 s to 7 s come 20 a second: of %d, %d are admitted, the rate and what had come back before. "+
			"The pause saves up for %d of 12 that come at once. In no interval of w seconds are more than %d + %d·w admitted.",
			bucketRate, bucketBurst, r.atOnce[0], r.steady[0], r.steady[1], r.atOnce[1], bucketBurst, bucketRate),
	}, err
}
