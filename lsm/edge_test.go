// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"fmt"
	"path/filepath"
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
