// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// childEnv has the orders of a process, in JSON.
const childEnv = "ASHLAR_LIMITS_CHILD"

// Orders are what a process is to do.
type orders struct {
	Kind, Addr, Limit string
	Time              time.Duration
	Skewed            bool          // it has a clock of its own
	Ahead             time.Duration // by which that is ahead
}

// The breaker of a process, and how many requests it has at once.
const (
	tripAfter = 3
	openFor   = 50 * time.Millisecond
	workers   = 2
	giveBack  = 8 // of the admitted, one in so many is given back
)

// An event is what a process was given, or gave back, with the times before and
// after, in nanoseconds.
type event struct {
	From, To int64
	Local    bool // by the limit of the process alone
	Back     bool // it was given back
}

// A summary is what a process says at the end.
type summary struct {
	Failed, Tripped, HalfOpen int64
	Asked                     int64
}

// A line is what a process writes.
type line struct {
	Event   *event   `json:",omitempty"`
	Summary *summary `json:",omitempty"`
}

// A process asks for the limit as often as it can.
type process struct {
	orders
	shared *ratelimit.Shared
	sum    summary

	mu  sync.Mutex // protects out
	out *json.Encoder
}

// child is a process.
func child(ctx context.Context, text string, stdout io.Writer) error {
	p := new(process)
	if err := json.Unmarshal([]byte(text), &p.orders); err != nil {
		return err
	}
	limit, err := ratelimit.ParseLimit(p.Limit)
	if err != nil {
		return err
	}
	st, err := open(ctx, p.Kind, p.Addr)
	if err != nil {
		return err
	}
	defer st.close()
	w := bufio.NewWriter(stdout)
	p.out = json.NewEncoder(w)

	// The store behind its breaker, and a limit for when it fails.
	guard := &guarded{st, breaker.New(&breaker.Options{
		Failures: tripAfter, OpenFor: openFor, OpenMax: 2 * openFor,
		OnChange: func(c breaker.Change) {
			switch {
			case c.To == breaker.HalfOpen:
				atomic.AddInt64(&p.sum.HalfOpen, 1)
			case c.To == breaker.Open && c.From == breaker.Closed:
				atomic.AddInt64(&p.sum.Tripped, 1)
			}
		},
		Classify: func(ctx context.Context, err error) breaker.Outcome {
			if err != nil && ctx.Err() == nil {
				atomic.AddInt64(&p.sum.Failed, 1)
			}
			return breaker.Classify(ctx, err)
		},
	})}
	burst, perSecond, err := numbers(limit)
	if err != nil {
		return err
	}
	local := ratelimit.New(ratelimit.Per(int(perSecond/processes), time.Second), int(burst/processes), nil)
	p.shared = ratelimit.NewShared(guard, []ratelimit.Limit{limit}, &ratelimit.SharedOptions{
		Now: p.clock(st),
		OnError: func(_ string, n int, _ error) ratelimit.Decision {
			d := local.Take(n)
			d.Tier = localTier
			return d
		},
	})

	ctx, cancel := context.WithTimeout(ctx, p.Time)
	defer cancel()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { p.ask(ctx) }) // ends with ctx
	}
	wg.Wait()
	if err := p.out.Encode(line{Summary: &p.sum}); err != nil {
		return err
	}
	return w.Flush()
}

// localTier marks decisions of the process alone: a Shared with one limit makes
// none with it.
const localTier = 7

// clock returns the clock by which decisions are made: that of the server, or
// of the process if it is to have one.
func (p *process) clock(st *store) func(context.Context) (time.Time, error) {
	if !p.Skewed {
		return st.now
	}
	return func(context.Context) (time.Time, error) { return time.Now().Add(p.Ahead), nil }
}

// ask asks until ctx ends, and gives some of what it got back.
func (p *process) ask(ctx context.Context) {
	for n := 0; ctx.Err() == nil; {
		atomic.AddInt64(&p.sum.Asked, 1)
		from := time.Now().UnixNano()
		d, _ := p.shared.Take(ctx, "everybody", 1) // an error is for OnError
		e := event{From: from, To: time.Now().UnixNano(), Local: d.Tier == localTier}
		if !d.OK {
			pause(ctx, min(d.RetryAfter, 5*time.Millisecond))
			continue
		}
		p.write(&e)
		if n++; n%giveBack == 0 && !e.Local {
			from := time.Now().UnixNano()
			_ = p.shared.Return(ctx, "everybody", 1) // it may have been recorded: it counts
			p.write(&event{From: from, To: time.Now().UnixNano(), Back: true})
		}
	}
}

func (p *process) write(e *event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.out.Encode(line{Event: e}) // Flush tells of it
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(max(d, time.Millisecond)):
	}
}
