// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/skiplist"
)

// A job is a piece of work as the database has it.
type job struct {
	ID       string // by which the client knows it again: enqueueing it twice is enqueueing it once
	Payload  string
	Priority int           // the greatest first
	Seq      int           // of jobs of one priority the first first
	Tries    int           // that have failed
	Token    int           // of the last claim: an ack with an older one is refused
	Worker   string        // that has claimed it, or ""
	Due      time.Duration // until then it is hidden, if it is not ready
	Hidden   bool
}

// A rank orders ready jobs.
type rank struct{ priority, seq int }

// Rules of the queue.
const (
	visibility = 2 * time.Second        // a claim lasts so long, and after a heartbeat again
	firstPause = 500 * time.Millisecond // after a failure; it doubles
	mostPause  = 8 * time.Second
	mostTries  = 5
)

// A Queue is a durable work queue. It is not safe for concurrent use: a server
// would hold a lock, and apply its batches at once.
type Queue struct {
	db     *lsm.DB
	now    func() time.Duration
	jobs   map[string]*job
	ready  *skiplist.SortedSet[string, rank]
	hidden *skiplist.SortedSet[string, time.Duration] // by deadline
	seq    int

	// In tests, what goes wrong without it.
	twoBatches bool // a job ends in two steps
	noTokens   bool // an ack with an old token is taken
}

// Keys of the database: jobs, results of jobs that are done, why others are
// dead letters, and a record of each effect that a job had: two are seen.
const (
	jobKey    = "job/"
	doneKey   = "done/"
	deadKey   = "dead/"
	effectKey = "effect/"
)

var (
	errNotYours = errors.New("the job is not this worker's any more")
	errEmpty    = errors.New("no job is ready")
)

// open returns the queue in a database. now is the time since some beginning,
// and must not go back when the queue is opened again.
func open(db *lsm.DB, now func() time.Duration) (*Queue, error) {
	q := &Queue{
		db:   db,
		now:  now,
		jobs: map[string]*job{},
		ready: skiplist.NewSortedSetFunc[string](func(a, b rank) int {
			return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.seq, b.seq))
		}, cmp.Compare[string]),
		hidden: skiplist.NewSortedSet[string, time.Duration](),
	}
	it := db.Prefix([]byte(jobKey))
	for _, value := range it.All() {
		j := new(job)
		if err := json.Unmarshal(value, j); err != nil {
			return nil, errors.Join(err, it.Close())
		}
		q.jobs[j.ID] = j
		q.seq = max(q.seq, j.Seq)
		q.place(j)
	}
	return q, it.Close()
}

// place puts a job where it belongs in memory.
func (q *Queue) place(j *job) {
	q.ready.Delete(j.ID)
	q.hidden.Delete(j.ID)
	if j.Hidden {
		q.hidden.Set(j.ID, j.Due)
	} else {
		q.ready.Set(j.ID, rank{j.Priority, j.Seq})
	}
}

// save writes a job as next, and then changes it in memory.
func (q *Queue) save(ctx context.Context, next job) error {
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	var b lsm.Batch
	b.Set([]byte(jobKey+next.ID), text)
	if err := q.db.Apply(ctx, &b); err != nil {
		return err
	}
	j := q.jobs[next.ID]
	if j == nil {
		j = new(job)
		q.jobs[next.ID] = j
	}
	*j = next
	q.place(j)
	return nil
}

// finish removes a job, and writes a record of how it ended in the same batch.
func (q *Queue) finish(ctx context.Context, j *job, key, text string) error {
	var b lsm.Batch
	b.Set([]byte(key+j.ID), []byte(text))
	if key == doneKey {
		b.Set(fmt.Appendf(nil, "%s%s/%d", effectKey, j.ID, j.Token), nil)
	}
	if q.twoBatches {
		if err := q.db.Apply(ctx, &b); err != nil {
			return err
		}
		b.Reset()
	}
	b.Delete([]byte(jobKey + j.ID))
	if err := q.db.Apply(ctx, &b); err != nil {
		return err
	}
	delete(q.jobs, j.ID)
	q.ready.Delete(j.ID)
	q.hidden.Delete(j.ID)
	return nil
}

// Enqueue accepts a job, and reports whether it is new: a client that does not
// know what became of its call calls again.
func (q *Queue) Enqueue(ctx context.Context, id, payload string, priority int) (fresh bool, err error) {
	if q.jobs[id] != nil {
		return false, nil
	}
	for _, key := range []string{doneKey, deadKey} {
		if known, err := q.db.Has([]byte(key + id)); known || err != nil {
			return false, err
		}
	}
	q.seq++
	return true, q.save(ctx, job{ID: id, Payload: payload, Priority: priority, Seq: q.seq})
}

// Claim hides the first job that is ready from other workers, for some time.
func (q *Queue) Claim(ctx context.Context, worker string) (job, error) {
	id, _, ok := q.ready.Min()
	if !ok {
		return job{}, errEmpty
	}
	next := *q.jobs[id]
	next.Hidden = true
	next.Worker = worker
	next.Token++
	next.Due = q.now() + visibility
	return next, q.save(ctx, next)
}

// held returns the job that a claim was for, if it is still the worker's.
func (q *Queue) held(c job) (*job, error) {
	j := q.jobs[c.ID]
	if j == nil || (j.Token != c.Token || j.Worker == "") && !q.noTokens {
		return nil, errNotYours
	}
	return j, nil
}

// Ack ends a job with its effect, at once.
func (q *Queue) Ack(ctx context.Context, c job, effect string) error {
	j, err := q.held(c)
	if err != nil {
		return err
	}
	return q.finish(ctx, j, doneKey, effect)
}

// Nack gives a job back that has failed. After some tries it is dead, and else
// it comes again after a pause.
func (q *Queue) Nack(ctx context.Context, c job, why error) error {
	j, err := q.held(c)
	if err != nil {
		return err
	}
	return q.failed(ctx, j, why.Error())
}

// failed counts a failure.
func (q *Queue) failed(ctx context.Context, j *job, why string) error {
	if j.Tries+1 >= mostTries {
		return q.finish(ctx, j, deadKey, why)
	}
	next := *j
	next.Tries++
	next.Worker = ""
	next.Hidden = true
	next.Due = q.now() + min(firstPause<<(next.Tries-1), mostPause)
	return q.save(ctx, next)
}

// Release gives a job back that was not tried: it comes again after a pause,
// and has not failed.
func (q *Queue) Release(ctx context.Context, c job, pause time.Duration) error {
	j, err := q.held(c)
	if err != nil {
		return err
	}
	next := *j
	next.Worker = ""
	next.Due = q.now() + pause
	return q.save(ctx, next)
}

// Heartbeat says that a worker lives: its jobs stay its own.
func (q *Queue) Heartbeat(ctx context.Context, worker string) error {
	for _, j := range q.jobs {
		if j.Worker != worker {
			continue
		}
		next := *j
		next.Due = q.now() + visibility
		if err := q.save(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// Expire makes jobs ready whose time has come: those that were to be tried
// again, and those of workers that were silent.
func (q *Queue) Expire(ctx context.Context) error {
	for {
		id, due, ok := q.hidden.Min()
		if !ok || due > q.now() {
			return nil
		}
		j := q.jobs[id]
		if j.Worker != "" {
			if err := q.failed(ctx, j, "worker "+j.Worker+" was silent"); err != nil {
				return err
			}
			continue
		}
		next := *j
		next.Hidden = false
		if err := q.save(ctx, next); err != nil {
			return err
		}
	}
}

// ends returns the records of jobs that are done, or dead.
func (q *Queue) ends(key string) (map[string]string, error) {
	list := map[string]string{}
	it := q.db.Prefix([]byte(key))
	for k, v := range it.All() {
		list[string(k[len(key):])] = string(v)
	}
	return list, it.Close()
}

// check checks the law of the queue: of the jobs that were accepted each is
// done and has had its effect once, or dead, or still there, and nothing is two
// of these.
func (q *Queue) check(accepted []string) (done, dead int, err error) {
	finished, err := q.ends(doneKey)
	if err != nil {
		return 0, 0, err
	}
	letters, err := q.ends(deadKey)
	if err != nil {
		return 0, 0, err
	}
	records, err := q.ends(effectKey)
	if err != nil {
		return 0, 0, err
	}
	effects := map[string]int{}
	for name := range records {
		id, _, _ := strings.Cut(name, "/")
		effects[id]++
	}

	for _, id := range accepted {
		effect, isDone := finished[id]
		_, isDead := letters[id]
		n := 0
		for _, is := range []bool{isDone, isDead, q.jobs[id] != nil} {
			if is {
				n++
			}
		}
		if n != 1 {
			return 0, 0, fmt.Errorf("job %s: done %t, dead %t, there %t", id, isDone, isDead, q.jobs[id] != nil)
		}
		if isDone && (effect != effectOf(id) || effects[id] != 1) {
			return 0, 0, fmt.Errorf("job %s has the effect %q %d times, want %q once", id, effect, effects[id], effectOf(id))
		}
	}
	return len(finished), len(letters), nil
}

// effectOf is what doing a job is for.
func effectOf(id string) string { return "did " + id }
