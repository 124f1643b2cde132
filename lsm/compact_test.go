// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// compactLimits make tables, levels and merges of what few commits write.
var compactLimits = limits{versions: 10, edits: 500, closing: 5, trigger: 2, table: 400, base: 1000}

// checkLevels returns what is wrong with the tables: V1 to V3, and what they
// say of themselves.
func checkLevels(v *tableSet) error {
	newer := map[string]uint64{} // the lowest sequence of each key in levels above
	for level := range numLevels {
		tables := v.levels[level]
		for i := range tables {
			t := tables[i]
			if level == 0 {
				t = tables[len(tables)-1-i] // the newest first
			}
			if i > 0 && level > 0 && bytes.Compare(tables[i-1].largest, t.smallest) >= 0 {
				return fmt.Errorf("V2: tables %d and %d of level %d overlap", tables[i-1].no, t.no, level)
			}
			if err := t.verify(context.Background()); err != nil {
				return err
			}
			if err := checkTableOrder(t, level, newer); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTableOrder checks that sequences of a table are below those of the same
// key above.
func checkTableOrder(t *dbTable, level int, newer map[string]uint64) error {
	c := levelCursor{tables: []*dbTable{t}, seq: maxSeq, raw: true}
	for c.seekGE(nil); c.ok; c.next() {
		key := string(c.key)
		if above, ok := newer[key]; ok && c.item.seq >= above {
			return fmt.Errorf("V3: %q has sequence %d in table %d of level %d, and %d before", key, c.item.seq, t.no, level, above)
		}
		if level == 0 && c.item.seq == 0 {
			return fmt.Errorf("%q has sequence 0 in table %d of level 0", key, t.no)
		}
		newer[key] = c.item.seq
	}
	return c.err
}

// checkedLimits are lim, with checkLevels after each change.
func checkedLimits(t interface {
	Helper()
	Errorf(format string, args ...any)
}, lim limits,
) limits {
	lim.after = func(v *tableSet) {
		if err := checkLevels(v); err != nil {
			t.Errorf("after a change of tables: %v, want no error", err)
		}
	}
	return lim
}

// leveledFiles returns the files of a database with n commits of a script,
// which has merged its tables. It is closed, or still open.
func leveledFiles(t testing.TB, n int64, closed bool) *MemFS {
	t.Helper()
	lim := limits{versions: 7, edits: 1 << 20, trigger: 2, table: 300, base: 1}
	m := filesWith(t, n, closed, 1, lim)
	names := m.manifests(t)
	edits, err := readManifest(m, "db", names[len(names)-1])
	must(t, err)
	if len(edits.levels[numLevels-1]) == 0 {
		t.Errorf("%d commits made no table of the last level", n)
	}
	return m
}

// compactedDB returns a database that merges all the time, and closes it at the
// end of the test.
func compactedDB(t testing.TB, m *MemFS) *DB {
	t.Helper()
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize, Durability: Async}, testNonce(1), checkedLimits(t, compactLimits))
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// levelCounts returns how many tables each level has.
func levelCounts(db *DB) (n [numLevels]int) {
	for level, tables := range db.state.Load().tables.levels {
		n[level] = len(tables)
	}
	return n
}

// TestCompact checks that Compact leaves each key once, in the last level, with
// sequence 0 and no delete, and that the files are those of the tables.
func TestCompact(t *testing.T) {
	m := NewMemFS()
	db := compactedDB(t, m)
	model := map[string]string{}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 2000 {
		key := fmt.Sprint("key", rng.IntN(300))
		if rng.IntN(3) == 0 {
			delete(model, key)
			must(t, db.Delete([]byte(key)))
			continue
		}
		model[key] = fmt.Sprintf("%030d", i)
		must(t, db.Set([]byte(key), []byte(model[key])))
	}
	db.idle()
	wantScan(t, "before", db.Scan, model, nil, nil)
	must(t, db.Compact(t.Context(), nil, nil))
	wantScan(t, "after", db.Scan, model, nil, nil)

	counts := levelCounts(db)
	equal(t, "tables above the last level", counts[numLevels-1] > 1 && db.Stats().Tables == counts[numLevels-1], true)
	entries := uint64(0)
	for _, table := range db.state.Load().tables.levels[numLevels-1] {
		entries += table.entries
		equal(t, "deletes", table.deletes, 0)
		equal(t, "the highest sequence", table.maxSeq, 0)
	}
	equal(t, "entries", entries, uint64(len(model)))
	db.idle()
	equal(t, "files of tables", len(m.tableNames(t)), db.Stats().Tables)
}

// TestCompactSnapshots checks that merges keep what snapshots see, and drop it
// when they are closed.
func TestCompactSnapshots(t *testing.T) {
	db := compactedDB(t, NewMemFS())
	type view struct {
		snap  *Snapshot
		model map[string]string
	}
	var views []view
	model := map[string]string{}
	for i := range 600 {
		key := fmt.Sprint("key", i%20)
		if i%7 == 0 {
			delete(model, key)
			must(t, db.Delete([]byte(key)))
		} else {
			model[key] = fmt.Sprint(i)
			must(t, db.Set([]byte(key), []byte(model[key])))
		}
		if i%50 == 25 {
			views = append(views, view{db.Snapshot(), maps.Clone(model)})
		}
	}

	// Each time the oldest snapshot is closed.
	for len(views) > 0 {
		must(t, db.Compact(t.Context(), nil, nil))
		for i, v := range views {
			wantScan(t, fmt.Sprint("snapshot ", i, " of ", len(views)), v.snap.Scan, v.model, nil, nil)
		}
		wantScan(t, "now", db.Scan, model, nil, nil)
		must(t, views[0].snap.Close())
		views = views[1:]
	}

	must(t, db.Compact(t.Context(), nil, nil))
	entries := uint64(0)
	for _, table := range db.state.Load().tables.levels[numLevels-1] {
		entries += table.entries
	}
	equal(t, "entries when all are closed", entries, uint64(len(model)))
}

// TestCompactRange checks that only tables of the range are merged.
func TestCompactRange(t *testing.T) {
	db := compactedDB(t, NewMemFS())
	for i := range 400 {
		must(t, db.Set(fmt.Appendf(nil, "key%03d", i), make([]byte, 30)))
	}
	must(t, db.Compact(t.Context(), nil, nil))
	before := db.compactions.stats.written
	must(t, db.Set([]byte("key100"), []byte("x")))
	must(t, db.Compact(t.Context(), []byte("key1"), []byte("key11")))
	if got := db.compactions.stats.written - before; got == 0 || got > 3000 {
		t.Errorf("%d bytes written for a small range, want some, and few", got)
	}
	wantValue(t, "after", db, "key100", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	isError(t, "Compact with a context that has ended", db.Compact(ctx, nil, nil), context.Canceled)
	must(t, db.Close())
	isError(t, "Compact of what is closed", db.Compact(t.Context(), nil, nil), ErrClosed)
}

// TestCompactNextJob checks that Compact waits for a job of its range that is
// due when another one ends: a table moves from level to level until it meets
// one with the same key.
func TestCompactNextJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		lim := checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20, base: 1})
		db, err := openWith("db", &Options{FS: m, Durability: NoSync}, testNonce(1), lim)
		must(t, err)
		set(t, db, "a", "old", NoSync)
		must(t, db.Compact(t.Context(), nil, nil))
		set(t, db, "a", "new", NoSync)
		must(t, db.Flush(t.Context()))

		// The merge takes long, and the moves before it do not.
		goOn := make(chan struct{})
		m.Inject(func(op FSOp) error {
			if op.Kind == "create" && filepath.Ext(op.Name) == ".sst" {
				<-goOn
			}
			return nil
		})
		done := make(chan error, 1)
		go func() { done <- db.Compact(t.Context(), []byte("a"), []byte("b")) }()
		synctest.Wait()
		equal(t, "tables above the last level", levelCounts(db)[numLevels-2], 1)
		equal(t, "Compact has returned before the last job", len(done), 0)
		close(goOn)
		isError(t, "Compact", <-done, nil)
		equal(t, "tables", db.Stats().Tables, 1)
		wantValue(t, "afterwards", db, "a", "new")
		closeDB(t, db)
	})
}

// TestMergeLevels checks merges from level 0 into each other level, and from
// each level into the next, with and without tables there: nothing is lost.
func TestMergeLevels(t *testing.T) {
	for to := 1; to < numLevels; to++ {
		lim := checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20})
		db, err := openWith("db", &Options{FS: NewMemFS(), Durability: NoSync}, testNonce(1), lim)
		must(t, err)
		model := map[string]string{}
		flush := func(keys ...string) {
			for _, key := range keys {
				model[key] = fmt.Sprint(key, len(model))
				must(t, db.Set([]byte(key), []byte(model[key])))
			}
			must(t, db.Flush(t.Context()))
		}
		merge := func(from, to int) {
			t.Helper()
			db.commits.mu.Lock()
			v := db.state.Load().tables
			job := db.jobLocked(v, from, to, v.levels[from], true)
			db.commits.mu.Unlock()
			must(t, db.compact(job))
			what := fmt.Sprintf("from %d to %d", from, to)
			wantScan(t, what, db.Scan, model, nil, nil)
			counts := levelCounts(db)
			equal(t, what+": tables", fmt.Sprint(counts[from], counts[to]), "0 1")
		}

		flush("a", "b")
		merge(0, to)
		flush("b", "c")
		merge(0, to)
		if next := to + 1; next < numLevels {
			merge(to, next)
			flush("c", "d")
			flush("a", "e")
			merge(0, to)
			merge(to, next)
		}
		closeDB(t, db)
	}
}

// TestMergedOnce checks that Compact merges a table once, also if it keeps what
// a snapshot sees, and which tables are said to have that.
func TestMergedOnce(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		lim := checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20})
		db, err := openWith("db", &Options{FS: NewMemFS(), Durability: NoSync}, testNonce(1), lim)
		must(t, err)
		must(t, db.Set([]byte("key"), []byte("older")), db.Flush(t.Context()), db.Set([]byte("key"), []byte("old")))
		snap := db.Snapshot()
		if !snapshot {
			must(t, snap.Close())
		}
		must(t, db.Set([]byte("key"), []byte("new")), db.Flush(t.Context()))
		equal(t, fmt.Sprintf("snapshot %t: a version is held by a flush", snapshot), db.state.Load().tables.levels[0][1].held, snapshot)

		must(t, db.Compact(t.Context(), nil, nil))
		equal(t, fmt.Sprintf("snapshot %t: merges", snapshot), db.compactions.stats.merges, 1)
		tables := db.state.Load().tables.levels[numLevels-1]
		equal(t, fmt.Sprintf("snapshot %t: tables", snapshot), len(tables), 1)
		equal(t, fmt.Sprintf("snapshot %t: a version is held", snapshot), tables[0].held, snapshot)
		if snapshot {
			must(t, snap.Close())
		}
		closeDB(t, db)
	}
}

// TestResumedJobs checks that what is to be flushed or merged when Open lacks
// room is so when there is room.
func TestResumedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := filesWith(t, 60, false, 1, limits{versions: 1 << 20, edits: 1 << 20})
		var full atomic.Bool
		full.Store(true)
		m.Inject(func(op FSOp) error {
			if full.Load() && op.Kind == "create" {
				return syscall.ENOSPC
			}
			return nil
		})
		lim := checkedLimits(t, limits{versions: 10, edits: 1 << 20, trigger: 1})
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(2), lim)
		must(t, err)
		synctest.Wait()
		equal(t, "there are memtables to flush", len(db.state.Load().imms) > 0, true)

		full.Store(false)
		must(t, db.Delete([]byte("other")))
		synctest.Wait()
		equal(t, "memtables to flush", len(db.state.Load().imms), 0)
		equal(t, "tables of level 0", levelCounts(db)[0], 0)
		closeDB(t, db)
	})

	// There are only tables to merge.
	synctest.Test(t, func(t *testing.T) {
		m, model := mergeFiles(t)
		var full atomic.Bool
		full.Store(true)
		m.Inject(func(op FSOp) error {
			if full.Load() && op.Kind == "create" {
				return syscall.ENOSPC
			}
			return nil
		})
		lim := checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20, trigger: 1})
		db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10}, testNonce(2), lim)
		must(t, err)
		synctest.Wait()
		equal(t, "tables of level 0 without room", levelCounts(db)[0], 3)
		full.Store(false)
		must(t, db.Delete([]byte("other")))
		synctest.Wait()
		equal(t, "tables of level 0 with room", levelCounts(db)[0], 0)
		wantScan(t, "afterwards", db.Scan, model, nil, nil)
		closeDB(t, db)
	})
}

// TestMergesBeside checks that as many merges begin when one ends as may run at
// once: two are due after a merge of level 0.
func TestMergesBeside(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // half of them merge
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		lim := checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20, trigger: 2, table: 1, base: 1})
		db, err := openWith("db", &Options{FS: m, Durability: NoSync}, testNonce(1), lim)
		must(t, err)
		flush := func() {
			for _, key := range []string{"a", "x"} {
				must(t, db.Set([]byte(key), []byte("value")))
			}
			must(t, db.Flush(t.Context()))
			synctest.Wait()
		}
		flush()
		flush()
		equal(t, "tables of the last level", levelCounts(db)[numLevels-1], 2)

		// Both keys come into a level above, in a table each, which is too
		// long. The flush and that merge make three tables, and others wait.
		flush()
		var made atomic.Int64
		goOn := make(chan struct{})
		m.Inject(func(op FSOp) error {
			if op.Kind == "create" && filepath.Ext(op.Name) == ".sst" && made.Add(1) > 3 {
				<-goOn
			}
			return nil
		})
		flush()
		db.commits.mu.Lock()
		equal(t, "merges that run", len(db.compactions.running), 2)
		db.commits.mu.Unlock()
		close(goOn)
		synctest.Wait()
		wantValue(t, "afterwards", db, "a", "value")
		wantValue(t, "afterwards", db, "x", "value")
		closeDB(t, db)
	})
}

// TestMergeBeforeItsTurn checks that a merge which has not come to the manifest
// when the database is closed leaves no file.
func TestMergeBeforeItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db, err := openWith("db", &Options{FS: m, Durability: NoSync}, testNonce(1), limits{versions: 1 << 20, edits: 1 << 20})
		must(t, err)
		for range 2 {
			must(t, db.Set([]byte("key"), nil), db.Flush(t.Context()))
		}

		// The merge waits for the manifest, and then for nothing more.
		db.installed.turn <- struct{}{}
		merged := make(chan error, 1)
		go func() { merged <- db.Compact(t.Context(), nil, nil) }()
		synctest.Wait()
		equal(t, "tables and what was merged", len(m.tableNames(t)), 3)
		closed := make(chan error, 1)
		go func() { closed <- db.Close() }()
		synctest.Wait()
		<-db.installed.turn
		isError(t, "Close", <-closed, nil)
		isError(t, "Compact", <-merged, ErrClosed)
		equal(t, "tables", len(m.tableNames(t)), 2)
	})
}

// TestMergeOverlap checks that a merge of few keys that lie far apart makes
// tables which overlap little of the level after, so that the next merge is
// short, and that a table which overlaps more does not move
// (SparseMerge of github.com/syndtr/goleveldb).
func TestMergeOverlap(t *testing.T) {
	lim := limits{versions: 1 << 20, edits: 1 << 20, table: 1000}
	db, err := openWith("db", &Options{FS: NewMemFS(), Durability: NoSync}, testNonce(1), lim)
	must(t, err)
	for i := range 1000 {
		must(t, db.Set(fmt.Appendf(nil, "B%010d", i), make([]byte, 100)))
	}
	must(t, db.Compact(t.Context(), nil, nil))
	for _, to := range []int{1000, 40} {
		for i := 0; i < to; i += 20 {
			must(t, db.Set(fmt.Appendf(nil, "B%010d", i), nil))
		}
		must(t, db.Flush(t.Context()))
	}

	// They go into the level before.
	db.commits.mu.Lock()
	v := db.state.Load().tables
	last := v.levels[numLevels-1]
	job := func(tables []*dbTable) *compaction { return db.jobLocked(v, 0, numLevels-2, tables, true) }
	equal(t, "a table over all moves", job(v.levels[0][:1]).move, false)
	equal(t, "a table over few moves", job(v.levels[0][1:]).move, true)
	all := job(v.levels[0])
	db.commits.mu.Unlock()
	out := &output{db: db}
	must(t, newMerging(db, all, out).run(), out.complete())

	longest := int64(0)
	for _, table := range last {
		longest = max(longest, int64(table.tableMeta.size))
	}
	for _, table := range out.tables {
		n := int64(0)
		for _, below := range overlapping(last, table.smallest, table.largest) {
			n += int64(below.tableMeta.size)
		}
		if most := maxOverlap*lim.table + 2*longest; n > most {
			t.Errorf("a table of %d entries overlaps %d bytes, want at most %d", table.entries, n, most)
		}
	}
	if got := len(out.tables); got < 8 || got > 16 {
		t.Errorf("%d tables that overlap %d, want 8 to 16", got, len(last))
	}
	out.giveUp()
	closeDB(t, db)
}

// TestCompactDamaged checks which damaged tables make Compact fail: one of
// level 0 always, since all of that level are merged at once, and one of
// another level if it may have a key of the range.
func TestCompactDamaged(t *testing.T) {
	for level := range numLevels {
		for _, hi := range []string{"b", "y"} {
			v := new(tableSet)
			v.levels[level] = []*dbTable{{tableMeta: tableMeta{smallest: []byte("x"), largest: []byte("z")}, bad: errBroken}}
			r := &request{lo: []byte("a"), hi: []byte(hi)}
			var want error
			if level == 0 || hi == "y" {
				want = errBroken
			}
			isError(t, fmt.Sprintf("level %d, range up to %s", level, hi), r.badTable(v), want)
		}
	}
}

// TestZombies checks that an iterator keeps the files that it reads, and that
// they go when it is closed.
func TestZombies(t *testing.T) {
	m := NewMemFS()
	db := compactedDB(t, m)
	model := map[string]string{}
	for i := range 300 {
		key := fmt.Sprintf("key%03d", i)
		model[key] = "old"
		must(t, db.Set([]byte(key), []byte("old")))
	}
	must(t, db.Compact(t.Context(), nil, nil))
	db.idle() // until what was merged is removed
	before := m.tableNames(t)

	// All keys change while the iterator is open.
	it := db.Scan(nil, nil)
	for i := range 300 {
		must(t, db.Set(fmt.Appendf(nil, "key%03d", i), []byte("new")))
	}
	must(t, db.Compact(t.Context(), nil, nil))
	db.idle()
	names := m.tableNames(t)
	for _, name := range before {
		if !slices.Contains(names, name) {
			t.Errorf("%s is gone while an iterator reads it", name)
		}
	}
	got, err := collect(it, true)
	must(t, err)
	equal(t, "keys of an old iterator", len(got), len(model))
	db.idle()
	equal(t, "files when it is closed", len(m.tableNames(t)), db.Stats().Tables)
}
