// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// flushedFiles returns the files of a database with n commits of a script in
// which tables, logs and edits are small. It is closed, or still open.
func flushedFiles(t testing.TB, n int64, closed bool, seed uint64) *MemFS {
	t.Helper()
	m := filesWith(t, n, closed, seed, limits{versions: 7, edits: 1 << 20})
	if got := len(m.tableNames(t)); got < 2 {
		t.Errorf("%d commits made %d tables, want 2 or more", n, got)
	}
	return m
}

// tableNames returns the names of the tables in m, sorted.
func (m *MemFS) tableNames(t testing.TB) (names []string) {
	t.Helper()
	for _, name := range m.files(t) {
		if _, ok := parseName(name, "", ".sst"); ok {
			names = append(names, name)
		}
	}
	return names
}

// TestFlush checks that more data than memory fit into a database, that all of
// it is found, also after a reopen, and that logs of what is in tables go.
func TestFlush(t *testing.T) {
	for _, size := range []int{10, 300, 70_000} {
		m := NewMemFS()
		o := Options{FS: m, Memory: minMemory, Durability: NoSync, LogSize: 64 << 10}
		db := memDB(t, o)
		n := 2 * minMemory / (size + 100)
		model := map[string]string{}
		for i := range n {
			// Most keys are set twice, and some are deleted.
			for _, key := range []string{fmt.Sprint(i), fmt.Sprint(i / 2)} {
				model[key] = string(fmt.Appendf(make([]byte, size), "%d", i))
				must(t, db.Set([]byte(key), []byte(model[key])))
			}
			if i%10 == 0 {
				delete(model, fmt.Sprint(i-1))
				must(t, db.Delete(fmt.Append(nil, i-1)))
			}
			if i%50 > 0 {
				continue
			}
			if got := db.Stats().Memory; got > minMemory/2+minMemory/8+4*int64(size) {
				t.Fatalf("values of %d bytes: %d bytes of memory, want at most half of %d", size, got, minMemory)
			}
		}

		check := func(what string) {
			for i := range n + 1 {
				checkKey(t, what, db, model, fmt.Sprint(i))
			}
		}
		check("while open")
		db.idle()
		stats := db.Stats()
		if stats.Tables == 0 || stats.Flushes < 4 || stats.Stored < minMemory/4 {
			t.Errorf("values of %d bytes: got %+v, want tables, and several flushes", size, stats)
		}
		if logs, most := len(m.files(t))-stats.Tables, 2+int(minMemory/o.LogSize); logs > most {
			t.Errorf("values of %d bytes: %d files that are no tables, want at most %d", size, logs, most)
		}
		closeDB(t, db)

		db = memDB(t, o)
		check("after a reopen")
		closeDB(t, db)
		o.ReadOnly = true
		before := m.files(t)
		db = memDB(t, o)
		check("read-only")
		closeDB(t, db)
		if after := m.files(t); !slices.Equal(after, before) {
			t.Errorf("read-only: files %v, were %v", after, before)
		}
	}
}

// TestFlushNothing checks that a memtable of which nothing is left makes no
// table, and that its logs go.
func TestFlushNothing(t *testing.T) {
	m := NewMemFS()
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), limits{versions: 10, edits: 1 << 20})
	must(t, err)
	for i := range 100 {
		must(t, db.Set([]byte{byte(i / 2)}, nil))
		must(t, db.Delete([]byte{byte(i / 2)}))
		db.idle()
	}
	equal(t, "tables", db.Stats().Tables, 0)
	wantHas(t, "a deleted key", db, "\x05", false)
	closeDB(t, db)
	if got := len(m.files(t)); got > 6 {
		t.Errorf("got files %v, want no more than 6", m.files(t))
	}
}

// TestFlushFails checks that a Flush whose log cannot be sealed says so.
func TestFlushFails(t *testing.T) {
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Durability: NoSync})
	set(t, db, "a", "b", NoSync)
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" && filepath.Base(op.Name) == "000001.wal" {
			return syscall.EIO
		}
		return nil
	})
	isError(t, "Flush", db.Flush(t.Context()), ErrReadOnly, syscall.EIO)
	isError(t, "Close", db.Close(), syscall.EIO)
}

// TestLargeGrowth checks that a batch which fills a memtable is no large one,
// and one byte more is.
func TestLargeGrowth(t *testing.T) {
	db := memDB(t, Options{FS: NewMemFS(), Memory: minMemory})
	equal(t, "an eighth", db.largeGrowth(minMemory/8), false)
	equal(t, "a byte more", db.largeGrowth(minMemory/8+1), true)
	closeDB(t, db)
}

// TestFlushHidden checks that a delete in a later table hides what an older
// table has, and that a fold of the logs keeps it.
func TestFlushHidden(t *testing.T) {
	m := NewMemFS()
	lim := limits{versions: 4, edits: 1 << 20}
	open := func() *DB {
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(uint64(len(m.files(t)))), lim)
		must(t, err)
		return db
	}
	db := open()
	for i := range 8 {
		must(t, db.Set([]byte{byte(i)}, []byte("old")))
		db.idle()
	}
	must(t, db.Delete([]byte{1}))
	closeDB(t, db)

	// Many sessions that write nothing but one key fold their logs.
	lim.versions = 1000
	for range maxChain + 2 {
		db = open()
		must(t, db.Set([]byte{9}, nil))
		closeDB(t, db)
	}
	db = open()
	wantHas(t, "a key that was deleted before the fold", db, "\x01", false)
	wantHas(t, "its neighbor", db, "\x02", true)
	if got := len(m.files(t)); got > 8 {
		t.Errorf("got files %v after a fold, want no more than 8", m.files(t))
	}

	// And so does a table above.
	closeDB(t, db)
	lim.versions = 1
	db = open()
	must(t, db.Set([]byte{10}, nil))
	must(t, db.Set([]byte{11}, nil))
	must(t, db.Set([]byte{12}, nil))
	db.idle()
	wantHas(t, "a key that was deleted in a table", db, "\x01", false)
	closeDB(t, db)
}

// TestTrapUnpublished checks that a memtable is not flushed before all of it is
// in a log and visible: a table would outlive a log that fails.
func TestTrapUnpublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), limits{versions: 3, edits: 1 << 20})
		must(t, err)
		hold := make(chan error)
		var held atomic.Bool
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" && !held.Swap(true) {
				return <-hold
			}
			if op.Kind == "create" && filepath.Ext(op.Name) == ".sst" {
				t.Error("a table is made of what is not in a log")
			}
			return nil
		})

		// The leader is in its sync with a group that has filled the memtable,
		// and others begin the next.
		errs := make(chan error, 8)
		for i := range 8 {
			b := new(Batch)
			for k := range 3 {
				b.Set([]byte{byte(i), byte(k)}, nil)
			}
			go func() { errs <- db.Apply(t.Context(), b) }() // ends with its group
			synctest.Wait()
		}
		equal(t, "memtables that are full", len(db.state.Load().imms), 1)
		hold <- syscall.EIO
		for range 8 {
			isError(t, "a commit when the log has failed", <-errs, ErrReadOnly)
		}
		time.Sleep(time.Minute)
		m.Inject(nil)
		if err := db.Close(); err == nil {
			t.Error("Close after a failure of the log: got no error")
		}
		equal(t, "tables", len(m.tableNames(t)), 0)
	})
}

// TestFlushStall checks that commits wait for memory while tables cannot be
// written, fail with the cause if that lasts, and go on when it ends; reads and
// what has memory go on meanwhile, and nothing is tried when nobody waits.
func TestFlushStall(t *testing.T) {
	for _, kind := range []string{"create", "write", "sync", "open"} {
		synctest.Test(t, func(t *testing.T) { flushStallRound(t, kind) })
	}
}

func flushStallRound(t *testing.T, kind string) {
	t.Helper()
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Memory: minMemory, Durability: NoSync, LogSize: 64 << 10})
	var full atomic.Bool
	var tries atomic.Int64
	full.Store(true)
	m.Inject(func(op FSOp) error {
		if full.Load() && op.Kind == kind && filepath.Ext(op.Name) == ".sst" {
			tries.Add(1)
			return syscall.ENOSPC
		}
		return nil
	})
	n := 0
	var err error
	for ; err == nil && n < 1e5; n++ {
		err = db.Set(fmt.Append(nil, n), make([]byte, 1000))
	}
	isError(t, "a commit without memory", err, ErrStalled, syscall.ENOSPC)
	if n < minMemory/4/1000 {
		t.Errorf("%d commits of 1 kB before a stall, want those of a quarter of the memory", n)
	}
	wantHas(t, "the first key", db, "0", true)
	wantHas(t, "the one that stalled", db, fmt.Sprint(n-1), false)
	time.Sleep(maxBackoff) // the last attempt, which somebody waited for
	before := tries.Load()
	time.Sleep(time.Hour)
	equal(t, "attempts while nobody waits", tries.Load(), before)
	equal(t, kind+": tables on the disk: those that failed are removed at once", len(m.tableNames(t)), db.Stats().Tables)

	// Somebody waits when there is space again.
	done := make(chan error)
	go func() { done <- db.Set([]byte("late"), nil) }() // ends when there is memory
	go func() { done <- db.Set([]byte("later"), make([]byte, 5000)) }()
	time.Sleep(time.Second)
	full.Store(false)
	isError(t, "a commit that waited", <-done, nil)
	isError(t, "another", <-done, nil)
	synctest.Wait()
	for i := range n - 1 {
		wantHas(t, "when all is well", db, fmt.Sprint(i), true)
	}
	m.Inject(nil)
	closeDB(t, db)
}

// TestBackoff checks that the pauses after failures double up to a bound also
// when nobody waits and commits go on, and begin anew after a success: a table
// or a log that cannot be made costs the disk nothing.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { backoffRound(t, ".sst", 1000, minBackoff, maxBackoff) })
	synctest.Test(t, func(t *testing.T) { backoffRound(t, ".wal", 1e6, minMakeBackoff, maxMakeBackoff) })
}

// backoffRound fails to make files with a name that ends in ext, in a bubble. A
// memtable has so many versions.
func backoffRound(t *testing.T, ext string, versions int, lo, hi time.Duration) {
	t.Helper()
	m := NewMemFS()
	o := &Options{FS: m, Durability: NoSync, LogSize: 128 << 10}
	db, err := openWith("db", o, testNonce(1), limits{versions: versions, edits: 1 << 20})
	must(t, err)
	var tries atomic.Int64
	var full atomic.Bool
	m.Inject(func(op FSOp) error {
		if full.Load() && op.Kind == "create" && filepath.Ext(op.Name) == ext {
			tries.Add(1)
			return syscall.ENOSPC
		}
		return nil
	})

	const step = 10 * time.Millisecond
	n := 0
	commit := func() {
		must(t, db.Set(fmt.Append(nil, n), nil))
		n++
		time.Sleep(step)
	}
	for range 2 {
		full.Store(true)
		for tries.Load() == 0 {
			commit()
		}
		for want := lo; want < 2*hi; want *= 2 {
			got := time.Duration(0)
			for before := tries.Load(); tries.Load() == before; got += step {
				commit()
			}
			if least := min(want, hi); got < least || got > least+2*step {
				t.Errorf("%s: a pause of %v, want %v", ext, got, least)
			}
		}

		// It works again.
		full.Store(false)
		made := func() uint64 {
			if ext == ".sst" {
				return db.Stats().Flushes
			}
			return db.Stats().Logs
		}
		for before := made(); made() == before; {
			commit()
		}
		tries.Store(0)
	}
	closeDB(t, db)
}

// TestTrapFullDiskMemory checks that commits go on after an Open on a full disk
// with so many memtables that commits wait for memory: nothing is flushed
// before Open is complete, and so they have to wait for that.
func TestTrapFullDiskMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		o := &Options{FS: m, Memory: minMemory, Durability: NoSync, LogSize: 64 << 10}
		db, err := Open("db", o)
		must(t, err)
		fail := func(ext string) func(FSOp) error {
			return func(op FSOp) error {
				if op.Kind == "create" && (ext == "" || filepath.Ext(op.Name) == ext) {
					return syscall.ENOSPC
				}
				return nil
			}
		}
		m.Inject(fail(".sst"))
		value := make([]byte, 1000)
		for i := 0; err == nil; i++ {
			err = db.Set(fmt.Append(nil, i), value)
		}
		isError(t, "a commit without memory", err, ErrStalled, syscall.ENOSPC)
		closeDB(t, db)

		m.Inject(fail(""))
		db, err = Open("db", o)
		must(t, err)
		isError(t, "a commit on a full disk", db.Set([]byte("x"), value), ErrStalled, syscall.ENOSPC)
		m.Inject(nil)
		isError(t, "a commit when there is room", db.Set([]byte("x"), value), nil)
		closeDB(t, db)
	})
}

// TestFlushLargeBatch checks that a batch that is larger than the memory waits
// for all memtables, and then is possible.
func TestFlushLargeBatch(t *testing.T) {
	db := memDB(t, Options{Memory: minMemory, Durability: NoSync, LogSize: 64 << 10})
	for i := range 2000 {
		must(t, db.Set(fmt.Append(nil, i), make([]byte, 300)))
	}
	b := new(Batch)
	for i := range 20 {
		b.Set(fmt.Append(nil, "large", i), make([]byte, minMemory/10))
	}
	must(t, db.Apply(t.Context(), b))
	must(t, db.Apply(t.Context(), b))
	for i := range 20 {
		wantHas(t, "of a large batch", db, fmt.Sprint("large", i), true)
	}
	must(t, db.Set([]byte("after"), nil))
	db.idle()
	if got := db.Stats().Memory; got > minMemory {
		t.Errorf("%d bytes of memory after a large batch, want at most %d", got, minMemory)
	}
}

// TestTrapLargeBatchStarves checks that a batch that is larger than a memtable
// has its turn, though others would take all memory that becomes free.
func TestTrapLargeBatchStarves(t *testing.T) {
	for _, size := range []int{minMemory / 8, minMemory / 2, 2 * minMemory} {
		synctest.Test(t, func(t *testing.T) { largeBatchRound(t, size) })
	}
}

// largeBatchRound commits batches with a value of size bytes beside small ones,
// in a bubble.
func largeBatchRound(t *testing.T, size int) {
	t.Helper()
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Memory: minMemory, Durability: NoSync, LogSize: 64 << 10})
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" && filepath.Ext(op.Name) == ".sst" {
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	})
	var stop atomic.Bool
	errs := make(chan error)
	for w := range 4 {
		go func() { // ends when stop is set
			var err error
			for i := 0; err == nil && !stop.Load(); i++ {
				err = db.Set(fmt.Append(nil, w, i%1000), make([]byte, 1000))
			}
			errs <- err
		}()
	}

	time.Sleep(time.Second)
	b := new(Batch)
	b.Set([]byte("large"), make([]byte, size))
	gone, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for range 5 {
		go func() { _ = db.Apply(gone, b) }() // ends with gone
		isError(t, fmt.Sprintf("a batch of %d bytes", size), db.Apply(t.Context(), b), nil)
	}
	stop.Store(true)
	for range 4 {
		isError(t, "a small one", <-errs, nil)
	}
	db.commits.mu.Lock()
	defer db.commits.mu.Unlock()
	equal(t, "large ones that wait", db.flush.large, 0)
}

// TestTrapOpenDeletes checks for an edit that is only in the cache of the
// system after a kill: Open must make it durable before it removes the logs
// that the edit has made needless.
func TestTrapOpenDeletes(t *testing.T) {
	m := NewMemFS()
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), limits{versions: 10, edits: 1 << 20})
	must(t, err)
	s := new(script)
	var killed *MemFS
	written := false
	var mu sync.Mutex
	m.Inject(func(op FSOp) error {
		mu.Lock()
		defer mu.Unlock()
		manifest := filepath.Base(op.Name) == manifestName(1)
		if written && op.Kind == "sync" && manifest && killed == nil {
			killed = m.killClone()
		}
		written = written || op.Kind == "write" && manifest
		return nil
	})
	for range 8 {
		must(t, s.commit(db, Sync))
		db.idle()
	}
	m.Inject(nil)
	closeDB(t, db)
	if killed == nil {
		t.Fatal("no edit was written")
	}

	// Everything that Open does may be the last.
	before := int64(-1)
	killed.Inject(func(op FSOp) error {
		i := recovered(t, killed.CrashClone(CrashConfig{}))
		if before >= 0 {
			equal(t, "the last commit before "+op.Kind+" of "+op.Name, i, before)
		}
		before = i
		return nil
	})
	again := openMem(t, killed)
	killed.Inject(nil)
	equal(t, "the last commit after it", recovered(t, killed.CrashClone(CrashConfig{})), before)
	closeDB(t, again)
}

// recovered returns the last commit of a script that m holds.
func recovered(t *testing.T, m *MemFS) int64 {
	t.Helper()
	db, err := openScript(m)
	if err != nil {
		t.Error(err)
		return -1
	}
	defer closeDB(t, db)
	i, err := readScript(db)
	isError(t, "reading it", err, nil)
	return i
}

// TestTrapManifestSync checks that a manifest whose write or sync has failed is
// never written or synced again: an error may have thrown the pages away. The
// state goes to a new one, and the table that the edit names stays.
func TestTrapManifestSync(t *testing.T) {
	for _, kind := range []string{"write", "sync", "openwrite"} {
		for _, failures := range []int{1, 3} {
			synctest.Test(t, func(t *testing.T) { manifestFailureRound(t, kind, failures) })
		}
	}
}

func manifestFailureRound(t *testing.T, kind string, failures int) {
	t.Helper()
	m := NewMemFS()
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), limits{versions: 10, edits: 1 << 20})
	must(t, err)
	s := new(script)
	bad := map[string]bool{}
	left := failures
	removed := 0
	var mu sync.Mutex
	m.Inject(func(op FSOp) error {
		mu.Lock()
		defer mu.Unlock()
		base := filepath.Base(op.Name)
		_, isManifest := parseName(base, "MANIFEST-", "")
		switch {
		case bad[base] && (op.Kind == "write" || op.Kind == "sync"):
			t.Errorf("%s: %s of %s, which has failed", kind, op.Kind, base)
		case left > 0 && (isManifest && op.Kind == kind || left < failures && op.Kind == "rename"):
			left--
			bad[base] = isManifest
			return syscall.EIO
		case left > 0 && op.Kind == "remove" && filepath.Ext(base) != ".tmp":
			removed++
		}
		return nil
	})

	for range 20 {
		must(t, s.commit(db, Sync))
		synctest.Wait()
		i := recovered(t, m.CrashClone(CrashConfig{}))
		equal(t, kind+": the last commit after a crash", i, s.begun.Load())
	}
	equal(t, kind+": files removed before there was a good manifest", removed, 0)
	time.Sleep(time.Minute)
	wantLast(t, kind, db, 20)
	equal(t, kind+": failures that did not happen", left, 0)
	m.Inject(nil)
	closeDB(t, db)
	equal(t, kind+": manifests that are left", len(m.manifests(t)), 1)
	equal(t, kind+": the last commit", recovered(t, m), 20)
}

// manifests returns the numbers of the manifests in m.
func (m *MemFS) manifests(t testing.TB) []uint64 {
	t.Helper()
	l, err := list(m, "db")
	must(t, err)
	return l.manifests
}

// TestTrapNumbers checks that the number of a file is used once, also if the
// file was given up and could not be removed.
func TestTrapNumbers(t *testing.T) {
	m := NewMemFS()
	made := map[string]int{}
	fail := 0
	var mu sync.Mutex
	m.Inject(func(op FSOp) error {
		mu.Lock()
		defer mu.Unlock()
		ext := filepath.Ext(op.Name)
		if op.Kind == "create" && ext != ".tmp" {
			made[op.Name]++
		}
		if ext == ".sst" && (op.Kind == "sync" || op.Kind == "remove") && fail > 0 {
			fail--
			return syscall.EIO
		}
		return nil
	})
	setFail := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		fail = n
	}

	s := new(script)
	for round := range 4 {
		synctest.Test(t, func(t *testing.T) {
			lim := limits{versions: 10, edits: 500, closing: 5} // merges would use up the failures
			db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, rand.Uint64, lim)
			must(t, err)
			setFail(3)
			for range 10 {
				must(t, s.commit(db, Sync))
				time.Sleep(time.Minute) // the pause after a failure
			}
			setFail(0)
			equal(t, fmt.Sprint("the last commit of round ", round), recovered(t, m.CrashClone(CrashConfig{})), s.begun.Load())
			closeDB(t, db)
		})
	}
	for name, n := range made {
		equal(t, name+": files with that name", n, 1)
	}
}

// TestTableInPlaceOfAnother checks that a table that is not the one which the
// manifest names is found, whatever its checksums say.
func TestTableInPlaceOfAnother(t *testing.T) {
	m := flushedFiles(t, 30, true, 1)
	names := m.tableNames(t)
	a, b := m.bytes(names[0]), m.bytes(names[1])
	other := flushedFiles(t, 30, true, 2).bytes(names[0])
	equal(t, "the length of a table of another database", len(other), len(a))
	for what, change := range map[string]func(){
		"of another": func() { m.put(names[0], other) },
		"exchanged":  func() { m.put(names[0], b); m.put(names[1], a) },
		"longer":     func() { m.put(names[0], append(slices.Clone(a), 0)) },
		"missing":    func() { must(t, m.Remove(filepath.Join("db", names[0]))) },
	} {
		m.put(names[0], a)
		m.put(names[1], b)
		change()
		isError(t, "tables "+what, openErrorOf(t, m), ErrCorrupt)
	}
}

// TestTableMeta checks that a table of which the manifest says something else
// is found when it is opened, and that its keys are in memory once.
func TestTableMeta(t *testing.T) {
	m := flushedFiles(t, 30, true, 1)
	name := m.manifests(t)[0]
	edits, err := readManifest(m, "db", name)
	must(t, err)
	first := &edits.levels[0][0]
	for what, change := range map[string]func(*tableMeta){
		"nonce":    func(meta *tableMeta) { meta.nonce++ },
		"entries":  func(meta *tableMeta) { meta.entries++ },
		"deletes":  func(meta *tableMeta) { meta.deletes++ },
		"minSeq":   func(meta *tableMeta) { meta.minSeq = meta.maxSeq },
		"maxSeq":   func(meta *tableMeta) { meta.maxSeq-- },
		"smallest": func(meta *tableMeta) { meta.smallest = append(bytes.Clone(meta.smallest), 0) },
		"largest":  func(meta *tableMeta) { meta.largest = append(bytes.Clone(meta.largest), 0) },
	} {
		before := *first
		change(first)
		m.put(manifestName(name), edits.encode())
		*first = before
		err := openErrorOf(t, m)
		isError(t, what, err, ErrCorrupt)
		if c := new(CorruptError); errors.As(err, &c) {
			equal(t, what+": the file", c.File, filepath.Join("db", tableName(first.no)))
		}
	}

	m.put(manifestName(name), edits.encode())
	db := openMem(t, m)
	for _, table := range db.state.Load().tables.levels[0] {
		equal(t, "where the smallest key is", &table.props.smallest[0], &table.smallest[0])
		equal(t, "where the largest key is", &table.props.largest[0], &table.largest[0])
	}
	closeDB(t, db)
}

// TestHugeBlocks checks that a table which says that it has more blocks than
// its index is corrupt, before anything is allocated for them.
func TestHugeBlocks(t *testing.T) {
	m := flushedFiles(t, 30, true, 1)
	name := m.tableNames(t)[0]
	whole := m.bytes(name)
	table := tableFile{r: bytes.NewReader(whole), size: int64(len(whole)), name: name}
	_, err := table.readEnd()
	must(t, err)
	edits, err := readManifest(m, "db", m.manifests(t)[0])
	must(t, err)
	for _, n := range []uint64{1 << 24, 1 << 40, 1 << 62, 1<<64 - 1} {
		table.props.numbers[propBlocks] = n
		b := append(whole[:table.foot.props:table.foot.props], sealBlock(table.props.appendTo(nil), 0, table.salt, table.foot.props)...)
		table.foot.at = int64(len(b))
		m.put(name, append(b, table.foot.encode()...))
		edits.levels[0][0].size = uint64(len(b) + footerLen)
		m.put(manifestName(edits.no), edits.encode())
		isError(t, fmt.Sprint(n, " blocks"), openErrorOf(t, m), ErrCorrupt)
	}
}

// TestReadErrors checks that a table that cannot be read gives its error to the
// reader: no older table is asked instead.
func TestReadErrors(t *testing.T) {
	m := NewMemFS()
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), limits{versions: 2, edits: 1 << 20})
	must(t, err)
	for i := range 4 {
		set(t, db, "key", fmt.Sprint(i), Sync)
		set(t, db, "other", fmt.Sprint(i), Sync)
		db.idle()
	}
	names := m.tableNames(t)
	last := filepath.Join("db", names[len(names)-1])
	m.Inject(func(op FSOp) error {
		if op.Kind == "read" && op.Name == last {
			return syscall.EIO
		}
		return nil
	})
	key := []byte("key")
	db.state.Store(&readState{mem: newMemtable(), tables: db.state.Load().tables})
	_, err = db.Get(key)
	isError(t, "Get", err, syscall.EIO)
	_, err = db.Has(key)
	isError(t, "Has", err, syscall.EIO)
	got, err := db.AppendGet([]byte("x"), key)
	isError(t, "AppendGet", err, syscall.EIO)
	equal(t, "AppendGet", string(got), "x")

	// Damage is found when it is met.
	m.Inject(nil)
	b := m.bytes(names[len(names)-1])
	b[9]++
	_, err = db.Get(key)
	isError(t, "Get of damage", err, ErrCorrupt)
	closeDB(t, db)
	_, err = db.Get(key)
	isError(t, "Get after Close", err, ErrClosed)
}

// TestTrapRemoveOpen checks that no file is removed while it is open: Windows
// refuses that.
func TestTrapRemoveOpen(t *testing.T) {
	m := NewMemFS()
	var mu sync.Mutex
	open := map[string]int{}
	removed := 0
	m.Inject(func(op FSOp) error {
		mu.Lock()
		defer mu.Unlock()
		switch op.Kind {
		case "create", "open", "openwrite":
			open[op.Name]++
		case "close":
			open[op.Name]--
		case "remove":
			removed++
			if open[op.Name] > 0 {
				t.Errorf("%s is removed while it is open", op.Name)
			}
		}
		return nil
	})

	for range 3 {
		db, err := openScript(m)
		must(t, err)
		for i := range 40 {
			d := NoSync
			if i%5 == 0 {
				d = Async // it begins a memtable, and the leader has not come to its log
			}
			set(t, db, string(rune(i)), "", d)
			db.idle()
		}
		closeDB(t, db)
	}
	if removed < 10 {
		t.Errorf("%d files were removed, want many", removed)
	}
}

// TestFlushAtOpen checks that Open writes tables when the logs hold more than a
// memtable, and that it succeeds without room for them.
func TestFlushAtOpen(t *testing.T) {
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Memory: maxMemory, Durability: NoSync, LogSize: 64 << 10})
	const n = 3000
	for i := range 2 * n {
		must(t, db.Set(fmt.Append(nil, i%n), fmt.Appendf(make([]byte, 1000), "%d", i)))
	}
	closeDB(t, db)
	equal(t, "tables before", len(m.tableNames(t)), 0)

	for _, full := range []bool{true, false} {
		m.Inject(func(op FSOp) error {
			if full && op.Kind == "create" {
				return syscall.ENOSPC
			}
			return nil
		})
		o := Options{FS: m, Memory: minMemory, LogSize: 64 << 10, StallTimeout: time.Millisecond}
		db, err := openWith("db", &o, testNonce(1), limits{versions: 1 << 30, edits: 64 << 10})
		must(t, err)
		for i := range n {
			wantValue(t, fmt.Sprintf("full %t", full), db, fmt.Sprint(i), string(fmt.Appendf(make([]byte, 1000), "%d", n+i)))
		}
		err = db.Set([]byte("more"), make([]byte, 1000))
		equal(t, "a commit on a full disk fails", errors.Is(err, ErrStalled), full)
		if got := db.Stats(); !full && (got.Tables < 4 || got.Memory > minMemory/2) {
			t.Errorf("got %+v, want several tables, and less than half of the memory", got)
		}
		m.Inject(nil)
		closeDB(t, db)
	}
	isError(t, "the logs of what is in tables are gone", checkLogs(m, 8), nil)
}

// checkLogs returns an error if m has more than n logs.
func checkLogs(m *MemFS, n int) error {
	l, err := list(m, "db")
	if err == nil && len(l.logs) > n {
		err = fmt.Errorf("got %d logs, want at most %d", len(l.logs), n)
	}
	return err
}

// TestVerifyDB checks that Verify finds every damage of a table, also where no
// key is read, and a manifest that says something else of it.
func TestVerifyDB(t *testing.T) {
	whole := flushedFiles(t, 12, true, 1)
	db := openMem(t, whole)
	isError(t, "a database that is whole", db.Verify(t.Context()), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	isError(t, "when ctx has ended", db.Verify(ctx), context.Canceled)

	meta := &db.state.Load().tables.levels[0][0].tableMeta
	meta.entries++
	isError(t, "a manifest with a wrong count", db.Verify(t.Context()), ErrCorrupt)
	meta.entries--
	closeDB(t, db)
	isError(t, "after Close", db.Verify(t.Context()), ErrClosed)

	for _, name := range whole.tableNames(t) {
		for off := 0; off < len(whole.bytes(name)); off += sweepStep() {
			m := whole.CrashClone(CrashConfig{Keep: 1})
			m.bytes(name)[off]++
			what := fmt.Sprintf("%s[%d] is damaged", name, off)
			db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
			if err != nil {
				isError(t, what, err, ErrCorrupt)
				continue
			}
			err = db.Verify(t.Context())
			isError(t, what, err, ErrCorrupt)
			if c := new(CorruptError); errors.As(err, &c) {
				equal(t, what+": the file", c.File, filepath.Join("db", name))
			}
			closeDB(t, db)
		}
	}
}
