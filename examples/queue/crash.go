// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// errPower is the error of all operations of a disk after its power was cut.
var errPower = errors.New("the power is cut")

// A shift is a small amount of work, which is the same each time: jobs of which
// one is poison, and two workers of which one dies with a job.
type shift struct {
	bad   bool // in tests: a job ends in two steps
	at    time.Duration
	acked []string // jobs whose acceptance the client was told
	done  []string // and those whose ack the worker was told
}

// jobsOfShift are the jobs of a shift.
const jobsOfShift = 8

// run does the shift on a disk, from wherever an earlier one has left it, and
// ends when all is over or with the first error.
func (s *shift) run(ctx context.Context, fs lsm.FS) (err error) {
	db, err := lsm.Open("queue", &lsm.Options{FS: fs, LogSize: 4 << 10, Memory: 1 << 20})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	q, err := open(db, func() time.Duration { return s.at })
	if err != nil {
		return err
	}

	q.twoBatches = s.bad

	// The client: what it was not told, it asks for again.
	for i := range jobsOfShift {
		id := fmt.Sprintf("%05d", i+8) // 00013 is among them
		if _, err := q.Enqueue(ctx, id, "work", i%2); err != nil {
			return err
		}
		s.acked = append(s.acked, id)
	}

	// The workers. The second one claims a job at first, and is never heard of
	// again.
	if _, err := q.Claim(ctx, "mute"); err != nil && !errors.Is(err, errEmpty) {
		return err
	}
	for len(q.jobs) > 0 {
		s.at += 250 * time.Millisecond
		if err := q.Expire(ctx); err != nil {
			return err
		}
		j, err := q.Claim(ctx, "w1")
		if errors.Is(err, errEmpty) {
			continue
		}
		if err != nil {
			return err
		}
		if isPoison(j.ID) {
			err = q.Nack(ctx, j, errPoison)
		} else if err = q.Ack(ctx, j, effectOf(j.ID)); err == nil {
			s.done = append(s.done, j.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// crashAt cuts the power before operation n of the disk, and lets the next
// shift go on with what was durable. It reports whether there was such an
// operation.
func crashAt(ctx context.Context, n int64, after lsm.CrashConfig, bad bool) (happened bool, err error) {
	fs := lsm.NewMemFS()
	var cut atomic.Bool
	alive, die := context.WithCancel(ctx)
	defer die()
	fs.Inject(func(op lsm.FSOp) error {
		if op.N < n {
			return nil
		}
		cut.Store(true)
		die() // nobody waits for a disk that may come back
		return errPower
	})
	first := &shift{bad: bad}
	err = first.run(alive, fs)
	if !cut.Load() {
		return false, err
	}

	// Another process begins with what the disk has.
	fs = fs.CrashClone(after)
	second := &shift{at: first.at}
	if err := second.run(ctx, fs); err != nil {
		return true, err
	}
	return true, checkShifts(fs, first, second)
}

// checkShifts checks what the disk has in the end: each job once, and what was
// acknowledged before the crash was neither lost nor done again.
func checkShifts(fs lsm.FS, first, second *shift) (err error) {
	db, err := lsm.Open("queue", &lsm.Options{FS: fs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	q, err := open(db, func() time.Duration { return second.at })
	if err != nil {
		return err
	}
	done, dead, err := q.check(second.acked)
	if err != nil {
		return err
	}
	if done != jobsOfShift-1 || dead != 1 {
		return fmt.Errorf("%d jobs are done and %d dead, want %d and 1", done, dead, jobsOfShift-1)
	}
	for _, id := range first.done {
		if slices.Contains(second.done, id) {
			return fmt.Errorf("job %s was done before the crash and after it", id)
		}
	}
	return nil
}

// leastPoints is less than a shift has. How many there are depends on which of
// its goroutines is faster.
const leastPoints = 80

// reportCrashes cuts the power before each operation of the disk.
func reportCrashes(ctx context.Context, c *config, w io.Writer) error {
	for n := int64(1); ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		happened := false
		for _, after := range []lsm.CrashConfig{{}, {Keep: 0.5, Seed: c.seed + uint64(n)}, {Keep: 1}} {
			var err error
			if happened, err = crashAt(ctx, n, after, false); err != nil {
				return fmt.Errorf("power cut before operation %d, %+v: %w", n, after, err)
			}
		}
		if !happened && n < leastPoints {
			return fmt.Errorf("the shift has %d operations of the disk, want more", n)
		}
		if !happened {
			break
		}
	}
	fmt.Fprintf(w, "power cuts: before each operation of the disk, more than %d, three states each\n", leastPoints)
	_, err := fmt.Fprintf(w, "law holds: after each of them %d jobs took effect once, the poisonous is dead,\n           and nothing that was acknowledged was lost or done again\n\n", jobsOfShift-1)
	return err
}
