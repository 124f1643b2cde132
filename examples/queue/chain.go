// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// A chain of services: S1 calls S2, which calls S4, which makes a video of
// what came. Each of the first two holds a connection while it waits.
const (
	timeS1 = 10 * time.Millisecond
	timeS2 = 50 * time.Millisecond
	timeS4 = 10 * time.Minute

	videos    = 30
	between   = time.Minute
	seats     = 16 // videos that S4 makes at once
	crashesAt = 12*time.Minute + 35*time.Second
	isBackAt  = crashesAt + 5*time.Second
)

// A chain is one way to get the videos made.
type chain struct {
	name     string
	answered int           // clients that got what they wait for
	mean     time.Duration // until then
	longest  time.Duration
	held     int // connections of S1 and S2 at once
	broken   int // calls that ended with an error
}

// wait calls through the whole chain, and does not wait longer than patience.
// A call that breaks when S4 crashes is made again once S4 is back.
func wait(name string, patience time.Duration) chain {
	c := chain{name: name}
	type span struct{ from, to time.Duration }
	var waits []span
	for i := range videos {
		came := time.Duration(i) * between
		begin := came + timeS1 + timeS2
		if begin < crashesAt && crashesAt < begin+timeS4 && crashesAt-came < patience {
			c.broken++
			begin = isBackAt + timeS1 + timeS2
		}
		ends := begin + timeS4
		if ends-came > patience {
			ends = came + patience
			c.broken++
		} else {
			c.answered++
			c.mean += ends - came
			c.longest = max(c.longest, ends-came)
		}
		waits = append(waits, span{came, ends})
	}
	if c.answered > 0 {
		c.mean /= time.Duration(c.answered)
	}

	// The most that overlap do so when one of them begins.
	for _, a := range waits {
		n := 0
		for _, b := range waits {
			if b.from <= a.from && a.from < b.to {
				n++
			}
		}
		c.held = max(c.held, 2*n)
	}
	return c
}

// A studio is S4 as a worker of the queue.
type studio struct {
	q    *Queue
	at   time.Duration
	busy [seats]struct {
		job   job
		until time.Duration // 0: the seat is free
	}
	came     map[string]time.Duration
	accepted []string
	longest  time.Duration // from the acknowledgment to the effect
	lost     int           // videos that were being made when S4 crashed
}

// run lets clients come and S4 work until all videos are made.
func (s *studio) run(ctx context.Context) error {
	for len(s.accepted) < videos || len(s.q.jobs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.at%between == 0 && len(s.accepted) < videos {
			id := fmt.Sprintf("video %d", len(s.accepted)+1)
			if _, err := s.q.Enqueue(ctx, id, "", 0); err != nil {
				return err
			}
			s.accepted = append(s.accepted, id)
			s.came[id] = s.at
		}
		s.at += time.Second
		if err := s.q.Expire(ctx); err != nil {
			return err
		}

		// A crash takes what is half done. The claims end by themselves.
		if s.at == crashesAt {
			for i := range s.busy {
				if s.busy[i].until > 0 {
					s.lost++
				}
				s.busy[i].until = 0
			}
		}
		if s.at >= crashesAt && s.at < isBackAt {
			continue
		}
		for i := range s.busy {
			if err := s.work(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// work lets a seat go on for a second.
func (s *studio) work(ctx context.Context, i int) error {
	seat := &s.busy[i]
	worker := fmt.Sprintf("S4, seat %d", i+1)
	switch {
	case seat.until == 0:
		j, err := s.q.Claim(ctx, worker)
		if errors.Is(err, errEmpty) {
			return nil
		}
		seat.job = j
		seat.until = s.at + timeS4
		return err
	case s.at < seat.until:
		return s.q.Heartbeat(ctx, worker)
	}
	seat.until = 0
	s.longest = max(s.longest, s.at-s.came[seat.job.ID])
	return s.q.Ack(ctx, seat.job, effectOf(seat.job.ID))
}

// check checks that every job that was acknowledged took effect, once.
func (s *studio) check() error {
	done, _, err := s.q.check(s.accepted)
	if err == nil && done != videos {
		err = fmt.Errorf("%d of %d videos were made", done, videos)
	}
	return err
}

// reportChain compares calls that wait with a job that is acknowledged.
func reportChain(ctx context.Context, _ *config, w io.Writer) (err error) {
	db, err := lsm.Open("queue", &lsm.Options{FS: lsm.NewMemFS()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := &studio{came: map[string]time.Duration{}}
	if s.q, err = open(db, func() time.Duration { return s.at }); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}

	acked := chain{name: "an acknowledged job", answered: videos, mean: timeS1 + timeS2, longest: timeS1 + timeS2, held: 2}
	fmt.Fprintf(w, "S1 ─▶ S2 ─▶ S4, which takes %s; %d videos, one a minute; S4 crashes once\n", minutes(timeS4), videos)
	fmt.Fprintf(w, "%-22s%10s%14s%14s%13s%7s\n", "the client waits for", "answered", "after", "at most", "connections", "errors")
	for _, c := range []chain{wait("the whole chain", time.Hour), wait("... for 30 s at most", 30*time.Second), acked} {
		after, most := "never", "never"
		if c.answered > 0 {
			after, most = minutes(c.mean), minutes(c.longest)
		}
		fmt.Fprintf(w, "%-22s%10d%14s%14s%13d%7d\n", c.name, c.answered, after, most, c.held, c.broken)
	}
	_, err = fmt.Fprintf(w, "law holds: all %d jobs took effect once, within %s; of them S4 lost\n           %d half done when it crashed, and began them again unasked\n\n",
		videos, minutes(s.longest), s.lost)
	return err
}

// minutes returns a time as people say it.
func minutes(d time.Duration) string {
	switch m := d.Round(time.Second) / time.Minute; {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d.Round(time.Second)%time.Minute == 0:
		return fmt.Sprintf("%d min", m)
	default:
		return fmt.Sprintf("%d min %d s", m, d.Round(time.Second)%time.Minute/time.Second)
	}
}
