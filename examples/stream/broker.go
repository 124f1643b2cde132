// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/quorum"
)

// brokers of the cluster. Each has a replica of each partition.
const brokers = 3

// A broker is one machine with its disk.
type broker struct {
	name string
	dead bool
	db   *lsm.DB
	logs [partitions]*partitionLog

	// What it has in memory and not on its disk, or not sent to followers, by
	// partition.
	unwritten [partitions][]record
	unsent    [partitions][]record
}

// A cluster is the brokers and the topic.
type cluster struct {
	acks    string // none, leader or all
	ring    *consistenthash.Snapshot
	brokers [brokers]*broker
	acked   map[int]bool // numbers of records of which the producer thinks that they are written
	waits   int          // messages that the producer waited for, one after the other
}

func newCluster(acks string) (*cluster, error) {
	c := &cluster{acks: acks, acked: map[int]bool{}}
	var nodes []consistenthash.Node
	for i := range c.brokers {
		b := &broker{name: fmt.Sprint("broker", i+1)}
		c.brokers[i] = b
		nodes = append(nodes, consistenthash.Node{Name: b.name})
		var err error
		if b.db, err = openMem(lsm.NewMemFS()); err != nil {
			return nil, err
		}
		for p := range b.logs {
			if b.logs[p], err = openLog(b.db, p); err != nil {
				return nil, err
			}
		}
	}
	var err error
	c.ring, err = consistenthash.NewSnapshot(nil, nodes...)
	return c, err
}

// leader returns the broker that leads a partition: the first on the ring that
// lives, of those with the longest log.
func (c *cluster) leader(p int) *broker {
	var best *broker
	for _, name := range c.ring.AppendN(nil, fmt.Sprint("partition ", p), brokers) {
		for _, b := range c.brokers {
			if b.name == name && !b.dead && (best == nil || b.logs[p].next > best.logs[p].next) {
				best = b
			}
		}
	}
	return best
}

// send produces a record, with the acknowledgment that the producer wants.
func (c *cluster) send(ctx context.Context, r record) error {
	p := partitionOf(r.Key)
	lead := c.leader(p)
	switch c.acks {
	case "none":
		// It is sent, and that is all that is known.
		lead.unwritten[p] = append(lead.unwritten[p], r)
	case "leader":
		c.waits++
		if err := lead.logs[p].append(ctx, r); err != nil {
			return err
		}
		lead.unsent[p] = append(lead.unsent[p], r)
	case "all":
		c.waits += 2
		if err := c.writeAll(ctx, p, r); err != nil {
			return err
		}
	}
	c.acked[r.N] = true
	return nil
}

// writeAll writes a record to all replicas that live, at once.
func (c *cluster) writeAll(ctx context.Context, p int, r record) error {
	var alive []int
	for i, b := range c.brokers {
		if !b.dead {
			alive = append(alive, i)
		}
	}
	in := quorum.SetOf(alive...)
	_, err := quorum.Do(ctx, quorum.Threshold(in.Len(), in), func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, c.brokers[i].logs[p].append(ctx, r)
	}, nil)
	return err
}

// settle writes what leaders have in memory, and sends it to followers. In
// earnest that goes on all the time.
func (c *cluster) settle(ctx context.Context) error {
	for _, b := range c.brokers {
		for p := range partitions {
			if b.dead || len(b.unwritten[p])+len(b.unsent[p]) == 0 {
				continue
			}
			if err := b.logs[p].append(ctx, b.unwritten[p]...); err != nil {
				return err
			}
			b.unsent[p] = append(b.unsent[p], b.unwritten[p]...)
			b.unwritten[p] = nil
			for _, f := range c.brokers {
				if f == b || f.dead {
					continue
				}
				if err := f.logs[p].append(ctx, b.unsent[p]...); err != nil {
					return err
				}
			}
			b.unsent[p] = nil
		}
	}
	return nil
}

// lost returns how many acknowledged records no leader has, and how many
// partitions have lost some.
func (c *cluster) lost() (n int, err error) {
	there := map[int]bool{}
	for p := range partitions {
		list, err := c.leader(p).logs[p].read(0, 1<<30)
		if err == nil {
			err = checkOrder(p, list)
		}
		if err != nil {
			return 0, err
		}
		for _, s := range list {
			there[s.N] = true
		}
	}
	for number := range c.acked {
		if !there[number] {
			n++
		}
	}
	return n, nil
}

// close closes all databases.
func (c *cluster) close() error {
	var errs []error
	for _, b := range c.brokers {
		errs = append(errs, b.db.Close())
	}
	return errors.Join(errs...)
}

// settleEvery is after how many records followers have caught up.
const settleEvery = 25

// lose lets a producer send records, and a broker die with its disk in the
// middle. It returns the cluster, with what was lost.
func lose(ctx context.Context, acks string, records []record) (c *cluster, lost int, err error) {
	if c, err = newCluster(acks); err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	for i, r := range records {
		if i == len(records)/2+settleEvery/2 {
			c.leader(0).dead = true
		}
		if err := c.send(ctx, r); err != nil {
			return nil, 0, err
		}
		if i%settleEvery == 0 {
			if err := c.settle(ctx); err != nil {
				return nil, 0, err
			}
		}
	}
	if err := c.settle(ctx); err != nil {
		return nil, 0, err
	}
	lost, err = c.lost()
	return c, lost, err
}

// reportAcks compares the acknowledgments that a producer may want.
func reportAcks(ctx context.Context, cfg *config, w io.Writer) error {
	records := produce(cfg)
	fmt.Fprintf(w, "%d records, %d partitions, %d brokers, of which one dies with its disk\n", len(records), partitions, brokers)
	fmt.Fprintf(w, "%-10s%22s%14s%22s\n", "acks", "the producer waits for", "acknowledged", "of these are lost")
	for _, acks := range []string{"none", "leader", "all"} {
		c, lost, err := lose(ctx, acks, records)
		if err != nil {
			return err
		}
		if acks == "all" && lost > 0 {
			return fmt.Errorf("acks = all: %d records are lost", lost)
		}
		fmt.Fprintf(w, "%-10s%13.1f messages%14d%22d\n", acks, float64(c.waits)/float64(len(records)), len(c.acked), lost)
	}
	_, err := fmt.Fprint(w, "law holds: each partition is in order, and what all have acknowledged is there\n\n")
	return err
}
