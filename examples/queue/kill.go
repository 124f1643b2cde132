// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// victimDir names the variable that makes this program the process to be
// killed, and tells it where its queue is.
const victimDir = "ASHLAR_QUEUE_VICTIM"

// Jobs of the victim, and how many it may do before it is killed.
const (
	victimJobs = 300
	killAfter  = 60
)

// victim works on a queue, and tells which jobs it has done.
func victim(ctx context.Context, dir string, stdout io.Writer) (err error) {
	db, err := lsm.Open(dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = workOff(ctx, db, func(id string) error {
		_, err := fmt.Fprintln(stdout, id)
		return err
	})
	return err
}

// workOff enqueues all jobs of the victim, as far as they are not there, does
// what is left, and calls did after each.
func workOff(ctx context.Context, db *lsm.DB, did func(id string) error) (q *Queue, err error) {
	at := time.Duration(0)
	if q, err = open(db, func() time.Duration { return at }); err != nil {
		return nil, err
	}
	for i := range victimJobs {
		if _, err := q.Enqueue(ctx, victimJob(i), "work", 0); err != nil {
			return q, err
		}
	}

	// What an earlier process has claimed comes back when its time is over.
	for len(q.jobs) > 0 {
		at += time.Second
		if err := errors.Join(ctx.Err(), q.Expire(ctx)); err != nil {
			return q, err
		}
		for {
			j, err := q.Claim(ctx, "w1")
			if errors.Is(err, errEmpty) {
				break
			}
			if err == nil {
				err = q.Ack(ctx, j, effectOf(j.ID))
			}
			if err == nil {
				err = did(j.ID)
			}
			if err != nil {
				return q, err
			}
		}
	}
	return q, nil
}

func victimJob(i int) string { return fmt.Sprintf("%05d", 10_000+10*i) } // none is poison

// reportKill starts a victim, kills it while it works, and finishes its work.
func reportKill(ctx context.Context, _ *config, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "queue-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	told, err := killed(ctx, dir)
	if err != nil {
		return err
	}

	// Another process, which is this one.
	db, err := lsm.Open(dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var again []string
	q, err := workOff(ctx, db, func(id string) error {
		again = append(again, id)
		return nil
	})
	if err != nil {
		return err
	}
	if err := checkKilled(q, told, again); err != nil {
		return err
	}
	fmt.Fprintf(w, "kill -9 of another process, after %d acknowledgments\n", killAfter)
	_, err = fmt.Fprintf(w, "law holds: the first %d were not done again, and all %d took effect once\n\n", killAfter, victimJobs)
	return err
}

// checkKilled checks that all jobs are done, and that those which the victim
// has told of were not done again.
func checkKilled(q *Queue, told, again []string) error {
	var all []string
	for i := range victimJobs {
		all = append(all, victimJob(i))
	}
	done, dead, err := q.check(all)
	if err != nil {
		return err
	}
	if done != victimJobs || dead != 0 || len(told) < killAfter {
		return fmt.Errorf("%d jobs are done and %d dead, %d were told of, want %d, 0 and %d or more", done, dead, len(told), victimJobs, killAfter)
	}
	twice := map[string]bool{}
	for _, id := range told {
		twice[id] = true
	}
	for _, id := range again {
		if twice[id] {
			return fmt.Errorf("job %s was done before the kill and after it", id)
		}
	}
	return nil
}

// killed starts a victim, reads what it tells, and kills it. It returns all
// that it has told.
func killed(ctx context.Context, dir string) (told []string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}

	// What it writes after that is in the pipe, and was done.
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		told = append(told, lines.Text())
		if len(told) == killAfter {
			if err := cmd.Process.Kill(); err != nil {
				return nil, errors.Join(err, cmd.Wait())
			}
		}
	}
	_ = cmd.Wait() // it was killed
	return told, errors.Join(ctx.Err(), lines.Err())
}
