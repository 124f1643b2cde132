// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	asyncDelay = 10 * time.Millisecond  // how long Async commits stay in the process
	asyncBytes = 256 << 10              // how many bytes of them
	maxGroup   = 1 << 30                // bytes of a group, unless one batch has more
	maxWindow  = 500 * time.Microsecond // how long a leader waits for others
	maxYields  = 1 << 12                // how often, should the clock stand still
)

// A group is what is written to the log at once. Its fields are protected by DB.mu until a leader
// takes it.
type group struct {
	buf      []byte // a record: room for its header, then operations
	first    uint64 // the sequence of the first of them
	count    uint32
	reserved int64 // what it may take in the log
	sync     bool  // a commit of it must be durable
	waited   bool  // someone waits, or waited, for it to be written
	waiters  int   // who wait now

	commits atomic.Int32

	// done and baton are made by the first who waits. done is closed when err is set. Who gets the
	// token from baton is the leader, and g the open group.
	done  chan struct{}
	baton chan struct{}
	err   error
}

// finish wakes those who wait for g, and returns an empty group with its memory.
func (g *group) finish() *group {
	buf := g.buf[:0]
	if cap(buf) > 4*asyncBytes {
		buf = nil
	}
	if g.done != nil {
		close(g.done) // those who wait will look at err
		return &group{buf: buf}
	}
	g.buf, g.count, g.reserved, g.sync, g.waited = buf, 0, 0, false, false
	g.commits.Store(0)
	return g
}

// batches holds batches for Set and Delete.
var batches = sync.Pool{New: func() any { return new(Batch) }}

// Set gives key a value, with the durability of the database.
func (db *DB) Set(key, value []byte) error {
	b := batches.Get().(*Batch)
	b.Set(key, value)
	return db.applyPooled(b)
}

// Delete removes key, if it is there, with the durability of the database.
func (db *DB) Delete(key []byte) error {
	b := batches.Get().(*Batch)
	b.Delete(key)
	return db.applyPooled(b)
}

func (db *DB) applyPooled(b *Batch) error {
	err := db.Apply(context.Background(), b)
	b.Reset()
	if cap(b.data) <= asyncBytes {
		batches.Put(b)
	}
	return err
}

// Apply makes the changes of b, all at once. b can be applied again, and reused after Reset.
//
// After an error that is [ErrClosed], [ErrStalled], [ErrFull] or [ErrTooLarge], or if ctx was done
// before, nothing has changed. After another, such as that of a ctx that ended while the disk was
// writing, the changes may happen yet, or be found when the database is opened again.
func (db *DB) Apply(ctx context.Context, b *Batch) error {
	if b.err != nil {
		return b.err
	}
	d := db.opts.Durability
	if b.chosen {
		d = b.durability
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.Lock()
	size := int64(len(b.data))
	if err := db.admitLocked(ctx, size, int64(b.count)); err != nil {
		db.mu.Unlock()
		return err
	}
	if b.count == 0 {
		db.mu.Unlock()
		return nil
	}
	g := db.pend
	published := db.visible.Load() == db.seq
	db.addLocked(g, b)
	if d == Async && published {
		db.visible.Store(db.seq)
		if len(g.buf) < asyncBytes {
			db.armLocked()
			db.mu.Unlock()
			return nil
		}
	}
	g.sync = g.sync || d == Sync
	return db.joinLocked(ctx, g)
}

// Sync makes everything durable that was committed before. If ctx ends first, it returns the error
// of ctx.
func (db *DB) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.mu.Lock()
	if err := db.stateLocked(); err != nil {
		db.mu.Unlock()
		return err
	}
	if db.synced == db.seq {
		db.mu.Unlock()
		return nil
	}
	db.pend.sync = true
	return db.joinLocked(ctx, db.pend)
}

// stateLocked returns why no commit is possible, or nil.
func (db *DB) stateLocked() error {
	switch {
	case db.closed.Load():
		return ErrClosed
	case db.opts.ReadOnly:
		return ErrReadOnly
	default:
		return db.failed
	}
}

// admitLocked waits until a batch with size bytes of n operations may get its sequence, and reserves
// room for it in the log. It may release mu while it waits.
func (db *DB) admitLocked(ctx context.Context, size, n int64) error {
	var timeout <-chan time.Time
	for {
		if err := db.stateLocked(); err != nil {
			return err
		}
		memory := size + n*(maxEntryExtra+leafSize/fanout*2)
		if !db.mem.arena.fits(memory) || db.mem.bytes()+memory > db.opts.Memory {
			return ErrFull
		}
		full := db.fullLocked(size+recordReserve) && db.next == nil
		if !full && (len(db.pend.buf) == 0 || int64(len(db.pend.buf))+size <= maxGroup) {
			db.used += size + recordReserve
			db.pend.reserved += size + recordReserve
			if db.used > db.opts.LogSize/2 {
				db.prepareLocked()
			}
			return nil
		}
		if timeout == nil {
			timer := time.NewTimer(db.opts.StallTimeout)
			defer timer.Stop()
			timeout = timer.C
			db.metrics.Stalls++
		}
		db.stalled++
		if full {
			db.prepareLocked()
		}
		err := db.waitLocked(ctx, timeout)
		db.stalled--
		if err != nil {
			return err
		}
	}
}

// fullLocked reports whether n more bytes, and the seal, do not fit into the current log. An empty log
// has room for everything.
func (db *DB) fullLocked(n int64) bool {
	return db.used > logHeaderLen+recordReserve && db.used+n+recordReserve > db.opts.LogSize
}

// waitLocked releases mu until something changes. It returns an error if ctx or the timeout ends.
func (db *DB) waitLocked(ctx context.Context, timeout <-chan time.Time) error {
	if db.change == nil {
		db.change = make(chan struct{})
	}
	change := db.change
	db.mu.Unlock()
	var err error
	select {
	case <-change:
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrStalled, ctx.Err())
	case <-timeout:
		err = ErrStalled
	}
	db.mu.Lock()
	if err != nil && db.makeErr != nil {
		err = fmt.Errorf("%w: %w", err, db.makeErr)
	}
	return err
}

// changedLocked wakes all who wait in waitLocked.
func (db *DB) changedLocked() {
	if db.change != nil {
		close(db.change)
		db.change = nil
	}
}

// addLocked gives the operations of b their sequences, and puts them into g and the memtable.
func (db *DB) addLocked(g *group, b *Batch) {
	if g.count == 0 {
		g.first = db.seq + 1
		g.buf = append(g.buf, make([]byte, recordHeadLen)...)
	}
	g.buf = append(g.buf, b.data...)
	g.count += b.count
	g.commits.Add(1)
	db.metrics.Commits++
	for data := b.data; len(data) > 0; {
		o, rest, _ := decodeOp(data)
		db.seq++
		db.mem.insert(o.key, o.value, db.seq, o.kind)
		data = rest
	}
}

// joinLocked releases mu, and returns when g, the open group, is written.
func (db *DB) joinLocked(ctx context.Context, g *group) error {
	g.waited = true
	if !db.leading {
		db.leading = true
		db.mu.Unlock()
		return db.lead(g)
	}
	if g.done == nil {
		g.done, g.baton = make(chan struct{}), make(chan struct{}, 1)
	}
	g.waiters++
	db.mu.Unlock()
	select {
	case <-g.done:
		return g.err
	case <-g.baton:
		return db.lead(g)
	case <-ctx.Done():
		return db.leave(ctx, g)
	}
}

// leave stops waiting for g. If the lead had come to the last who waited, it goes on without.
func (db *DB) leave(ctx context.Context, g *group) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	select {
	case <-g.done:
		return g.err
	default:
	}
	g.waiters--
	if g.waiters == 0 {
		select {
		case <-g.baton:
			db.leadInBackground(g)
		default:
		}
	}
	return ctx.Err()
}

// leadInBackground leads g when nobody waits for it.
func (db *DB) leadInBackground(g *group) {
	db.background.Go(func() { _ = db.lead(g) }) // ends when g is written
}

// lead writes g, the open group. The lead was given to the caller, who gives it on.
func (db *DB) lead(g *group) error {
	db.gather(g)
	db.mu.Lock()
	if db.pend, db.spare = db.spare, nil; db.pend == nil {
		db.pend = new(group)
	}
	seq := db.seq
	var next *logFile
	if db.next != nil && db.fullLocked(0) {
		next, db.next, db.currentNo = db.next, nil, db.next.no
		db.used = next.off + g.reserved
	}
	db.last.Store(g.commits.Load())
	db.changedLocked()
	db.mu.Unlock()

	start := db.log.off
	err := db.write(g, next, seq)

	db.mu.Lock()
	defer db.mu.Unlock()
	if err != nil {
		db.failLocked(g, err)
		return g.err
	}
	if next != nil {
		db.metrics.Logs++
		start = logHeaderLen
	}
	if g.count > 0 {
		db.metrics.Groups++
		db.metrics.LogBytes += uint64(db.log.off - start)
	}
	if g.sync {
		db.metrics.Syncs++
		db.synced = seq
	}
	if seq > db.visible.Load() {
		db.visible.Store(seq)
	}
	db.spare = g.finish()
	if invariants {
		db.checkLocked()
	}
	db.passLocked()
	return nil
}

// passLocked gives the lead to one who waits for the open group, or to nobody.
func (db *DB) passLocked() {
	g := db.pend
	switch {
	case g.waiters > 0:
		g.baton <- struct{}{} // has room: a group gets the lead once
	case g.waited:
		db.leadInBackground(g)
	default:
		db.leading = false
		db.changedLocked()
	}
}

// gather waits for more commits to come to g, if there were several in the group before and g
// has to be synced: for no more than an eighth of the time that this takes. It yields and does not
// sleep, because timers are coarser than the window.
func (db *DB) gather(g *group) {
	want, window := db.last.Load(), min(db.window.Load(), int64(maxWindow))
	if want <= 1 || window <= 0 {
		return
	}
	db.mu.Lock()
	worth := g.sync
	db.mu.Unlock()
	if !worth {
		return
	}
	start := time.Now()
	for range maxYields {
		if g.commits.Load() >= want || int64(time.Since(start)) > window {
			return
		}
		runtime.Gosched()
	}
}

// write puts g into the log, and syncs it if g wants that; before, it ends the current log if there is
// a next one. Only the leader may call it.
func (db *DB) write(g *group, next *logFile, seq uint64) error {
	if next != nil {
		first := seq + 1 - uint64(g.count)
		if err := db.log.seal(next.no, first); err != nil {
			_ = next.f.Close()
			return fmt.Errorf("seal %s: %w", db.log.name, err)
		}
		db.log = next
	}
	if g.count > 0 {
		if err := db.log.append(g.buf, recordHead{kind: recordData, count: g.count, first: g.first}); err != nil {
			return fmt.Errorf("write %s: %w", db.log.name, err)
		}
	}
	if !g.sync {
		return nil
	}
	start := time.Now()
	if err := db.log.sync(); err != nil {
		return fmt.Errorf("sync %s: %w", db.log.name, err)
	}
	// The average of the last eight or so, and an eighth of it.
	w := db.window.Load()
	db.window.Store(w + (int64(time.Since(start))/8-w)/8)
	return nil
}

// failLocked ends all writing because of err. Who waits for g or for the open group gets an error, and
// so do all later commits: none is lost in silence and none waits for ever.
func (db *DB) failLocked(g *group, err error) {
	db.failed = fmt.Errorf("%w: %w", ErrReadOnly, err)
	for _, g := range []*group{g, db.pend} {
		g.err = db.failed
		if g.done != nil {
			close(g.done)
		}
	}
	db.pend = &group{}
	db.leading = false
	db.quitLocked()
	db.changedLocked()
}

// armLocked sees to it that the open group is written within asyncDelay, though nobody waits.
func (db *DB) armLocked() {
	if db.armed {
		return
	}
	db.armed = true
	if db.timer == nil {
		db.timer = time.AfterFunc(asyncDelay, db.flushAsync)
		return
	}
	db.timer.Reset(asyncDelay)
}

// flushAsync writes the open group. It runs when the timer has ended.
func (db *DB) flushAsync() {
	db.mu.Lock()
	db.armed = false
	g := db.pend
	if db.leading || db.failed != nil || db.closed.Load() || g.count == 0 {
		if db.leading && g.count > 0 {
			g.waited = true // the leader hands over
		}
		db.mu.Unlock()
		return
	}
	db.leading = true
	db.mu.Unlock()
	_ = db.lead(g) // a failure is in failed
}

// prepareLocked starts making the next log, unless there is one or the last attempt just failed.
func (db *DB) prepareLocked() {
	if db.next != nil || db.making || db.quitting {
		return
	}
	if db.makeErr != nil && db.stalled == 0 && time.Now().Before(db.makeAgain) {
		return
	}
	db.making = true
	db.background.Go(db.makeNext) // ends when there is a log, nobody waits for it, or the database closes
}

// makeNext makes the next log, again as long as commits wait for it.
func (db *DB) makeNext() {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		db.mu.Lock()
		no, prev := db.nextNo, db.currentNo
		db.nextNo++
		db.mu.Unlock()
		l, err := createLog(db.opts.FS, db.dir, no, prev, db.nonce(), db.opts.LogSize)

		db.mu.Lock()
		db.makeErr = err
		if err == nil {
			db.next = l
		}
		if err == nil || db.stalled == 0 || db.quitting {
			db.making = false
			db.makeAgain = time.Now().Add(delay)
			db.changedLocked()
			db.mu.Unlock()
			return
		}
		db.mu.Unlock()
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-db.quit:
			timer.Stop()
		}
	}
}

// quitLocked ends makeNext, and wakes all who wait.
func (db *DB) quitLocked() {
	if !db.quitting {
		db.quitting = true
		close(db.quit)
	}
	db.changedLocked()
}

// checkLocked panics if an invariant does not hold.
// The caller is the leader.
func (db *DB) checkLocked() {
	for name, ok := range map[string]bool{
		"I1": db.visible.Load() <= db.seq && db.synced <= db.seq,
		"I3": db.leading || !db.pend.waited,
		"I5": db.used >= db.log.off,
		"I4": db.pend.count == 0 || db.pend.first+uint64(db.pend.count) == db.seq+1,
	} {
		if !ok {
			panic(errors.New("lsm: " + name + " violated"))
		}
	}
}
