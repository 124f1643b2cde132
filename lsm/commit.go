// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	asyncDelay    = 10 * time.Millisecond  // how long Async commits stay in the process
	asyncBytes    = 256 << 10              // how many bytes of them
	maxLeaderWait = 500 * time.Microsecond // how long a leader waits for others
	maxYields     = 1 << 12                // how often, in case the clock stands still
	writeYields   = 2                      // how often if there is no sync
	probeEvery    = 16                     // groups of one commit before it looks for others
)

// A pipeline gives commits their sequences, and writes them in groups.
type pipeline struct {
	db      *DB
	visible atomic.Uint64 // the last sequence that readers see; changed under mu

	mu       sync.Mutex    // protects all below, and the fields of rotation
	seq      uint64        // the last sequence given
	synced   uint64        // the last sequence that is durable
	written  uint64        // the last sequence that is in a log, or in a table
	open     *group        // the group that commits join
	recycled *group        // an empty group, or nil
	leading  bool          // a goroutine is the leader
	failed   error         // an ErrReadOnly: why nothing can be written
	change   chan struct{} // closed at the next change, if someone waits for one
	timer    *time.Timer   // writes Async commits
	armed    bool          // timer is running
	stats    Stats         // its gauges, and Logs and Stalls, are filled in later

	led        uint64       // groups that were led; owned by the leader
	lastGroup  atomic.Int32 // commits in the group before
	leaderWait atomic.Int64 // time that a leader may wait for others, ns
}

// A group is the commits that are written to a log at once. Its fields are
// protected by pipeline.mu until a leader closes it.
type group struct {
	buf      []byte    // a record: room for its header, then operations
	log      *logFile  // where it will be written; nil without operations
	mem      *memtable // where its operations are
	first    uint64    // the sequence of the first of them
	count    uint32    // operations
	reserved int64     // the bytes that it may take in its log
	sync     bool      // a commit of it must be durable
	waited   bool      // a commit waits, or waited, for it to be written
	waiters  int       // commits that wait now

	commits atomic.Int32

	// done and baton are made by the first commit that waits. done is closed
	// when err is set. The commit that gets the token from baton is the leader,
	// and the group is the open one.
	done  chan struct{}
	baton chan struct{}
	err   error
}

// finish wakes the commits that wait for g, and returns an empty group with its
// memory.
func (g *group) finish() *group {
	// A large group was an exception: its buffer is not kept.
	buf := g.buf[:0]
	if cap(buf) > 4*asyncBytes {
		buf = nil
	}
	if g.done != nil {
		close(g.done) // the commits that wait will look at err
		return &group{buf: buf}
	}

	// Nobody waits for this group, so nobody reads it any more.
	g.buf = buf
	g.log = nil
	g.mem = nil
	g.count = 0
	g.reserved = 0
	g.sync = false
	g.waited = false
	g.commits.Store(0)
	return g
}

// batches holds batches for Set and Delete.
var batches = sync.Pool{New: func() any { return new(Batch) }}

// takeBatch returns an empty batch.
func takeBatch() *Batch { return batches.Get().(*Batch) }

// giveBatch gives b back, unless it has become large.
func giveBatch(b *Batch) {
	b.Reset()
	if cap(b.data) <= asyncBytes {
		batches.Put(b)
	}
}

// commit makes the changes of b with durability d.
func (p *pipeline) commit(ctx context.Context, b *Batch, d Durability) error {
	p.mu.Lock()
	if err := p.admitLocked(ctx, int64(len(b.data)), int64(b.count), nil); err != nil || b.count == 0 {
		p.mu.Unlock()
		return err
	}

	// From here on the batch has its place among all commits.
	g := p.open
	published := p.visible.Load() == p.seq
	p.addLocked(g, b)

	// An Async commit is over, unless something before it is not visible yet,
	// or the group has become so large that it should be written.
	if d == Async && published {
		p.visible.Store(p.seq)
		if len(g.buf) < asyncBytes {
			p.armLocked()
			p.mu.Unlock()
			return nil
		}
	}

	g.sync = g.sync || d == Sync
	return p.joinLocked(ctx, g)
}

// flush makes everything durable that was committed before.
func (p *pipeline) flush(ctx context.Context) error {
	p.mu.Lock()
	if err := p.stateLocked(); err != nil || p.synced == p.seq {
		p.mu.Unlock()
		return err
	}
	p.open.sync = true
	return p.joinLocked(ctx, p.open)
}

// stateLocked returns why no commit is possible, or nil.
func (p *pipeline) stateLocked() error {
	switch {
	case p.db.closed.Load():
		return ErrClosed
	case p.db.opts.ReadOnly:
		return ErrReadOnly
	default:
		return p.failed
	}
}

// admitLocked waits until the open group has room for n operations of size
// bytes in all, in its log and in its memtable, and reserves it. If old is not
// nil, it waits until that is not the memtable any more. It may release mu
// while it waits.
func (p *pipeline) admitLocked(ctx context.Context, size, n int64, old *memtable) error {
	db := p.db
	large := false // it counts in flush.large
	var timeout <-chan time.Time
	for {
		mem := db.state.Load().mem
		done := n == 0 && mem != old // nothing to do, or another was first
		if err := p.stateLocked(); err != nil || done {
			return err
		}

		// A full memtable becomes immutable with the next group.
		growth := mem.growth(size, n)
		full := db.memtableFullLocked(growth) || old != nil
		short := db.memoryShortLocked(growth, full)
		if !short && !(full && p.open.log != nil) && db.logs.reserveLocked(p.open, size, full) {
			return nil
		}

		// A commit that is longer than a memtable waits until all of them are
		// flushed: until then others begin none.
		if db.largeGrowth(growth) && !large {
			large = true
			db.flush.large++
			defer func() {
				db.flush.large--
				p.changedLocked()
			}()
		}

		// The memtable or the log of the open group is full: the group has to
		// go first.
		if p.open.log != nil && !short {
			if err := p.yieldLocked(ctx); err != nil {
				return err
			}
			continue
		}

		// There is no log for another group yet, or no memory.
		if timeout == nil {
			timer := time.NewTimer(db.opts.StallTimeout)
			defer timer.Stop()
			timeout = timer.C
			db.logs.stalls++
		}
		if err := p.stallLocked(ctx, timeout, short); err != nil {
			return err
		}
	}
}

// stallLocked waits for a change, of memory if that is short, and otherwise of
// logs.
func (p *pipeline) stallLocked(ctx context.Context, timeout <-chan time.Time, short bool) error {
	// A commit that waits makes the job try at once, also after a failure.
	logs := &p.db.logs
	flush := &p.db.flush
	cause := &logs.makeErr
	if short {
		cause = &flush.err
		flush.waiting++
		p.db.scheduleFlushLocked()
	} else {
		logs.waiting++
		logs.prepareLocked()
	}

	err := p.waitLocked(ctx, timeout)
	if short {
		flush.waiting--
	} else {
		logs.waiting--
	}
	if err == nil {
		return nil
	}

	// The commit gives up, and says what the job has failed with.
	logs.wanted = 0 // every other commit that waits sets it again
	if short && *cause == nil {
		cause = &p.db.compactions.err // a merge has the turn, and cannot write its edit
	}
	if *cause != nil {
		err = fmt.Errorf("%w: %w", err, *cause)
	}
	return err
}

// yieldLocked returns when the open group has been closed, or might have been.
// It releases mu meanwhile.
func (p *pipeline) yieldLocked(ctx context.Context) error {
	g := p.open
	g.waited = true
	if p.leading {
		return p.waitLocked(ctx, nil)
	}

	p.leading = true
	p.mu.Unlock()
	_ = p.lead(g) // a failure is in failed
	p.mu.Lock()
	return nil
}

// waitLocked releases mu until something changes. It returns an error if ctx or
// the timeout ends.
func (p *pipeline) waitLocked(ctx context.Context, timeout <-chan time.Time) error {
	if p.change == nil {
		p.change = make(chan struct{})
	}
	change := p.change
	p.mu.Unlock()

	// Any change of the pipeline ends the wait: the caller looks again.
	var err error
	select {
	case <-change:
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", ErrStalled, ctx.Err())
	case <-timeout:
		err = ErrStalled
	}

	p.mu.Lock()
	return err
}

// changedLocked wakes all commits in waitLocked.
func (p *pipeline) changedLocked() {
	if p.change != nil {
		close(p.change)
		p.change = nil
	}
}

// addLocked gives the operations of b their sequences, and puts them into g and
// its memtable.
func (p *pipeline) addLocked(g *group, b *Batch) {
	if g.count == 0 {
		g.first = p.seq + 1
		g.buf = append(g.buf, make([]byte, recordHeadLen)...)
	}
	g.buf = append(g.buf, b.data...)
	g.count += b.count
	g.commits.Add(1)
	p.stats.Commits++
	p.stats.BatchBytes += uint64(len(b.data))

	// The operations are visible when the group is.
	for data := b.data; len(data) > 0; {
		o, rest, _ := decodeOp(data)
		p.seq++
		g.mem.insert(o.key, o.value, p.seq, o.kind)
		data = rest
	}
}

// joinLocked releases mu, and returns when g, the open group, is written.
func (p *pipeline) joinLocked(ctx context.Context, g *group) error {
	g.waited = true
	if !p.leading {
		p.leading = true
		p.mu.Unlock()
		return p.lead(g)
	}

	// Somebody leads another group, and hands this one over when it is done.
	if g.done == nil {
		g.done = make(chan struct{})
		g.baton = make(chan struct{}, 1)
	}
	g.waiters++
	p.mu.Unlock()

	select {
	case <-g.done:
		return g.err
	case <-g.baton:
		return p.lead(g)
	case <-ctx.Done():
		return p.leave(ctx, g)
	}
}

// leave stops waiting for g. If the baton has come to the last commit that
// waited, a goroutine in the background leads in its place.
func (p *pipeline) leave(ctx context.Context, g *group) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-g.done:
		return g.err // g was written while ctx ended
	default:
	}

	// The baton must not stay with a group that nobody waits for.
	g.waiters--
	if g.waiters == 0 {
		select {
		case <-g.baton:
			p.leadInBackground(g)
		default:
		}
	}
	return ctx.Err()
}

// leadInBackground leads g when no commit waits for it.
func (p *pipeline) leadInBackground(g *group) {
	p.db.logs.background.Go(func() { _ = p.lead(g) }) // ends when g is written; a failure is in failed
}

// lead writes g, the open group. The caller is the leader, and lead passes that
// on.
func (p *pipeline) lead(g *group) error {
	p.gather(g)

	// Close the group: from here on commits go to the next one.
	p.mu.Lock()
	p.open = p.recycled
	p.recycled = nil
	if p.open == nil {
		p.open = new(group)
	}
	seq := p.seq
	p.lastGroup.Store(g.commits.Load())
	p.changedLocked()
	p.mu.Unlock()

	// Only the leader touches the log, so no lock is held while the disk works.
	n, err := p.write(g, seq)

	// The outcome is for all of the group.
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failLocked(g, err)
		return g.err
	}
	p.publishLocked(g, seq, n)
	p.passLocked()
	return nil
}

// publishLocked makes g visible, of which n bytes were written, and wakes the
// commits that wait for it.
func (p *pipeline) publishLocked(g *group, seq uint64, n int64) {
	if g.count > 0 {
		p.stats.Groups++
		p.stats.LogBytes += uint64(n)
	}
	if g.sync {
		p.stats.Syncs++
		p.synced = seq
	}
	if seq > p.visible.Load() {
		p.visible.Store(seq)
	}
	p.written = seq
	p.db.scheduleFlushLocked()

	// The log forgets the room that the group had reserved and did not use.
	p.db.logs.settleLocked(p.open)
	p.recycled = g.finish()
	if invariants {
		p.checkLocked()
	}
}

// passLocked gives the lead to a commit that waits for the open group, or to
// nobody.
func (p *pipeline) passLocked() {
	g := p.open
	switch {
	case g.waiters > 0:
		g.baton <- struct{}{} // has room: a group gets the lead once
	case g.waited:
		p.leadInBackground(g)
	default:
		p.leading = false
		p.changedLocked()
	}
}

// gather waits for more commits to come to g, if there were several in the
// group before. It yields and does not sleep, because timers are coarser than
// that. For a group that is synced it goes on for an eighth of the time that
// this takes, at most; for another one a few times, since a write is short. If
// groups have one commit each, it looks now and then whether that is so because
// nobody else had a chance to run.
func (p *pipeline) gather(g *group) {
	want := p.lastGroup.Load()
	p.led++
	if want <= 1 && p.led%probeEvery != 0 {
		return
	}
	p.mu.Lock()
	synced := g.sync
	p.mu.Unlock()

	// A group that is not synced costs a write: a few turns of the scheduler
	// are enough.
	if !synced {
		for range writeYields {
			runtime.Gosched()
			if want <= 1 || g.commits.Load() >= want {
				return
			}
		}
		return
	}

	// A sync takes long. Waiting for an eighth of that costs little, and may
	// save one.
	limit := min(p.leaderWait.Load(), int64(maxLeaderWait))
	if want <= 1 || limit <= 0 {
		return
	}
	start := p.db.now()
	for range maxYields {
		if g.commits.Load() >= want || p.db.now()-start > limit {
			return
		}
		runtime.Gosched()
	}
}

// write puts g into its log, and syncs it if g wants that. It returns how many
// bytes that were. Only the leader may call it.
func (p *pipeline) write(g *group, seq uint64) (n int64, err error) {
	logs := &p.db.logs
	if g.log != nil && g.log != logs.current {
		if err := logs.change(g.log, g.first); err != nil {
			return 0, err
		}
	}
	log := logs.current

	// A group without operations is a Sync of those before.
	start := log.off
	if g.count > 0 {
		if err := log.append(g.buf, recordHead{kind: recordData, count: g.count, first: g.first}); err != nil {
			return 0, err
		}
	}
	if !g.sync {
		return log.off - start, nil
	}

	// A mark says that the records before it are durable. For a single record
	// the next one says so.
	several := log.unsynced > 1
	begin := p.db.now()
	if err := log.sync(); err != nil {
		return 0, err
	}
	if several {
		err = log.mark(seq + 1)
	}

	// The average of the last eight or so, and an eighth of it.
	w := p.leaderWait.Load()
	p.leaderWait.Store(w + ((p.db.now()-begin)/8-w)/8)
	return log.off - start, err
}

// failLocked ends all writing because of err. The commits that wait for g or
// for the open group get an error, and so do all later ones: none is lost in
// silence, and none waits forever.
func (p *pipeline) failLocked(g *group, err error) {
	p.failed = fmt.Errorf("%w: %w", ErrReadOnly, err)
	for _, g := range []*group{g, p.open} {
		g.err = p.failed
		if g.done != nil {
			close(g.done)
		}
	}
	p.open = &group{}
	p.leading = false
	p.db.logs.quitLocked()
	p.changedLocked()
}

// armLocked makes sure that the open group is written within asyncDelay, though
// no commit waits for it.
func (p *pipeline) armLocked() {
	if p.armed {
		return
	}
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(asyncDelay, p.writeAsync)
		return
	}
	p.timer.Reset(asyncDelay)
}

// writeAsync writes the open group. It runs when the timer has ended.
func (p *pipeline) writeAsync() {
	p.mu.Lock()
	p.armed = false
	g := p.open
	switch {
	case p.failed != nil || p.db.closed.Load() || g.count == 0:
		p.mu.Unlock() // a failure or Close came first, or the group was written
	case p.leading:
		g.waited = true // the leader hands over
		p.mu.Unlock()
	default:
		p.leading = true
		p.mu.Unlock()
		_ = p.lead(g) // a failure is in failed
	}
}

// drain ends the pipeline of a database that was just closed: it waits for the
// leader, and writes the Async commits that are left. It returns why nothing
// more can be written, if that is so.
func (p *pipeline) drain() error {
	p.mu.Lock()
	p.db.logs.quitLocked()
	if p.timer != nil {
		p.timer.Stop()
	}

	// The leader ends its group, and finds that the database is closing.
	for p.leading {
		_ = p.waitLocked(context.Background(), nil) // only a change ends this wait
	}

	// Async commits that were not written yet.
	if p.open.count > 0 && p.failed == nil {
		g := p.open
		p.leading = true
		p.mu.Unlock()
		_ = p.lead(g) // a failure is in failed
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	return p.failed
}
