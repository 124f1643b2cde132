// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// The service that workers call: it takes so many calls a second, and is down
// for a while.
const (
	rate     = 25
	downFrom = 8 * time.Second
	downTo   = 14 * time.Second
	tick     = 100 * time.Millisecond
	workers  = 4
)

// isPoison reports whether a job fails whenever it is tried.
func isPoison(id string) bool { return strings.HasSuffix(id, "13") }

// A spike is a run of the queue in simulated time.
type spike struct {
	q       *Queue
	at      time.Duration
	limit   *ratelimit.Limiter
	breaker *breaker.Breaker
	budget  float64 // of retries: a twentieth of what succeeds, and some at the start

	accepted                               []string
	calls, failed, retries, kept, budgeted int
	came, did, length                      []float64 // by second
	states                                 []rune
	waited                                 [2]time.Duration // by priority: until done
	ended                                  [2]int
	arrived                                map[string]time.Duration
	lastCalls                              []time.Duration // times of calls, for the law of the rate
}

// now is the clock of all parts.
func (s *spike) now() time.Duration { return s.at }

// wall is the same for those that want a time.
func (s *spike) wall() time.Time { return time.Unix(1e9, 0).Add(s.at) }

func newSpike(db *lsm.DB) (*spike, error) {
	s := &spike{budget: 3, arrived: map[string]time.Duration{}}
	var err error
	s.q, err = open(db, s.now)
	s.limit = ratelimit.New(ratelimit.PerSecond(rate), 5, &ratelimit.Options{Now: s.wall})
	s.breaker = breaker.New(&breaker.Options{Failures: 5, OpenFor: time.Second, Jitter: -1, Now: s.wall})
	return s, err
}

var (
	errDown   = errors.New("service unavailable")
	errPoison = errors.New("the job makes no sense")
)

// call is a call of the service.
func (s *spike) call(_ context.Context, j job) error {
	s.calls++
	s.lastCalls = append(s.lastCalls, s.at)
	switch {
	case s.at >= downFrom && s.at < downTo:
		return errDown
	case isPoison(j.ID):
		return errPoison
	}
	return nil
}

// work lets a worker do one job, if there is one and the service takes it.
func (s *spike) work(ctx context.Context, worker string) (more bool, err error) {
	if !s.limit.Allow() {
		return false, nil // the service is not to be flooded
	}
	j, err := s.q.Claim(ctx, worker)
	if errors.Is(err, errEmpty) {
		s.limit.Return(1)
		return false, nil
	}
	if err != nil {
		return false, err
	}

	// A retry needs budget: what fails in masses must not fill the service.
	if j.Tries > 0 && s.budget < 1 {
		s.limit.Return(1)
		s.budgeted++
		return true, s.q.Release(ctx, j, time.Second)
	}
	if j.Tries > 0 {
		s.budget--
		s.retries++
	}
	err = s.breaker.Do(ctx, func(ctx context.Context) error {
		err := s.call(ctx, j)
		if errors.Is(err, errPoison) {
			return breaker.Answer(err) // the service is well
		}
		return err
	})
	return true, s.report(ctx, j, err)
}

// report tells the queue how a job went.
func (s *spike) report(ctx context.Context, j job, err error) error {
	switch {
	case errors.Is(err, breaker.ErrOpen):
		s.limit.Return(1)
		s.kept++
		if j.Tries > 0 {
			s.budget++ // nothing was tried
			s.retries--
		}
		return s.q.Release(ctx, j, time.Second)
	case err != nil:
		s.failed++
		return s.q.Nack(ctx, j, err)
	}
	s.budget = min(s.budget+0.05, 10)
	kind := min(j.Priority, 1)
	s.waited[kind] += s.at - s.arrived[j.ID]
	s.ended[kind]++
	s.did[len(s.did)-1]++
	return s.q.Ack(ctx, j, effectOf(j.ID))
}

// run lets jobs come and workers work until all is done.
func (s *spike) run(ctx context.Context, c *config) error {
	rng := rand.New(rand.NewPCG(c.seed, 1))
	left := c.jobs
	for second := 0; left > 0 || len(s.q.jobs) > 0; second++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.came = append(s.came, 0)
		s.did = append(s.did, 0)

		for range int(time.Second / tick) {
			// Half of all come in the third second, and every tenth is urgent.
			n := min(left, 1+rng.IntN(3))
			if second == 2 {
				n = min(left, c.jobs/20)
			}
			for range n {
				id := fmt.Sprintf("%05d", c.jobs-left)
				left--
				if err := s.arrive(ctx, id, rng.IntN(10) == 0); err != nil {
					return err
				}
			}
			if err := s.tick(ctx); err != nil {
				return err
			}
		}
		s.length = append(s.length, float64(len(s.q.jobs)))
		s.states = append(s.states, []rune("·×?")[s.breaker.State()])
	}
	return nil
}

// arrive enqueues a job; the client of every seventh calls twice.
func (s *spike) arrive(ctx context.Context, id string, urgent bool) error {
	priority := 0
	if urgent {
		priority = 1
	}
	s.accepted = append(s.accepted, id)
	s.arrived[id] = s.at
	s.came[len(s.came)-1]++
	fresh, err := s.q.Enqueue(ctx, id, "work", priority)
	if err == nil && !fresh {
		err = fmt.Errorf("job %s is not new", id)
	}
	if err == nil && len(s.accepted)%7 == 0 {
		fresh, err = s.q.Enqueue(ctx, id, "work", priority)
		if fresh {
			return fmt.Errorf("job %s was accepted twice", id)
		}
	}
	return err
}

// tick lets each worker do what it can.
func (s *spike) tick(ctx context.Context) error {
	s.at += tick
	if err := s.q.Expire(ctx); err != nil {
		return err
	}
	for w := range workers {
		for {
			more, err := s.work(ctx, fmt.Sprintf("w%d", w+1))
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
	}
	return nil
}

// check checks the laws of a spike that is over.
func (s *spike) check() (done, dead int, err error) {
	done, dead, err = s.q.check(s.accepted)
	if err != nil {
		return 0, 0, err
	}
	poison := 0
	for _, id := range s.accepted {
		if isPoison(id) {
			poison++
		}
	}
	if done+dead != len(s.accepted) || dead < poison {
		return 0, 0, fmt.Errorf("%d done and %d dead of %d, %d of them poison", done, dead, len(s.accepted), poison)
	}

	// In no window are there more calls than burst and rate permit.
	for i := range s.lastCalls {
		for k := i; k < len(s.lastCalls) && k < i+200; k++ {
			window := s.lastCalls[k] - s.lastCalls[i]
			if most := 5 + rate*window.Seconds(); float64(k-i+1) > most+1e-6 {
				return 0, 0, fmt.Errorf("%d calls within %v, want at most %.1f", k-i+1, window, most)
			}
		}
	}
	return done, dead, nil
}

// reportSpike runs a spike on a database in memory.
func reportSpike(ctx context.Context, c *config, w io.Writer) (err error) {
	db, err := lsm.Open("queue", &lsm.Options{FS: lsm.NewMemFS()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s, err := newSpike(db)
	if err == nil {
		err = s.run(ctx, c)
	}
	if err != nil {
		return err
	}
	done, dead, err := s.check()
	if err != nil {
		return err
	}

	fmt.Fprintf(w, "%d jobs, %d workers, a service of %d calls/s that is down from %v to %v\n\n",
		c.jobs, workers, rate, downFrom, downTo)
	width := min(len(s.came), 60)
	for _, line := range []struct {
		name   string
		values []float64
	}{{"arrive", s.came}, {"done", s.did}, {"waiting", s.length}} {
		most := 0.0
		for _, v := range line.values {
			most = max(most, v)
		}
		fmt.Fprintf(w, "%-9s│%s│ at most %.0f\n", line.name, spark(line.values[:width], most), most)
	}
	fmt.Fprintf(w, "%-9s│%s│ × is open\n", "breaker", string(s.states[:width]))
	fmt.Fprint(w, "          a column is a second\n\n")
	fmt.Fprintf(w, "calls %d, failed %d; kept back by the breaker %d times, by the budget %d times\n", s.calls, s.failed, s.kept, s.budgeted)
	fmt.Fprintf(w, "mean time to the effect: urgent %.1f s, others %.1f s; all is over after %v\n",
		s.waited[1].Seconds()/float64(max(s.ended[1], 1)), s.waited[0].Seconds()/float64(max(s.ended[0], 1)), s.at)
	_, err = fmt.Fprintf(w, "law holds: %d jobs took effect once, %d are dead letters, none is both;\n           in every window the service got at most 5 + %d/s calls\n\n", done, dead, rate)
	return err
}
