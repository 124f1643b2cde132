// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"time"
)

// A queue keeps jobs until each has ended: it is done, or a dead letter. All
// methods are safe for concurrent use. After an error that is none of those
// below, the call may have happened, and can be made again.
type queue interface {
	// enqueue accepts a job, and reports whether it is new: a client that does
	// not know what became of its call calls again.
	enqueue(ctx context.Context, id, payload string) (fresh bool, err error)

	// claim hides a job that is ready from other workers, for some time; or the
	// error is errEmpty.
	claim(ctx context.Context, worker string) (*claim, error)

	// ack ends a job with its effect, at once; or the error is errNotYours.
	ack(ctx context.Context, c *claim, effect string) error

	// nack gives a job back that has failed. After some tries it is dead, and
	// else it comes again after a pause.
	nack(ctx context.Context, c *claim, why error) error

	// state returns what there is, for the judge.
	state(ctx context.Context) (*state, error)

	close()
}

// A claim is a job that a worker has, for some time.
type claim struct {
	id, payload string
	worker      string
	try         int // from 1
	token       any // by which the queue knows it again
}

// A state is what a queue has.
type state struct {
	waiting map[string]bool
	ends    map[string][]ending // of one there should be one
}

// An ending is how a job has ended.
type ending struct {
	done bool   // else it is dead
	text string // the effect, or why
}

// Rules of the queue.
const (
	visibility = time.Second // a claim lasts so long
	firstPause = 50 * time.Millisecond
	mostTries  = 4
)

// pauseAfter returns the pause after a try that has failed.
func pauseAfter(try int) time.Duration { return firstPause << (try - 1) }

// faults are what goes wrong without it, in tests.
type faults struct {
	noGuard     bool // a job may end again
	noPause     bool // what has failed comes again at once
	noID        bool // messages of the outbox have no ids
	removeFirst bool // and are removed before they are told
}

var (
	errNotYours = errors.New("the job is not this worker's any more")
	errEmpty    = errors.New("no job is ready")
	errSilent   = errors.New("its workers were silent")
)

// effectOf is what doing a job is for.
func effectOf(id string) string { return "did " + id }

// errPoison is why some jobs fail always.
var errPoison = errors.New("poison")

func isPoison(n int) bool { return n%13 == 0 }
