// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// A joining is what a new node has received.
type joining struct{ keys, bytes int }

// join copies to a new node what the plan says, from the first node that has
// it.
func join(ctx context.Context, w *world, plan []consistenthash.ReplicaMove, fresh *store) (*joining, error) {
	j := new(joining)
	for i, s := range w.stores {
		it := s.db.Scan(nil, nil)
		for key, value := range it.All() {
			h := w.ring.Hash(string(key))
			for _, m := range plan {
				if !m.Contains(h) || m.From[0] != fmt.Sprintf("n%d", i+1) {
					continue
				}

				// In a network this would be a message.
				c, err := decode(value)
				if err == nil {
					err = fresh.Merge(ctx, string(key), c)
				}
				if err != nil {
					return nil, errors.Join(err, it.Close())
				}
				j.keys++
				j.bytes += len(key) + len(value)
			}
		}
		if err := it.Close(); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// checkJoin checks that the new node has exactly the keys whose preference list
// it is in, as they are elsewhere.
func checkJoin(ctx context.Context, w *world, to *consistenthash.Snapshot, name string, fresh *store, keys []string) (int, error) {
	mine := 0
	for _, key := range keys {
		want := slices.Contains(to.AppendN(nil, key, copies), name)
		got, err := fresh.Load(ctx, key)
		if err != nil {
			return 0, err
		}
		if (got.Value != 0) != want {
			return 0, fmt.Errorf("%s: the new node has it: %t, want %t", key, got.Value != 0, want)
		}
		if !want {
			continue
		}
		mine++
		old, err := w.stores[w.list(key)[0]].Load(ctx, key)
		if err != nil || old != got {
			return 0, fmt.Errorf("%s: the new node has %v, and the old one %v: %w", key, got, old, err)
		}
	}
	return mine, nil
}

// filled returns a world in which all nodes have what they should have, and its
// keys.
func filled(ctx context.Context, c *config, dir string) (*world, []string, error) {
	w, err := newWorld(c.fs, dir, c.nodes, choice{r: copies, w: copies})
	if err != nil {
		return nil, nil, err
	}
	var keys []string
	for i := range 10 * c.keys {
		key := fmt.Sprintf("key%05d", i)
		keys = append(keys, key)
		if _, err := w.put(ctx, i%c.nodes, key, i+1); err != nil {
			return nil, nil, errors.Join(err, w.close())
		}
	}
	return w, keys, nil
}

// reportJoin adds a node.
func reportJoin(ctx context.Context, c *config, w io.Writer) (err error) {
	old, keys, err := filled(ctx, c, filepath.Join(c.dir, "join"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.close()) }()

	// The new ring, and the store of the one that comes.
	all := members(c.nodes + 1)
	name := all[c.nodes].Name
	to, err := consistenthash.NewSnapshot(nil, all...)
	if err != nil {
		return err
	}
	fresh, err := openStore(c.fs, filepath.Join(c.dir, "join", name), old.group)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fresh.db.Close()) }()

	var plan []consistenthash.ReplicaMove
	for m := range old.ring.PlanN(to, copies) {
		if slices.Contains(m.Added(), name) {
			plan = append(plan, m)
		}
	}
	j, err := join(ctx, old, plan, fresh)
	if err != nil {
		return err
	}
	mine, err := checkJoin(ctx, old, to, name, fresh, keys)
	if err != nil {
		return err
	}
	if mine != j.keys {
		return fmt.Errorf("%s received %d keys, and has %d", name, j.keys, mine)
	}
	fmt.Fprintf(w, "%s joins: it receives %d of %d keys, %d bytes\n", name, mine, len(keys), j.bytes)
	fmt.Fprintf(w, "%.1f %% of the keys; %d of %d copies are %.1f %%\n", percent(mine, len(keys)), copies, c.nodes+1, percent(copies, c.nodes+1))
	_, err = fmt.Fprintf(w, "law holds: they lie in the %d ranges of the plan, and none is missing there\n", len(plan))
	return err
}
