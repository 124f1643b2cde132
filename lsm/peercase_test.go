// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// The cases of github.com/syndtr/goleveldb that are no scripts: they look at
// tables, make the file system fail, or read beside writes.

// TestPeerFrozen checks what is read while a flush takes long, and after a loss
// of power meanwhile (GetFromFrozen, RecoverDuringMemtableCompaction).
func TestPeerFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		lim := limits{versions: 1 << 20, edits: 1 << 20}
		db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10}, testNonce(1), lim)
		must(t, err)
		big := strings.Repeat("x", 100_000)
		set(t, db, "foo", "v1", Sync)
		set(t, db, "k1", big, Sync)

		goOn := make(chan struct{})
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" && filepath.Ext(op.Name) == ".sst" {
				<-goOn
			}
			return nil
		})
		flushed := make(chan error, 1)
		go func() { flushed <- db.Flush(t.Context()) }()
		synctest.Wait()
		set(t, db, "k2", big, Sync)
		equal(t, "memtables that are being written", len(db.state.Load().imms), 1)
		wantValue(t, "meanwhile", db, "foo", "v1")
		wantValue(t, "meanwhile", db, "k1", big)
		lost := m.CrashClone(CrashConfig{})
		close(goOn)
		must(t, <-flushed)
		closeDB(t, db)

		for what, files := range map[string]*MemFS{"reopened": m, "after a loss of power": lost} {
			db, err := openWith("db", &Options{FS: files, LogSize: 64 << 10}, testNonce(2), lim)
			must(t, err)
			wantValue(t, what, db, "foo", "v1")
			wantValue(t, what, db, "k1", big)
			wantValue(t, what, db, "k2", big)
			closeDB(t, db)
		}
	})
}

// numberedDB opens a database in m, in which numberedSet has set n keys, and
// checks them.
func numberedDB(t *testing.T, m *MemFS, lim limits, n int) *DB {
	t.Helper()
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize, Durability: NoSync}, testNonce(uint64(n)), checkedLimits(t, lim))
	must(t, err)
	numberedCheck(t, db, n)
	return db
}

func numberedValue(i int) string { return fmt.Sprintf("v%09d%01000d", i, 0) }

func numberedSet(t *testing.T, db *DB, n int) {
	t.Helper()
	for i := range n {
		must(t, db.Set(fmt.Appendf(nil, "%06d", i), []byte(numberedValue(i))))
	}
}

func numberedCheck(t *testing.T, db *DB, n int) {
	t.Helper()
	for i := range n {
		wantValue(t, fmt.Sprintf("%d keys", n), db, fmt.Sprintf("%06d", i), numberedValue(i))
	}
}

// TestPeerTables checks that tables are written by themselves, by Open from a
// log that is long, and as several of a merge (MinorCompactionsHappen,
// RecoverWithLargeJournal, CompactionsGenerateMultipleFiles).
func TestPeerTables(t *testing.T) {
	m := NewMemFS()
	small := limits{versions: 10, edits: 1 << 20, trigger: 2, table: 4000, base: 10_000}
	db := numberedDB(t, m, small, 0)
	numberedSet(t, db, 300)
	equal(t, "tables that commits make", db.Stats().Tables > 0, true)
	numberedCheck(t, db, 300)
	closeDB(t, db)
	closeDB(t, numberedDB(t, m, small, 300))

	// Open of a smaller database writes more than one table.
	m = NewMemFS()
	large := limits{versions: 1 << 20, edits: 1 << 20, table: 4000}
	db = numberedDB(t, m, large, 0)
	numberedSet(t, db, 80)
	equal(t, "tables that few commits make", db.Stats().Tables, 0)
	closeDB(t, db)
	db = numberedDB(t, m, limits{versions: 10, edits: 1 << 20, table: 4000}, 80)
	equal(t, "tables that Open makes", levelCounts(db)[0] > 1, true)

	must(t, db.Compact(t.Context(), nil, nil))
	counts := levelCounts(db)
	equal(t, "several tables after a merge, and none before the last level", counts[numLevels-1] > 1 && counts[numLevels-1] == db.Stats().Tables, true)
	numberedCheck(t, db, 80)
	closeDB(t, db)
}

// TestPeerFewTables checks that tables do not become many: of one key that is
// set again and again, also after Open, and of keys that come and go
// (RepeatedWritesToSameKey, RepeatedWritesToSameKeyAfterReopen,
// BulkInsertDelete).
func TestPeerFewTables(t *testing.T) {
	m := NewMemFS()
	lim := limits{versions: 1, edits: 1 << 20, trigger: 4, table: 100_000, base: 1 << 20}
	for range 2 {
		db := numberedDB(t, m, lim, 0)
		for i := range 60 {
			set(t, db, "key", strings.Repeat("v", 20_000), NoSync)
			db.idle()
			if got := db.Stats().Tables; got > lim.trigger+1 {
				t.Fatalf("%d tables of one key after %d commits, want at most %d", got, i+1, lim.trigger+1)
			}
		}
		closeDB(t, db)
	}

	lim = limits{versions: 250, edits: 1 << 20, trigger: 4, table: 10_000, base: 80_000}
	db := numberedDB(t, NewMemFS(), lim, 0)
	for round := range 10 {
		key := func(i int) []byte { return fmt.Appendf(nil, "%06d", round*500+i) }
		for i := range 500 {
			must(t, db.Set(key(i), make([]byte, 250)))
		}
		for i := range 500 {
			must(t, db.Delete(key(i)))
		}
	}
	must(t, db.Flush(t.Context()))
	db.idle()
	if got := db.Stats().Tables; got > 10 {
		t.Errorf("%d tables of keys that are gone, want at most 10", got)
	}
	closeDB(t, db)
}

// TestPeerCompactRanges checks which tables Compact merges of a range
// (ManualCompaction).
func TestPeerCompactRanges(t *testing.T) {
	db, err := openWith("db", &Options{FS: NewMemFS(), Durability: NoSync}, testNonce(1), checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20}))
	must(t, err)
	many := func(n int, lo, hi string) {
		for range n {
			set(t, db, lo, "begin", NoSync)
			set(t, db, hi, "end", NoSync)
			must(t, db.Flush(t.Context()))
		}
	}
	want := func(what string, first, last int) {
		t.Helper()
		counts := levelCounts(db)
		equal(t, what, fmt.Sprint(counts[0], counts[numLevels-1], db.Stats().Tables), fmt.Sprint(first, last, first+last))
	}
	compact := func(lo, hi []byte) { must(t, db.Compact(t.Context(), lo, hi)) }

	many(3, "p", "q")
	want("three tables", 3, 0)
	compact(nil, []byte("c"))
	want("a range before them", 3, 0)
	compact([]byte("r"), []byte("z"))
	want("a range after them", 3, 0)
	compact([]byte("p1"), []byte("p9"))
	want("a range between their keys", 0, 1)
	many(3, "c", "e")
	want("three more tables", 3, 1)
	compact([]byte("b"), []byte("f"))
	want("a range of those", 0, 2)
	many(1, "a", "z")
	want("one over all", 1, 2)
	compact(nil, nil)
	want("all", 0, 1)
	closeDB(t, db)
}

// TestPeerOpenErrors checks that Compact fails if its tables cannot be opened,
// and that nothing is lost (CompactionTableOpenError).
func TestPeerOpenErrors(t *testing.T) {
	m := NewMemFS()
	lim := checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20})
	o := Options{FS: m, LogSize: minLogSize, MaxOpenFiles: 1, Cache: NewCache(0)}
	db, err := openWith("db", &o, testNonce(1), lim)
	must(t, err)
	key := func(i, j int) string { return fmt.Sprintf("k%d,%d", i, j) }
	for range 2 {
		for i := range 10 {
			for j := range 10 {
				set(t, db, key(i, j), "v"+key(i, j), NoSync)
			}
			must(t, db.Flush(t.Context()))
		}
	}
	equal(t, "tables", db.Stats().Tables, 20)

	m.Inject(func(op FSOp) error {
		if op.Kind == "open" && filepath.Ext(op.Name) == ".sst" {
			return syscall.EIO
		}
		return nil
	})
	isError(t, "Compact", db.Compact(t.Context(), nil, nil), syscall.EIO)
	m.Inject(nil)
	closeDB(t, db)

	db, err = openWith("db", &o, testNonce(2), lim)
	must(t, err)
	for i := range 10 {
		for j := range 10 {
			wantValue(t, "after Open", db, key(i, j), "v"+key(i, j))
		}
	}
	closeDB(t, db)
}

// TestPeerManifestErrors checks that Compact fails if the manifest cannot be
// written or synced, and that nothing is lost (ManifestWriteError).
func TestPeerManifestErrors(t *testing.T) {
	for _, kind := range []string{"write", "sync"} {
		synctest.Test(t, func(t *testing.T) {
			m := NewMemFS()
			lim := limits{versions: 1 << 20, edits: 1 << 20}
			db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), lim)
			must(t, err)
			set(t, db, "foo", "bar", Sync)
			must(t, db.Flush(t.Context()))
			equal(t, "tables of level 0", levelCounts(db)[0], 1)

			m.Inject(func(op FSOp) error {
				if op.Kind == kind && strings.HasPrefix(filepath.Base(op.Name), "MANIFEST") {
					return syscall.EIO
				}
				return nil
			})
			isError(t, "Compact without a "+kind, db.Compact(t.Context(), nil, nil), syscall.EIO)
			wantValue(t, "meanwhile", db, "foo", "bar")
			closeDB(t, db)
			m.Inject(nil)

			db, err = openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(2), lim)
			must(t, err)
			wantValue(t, "after Open", db, "foo", "bar")
			closeDB(t, db)
		})
	}
}

// TestPeerTransientErrors checks what snapshots see if tables could not be read
// while they were made, and merges have failed (TransientError).
func TestPeerTransientErrors(t *testing.T) {
	m := NewMemFS()
	lim := limits{versions: 200, edits: 1 << 20, trigger: 2, table: 1000, base: 1000}
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize, MaxOpenFiles: 3, Durability: NoSync}, testNonce(1), lim)
	must(t, err)
	const rounds, keys = 20, 100
	key := func(k int) []byte { return fmt.Appendf(nil, "KEY%8d", k) }
	value := func(k, round int) string { return fmt.Sprintf("%s%030d", key(k), round) }
	var fails atomic.Bool
	m.Inject(func(op FSOp) error {
		if fails.Load() && (op.Kind == "open" || op.Kind == "read") && filepath.Ext(op.Name) == ".sst" {
			return syscall.EIO
		}
		return nil
	})
	var snaps []*Snapshot
	for round := range rounds {
		b := new(Batch)
		for k := range keys {
			b.Set(key(k), []byte(value(k, round)))
		}
		must(t, db.Apply(t.Context(), b))
		snaps = append(snaps, db.Snapshot())
		b.Reset()
		for k := range keys {
			b.Delete(key(k))
		}
		must(t, db.Apply(t.Context(), b))

		// Now and then a merge fails. Its tables are not merged again.
		if round%4 == 3 {
			must(t, db.Flush(t.Context()))
			fails.Store(true)
			isError(t, fmt.Sprint("Compact in round ", round), db.Compact(t.Context(), nil, nil), syscall.EIO)
			fails.Store(false)
		}
	}

	var wg sync.WaitGroup
	for round, snap := range snaps {
		wg.Go(func() {
			for k := range keys {
				got, err := snap.Get(key(k))
				if err != nil || string(got) != value(k, round) {
					t.Errorf("snapshot %d, %s: got %q and %v, want %q", round, key(k), got, err, value(k, round))
				}
			}
			found, err := collect(snap.Scan(nil, nil), round%2 > 0)
			if err != nil || len(found) != keys {
				t.Errorf("snapshot %d: got %d keys and %v, want %d", round, len(found), err, keys)
			}
		})
	}
	wg.Wait()
	found, err := collect(db.Scan(nil, nil), false)
	if err != nil || len(found) > 0 {
		t.Errorf("now: got %d keys and %v, want none", len(found), err)
	}
	must(t, db.Verify(t.Context()))
	closeDB(t, db)
}

// TestPeerUnrelatedKeys checks that damage of a table is not in the way of keys
// that it does not have (CorruptDB_UnrelatedKeys).
func TestPeerUnrelatedKeys(t *testing.T) {
	m := NewMemFS()
	lim := limits{versions: 1 << 20, edits: 1 << 20, trigger: defaultTables}
	db := numberedDB(t, m, lim, 0)
	numberedSet(t, db, 10)
	must(t, db.Flush(t.Context()))
	closeDB(t, db)
	for _, name := range m.tableNames(t) {
		m.bytes(name)[100] ^= 1
	}

	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(2), lim)
	must(t, err)
	set(t, db, "1000", "new", Sync)
	wantValue(t, "in memory", db, "1000", "new")
	must(t, db.Flush(t.Context()))
	wantValue(t, "in a table", db, "1000", "new")
	_, err = db.Get([]byte("000000"))
	isError(t, "a key of the damaged table", err, ErrCorrupt)
	closeDB(t, db)
}

// TestPeerFilterReads checks that a Get of what is missing reads few blocks of
// tables (BloomFilter). Of 1000 keys, filters take 10 for one that is there;
// with a chance of less than 1e-6 they take over 28.
func TestPeerFilterReads(t *testing.T) {
	m := NewMemFS()
	db, err := openWith("db", &Options{FS: m, Durability: NoSync}, testNonce(1), limits{versions: 1 << 20, edits: 1 << 20})
	must(t, err)
	const tables, blocks = 2, 100
	for range tables {
		for i := range blocks {
			must(t, db.Set(fmt.Appendf(nil, "key%06d", i*10), make([]byte, 9000)))
		}
		must(t, db.Flush(t.Context()))
	}

	reads := 0
	m.Inject(func(op FSOp) error {
		if op.Kind == "read" && filepath.Ext(op.Name) == ".sst" {
			reads++
		}
		return nil
	})
	for i := range blocks * 10 {
		wantHas(t, "a key between two", db, fmt.Sprintf("key%06d.missing", i), false)
	}
	if most := tables * (2 + 28); reads > most {
		t.Errorf("%d reads, want at most %d", reads, most)
	}
	for i := range blocks {
		wantHas(t, "a key that is there", db, fmt.Sprintf("key%06d", i*10), true)
	}
	if least := blocks; reads < least {
		t.Errorf("%d reads when all keys were looked for, want at least %d", reads, least)
	}
	m.Inject(nil)
	closeDB(t, db)
}

// TestPeerSnapshotOrder checks which snapshot is the oldest one while others
// are closed in any order (SnapshotList).
func TestPeerSnapshotOrder(t *testing.T) {
	db := memDB(t, Options{Durability: NoSync})
	want := func(what string, seq uint64) {
		t.Helper()
		db.commits.mu.Lock()
		defer db.commits.mu.Unlock()
		equal(t, what, db.readers.oldestSeqLocked(), seq)
	}
	want("none", maxSeq)
	first, same := db.Snapshot(), db.Snapshot()
	set(t, db, "key", "1", NoSync)
	one := db.Snapshot()
	set(t, db, "key", "2", NoSync)
	two := db.Snapshot()
	want("all four", 0)

	// They are closed out of order.
	must(t, first.Close())
	want("without one of sequence 0", 0)
	must(t, two.Close())
	want("without the last", 0)
	must(t, same.Close())
	want("without both of sequence 0", 1)
	two = db.Snapshot()
	want("with another one", 1)
	must(t, one.Close())
	want("without that of sequence 1", 2)
	must(t, two.Close())
	want("without any", maxSeq)
}

// TestPeerPointers checks that snapshots which are made beside commits see them
// whole: each pointer leads to a value, and all are of one commit
// (GoleveldbIssue74).
func TestPeerPointers(t *testing.T) {
	lim := checkedLimits(t, limits{versions: 500, edits: 1 << 20, trigger: 2, table: 5000, base: 5000})
	db, err := openWith("db", &Options{FS: NewMemFS(), LogSize: 64 << 10, Durability: NoSync}, testNonce(1), lim)
	must(t, err)
	const n, rounds = 100, 20
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for last := false; !last && !t.Failed(); {
			last = done.Load()
			pointersRound(t, db, n)
		}
	})

	// Each round sets all, reads, and deletes what it has found.
	for i := range rounds {
		b := new(Batch)
		for k := range n {
			key := fmt.Sprintf("KEY%06d", k)
			b.Set([]byte(key), fmt.Appendf(nil, "%s %d", key, i))
			b.Set(fmt.Appendf(nil, "PTR%06d", k), []byte(key))
		}
		must(t, db.Apply(t.Context(), b))
		b.Reset()
		found := 0
		it := db.Prefix([]byte("PTR"))
		for key, value := range it.All() {
			b.Delete(value)
			b.Delete(key)
			found++
		}
		must(t, it.Close())
		equal(t, fmt.Sprint("pointers in round ", i), found, n)
		must(t, db.Apply(t.Context(), b))
	}
	done.Store(true)
	wg.Wait()
	closeDB(t, db)
}

// pointersRound follows the pointers of a snapshot.
func pointersRound(t *testing.T, db *DB, n int) {
	snap := db.Snapshot()
	it := snap.Prefix([]byte("PTR"))
	found := 0
	rounds := map[string]bool{}
	for _, key := range it.All() {
		value, err := snap.Get(key)
		name, round, ok := strings.Cut(string(value), " ")
		if err != nil || !ok || name != string(key) {
			t.Errorf("%s: got %q and %v, want a value", key, value, err)
		}
		rounds[round] = true
		found++
	}
	if err := errors.Join(it.Close(), snap.Close()); err != nil {
		t.Error(err)
	}
	if found > 0 && (found != n || len(rounds) != 1) {
		t.Errorf("%d pointers of %d commits, want %d of one", found, len(rounds), n)
	}
}
