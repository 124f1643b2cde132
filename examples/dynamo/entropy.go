// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ashlar-go/ashlar/merkle"
)

// A repair is what anti-entropy has found and sent.
type repair struct {
	why   string
	keys  int // that were mended
	bytes int // of messages and of records
	full  int // bytes of a copy of everything instead
}

// A peerIndex carries messages to the index of another node, and counts them.
type peerIndex struct {
	index *merkle.Index
	bytes *int
}

// Exchange returns the answer of the other index.
func (p peerIndex) Exchange(_ context.Context, msg []byte) ([]byte, error) {
	answer, err := p.index.Respond(msg)
	*p.bytes += len(msg) + len(answer)
	return answer, err
}

// repair compares each pair of nodes that have keys in common, or each of them
// with one node, and sends what either lacks.
func (d *day) repair(ctx context.Context, why string, node int) error {
	r := repair{why: why}
	for a := range d.w.stores {
		for b := range a {
			if node >= 0 && a != node && b != node {
				continue
			}
			if !d.w.open(a) || !d.w.open(b) {
				continue
			}
			if err := d.w.reconcile(ctx, a, b, &r); err != nil {
				return err
			}
		}
	}
	d.tally.repairs = append(d.tally.repairs, r)
	return nil
}

// open reports whether a node runs, be it with an empty disk.
func (w *world) open(node int) bool {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	return !w.net.down[node] && !w.net.apart[node]
}

// groups returns the groups that two stores have in common.
func groups(a, b *store, isOf func(group string) bool) []string {
	names := map[string]bool{}
	for _, s := range []*store{a, b} {
		for name := range s.indexes {
			if isOf(name) {
				names[name] = true
			}
		}
	}
	return order(names)
}

// order returns the keys of a map in order.
func order[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// reconcile mends what two nodes do not both have.
func (w *world) reconcile(ctx context.Context, a, b int, r *repair) error {
	here, there := w.stores[a], w.stores[b]
	both := func(group string) bool { return within(group, a) && within(group, b) }
	for _, group := range groups(here, there, both) {
		x, y := here.index(group), there.index(group)
		for key := range y.All() {
			r.full += len(key) + cellLen
		}
		for delta, err := range x.Diff(ctx, peerIndex{y, &r.bytes}) {
			if err != nil {
				return err
			}
			if err := exchange(ctx, here, there, delta, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// within reports whether a group has a node.
func within(group string, node int) bool {
	return slices.Contains(splitGroup(group), node)
}

// splitGroup returns the nodes of a group.
func splitGroup(group string) (nodes []int) {
	n := 0
	for i, c := range group {
		if c == 'n' && i > 0 {
			nodes = append(nodes, n-1)
			n = 0
		}
		if c != 'n' {
			n = 10*n + int(c-'0')
		}
	}
	return append(nodes, n-1)
}

// exchange merges what each store has of a key into the other one.
func exchange(ctx context.Context, here, there *store, delta merkle.Delta, r *repair) error {
	mine, err := here.Load(ctx, delta.Key)
	if err != nil {
		return err
	}
	theirs, err := there.Load(ctx, delta.Key)
	if err != nil {
		return err
	}
	r.keys++
	r.bytes += len(delta.Key) + cellLen
	return errors.Join(here.Merge(ctx, delta.Key, theirs), there.Merge(ctx, delta.Key, mine))
}

// root returns the root of a Merkle tree over what a store has of a group.
func (s *store) root(group string) merkle.Hash {
	var t merkle.Tree
	for key, d := range s.index(group).All() {
		t.Append(append([]byte(key), d[:]...))
	}
	return t.Root()
}

// checkReplicas checks that after the last repair all replicas have the same,
// and of each key what was acknowledged last or something newer.
func (d *day) checkReplicas() error {
	for node, s := range d.w.stores {
		for _, group := range order(s.indexes) {
			for _, other := range splitGroup(group) {
				if got, want := d.w.stores[other].root(group), s.root(group); got != want {
					return fmt.Errorf("n%d and n%d differ in what %s have: %x and %x", other+1, node+1, group, got[:4], want[:4])
				}
			}
		}
	}
	if !d.w.strict() || d.w.skew >= 5e6 {
		return nil
	}
	for _, key := range order(d.acked) {
		for _, node := range d.w.list(key) {
			c, err := d.w.stores[node].Load(context.Background(), key)
			if err != nil || c.Value < d.acked[key] {
				return fmt.Errorf("with R=%d and W=%d n%d has write %d of %s at last, want %d: %w", d.w.r, d.w.w, node+1, c.Value, key, d.acked[key], err)
			}
		}
	}
	return nil
}
