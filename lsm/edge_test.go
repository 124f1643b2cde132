// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestMemtableFull checks that a memtable is full when the next commit would
// take it past an eighth of the memory, to the byte, and one without operations
// is never.
func TestMemtableFull(t *testing.T) {
	db := memDB(t, Options{Memory: minMemory, LogSize: 64 << 10})
	equal(t, "an empty memtable is full", db.memtableFullLocked(minMemory), false)
	must(t, db.Set([]byte("key"), nil))
	room := db.opts.Memory/8 - db.state.Load().mem.bytes()
	equal(t, "the memtable is full for what it has room for", db.memtableFullLocked(room), false)
	equal(t, "the memtable is full for a byte more", db.memtableFullLocked(room+1), true)
}

// TestFlushAtCloseBound checks that Close makes a table of what is more than a
// quarter of a memtable, to the byte, or has more versions than are left to a
// log.
func TestFlushAtCloseBound(t *testing.T) {
	for _, c := range []struct {
		more     int64
		versions int
		want     int
	}{{0, 2, 0}, {-1, 2, 1}, {0, 1, 1}} {
		m := NewMemFS()
		o := &Options{FS: m, Memory: minMemory, LogSize: 64 << 10}
		db, err := openWith("db", o, testNonce(1), limits{versions: 1000, edits: 1 << 20, closing: c.versions})
		must(t, err)
		must(t, db.Set([]byte("a"), nil), db.Set([]byte("b"), nil))
		db.opts.Memory = (db.state.Load().memory() - minChunkLen + c.more) * 8 * 4
		closeDB(t, db)
		equal(t, "tables", len(m.tableNames(t)), c.want)
	}
}

// TestLogEndFails checks that a log which cannot get its begin is not taken for
// one that has ended.
func TestLogEndFails(t *testing.T) {
	m := NewMemFS()
	l, err := createLog(m, "db", fileHeader{no: 1, id: 5, nonce: 7}, minLogSize)
	must(t, err)
	m.Inject(func(op FSOp) error {
		if op.Kind == "write" {
			return errBroken
		}
		return nil
	})
	isError(t, "end", l.end(1), errBroken)
}

// TestTableMetaBytes checks that a table in a manifest is exactly as long as it
// says, and that it has a level, a number and a size that can be.
func TestTableMetaBytes(t *testing.T) {
	meta := tableMeta{no: 1, size: maxTableLen, nonce: 3, entries: 4, maxSeq: 5, smallest: []byte("a"), largest: []byte("bc")}
	b := meta.appendTo(nil, numLevels-1)
	level, got, err := parseTableMeta(b)
	isError(t, "parseTableMeta", err, nil)
	equal(t, "the level", level, numLevels-1)
	equal(t, "the table", fmt.Sprint(got), fmt.Sprint(meta))
	bad := [][]byte{append(b[:len(b):len(b)], 0)}
	for n := range b {
		bad = append(bad, b[:n])
	}
	for _, bad := range bad {
		if _, _, err := parseTableMeta(bad); !errors.Is(err, errDamaged) {
			t.Errorf("parseTableMeta of %d bytes, of which %d are right: got %v, want errDamaged", len(bad), len(b), err)
		}
	}

	none, long := meta, meta
	none.no = 0
	long.size++
	for what, c := range map[string]struct {
		meta  *tableMeta
		level int
		want  error
	}{
		"number 0": {&none, 0, errDamaged},
		"too long": {&long, 0, errDamaged},
		"level 7":  {&meta, numLevels, errUnknown},
	} {
		_, _, err := parseTableMeta(c.meta.appendTo(nil, c.level))
		isError(t, what, err, c.want)
	}
}

// TestMemFSOpenFiles checks that files count as open from Create and Open until
// Close.
func TestMemFSOpenFiles(t *testing.T) {
	m := NewMemFS()
	f := create(t, m, "a", "abc")
	equal(t, "open files after Create", m.open, 1)
	r, err := m.Open("a")
	must(t, err)
	equal(t, "open files after Open", m.open, 2)
	must(t, f.Close(), r.Close())
	equal(t, "open files after Close", m.open, 0)
}

// ofManifest reports whether op is about a manifest, under its name or before
// it has that.
func ofManifest(op FSOp) bool {
	base := filepath.Base(op.Name)
	_, named := parseName(base, "MANIFEST-", "")
	return named || base == tmpName
}

// TestStallOfManifest checks that commits which wait for memory fail with the
// error of the manifest, if it is that which cannot be written.
func TestStallOfManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := memDB(t, Options{FS: m, Memory: minMemory, Durability: NoSync, LogSize: 64 << 10})
		m.Inject(func(op FSOp) error {
			if ofManifest(op) && op.Kind != "remove" {
				return syscall.EDQUOT
			}
			return nil
		})
		err := error(nil)
		for n := 0; err == nil && n < 1e5; n++ {
			err = db.Set(fmt.Append(nil, n), make([]byte, 1000))
		}
		isError(t, "a commit without memory", err, ErrStalled, syscall.EDQUOT)
		m.Inject(nil)
		time.Sleep(time.Minute)
		closeDB(t, db)
	})
}

// TestManifestNamed checks that a manifest which has its name, though not
// durably, and is replaced by another goes as the older ones do.
func TestManifestNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), limits{versions: 10, edits: 1})
		must(t, err)
		var named, failed atomic.Bool
		m.Inject(func(op FSOp) error {
			if op.Kind == "rename" && ofManifest(op) {
				named.Store(true)
			}
			if op.Kind == "syncdir" && named.Load() && failed.CompareAndSwap(false, true) {
				return syscall.EIO
			}
			return nil
		})
		for i := range 100 {
			must(t, db.Set(fmt.Append(nil, i), nil))
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		equal(t, "a manifest has failed", failed.Load(), true)
		equal(t, "manifests", len(m.manifests(t)), 1)
		closeDB(t, db)
		equal(t, "manifests after Close", len(m.manifests(t)), 1)
	})
}

// TestCacheUsed checks that a block which was used survives maxUsed turns of
// the hand, and one that was not none.
func TestCacheUsed(t *testing.T) {
	const n = 1000
	for _, used := range []bool{false, true} {
		c := NewCache(n + cachedOverhead)
		s := new(cacheSlot)
		c.put(s, new(cachedBlock), n)
		want := uint64(0)
		if used {
			s.get()
			want = maxUsed
		}
		before := uint64(c.turn.Load())
		c.put(new(cacheSlot), new(cachedBlock), n)
		equal(t, fmt.Sprintf("turns until a block goes that was used, %t", used), uint64(c.turn.Load())-before, want)
		equal(t, "the block is gone", s.block.Load() == nil, true)
	}
}

// TestReadAhead checks that a cursor reads ahead into memory that it has, if
// that is long enough, and not beyond the blocks.
func TestReadAhead(t *testing.T) {
	db := memDB(t, Options{Durability: NoSync})
	for i := range 300 {
		must(t, db.Set(fmt.Append(nil, i), make([]byte, 100)))
	}
	must(t, db.Flush(t.Context()))
	c := &levelCursor{tables: db.state.Load().tables.levels[0], seq: maxSeq}
	equal(t, "open", c.open(0), true)

	end := c.index.start(c.index.n)
	must(t, c.readAhead(0, end))
	first := &c.ahead[0]
	for _, n := range []int64{end, end - 8, end + 100} {
		must(t, c.readAhead(0, n))
		equal(t, fmt.Sprintf("%d of %d bytes: the memory is the same", n, end), &c.ahead[0] == first, true)
		equal(t, fmt.Sprintf("%d of %d bytes: how many are read", n, end), int64(len(c.ahead)), min(n, end))
	}
}

// sized returns a table of so many bytes, with keys from lo to hi.
func sized(size uint64, lo, hi string) *dbTable {
	return &dbTable{tableMeta: tableMeta{no: 1, size: size, smallest: []byte(lo), largest: []byte(hi)}}
}

// TestDebt checks how many bytes are too many in a level, and what that and the
// memory to be flushed are as a pressure.
func TestDebt(t *testing.T) {
	v := &tableSet{}
	check := func(what string, debt, data int64) {
		t.Helper()
		gotDebt, gotData := v.debt(10)
		equal(t, what, fmt.Sprint(gotDebt, gotData), fmt.Sprint(debt, data))
	}
	check("nothing", 0, 0)
	v.levels[6] = []*dbTable{sized(1000, "a", "z")}
	check("the last level", 0, 1000)
	v.levels[5] = []*dbTable{sized(60, "a", "m"), sized(40, "n", "z")}
	check("a tenth of it before", 0, 1100)
	v.levels[5][1].tableMeta.size++
	check("a byte more", 1, 1101)
	v.levels[4] = []*dbTable{sized(10, "a", "z")}
	check("the first level that is used", 1, 1111)
	v.levels[3] = []*dbTable{sized(7, "a", "z")}
	check("a level before it", 8, 1118)
	v.levels[0] = []*dbTable{sized(5, "a", "z")}
	check("level 0", 13, 1123)

	// Half of the memory in memtables is a pressure of 3/2. Without any, it is
	// that of no debt.
	db := memDB(t, Options{Memory: minMemory})
	state := db.state.Load()
	full := newMemtable()
	full.size += minMemory/2 - full.bytes()
	db.commits.mu.Lock()
	defer db.commits.mu.Unlock()
	for n, want := range []float64{-1.0 / 3, 1.5, 3.5} {
		db.state.Store(&readState{mem: state.mem, imms: slices.Repeat([]*memtable{full}, n), tables: state.tables})
		p, _ := db.pressureLocked()
		equal(t, fmt.Sprint("pressure of half of the memory times ", n), p, want)
	}

	// So are tables of level 0, or what is too much in others: of these the
	// larger one, and merges carry it away.
	db.throttle.flushes = 1
	db.throttle.merges = 2
	w := new(tableSet)
	w.levels[0] = slices.Repeat([]*dbTable{sized(1, "a", "z")}, calmTables+fullTables/2)
	db.state.Store(&readState{mem: state.mem, tables: w})
	p, drain := db.pressureLocked()
	equal(t, "pressure of tables of level 0", fmt.Sprint(p, drain), "0.5 2")
	w.levels[3] = []*dbTable{sized(4*minDebt-calmTables-fullTables/2, "a", "z")}
	p, drain = db.pressureLocked()
	equal(t, "pressure of debt", fmt.Sprint(p, drain), "1 2")
	db.state.Store(state)
}

// TestLeastPause checks that a commit which owes a pause of the least length
// waits so long, and one that owes less does not.
func TestLeastPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memDB(t, Options{})
		db.throttle.rate.Store(1)
		for owed, want := range map[time.Duration]time.Duration{minPause: minPause, minPause - 1: 0} {
			begin := time.Now()
			must(t, db.rest(t.Context(), db.now()+int64(owed)))
			equal(t, fmt.Sprint("the pause of what owes ", owed), time.Since(begin), want)
		}
		closeDB(t, db)
	})
}

// TestStalledAtClose checks that a commit which waits for memory ends when the
// database is closed, and not with the flush that it waits for.
func TestStalledAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		goOn := make(chan struct{})
		m.Inject(func(op FSOp) error {
			if op.Kind == "create" && filepath.Ext(op.Name) == ".sst" {
				<-goOn
			}
			return nil
		})
		db := memDB(t, Options{FS: m, Memory: minMemory, StallTimeout: time.Hour, Durability: NoSync})
		stalled := make(chan error, 1)
		go func() {
			err := error(nil)
			for i := 0; err == nil; i++ {
				err = db.Set(fmt.Append(nil, i), make([]byte, 10_000))
			}
			stalled <- err
		}()

		// Before it waits for memory, pauses slow it down.
		time.Sleep(time.Minute)
		equal(t, "it waits", len(stalled), 0)
		closed := make(chan error, 1)
		go func() { closed <- db.Close() }()
		synctest.Wait()
		equal(t, "Close has returned beside a flush", len(closed), 0)
		equal(t, "commits that have returned beside a flush", len(stalled), 1)
		close(goOn)
		isError(t, "the commit", <-stalled, ErrClosed)
		isError(t, "Close", <-closed, nil)
	})
}

// TestJobsApart checks which merges may run beside each other: of other levels,
// or of other keys, of which they do not share the first or last.
func TestJobsApart(t *testing.T) {
	job := func(from, to int, lo, hi string) *compaction {
		c := &compaction{from: from, to: to}
		c.take(from, sized(1, lo, hi))
		return c
	}

	other := []*compaction{job(3, 4, "d", "f")}
	for _, c := range []struct {
		from, to int
		lo, hi   string
		want     bool
	}{
		{3, 4, "a", "c", true},
		{3, 4, "a", "d", false},
		{3, 4, "e", "e", false},
		{3, 4, "a", "z", false},
		{3, 4, "f", "z", false},
		{3, 4, "g", "z", true},
		{4, 5, "f", "z", false},
		{2, 3, "a", "d", false},
		{5, 6, "a", "z", true},
		{1, 2, "a", "z", true},
	} {
		got := job(c.from, c.to, c.lo, c.hi).free(other)
		equal(t, fmt.Sprintf("a merge from %d to %d of %s to %s beside one from 3 to 4 of d to f", c.from, c.to, c.lo, c.hi), got, c.want)
	}
}

// TestTableLongestKey checks that a table has a key of the greatest length, and
// none that is longer.
func TestTableLongestKey(t *testing.T) {
	key := make([]byte, MaxKeyLen)
	table := mustTable(t, []version{{string(key), 0, kindSet, "value"}}, nil)
	got, err := table.Get(key)
	must(t, err)
	equal(t, "the value of the longest key", string(got), "value")
	_, err = table.Get(make([]byte, MaxKeyLen+1))
	isError(t, "a longer key", err, ErrNotFound)
}

// A rangeFile notes which ranges the system is told to write.
type rangeFile struct {
	File
	ranges []int64
}

func (f *rangeFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func (f *rangeFile) SyncRange(off, n int64) error {
	f.ranges = append(f.ranges, off, n)
	return nil
}

// TestFileWriterRanges checks that the system is told to write each MiB of a
// file once, when it is there.
func TestFileWriterRanges(t *testing.T) {
	f := &rangeFile{}
	w := &fileWriter{f: f}
	for _, n := range []int{rangeLen - 1, 1, rangeLen / 2, rangeLen, 3 * rangeLen, 100} {
		_, err := w.Write(make([]byte, n))
		must(t, err)
	}
	want := []int64{0, rangeLen, rangeLen, rangeLen * 3 / 2, rangeLen * 5 / 2, 3 * rangeLen}
	equal(t, "ranges", fmt.Sprint(f.ranges), fmt.Sprint(want))

	// Not every file can begin to write early.
	w = &fileWriter{f: struct{ File }{f}}
	n, err := w.Write(make([]byte, 2*rangeLen))
	isError(t, "Write to a file that is no RangeSyncer", err, nil)
	equal(t, "bytes written", n, 2*rangeLen)
}

// TestPickStale checks which tables are merged because of their deletes: those
// of which a tenth are, and of the last level only if no snapshot needs them.
func TestPickStale(t *testing.T) {
	db := memDB(t, Options{Durability: NoSync})
	set(t, db, "key", "old", NoSync)
	snap := db.Snapshot()
	set(t, db, "key", "new", NoSync)

	// The snapshot has sequence 1.
	const last = numLevels - 1
	for _, c := range []struct {
		level            int
		entries, deletes uint64
		maxSeq           uint64
		to               int // level, or 0 for no job
	}{
		{3, 20, 2, 1, 4},
		{3, 21, 2, 1, 0},
		{3, 20, 0, 1, 0},
		{3, 20, 2, 2, 4},
		{last, 20, 2, 1, last},
		{last, 20, 2, 2, 0},
	} {
		table := &dbTable{tableMeta: tableMeta{
			no: 9, size: 1, entries: c.entries, deletes: c.deletes, maxSeq: c.maxSeq, smallest: []byte("a"), largest: []byte("z"),
		}}
		var v tableSet
		v.levels[c.level] = []*dbTable{table}
		db.commits.mu.Lock()
		job := db.pickStaleLocked(&v)
		db.commits.mu.Unlock()
		got := 0
		if job != nil {
			got = job.to
		}
		equal(t, fmt.Sprintf("level for %d deletes of %d up to sequence %d on level %d", c.deletes, c.entries, c.maxSeq, c.level), got, c.to)
	}
	must(t, snap.Close())
}

// TestMergingBottom checks which keys have no table below that may have them.
func TestMergingBottom(t *testing.T) {
	m := merging{job: &compaction{to: 2}}
	for level, bounds := range map[int]string{3: "dfkm", 5: "ppqq"} {
		for i := 0; i < len(bounds); i += 2 {
			m.below[level] = append(m.below[level], &dbTable{tableMeta: tableMeta{smallest: []byte(bounds[i : i+1]), largest: []byte(bounds[i+1 : i+2])}})
		}
	}
	for _, c := range []struct {
		key  string
		want bool
	}{{"c", true}, {"d", false}, {"e", false}, {"f", false}, {"g", true}, {"k", false}, {"n", true}, {"p", false}, {"pp", true}, {"q", false}, {"r", true}} {
		equal(t, "bottom of "+c.key, m.bottom([]byte(c.key)), c.want)
	}
}

// TestCloseWithoutLastLog checks that Close says so if it cannot make the log
// in which it ends.
func TestCloseWithoutLastLog(t *testing.T) {
	m := NewMemFS()
	db := memDB(t, Options{FS: m})
	set(t, db, "key", "value", Sync)
	db.idle()
	db.commits.mu.Lock()
	next := db.logs.next
	db.logs.next = nil
	db.commits.mu.Unlock()
	if next != nil {
		must(t, next.f.Close())
	}
	m.Inject(func(op FSOp) error {
		if op.Kind == "create" && filepath.Ext(op.Name) == ".wal" {
			return syscall.EIO
		}
		return nil
	})
	isError(t, "Close", db.Close(), syscall.EIO)

	// What was committed is there.
	m.Inject(nil)
	db = memDB(t, Options{FS: m})
	got, err := db.Get([]byte("key"))
	must(t, err)
	equal(t, "the value", string(got), "value")
}

// TestFilterDamaged checks that a filter which is damaged is not taken for one
// that says nothing.
func TestFilterDamaged(t *testing.T) {
	m := NewMemFS()
	db := memDB(t, Options{FS: m})
	set(t, db, "key", "value", NoSync)
	must(t, db.Flush(t.Context()))
	table := db.state.Load().tables.levels[0][0]
	name := tableName(table.no)
	closeDB(t, db)
	m.bytes(name)[table.foot.filter+filterHeadLen] ^= 1

	db = memDB(t, Options{FS: m})
	for range 2 {
		_, err := db.Get([]byte("key"))
		isError(t, "Get", err, ErrCorrupt)
		wantPlace(t, "Get", err, name, int64(table.foot.filter))
	}
}

// TestDescriptorsUsed checks that of files that are open the one is closed
// first that was not read since all were looked at.
func TestDescriptorsUsed(t *testing.T) {
	m := NewMemFS()
	o := &descriptors{limit: 3}
	var handles []*handle
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		m.put(name, []byte(name))
		handles = append(handles, &handle{files: o, fsys: m, name: filepath.Join("db", name)})
	}
	read := func(i int) {
		t.Helper()
		_, err := handles[i].ReadAt(make([]byte, 1), 0)
		must(t, err)
	}
	open := func() (names string) {
		for _, h := range handles {
			if h.file.Load() != nil {
				names += filepath.Base(h.name)
			}
		}
		return names
	}

	for i := range 4 {
		read(i)
	}
	equal(t, "open files when all were read", open(), "bcd")
	read(2)
	read(4)
	equal(t, "open files when b was not", open(), "cde")
	for _, h := range handles {
		must(t, h.close())
	}
	must(t, m.leaks())
}

// TestPassed checks that each delete which a reader passes is counted once, in
// groups of manyPassed, while the table may have the next key.
func TestPassed(t *testing.T) {
	lim := limits{versions: 1 << 20, edits: 1 << 20}
	db, err := openWith("db", &Options{FS: NewMemFS(), Durability: NoSync}, testNonce(1), lim)
	must(t, err)
	const n = 10 * manyPassed
	b := new(Batch)
	b.Set([]byte("!"), nil)
	b.Set([]byte("~"), nil)
	must(t, db.Apply(t.Context(), b), db.Flush(t.Context()))
	b.Reset()
	for i := range n {
		b.Delete(fmt.Appendf(nil, "%03d", i))
	}
	must(t, db.Apply(t.Context(), b), db.Flush(t.Context()))

	table := db.state.Load().tables.levels[0][1]
	it := db.Scan(nil, nil)
	equal(t, "First and Next", it.First() && it.Next(), true)
	equal(t, "where they lead to", string(it.Key()), "~")
	equal(t, "deletes that are counted", table.skips.Load(), n-manyPassed)
	equal(t, "Last and Prev", it.Last() && it.Prev(), true)
	equal(t, "where they lead to", string(it.Key()), "!")
	equal(t, "deletes that are counted both ways", table.skips.Load(), 2*(n-manyPassed))
	must(t, it.Close())
	closeDB(t, db)
}

// TestMovable checks which tables go to another level as they are: those that
// share no key and overlap little of the level after, and whose deletes and
// held versions would not lie in the last level.
func TestMovable(t *testing.T) {
	db := memDB(t, Options{})
	v := new(tableSet)
	below := sized(uint64(maxOverlap*db.lim.table), "a", "z")
	v.levels[6] = []*dbTable{below}
	movable := func(to int, tables ...*dbTable) bool {
		c := &compaction{from: to - 1, to: to}
		for _, table := range tables {
			c.take(to-1, table)
		}
		return db.movable(v, c)
	}

	a, b, c := sized(1, "a", "b"), sized(1, "b", "c"), sized(1, "c\x00", "d")
	equal(t, "a table over as much as may be", movable(5, a), true)
	equal(t, "tables that share a key", movable(5, a, b), false)
	equal(t, "tables that share none", movable(5, b, c), true)
	equal(t, "the same in another order", movable(5, c, b), true)
	below.tableMeta.size++
	equal(t, "a table over a byte more", movable(5, a), false)
	equal(t, "two of which one is over more", movable(5, a, sized(1, "zz", "zz")), false)
	equal(t, "a table beside it", movable(5, sized(1, "zz", "zz")), true)
	equal(t, "a table that goes to the last level", movable(6, a), true)

	a.deletes = 1
	b.held = true
	for what, table := range map[string]*dbTable{"deletes": a, "held versions": b} {
		equal(t, "a table with "+what+" that goes to the last level", movable(6, table), false)
		equal(t, "a table with "+what+" that goes to the one before", movable(4, table), true)
	}
}

// TestIndexAscends checks that the separators of an index ascend, and that no
// two are equal: a key would have two blocks.
func TestIndexAscends(t *testing.T) {
	for _, c := range []struct {
		list string
		want error
	}{{"ab", nil}, {"aa", errDamaged}, {"ba", errDamaged}, {"abb", errDamaged}} {
		var x indexBuilder
		for i := range c.list {
			x.addBlock([]byte("key"+c.list[i:i+1]), int64(8*i+8))
		}
		b, err := x.appendIndex(nil)
		must(t, err)
		_, err = parseIndex(b)
		equal(t, fmt.Sprintf("separators %q: there is an error", c.list), err != nil, c.want != nil)
		isError(t, fmt.Sprintf("separators %q", c.list), err, c.want)
	}
}
