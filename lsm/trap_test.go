// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestTrapVisibleBeforeDurable checks for a commit that is published before its
// log is synced, as in Pebble: a reader acts on data that a loss of power then
// takes back.
func TestTrapVisibleBeforeDurable(t *testing.T) {
	m := NewMemFS()
	db := openMem(t, m)
	defer closeDB(t, db)
	syncs := 0
	m.Inject(func(op FSOp) error {
		if ok, _ := db.Has([]byte("a")); ok {
			t.Errorf("visible before %s %s", op.Kind, op.Name)
		}
		if op.Kind == "sync" {
			syncs++
		}
		return nil
	})
	isError(t, "Set", db.Set([]byte("a"), nil), nil)
	m.Inject(nil)
	equal(t, "syncs", syncs, 1)
	wantHas(t, "after the sync", db, "a", true)
}

// TestTrapFailedCommitHoldsQueue checks for a failed commit that keeps its
// place in the queue, as in Pebble, so that later ones wait forever. All fail,
// those that wait and those that come.
func TestTrapFailedCommitHoldsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := openMem(t, m)
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" {
				time.Sleep(time.Second)
				return syscall.EIO
			}
			return nil
		})

		var failed atomic.Int64

		for i := range 20 {
			go func() {
				b := new(Batch)
				b.Set([]byte{byte(i)}, nil)
				b.SetDurability(Durability(i % 3))
				if err := db.Apply(context.Background(), b); errors.Is(err, syscall.EIO) && errors.Is(err, ErrReadOnly) {
					failed.Add(1)
				}
			}()
			synctest.Wait()
		}

		time.Sleep(time.Minute)
		if n := failed.Load(); n != 20 {
			t.Errorf("%d commits failed, want 20", n)
		}
		if err := db.Set(nil, nil); !errors.Is(err, ErrReadOnly) {
			t.Error(err)
		}
		if err := db.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("Close: %v, want EIO", err)
		}
	})
}

// TestTrapSyncRetried checks for a sync that is tried again after it failed,
// and succeeds because the kernel has marked the pages clean (Rebello et al.,
// "Can applications recover from fsync failures?", USENIX ATC 2020;
// cockroachdb/pebble@4e40d1dc4).
func TestTrapSyncRetried(t *testing.T) {
	m, s := NewMemFS(), new(script)
	db := openMem(t, m)
	if err := s.commit(db, Sync); err != nil {
		t.Fatal(err)
	}

	syncs := 0
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" {
			if syncs++; syncs == 1 {
				return syscall.EIO
			}
		}
		return nil
	})

	for range 3 {
		if err := s.commit(db, Sync); !errors.Is(err, syscall.EIO) {
			t.Errorf("a commit after a failed sync: %v, want EIO", err)
		}
		if err := s.sync(db); !errors.Is(err, syscall.EIO) {
			t.Errorf("Sync after a failed sync: %v, want EIO", err)
		}
	}

	wantValue(t, "after a failed sync", db, "last", "1")
	isError(t, "Close", db.Close(), syscall.EIO)
	equal(t, "syncs", syncs, 1)

	if _, err := checkCrash(m.CrashClone(CrashConfig{}), 1, 4, 1, false); err != nil {
		t.Error(err)
	}
}

// records returns the offsets of the records in a log.
func records(t *testing.T, m *MemFS, name string) (offs []int64, sealed bool) {
	t.Helper()
	r, err := openLog(m, filepath.Join("db", name))
	if err != nil {
		t.Fatal(err)
	}
	for {
		h, _, n, err := r.recordAt(r.end)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		offs = append(offs, r.end)
		sealed = h.kind == recordSeal
		r.end += n
	}
	if err := r.f.Close(); err != nil {
		t.Error(err)
	}
	return offs, sealed
}

// TestTrapWatermark checks for a log whose mark of what is durable was stored
// only if a metric was on, so that damage of it passed for its end
// (cockroachdb/pebble@d40d24140). Damage of any record that was acknowledged,
// except the last, is found.
func TestTrapWatermark(t *testing.T) {
	m := testFiles(t, 5, false)
	name := logName(1)
	offs, _ := records(t, m, name)
	if len(offs) != 5 {
		t.Fatalf("%d records, want 5", len(offs))
	}
	for i, off := range offs {
		for _, at := range []int64{off + 4, off + recordHeadLen + 3} {
			n, err := openDamaged(m, name, func(b []byte) []byte { b[at] ^= 1; return b })
			if i == len(offs)-1 {
				isError(t, "damage in the last record", err, nil)
				equal(t, "damage in the last record: the last commit", n, 4)
				continue
			}

			var c *CorruptError
			if !errors.As(err, &c) {
				t.Errorf("damage at %d: commit %d, %v, want ErrCorrupt", at, n, err)
				continue
			}
			equal(t, fmt.Sprintf("damage at %d: the file", at), c.File, filepath.Join("db", name))
			equal(t, fmt.Sprintf("damage at %d: the offset", at), c.Offset, off)
		}
	}
}

// TestTrapStaleRecords checks a log in blocks that another log has used:
// RocksDB has had to turn the recycling of logs off in its crash test, because
// records of the old one came back.
func TestTrapStaleRecords(t *testing.T) {
	for closed := range 2 {
		old, m := testFiles(t, 6, false), NewMemFS()
		db := openMem(t, m)
		if closed == 1 {
			closeDB(t, db)
		} else {
			m = m.CrashClone(CrashConfig{Keep: 1})
		}
		f, stale := m.dirs["db"].live[logName(1)], old.dirs["db"].live[logName(1)]
		copy(f.live[logHeaderLen:], stale.live[logHeaderLen:])
		db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
		if err != nil {
			t.Fatal(err)
		}
		wantLast(t, "records of another log", db, 0)
		closeDB(t, db)
	}
}

// TestTrapStaleTail checks for a record that survived a crash behind one that
// did not, and comes back when another of the same length is written before it.
func TestTrapStaleTail(t *testing.T) {
	m := NewMemFS()
	db := openMem(t, m)
	set := func(db *DB, key string, d Durability) {
		b := new(Batch)
		b.Set([]byte(key), nil)
		b.SetDurability(d)
		if err := db.Apply(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	set(db, "a", NoSync)
	set(db, "b", NoSync)
	after := m.CrashClone(CrashConfig{Keep: 1})
	closeDB(t, db)
	clear(after.dirs["db"].live[logName(1)].live[logHeaderLen : logHeaderLen+recordHeadLen])
	for _, key := range []string{"c", "d"} {
		db = openMem(t, after)
		set(db, key, Sync)
		wantHas(t, "after a crash that has lost it", db, "b", false)
		after = after.CrashClone(CrashConfig{Keep: 1})
		closeDB(t, db)
	}
}

// TestTrapHoleBetweenLogs checks for a log that survives while the end of the
// one before does not, so that the recovered commits are no prefix: why
// RocksDB's crash test does without wal_bytes_per_sync.
func TestTrapHoleBetweenLogs(t *testing.T) {
	m := NewMemFS()
	s := new(script)
	db := openMem(t, m)
	logs := 0
	m.Inject(func(op FSOp) error {
		no, ok := parseName(filepath.Base(op.Name), "", ".wal")
		if op.Kind == "write" && ok && db.logs.current.no == no && no > 1 {
			logs++
			// The log before is durable, with its seal, though no commit asked
			// for it.
			if _, sealed := records(t, m.CrashClone(CrashConfig{}), logName(no-1)); !sealed {
				t.Errorf("log %d is written, and the one before is not sealed", no)
			}
		}
		return nil
	})
	for range 60 {
		if err := s.commit(db, NoSync); err != nil {
			t.Fatal(err)
		}
	}
	closeDB(t, db)
	if logs < 3 {
		t.Errorf("%d writes to later logs, want several", logs)
	}

	// And if it were so, it would be found.
	i, err := openDamaged(m, logName(1), func(b []byte) []byte { return b[:len(b)-sealLen] })
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("a hole before the second log: commit %d, %v, want ErrCorrupt", i, err)
	}
}

// TestTrapKilledThenPowerLoss checks a process that is killed before a sync, a
// database that is opened with the cache of the system, and a loss of power
// after that: our own first Open began the next log while the seal of the one
// before was only in the cache.
func TestTrapKilledThenPowerLoss(t *testing.T) {
	m, s := NewMemFS(), new(script)
	var killed []*MemFS
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" || op.Kind == "syncdir" {
			killed = append(killed, m.killClone())
		}
		return nil
	})

	db := openMem(t, m)

	for range 40 {
		if err := s.commit(db, NoSync); err != nil {
			t.Fatal(err)
		}
		db.idle() // one operation after the other
	}

	m.Inject(nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	for i, k := range killed {
		db := openMem(t, k)
		shown, err := readScript(db)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Set([]byte("unrelated"), nil); err != nil {
			t.Fatal(err)
		}
		after := k.CrashClone(CrashConfig{})
		closeDB(t, db)
		if db, err = Open("db", &Options{FS: after, LogSize: minLogSize}); err != nil {
			t.Errorf("killed before sync %d: %v, want no error", i, err)
			continue
		}
		if v, _ := db.Get([]byte("last")); shown > 0 && string(v) != fmt.Sprint(shown) {
			t.Errorf("killed before sync %d: commit %s is the last, %d was shown", i, v, shown)
		}
		closeDB(t, db)
	}

	if len(killed) < 10 {
		t.Errorf("%d syncs", len(killed))
	}
}

// TestTrapStallWithoutSignal checks for a commit that waits for a signal that
// nobody sends (cockroachdb/pebble@d4618d5f1, fjall-rs/fjall#257). A commit
// that waits for a log wakes when it is there, when writing fails, and when the
// database is closed.
func TestTrapStallWithoutSignal(t *testing.T) {
	for _, end := range []string{"space", "failure", "close"} {
		synctest.Test(t, func(t *testing.T) {
			m := NewMemFS()
			db := openMem(t, m)
			var full, broken atomic.Bool
			full.Store(true)
			m.Inject(func(op FSOp) error {
				if full.Load() && op.Kind == "create" {
					return syscall.ENOSPC
				}
				if broken.Load() && op.Kind == "sync" {
					return syscall.EIO
				}
				return nil
			})
			var wg sync.WaitGroup
			var done, failed atomic.Int64
			for i := range 20 {
				wg.Go(func() { // ends at the latest when the stall does
					if err := db.Set([]byte{byte(i)}, make([]byte, 500)); err != nil {
						failed.Add(1)
					} else {
						done.Add(1)
					}
				})
			}

			time.Sleep(5 * time.Second)
			if n := done.Load(); n == 0 || n == 20 {
				t.Errorf("got %d of 20 commits, want some and not all", n)
			}
			equal(t, "commits that failed meanwhile", failed.Load(), 0)
			start := time.Now()
			switch end {
			case "space":
				full.Store(false)
			case "failure":
				broken.Store(true)
				if err := db.Set(nil, nil); err == nil { // there is room for a small one
					t.Error("a commit on a broken disk")
				}
			case "close":
				closeDB(t, db)
			}
			wg.Wait()

			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("%s: they waited %v more", end, d)
			}
			equal(t, end+": all commits were made", failed.Load() == 0, end == "space")
			_ = db.Close() // the failure, or the second time
		})
	}
}

// TestTrapRotationUnderLock checks for a change of logs that syncs while it
// holds the lock of writers, 70 ms at a time (fjall-rs/fjall#282). Reads, Async
// commits and Stats go on while any operation of the file system takes its
// time, and the next log is made before it is needed.
func TestTrapRotationUnderLock(t *testing.T) {
	m := NewMemFS()
	db := openMem(t, m)
	m.Inject(func(op FSOp) error {
		if !db.commits.mu.TryLock() {
			// Another commit may hold it for a moment, but not while this
			// operation waits.
			db.commits.mu.Lock()
		}
		db.commits.mu.Unlock()
		return nil
	})
	made := make(chan struct{})
	s := new(script)
	go func() {
		defer close(made)
		for range 60 {
			if err := s.commit(db, NoSync); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	select {
	case <-made:
	case <-time.After(10 * time.Second):
		t.Fatal("an operation of the file system runs under the lock")
	}
	m.Inject(nil)
	if db.Stats().Logs == 0 {
		t.Error("there was no second log")
	}
	closeDB(t, db)

	synctest.Test(t, func(t *testing.T) { // commits go on while the next log is being made
		m := NewMemFS()
		db := openMem(t, m)
		var making atomic.Bool
		m.Inject(func(op FSOp) error {
			if op.Kind == "create" {
				making.Store(true)
				time.Sleep(time.Hour)
			}
			return nil
		})
		start := time.Now()
		for !making.Load() {
			if err := db.Set([]byte("a"), make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		isError(t, "a commit while a log is being made", db.Set([]byte("b"), nil), nil)
		equal(t, "its time", time.Since(start), 0)
		closeDB(t, db)
	})
}

// TestTrapCloseWaitsForRetry checks for a Close that hangs because something in
// the background sleeps (cockroachdb/pebble@01d4b24d7). It interrupts the
// pauses between attempts to make a log.
func TestTrapCloseWaitsForRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := openMem(t, m)
		m.Inject(func(op FSOp) error {
			if op.Kind == "create" {
				return syscall.EMFILE
			}
			return nil
		})
		for range 10 {
			go func() { _ = db.Set([]byte("a"), make([]byte, 900)) }() // ends when db is closed
		}
		time.Sleep(20*time.Second + 1)
		start := time.Now()
		closeDB(t, db)
		if d := time.Since(start); d != 0 {
			t.Errorf("Close took %v", d)
		}
	})
}

// TestTrapLeakInFailedOpen checks for a failed Open that leaves descriptors
// open, or closes the lock twice (cockroachdb/pebble@837c19b81).
func TestTrapLeakInFailedOpen(t *testing.T) {
	for _, base := range []*MemFS{NewMemFS(), testFiles(t, 8, true), testFiles(t, 8, false)} {
		more := true
		for n := int64(1); more; n++ {
			more = false
			m := base.CrashClone(CrashConfig{Keep: 1})
			m.Inject(func(op FSOp) error {
				if op.N == n {
					more = true
					return syscall.EMFILE
				}
				return nil
			})
			db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
			if err == nil {
				_ = db.Close() // it may be what fails
			} else if !errors.Is(err, syscall.EMFILE) {
				t.Errorf("operation %d: %v, want EMFILE", n, err)
			}

			m.Inject(nil)
			if err := m.leaks(); err != nil {
				t.Errorf("operation %d: %v, want no error", n, err)
			}
			if db, err = Open("db", &Options{FS: m, LogSize: minLogSize}); err != nil {
				t.Fatalf("operation %d, then Open: %v, want no error", n, err)
			}
			closeDB(t, db)
		}
	}
}

// TestTrapCrashCloneDeadlock checks for a MemFS that takes a read lock twice,
// as that of Pebble, which hung for 20 months of "flakes" when a writer came
// between (cockroachdb/pebble@b47118f16).
func TestTrapCrashCloneDeadlock(t *testing.T) {
	m := NewMemFS()
	m.Inject(func(op FSOp) error {
		m.CrashClone(CrashConfig{Keep: 0.5, Seed: uint64(op.N)})
		return nil
	})

	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 25 {
					name := filepath.Join("dir", fmt.Sprint(w, "-", i))
					f, err := m.Create(name)
					if err != nil {
						t.Error(err)
						return
					}
					_, werr := f.WriteAt([]byte("x"), 700)
					if err := errors.Join(werr, f.Sync(), f.Close(), m.SyncDir("dir"), m.Rename(name, name+"y"), m.Remove(name+"y")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}()

	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("deadlock")
	}
}

// TestTrapOptionsAliasing checks for a database that follows changes of its
// options after it was opened (cockroachdb/pebble@28e2c9df1).
func TestTrapOptionsAliasing(t *testing.T) {
	o := &Options{FS: NewMemFS()}
	db, err := Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	*o = Options{FS: NewMemFS(), Durability: Async, ReadOnly: true, Memory: 1}
	isError(t, "Set", db.Set(nil, nil), nil)
	equal(t, "syncs", db.Stats().Syncs, 1)
	closeDB(t, db)
}

// TestTrapHotKey checks a key that is written so often that a list of its
// versions would be quadratic. The tree orders versions as it does keys, so its
// height stays logarithmic.
func TestTrapHotKey(t *testing.T) {
	n := uint64(100_000)
	if raceEnabled || testing.Short() {
		n /= 10
	}
	m := newMemtable()
	key := []byte("the same key again and again")
	for i := uint64(1); i <= n; i++ {
		m.insert(key, []byte{byte(i)}, i, kindSet)
	}
	for i := uint64(1); i <= n; i += 37 {
		if v, _, ok := m.get(key, i); !ok || v[0] != byte(i) {
			t.Fatalf("version %d: got %v, %t, want %d, true", i, v, ok, byte(i))
		}
	}
	height := 1
	for k := m.root.Load(); k.kids != nil; height++ {
		k = k.kids[perm(k.perm.Load()).at(0)].Load()
	}
	if height > 7 { // half full nodes: log7(100,000) = 5.9
		t.Errorf("the height is %d", height)
	}
	if _, _, ok := m.get(key, 0); ok {
		t.Error("there is a version 0")
	}
}

// TestTrapCommonPrefix checks keys that begin with the same 24 bytes, for which
// the first 8 bytes decide nothing. Heads begin after the bytes that all keys
// of a node have in common.
func TestTrapCommonPrefix(t *testing.T) {
	for _, ascending := range []bool{true, false} {
		m := newMemtable()
		const n = 5000
		for i := range uint64(n) {
			k := i
			if !ascending {
				k = i * 2654435761 % n
			}
			m.insert(fmt.Appendf(nil, "https://example.org/u/00%08d", k), nil, i+1, kindSet)
		}

		leaf := m.root.Load()

		for leaf.kids != nil {
			leaf = leaf.kids[perm(leaf.perm.Load()).at(0)].Load()
		}

		leaves, blind := 0, 0

		for ; leaf != nil; leaf = leaf.next.Load() {
			leaves++
			p := perm(leaf.perm.Load())
			for i := 1; i < p.len(); i++ {
				if leaf.heads[p.at(i)] == leaf.heads[p.at(i-1)] {
					blind++
					break
				}
			}
			if got := m.key(leaf.refs[p.at(0)]); !bytes.HasPrefix(got, []byte("https://example.org/u/00")) {
				t.Fatal(got)
			}
		}

		if blind > 2 { // the first and the last leaf have one fence
			t.Errorf("ascending %t: in %d of %d leaves heads do not decide", ascending, blind, leaves)
		}
	}
}
