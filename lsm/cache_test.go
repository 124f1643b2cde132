// SPDX-License-Identifier: MIT

package lsm

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestCache checks that a cache keeps to its size, that blocks which are used
// stay, and that those which are read once do not push them out.
func TestCache(t *testing.T) {
	const n = 1000
	slots := make([]cacheSlot, 200)
	c := NewCache(50 * (n + cachedOverhead))
	read := func(i int) (hit bool) {
		s := &slots[i]
		if s.get() != nil {
			return true
		}
		if c.wants(s, n) {
			c.put(s, new(cachedBlock), n)
		}
		c.checkLocked()
		return false
	}

	// There is room for 50.
	for i := range 50 {
		read(i)
	}
	equal(t, "bytes of 50 blocks", c.Size(), 50*(n+cachedOverhead))
	for i := range 50 {
		equal(t, fmt.Sprintf("block %d is there", i), read(i), true)
	}

	// A scan of the rest leaves them alone.
	for i := 50; i < 200; i++ {
		read(i)
	}
	for i := range 50 {
		equal(t, fmt.Sprintf("block %d is there after a scan", i), read(i), true)
	}

	// Blocks that are asked for again and again come in.
	for range 10 {
		for i := 100; i < 130; i++ {
			read(i)
		}
	}
	for i := 100; i < 130; i++ {
		equal(t, fmt.Sprintf("block %d is there after many reads", i), read(i), true)
	}

	// A table that is closed leaves nothing.
	before := c.Size()
	c.forget(slots[:150])
	c.checkLocked()
	if got := c.Size(); got >= before || len(c.ring) != int(got/(n+cachedOverhead)) {
		t.Errorf("%d bytes in %d blocks after a table was closed, were %d", got, len(c.ring), before)
	}
	c.forget(slots)
	equal(t, "bytes when all tables are closed", c.Size(), 0)
}

// TestCacheSmall checks caches that have no room: an index and a filter come in
// even so, one at a time, and data do not.
func TestCacheSmall(t *testing.T) {
	for _, size := range []int64{0, cachedOverhead, 1000} {
		c := NewCache(size)
		slots := make([]cacheSlot, 3)
		for i := range 2 {
			c.put(&slots[i], new(cachedBlock), 2000)
			c.checkLocked()
			equal(t, "blocks", len(c.ring), 1)
		}
		for range 3 {
			equal(t, fmt.Sprintf("a cache of %d bytes wants 2000", size), c.wants(&slots[2], 2000), false)
		}
	}
	mustPanic(t, "size must not be negative", func() { NewCache(-1) })
}

// TestCacheAtOnce checks that two readers that miss at once get one block.
func TestCacheAtOnce(t *testing.T) {
	c := NewCache(1 << 20)
	s := new(cacheSlot)
	first := c.put(s, new(cachedBlock), 10)
	second := c.put(s, new(cachedBlock), 10)
	equal(t, "the block of the second", second, first)
	equal(t, "bytes", c.Size(), 10+cachedOverhead)
}

// tablesDB returns a database with many small tables, and its model.
func tablesDB(t *testing.T, o Options) (*DB, map[string]string) {
	t.Helper()
	o.LogSize = minLogSize
	model := map[string]string{}
	db, err := openWith("db", &o, testNonce(1), limits{versions: 20, edits: 1 << 20})
	must(t, err)
	t.Cleanup(func() { closeDB(t, db) })
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		key := fmt.Sprint("key", rng.IntN(500))
		value := fmt.Sprint(rng.Uint64())
		model[key] = value
		must(t, db.Set([]byte(key), []byte(value)))
	}
	db.idle()
	if got := db.Stats().Tables; got < 40 {
		t.Errorf("%d tables, want many", got)
	}
	return db, model
}

// TestCachesOfDatabases checks reads with caches of all sizes, one of them
// shared, by several goroutines: answers are right, and the size is kept.
func TestCachesOfDatabases(t *testing.T) {
	shared := NewCache(20_000)
	for _, c := range []*Cache{NewCache(0), NewCache(5_000), NewCache(1 << 20), shared, shared} {
		db, model := tablesDB(t, Options{FS: NewMemFS(), Durability: NoSync, Cache: c, MaxOpenFiles: 3})
		readAll(t, db, model)
		if got := c.Size(); got > max(c.limit, 10_000) {
			t.Errorf("a cache of %d bytes has %d", c.limit, got)
		}
		equal(t, "Stats.Cached", db.Stats().Cached, c.Size())
	}
}

// readAll reads all keys by several goroutines.
func readAll(t *testing.T, db *DB, model map[string]string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // ends when it has read all
			for range 3 {
				for key, want := range model {
					wantValue(t, "read at once", db, key, want)
				}
				wantHas(t, "read at once", db, "key", false)
				wantHas(t, "read at once", db, "zzz", false)
			}
		})
	}
	wg.Wait()
}

// TestOpenFiles checks that no more tables are open than MaxOpenFiles says.
func TestOpenFiles(t *testing.T) {
	for _, limit := range []int{1, 7, 500} {
		m := NewMemFS()
		db, model := tablesDB(t, Options{FS: m, Durability: NoSync, Cache: NewCache(0), MaxOpenFiles: limit})
		m.mu.Lock()
		others := m.open - len(db.files.list)
		m.mu.Unlock()
		most := 0
		var mu sync.Mutex
		m.Inject(func(op FSOp) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind == "read" {
				m.mu.Lock()
				most = max(most, m.open-others)
				m.mu.Unlock()
			}
			return nil
		})
		readAll(t, db, model)
		m.Inject(nil)
		if want := min(limit, db.Stats().Tables); most != want {
			t.Errorf("limit %d: %d tables were open at once, want %d", limit, most, want)
		}
	}
}

// TestNoDescriptors checks that reads give up files for others when the system
// has no more, and that what cannot be opened is an error of that read alone.
func TestNoDescriptors(t *testing.T) {
	m := NewMemFS()
	db, model := tablesDB(t, Options{FS: m, Durability: NoSync, Cache: NewCache(0)})
	var left atomic.Int64
	left.Store(int64(db.Stats().Tables) / 2)
	db.files.closeAll()
	m.Inject(func(op FSOp) error {
		if filepath.Ext(op.Name) != ".sst" {
			return nil
		}
		switch op.Kind {
		case "open":
			if left.Add(-1) < 0 {
				left.Add(1)
				return syscall.EMFILE
			}
		case "close":
			left.Add(1)
		}
		return nil
	})
	readAll(t, db, model)

	// Nothing can be opened for a while.
	db.files.closeAll()
	left.Store(0)
	_, err := db.Get([]byte("key1"))
	isError(t, "Get without descriptors", err, syscall.EMFILE)
	left.Store(1)
	readAll(t, db, model)
	m.Inject(nil)
}

// TestTableGone checks that a table that is missing when its file is opened
// again is an error.
func TestTableGone(t *testing.T) {
	m := NewMemFS()
	db, model := tablesDB(t, Options{FS: m, Durability: NoSync, Cache: NewCache(0)})
	db.files.closeAll()
	for _, name := range m.tableNames(t) {
		must(t, m.Remove(filepath.Join("db", name)))
	}
	lost := 0
	for key := range model {
		if _, err := db.Get([]byte(key)); err != nil {
			lost++
			isError(t, "Get of a key in a table that is gone", err, ErrCorrupt, fs.ErrNotExist)
		}
	}
	if lost < 400 {
		t.Errorf("%d keys were lost, want most", lost)
	}
}

// TestTrapClosedTable checks that a reader which is late does not leave a block
// of a table that is closed in a cache that others use.
func TestTrapClosedTable(t *testing.T) {
	c := NewCache(1 << 20)
	table := &dbTable{cache: c, handle: handle{files: new(descriptors)}, slots: make([]cacheSlot, 3)}
	table.keep(&table.slots[0], new(cachedBlock), 10)
	equal(t, "bytes of a block", c.Size(), 10+cachedOverhead)
	must(t, table.close())
	b := new(cachedBlock)
	equal(t, "the block of a late reader", table.keep(&table.slots[1], b, 10), b)
	equal(t, "bytes when it is closed", c.Size(), 0)
}

// TestTrapFileClosed checks that reading a file, and asking for its length,
// begin again if the file was closed for another meanwhile, and that another
// error of that kind is returned.
func TestTrapFileClosed(t *testing.T) {
	for _, kind := range []string{"read", "size"} {
		m := NewMemFS()
		must(t, create(t, m, "f", "abc").Close())
		files := &descriptors{limit: 1}
		h := &handle{files: files, fsys: m, name: "f"}
		call := func() error {
			if kind == "size" {
				_, err := h.size()
				return err
			}
			_, err := h.ReadAt(make([]byte, 3), 0)
			return err
		}

		times := 0
		m.Inject(func(op FSOp) error {
			if op.Kind == kind && times < 3 {
				times++
				files.mu.Lock()
				defer files.mu.Unlock()
				files.closeLocked(0)
			}
			return nil
		})
		isError(t, kind, call(), nil)
		equal(t, kind+": times that the file was closed", times, 3)

		m.Inject(func(op FSOp) error {
			if op.Kind == kind {
				return fs.ErrClosed
			}
			return nil
		})
		isError(t, kind+" of a disk that says so", call(), fs.ErrClosed)
		m.Inject(nil)
		must(t, h.close())
		isError(t, kind+" of a file that is closed", call(), fs.ErrClosed)
	}
}

// TestTrapDescriptors checks that tables give up their files when there is no
// descriptor for a log, a table or a manifest, whichever of these finds that
// out first: nobody else would.
func TestTrapDescriptors(t *testing.T) {
	for _, c := range []struct{ kind, name string }{
		{"create", "*.wal"},
		{"open", "*.wal"},
		{"create", "*.sst"},
		{"create", tmpName},
		{"*", "*"},
	} {
		synctest.Test(t, func(t *testing.T) { descriptorsRound(t, c.kind, c.name) })
	}
}

// descriptorsRound lets operations of a kind fail that open a file with a name
// when 12 are open, in a bubble.
func descriptorsRound(t *testing.T, kind, name string) {
	t.Helper()
	m := NewMemFS()
	m.Inject(func(op FSOp) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		ofKind, _ := filepath.Match(kind, op.Kind)
		named, _ := filepath.Match(name, filepath.Base(op.Name))
		opens := op.Kind == "create" || op.Kind == "open" || op.Kind == "openwrite"
		if ofKind && named && opens && m.open >= 12 {
			return syscall.EMFILE
		}
		return nil
	})

	lim := limits{versions: 10, edits: 500}
	what := fmt.Sprintf("no descriptor for %s of %s", kind, name)
	for range 3 {
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize, StallTimeout: time.Minute}, testNonce(1), lim)
		isError(t, what+": Open", err, nil)
		if err != nil {
			return
		}
		for i := range 250 {
			isError(t, what, db.Set([]byte{byte(i)}, nil), nil)
			time.Sleep(time.Second) // the pause after a failure
		}
		equal(t, what+": memtables that could not be flushed", len(db.state.Load().imms), 0)
		closeDB(t, db)
	}
}

// TestCacheHoldsTable checks that a cache with room for a table takes all of
// its blocks, wherever they lie: they are read once.
func TestCacheHoldsTable(t *testing.T) {
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Durability: NoSync, Cache: NewCache(1 << 20)})
	const blocks = 80
	for i := range blocks {
		must(t, db.Set(fmt.Append(nil, i), make([]byte, 10_000)))
	}
	must(t, db.Flush(t.Context()))

	var reads atomic.Int64
	m.Inject(func(op FSOp) error {
		if op.Kind == "read" && filepath.Ext(op.Name) == ".sst" {
			reads.Add(1)
		}
		return nil
	})
	for round, want := range []int64{2 + blocks, 0} { // with index and filter
		reads.Store(0)
		for i := range blocks {
			_, err := db.Get(fmt.Append(nil, i))
			must(t, err)
		}
		equal(t, fmt.Sprint("reads in round ", round), reads.Load(), want)
	}
	m.Inject(nil)
}
