// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/ashlar-go/ashlar/skiplist"
)

// A tally counts what requests saw while a plan was carried out, and what was
// found afterwards.
type tally struct {
	steps, reads, writes int

	missed, stale, ghosts int // reads of nothing, of an old version, of a deleted record
	lost                  int // records that are not where readers look, at the end
	left                  int // records on shards that have no business with them, at the end
}

// wrong returns the number of violations of the law.
func (t *tally) wrong() int { return t.missed + t.stale + t.ghosts + t.lost + t.left }

// A drive carries out a plan under reads and writes.
type drive struct {
	c      *cluster
	truth  *rows // all records, by what was written: it knows no shards
	rng    *rand.Rand
	ids    []string // of everybody who ever was there
	near   []string // of those in the range that moves
	of     int      // the transfer of near, from 1
	tally  tally
	shards []string
	sizes  [][]float64 // by shard, then by time
}

// newDrive returns a cluster with all people, whose plan has not begun.
func newDrive(st strategy, seed uint64, from, to []string, people []person) *drive {
	d := &drive{
		c:      newCluster(st, from, to),
		truth:  skiplist.NewMapFunc[spot, int](spot.before),
		rng:    rand.New(rand.NewPCG(seed, 3)),
		shards: from,
	}
	if len(to) > len(from) {
		d.shards = to
	}
	d.sizes = make([][]float64, len(d.shards))
	for i := range people {
		id := people[i].id
		d.ids = append(d.ids, id)
		d.c.set(id, 0)
		d.truth.Set(d.c.spot(id), 0)
	}
	return d
}

// run carries out the plan, with ops requests after each step. If strict, it
// ends with an error at the first violation.
func (d *drive) run(ctx context.Context, ops int, strict bool) error {
	for d.c.step() {
		// A step, some requests, and a look at the sizes.
		d.tally.steps++
		for range ops {
			d.request()
		}
		for i, name := range d.shards {
			d.sizes[i] = append(d.sizes[i], float64(d.c.shards[name].Len()))
		}
		if !strict {
			continue
		}

		// So far nobody must have seen anything wrong.
		if d.tally.wrong() > 0 {
			return fmt.Errorf("a read was wrong in step %d: %+v", d.tally.steps, d.tally)
		}
		if err := d.checkMoving(); err != nil {
			return fmt.Errorf("step %d: %w", d.tally.steps, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}

	// The plan is done: every record is looked at.
	d.audit()
	if strict && d.tally.wrong() > 0 {
		return fmt.Errorf("at the end: %+v", d.tally)
	}
	return nil
}

// pick returns somebody, every second time of the range that moves: it is busy.
func (d *drive) pick() string {
	if d.of != d.c.moving+1 && d.c.moving < len(d.c.transfers) {
		d.of = d.c.moving + 1
		d.near = d.near[:0]
		t := d.c.transfers[d.c.moving]
		t.next = spot{at: t.First}
		for s := range t.in(d.truth) {
			d.near = append(d.near, s.id)
		}
	}
	from := d.ids
	if d.rng.IntN(2) == 0 && len(d.near) > 0 {
		from = d.near
	}
	return from[d.rng.IntN(len(from))]
}

// request reads, writes or deletes somebody, or adds somebody.
func (d *drive) request() {
	id := d.pick()
	switch n := d.rng.IntN(20); {
	case n < 12:
		d.read(id)
		return
	case n == 18:
		d.c.remove(id)
		d.truth.Delete(d.c.spot(id))
	case n == 19:
		id = fmt.Sprintf("new%06d", len(d.ids))
		d.ids = append(d.ids, id)
		fallthrough
	default:
		version := d.tally.writes + 1
		d.c.set(id, version)
		d.truth.Set(d.c.spot(id), version)
	}
	d.tally.writes++
}

// read reads a record, and compares it with the truth.
func (d *drive) read(id string) {
	d.tally.reads++
	got, ok := d.c.get(id)
	want, exists := d.truth.Get(d.c.spot(id))
	switch {
	case exists && !ok:
		d.tally.missed++
	case ok && !exists:
		d.tally.ghosts++
	case got != want:
		d.tally.stale++
	}
}

// checkMoving checks every record of the range that moves: readers find it, as
// it was written last, and nothing that is not there.
func (d *drive) checkMoving() error {
	if d.c.moving == len(d.c.transfers) {
		return nil
	}
	t := d.c.transfers[d.c.moving]
	t.next = spot{at: t.First}
	read, _ := d.c.route(t.next)
	m := d.c.shards[read]
	n := 0
	for s, want := range t.in(d.truth) {
		if got, ok := m.Get(s); !ok || got != want {
			return fmt.Errorf("%s of %v: %s has version %d, %t, want %d", s.id, t.Range, read, got, ok, want)
		}
		n++
	}
	for range t.in(m) {
		n--
	}
	if n != 0 {
		return fmt.Errorf("%v: %s has %d records too many", t.Range, read, -n)
	}
	return nil
}

// audit looks at every record of every shard when the plan is done.
func (d *drive) audit() {
	for s, want := range d.truth.All() {
		read, _ := d.c.route(s)
		if got, ok := d.c.shards[read].Get(s); !ok || got != want {
			d.tally.lost++
		}
	}
	for name, m := range d.c.shards {
		for s := range m.All() {
			owner, _ := d.c.to.Get(s.id)
			if _, exists := d.truth.Get(s); owner != name || !exists {
				d.tally.left++
			}
		}
	}
}

// reportMigration carries out plans: one more shard, by each strategy, and one
// less by the right one.
func reportMigration(ctx context.Context, c *config, people []person, w io.Writer) error {
	few, more := names(c.shards), names(c.shards+1)
	d := newDrive(right, c.seed, few, more, people)
	err := d.run(ctx, c.ops, true)
	if err != nil {
		return fmt.Errorf("%s: %w", right.name, err)
	}
	fmt.Fprintf(w, "s%d comes: %d ranges move in %d steps, while %d reads and %d writes go on\n\n",
		len(more), len(d.c.transfers), d.tally.steps, d.tally.reads, d.tally.writes)
	fmt.Fprintf(w, "%-34s%8s%8s%8s%10s%10s\n", "", "read", "read", "read", "lost", "left")
	fmt.Fprintf(w, "%-34s%8s%8s%8s%10s%10s\n", "", "nothing", "old", "deleted", "at last", "behind")
	for _, st := range naive {
		n := newDrive(st, c.seed, few, more, people)
		if err := n.run(ctx, c.ops, false); err != nil {
			return err
		}
		n.tally.print(w, st.name)
	}
	d.tally.print(w, right.name)
	fmt.Fprintln(w)
	d.printSizes(w)

	// A shard in the middle leaves.
	rest := append(names(1), more[2:]...)
	down := newDrive(right, c.seed, more, rest, people)
	if err := down.run(ctx, c.ops, true); err != nil {
		return fmt.Errorf("%s: %w", right.name, err)
	}
	fmt.Fprintf(w, "s2 leaves: %d ranges move in %d steps, while %d reads and %d writes go on\n\n",
		len(down.c.transfers), down.tally.steps, down.tally.reads, down.tally.writes)
	down.printSizes(w)
	_, err = fmt.Fprintf(w, `law holds: all %d reads found what was written last, where the router looked;
           after each step all records of the range that moves were there;
           and at the end no shard held what is another's
`, d.tally.reads+down.tally.reads)
	return err
}

func (t *tally) print(w io.Writer, name string) {
	fmt.Fprintf(w, "%-34s%8d%8d%8d%10d%10d\n", name, t.missed, t.stale, t.ghosts, t.lost, t.left)
}

// stripWidth is the number of columns of a strip.
const stripWidth = 60

// printSizes prints the number of records of each shard over the steps.
func (d *drive) printSizes(w io.Writer) {
	most := 0.0
	for _, sizes := range d.sizes {
		for _, n := range sizes {
			most = max(most, n)
		}
	}
	for i, name := range d.shards {
		sizes := d.sizes[i]
		if len(sizes) == 0 {
			continue
		}
		var columns []float64
		for x := range stripWidth {
			columns = append(columns, sizes[x*(len(sizes)-1)/(stripWidth-1)])
		}
		fmt.Fprintf(w, "%-4s│%s│%7.0f\n", name, spark(columns, most), sizes[len(sizes)-1])
	}
	fmt.Fprintf(w, "     records over time; a full column is %.0f\n\n", most)
}
