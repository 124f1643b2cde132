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
	"time"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// A router finds the server of a key.
type router struct {
	kv
	ring    func() *consistenthash.Snapshot // where it looks
	labelOf func(node string) string        // of a node of the ring
}

// A trial is keys behind a router, each with one copy.
type trial struct {
	router
	*fleet
	keys    []string
	version int // of all values
	bad     faults
	out     io.Writer
}

// A change is what happens to the members.
type change struct {
	name    string // such as dies
	label   string // whom it happens to
	members int    // after it
	do      func() error
}

// fill writes all keys.
func (t *trial) fill(ctx context.Context) error {
	t.version++
	return each(t.keys, func(key string) error { return t.Set(ctx, key, strconv.Itoa(t.version)) })
}

// header prints the head of the table.
func (t *trial) header(title string) {
	fmt.Fprintf(t.out, "%s: %d keys\n\n%-16s %9s %8s %8s %8s %9s\n", title, len(t.keys), "", "members", "planned", "missed", "old", "deleted")
}

// step makes a change, reads all keys, and checks what is missed.
func (t *trial) step(ctx context.Context, c change) error {
	before := t.ring()
	var had map[string]bool // what one has that leaves
	if c.members < before.Len() {
		var err error
		if had, err = t.members[c.label].contents(ctx, t.keys); err != nil {
			return err
		}
	}
	if err := c.do(); err != nil {
		return err
	}
	if err := t.await(ctx, c.members); err != nil {
		return err
	}

	// The plan, and what is missed.
	plan := map[string]consistenthash.Move{}
	after := t.ring()
	moves := slices.Collect(before.Plan(after))
	for _, key := range t.keys {
		h := before.Hash(key)
		if i := slices.IndexFunc(moves, func(m consistenthash.Move) bool { return m.Contains(h) }); i >= 0 {
			plan[key] = moves[i]
		}
	}
	missed, old, err := t.readAll(ctx)
	if err != nil {
		return err
	}
	deleted, err := t.renew(ctx, plan)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%-16s %4d → %2d %8d %8d %8d %9d\n", c.label+" "+c.name, before.Len(), after.Len(), len(plan), len(missed), old, deleted)
	return errors.Join(t.judge(c, plan, missed, had, old), t.audit(ctx))
}

// await waits until the router knows of a change. Reads make it.
func (t *trial) await(ctx context.Context, members int) error {
	for end := time.Now().Add(20 * time.Second); t.ring().Len() != members; {
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("law broken: the router has %d members, not %d", t.ring().Len(), members)
		}
		for _, key := range t.keys[:100] {
			_, _ = t.Get(ctx, key) // it fails for those of a dead server
		}
		pause(ctx, time.Millisecond)
	}
	return nil
}

// readAll reads all keys, and returns the misses and the number of old values.
func (t *trial) readAll(ctx context.Context) (missed map[string]bool, old int, err error) {
	missed = map[string]bool{}
	var mu sync.Mutex // protects missed and old
	err = each(t.keys, func(key string) error {
		value, err := t.Get(ctx, key)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, errMiss):
			missed[key] = true
			return nil
		case err == nil && value != strconv.Itoa(t.version):
			old++
		}
		return err
	})
	return missed, old, err
}

// renew writes all keys anew, and deletes those that have moved where they
// were.
func (t *trial) renew(ctx context.Context, plan map[string]consistenthash.Move) (deleted int, err error) {
	if err := t.fill(ctx); err != nil {
		return 0, err
	}
	if t.bad.noClean {
		return 0, nil
	}
	for key, m := range plan {
		from := t.members[t.labelOf(m.From)]
		if from == nil || !t.ring().Has(m.From) {
			continue // it is dead, or left
		}
		if err := from.store.Delete(ctx, key); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

// judge checks what was missed.
func (t *trial) judge(c change, plan map[string]consistenthash.Move, missed, had map[string]bool, old int) error {
	planned := map[string]bool{}
	for key, m := range plan {
		planned[key] = true
		from, to := t.labelOf(m.From), t.labelOf(m.To)
		if (from == c.label) == (to == c.label) {
			return fmt.Errorf("law broken: %s %s: %s moves from %s to %s", c.label, c.name, key, from, to)
		}
	}
	if !maps.Equal(planned, missed) {
		return fmt.Errorf("law broken: %s %s: %d keys are missed, and %d are in the plan", c.label, c.name, len(missed), len(planned))
	}
	if had != nil && !maps.Equal(missed, had) {
		return fmt.Errorf("law broken: %s %s: %d keys are missed, and it had %d", c.label, c.name, len(missed), len(had))
	}
	if old > 0 {
		return fmt.Errorf("law broken: %s %s: %d values are old", c.label, c.name, old)
	}
	return nil
}

// audit asks each server what it has.
func (t *trial) audit(ctx context.Context) error {
	want := map[string]map[string]bool{}
	for _, n := range t.ring().Nodes() {
		want[t.labelOf(n.Name)] = map[string]bool{}
	}
	for _, key := range t.keys {
		node, _ := t.ring().Get(key)
		want[t.labelOf(node)][key] = true
	}
	for label, keys := range want {
		have, err := t.members[label].contents(ctx, t.keys)
		if err != nil {
			return err
		}
		if !t.bad.noClean && !maps.Equal(have, keys) {
			return fmt.Errorf("law broken: %s has %d keys, and is to have %d", label, len(have), len(keys))
		}
	}
	return nil
}

// done says which laws hold.
func (t *trial) done() {
	fmt.Fprint(t.out, "\nlaw holds: the keys missed are those that a leaver had, exactly\n"+
		"law holds: the keys missed are those of the plan, to or from the one that changes\n"+
		"law holds: no old value comes back\n"+
		"law holds: each server has the keys of its ranges, and no others\n")
}
