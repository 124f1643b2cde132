// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaults checks that whichever operation of the file system fails, once or
// from then on, nothing hangs, no file or goroutine is left, and everything
// that was acknowledged is there when the database is opened again, also if
// power fails before that. In the bubble a goroutine that waits forever, or is
// left running, ends the test.
func TestFaults(t *testing.T) {
	failures := []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE, io.ErrShortWrite}
	step := int64(29)
	switch {
	case *all:
		step = 1
	case raceEnabled:
		step = 199
	case testing.Short():
		step = 83
	}
	runs := 0
	for kind, failure := range failures {
		for _, forever := range []bool{false, true} {
			for n := int64(1) + int64(kind)%step; ; n += step {
				more := true
				synctest.Test(t, func(t *testing.T) { more = faultRound(t, n, failure, forever) })
				if runs++; !more || t.Failed() {
					break
				}
			}
		}
	}
	t.Logf("%d runs", runs)
}

// faultRound fails operation n, and reports whether there were as many. It runs
// in a bubble.
func faultRound(t *testing.T, n int64, failure error, forever bool) (more bool) {
	m := NewMemFS()
	s := new(script)
	var mu sync.Mutex
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" {
			time.Sleep(time.Millisecond) // so that others come while it runs
		}
		mu.Lock()
		defer mu.Unlock()
		if op.N == n || forever && op.N > n {
			more = true
			return failure
		}
		return nil
	})

	at := fmt.Sprintf("operation %d, %v, forever %t", n, failure, forever)
	err := faultScript(m, s)
	if err != nil && !errors.Is(err, failure) && !errors.Is(err, ErrReadOnly) && !errors.Is(err, ErrStalled) {
		t.Errorf("%s: got %v, want that failure, ErrReadOnly or ErrStalled", at, err)
	}
	m.Inject(nil)
	if err := m.leaks(); err != nil {
		t.Errorf("%s: %v, want no error", at, err)
	}
	for _, c := range []CrashConfig{{}, {Keep: 0.5, Seed: uint64(n)}, {Keep: 1}} {
		if _, err := checkCrash(m.CrashClone(c), s.acked.Load(), s.begun.Load(), 1, false); err != nil {
			t.Errorf("%s: after a crash %+v: %v, want no error", at, c, err)
		}
	}

	// The cache of the system may have what a failed sync left, and the disk
	// will never have it.
	deep := n%4 == 0 || errors.Is(failure, syscall.EIO) && !forever
	if _, err := checkKill(m, s.acked.Load(), s.kept.Load(), s.begun.Load(), 1, deep); err != nil {
		t.Errorf("%s: after a reopen: %v, want no error", at, err)
	}
	return more
}

// faultScript commits, closes and reopens until something fails, and reads
// after that. Others wait for the same groups.
func faultScript(m *MemFS, s *script) (err error) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2 {
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize, StallTimeout: time.Minute}, rand.Uint64, scriptLimits)
		if err != nil {
			return err
		}
		for range 14 {
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { _ = db.Sync(context.Background()) }) // ends with its group; the commit looks at the error
			}
			err = s.commit(db, Durability(rng.IntN(3)))
			wg.Wait()
			if err != nil {
				break
			}
			if rng.IntN(8) == 0 {
				if err = s.sync(db); err != nil {
					break
				}
			}
			synctest.Wait() // the next log is made now, and not some time: runs are equal
		}

		// Reads go on: everything that was acknowledged is seen.
		if err != nil {
			if _, rerr := db.Get([]byte("last")); rerr != nil && s.kept.Load() > 0 {
				err = fmt.Errorf("reading fails after %w: %w", err, rerr)
			}
		}
		cerr := db.Close()
		switch {
		case err == nil && cerr == nil:
			s.acked.Store(s.begun.Load())
			s.kept.Store(s.begun.Load())
		case err == nil:
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestFaultsConcurrent checks that several writers that wait for each other,
// and for those that do not come to lead, all learn of a failure.
func TestFaultsConcurrent(t *testing.T) {
	for n := int64(8); n < 60; n++ {
		synctest.Test(t, func(t *testing.T) { faultsConcurrentRound(t, n) })
	}
}

// faultsConcurrentRound fails operations from n on. It runs in a bubble.
func faultsConcurrentRound(t *testing.T, n int64) {
	m := NewMemFS()
	db, err := Open("db", &Options{FS: m, LogSize: minLogSize, StallTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var first atomic.Bool
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" || op.Kind == "write" {
			time.Sleep(time.Millisecond)
		}
		if op.N >= n {
			first.Store(true)
			return syscall.EIO
		}
		return nil
	})

	var wg sync.WaitGroup
	var failed atomic.Int64
	start := time.Now()
	for w := range 6 {
		wg.Go(func() { // ends after 20 commits
			for range 20 {
				b := new(Batch)
				b.Set([]byte{byte(w)}, make([]byte, 100))
				b.SetDurability(Durability(w % 3))
				if err := db.Apply(t.Context(), b); err != nil {
					failed.Add(1)
					if !errors.Is(err, ErrReadOnly) && !errors.Is(err, ErrStalled) {
						t.Errorf("operation %d: got %v, want ErrReadOnly or ErrStalled", n, err)
					}
				}
			}
		})
	}
	wg.Wait()
	if d := time.Since(start); d > time.Minute {
		t.Errorf("operation %d: it took %v", n, d)
	}
	equal(t, fmt.Sprintf("operation %d failed", n), first.Load(), true)
	if failed.Load() == 0 {
		t.Errorf("operation %d: got no commit that failed, want some", n)
	}

	if err := db.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("operation %d: Close: got %v, want EIO", n, err)
	}
	if _, err := db.Get(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
	m.Inject(nil)
	if err := m.leaks(); err != nil {
		t.Error(err)
	}
}

// TestStall checks that commits on a full disk wait, fail without a trace, and
// go on when there is space.
func TestStall(t *testing.T) {
	for _, failure := range []error{syscall.ENOSPC, syscall.EMFILE} {
		synctest.Test(t, func(t *testing.T) { stallRound(t, failure) })
	}
}

// stallRound runs in a bubble.
func stallRound(t *testing.T, failure error) {
	m := NewMemFS()
	s := new(script)
	db, err := Open("db", &Options{FS: m, LogSize: minLogSize, StallTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}

	// The next log can be made, and none after that.
	begin := time.Now()
	var creates, atOnce atomic.Int64
	m.Inject(func(op FSOp) error {
		if op.Kind != "create" {
			return nil
		}
		if time.Since(begin) == 0 {
			atOnce.Add(1)
		}
		if creates.Add(1) > 1 {
			return failure
		}
		return nil
	})
	for err == nil {
		err = s.commit(db, Sync)
		synctest.Wait()
	}
	isError(t, "a commit without space", err, ErrStalled, failure)
	if n := creates.Load(); n < 10 {
		t.Errorf("got %d attempts, want at least 10", n)
	}
	if n := atOnce.Load(); n > 3 {
		t.Errorf("got %d attempts at once, want at most 3", n)
	}
	wantSizes(t, "a full disk", m)
	equal(t, "stalls", db.Stats().Stalls, 1)

	// Nobody waits.
	time.Sleep(5 * time.Second)
	n := creates.Load()
	time.Sleep(time.Hour)
	if got := creates.Load(); got != n {
		t.Errorf("%d attempts when nobody waits, want none", got-n)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	err = db.Apply(ctx, scriptBatch(s.begun.Load()))
	isError(t, "a commit whose context ends", err, ErrStalled, context.DeadlineExceeded)
	if d := time.Since(start); d != time.Second {
		t.Errorf("it waited %v, want 1s", d)
	}
	if _, err := db.Get([]byte("last")); err != nil {
		t.Error(err)
	}

	s.begun.Add(-1) // it has not happened
	time.AfterFunc(30*time.Second, func() { m.Inject(nil) })
	if err := s.commit(db, Sync); err != nil {
		t.Errorf("when there is space again: %v, want no error", err)
	}
	wantLast(t, "when there is space again", db, s.begun.Load())
	closeDB(t, db)
	if err := m.leaks(); err != nil {
		t.Error(err)
	}
}

// TestStallTimeout checks that a commit waits no longer than StallTimeout and
// counts as one stall, though others that need no log go on meanwhile.
func TestStallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := memDB(t, Options{FS: m, LogSize: minLogSize, StallTimeout: time.Second})
		m.Inject(func(op FSOp) error {
			if op.Kind == "create" {
				return syscall.ENOSPC
			}
			return nil
		})
		var wg sync.WaitGroup
		wg.Go(func() { // ends after 3 seconds
			for range 30 {
				set(t, db, "small", "", NoSync)
				time.Sleep(time.Second / 10)
			}
		})

		start := time.Now()
		isError(t, "a commit that is longer than the log", db.Set(nil, make([]byte, minLogSize)), ErrStalled, syscall.ENOSPC)
		equal(t, "its time", time.Since(start), time.Second)
		wg.Wait()
		equal(t, "stalls", db.Stats().Stalls, 1)
		m.Inject(nil)
	})
}

// TestStallGivenUp checks that nothing is left of a commit that gave up waiting
// for a long log: the logs that follow have the usual size.
func TestStallGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := smallDisk{NewMemFS(), new(atomic.Bool), true}
		db := memDB(t, Options{FS: disk, LogSize: minLogSize, StallTimeout: time.Second})
		disk.full.Store(true)
		isError(t, "a long commit", db.Set(nil, make([]byte, 3*minLogSize)), ErrStalled, syscall.ENOSPC)
		disk.full.Store(false)
		for range 20 {
			set(t, db, "a", string(make([]byte, 500)), Sync)
			synctest.Wait()
			wantSizes(t, "after a long commit gave up", disk.MemFS)
		}
		if got := db.Stats().Logs; got < 2 {
			t.Errorf("got %d logs, want several", got)
		}
	})
}

// TestOpenFails checks that Open fails if anything fails that makes its result
// durable, but for lack of room.
func TestOpenFails(t *testing.T) {
	folds, _ := unfolded(t)
	for i, base := range []*MemFS{NewMemFS(), testFiles(t, 8, true), testFiles(t, 8, false), folds} {
		steps := 0
		for n, more := 1, true; more; n++ {
			more = false
			m := base.CrashClone(CrashConfig{Keep: 1})
			steps = 0
			at := ""
			m.Inject(func(op FSOp) error {
				switch op.Kind {
				case "create", "openwrite", "write", "preallocate", "sync", "syncdir", "rename":
					if steps++; steps == n {
						more = true
						at = fmt.Sprintf("files %d, %s %s", i, op.Kind, op.Name)
						return syscall.EIO
					}
				}
				return nil
			})

			db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
			if more {
				isError(t, at, err, syscall.EIO)
			}
			m.Inject(nil)
			if err == nil {
				closeDB(t, db)
			}
		}
		if steps < 6 {
			t.Errorf("files %d: %d steps, want several", i, steps)
		}
	}
}

// TestSealAgain checks that a seal whose sync lacked room is written again
// where it was: a later sync would not make the first one durable.
func TestSealAgain(t *testing.T) {
	m := testFiles(t, 8, false)
	name := filepath.Join("db", logName(1))
	syncs := 0
	m.Inject(func(op FSOp) error {
		if op.Kind == "sync" && op.Name == name {
			if syncs++; syncs == 2 { // the first makes durable what was read
				return syscall.ENOSPC
			}
		}
		return nil
	})
	db := openMem(t, m)
	equal(t, "syncs of the log before", syncs, 2)
	set(t, db, "after", "1", Sync)
	crashed := openMem(t, m.CrashClone(CrashConfig{}))
	wantValue(t, "after a crash", crashed, "after", "1")
	closeDB(t, crashed)
	closeDB(t, db)
}

// TestStallOfLong checks that a commit which waits in vain for a long log holds
// up no other, for which the next log is long enough: neither one that comes
// while space is looked for, nor a long one that still waits when it gives up.
func TestStallOfLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := memDB(t, Options{FS: m, LogSize: minLogSize, StallTimeout: 10 * time.Second})
		set(t, db, "first", string(make([]byte, minLogSize*3/4)), Sync)
		synctest.Wait() // the next log is there
		var full atomic.Bool
		full.Store(true)
		m.Inject(func(op FSOp) error {
			if op.Kind == "preallocate" && full.Load() {
				time.Sleep(time.Second)
				return syscall.ENOSPC
			}
			return nil
		})

		var wg sync.WaitGroup
		long := func(want error) { isError(t, "a long commit", db.Set(nil, make([]byte, 3*minLogSize)), want) }
		wg.Go(func() { long(syscall.ENOSPC) }) // ends after 10 seconds
		synctest.Wait()
		start := time.Now()
		set(t, db, "second", string(make([]byte, minLogSize/2)), Sync)
		if d := time.Since(start); d > time.Second {
			t.Errorf("a commit of the usual size waited %v, want at most 1s", d)
		}

		time.Sleep(6 * time.Second)
		wg.Go(func() { long(nil) }) // ends when there is space
		time.Sleep(6 * time.Second)
		full.Store(false)
		wg.Wait()
		if d := time.Since(start); d > 16*time.Second {
			t.Errorf("a long commit got space after %v, want 16s at most", d)
		}
	})
}

// A smallDisk is a MemFS with room for so many bytes, as long as it is full.
// Like an old disk it may be unable to reserve them.
type smallDisk struct {
	*MemFS
	full    *atomic.Bool
	reserve bool
}

func (d smallDisk) Create(name string) (File, error) {
	f, err := d.MemFS.Create(name)
	return smallFile{f, d}, err
}

func (d smallDisk) OpenWrite(name string) (File, error) {
	f, err := d.MemFS.OpenWrite(name)
	return smallFile{f, d}, err
}

type smallFile struct {
	File
	disk smallDisk
}

// WriteAt fails if it makes the file longer while the disk is full.
func (f smallFile) WriteAt(p []byte, off int64) (int, error) {
	size, err := f.Size()
	if err == nil && f.disk.full.Load() && off+int64(len(p)) > size {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(p, off)
}

func (f smallFile) Preallocate(size int64) error {
	now, err := f.Size()
	switch {
	case err != nil:
		return err
	case !f.disk.reserve:
		return errors.ErrUnsupported
	case f.disk.full.Load() && size > now:
		return syscall.ENOSPC
	}
	return f.File.Preallocate(size)
}

// TestFullDisk checks that a disk without any space makes commits wait, and
// never fail for good: those that fit into the log, those that need the next,
// and those that are longer than a log, whether space can be reserved or not.
// A database that was full when its process died opens, reads, and goes on.
func TestFullDisk(t *testing.T) {
	for _, reserve := range []bool{true, false} {
		for _, large := range []int{100, 3 * minLogSize} {
			synctest.Test(t, func(t *testing.T) { fullDiskRound(t, reserve, large) })
		}
	}
}

// fullDiskRound runs in a bubble.
func fullDiskRound(t *testing.T, reserve bool, large int) {
	disk := smallDisk{NewMemFS(), new(atomic.Bool), reserve}
	o := &Options{FS: disk, LogSize: minLogSize, StallTimeout: time.Second}
	db, err := Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	for db.logs.next == nil { // one more log of the usual size is ready
		set(t, db, "first", string(make([]byte, 500)), Sync)
		synctest.Wait()
	}
	disk.full.Store(true)
	n := 0
	for err == nil {
		if err = db.Set(fmt.Append(nil, n), make([]byte, large)); err == nil {
			n++
		}
	}
	isError(t, fmt.Sprintf("after %d commits", n), err, ErrStalled, syscall.ENOSPC)
	if large < minLogSize && n == 0 {
		t.Errorf("got no commit of %d bytes, want some", large)
	}
	if large > minLogSize {
		if err := db.Set([]byte("small"), nil); err != nil { // there is room for it
			t.Errorf("a small commit after a large one: %v", err)
		}
	}

	// The process dies, and the database is opened while the disk is full.
	disk.MemFS = disk.killClone()
	old := db
	o.FS = disk
	if db, err = Open("db", o); err != nil {
		t.Fatalf("reserve %t, large %d: Open on a full disk: %v, want no error", reserve, large, err)
	}
	for i := range n {
		wantHas(t, "opened on a full disk", db, fmt.Sprint(i), true)
	}
	isError(t, "a commit, opened on a full disk", db.Set([]byte("more"), nil), ErrStalled, syscall.ENOSPC)

	// Closed like that, it is as it was.
	closeDB(t, db)
	if db, err = Open("db", o); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Second/2, func() { disk.full.Store(false) })
	if err := db.Set([]byte("more"), make([]byte, large)); err != nil {
		t.Errorf("when there is space: %v, want no error", err)
	}
	closeDB(t, db)
	closeDB(t, old)
	if db, err = Open("db", o); err != nil {
		t.Fatal(err)
	}
	wantHas(t, "when there was space", db, "more", true)
	closeDB(t, db)
	if err := disk.leaks(); err != nil {
		t.Error(err)
	}
}
