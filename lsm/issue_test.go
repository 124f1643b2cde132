// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestIssueUnknownEdit checks for a table that is removed because the sync of
// the edit that names it has failed, though the edit is there when the process
// is killed (https://github.com/facebook/rocksdb/pull/5379). Nothing can be
// written to the manifest or instead of it, and so nothing is removed.
func TestIssueUnknownEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := NewMemFS(), new(script)
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), limits{versions: 10, edits: 1 << 20})
		must(t, err)
		m.Inject(func(op FSOp) error {
			name := filepath.Base(op.Name)
			if strings.HasPrefix(name, "MANIFEST") && (op.Kind == "sync" || op.Kind == "create") {
				return syscall.EIO
			}
			return nil
		})
		for range 30 {
			must(t, s.commit(db, Sync))
			time.Sleep(time.Minute)
		}

		edits, err := readManifest(m, "db", 1)
		must(t, err)
		equal(t, "tables that edits name", len(edits.levels[0]), 1)
		equal(t, "the last commit after a kill", recovered(t, m.killClone()), 30)
		equal(t, "the last commit after a loss of power", recovered(t, m.CrashClone(CrashConfig{})), 30)
		m.Inject(nil)
		closeDB(t, db)
		equal(t, "the last commit", recovered(t, m), 30)
	})
}

// TestIssueDirectoryGone checks for a Close that tries forever to flush into a
// directory that somebody has removed
// (https://github.com/dgraph-io/badger/issues/664). It returns at once, with an
// error if there is no log in which it could leave the rest.
func TestIssueDirectoryGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { directoryGoneRound(t, ".sst", false) })
	synctest.Test(t, func(t *testing.T) { directoryGoneRound(t, ".wal", true) })
}

// directoryGoneRound fills a database in which no file with a name that ends in
// ext can be made any more, in a bubble. fails says whether Close does.
func directoryGoneRound(t *testing.T, ext string, fails bool) {
	t.Helper()
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Memory: minMemory, LogSize: 64 << 10})
	m.Inject(func(op FSOp) error {
		if op.Kind == "create" && filepath.Ext(op.Name) == ext {
			return fs.ErrNotExist
		}
		return nil
	})
	err := error(nil)
	for i := 0; err == nil; i++ {
		err = db.Set(fmt.Append(nil, i), make([]byte, 1000))
	}
	isError(t, "a commit when no "+ext+" can be made", err, ErrStalled, fs.ErrNotExist)

	start := time.Now()
	err = db.Close()
	equal(t, "the error of Close when no "+ext+" can be made", errors.Is(err, fs.ErrNotExist), fails)
	equal(t, "the time of Close", time.Since(start), 0)
	m.Inject(nil)
}

// TestIssuePowerFailsFirst checks for a database that cannot be opened because
// power failed while it was made (https://github.com/etcd-io/bbolt/issues/567).
func TestIssuePowerFailsFirst(t *testing.T) {
	m := NewMemFS()
	var clones []*MemFS
	m.Inject(func(FSOp) error {
		for seed := range uint64(8) {
			clones = append(clones, m.CrashClone(CrashConfig{Keep: float64(seed) / 7, Garbage: seed%2 > 0, Seed: seed}))
		}
		return nil
	})
	closeDB(t, memDB(t, Options{FS: m, LogSize: minLogSize}))
	m.Inject(nil)
	for i, c := range clones {
		db, err := Open("db", &Options{FS: c, LogSize: minLogSize})
		isError(t, fmt.Sprintf("Open after power failed at operation %d", 1+i/8), err, nil)
		if err == nil {
			set(t, db, "key", "value", Sync)
			closeDB(t, db)
		}
	}
	if len(clones) < 100 {
		t.Errorf("%d crashes, want many", len(clones))
	}
}

// TestIssueCloseBesideReads checks for a panic, or an error that is not
// ErrClosed, of what goes on while the database is closed
// (syndtr/goleveldb#148, #235, dgraph-io/badger#278).
func TestIssueCloseBesideReads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	m := NewMemFS()
	for round := range 15 {
		lim := checkedLimits(t, limits{versions: 20, edits: 500, trigger: 1, table: 300, base: 300, closing: 5})
		o := Options{FS: m, LogSize: minLogSize, Durability: Durability(round % 3), MaxOpenFiles: 2, Cache: NewCache(2000)}
		db, err := openWith("db", &o, rand.Uint64, lim)
		must(t, err)
		snap := db.Snapshot()
		key := []byte("key")
		calls := []func() error{
			func() error { return db.Set(key, key) },
			func() error { return db.Flush(t.Context()) },
			func() error { return db.Compact(t.Context(), nil, nil) },
			func() error { return db.Verify(t.Context()) },
			func() error { _, err := db.Has(key); return err },
			func() error { _, err := snap.Has(key); return err },
			func() error { _, err := collect(db.Scan(nil, nil), false); return err },
			func() error {
				s := db.Snapshot()
				_, err := collect(s.Prefix(key), true)
				return errors.Join(err, s.Close())
			},
		}

		// Each goes on until it finds that the database is closed.
		var wg sync.WaitGroup
		for i, call := range calls {
			wg.Go(func() {
				var err error
				for err == nil {
					err = call()
				}
				isError(t, fmt.Sprint("call ", i), err, ErrClosed)
			})
		}
		for range 1 << round {
			runtime.Gosched()
		}
		closeDB(t, db)
		wg.Wait()
		must(t, m.leaks())
	}
}
