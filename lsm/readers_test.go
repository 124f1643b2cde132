// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// An eventLog gathers events.
type eventLog struct {
	mu   sync.Mutex
	list []Event
}

func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

// count returns how many events of a kind there were.
func (l *eventLog) count(kind string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.list {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// TestLeaks checks that snapshots and iterators which nobody has closed, and
// nobody refers to, hold nothing, and that an event tells of them.
func TestLeaks(t *testing.T) {
	m := NewMemFS()
	log := new(eventLog)
	o := Options{FS: m, LogSize: minLogSize, Durability: Async, OnEvent: log.add}
	db, err := openWith("db", &o, testNonce(1), checkedLimits(t, compactLimits))
	must(t, err)
	for i := range 200 {
		must(t, db.Set(fmt.Append(nil, "key", i), []byte("old")))
	}
	must(t, db.Compact(t.Context(), nil, nil))
	forgetReaders(db)
	for i := range 200 {
		must(t, db.Set(fmt.Append(nil, "key", i), []byte("new")))
	}
	must(t, db.Compact(t.Context(), nil, nil))

	eventually(t, "readers that were forgotten", func() bool {
		runtime.GC()
		s := db.Stats()
		return s.Readers == 0 && s.Pinned == 0
	})
	equal(t, "the oldest", db.Stats().OldestReader, 0)
	db.idle()
	equal(t, "files of tables", len(m.tableNames(t)), db.Stats().Tables)
	eventually(t, "events of leaks", func() bool { return log.count("leak") == 2 })

	// Close tells of those that are open.
	snap, it := db.Snapshot(), db.Scan(nil, nil)
	must(t, db.Close())
	equal(t, "events of leaks after Close", log.count("leak"), 3)
	equal(t, "readers at Close", log.list[len(log.list)-1].Readers, 2)
	equal(t, "readers after Close", db.Stats().Readers, 0)
	isError(t, "Close of an iterator that Close has ended", it.Close(), nil)
	isError(t, "Close of a snapshot that Close has ended", snap.Close(), nil)
}

// forgetReaders makes a snapshot and an iterator, and lets go of them.
func forgetReaders(db *DB) {
	_ = db.Snapshot()
	it := db.Scan(nil, nil)
	it.First()
	if s := db.Stats(); s.Readers != 2 || s.OldestReader <= 0 {
		panic(fmt.Sprintf("%d readers, the oldest since %v, want 2", s.Readers, s.OldestReader))
	}
}

// TestPinned checks that Stats tells of the space that an iterator keeps.
func TestPinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := compactedDB(t, NewMemFS())
		for i := range 100 {
			must(t, db.Set(fmt.Append(nil, "key", i), make([]byte, 20)))
		}
		must(t, db.Compact(t.Context(), nil, nil))
		it := db.Scan(nil, nil)
		held := db.Stats().Stored
		time.Sleep(time.Minute)

		for i := range 100 {
			must(t, db.Set(fmt.Append(nil, "key", i), make([]byte, 10)))
		}
		must(t, db.Compact(t.Context(), nil, nil))
		synctest.Wait() // until what was merged meanwhile is removed
		s := db.Stats()
		equal(t, "bytes that the iterator keeps", s.Pinned, held)
		equal(t, "the age of the iterator", s.OldestReader, time.Minute)
		if s.SpaceAmplification() < 1.5 {
			t.Errorf("space amplification %v, want that of what is kept too", s.SpaceAmplification())
		}
		must(t, it.Close())
		synctest.Wait()
		s = db.Stats()
		equal(t, "bytes that are kept then", s.Pinned, 0)
		equal(t, "space amplification", s.SpaceAmplification(), 1)
		must(t, db.Close())
	})
}

// TestEvents checks that flushes, merges, moves and failures are told, each
// once and under no lock.
func TestEvents(t *testing.T) {
	m := NewMemFS()
	log := new(eventLog)
	var db *DB
	o := Options{FS: m, LogSize: minLogSize, Durability: Async, OnEvent: func(e Event) {
		_ = db.Stats() // it takes the lock
		log.add(e)
	}}
	db, err := openWith("db", &o, testNonce(1), limits{versions: 1000, edits: 1 << 20})
	must(t, err)
	for round := range 2 {
		must(t, db.Set(fmt.Append(nil, "a", round), nil))
		must(t, db.Set(fmt.Append(nil, "b", round), nil))
		must(t, db.Flush(t.Context()))
	}
	must(t, db.Compact(t.Context(), nil, nil))
	must(t, db.Set([]byte("c"), nil))
	must(t, db.Compact(t.Context(), nil, nil))
	s := db.Stats()
	for kind, n := range map[string]uint64{"flush": s.Flushes, "merge": s.Merges, "move": s.Moves} {
		equal(t, kind, log.count(kind), int(n))
		if n == 0 {
			t.Errorf("no %s", kind)
		}
	}
	equal(t, "failures", log.count("failure"), 0)
	if s.Flushed == 0 || s.Merged == 0 || s.WriteAmplification() < 1 {
		t.Errorf("got %+v, want bytes that were flushed and merged", s)
	}

	m.Inject(func(op FSOp) error {
		if op.Kind == "create" {
			return syscall.EIO
		}
		return nil
	})
	must(t, db.Set([]byte("d"), nil))
	if err := db.Flush(contextFor(t, 10*time.Millisecond)); err == nil {
		t.Error("Flush succeeds without a table")
	}
	m.Inject(nil)
	must(t, db.Flush(t.Context()))
	at := slices.IndexFunc(log.list, func(e Event) bool { return e.Kind == "failure" })
	if at < 0 || !errors.Is(log.list[at].Err, syscall.EIO) {
		t.Errorf("events %v, want a failure with its error", log.list)
	}
	must(t, db.Close())
}

// TestTrapTombstones checks for scans that pass the same deletes again and
// again, as in Badger: what readers have passed often is merged away.
func TestTrapTombstones(t *testing.T) {
	lim := noLimits
	lim.after = checkedLimits(t, lim).after
	db, err := openWith("db", &Options{FS: NewMemFS(), LogSize: 64 << 10, Durability: Async}, testNonce(1), lim)
	must(t, err)
	const n = 2000
	for i := range n {
		must(t, db.Set(fmt.Appendf(nil, "%05d", i), nil))
	}
	must(t, db.Compact(t.Context(), nil, nil))
	for i := range n - 1 {
		must(t, db.Delete(fmt.Appendf(nil, "%05d", i)))
	}
	must(t, db.Flush(t.Context()))
	equal(t, "tables of deletes", levelCounts(db)[0], 1)

	for i := 0; ; i++ {
		it := db.Scan(nil, nil)
		equal(t, "the first key", it.First() && string(it.Key()) == fmt.Sprintf("%05d", n-1), true)
		must(t, it.Close())
		db.idle()
		if levelCounts(db)[0] == 0 {
			break
		}
		if i > 10 {
			t.Fatal("deletes that were passed ten times are there still")
		}
	}
	entries := uint64(0)
	for _, table := range db.state.Load().tables.levels[numLevels-1] {
		entries += table.entries
	}
	equal(t, "entries", entries, 1)
	must(t, db.Close())
}

// contextFor returns a context that ends after d.
func contextFor(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestTrapEventPanics checks for a Close that leaves files and the lock, and
// hangs the second time, because Options.OnEvent has panicked. Everything is
// durable before.
func TestTrapEventPanics(t *testing.T) {
	m := NewMemFS()
	db, err := Open("db", &Options{FS: m, Durability: Async, OnEvent: func(e Event) { panic("OnEvent: " + e.Kind) }})
	must(t, err)
	must(t, db.Set([]byte("key"), []byte("value")))
	_ = db.Snapshot()
	mustPanic(t, "OnEvent: leak", func() { _ = db.Close() })
	isError(t, "Close the second time", db.Close(), ErrClosed)
	must(t, m.leaks())
	wantValue(t, "afterwards", memDB(t, Options{FS: m.CrashClone(CrashConfig{})}), "key", "value")
	wantValue(t, "in the same files", memDB(t, Options{FS: m}), "key", "value")
}

// TestVerifyPins checks that Verify keeps the tables that it reads, and that
// they go when it has ended, though nothing else happens.
func TestVerifyPins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := compactedDB(t, m)
		must(t, db.Set([]byte("key"), nil), db.Compact(t.Context(), nil, nil))
		synctest.Wait()
		before := m.tableNames(t)

		// The first read of Verify comes when its tables are not current.
		var once atomic.Bool
		m.Inject(func(op FSOp) error {
			if op.Kind == "read" && !once.Swap(true) {
				must(t, db.Set([]byte("key"), nil), db.Compact(t.Context(), nil, nil))
				equal(t, "the table is there", slices.Contains(m.tableNames(t), before[0]), true)
			}
			return nil
		})
		isError(t, "Verify", db.Verify(t.Context()), nil)
		synctest.Wait()
		equal(t, "tables when it has ended", len(m.tableNames(t)), 1)
		must(t, db.Close())
	})
}
