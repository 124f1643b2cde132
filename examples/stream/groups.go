// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/lsm"
)

// byTurns gives partitions to members by turns.
func byTurns(members []string) (owner [partitions]string) {
	for p := range owner {
		owner[p] = members[p%len(members)]
	}
	return owner
}

// byRing gives each partition to the member that comes next on a ring. It is
// less even than turns, and moves less.
func byRing(members []string) (owner [partitions]string, err error) {
	nodes := make([]consistenthash.Node, len(members))
	for i, m := range members {
		nodes[i].Name = m
	}
	ring, err := consistenthash.NewSnapshot(nil, nodes...)
	if err != nil {
		return owner, err
	}
	for p := range owner {
		owner[p], _ = ring.Get(fmt.Sprint("partition ", p))
	}
	return owner, nil
}

// consumers returns the names of n members.
func consumers(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint("c", i+1))
	}
	return names
}

// idle returns how many members have no partition.
func idle(members []string, owner [partitions]string) (n int) {
	for _, m := range members {
		if !slices.Contains(owner[:], m) {
			n++
		}
	}
	return n
}

// movedFrom returns how many partitions change hands although their member
// stays.
func movedFrom(before, after [partitions]string, gone string) (n int) {
	for p := range before {
		if before[p] != after[p] && before[p] != gone {
			n++
		}
	}
	return n
}

// A group reads all partitions, each from its offset.
type group struct {
	name    string
	offsets [partitions]int
	seen    map[int]int // by number of the record
}

// poll reads up to limit records, and returns how many.
func (g *group) poll(logs [partitions]*partitionLog, limit int) (n int, err error) {
	for p, l := range logs {
		list, err := l.read(g.offsets[p], limit-n)
		if err == nil {
			err = checkOrder(p, list)
		}
		if err != nil {
			return n, err
		}
		for _, s := range list {
			g.seen[s.N]++
			g.offsets[p] = s.offset + 1
			n++
		}
	}
	return n, nil
}

// topic returns a topic on one disk, without records.
func topic() (db *lsm.DB, logs [partitions]*partitionLog, err error) {
	if db, err = openMem(lsm.NewMemFS()); err != nil {
		return nil, logs, err
	}
	for p := range logs {
		if logs[p], err = openLog(db, p); err != nil {
			return nil, logs, errors.Join(err, db.Close())
		}
	}
	return db, logs, nil
}

// steps of a spike: in each, records come and a consumer reads some.
const steps = 60

// spike lets records come, most of them at once, and a consumer that reads so
// many a step. It returns its lag after each step, and the group.
func spike(ctx context.Context, logs [partitions]*partitionLog, records []record, speed int) (lags []float64, g *group, err error) {
	g = &group{name: "transcoder", seen: map[int]int{}}
	sent := 0
	for step := range steps {
		n := len(records) / 2 / steps
		if step >= 10 && step < 15 {
			n += len(records) / 10
		}
		if step == steps-1 {
			n = len(records)
		}
		for ; n > 0 && sent < len(records); n-- {
			r := records[sent]
			if err := logs[partitionOf(r.Key)].append(ctx, r); err != nil {
				return nil, nil, err
			}
			sent++
		}
		if _, err := g.poll(logs, speed); err != nil {
			return nil, nil, err
		}
		lags = append(lags, float64(sent-len(g.seen)))
	}
	return lags, g, nil
}

// reportGroups shares partitions among members, lets one leave, and has three
// groups read one topic.
func reportGroups(ctx context.Context, c *config, w io.Writer) (err error) {
	records := produce(c)
	fmt.Fprintf(w, "records by partition: of keys %v, of regions %v\n", spread(records, partitionOf), spread(records, regionOf))
	for _, n := range []int{3, 6} {
		owner := byTurns(consumers(n))
		fmt.Fprintf(w, "%d partitions, %d consumers: %s; %d idle\n", partitions, n, strings.Join(owner[:], " "), idle(consumers(n), owner))
	}
	before, err := byRing(consumers(4))
	if err != nil {
		return err
	}
	after, err := byRing(slices.DeleteFunc(consumers(4), func(m string) bool { return m == "c2" }))
	if err != nil {
		return err
	}
	turns := movedFrom(byTurns(consumers(4)), byTurns([]string{"c1", "c3", "c4"}), "c2")
	ring := movedFrom(before, after, "c2")
	fmt.Fprintf(w, "c2 of four leaves; partitions that move between others: %d by turns, %d by ring\n", turns, ring)
	if ring > 0 {
		return fmt.Errorf("groups: %v becomes %v", before, after)
	}

	// Three groups, each at its own pace.
	db, logs, err := topic()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	lags, first, err := spike(ctx, logs, records, max(len(records)/40, 1))
	if err != nil {
		return err
	}
	most := slices.Max(lags)
	fmt.Fprintf(w, "lag │%s│ at most %.0f\n", spark(lags, most), most)
	// The others come later, and replay from offset 0.
	groups := []*group{first, {name: "captions", seen: map[int]int{}}, {name: "metadata", seen: map[int]int{}}}
	for _, g := range groups {
		for {
			n, err := g.poll(logs, 100)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
		}
		if err := g.check(len(records)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "law holds: each of %d groups saw all %d records, those of a partition in order\n\n", len(groups), len(records))
	return err
}

// check checks that a group has seen each record once.
func (g *group) check(records int) error {
	for n := range records {
		if g.seen[n+1] != 1 {
			return fmt.Errorf("%s has seen record %d %d times", g.name, n+1, g.seen[n+1])
		}
	}
	return nil
}
