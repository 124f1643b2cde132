// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A rotation is the logs that are written: the one that the leader has, the
// last one in use, and the next. pipeline.mu protects its fields, except
// current.
//
//	          seal names                  made in advance
//	current ---------------> tail   . . . . . . . . . . .  next
//	the leader writes it     the open group is bound to it
//
// Mostly current is tail. A group that does not fit into tail is bound to next,
// which is the tail from then on; the leader seals current when it comes to
// that group.
type rotation struct {
	db      *DB
	current *logFile // owned by the leader, or by Open and Close when there is none

	tail      *logFile      // nil if Open lacked room
	used      int64         // bytes of tail that are written, or reserved
	next      *logFile      // nil if it is not ready
	chain     []uint64      // numbers of the logs up to tail, from the oldest that was not removed
	nextNo    uint64        // number of the next log or table
	wanted    int64         // size that a waiting commit needs, if more than LogSize
	making    bool          // a goroutine makes next
	makeErr   error         // why the last attempt failed
	makeAgain int64         // when the next attempt is due, if nobody waits
	makeDelay time.Duration // of the next attempt, if the last one failed
	waiting   int           // commits that wait for next
	pending   *resumption   // the work of Open that lacked room, or nil
	begun     atomic.Uint64 // log files that were begun
	leading   atomic.Uint64 // number of current
	stalls    uint64        // commits that have waited

	quit       chan struct{} // closed when nothing needs next any more
	quitting   bool
	background sync.WaitGroup
}

const (
	minMakeBackoff = 10 * time.Millisecond
	maxMakeBackoff = time.Second
)

// reserveLocked reserves room for size bytes of operations in the log of g, the
// open group, and reports whether there was room. If g has no log yet, it is
// bound to the memtable, and to tail or, if that lacks room, to next. full says
// that the memtable is full: then g gets a new one, and next with it, because a
// log belongs to one memtable.
func (l *rotation) reserveLocked(g *group, size int64, full bool) bool {
	if g.log == nil {
		size += groupExtra
	}

	// The group begins in the next log if the last one is too full.
	if full || l.tail == nil || l.used+size+sealLen > l.tail.size {
		if g.log != nil {
			return false
		}
		if need := logHeaderLen + size + sealLen; l.next == nil || need > l.next.size {
			l.wanted = max(l.wanted, need)
			return false
		}
		l.tail = l.next
		l.next = nil
		l.used = logHeaderLen
		l.wanted = 0
		l.chain = append(l.chain, l.tail.no)
		if full {
			l.db.freeze(l.db.commits.seq, logRef{l.tail.no, l.tail.nonce})
			l.db.pressLocked()
			l.db.scheduleFlushLocked()
		}
	}

	// The bytes belong to the group, and the next log is prepared in time.
	g.log = l.tail
	g.mem = l.db.state.Load().mem
	g.reserved += size
	l.used += size
	if l.used > l.tail.size/2 || g.mem.bytes() > l.db.opts.Memory/16 {
		l.prepareLocked()
	}
	return true
}

// settleLocked gives back the room that the group that was just written had
// reserved and did not need. open is the open group.
func (l *rotation) settleLocked(open *group) {
	if l.tail == l.current {
		l.used = l.current.off + l.current.markRoom() + open.reserved
	}
}

// change ends the current log, and makes next the current one. first is the
// sequence of the first operation in it. Only the leader may call it.
func (l *rotation) change(next *logFile, first uint64) error {
	if err := l.current.seal(next, first); err != nil {
		return err
	}
	l.current = next
	l.leading.Store(next.no)
	l.begun.Add(1)
	return nil
}

// leaveLocked returns the numbers of the logs before oldest that the leader has
// left, which are not part of the chain any more.
func (l *rotation) leaveLocked(oldest uint64) []uint64 {
	n := 0
	for n < len(l.chain) && l.chain[n] < min(oldest, l.leading.Load()) {
		n++
	}
	left := l.chain[:n:n]
	l.chain = l.chain[n:]
	return left
}

// prepareLocked starts making the next log, unless there is one or the last
// attempt just failed.
func (l *rotation) prepareLocked() {
	ready := l.pending == nil && l.next != nil && l.next.size >= l.wanted
	if ready || l.making || l.quitting {
		return
	}
	if l.makeErr != nil && l.waiting == 0 && l.db.now() < l.makeAgain {
		return
	}
	l.making = true
	l.background.Go(l.makeNext) // ends when there is a log, nobody waits for it, or the database closes
}

// makeNext makes the next log, again as long as commits wait for it.
func (l *rotation) makeNext() {
	mu := &l.db.commits.mu
	for {
		err := l.tryMake()
		l.db.files.spare(err)
		l.db.failure(err)
		mu.Lock()
		l.makeErr = err
		delay := time.Duration(0)
		if err != nil {
			delay = backoff(l.makeDelay, minMakeBackoff, maxMakeBackoff)
		}
		l.makeDelay = delay
		if err == nil || l.waiting == 0 || l.quitting {
			l.making = false
			l.makeAgain = l.db.now() + int64(delay)
			l.db.commits.changedLocked()
			mu.Unlock()
			return
		}
		mu.Unlock()

		// Commits wait for this log, so it is tried until there is one.
		l.db.pause(delay)
	}
}

// tryMake finishes the work of Open, or makes the next log. A commit that needs
// a longer one gets it last, so that it holds up no other.
func (l *rotation) tryMake() error {
	mu := &l.db.commits.mu
	mu.Lock()
	pending := l.pending
	next := l.next
	l.next = nil
	wanted := l.wanted
	mu.Unlock()

	if pending != nil {
		return l.resume(pending)
	}

	// Make it without the lock.
	var err error
	if next == nil {
		next, err = l.create(l.db.opts.LogSize)
	}

	// A longer log is begun by nobody while it grows.
	if err == nil && wanted > next.size {
		if err = allocate(next.f, next.size, wanted); err == nil {
			err = next.f.Sync()
		}
		if err == nil {
			next.size = wanted
		}
	}

	mu.Lock()
	defer mu.Unlock()
	l.next = next
	l.db.commits.changedLocked() // it may be long enough for others
	return err
}

// create makes a log with the next number.
func (l *rotation) create(size int64) (*logFile, error) {
	h := fileHeader{no: l.nextNumber(), id: l.db.id, nonce: l.db.nonce()}
	return createLog(l.db.opts.FS, l.db.dir, h, size)
}

// nextNumber returns the number of the next log or table.
func (l *rotation) nextNumber() uint64 {
	mu := &l.db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	no := l.nextNo
	l.nextNo++
	return no
}

// peekNumber returns the number that nextNumber will return.
func (l *rotation) peekNumber() uint64 {
	mu := &l.db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	return l.nextNo
}

// resume finishes the work for which Open lacked room.
func (l *rotation) resume(r *resumption) error {
	log, err := l.complete(r)
	if err != nil {
		return err
	}

	mu := &l.db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	l.begin(log)
	l.pending = nil
	l.db.scheduleFlushLocked()
	l.db.scheduleCompactionLocked()
	return nil
}

// begin makes log the one that is written.
func (l *rotation) begin(log *logFile) {
	l.current = log
	l.leading.Store(log.no)
	l.tail = log
	l.used = log.off
}

// quitLocked ends makeNext, and wakes all commits that wait.
func (l *rotation) quitLocked() {
	if !l.quitting {
		l.quitting = true
		close(l.quit)
	}
	l.db.commits.changedLocked()
}

// finish ends the logs of a database that is closed, so that damage of any byte
// of them is found. No goroutine uses them any more. next is the sequence to
// come. It returns the last log, which has no operation, or nil: without space
// for another log everything is durable still, but the database looks as if its
// process had been killed.
func (l *rotation) finish(next uint64) (*logFile, error) {
	current := l.current
	if current == nil {
		return nil, nil // read-only, or Open lacked room: nothing was written
	}
	if !current.data {
		return current, current.end(next)
	}

	// The log has operations: seal it, and end in a log that has none, so that
	// the next Open begins no other.
	last := l.next
	if last == nil {
		made, err := l.create(0)
		if lacksRoom(err) {
			return nil, errors.Join(current.sync(), current.f.Close())
		}
		if err != nil {
			return nil, errors.Join(err, current.sync(), current.f.Close())
		}
		last = made
	}
	if err := current.seal(last, next); err != nil {
		return nil, errors.Join(err, current.f.Close(), last.f.Close())
	}
	l.leading.Store(last.no)
	l.chain = append(l.chain, last.no)
	return last, last.end(next)
}
