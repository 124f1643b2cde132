// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// A throttle slows commits down before they would have to stop: the more there
// is to flush and to merge, the fewer bytes a second it lets in. Each commit
// owes the time that its bytes take at that rate, and later ones wait for that,
// outside of all locks.
//
// With a pressure of 0 nothing is limited. Above that the rate is drain *
// 2^(3-6p), where drain is what flushes or merges have carried away lately: 8
// times that when pressure begins, and an eighth of it when it is 1. So it ends
// in the middle, where as much comes in as goes out, and no commit ever waits
// for a whole merge.
type throttle struct {
	rate  atomic.Int64 // bytes a second; 0 if there is no limit
	due   atomic.Int64 // when what was let in is paid for, as of DB.now
	waits atomic.Uint64
	time  atomic.Int64 // that commits have waited

	flushes float64 // bytes a second that were flushed; protected by pipeline.mu, as merges is
	merges  float64 // and that were merged out of level 0
}

const (
	firstDrain   = 64 << 20 // bytes a second, before anything is known
	calmTables   = 8        // tables of level 0 that are no pressure
	fullTables   = 12       // more of them that are a pressure of 1
	minDebt      = 1 << 30  // bytes to merge that are no pressure
	minPause     = time.Millisecond
	maxPause     = 20 * time.Millisecond
	maxOwed      = time.Second
	drainSamples = 8
)

// sample adds what a job has carried away to an average.
func sample(average *float64, bytes int64, took time.Duration) {
	if took <= 0 {
		return // a clock that stands still
	}
	got := float64(bytes) / took.Seconds()
	if *average == 0 {
		*average = got
	}
	*average += (got - *average) / drainSamples
}

// pressLocked sets the rate by what there is to do.
func (db *DB) pressLocked() {
	t := &db.throttle
	p, drain := db.pressureLocked()
	if p <= 0 {
		t.rate.Store(0)
		return
	}
	if drain == 0 {
		drain = firstDrain
	}
	t.rate.Store(max(1, int64(drain*math.Exp2(3-6*min(p, 1)))))
}

// pressureLocked returns how much there is to do: nothing up to 0, and the most
// from 1 on. drain is how fast that becomes less; 0 if it is not known.
func (db *DB) pressureLocked() (p, drain float64) {
	s := db.state.Load()
	size := float64(db.opts.Memory / 8)
	imms := 0.0
	for _, m := range s.imms {
		imms += float64(m.bytes())
	}
	p, drain = (imms-size)/(2*size), db.throttle.flushes
	if db.lim.trigger == 0 {
		return p, drain // nothing is merged
	}

	// Tables of level 0 delay reads, and the excess of other levels is space.
	tables := float64(len(s.tables.levels[0])-calmTables) / fullTables
	if tables > p {
		p, drain = tables, db.throttle.merges
	}
	debt, data := s.tables.debt(db.lim.base)
	soft := max(minDebt, data/4)
	if owed := float64(debt-soft) / float64(3*soft); owed > p {
		p, drain = owed, db.throttle.merges
	}
	return p, drain
}

// debt returns how many bytes lie where they are too many, and how many there
// are in all.
func (v *tableSet) debt(least int64) (debt, data int64) {
	base, targets := v.base(least)
	for level := range numLevels {
		n := v.size(level)
		data += n
		switch {
		case level < base:
			debt += n
		case level < numLevels-1:
			debt += max(0, n-targets[level])
		}
	}
	return debt, data
}

// slow waits until a commit of n bytes may be admitted.
func (db *DB) slow(ctx context.Context, n int64) error {
	t := &db.throttle
	rate := t.rate.Load()
	if rate == 0 {
		return nil
	}

	// The commit owes its time from here on, and waits for that of others.
	now := db.now()
	var begin int64
	for {
		due := t.due.Load()
		begin = max(due, now)
		cost := float64(n) / float64(rate) * float64(time.Second)
		end := min(float64(begin)+cost, float64(now)+float64(maxOwed))
		if t.due.CompareAndSwap(due, max(begin, int64(end))) {
			break
		}
	}
	if begin-now < int64(minPause) {
		return nil
	}
	t.waits.Add(1)
	defer func() { t.time.Add(db.now() - now) }()
	return db.rest(ctx, begin)
}

// rest waits until the time end, or until nothing is limited.
func (db *DB) rest(ctx context.Context, end int64) error {
	for {
		left := time.Duration(end - db.now())
		if left < minPause || db.throttle.rate.Load() == 0 {
			return nil
		}
		timer := time.NewTimer(min(left, maxPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ErrStalled, ctx.Err())
		case <-db.logs.quit:
			timer.Stop()
			return nil // the commit finds why
		}
	}
}
