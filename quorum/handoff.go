// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A Handoff is a [Replica] that keeps the writes that another one, its target,
// has missed, and hands them over later: hints. The hint of a key is one state,
// the join of all that was missed, so that a target that is away for long costs
// no more than its keys. Hints are in memory, and lost with the process:
// [Cluster.Repair] mends what they do not. Use [NewHandoff]. It is safe for
// concurrent use by multiple goroutines.
//
// If HandoffOptions.Sloppy is set, a hint counts as written: a sloppy quorum,
// which a read can miss. [New] wants AllowStale then, and [Atomic] and a
// [Multi] are refused. New does not see a Handoff within a Replica of another
// type.
type Handoff[K comparable, S State[S]] struct {
	target Replica[K, S]
	opts   HandoffOptions

	mu    sync.Mutex // protects the fields below
	hints map[K]hint[S]
	made  uint64 // number of hints that were made
}

// A hint is the state of a key that the target may lack.
type hint[S any] struct {
	state  S
	number uint64 // its place among all that were made, from 1; 0 if there is none
}

// errMissed is the error of a target that was not asked.
var errMissed = errors.New("quorum: replica is believed to be down")

// NewHandoff returns a replica that is target, with hints. If opts is nil, the
// defaults are used. It panics if target is nil or opts is not valid.
func NewHandoff[K comparable, S State[S]](target Replica[K, S], opts *HandoffOptions) *Handoff[K, S] {
	if target == nil {
		panic("quorum: target must not be nil")
	}
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	return &Handoff[K, S]{target: target, opts: opts.resolve(), hints: map[K]hint[S]{}}
}

// Load returns the join of the state of key at the target and of its hint.
func (h *Handoff[K, S]) Load(ctx context.Context, key K) (S, error) {
	mustBe(h.target != nil, "quorum: zero Handoff: use NewHandoff")
	var zero S
	if h.down() {
		return zero, fmt.Errorf("%w: %w", ErrUnavailable, errMissed)
	}
	s, err := h.target.Load(ctx, key)
	if err != nil {
		return zero, err
	}

	if missed, _ := h.get(key); missed.number != 0 {
		s = s.Join(missed.state)
	}
	return s, nil
}

// Merge merges s into the target, and keeps it as a hint if that fails. It
// returns the error of the target, unless s was kept and hints count as
// written. An error that is an [ErrUnavailable] says that s was not kept
// either.
func (h *Handoff[K, S]) Merge(ctx context.Context, key K, s S) error {
	mustBe(h.target != nil, "quorum: zero Handoff: use NewHandoff")
	err := errMissed
	if !h.down() {
		err = h.target.Merge(ctx, key, s)
	}
	switch {
	case err == nil:
		return nil
	case !h.keep(key, s):
		if errors.Is(err, errMissed) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, errMissed)
		}
		return err
	case h.opts.Sloppy:
		return nil
	}
	return unsure{err} // it may still come to pass
}

// down reports whether the target is believed to be down.
func (h *Handoff[K, S]) down() bool { return h.opts.Down != nil && h.opts.Down() }

// get returns the hint of key, and whether there is room to keep one.
func (h *Handoff[K, S]) get(key K) (now hint[S], room bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, ok := h.hints[key]
	return now, ok || len(h.hints) < h.opts.Keys
}

// keep joins s into the hint of key. It reports whether there was room.
func (h *Handoff[K, S]) keep(key K, s S) bool {
	// Join runs without the lock: if another goroutine has replaced the hint
	// meanwhile, begin again.
	for {
		old, room := h.get(key)
		if !room || !isReflexive(key) {
			return false
		}
		next := old.state.Join(s)
		if h.replace(key, old, &next) {
			return true
		}
	}
}

// replace makes next the hint of key, or removes the hint if next is nil. It
// reports whether it did: not if the hint is not old any more, nor without room
// for another.
func (h *Handoff[K, S]) replace(key K, old hint[S], next *S) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.hints[key].number != old.number:
		return false
	case next == nil:
		delete(h.hints, key)
		return true
	case old.number == 0 && len(h.hints) >= h.opts.Keys:
		return false
	}
	h.made++
	h.hints[key] = hint[S]{*next, h.made}
	return true
}

// Flush hands the hints over to the target, key by key, until one fails: then
// it returns that error. Call it from time to time, such as each second, for
// each Handoff. It asks the target even if that is believed to be down, so that
// a wrong belief delays nothing for good.
func (h *Handoff[K, S]) Flush(ctx context.Context) error {
	h.mu.Lock()
	keys := slices.Collect(maps.Keys(h.hints))
	h.mu.Unlock()

	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		now, _ := h.get(key)
		if now.number == 0 {
			continue // another Flush was faster
		}
		if err := h.target.Merge(ctx, key, now.state); err != nil {
			return err
		}
		h.replace(key, now, nil) // what came meanwhile stays for the next time
	}
	return nil
}

// Len returns the number of keys that have a hint.
func (h *Handoff[K, S]) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.hints)
}

// sloppy reports whether hints count as written, here or in the target.
func (h *Handoff[K, S]) sloppy() bool { return h.opts.Sloppy || isSloppy(h.target) }

// isSloppy reports whether r is a Handoff, with others below it perhaps, whose
// hints count as written.
func isSloppy(r any) bool {
	h, ok := r.(interface{ sloppy() bool })
	return ok && h.sloppy()
}
