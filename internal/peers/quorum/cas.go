// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/quorum"
)

const twoPhaseName = "two-phase"

// increment is what is done to the value.
func increment(n int) int { return n + 1 }

// oursCAS updates one key of acceptors in memory, as a proposer that nobody
// gets in the way of.
func oursCAS(n int) bench.Op {
	list := make([]quorum.Acceptor[string, int], n)
	for i := range list {
		list[i] = new(quorum.MemoryAcceptor[string, int])
	}
	c, err := quorum.NewCAS(list, nil)
	if err != nil {
		panic(err)
	}
	f := func(old int, _ uint64) (int, error) { return increment(old), nil }
	return func(_, n int) (ok int) {
		for range n {
			if _, _, err := c.Update(context.Background(), "k", f); err == nil {
				ok++
			}
		}
		return ok
	}
}

// A participant is a replica of a two-phase compare-and-set: it prepares a
// transaction by locking the key, and then waits for its coordinator.
type participant struct {
	mu      sync.Mutex // protects the maps
	values  map[string]record
	holders map[string]uint64 // the transaction that has locked a key
}

// A record is a value and how often it was replaced.
type record struct {
	value   int
	version uint64
}

var (
	errLocked = errors.New("locked by another transaction")
	errDiffer = errors.New("participants differ")
)

func (p *participant) prepare(_ context.Context, key string, tx uint64) (record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if by := p.holders[key]; by != 0 && by != tx {
		return record{}, errLocked
	}
	p.holders[key] = tx
	return p.values[key], nil
}

// finish ends a transaction: it commits r, unless that is nil.
func (p *participant) finish(_ context.Context, key string, tx uint64, r *record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holders[key] != tx {
		return errLocked
	}
	delete(p.holders, key)
	if r != nil {
		p.values[key] = *r
	}
	return nil
}

// A coordinator replaces values at all participants, or at none as long as
// nobody fails: prepare at all, commit at all. The usual one holds the locks
// while it waits, and has no way out if it dies in between.
type coordinator struct {
	list []*participant
	tx   uint64
}

// update replaces the value of key by f of it.
func (c *coordinator) update(ctx context.Context, key string, f func(int) int) (int, error) {
	for {
		c.tx++
		old, err := c.prepare(ctx, key)
		if errors.Is(err, errLocked) {
			_ = c.finish(ctx, key, nil)
			runtime.Gosched()
			continue
		}
		if err != nil {
			return 0, err
		}
		next := &record{f(old.value), old.version + 1}
		return next.value, c.finish(ctx, key, next)
	}
}

// prepare locks key at all participants.
func (c *coordinator) prepare(ctx context.Context, key string) (old record, err error) {
	type reply struct {
		r   record
		err error
	}
	replies := make(chan reply, len(c.list))
	for _, p := range c.list {
		go func() { // ends when the participant returns
			r, err := p.prepare(ctx, key, c.tx)
			replies <- reply{r, err}
		}()
	}

	for i := range c.list {
		r := <-replies
		switch {
		case r.err != nil:
			err = r.err
		case i == 0:
			old = r.r
		case old != r.r:
			err = errors.Join(err, errDiffer)
		}
	}
	return old, err
}

// finish commits r at all participants, or gives the locks back.
func (c *coordinator) finish(ctx context.Context, key string, r *record) (err error) {
	replies := make(chan error, len(c.list))
	for _, p := range c.list {
		go func() { replies <- p.finish(ctx, key, c.tx, r) }() // ends when the participant returns
	}
	for range c.list {
		if e := <-replies; e != nil {
			err = e
		}
	}
	return err
}

// twoPhaseCAS does the same as oursCAS with a coordinator.
func twoPhaseCAS(n int) bench.Op {
	c := &coordinator{}
	for range n {
		c.list = append(c.list, &participant{values: map[string]record{}, holders: map[string]uint64{}})
	}
	return func(_, n int) (ok int) {
		for range n {
			if _, err := c.update(context.Background(), "k", increment); err == nil {
				ok++
			}
		}
		return ok
	}
}
