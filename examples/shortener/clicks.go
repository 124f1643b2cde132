// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/binary"
	"maps"
	"sync"

	"github.com/ashlar-go/ashlar/lsm"
)

// behind is how many clicks may be in memory only. The one that reaches it
// writes all of them, in one batch: a click costs a hundredth of a write, and
// no sync. If the process is killed, fewer than behind that were answered are
// lost; if the power fails, those of some seconds are.
const behind = 100

// clicks are those that are not in the database.
type clicks struct {
	mu    sync.Mutex // protects what follows
	count map[string]uint64
	n     int // of all codes
}

func newClicks() *clicks { return &clicks{count: map[string]uint64{}} }

// add counts a click, and reports whether it is time to write.
func (c *clicks) add(code string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[code]++
	c.n++
	return c.n >= behind
}

// drop forgets those of a code.
func (c *clicks) drop(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n -= int(c.count[code])
	delete(c.count, code)
}

// Click counts a click.
func (l *Links) Click(ctx context.Context, code string) error {
	if !l.clicks.add(code) {
		return nil
	}
	return l.FlushClicks(ctx)
}

// FlushClicks writes the clicks that are in memory. They stay there until they
// are written, and those that come meanwhile stay for the next time.
func (l *Links) FlushClicks(ctx context.Context) error {
	if err := l.upkeep.lock(ctx); err != nil {
		return err
	}
	defer l.upkeep.unlock()
	l.clicks.mu.Lock()
	taken := maps.Clone(l.clicks.count)
	l.clicks.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}

	// A sum needs the old one. Nobody else writes it.
	var b lsm.Batch
	b.SetDurability(lsm.NoSync)
	for code, n := range taken {
		there, err := l.db.Has([]byte(codeRow + code))
		if err != nil {
			return err
		}
		if !there {
			continue // it was swept after the click
		}
		old, err := getUint(l.db, clickRow+code)
		if err != nil {
			return err
		}
		b.Set([]byte(clickRow+code), binary.BigEndian.AppendUint64(nil, old+n))
	}

	// A reader sees them in memory or in the database, and not in both.
	l.clicks.mu.Lock()
	defer l.clicks.mu.Unlock()
	if err := l.db.Apply(ctx, &b); err != nil {
		return err
	}
	for code, n := range taken {
		if l.clicks.count[code] -= n; l.clicks.count[code] == 0 {
			delete(l.clicks.count, code)
		}
		l.clicks.n -= int(n)
	}
	return nil
}

// Clicks returns how often a code was clicked.
func (l *Links) Clicks(code string) (uint64, error) {
	l.clicks.mu.Lock()
	defer l.clicks.mu.Unlock()
	n, err := getUint(l.db, clickRow+code)
	return n + l.clicks.count[code], err
}
