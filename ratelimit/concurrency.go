// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// Implementation notes for Concurrency.
//
// One word decides:
//
//	bit 63    62        32 31       30      29       0
//	┌───────┬─────────────┬────────┬───────┬──────────┐
//	│ queue │ limit       │ scarce │ swept │ out      │
//	└───────┴─────────────┴────────┴───────┴──────────┘
//
// A place that is out is in flight, or spare: a permit that ends leaves its
// place, with the slot, in a stripe of its goroutine, where the next permit
// finds both with one exchange. When all places are out, the spare ones are
// called in, with the lock held: scarce is set first, from when on no place is
// left in a stripe, and swept when all stripes are empty. Then the word alone
// decides, until no more than a quarter of the limit is out.
//
// While nobody waits, permits come and go by compare-and-swap. The first caller
// that must wait sets the bit, with the lock held and in the same step that
// sees that the limit is reached; from then on the word changes under the lock
// alone, and a permit that ends serves the line. So a permit cannot end unseen
// between the look at the limit and the wait, nor can anybody pass the line.
//
// Invariants, checked under the tag invariants after each change made with the
// lock held:
//
//	C1 the bit is set exactly while somebody waits.
//	C2 while somebody waits, no fewer than limit permits are in flight.
//	C3 the levels of the line are sorted, highest first; none is empty; length is
//	   their sum.
//
// A waiter leaves the line with the lock held, once: granted (its permit is in
// flight already), refused, or because its context ended. A waiter whose
// context ended finds under the lock whether it was granted meanwhile, and if
// so passes the permit on: Netflix's concurrency-limits loses it there (#179).
//
// Lock order: c.mu and sampler.mu are never held together. OnLimit, Algorithm
// and Now run under neither.

// A Concurrency bounds how many operations run at once. Where a [Limiter]
// counts events in a length of time, a Concurrency counts those that have begun
// and not ended, each by a [Permit]. With [ConcurrencyOptions].Adapt it finds
// the limit by itself.
//
// It is safe for concurrent use by multiple goroutines, must not be copied,
// needs no Close and starts no goroutine. Use [NewConcurrency]; a zero
// Concurrency panics when a permit is asked of it.
type Concurrency struct {
	word    atomic.Uint64
	stripes []spareStripe // none if the limit is small, or adapts
	slots   sync.Pool     // of *slot
	opts    ConcurrencyOptions
	clock   clock
	sampler sampler // of ended permits, if opts.Adapt is set

	refused, waited, canceled, dropped atomic.Uint64

	mu      sync.Mutex // protects the fields below
	queue   queue
	target  float64 // the limit before it was rounded
	set     bool    // SetLimit was called since the last sample of the sampler
	changes changeQueue
}

const (
	queueBit   = 1 << 63
	limitShift = 32
	scarceBit  = 1 << 31
	sweptBit   = 1 << 30
	outMask    = 1<<30 - 1
	maxLimit   = 1<<30 - 1

	// slowBits are those under which no place is left in a stripe.
	slowBits = queueBit | scarceBit

	// exactBits are those under which the stripes are empty.
	exactBits = scarceBit | sweptBit
)

// A spareStripe holds a spare place in a cache line, and its neighbor that the
// processor fetches with it.
type spareStripe struct {
	spare atomic.Pointer[slot]
	_     [120]byte
}

// minSpare is the number of permits for each stripe.
const minSpare = 8

func limitOf(word uint64) uint64 { return word &^ queueBit >> limitShift }
func outOf(word uint64) uint64   { return word & outMask }

// NewConcurrency returns a Concurrency of limit permits. If opts is nil, the
// defaults are used. It panics if limit is not between 1 and 2^30-1, or if opts
// is not valid.
func NewConcurrency(limit int, opts *ConcurrencyOptions) *Concurrency {
	checkLimit(limit)
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	o := opts.resolve(limit)
	c := &Concurrency{opts: o, clock: newClock(o.Now), target: float64(limit)}
	if o.Adapt == nil {
		c.stripes = make([]spareStripe, spareStripes(limit))
	}
	c.slots.New = func() any { return &slot{c: c} }
	c.word.Store(uint64(limit) << limitShift)
	c.sampler.end = int64(c.opts.Window)
	return c
}

// spareStripes returns the number of stripes for limit: a power of two, four or
// more to a processor so that two goroutines seldom meet, if the limit allows.
func spareStripes(limit int) int {
	n := 1 << bits.Len(uint(4*min(runtime.GOMAXPROCS(0), 128)-1))
	for n*minSpare > limit {
		n /= 2
	}
	return n
}

// checkLimit panics if limit is not between 1 and 2^30-1.
func checkLimit(limit int) {
	if limit < 1 || limit > maxLimit {
		panic(fmt.Sprintf("ratelimit: limit must be between 1 and 2^30-1, got %d", limit))
	}
}

// TryAcquire returns a permit, or false at once if as many as the limit are in
// flight. End the permit exactly once; see [Permit].
func (c *Concurrency) TryAcquire() (Permit, bool) {
	if p, ok := c.takeSpare(); ok {
		return p, true
	}
	if c.takePlace() || c.callIn() {
		return c.permit(), true
	}
	c.refused.Add(1)
	return Permit{}, false
}

// takeSpare takes the spare place of the stripe of this goroutine, if it holds
// one.
func (c *Concurrency) takeSpare() (Permit, bool) {
	if len(c.stripes) == 0 || c.word.Load()&slowBits != 0 {
		return Permit{}, false
	}
	p := &c.stripes[stripeHash()&uint64(len(c.stripes)-1)].spare
	if p.Load() == nil {
		return Permit{}, false
	}
	s := p.Swap(nil)
	if s == nil {
		return Permit{}, false // another goroutine of the stripe was faster
	}
	return Permit{s, s.gen.Load()}, true
}

// leaveSpare leaves the place of s, whose permit has ended, in the stripe of
// this goroutine, and reports whether it did.
func (c *Concurrency) leaveSpare(s *slot) bool {
	if len(c.stripes) == 0 || c.word.Load()&slowBits != 0 {
		return false
	}
	p := &c.stripes[stripeHash()&uint64(len(c.stripes)-1)].spare
	if p.Load() != nil || !p.CompareAndSwap(nil, s) {
		return false
	}

	// Places may have become scarce since the look at the word, and the sweep
	// may have passed this stripe.
	if c.word.Load()&slowBits != 0 && p.CompareAndSwap(s, nil) {
		c.slots.Put(s)
		c.release()
	}
	return true
}

// callIn calls in the spare places, and takes one if there was any. Once all
// are called in, it decides by the word alone.
func (c *Concurrency) callIn() bool {
	if len(c.stripes) == 0 || c.word.Load()&exactBits == exactBits {
		return false
	}
	c.mu.Lock()
	c.sweepLocked()
	c.mu.Unlock()
	return c.takePlace()
}

// sweepLocked calls in the spare places of all stripes.
func (c *Concurrency) sweepLocked() {
	if len(c.stripes) == 0 || c.word.Load()&exactBits == exactBits {
		return
	}
	c.word.Or(scarceBit)
	for i := range c.stripes {
		if s := c.stripes[i].spare.Swap(nil); s != nil {
			c.slots.Put(s)
			c.word.Add(^uint64(0))
		}
	}
	c.word.Or(sweptBit)
	c.serveLocked()
}

// relax lets places be spare again, if no more than a quarter of the limit is
// out.
func (c *Concurrency) relax() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.word.Load(); w&queueBit == 0 && outOf(w) <= limitOf(w)/4 {
		c.word.And(^uint64(exactBits))
	}
}

// takePlace takes a place if nobody waits and one is free.
func (c *Concurrency) takePlace() bool {
	for {
		w := c.word.Load()
		if w&queueBit != 0 || outOf(w) >= limitOf(w) {
			if w == 0 {
				panic("ratelimit: zero Concurrency: use NewConcurrency")
			}
			return false
		}
		if c.word.CompareAndSwap(w, w+1) {
			return true
		}
	}
}

// Acquire returns a permit, waiting in line for one if it must: AcquirePriority
// with priority 0.
func (c *Concurrency) Acquire(ctx context.Context) (Permit, error) {
	return c.AcquirePriority(ctx, 0)
}

// AcquirePriority returns a permit, waiting for one if it must. Those of higher
// priority are served first, and those of one priority in the order of arrival;
// callers of low priority can wait for as long as others of higher priority
// keep coming, so bound their wait by ctx. On failure nothing was taken, and it
// returns ctx.Err() if ctx ends first, or an error that wraps [ErrLimited] at
// once if MaxQueue callers wait already. A caller of higher priority than the
// lowest that waits takes the place of the last of those, and that one gets the
// error instead.
func (c *Concurrency) AcquirePriority(ctx context.Context, priority int) (Permit, error) {
	if err := ctx.Err(); err != nil {
		return Permit{}, err
	}

	// The usual ways: a permit that ended on this processor, or a free place.
	if p, ok := c.takeSpare(); ok {
		return p, nil
	}
	if c.takePlace() {
		return c.permit(), nil
	}

	// Wait in line, unless a place has become free by now.
	w, err := c.enqueue(priority)
	if err != nil {
		return Permit{}, err
	}
	if w == nil {
		return c.permit(), nil
	}
	select {
	case <-w.ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err = c.leave(w, err); err != nil {
		return Permit{}, err
	}
	return c.permit(), nil
}

// enqueue returns a waiter in line, or nil if a place could be taken after all.
func (c *Concurrency) enqueue(priority int) (*waiter, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	// Set the bit in the step that sees that the limit is reached, by places in
	// flight alone.
	c.sweepLocked()
	for {
		w := c.word.Load()
		if w&queueBit != 0 {
			break
		}
		if outOf(w) < limitOf(w) {
			if c.word.CompareAndSwap(w, w+1) {
				return nil, nil
			}
			continue // another permit was given or ended
		}
		if c.opts.MaxQueue < 0 {
			c.refused.Add(1)
			return nil, errFull
		}
		if c.word.CompareAndSwap(w, w|queueBit) {
			break
		}
	}

	// A full line gives the place of its last to a higher priority.
	if most := c.opts.MaxQueue; most > 0 && c.queue.length.Load() >= int64(most) {
		c.refused.Add(1)
		last := c.queue.last()
		if last.priority >= priority {
			return nil, errFull
		}
		c.queue.finish(last, errFull)
	}

	w := c.queue.join(priority)
	if invariants {
		c.checkLocked()
	}
	return w, nil
}

// leave ends the wait of w: err is that of its context, or nil if it was told
// the outcome.
func (c *Concurrency) leave(w *waiter, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		err = w.err
	case !w.done:
		c.canceled.Add(1)
		c.queue.remove(w)
	case w.err == nil:
		// It was granted at the moment its context ended: pass the place on.
		c.canceled.Add(1)
		c.word.Add(^uint64(0))
	}

	// The place of the permit is taken. Serve those that it may have held up.
	if err == nil {
		c.waited.Add(1)
	}
	c.queue.recycle(w)
	c.serveLocked()
	return err
}

// release gives back a place.
func (c *Concurrency) release() {
	for {
		w := c.word.Load()
		if w&queueBit != 0 {
			break
		}
		if c.word.CompareAndSwap(w, w-1) {
			if w&scarceBit != 0 && outOf(w)-1 <= limitOf(w)/4 {
				c.relax()
			}
			return
		}
	}

	// Somebody waits.
	c.mu.Lock()
	defer c.mu.Unlock()
	c.word.Add(^uint64(0))
	c.serveLocked()
}

// serveLocked grants free places to the waiters in line. It ends every section
// that holds the lock and may have freed a place or emptied the line.
func (c *Concurrency) serveLocked() {
	for w := c.queue.first(); w != nil; w = c.queue.first() {
		if word := c.word.Load(); outOf(word) >= limitOf(word) {
			break
		}
		c.word.Add(1)
		c.queue.finish(w, nil)
	}

	// Nobody waits: permits end without the lock again.
	if c.queue.first() == nil {
		c.word.And(^uint64(queueBit))
	}
	if invariants {
		c.checkLocked()
	}
}

// SetLimit changes the limit, now. A higher one admits callers in line at once;
// a lower one ends no permit, but none is given until fewer are in flight. With
// Adapt, the limit goes on from there; Min and Max bound the choice of Adapt,
// not that of SetLimit. It panics if limit is not between 1 and 2^30-1.
func (c *Concurrency) SetLimit(limit int) {
	checkLimit(limit)
	c.mu.Lock()
	c.set = true
	c.setLimitLocked(float64(limit))
	c.mu.Unlock()
	c.deliver()
}

func (c *Concurrency) setLimitLocked(target float64) {
	c.target = target
	limit := uint64(target)
	if limit < limitOf(c.word.Load()) {
		c.sweepLocked() // spare places are not given beyond the new limit
	}
	for {
		w := c.word.Load()
		if w == 0 {
			panic("ratelimit: zero Concurrency: use NewConcurrency")
		}
		old := limitOf(w)
		if limit == old {
			break
		}

		// Permits come and go meanwhile: try until none did.
		if c.word.CompareAndSwap(w, w&^uint64(maxLimit<<limitShift)|limit<<limitShift) {
			if c.opts.OnLimit != nil {
				c.queueLocked(limitChange{int(old), int(limit)})
			}
			break
		}
	}

	c.serveLocked()
}

// Limit returns the limit in force.
func (c *Concurrency) Limit() int { return int(limitOf(c.word.Load())) }

// InFlight returns the number of permits that were given and have not ended. It
// exceeds Limit only after the limit fell.
func (c *Concurrency) InFlight() int {
	n := int(outOf(c.word.Load()))
	for i := range c.stripes {
		if c.stripes[i].spare.Load() != nil {
			n--
		}
	}
	return max(n, 0) // places may have moved between the stripes
}

// Queued returns the number of callers in line.
func (c *Concurrency) Queued() int { return int(c.queue.length.Load()) }

// Stats returns the counters of c. Permits granted at once are not counted,
// since that would cost as much as granting them.
func (c *Concurrency) Stats() ConcurrencyStats {
	c.mu.Lock()
	unseen := c.changes.unseen
	c.mu.Unlock()
	return ConcurrencyStats{
		Limit:    c.Limit(),
		InFlight: c.InFlight(),
		Queued:   c.Queued(),
		Waited:   c.waited.Load(),
		Refused:  c.refused.Load(),
		Canceled: c.canceled.Load(),
		Dropped:  c.dropped.Load(),
		Unseen:   unseen,
	}
}
