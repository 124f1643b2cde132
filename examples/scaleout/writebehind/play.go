// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
	"github.com/ashlar-go/ashlar/lru"
)

// The load: each of some workers writes for its part of the drivers.
const (
	workers     = 4
	writeBatch  = 5  // writes between two pauses of a millisecond
	deleteEvery = 16 // one write in so many says that a driver has gone home
)

// A cache is a Through or a Behind.
type cache interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
}

// A drive is drivers before one cache.
type drive struct {
	*config
	name  string
	cache cache
	store *pgStore
	last  []map[string]string // what each worker has written last; "" if it deleted

	writes, refused, reads atomic.Int64
	whileDown              atomic.Int64 // writes
	down                   atomic.Bool
	waiting                atomic.Int64 // at most, of the Behind
}

// play starts a server, and drives.
func (c *config) play(ctx context.Context, stdout io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "writebehind-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := servers.Start(ctx, servers.Postgres, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return c.playOn(ctx, server, stdout)
}

// playOn drives with the one cache, and then with the other.
func (c *config) playOn(ctx context.Context, server *servers.Server, stdout io.Writer) error {
	pool, err := pgxpool.New(ctx, server.URL())
	if err != nil {
		return err
	}
	defer pool.Close()

	fmt.Fprintf(stdout, "%d drivers for %v, a write waits for %v", c.drivers, c.time, c.interval)
	if c.kill {
		fmt.Fprint(stdout, ", the server is killed and comes back")
	}
	fmt.Fprintf(stdout, "\n\n%-8s %8s %8s %8s %11s %7s %10s %9s %8s\n",
		"", "writes", "down", "refused", "statements", "calls", "per write", "waiting", "reads")
	through, err := c.through(ctx, server, pool, stdout)
	if err != nil {
		return err
	}
	behind, err := c.behind(ctx, server, pool, stdout)
	if err != nil {
		return err
	}
	return c.judge(through, behind, stdout)
}

// newCache returns a cache that is too small for all drivers.
func (c *config) newCache() *lru.Cache[string, []byte] {
	return lru.New[string, []byte](max(1, c.drivers/4), nil)
}

// emptyStore returns the store of a writer, with nothing in it.
func (c *config) emptyStore(ctx context.Context, pool *pgxpool.Pool, writer string) (*pgStore, error) {
	store, err := openStore(ctx, pool, writer)
	if err != nil {
		return nil, err
	}
	store.bad = c.bad.store
	_, err = pool.Exec(ctx, "TRUNCATE lru_value")
	return store, err
}

// through drives with a cache that writes to the table first.
func (c *config) through(ctx context.Context, server *servers.Server, pool *pgxpool.Pool, out io.Writer) (*drive, error) {
	store, err := c.emptyStore(ctx, pool, "through")
	if err != nil {
		return nil, err
	}
	d := &drive{config: c, name: "Through", store: store, cache: lru.NewThrough(c.newCache(), store)}
	if err := d.run(ctx, server); err != nil {
		return nil, err
	}
	d.print(out, store.statements.Load())
	return d, d.compare(ctx)
}

// behind drives with a cache that writes to the table later.
func (c *config) behind(ctx context.Context, server *servers.Server, pool *pgxpool.Pool, out io.Writer) (*drive, error) {
	store, err := c.emptyStore(ctx, pool, "behind")
	if err != nil {
		return nil, err
	}
	b := lru.NewBehind(c.newCache(), store, &lru.BehindOptions[string, []byte]{
		Interval: c.interval,
		Apply:    store.Apply,
		Backoff:  20 * time.Millisecond,
		Timeout:  5 * time.Second,
	})
	d := &drive{config: c, name: "Behind", store: store, cache: b}
	if c.bad.aside {
		d.cache = around{b, store}
	}

	// While they drive, somebody watches the table, and counts what waits.
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan error, 1)
	go func() { watched <- d.watch(watch, b) }() // ends with watch
	if err := d.run(ctx, server); err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	if err := b.Flush(ctx); err != nil {
		return nil, err
	}
	cancel()
	if err := <-watched; err != nil {
		return nil, err
	}

	d.print(out, b.Stats().Calls)
	if err := d.compare(ctx); err != nil {
		return nil, err
	}
	if err := b.Close(ctx); err != nil {
		return nil, err
	}
	if err := b.Set(ctx, "late", nil); !errors.Is(err, lru.ErrClosed) {
		return nil, fmt.Errorf("law broken: a write after Close returns %v", err)
	}
	return d, nil
}

// around is a Behind whose readers ask the table.
type around struct {
	*lru.Behind[string, []byte]
	store *pgStore
}

func (a around) Load(ctx context.Context, key string) ([]byte, error) { return a.store.Load(ctx, key) }

// run drives for a time, in which the server may die.
func (d *drive) run(ctx context.Context, server *servers.Server) error {
	load, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, workers)
	for i := range workers {
		last := map[string]string{}
		d.last = append(d.last, last)
		go func() { failed <- d.work(load, i, last) }() // ends with load
	}

	// The time, and the crash.
	pause(ctx, d.time/3)
	var err error
	if d.kill {
		d.down.Store(true)
		err = server.Kill()
		pause(ctx, d.time/6)
		err = errors.Join(err, server.Restart(ctx))
		d.down.Store(false)
	}
	pause(ctx, d.time/2)
	cancel()
	for range workers {
		err = errors.Join(err, <-failed)
	}
	return errors.Join(err, ctx.Err())
}

// work writes positions of some drivers, and reads them, until ctx ends.
func (d *drive) work(ctx context.Context, worker int, last map[string]string) error {
	rng := rand.New(rand.NewPCG(1, uint64(worker)))
	always := context.WithoutCancel(ctx)
	for version := 1; ctx.Err() == nil; version++ {
		key := "driver:" + strconv.Itoa(rng.IntN((d.drivers+workers-1)/workers)*workers+worker)
		value := strconv.Itoa(version)
		write := func() error { return d.cache.Set(always, key, []byte(value)) }
		if rng.IntN(deleteEvery) == 0 {
			value = ""
			write = func() error { return d.cache.Delete(always, key) }
		}
		err := write()
		for ; err != nil; err = write() {
			// What the table has is not known. The driver tries again.
			d.refused.Add(1)
			pause(ctx, 5*time.Millisecond)
		}

		d.writes.Add(1)
		if d.down.Load() {
			d.whileDown.Add(1)
		}
		last[key] = value
		if err := d.readBack(always, key, value); err != nil {
			return err
		}
		if version%writeBatch == 0 {
			pause(ctx, time.Millisecond)
		}
	}
	return nil
}

// readBack reads what was just written.
func (d *drive) readBack(ctx context.Context, key, want string) error {
	got, err := d.cache.Load(ctx, key)
	switch {
	case errors.Is(err, lru.ErrNotFound):
		got = nil
	case err != nil && d.kill:
		return nil // of a Through: the table is asked, and not there
	case err != nil:
		return err
	}
	d.reads.Add(1)
	if !bytes.Equal(got, []byte(want)) {
		return fmt.Errorf("law broken: %s: of %s %q was written, and %q is read", d.name, key, want, got)
	}
	return nil
}

// watch reads the table again and again until ctx ends: no value goes back.
func (d *drive) watch(ctx context.Context, b *lru.Behind[string, []byte]) error {
	newest := map[string]int{}
	for ctx.Err() == nil {
		for range 20 {
			raise(&d.waiting, int64(b.Pending()))
			pause(ctx, time.Millisecond)
		}
		table, err := d.store.all(ctx)
		if err != nil {
			continue // it is down
		}
		for key, value := range table {
			version, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			if version < newest[key] {
				return fmt.Errorf("law broken: %s went back from %d to %d in the table", key, newest[key], version)
			}
			newest[key] = version
		}
	}
	return nil
}

// raise makes a number at least v, by one goroutine.
func raise(n *atomic.Int64, v int64) { n.Store(max(n.Load(), v)) }

// all returns the whole table.
func (s *pgStore) all(ctx context.Context) (map[string]string, error) {
	rows, err := s.pool.Query(ctx, "SELECT key, value FROM lru_value")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	table := map[string]string{}
	for rows.Next() {
		var key string
		var value []byte
		if err := rows.Scan(&key, &value); err != nil {
			return nil, err
		}
		table[key] = string(value)
	}
	return table, rows.Err()
}

// compare compares the table with what was written last.
func (d *drive) compare(ctx context.Context) error {
	table, err := d.store.all(ctx)
	if err != nil {
		return err
	}
	want := map[string]string{}
	for _, last := range d.last {
		for key, value := range last {
			if value != "" {
				want[key] = value
			}
		}
	}
	if maps.Equal(table, want) {
		return nil
	}
	for key, value := range want {
		if table[key] != value {
			return fmt.Errorf("law broken: %s: the table has %q of %s, and %q was written last", d.name, table[key], key, value)
		}
	}
	return fmt.Errorf("law broken: %s: the table has %d drivers, and %d are there", d.name, len(table), len(want))
}

// print writes what happened.
func (d *drive) print(out io.Writer, calls uint64) {
	statements := d.store.statements.Load()
	fmt.Fprintf(out, "%-8s %8d %8d %8d %11d %7d %10.3f %9d %8d\n", d.name, d.writes.Load(), d.whileDown.Load(), d.refused.Load(),
		statements, calls, float64(statements)/float64(max(1, d.writes.Load())), d.waiting.Load(), d.reads.Load())
}

// judge says which laws hold. Those that are not here are checked on the way.
func (c *config) judge(through, behind *drive, out io.Writer) error {
	if n, s := through.writes.Load(), through.store.statements.Load(); int64(s) < n {
		return fmt.Errorf("law broken: %d writes of a Through were %d statements", n, s)
	}
	if n, s := behind.writes.Load(), behind.store.statements.Load(); int64(s) >= n {
		return fmt.Errorf("law broken: %d writes of a Behind were %d statements", n, s)
	}
	if n := behind.refused.Load(); n > 0 {
		return fmt.Errorf("law broken: a Behind refused %d writes", n)
	}
	if n := through.refused.Load(); n > 0 && !c.kill {
		return fmt.Errorf("law broken: a Through refused %d writes", n)
	}
	if c.kill && behind.whileDown.Load() == 0 {
		return errors.New("law broken: a Behind took no writes while the server was down")
	}
	fmt.Fprint(out, "\nlaw holds: own writes are read\n"+
		"law holds: the table has the last write of each driver, after Flush and each Set of a Through\n"+
		"law holds: no value in the table goes back\n"+
		"law holds: a Behind takes writes while the server is down, and makes few statements of them\n")
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
