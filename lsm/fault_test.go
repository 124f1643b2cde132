// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// leaks returns an error if files of m are open or locked.
func (m *MemFS) leaks() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open > 0 || len(m.locks) > 0 {
		return fmt.Errorf("%d files are open, locks %v", m.open, m.locks)
	}
	return nil
}

// TestFaults makes every operation of the file system fail in turn, once or from then on. Whatever
// fails, nothing hangs and no file or goroutine is left, and what was acknowledged is there when
// the database is opened again, also if power fails before that. In the bubble a goroutine that waits
// for ever, or is left running, ends the test.
func TestFaults(t *testing.T) {
	failures := []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE, io.ErrShortWrite}
	step := int64(1)
	if testing.Short() {
		step = 5
	}
	if raceEnabled {
		step = 25
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

// faultRound fails operation n, and reports whether there were as many.
func faultRound(t *testing.T, n int64, failure error, forever bool) (more bool) {
	m, s := NewMemFS(), new(script)
	var mu sync.Mutex
	m.Inject(func(op FSOp) error {
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
		t.Errorf("%s: unexpected %v", at, err)
	}
	m.Inject(nil)
	if err := m.leaks(); err != nil {
		t.Errorf("%s: %v", at, err)
	}
	for _, c := range []CrashConfig{{}, {Keep: 0.5, Seed: uint64(n)}, {Keep: 1}} {
		if _, err := checkCrash(m.CrashClone(c), s.acked.Load(), s.begun.Load(), 1, false); err != nil {
			t.Errorf("%s: after a crash %+v: %v", at, c, err)
		}
	}
	// What a failed sync has left may be in the cache of the system, and will never be on the disk.
	if _, err := checkKill(m, s.acked.Load(), s.kept.Load(), s.begun.Load(), 1, n%4 == 0 || failure == syscall.EIO && !forever); err != nil {
		t.Errorf("%s: after a reopen: %v", at, err)
	}
	return more
}

// faultScript commits, closes and reopens until something fails, and reads after that.
func faultScript(m *MemFS, s *script) (err error) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2 {
		db, err := Open("db", &Options{FS: m, LogSize: minLogSize, StallTimeout: time.Minute})
		if err != nil {
			return err
		}
		for range 14 {
			if err = s.commit(db, Durability(rng.IntN(3))); err != nil {
				break
			}
			if rng.IntN(8) == 0 {
				if err = s.sync(db); err != nil {
					break
				}
			}
			synctest.Wait() // the next log is made now, and not some time: runs are equal
		}
		if err != nil {
			// Reads go on: all that was acknowledged is seen.
			if _, rerr := db.Get([]byte("last")); rerr != nil && s.kept.Load() > 0 {
				err = fmt.Errorf("reading fails after %w: %w", err, rerr)
			}
		}
		if cerr := db.Close(); err == nil && cerr == nil {
			s.acked.Store(s.begun.Load())
		} else if err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestFaultsConcurrent fails operations under several writers that wait for each other.
func TestFaultsConcurrent(t *testing.T) {
	for n := int64(8); n < 60; n++ {
		synctest.Test(t, func(t *testing.T) {
			m := NewMemFS()
			db, err := Open("db", &Options{FS: m, LogSize: minLogSize, StallTimeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			m.Inject(func(op FSOp) error {
				if op.N >= n {
					return syscall.EIO
				}
				return nil
			})
			var wg sync.WaitGroup
			failed := make([]int, 4)
			for w := range failed {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					for range 20 {
						b := new(Batch)
						b.Set([]byte{byte(w)}, make([]byte, 100))
						b.SetDurability(Durability(w % 3))
						if err := db.Apply(ctx, b); err != nil {
							failed[w]++
							if !errors.Is(err, ErrReadOnly) && !errors.Is(err, ErrStalled) {
								t.Errorf("operation %d: %v", n, err)
							}
						}
					}
				})
			}
			wg.Wait()
			if err := db.Close(); err == nil {
				t.Errorf("operation %d: Close succeeded", n)
			}
			if _, err := db.Get(nil); !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
			m.Inject(nil)
			if err := m.leaks(); err != nil {
				t.Error(err)
			}
		})
	}
}

// testFiles returns the files of a database of less than 4 KiB that holds commits 1 to n of a
// script, closed or still open.
func testFiles(t testing.TB, n int64, closed bool) *MemFS {
	t.Helper()
	m, s := NewMemFS(), new(script)
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, rand.New(rand.NewPCG(1, 2)).Uint64)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := s.commit(db, Sync); err != nil {
			t.Fatal(err)
		}
	}
	if !closed {
		live := m.CrashClone(CrashConfig{Keep: 1})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return live
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

var flips = flag.Bool("flips", false, "damage every bit, and not one of each byte")

// openDamaged opens a copy of m whose file name was damaged, and returns its state.
func openDamaged(m *MemFS, name string, damage func([]byte) []byte) (i int64, err error) {
	c := m.CrashClone(CrashConfig{Keep: 1})
	f := c.dirs["db"].live[name]
	f.live = damage(f.live)
	f.durable = append([]byte(nil), f.live...)
	db, err := Open("db", &Options{FS: c, LogSize: minLogSize})
	if lerr := c.leaks(); err != nil && lerr != nil {
		return 0, lerr
	}
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return readState(db)
}

// TestFlips damages every byte of a closed database, which answers correctly or with ErrCorrupt, and
// of one that was open when the machine stopped, which may lack the last commit.
func TestFlips(t *testing.T) {
	const n = 8
	for _, closed := range []bool{true, false} {
		m := testFiles(t, n, closed)
		for name, f := range m.dirs["db"].live {
			for off := 0; off < len(f.live); off += sweepStep() {
				masks := []byte{1 << (off % 8)}
				if *flips {
					masks = []byte{1, 2, 4, 8, 16, 32, 64, 128}
				}
				for _, mask := range masks {
					i, err := openDamaged(m, name, func(b []byte) []byte { b[off] ^= mask; return b })
					checkDamage(t, fmt.Sprintf("closed %t, %s[%d]^%d", closed, name, off, mask), i, err, n, closed, 1)
				}
			}
		}
	}
}

// TestTruncations cuts every file at every length. A log that was open cannot be told from one
// that a crash has cut, so it may lack more than one commit; what is there is right.
func TestTruncations(t *testing.T) {
	const n = 8
	for _, closed := range []bool{true, false} {
		m := testFiles(t, n, closed)
		for name, f := range m.dirs["db"].live {
			for size := 0; size < len(f.live); size += sweepStep() {
				i, err := openDamaged(m, name, func(b []byte) []byte { return b[:size] })
				checkDamage(t, fmt.Sprintf("closed %t, %s[:%d]", closed, name, size), i, err, n, closed, n)
			}
		}
	}
}

// sweepStep is how many bytes a sweep goes on at a time: all count if there is time.
func sweepStep() int {
	if testing.Short() || raceEnabled {
		return 5
	}
	return 1
}

func checkDamage(t *testing.T, what string, i int64, err error, n int64, closed bool, lost int64) {
	t.Helper()
	var corrupt *CorruptError
	switch {
	case err != nil && !errors.As(err, &corrupt):
		t.Errorf("%s: %v", what, err)
	case err != nil && (corrupt.File == "" || corrupt.Err == nil || !errors.Is(err, ErrCorrupt)):
		t.Errorf("%s: no place in %v", what, err)
	case err == nil && closed && i != n || err == nil && i < n-lost:
		t.Errorf("%s: commit %d is the last, and there is no error", what, i)
	}
}

// TestMissingFiles removes and exchanges files of a database with several logs.
func TestMissingFiles(t *testing.T) {
	for _, closed := range []bool{true, false} {
		m := testFiles(t, 60, closed)
		dir := m.dirs["db"].live
		logs := 0
		for name := range dir {
			c := m.CrashClone(CrashConfig{Keep: 1})
			delete(c.dirs["db"].live, name)
			db, err := Open("db", &Options{FS: c, LogSize: minLogSize})
			_, isLog := parseName(name, "", ".wal")
			if isLog {
				logs++
			}
			if err == nil {
				// A log that was made in advance, and not needed yet, is not missed.
				if i, err := readState(db); err != nil || i != 60 || closed {
					t.Errorf("closed %t, without %s: %d, %v", closed, name, i, err)
				}
				db.Close()
			} else if !errors.Is(err, ErrCorrupt) {
				t.Errorf("closed %t, without %s: %v", closed, name, err)
			}
		}
		if logs < 3 {
			t.Errorf("%d logs, want several", logs)
		}
		c := m.CrashClone(CrashConfig{Keep: 1})
		d := c.dirs["db"].live
		d[logName(1)], d[logName(2)] = d[logName(2)], d[logName(1)]
		if _, err := Open("db", &Options{FS: c}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("with exchanged logs: %v", err)
		}
	}
}

// TestStall fills the disk: commits wait, fail without a trace, and go on when there is space.
func TestStall(t *testing.T) {
	for _, failure := range []error{syscall.ENOSPC, syscall.EMFILE} {
		synctest.Test(t, func(t *testing.T) {
			m, s := NewMemFS(), new(script)
			db, err := Open("db", &Options{FS: m, LogSize: minLogSize, StallTimeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			var creates, atOnce atomic.Int64
			m.Inject(func(op FSOp) error { // the next log can be made, and none after that
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
			if !errors.Is(err, ErrStalled) || !errors.Is(err, failure) {
				t.Errorf("a commit without space: %v", err)
			}
			if creates.Load() < 10 || atOnce.Load() > 3 {
				t.Errorf("%d attempts, %d of them at once", creates.Load(), atOnce.Load())
			}
			for name, f := range m.dirs["db"].live {
				if len(f.live) > minLogSize {
					t.Errorf("%s has %d bytes, more than were allocated", name, len(f.live))
				}
			}
			if db.used < db.log.off {
				t.Errorf("%d bytes of %d are accounted for", db.used, db.log.off)
			}
			time.Sleep(5 * time.Second)
			n := creates.Load()
			if time.Sleep(time.Hour); creates.Load() != n {
				t.Errorf("%d attempts when nobody waits", creates.Load()-n)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if err := db.Apply(ctx, scriptBatch(s.begun.Load())); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrStalled) {
				t.Errorf("a commit whose context ends: %v", err)
			}
			if d := time.Since(start); d != time.Second {
				t.Errorf("it waited %v", d)
			}
			if _, err := db.Get([]byte("last")); err != nil {
				t.Error(err)
			}
			s.begun.Add(-1) // it has not happened
			time.AfterFunc(30*time.Second, func() { m.Inject(nil) })
			if err := s.commit(db, Sync); err != nil {
				t.Errorf("when there is space again: %v", err)
			}
			if i, err := readState(db); err != nil || i != s.begun.Load() {
				t.Errorf("commit %d, %v", i, err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if err := m.leaks(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOpenMissing checks what Open says of databases that are there or not.
func TestOpenMissing(t *testing.T) {
	m := NewMemFS()
	for _, o := range []Options{{ReadOnly: true}, {ErrorIfMissing: true}} {
		o.FS = m
		if _, err := Open("db", &o); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	db, err := Open("db", &Options{FS: m, ErrorIfExists: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open("db", &Options{FS: m}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second Open: %v", err)
	}
	if _, err := Open("db", &Options{FS: m, ReadOnly: true}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second Open: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("db", &Options{FS: m, ErrorIfExists: true}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("ErrorIfExists: %v", err)
	}
	if err := m.leaks(); err != nil {
		t.Error(err)
	}
}
