// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestTrapSplitKey checks for versions of one key that lie in two tables of a
// level, as in Pebble: a merge of one of them would put older versions above
// newer ones. All of them stay in one block, however long they are.
func TestTrapSplitKey(t *testing.T) {
	lim := checkedLimits(t, limits{versions: 1000, edits: 1 << 20, trigger: 1, table: 1000, base: 100})
	db, err := openWith("db", &Options{FS: NewMemFS(), LogSize: 64 << 10, Durability: Async}, testNonce(1), lim)
	must(t, err)
	var snaps []*Snapshot
	const versions = 30
	for i := range versions {
		for _, key := range []string{"a", "key", "z"} {
			must(t, db.Set([]byte(key), fmt.Appendf(nil, "%02d%0*d", i, 2000, 0)))
		}
		snaps = append(snaps, db.Snapshot())
		if i%5 == 4 {
			must(t, db.Flush(t.Context()))
		}
	}
	must(t, db.Compact(t.Context(), nil, nil))

	// Each key is in one table, and each snapshot sees its version.
	for level := 1; level < numLevels; level++ {
		tables := db.state.Load().tables.levels[level]
		for i := 1; i < len(tables); i++ {
			if bytes.Equal(tables[i-1].largest, tables[i].smallest) {
				t.Errorf("%q is in two tables", tables[i].smallest)
			}
		}
	}
	for i, snap := range snaps {
		got, err := snap.Get([]byte("key"))
		must(t, err)
		equal(t, fmt.Sprint("snapshot ", i), string(got[:2]), fmt.Sprintf("%02d", i))
		must(t, snap.Close())
	}
	must(t, db.Compact(t.Context(), nil, nil))
	equal(t, "tables", db.Stats().Stored < 10_000, true)
	must(t, db.Close())
}

// mergeFiles returns the files of a database with three tables of level 0 over
// one of the last level, and what they hold.
func mergeFiles(t *testing.T) (*MemFS, map[string]string) {
	m := NewMemFS()
	db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10, Durability: Async}, testNonce(1), limits{versions: 1 << 20, edits: 1 << 20})
	must(t, err)
	model := map[string]string{}
	for round := range 4 {
		for i := range 300 {
			key := fmt.Sprintf("key%04d", (i*7+round)%400)
			model[key] = fmt.Sprintf("%d%02000d", round, i) // several reads a table
			must(t, db.Set([]byte(key), []byte(model[key])))
		}
		must(t, db.Flush(t.Context()))
		if round == 0 {
			must(t, db.Compact(t.Context(), nil, nil))
		}
	}
	must(t, db.Close())
	return m, model
}

// TestTrapReadError checks for a read error of a merge that is taken for the
// end of the input, as in RocksDB: what follows is lost. Whatever read fails,
// or finds damage, nothing is installed and nothing is missing, and the tables
// are not merged again until Open.
func TestTrapReadError(t *testing.T) {
	files, model := mergeFiles(t)
	count := 0
	for n := 1; ; n++ {
		m := files.CrashClone(CrashConfig{Keep: 1})
		db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10, Cache: NewCache(0)}, testNonce(2), limits{versions: 1 << 20, edits: 1 << 20})
		must(t, err)
		names := m.tableNames(t)
		var reads, on, input atomic.Int64
		on.Store(1)
		m.Inject(func(op FSOp) error {
			if on.Load() == 1 && op.Kind == "read" && filepath.Ext(op.Name) == ".sst" && reads.Add(1) == int64(n) {
				if slices.Contains(names, filepath.Base(op.Name)) {
					input.Store(1)
				}
				return syscall.EIO
			}
			return nil
		})
		before := db.Stats().Tables
		err = db.Compact(t.Context(), nil, nil)
		on.Store(0)
		if err == nil {
			if reads.Load() >= int64(n) {
				t.Errorf("read %d fails, and Compact does not", n)
			}
			count = n - 1
			closeDB(t, db)
			break
		}

		// Nothing has changed, and nothing is tried again.
		isError(t, fmt.Sprint("read ", n), err, syscall.EIO)
		wantScan(t, fmt.Sprint("after read ", n), db.Scan, model, nil, nil)
		bad := 0
		for _, tables := range db.state.Load().tables.levels {
			for _, table := range tables {
				if table.bad != nil {
					bad++
				}
			}
		}
		equal(t, fmt.Sprint("tables that are not merged again after read ", n), int64(bad), input.Load())
		if bad > 0 {
			equal(t, fmt.Sprint("tables after read ", n), db.Stats().Tables, before)
			isError(t, "Compact again", db.Compact(t.Context(), nil, nil), syscall.EIO)
		}
		db.idle()
		equal(t, "files", len(m.tableNames(t)), db.Stats().Tables)
		closeDB(t, db)

		db, err = openWith("db", &Options{FS: m, LogSize: 64 << 10}, testNonce(3), limits{versions: 1 << 20, edits: 1 << 20})
		must(t, err)
		must(t, db.Compact(t.Context(), nil, nil))
		wantScan(t, fmt.Sprint("after read ", n, " and a reopen"), db.Scan, model, nil, nil)
		closeDB(t, db)
	}
	if count < 5 {
		t.Errorf("%d reads, want several", count)
	}
}

// TestTrapDamagedInput checks that a merge which finds damage says so, installs
// nothing, and leaves the rest readable.
func TestTrapDamagedInput(t *testing.T) {
	files, model := mergeFiles(t)
	names := files.tableNames(t)
	name := names[len(names)-1]
	files.bytes(name)[100] ^= 1
	log := new(eventLog)
	o := Options{FS: files, LogSize: 64 << 10, OnEvent: log.add}
	db, err := openWith("db", &o, testNonce(2), limits{versions: 1 << 20, edits: 1 << 20})
	must(t, err)
	isError(t, "Compact", db.Compact(t.Context(), nil, nil), ErrCorrupt)
	equal(t, "failures", log.count("failure"), 1)

	// Each key is right, or the damage is in its way.
	damaged, right := 0, 0
	for key, want := range model {
		got, err := db.Get([]byte(key))
		switch {
		case errors.Is(err, ErrCorrupt):
			damaged++
		case err == nil && string(got) == want:
			right++
		default:
			t.Fatalf("%s: got %q and %v, want %q or ErrCorrupt", key, got, err, want)
		}
	}
	if damaged == 0 || right == 0 {
		t.Errorf("%d keys are damaged and %d right, want some of both", damaged, right)
	}
	isError(t, "a scan", db.Scan(nil, nil).drain(), ErrCorrupt)
	closeDB(t, db)
}

// drain moves to the end, and closes the iterator.
func (it *Iterator) drain() error {
	for it.Next() {
	}
	return it.Close()
}

// TestTrapStarved checks for tables of level 0 that wait until all other merges
// are done, as in goleveldb: they come first when there are many, and beside a
// merge of lower levels.
func TestTrapStarved(t *testing.T) {
	table := func(no, size uint64, lo, hi string) *dbTable {
		return &dbTable{tableMeta: tableMeta{no: no, size: size, entries: 1, minSeq: no, maxSeq: no, smallest: []byte(lo), largest: []byte(hi)}}
	}
	db := memDB(t, Options{})
	v := &tableSet{}
	v.levels[6] = []*dbTable{table(1, 100<<30, "a", "z")}
	v.levels[5] = []*dbTable{table(2, 90<<30, "a", "c"), table(3, 90<<30, "d", "z")}
	v.levels[4] = []*dbTable{table(4, 1<<20, "a", "b")}
	v.levels[3] = []*dbTable{table(5, 1<<20, "a", "b")}
	for i := range uint64(4) {
		v.levels[0] = append(v.levels[0], table(10+i, 1<<20, "a", "b"))
	}

	mu := &db.commits.mu
	mu.Lock()
	defer mu.Unlock()
	equal(t, "the first level when there are few", db.pickLocked(v).from, 5)
	for i := range uint64(4) {
		v.levels[0] = append(v.levels[0], table(20+i, 1<<20, "a", "b"))
	}
	job := db.pickLocked(v)
	equal(t, "the first level when there are many", job.from, 0)
	equal(t, "where they go to", job.to, 3)
	equal(t, "inputs", len(job.inputs), 9)

	// Beside another one, but not beside one from level 0.
	db.compactions.running = []*compaction{db.jobLocked(v, 5, 6, v.levels[5][1:], false)}
	equal(t, "beside a merge of lower levels", db.pickLocked(v).from, 0)
	equal(t, "beside as many as there may be", db.firstUrgent(v), true)
	db.compactions.running = append(db.compactions.running, job)
	if other := db.pickLocked(v); other != nil && other.from < 4 {
		t.Errorf("a merge of level %d beside one of level 0 to 3", other.from)
	}
	db.compactions.running = nil

	// A level before the first that is used is due, and not more than that.
	small := &tableSet{}
	small.levels[6] = []*dbTable{table(1, 100, "a", "z")}
	small.levels[3] = []*dbTable{table(2, 100, "a", "z")}
	small.levels[0] = v.levels[0][:6]
	equal(t, "levels that are due", fmt.Sprint(db.scores(small)), "[{0 1.5} {3 1}]")

	// As many merges run as may: only many tables of level 0 get another.
	state := db.state.Load()
	defer db.state.Store(state)
	for many := range 2 {
		w := *v
		w.levels[0] = v.levels[0][:4+4*many]
		db.state.Store(&readState{mem: state.mem, tables: &w})
		elsewhere := &compaction{from: numLevels, to: numLevels}
		db.compactions.running = slices.Repeat([]*compaction{elsewhere}, max(1, runtime.GOMAXPROCS(0)/2))
		equal(t, fmt.Sprint("one more merge: ", many), db.nextCompactionLocked() != nil, many == 1)
	}
	db.compactions.running = nil
	db.lim.trigger = 0
	equal(t, "many tables when nothing is merged", db.firstUrgent(v), false)
}

// TestMergeReads checks that a merge reads its inputs in long pieces, and so
// with few operations.
func TestMergeReads(t *testing.T) {
	m := NewMemFS()
	lim := limits{versions: 1 << 20, edits: 1 << 20, table: 1 << 20}
	db, err := openWith("db", &Options{FS: m, Durability: Async}, testNonce(1), lim)
	must(t, err)
	for range 2 {
		for i := range 1000 {
			must(t, db.Set(fmt.Appendf(nil, "%04d", i), make([]byte, 1000)))
		}
		must(t, db.Flush(t.Context()))
	}
	var reads atomic.Int64
	m.Inject(func(op FSOp) error {
		if op.Kind == "read" && filepath.Ext(op.Name) == ".sst" {
			reads.Add(1)
		}
		return nil
	})
	must(t, db.Compact(t.Context(), nil, nil))

	// Of each input its index, and then a megabyte; of the output its end.
	if got, want := reads.Load(), int64(2*(1+(1<<20)/maxAhead)+1); got > want {
		t.Errorf("%d reads, want at most %d", got, want)
	}
	closeDB(t, db)
}

// TestCloseAnywhere checks that Close at any step of a flush or a merge ends
// soon, leaves no goroutine, and nothing that is missing: the files hold what
// was acknowledged, whether the machine stops then or not.
func TestCloseAnywhere(t *testing.T) {
	step := 1
	if testing.Short() || raceEnabled {
		step = 7
	}
	for n := 1; ; n += step {
		more := false
		synctest.Test(t, func(t *testing.T) { more = closeAnywhereRound(t, n) })
		if !more || t.Failed() {
			if n < 20 {
				t.Errorf("%d steps, want many", n)
			}
			return
		}
	}
}

func closeAnywhereRound(t *testing.T, n int) (more bool) {
	m := NewMemFS()
	db, err := openScript(m)
	must(t, err)
	s := new(script)
	closed := make(chan error, 1)
	var ops atomic.Int64
	var on atomic.Bool
	m.Inject(func(op FSOp) error {
		background := filepath.Ext(op.Name) == ".sst" || strings.HasPrefix(filepath.Base(op.Name), "MANIFEST") || op.Kind == "syncdir"
		free := []string{"create", "write", "sync", "rename", "remove", "syncdir"} // others are under a lock
		if !background || on.Load() || !slices.Contains(free, op.Kind) {
			return nil
		}
		if ops.Add(1) == int64(n) {
			on.Store(true)
			go func() { closed <- db.Close() }() // ends when the jobs have
			time.Sleep(time.Millisecond)         // it comes as far as it can
		}
		return nil
	})
	for range 30 {
		if err := s.commit(db, Sync); err != nil {
			isError(t, fmt.Sprint("a commit at step ", n), err, ErrClosed)
			break
		}
	}
	synctest.Wait()
	if !on.Load() {
		closeDB(t, db)
		return false
	}
	isError(t, fmt.Sprint("Close at step ", n), <-closed, nil)

	// What a commit that came too late has done is not known.
	m.Inject(nil)
	for _, c := range []CrashConfig{{}, {Keep: 1}, {Keep: 0.5, Seed: uint64(n)}} {
		if _, err := checkCrash(m.CrashClone(c), s.acked.Load(), s.begun.Load(), 1, false); err != nil {
			t.Errorf("Close at step %d, then a crash %+v: %v, want no error", n, c, err)
		}
	}
	if err := m.leaks(); err != nil {
		t.Errorf("Close at step %d: %v, want no error", n, err)
	}
	return true
}

// TestTrapLiveCopy checks for a copy of the files of an open database, one
// after the other, that is taken for a state which never was, as Pebble's
// checkpoints were once. It is a state that was, or does not open.
func TestTrapLiveCopy(t *testing.T) {
	rounds := uint64(300)
	if testing.Short() || raceEnabled {
		rounds = 40
	}
	opened := 0
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(seed, 77))
		m := NewMemFS()
		db, err := openScript(m)
		must(t, err)
		s := new(script)
		for range rng.IntN(30) {
			must(t, s.commit(db, NoSync))
		}
		names := m.files(t)
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		copied := NewMemFS()
		must(t, copied.MkdirAll("db"))
		for _, name := range names {
			if name == lockName {
				continue
			}
			if err := copyFile(m, copied, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			for range rng.IntN(4) {
				must(t, s.commit(db, NoSync))
			}
		}
		closeDB(t, db)

		db, err = openScript(copied)
		if err != nil {
			isError(t, fmt.Sprintf("seed %d: a live copy", seed), err, ErrCorrupt)
			continue
		}
		if i, err := readScript(db); err != nil || i > s.begun.Load() {
			t.Errorf("seed %d: a live copy has commit %d of %d: %v", seed, i, s.begun.Load(), err)
		}
		opened++
		closeDB(t, db)
	}
	if opened == 0 {
		t.Error("no copy opens")
	}
}

// copyFile copies a file of the database.
func copyFile(from, to *MemFS, name string) error {
	f, err := from.Open(filepath.Join("db", name))
	if err != nil {
		return err
	}
	size, err := f.Size()
	b := make([]byte, size)
	if err == nil && size > 0 {
		_, err = f.ReadAt(b, 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	to.put(name, b)
	return nil
}

// TestTrapManifestName checks for a name that is durable before what it names,
// as CURRENT of LevelDB was: a manifest is synced, then renamed, and then its
// directory synced, before the one before is removed.
func TestTrapManifestName(t *testing.T) {
	m := NewMemFS()
	closeDB(t, openMem(t, m))
	var ops []string
	m.Inject(func(op FSOp) error {
		name := filepath.Base(op.Name)
		if strings.HasPrefix(name, "MANIFEST") || op.Kind == "syncdir" {
			ops = append(ops, op.Kind+" "+name)
		}
		return nil
	})
	db := openMem(t, m)
	m.Inject(nil)
	closeDB(t, db)
	order := []string{"write MANIFEST.tmp", "sync MANIFEST.tmp", "rename MANIFEST.tmp", "syncdir db", "remove MANIFEST-000001"}
	at := 0
	for _, op := range ops {
		if at < len(order) && op == order[at] {
			at++
		}
	}
	if at < len(order) || slices.Index(ops, "remove MANIFEST-000001") < slices.Index(ops, "rename MANIFEST.tmp") {
		t.Errorf("operations %q, want in this order %q", ops, order)
	}
}

// TestTrapOneTable checks for a flush that is cut into many files, each with a
// sync, as in Pebble: it writes one.
func TestTrapOneTable(t *testing.T) {
	m := NewMemFS()
	db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10, Durability: Async}, testNonce(1), limits{versions: 1 << 20, edits: 1 << 20, table: 1000})
	must(t, err)
	for i := range 3000 {
		must(t, db.Set(fmt.Append(nil, i), make([]byte, 100)))
	}
	syncs := 0
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" && filepath.Ext(op.Name) == ".sst" {
			syncs++
		}
		return nil
	})
	must(t, db.Flush(t.Context()))
	m.Inject(nil)
	equal(t, "tables", db.Stats().Tables, 1)
	equal(t, "syncs of tables", syncs, 1)
	closeDB(t, db)
}

// TestMovedTable checks that a table which moves to another level, and is
// merged there, is kept for an iterator that has begun before both, also if it
// was written by Open.
func TestMovedTable(t *testing.T) {
	m := NewMemFS()
	db := openMem(t, m)
	for i := range 40 {
		set(t, db, fmt.Sprintf("key%02d", i), "old", Sync)
	}
	closeDB(t, db)
	lim := limits{versions: 10, edits: 1 << 20}
	o := Options{FS: m, LogSize: minLogSize, Cache: NewCache(0)}
	db, err := openWith("db", &o, testNonce(1), lim)
	must(t, err)
	must(t, db.Flush(t.Context()))
	it := db.Scan(nil, nil)

	// The first merge moves the table, and the second one takes it apart.
	must(t, db.Compact(t.Context(), nil, nil))
	equal(t, "moves", db.Stats().Moves > 0, true)
	for i := range 40 {
		set(t, db, fmt.Sprintf("key%02d", i), "new", Async)
	}
	must(t, db.Compact(t.Context(), nil, nil))
	got, err := collect(it, false)
	must(t, err)
	equal(t, "keys", len(got), 40)
	equal(t, "the first", got[0], "key00=old")
	closeDB(t, db)
}

// TestTrapMergeInDoubt checks for tables of a merge that are removed because
// their edit has failed: it may be on the disk, and name them. Close gives the
// edit up, and the next Open finds what is there.
func TestTrapMergeInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, model := mergeFiles(t)
		m := files.CrashClone(CrashConfig{Keep: 1})
		lim := limits{versions: 1 << 20, edits: 1 << 20}
		db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10}, testNonce(2), lim)
		must(t, err)
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" && strings.HasPrefix(filepath.Base(op.Name), "MANIFEST") {
				return syscall.EIO
			}
			return nil
		})
		done := make(chan error)
		go func() { done <- db.Compact(context.Background(), nil, nil) }() // ends with Close
		synctest.Wait()
		killed := m.killClone() // the cache of the system has the edit
		killed.Inject(nil)
		closeDB(t, db)
		isError(t, "Compact", <-done, ErrClosed)
		m.Inject(nil)

		for what, m := range map[string]*MemFS{"killed": killed, "closed": m, "without power": m.CrashClone(CrashConfig{}), "with all": m.CrashClone(CrashConfig{Keep: 1})} {
			db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10}, testNonce(3), lim)
			must(t, err)
			wantScan(t, what, db.Scan, model, nil, nil)
			isError(t, what, db.Verify(t.Context()), nil)
			closeDB(t, db)
		}
	})
}

// TestTrapCloseStopsMerge checks for a Close that waits until a long merge is
// done.
func TestTrapCloseStopsMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10, Durability: Async}, testNonce(1), limits{versions: 1 << 20, edits: 1 << 20})
		must(t, err)
		for i := range 20_000 {
			must(t, db.Set(fmt.Appendf(nil, "%06d", i*7919%20_000), make([]byte, 100)))
			if i%10_000 == 0 {
				must(t, db.Flush(t.Context()))
			}
		}
		must(t, db.Flush(t.Context()))

		m.Inject(func(op FSOp) error {
			if op.Kind == "write" && filepath.Ext(op.Name) == ".sst" {
				time.Sleep(time.Minute) // a merge takes half an hour
			}
			return nil
		})
		done := make(chan error)
		go func() { done <- db.Compact(context.Background(), nil, nil) }() // ends with Close
		time.Sleep(time.Second)
		begin := time.Now()
		closeDB(t, db)
		if took := time.Since(begin); took > 3*time.Minute {
			t.Errorf("Close took %v while tables are merged, want that of a few blocks", took)
		}
		isError(t, "Compact", <-done, ErrClosed)
		m.Inject(nil)
	})
}

// TestStaleRewritten checks that what was kept for a snapshot is dropped
// without a request when that is closed.
func TestStaleRewritten(t *testing.T) {
	lim := checkedLimits(t, limits{versions: 1000, edits: 1 << 20, trigger: 4, table: 10_000, base: 1000})
	db, err := openWith("db", &Options{FS: NewMemFS(), LogSize: 64 << 10, Durability: Async}, testNonce(1), lim)
	must(t, err)
	for i := range 100 {
		must(t, db.Set(fmt.Append(nil, i), make([]byte, 10)))
	}

	snap := db.Snapshot()
	for i := range 50 {
		must(t, db.Set(fmt.Append(nil, i), make([]byte, 10)))
	}
	must(t, db.Compact(t.Context(), nil, nil))
	entries := func() (n uint64) {
		db.idle()
		for _, tables := range db.state.Load().tables.levels {
			for _, table := range tables {
				n += table.entries
			}
		}
		return n
	}
	equal(t, "entries while the snapshot is open", entries(), 150)
	must(t, snap.Close())
	equal(t, "entries when it is closed", entries(), 100)
	closeDB(t, db)
}

// TestTrapCompactSignal checks for a Compact that waits for a signal which
// nobody sends, as in Pebble and fjall: nothing else happens meanwhile.
func TestTrapCompactSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, _ := mergeFiles(t)
		lim := limits{versions: 1 << 20, edits: 1 << 20}
		db, err := openWith("db", &Options{FS: files, LogSize: 64 << 10}, testNonce(2), lim)
		must(t, err)
		synctest.Wait()
		must(t, db.Compact(t.Context(), nil, nil))
		closeDB(t, db)
	})
}

// TestTrapEmptyKey checks for a merge that takes the empty key for none: then
// it claims fewer keys than it reads, and another merges the same tables.
func TestTrapEmptyKey(t *testing.T) {
	lim := checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20, table: 8})
	db, err := openWith("db", &Options{FS: NewMemFS(), Durability: Async}, testNonce(1), lim)
	must(t, err)
	for range 2 {
		for _, key := range []string{"", "b", "d"} {
			must(t, db.Set([]byte(key), []byte("old")))
		}
		must(t, db.Compact(t.Context(), nil, nil)) // the second time it merges
	}
	for _, key := range []string{"a", "d"} {
		must(t, db.Set([]byte(key), []byte("new")))
	}
	must(t, db.Flush(t.Context()))

	// One table begins with the empty key, and ends behind the first of level
	// 0.
	db.commits.mu.Lock()
	v := db.state.Load().tables
	equal(t, "tables of the last level", len(v.levels[numLevels-1]), 2)
	job := db.pickFirstLocked(v)
	equal(t, "tables of a merge of all", len(job.inputs), 3)
	equal(t, "its first key", string(job.first), "")
	equal(t, "its last key", string(job.last), "d")
	db.compactions.running = []*compaction{job}
	for _, table := range v.levels[numLevels-1] {
		if db.jobLocked(v, numLevels-1, numLevels-1, []*dbTable{table}, false) != nil {
			t.Errorf("the table of %q is merged twice at once", table.smallest)
		}
	}
	db.compactions.running = nil
	db.commits.mu.Unlock()
	closeDB(t, db)
}

// TestCompactBesideOthers checks that Compact does not wait for merges of other
// keys, which may run all the time, and waits for those of its own.
func TestCompactBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		lim := checkedLimits(t, limits{versions: 1 << 20, edits: 1 << 20, table: 1})
		db, err := openWith("db", &Options{FS: m, Durability: NoSync}, testNonce(1), lim)
		must(t, err)
		for _, key := range []string{"a", "x"} {
			must(t, db.Set([]byte(key), []byte("old")))
		}
		must(t, db.Compact(t.Context(), nil, nil))
		must(t, db.Set([]byte("a"), []byte("new")))
		must(t, db.Flush(t.Context()))

		// A merge of a takes long, and so does removing its inputs.
		goOn := map[string]chan struct{}{"create": make(chan struct{}), "remove": make(chan struct{})}
		m.Inject(func(op FSOp) error {
			if c := goOn[op.Kind]; c != nil && filepath.Ext(op.Name) == ".sst" {
				<-c
			}
			return nil
		})
		done := make(chan error, 1)
		go func() { done <- db.Compact(t.Context(), []byte("a"), []byte("b")) }()
		synctest.Wait()
		isError(t, "Compact of x meanwhile", db.Compact(contextFor(t, time.Minute), []byte("x"), nil), nil)
		isError(t, "Compact of a meanwhile", db.Compact(contextFor(t, time.Minute), []byte("a"), []byte("b")), context.DeadlineExceeded)

		// A commit makes those look again who wait.
		close(goOn["create"])
		synctest.Wait()
		must(t, db.Set([]byte("y"), nil))
		synctest.Wait()
		equal(t, "Compact of a has returned before its inputs are removed", len(done), 0)
		close(goOn["remove"])
		isError(t, "Compact of a", <-done, nil)
		closeDB(t, db)
	})
}

// TestTrapCompactAfterFullDisk checks for a Flush or Compact that waits until
// somebody else commits, because Open lacked room to begin a log.
func TestTrapCompactAfterFullDisk(t *testing.T) {
	for what, call := range map[string]func(*DB, context.Context) error{
		"Flush":   (*DB).Flush,
		"Compact": func(db *DB, ctx context.Context) error { return db.Compact(ctx, nil, nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			files, _ := mergeFiles(t)
			var full atomic.Bool
			full.Store(true)
			files.Inject(func(op FSOp) error {
				if full.Load() && (op.Kind == "create" || op.Kind == "preallocate") {
					return syscall.ENOSPC
				}
				return nil
			})
			lim := limits{versions: 1 << 20, edits: 1 << 20}
			db, err := openWith("db", &Options{FS: files, LogSize: 64 << 10}, testNonce(2), lim)
			must(t, err)

			begin := time.Now()
			isError(t, what+" on a full disk", call(db, t.Context()), ErrStalled, syscall.ENOSPC)
			equal(t, "how long it waits", time.Since(begin), defaultStallTimeout)
			synctest.Wait()
			full.Store(false)
			isError(t, what+" when there is room", call(db, contextFor(t, time.Minute)), nil)
			closeDB(t, db)
			isError(t, what+" of what is closed", call(db, t.Context()), ErrClosed)
		})
	}
}

// TestTrapFlushStalls checks for a Flush or Compact that never returns, because
// what it waits for fails each time. If that only takes long, they wait.
func TestTrapFlushStalls(t *testing.T) {
	for _, c := range []struct {
		what, name string
		call       func(*DB, context.Context) error
	}{
		{"Flush", ".sst", (*DB).Flush},
		{"Compact", ".tmp", func(db *DB, ctx context.Context) error { return db.Compact(ctx, nil, nil) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, _ := mergeFiles(t)
			lim := limits{versions: 1 << 20, manifest: maxManifestLen}
			db, err := openWith("db", &Options{FS: m, LogSize: 64 << 10}, testNonce(2), lim)
			must(t, err)
			must(t, db.Flush(t.Context()), db.Set([]byte("key"), nil))
			if c.what == "Compact" {
				must(t, db.Flush(t.Context()))
			}

			var fails atomic.Bool
			var takes atomic.Int64
			fails.Store(true)
			m.Inject(func(op FSOp) error {
				if op.Kind != "create" || filepath.Ext(op.Name) != c.name {
					return nil
				}
				time.Sleep(time.Duration(takes.Load()))
				if fails.Load() {
					return syscall.ENOSPC
				}
				return nil
			})
			begin := time.Now()
			isError(t, c.what+" on a full disk", c.call(db, t.Context()), ErrStalled, syscall.ENOSPC)
			equal(t, "how long it waits", time.Since(begin), defaultStallTimeout)
			isError(t, c.what+" with a context", c.call(db, contextFor(t, time.Second)), context.DeadlineExceeded, syscall.ENOSPC)
			fails.Store(false)
			isError(t, c.what+" when there is room", c.call(db, t.Context()), nil)
			takes.Store(int64(time.Hour))
			must(t, db.Set([]byte("key"), nil))
			isError(t, c.what+" on a slow disk", c.call(db, t.Context()), nil)
			closeDB(t, db)
		})
	}
}
