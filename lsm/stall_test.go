// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var fillTime = flag.Duration("fill", 10*time.Second, "how long TestSustainedFill commits")

// slowDisk makes the writes to tables in m take as long as they do on a disk
// that writes so many bytes a second, in the time of a bubble.
func slowDisk(m *MemFS, rate *atomic.Int64) {
	m.Inject(func(op FSOp) error {
		if op.Kind == "write" && filepath.Ext(op.Name) == ".sst" {
			time.Sleep(time.Duration(int64(outputLen) * int64(time.Second) / rate.Load()))
		}
		return nil
	})
}

// TestStallLaw checks that commits which come faster than tables can be written
// are slowed down, evenly: there is no 100 ms without one. When the disk is
// fast again, or nobody commits, the pressure is gone.
func TestStallLaw(t *testing.T) {
	rates := []int64{1 << 20, 4 << 20, 64 << 20}
	if testing.Short() || raceEnabled {
		rates = rates[:1]
	}
	for _, rate := range rates {
		synctest.Test(t, func(t *testing.T) { stallLawRound(t, rate) })
	}
}

func stallLawRound(t *testing.T, disk int64) {
	m := NewMemFS()
	var rate atomic.Int64
	rate.Store(disk)
	slowDisk(m, &rate)
	db, err := openWith("db", &Options{FS: m, Memory: minMemory, Durability: Async, LogSize: 64 << 10}, testNonce(1), noLimits)
	must(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	var worst time.Duration
	var key [8]byte
	value := make([]byte, 200)
	last := time.Now()
	begin := last
	n := 0
	for ; time.Since(begin) < 10*time.Second && n < 60_000; n++ {
		for i := range key {
			key[i] = byte(rng.Uint32())
		}
		must(t, db.Set(key[:], value))
		time.Sleep(10 * time.Microsecond) // a commit takes some time, which fake clocks do not see
		worst = max(worst, time.Since(last))
		last = time.Now()
	}
	took := time.Since(begin)

	if worst > 100*time.Millisecond {
		t.Errorf("%d bytes a second: %v without a commit, want at most 100 ms", disk, worst)
	}
	s := db.Stats()
	if slowed := int(s.Slowed) > n/10; slowed != (disk < 32<<20) {
		t.Errorf("%d bytes a second: %d commits of %d were slowed", disk, s.Slowed, n)
	}
	if s.SlowedFor > took {
		t.Errorf("%d bytes a second: slowed for %v of %v", disk, s.SlowedFor, took)
	}
	t.Logf("%d bytes a second: %d commits in %v, the longest pause %v, %d stalls, %d slowed for %v", disk, n, took, worst, s.Stalls, s.Slowed, s.SlowedFor)

	// It ends by itself.
	rate.Store(1 << 40)
	must(t, db.Flush(t.Context()))
	synctest.Wait()
	time.Sleep(10 * time.Second)
	synctest.Wait()
	equal(t, "the limit when all is done", db.throttle.rate.Load(), 0)
	closeDB(t, db)
}

// TestSlowContext checks that a commit which is slowed ends with its context,
// and with the database, and has not happened then.
func TestSlowContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memDB(t, Options{Durability: Async})
		db.throttle.rate.Store(1000)
		must(t, db.Set([]byte("first"), make([]byte, 990)))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		b := new(Batch)
		b.Set([]byte("a"), nil)
		begin := time.Now()
		isError(t, "a slow commit", db.Apply(ctx, b), ErrStalled, context.DeadlineExceeded)
		equal(t, "when it ends", time.Since(begin), 500*time.Millisecond)
		wantHas(t, "after that", db, "a", false)

		// Others are not held up by it, nor by any lock.
		done := make(chan error)
		go func() { done <- db.Apply(context.Background(), b) }()
		synctest.Wait()
		_, err := db.Get([]byte("first"))
		isError(t, "Get while a commit is slowed", err, nil)
		must(t, db.Sync(t.Context()))
		begin = time.Now()
		closeDB(t, db)
		isError(t, "a slow commit when the database closes", <-done, ErrClosed)
		equal(t, "how long it takes then", time.Since(begin), 0)
	})
}

// TestSlowEnds checks that commits wait no longer than there is pressure.
func TestSlowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memDB(t, Options{Durability: Async})
		db.throttle.rate.Store(1000)
		must(t, db.Set([]byte("first"), make([]byte, 990)))
		begin := time.Now()
		done := make(chan error)
		go func() { done <- db.Set([]byte("a"), nil) }()
		time.Sleep(50 * time.Millisecond)
		db.throttle.rate.Store(0)
		must(t, <-done)
		if took := time.Since(begin); took > 50*time.Millisecond+maxPause {
			t.Errorf("a commit waited %v, want at most %v after the pressure has ended", took, maxPause)
		}
	})
}

// A witness does what a commit needs, a write, a sync and a turn of the
// scheduler, beside a database, and measures how long that takes on a machine
// that others use as well.
type witness struct {
	stop  chan struct{}
	ended chan time.Duration
}

// newWitness starts a witness.
func newWitness(t *testing.T) *witness {
	w := &witness{make(chan struct{}), make(chan time.Duration)}
	f, err := OSFS{}.Create(filepath.Join(t.TempDir(), "witness"))
	must(t, err)
	must(t, f.Preallocate(1<<20))
	go func() { // ends when stop is closed
		var worst time.Duration
		for i := int64(0); ; i++ {
			select {
			case <-w.stop:
				must(t, f.Close())
				w.ended <- worst
				return
			default:
			}
			begin := time.Now()
			_, err := f.WriteAt(make([]byte, 100), i%10_000*100)
			must(t, err, f.Sync())
			worst = max(worst, time.Since(begin))
		}
	}()
	return w
}

// end stops the witness, and returns the longest time that it took.
func (w *witness) end() time.Duration {
	close(w.stop)
	return <-w.ended
}

// TestSustainedFill checks that random commits for a long time never pause for
// 100 ms, beyond what the disk and the scheduler take for a single sync, and
// that no goroutine is left when they end.
func TestSustainedFill(t *testing.T) {
	if testing.Short() || raceEnabled || invariants {
		t.Skip("takes long")
	}
	before := runtime.NumGoroutine()
	db, err := Open(t.TempDir(), &Options{Durability: NoSync})
	must(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 100)
	w := newWitness(t)
	var worst time.Duration
	begin := time.Now()
	last := begin
	n := 0
	for ; last.Sub(begin) < *fillTime; n++ {
		must(t, db.Set(fmt.Appendf(nil, "%016x", rng.Uint64()), value))
		now := time.Now()
		worst = max(worst, now.Sub(last))
		last = now
	}
	alone := w.end()
	s := db.Stats()
	t.Logf("%d commits, the longest pause %v, of a sync %v, %.1f written for 1, %d stalls, %d slowed for %v", n, worst, alone, s.WriteAmplification(), s.Stalls, s.Slowed, s.SlowedFor)
	if worst > 100*time.Millisecond+2*alone {
		t.Errorf("%v without a commit, want at most 100 ms, when a sync takes up to %v", worst, alone)
	}

	db.idle()
	eventually(t, "goroutines of an idle database", func() bool { return runtime.NumGoroutine() <= before })
	closeDB(t, db)
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); runtime.Gosched() {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("%s: not after 10 s", what)
		}
	}
}
