// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"sync"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// errMiss says that a store does not have a key.
var errMiss = errors.New("shards: not there")

// A kv is a server of a Pool.
type kv interface {
	Get(ctx context.Context, key string) (string, error) // errMiss if it is not there
	Set(ctx context.Context, key, value string) error
	Add(ctx context.Context, key, value string) error // unless it is there
	Delete(ctx context.Context, key string) error
}

// A Pool keeps copies of each key on several servers, of as many zones. Writes
// of one key come one after the other, and all processes have the same members.
// A server that was away comes back empty, by a Move after the one that left it
// out. It is safe for concurrent use by multiple goroutines.
type Pool struct {
	copies int

	mu     sync.RWMutex             // held for reading by each read and write; protects the fields below
	now    *consistenthash.Snapshot // where keys are read
	next   *consistenthash.Snapshot // where they are written, too; nil if nothing moves
	stores map[string]kv            // by the names of the nodes
	down   map[string]bool          // those not asked
	bad    poolFaults
}

// poolFaults are what tests break.
type poolFaults struct {
	lateNext bool // while keys are copied, writes go to the old servers
	copySet  bool // copies replace what is there
	keepAll  bool // keys are not deleted where they have moved away from
}

// NewPool returns a Pool that keeps so many copies on the members of ring.
func NewPool(copies int, ring *consistenthash.Snapshot, stores map[string]kv) *Pool {
	return &Pool{copies: copies, now: ring, stores: stores, down: map[string]bool{}}
}

// Get returns a copy of key, from the first server that answers. If one has it
// not, another may: it came back empty.
func (p *Pool) Get(ctx context.Context, key string) (value string, err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	err = errMiss
	for _, name := range p.now.AppendN(nil, key, p.copies) {
		if p.down[name] {
			continue
		}
		value, e := p.stores[name].Get(ctx, key)
		if e == nil {
			return value, nil
		}
		if !errors.Is(e, errMiss) {
			err = e
		}
	}
	return "", err
}

// Set stores all copies. If it fails, servers may differ: the caller sets it
// again, after the server that failed was left out.
func (p *Pool) Set(ctx context.Context, key, value string) (err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	done := map[string]bool{}
	for _, ring := range []*consistenthash.Snapshot{p.now, p.next} {
		if ring == nil {
			continue
		}
		for _, name := range ring.AppendN(nil, key, p.copies) {
			if !done[name] && !p.down[name] {
				done[name] = true
				err = errors.Join(err, p.stores[name].Set(ctx, key, value))
			}
		}
	}
	return err
}

// Leave leaves a server out that died: its keys are read from their other
// copies. Move, to members without it, makes new ones.
func (p *Pool) Leave(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[name] = true
}

// Moved counts what Move has done.
type Moved struct{ Copied, Dropped int }

// Move makes to the members: it copies keys to the servers that are to have
// them, switches, and deletes where they are no longer looked for. Meanwhile
// keys are read and written. It may be called again if it fails. The stores are
// those of servers that join.
func (p *Pool) Move(ctx context.Context, to *consistenthash.Snapshot, stores map[string]kv, keys []string) (n Moved, err error) {
	// From here on writes go to both. Those that began before have ended.
	p.mu.Lock()
	from := p.now
	for name, store := range stores {
		p.stores[name] = store
	}
	if !p.bad.lateNext {
		p.next = to
	}
	p.mu.Unlock()

	// Copy. A copy that is there is newer than ours.
	plan := movesOf(from, to, p.copies, keys)
	for _, m := range plan {
		value, err := p.Get(ctx, m.key)
		if errors.Is(err, errMiss) {
			continue
		}
		if err != nil {
			return n, err
		}
		for _, name := range m.Added() {
			put := p.stores[name].Add
			if p.bad.copySet {
				put = p.stores[name].Set
			}
			if err := put(ctx, m.key, value); err != nil {
				return n, err
			}
			n.Copied++
		}
	}

	// Switch: reads that began before have ended.
	p.mu.Lock()
	p.now, p.next = to, nil
	for name := range p.down {
		if !to.Has(name) {
			delete(p.down, name)
		}
	}
	p.mu.Unlock()
	for _, m := range plan {
		for _, name := range m.Dropped() {
			if !to.Has(name) || p.bad.keepAll {
				continue // it left
			}
			if err := p.stores[name].Delete(ctx, m.key); err != nil {
				return n, err
			}
			n.Dropped++
		}
	}
	return n, nil
}

// A keyMove is a key whose servers change.
type keyMove struct {
	key string
	consistenthash.ReplicaMove
}

// movesOf returns the keys whose servers change.
func movesOf(from, to *consistenthash.Snapshot, copies int, keys []string) (moves []keyMove) {
	plan := make([]consistenthash.ReplicaMove, 0, 64)
	for m := range from.PlanN(to, copies) {
		plan = append(plan, m)
	}
	for _, key := range keys {
		if m, ok := find(plan, from.Hash(key)); ok {
			moves = append(moves, keyMove{key, m})
		}
	}
	return moves
}

// find returns the move of a position, of moves in order.
func find(plan []consistenthash.ReplicaMove, h uint64) (m consistenthash.ReplicaMove, ok bool) {
	lo, hi := 0, len(plan)
	for lo < hi {
		if mid := (lo + hi) / 2; plan[mid].Last < h {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(plan) || !plan[lo].Contains(h) {
		return m, false
	}
	return plan[lo], true
}
