// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
)

// A shift is a client, workers of which some are no good, and a server that is
// killed.
type shift struct {
	q      queue
	server *servers.Server
	jobs   int

	mu       sync.Mutex // protects the fields below
	accepted map[string]bool
	ended    int // acks and dead letters
	failures map[string][]time.Time
	claims   map[string][]time.Time
	refused  int // acks of the worker that is late
	errs     int // calls that had to be made again
}

// Workers of a shift: those that work, and jobs of those that do not.
const (
	workers    = 4
	muteClaims = 3
)

func jobID(n int) string { return fmt.Sprintf("%05d", n) }

// newShift starts a server with a queue. stop is to be called also after an
// error.
func (c *config) newShift(ctx context.Context) (*shift, func() error, error) {
	dir, err := os.MkdirTemp("", "jobs-")
	if err != nil {
		return nil, func() error { return nil }, err
	}
	s := &shift{jobs: c.jobs, accepted: map[string]bool{}, failures: map[string][]time.Time{}, claims: map[string][]time.Time{}}
	stop := func() (err error) {
		if s.q != nil {
			s.q.close()
		}
		if s.server != nil {
			err = s.server.Stop()
		}
		return errors.Join(err, os.RemoveAll(dir))
	}
	if s.server, err = servers.Start(ctx, c.kind(), dir); err != nil {
		return nil, stop, err
	}
	s.q, err = c.open(ctx, s.server)
	return s, stop, err
}

// run does the shift.
func (s *shift) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	work, done := context.WithCancel(ctx)
	defer done()
	var wg sync.WaitGroup
	wg.Go(func() { s.client(ctx) }) // ends when all is accepted
	for i := range workers {
		wg.Go(func() { s.worker(work, fmt.Sprintf("w%d", i+1)) }) // ends when all is over
	}
	wg.Go(func() { s.mute(ctx) }) // ends with its last claim
	late := make(chan error, 1)
	wg.Go(func() { late <- s.late(ctx) }) // ends with its ack

	// The server is killed in the middle.
	err := s.until(ctx, func() bool { return s.ended >= s.jobs/3 })
	if err == nil {
		err = s.server.Kill()
	}
	if err == nil {
		pause(ctx, 100*time.Millisecond)
		err = s.server.Restart(ctx)
	}
	if err == nil {
		err = <-late
	}
	if err == nil {
		err = s.over(ctx)
	}
	if err != nil {
		cancel()
	}
	done()
	wg.Wait()
	return err
}

// until waits until something is so. ok is called under s.mu.
func (s *shift) until(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		yes := ok()
		s.mu.Unlock()
		if yes {
			return nil
		}
		pause(ctx, 5*time.Millisecond)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("the work is not over, of %d jobs %d are accepted and %d have ended: %w", s.jobs, len(s.accepted), s.ended, err)
		}
	}
}

// over waits until all jobs are accepted and none waits.
func (s *shift) over(ctx context.Context) error {
	if err := s.until(ctx, func() bool { return len(s.accepted) == s.jobs }); err != nil {
		return err
	}
	for {
		st, err := s.q.state(ctx)
		if err == nil && len(st.waiting) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("jobs wait for ever: %w", ctx.Err())
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// client enqueues all jobs, each again until it knows that it is accepted, and
// every tenth twice.
func (s *shift) client(ctx context.Context) {
	for n := 1; n <= s.jobs; n++ {
		for again := n%10 == 0; ; {
			_, err := s.q.enqueue(ctx, jobID(n), "work")
			if ctx.Err() != nil {
				return
			}
			if s.failed(ctx, err) {
				continue
			}
			if !again {
				break
			}
			again = false
		}
		s.mu.Lock()
		s.accepted[jobID(n)] = true
		s.mu.Unlock()
	}
}

// failed counts an error that may pass, and waits a little.
func (s *shift) failed(ctx context.Context, err error) bool {
	if err == nil || errors.Is(err, errNotYours) {
		return false
	}
	if !errors.Is(err, errEmpty) {
		s.mu.Lock()
		s.errs++
		s.mu.Unlock()
	}
	pause(ctx, 10*time.Millisecond)
	return true
}

// worker does jobs until ctx ends.
func (s *shift) worker(ctx context.Context, name string) {
	for ctx.Err() == nil {
		c, err := s.q.claim(ctx, name)
		if s.failed(ctx, err) {
			continue
		}
		s.note(s.claims, c.id)
		n := 0
		_, err = fmt.Sscanf(c.id, "%d", &n)
		pause(ctx, 2*time.Millisecond) // the work

		// Say how it went, until that is known to have arrived.
		for ctx.Err() == nil {
			if err != nil || isPoison(n) {
				s.note(s.failures, c.id)
				err = s.q.nack(ctx, c, errPoison)
			} else {
				err = s.q.ack(ctx, c, effectOf(c.id))
			}
			if !s.failed(ctx, err) {
				break
			}
			err = nil
		}
		s.mu.Lock()
		s.ended++
		s.mu.Unlock()
	}
}

// note notes a time, of jobs that are poison.
func (s *shift) note(list map[string][]time.Time, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list[id] = append(list[id], time.Now())
}

// mute claims some jobs, and is never heard of again.
func (s *shift) mute(ctx context.Context) {
	for n := 0; n < muteClaims && ctx.Err() == nil; {
		if _, err := s.q.claim(ctx, "mute"); !s.failed(ctx, err) {
			n++
		}
	}
}

// late claims a job, is stopped until another has done it, and then says that
// it is done, as if it had not noticed.
func (s *shift) late(ctx context.Context) error {
	for {
		c, err := s.q.claim(ctx, "late")
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n := 0
		if s.failed(ctx, err) {
			continue
		}
		if _, err := fmt.Sscanf(c.id, "%d", &n); err != nil || isPoison(n) {
			continue // another one
		}

		// It is stopped until another has done the job.
		for ended := false; !ended; {
			pause(ctx, 20*time.Millisecond)
			st, err := s.q.state(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			ended = err == nil && len(st.ends[c.id]) > 0
		}

		// And says that it is done.
		for {
			err := s.q.ack(ctx, c, effectOf(c.id))
			if s.failed(ctx, err) && ctx.Err() == nil {
				continue
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if errors.Is(err, errNotYours) {
				s.refused++
			}
			return ctx.Err()
		}
	}
}

// judge checks the laws of the queue: each job that was accepted has ended, and
// once; those that always fail are dead, after pauses, and the others have had
// their effect.
func (s *shift) judge(ctx context.Context, w io.Writer) error {
	st, err := s.q.state(ctx)
	if err != nil {
		return err
	}
	dead, err := s.checkEnds(st)
	if err != nil {
		return err
	}
	if s.refused != 1 {
		return errors.New("the ack of a worker that was late was taken")
	}
	pauses, err := s.checkPauses()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  %d jobs, the server killed once: %d calls made again, %d dead letters\n", s.jobs, s.errs, dead)
	_, err = fmt.Fprintf(w, "law holds: no accepted job is lost, each took effect once or is dead\nlaw holds: the late ack of a job that another has done is refused\nlaw holds: what fails comes again after a pause that doubles (%d times)\n", pauses)
	return err
}

// checkEnds checks how jobs have ended, and returns how many are dead.
func (s *shift) checkEnds(st *state) (dead int, err error) {
	for n := 1; n <= s.jobs; n++ {
		id := jobID(n)
		ends := st.ends[id]
		switch {
		case st.waiting[id] && len(ends) == 0:
			return 0, fmt.Errorf("job %s waits still", id)
		case len(ends) == 0:
			return 0, fmt.Errorf("job %s is lost", id)
		case len(ends) > 1 || st.waiting[id]:
			return 0, fmt.Errorf("job %s has ended %d times: %v", id, len(ends), ends)
		case isPoison(n) == ends[0].done:
			return 0, fmt.Errorf("job %s has ended wrongly: %v", id, ends[0])
		case ends[0].done && ends[0].text != effectOf(id):
			return 0, fmt.Errorf("job %s has the effect %q, want %q", id, ends[0].text, effectOf(id))
		}
		if !ends[0].done {
			dead++
		}
	}
	if len(st.ends) != s.jobs {
		return 0, fmt.Errorf("%d jobs have ended, want %d", len(st.ends), s.jobs)
	}
	return dead, nil
}

// checkPauses checks the pauses between failures of jobs and their next claims,
// of those that the workers had each time.
func (s *shift) checkPauses() (count int, err error) {
	for id, failures := range s.failures {
		claims := s.claims[id]
		if len(failures) != mostTries || len(claims) != mostTries {
			continue // another had it, or a call was made again
		}
		for i := range mostTries - 1 {
			if got, want := claims[i+1].Sub(failures[i]), pauseAfter(i+1); got < want {
				return 0, fmt.Errorf("job %s came again after %v, want at least %v", id, got, want)
			}
			count++
		}
	}
	if count == 0 {
		return 0, errors.New("no pauses to look at")
	}
	return count, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
