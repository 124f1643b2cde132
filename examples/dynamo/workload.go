// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// A tally counts what operations met.
type tally struct {
	reads, writes             int
	failedReads, failedWrites int
	stale                     int // reads of something older than the last acknowledged write
	readTime, writeTime       time.Duration
	repairs                   []repair
}

// A day is the operations on a world, and the faults on their way.
type day struct {
	w     *world
	c     *config
	rng   *rand.Rand
	zipf  *rand.Zipf
	acked map[string]int // by key: the last write that was acknowledged
	next  int            // the number of the next write
	tally tally
	steps []step
	naive bool // in tests: a node serves when its disk is lost
}

// A step of the schedule happens before the operation at a part of the day.
type step struct {
	part float64
	what string
	do   func(ctx context.Context, d *day) error
}

// schedule is the same for all: the network is divided, a node stops and starts
// again, another loses its disk and is repaired.
var schedule = []step{
	{0.20, "n4 is cut off", func(_ context.Context, d *day) error { d.cut(3, true); return nil }},
	{0.40, "n4 is back", func(_ context.Context, d *day) error { d.cut(3, false); return nil }},
	{0.45, "anti-entropy", func(ctx context.Context, d *day) error { return d.repair(ctx, "after a partition", -1) }},
	{0.50, "n2 stops", func(_ context.Context, d *day) error { return d.w.stop(1) }},
	{0.65, "n2 starts", func(ctx context.Context, d *day) error { return d.restart(ctx, 1) }},
	{0.70, "n1 loses its disk", func(_ context.Context, d *day) error { return d.lose(0) }},
	{0.80, "n1 is repaired", func(ctx context.Context, d *day) error { return d.recover(ctx, 0) }},
	{1.00, "anti-entropy", func(ctx context.Context, d *day) error { return d.repair(ctx, "at the end", -1) }},
}

func newDay(c *config, w *world) *day {
	rng := rand.New(rand.NewPCG(c.seed, 1))
	return &day{w: w, c: c, rng: rng, zipf: rand.NewZipf(rng, 1.1, 10, uint64(c.keys-1)), acked: map[string]int{}, next: 1, steps: schedule}
}

// run does the operations and the faults.
func (d *day) run(ctx context.Context) error {
	left := d.steps
	for i := range d.c.n + 1 {
		for len(left) > 0 && float64(i) >= left[0].part*float64(d.c.n) {
			if err := left[0].do(ctx, d); err != nil {
				return fmt.Errorf("%s: %w", left[0].what, err)
			}
			left = left[1:]
		}
		if i == d.c.n {
			break
		}
		d.w.now = d.w.now.Add(10 * time.Millisecond)
		if i%50 == 0 {
			d.w.handOver(ctx)
		}
		if err := d.operate(ctx); err != nil {
			return err
		}
	}
	return d.checkReplicas()
}

// operate does one operation, by way of any node that serves.
func (d *day) operate(ctx context.Context) error {
	from := d.rng.IntN(len(d.w.stores))
	for !d.w.net.usable(from) {
		from = (from + 1) % len(d.w.stores)
	}
	key := fmt.Sprintf("key%05d", d.zipf.Uint64())
	if d.rng.IntN(10) < 4 {
		v := d.next
		d.next++
		took, err := d.w.put(ctx, from, key, v)
		d.tally.writes++
		if err != nil {
			d.tally.failedWrites++
			return ctx.Err()
		}
		d.tally.writeTime += took
		d.acked[key] = v
		return nil
	}

	// A value that is newer than the last acknowledged one is of a write that
	// failed, and is there nevertheless.
	v, took, err := d.w.get(ctx, from, key)
	d.tally.reads++
	if err != nil {
		d.tally.failedReads++
		return ctx.Err()
	}
	d.tally.readTime += took
	if v < d.acked[key] {
		d.tally.stale++
	}
	if d.tally.stale > 0 && d.w.strict() && d.w.skew < 5*time.Millisecond {
		return fmt.Errorf("with R=%d and W=%d n%d reads write %d of %s, want %d or a later one", d.w.r, d.w.w, from+1, v, key, d.acked[key])
	}
	return nil
}

// cut divides a node from the others, or ends that.
func (d *day) cut(node int, apart bool) { d.w.net.set(d.w.net.apart, node, apart) }

// restart starts a node that has stopped. It has missed writes, as after a
// partition.
func (d *day) restart(ctx context.Context, node int) error {
	if err := d.w.start(node); err != nil {
		return err
	}
	return d.repair(ctx, "after a stop", node)
}

// lose takes a disk.
func (d *day) lose(node int) error {
	err := d.w.lose(node)
	if d.naive {
		d.w.net.set(d.w.net.out, node, false)
	}
	return err
}

// recover repairs a node that has lost its disk, which serves again then.
func (d *day) recover(ctx context.Context, node int) error {
	if err := d.repair(ctx, "a lost disk", node); err != nil {
		return err
	}
	d.w.net.set(d.w.net.out, node, false)
	return nil
}
