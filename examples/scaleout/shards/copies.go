// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// copies is the number of copies of a key in a Pool.
const copies = 2

// zones are those of the servers of a Pool, by label.
var zones = map[string]string{
	"r1": "a", "m1": "a", "m2": "a",
	"r2": "b", "m3": "b", "m4": "b",
	"r3": "c", "m5": "c", "m6": "c",
}

// A poolTrial is keys in a Pool, which are written and read all the time.
type poolTrial struct {
	*fleet
	*config
	pool     *Pool
	names    []string
	versions []atomic.Int64 // acknowledged, by key
	out      io.Writer
}

// nodesOf returns the nodes of servers, by label.
func (c *config) nodesOf(labels ...string) (nodes []consistenthash.Node) {
	for _, label := range labels {
		n := consistenthash.Node{Name: label, Zone: zones[label]}
		if c.bad.oneZone {
			n.Zone = ""
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// playPool lets servers of a Pool die and join.
func (c *config) playPool(ctx context.Context, stdout io.Writer) (err error) {
	labels := []string{"m1", "m2", "m3", "m4", "m5", "r1", "r2", "r3"}
	f, err := newFleet(ctx, labels...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	ring, err := consistenthash.NewSnapshot(nil, c.nodesOf(labels...)...)
	if err != nil {
		return err
	}
	stores := map[string]kv{}
	for label, m := range f.members {
		stores[label] = m.store
	}
	t := &poolTrial{fleet: f, config: c, pool: NewPool(copies, ring, stores), names: keysOf(c.keys), versions: make([]atomic.Int64, c.keys), out: stdout}
	t.pool.bad = c.bad.pool
	if err := each(t.names, func(key string) error { return t.pool.Set(ctx, key, "0") }); err != nil {
		return err
	}
	if err := t.audit(ctx); err != nil {
		return err
	}

	fmt.Fprintf(stdout, "Pool, all eight in three zones: %d keys, %d copies each\n\n%-16s %9s %8s %8s %8s %8s %8s\n",
		c.keys, copies, "", "members", "planned", "copied", "dropped", "reads", "writes")
	if err := t.dies(ctx, "r1 dies", "r1"); err != nil {
		return err
	}
	m6, err := t.start(ctx, "m6")
	if err != nil {
		return err
	}
	to, err := t.pool.now.With(c.nodesOf("m6")...)
	if err != nil {
		return err
	}
	if err := t.move(ctx, "m6 joins", to, map[string]kv{"m6": m6.store}); err != nil {
		return err
	}
	if err := t.dies(ctx, "zone b dies", "r2", "m3", "m4"); err != nil {
		return err
	}
	fmt.Fprint(stdout, "\nlaw holds: no key is missed, when a server dies, or a zone, or one joins\n"+
		"law holds: no read is older than what was acknowledged, while keys are copied, too\n"+
		"law holds: copies are made for those of the plan, and each server has its keys alone\n")
	return nil
}

// dies kills servers of one zone, and moves their keys.
func (t *poolTrial) dies(ctx context.Context, what string, labels ...string) error {
	for _, label := range labels {
		if err := t.members[label].server.Kill(); err != nil {
			return err
		}
	}
	if err := t.readAll(ctx, what); err != nil { // by the other copies
		return err
	}
	for _, label := range labels {
		t.pool.Leave(label)
	}
	return t.move(ctx, what, t.pool.now.Without(labels...), nil)
}

// move moves keys while they are written and read.
func (t *poolTrial) move(ctx context.Context, what string, to *consistenthash.Snapshot, stores map[string]kv) error {
	from := t.pool.now
	planned := 0 // by the lists of each key, not by the plan
	for _, key := range t.names {
		before := from.AppendN(nil, key, copies)
		for _, name := range to.AppendN(nil, key, copies) {
			if !slices.Contains(before, name) {
				planned++
			}
		}
	}

	load, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var reads, writes atomic.Int64
	failed := make(chan error, 2)
	wg.Go(func() { failed <- t.write(load, &writes) }) // ends with load
	wg.Go(func() { failed <- t.read(load, &reads) })   // ends with load
	moved, err := t.pool.Move(ctx, to, stores, t.names)
	cancel()
	wg.Wait()
	if err := errors.Join(err, <-failed, <-failed); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}

	fmt.Fprintf(t.out, "%-16s %4d → %2d %8d %8d %8d %8d %8d\n",
		what, from.Len(), to.Len(), planned, moved.Copied, moved.Dropped, reads.Load(), writes.Load())
	if moved.Copied != planned {
		return fmt.Errorf("law broken: %s: %d copies were made, and %d are due", what, moved.Copied, planned)
	}
	if err := t.readAll(ctx, what); err != nil {
		return err
	}
	if err := t.audit(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// write writes all keys again and again, until ctx ends.
func (t *poolTrial) write(ctx context.Context, writes *atomic.Int64) error {
	for i := 0; ctx.Err() == nil; i++ {
		k := i * 7919 % len(t.names)
		next := t.versions[k].Load() + 1
		if err := t.pool.Set(context.WithoutCancel(ctx), t.names[k], strconv.FormatInt(next, 10)); err != nil {
			return err
		}
		t.versions[k].Store(next)
		writes.Add(1)
	}
	return nil
}

// read reads keys until ctx ends.
func (t *poolTrial) read(ctx context.Context, reads *atomic.Int64) error {
	for i := 0; ctx.Err() == nil; i++ {
		if err := t.readOne(context.WithoutCancel(ctx), i*104729%len(t.names)); err != nil {
			return err
		}
		reads.Add(1)
	}
	return nil
}

// readOne reads a key, which is to be there and not old.
func (t *poolTrial) readOne(ctx context.Context, k int) error {
	acked := t.versions[k].Load()
	value, err := t.pool.Get(ctx, t.names[k])
	if err != nil {
		return fmt.Errorf("law broken: %s is missed: %w", t.names[k], err)
	}
	if v, err := strconv.ParseInt(value, 10, 64); err != nil || v < acked {
		return fmt.Errorf("law broken: %s has version %q, and %d was acknowledged", t.names[k], value, acked)
	}
	return nil
}

// readAll reads all keys.
func (t *poolTrial) readAll(ctx context.Context, what string) error {
	for k := range t.names {
		if err := t.readOne(ctx, k); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// audit asks each server what it has.
func (t *poolTrial) audit(ctx context.Context) error {
	want := map[string]map[string]bool{}
	for _, n := range t.pool.now.Nodes() {
		want[n.Name] = map[string]bool{}
	}
	for _, key := range t.names {
		list := t.pool.now.AppendN(nil, key, copies)
		if len(list) != copies || zones[list[0]] == zones[list[1]] {
			return fmt.Errorf("law broken: the copies of %s are at %q, in one zone", key, list)
		}
		for _, name := range list {
			want[name][key] = true
		}
	}
	for label, keys := range want {
		have, err := t.members[label].contents(ctx, t.names)
		if err != nil {
			return err
		}
		if !maps.Equal(have, keys) {
			return fmt.Errorf("law broken: %s has %d keys, and is to have %d", label, len(have), len(keys))
		}
	}
	return nil
}
