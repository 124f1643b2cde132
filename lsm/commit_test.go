// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdle checks that a database that is left open does nothing. The bubble
// ends only if no goroutine is left.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(script)
		db := openMem(t, NewMemFS())
		for i := range 50 {
			if err := s.commit(db, Durability(i%3)); err != nil {
				t.Fatal(err)
			}
		}

		time.Sleep(time.Second)
		p := &db.commits
		p.mu.Lock()
		defer p.mu.Unlock()
		equal(t, "a timer is armed", p.armed, false)
		equal(t, "there is a leader", p.leading, false)
		equal(t, "operations in the open group", p.open.count, 0)
		equal(t, "a log is being made", db.logs.making, false)
	})
}

// TestAsync checks when Async commits reach the file system: after 10 ms, or
// with the next that is not Async, or when there are many.
func TestAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memDB(t, Options{Durability: Async})
		check := func(when string, groups, syncs uint64) {
			t.Helper()
			synctest.Wait()
			got := db.Stats()
			equal(t, when+": groups", got.Groups, groups)
			equal(t, when+": syncs", got.Syncs, syncs)
		}
		set(t, db, "a", "", Async)
		set(t, db, "b", "", Async)
		wantHas(t, "at once", db, "b", true)
		check("at once", 0, 0)
		time.Sleep(asyncDelay - 1)
		check("before 10 ms", 0, 0)
		time.Sleep(time.Nanosecond)
		check("after 10 ms", 1, 0)

		for range asyncBytes / 1000 {
			set(t, db, "c", string(make([]byte, 1000)), Async)
		}
		check("after 256 KiB", 2, 0)
		set(t, db, "d", "", Async)
		if err := db.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		check("after Sync", 3, 1)
		if err := db.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		check("after Sync when there is nothing to do", 3, 1)
	})
}

// TestAsyncRow checks that later Async commits do not put off the writing of
// earlier ones.
func TestAsyncRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memDB(t, Options{Durability: Async})
		for i := range 10 {
			set(t, db, "a", "", Async)
			time.Sleep(asyncDelay / 2)
			synctest.Wait()
			if got, want := db.Stats().Groups, uint64(i+1)/2; got != want {
				t.Errorf("%d groups after %v, want %d", got, time.Duration(i+1)*asyncDelay/2, want)
			}
		}
	})
}

// TestSyncAlone checks that a sync without commits of its own is no group.
func TestSyncAlone(t *testing.T) {
	db := memDB(t, Options{Durability: NoSync})
	set(t, db, "a", "", NoSync)
	must(t, db.Sync(t.Context()))
	got := db.Stats()
	equal(t, "commits", got.Commits, 1)
	equal(t, "groups", got.Groups, 1)
	equal(t, "syncs", got.Syncs, 1)
}

// TestGroupFullContext checks that a commit that waits for the open group to go
// stops with its context, and does not happen.
func TestGroupFullContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := openMem(t, m)
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" {
				time.Sleep(time.Second)
			}
			return nil
		})
		var wg sync.WaitGroup
		wg.Go(func() { set(t, db, "first", "", Sync) }) // ends when it is synced
		synctest.Wait()
		wg.Go(func() { set(t, db, "second", string(make([]byte, 3000)), Sync) }) // the same
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		b := new(Batch)
		b.Set([]byte("third"), make([]byte, 3000))
		err := db.Apply(ctx, b)
		isError(t, "a commit whose context ends", err, ErrStalled, context.DeadlineExceeded)
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("it waited %v, want 100ms", d)
		}
		wg.Wait()
		wantHas(t, "after the context ended", db, "third", false)
		closeDB(t, db)
	})
}

// TestAsyncWhileWriting checks that an Async commit is seen at once and from
// then on though the disk is busy with older ones, and that it is written when
// that has ended.
func TestAsyncWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := memDB(t, Options{FS: m, Durability: Async})
		m.Inject(func(op FSOp) error {
			if op.Kind == "write" {
				time.Sleep(time.Second)
			}
			return nil
		})

		start := time.Now()
		set(t, db, "a", "", Async)
		time.Sleep(asyncDelay + time.Millisecond) // now a is being written
		set(t, db, "b", "", Async)
		if d := time.Since(start); d != asyncDelay+time.Millisecond {
			t.Errorf("Async commits took %v, want %v", d, asyncDelay+time.Millisecond)
		}
		for range 3 {
			wantHas(t, fmt.Sprint("after ", time.Since(start)), db, "b", true)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if n := db.Stats().Groups; n != 2 {
			t.Errorf("%d groups, want 2", n)
		}
	})
}

// TestContext checks that commits whose contexts end while they wait for the
// disk happen nevertheless: the lead passes to others, or to the background.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := memDB(t, Options{FS: m})
		block := make(chan struct{})
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" {
				<-block
			}
			return nil
		})

		var wg sync.WaitGroup
		wg.Go(func() { // ends when block is closed
			if err := db.Set([]byte("first"), nil); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		var canceled sync.WaitGroup
		for i := range 3 {
			canceled.Go(func() { // ends when ctx is canceled
				b := new(Batch)
				b.Set([]byte{byte(i)}, nil)
				if err := db.Apply(ctx, b); !errors.Is(err, context.Canceled) {
					t.Errorf("commit %d: got %v, want that it was canceled", i, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		canceled.Wait()
		if err := db.Apply(ctx, new(Batch)); !errors.Is(err, context.Canceled) {
			t.Errorf("Apply: got %v, want that it was canceled", err)
		}
		if err := db.Sync(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Sync: got %v, want that it was canceled", err)
		}

		close(block)
		wg.Wait()
		synctest.Wait()
		for i := range 3 {
			wantHas(t, "a commit that was canceled", db, string([]byte{byte(i)}), true)
		}
	})
}

// TestGroups checks that commits that come while the disk is busy share a write
// and a sync, and that the leader waits for an eighth of that at most.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := memDB(t, Options{FS: m})
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() { // ends after 10 commits
				for range 10 {
					if err := db.Set([]byte{byte(w)}, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()

		got := db.Stats()
		equal(t, "commits", got.Commits, 80)
		equal(t, "syncs", got.Syncs, got.Groups)
		if got.Groups > 16 {
			t.Errorf("got %d groups, want at most 16", got.Groups)
		}
		if w := time.Duration(db.commits.leaderWait.Load()); w <= 0 || w > time.Millisecond/8 {
			t.Errorf("the leader waits %v, want more than 0 and at most %v", w, time.Millisecond/8)
		}
	})
}

// TestLeadPasses checks that a commit which waits for its group leads it when
// the group before is written: no goroutine is made for that.
func TestLeadPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := memDB(t, Options{FS: m})
		syncs := 0
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" {
				syncs++
				if stack := string(debug.Stack()); !strings.Contains(stack, "joinLocked") {
					t.Errorf("sync %d is made by another goroutine than a commit:\n%s", syncs, stack)
				}
				time.Sleep(time.Second)
			}
			return nil
		})
		var wg sync.WaitGroup
		for _, key := range []string{"first", "second"} {
			wg.Go(func() { set(t, db, key, "", Sync) }) // ends when it is synced
			synctest.Wait()
		}
		wg.Wait()
		m.Inject(nil)
		equal(t, "syncs", syncs, 2)
	})
}

// TestGroupsOfOne checks that commits which come one after the other count as
// groups of one, so that no leader waits for more.
func TestGroupsOfOne(t *testing.T) {
	for d := Sync; d <= Async; d++ {
		// In a bubble: an Async commit waits for its Sync, and not for a busy
		// machine.
		synctest.Test(t, func(t *testing.T) {
			db := memDB(t, Options{})
			for range 4 {
				set(t, db, "a", "", d)
				must(t, db.Sync(t.Context()))
				want := int32(1)
				if d == NoSync {
					want = 0 // the group of Sync has no commit
				}
				equal(t, fmt.Sprint(d, ": commits of the last group"), db.commits.lastGroup.Load(), want)
			}
		})
	}
}

// TestGather checks when the leader of a group waits for more commits: if there
// were several in the group before, and fewer are in this one, and a sync takes
// time. A wait takes a hundred microseconds or more, and none takes a few.
func TestGather(t *testing.T) {
	for _, c := range []struct {
		name         string
		before, now  int32
		wait         time.Duration
		sync, gather bool
	}{
		{"fewer than before", 3, 2, maxLeaderWait, true, true},
		{"one, and two before", 2, 1, maxLeaderWait, true, true},
		{"as many as before", 3, 3, maxLeaderWait, true, false},
		{"one before", 1, 1, maxLeaderWait, true, false},
		{"none before", 0, 1, maxLeaderWait, true, false},
		{"a sync takes no time", 3, 1, 0, true, false},
		{"a sync takes little time", 3, 1, 1, true, false},
		{"no sync", 3, 1, maxLeaderWait, false, false},
	} {
		p := &memDB(t, Options{}).commits
		p.lastGroup.Store(c.before)
		p.leaderWait.Store(int64(c.wait))
		g := &group{sync: c.sync}
		g.commits.Store(c.now)

		// The machine may be busy, but not each time.
		best := time.Hour
		for range 20 {
			start := time.Now()
			for range 100 {
				p.gather(g)
			}
			best = min(best, time.Since(start))
			if c.gather {
				break
			}
		}
		if c.gather && best < time.Millisecond {
			t.Errorf("%s: gathering 100 times took %v, want 1ms or more", c.name, best)
		}
		if !c.gather && best > 10*time.Millisecond {
			t.Errorf("%s: gathering 100 times took %v or more, want at most 10ms", c.name, best)
		}
	}
}

// TestLeaderWait checks that the leader waits for an eighth of what syncs take,
// on the average of the last eight or so.
func TestLeaderWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db := memDB(t, Options{FS: m})
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" {
				time.Sleep(8 * time.Millisecond)
			}
			return nil
		})
		set(t, db, "a", "", Sync)
		equal(t, "after one sync", time.Duration(db.commits.leaderWait.Load()), time.Millisecond/8)
		for range 200 {
			set(t, db, "a", "", Sync)
		}
		if got := time.Duration(db.commits.leaderWait.Load()); got < time.Millisecond-10 || got > time.Millisecond {
			t.Errorf("after many syncs the leader waits %v, want 1ms", got)
		}
	})
}

// TestLogBytes checks that all bytes of records are counted, and that a commit
// which is synced alone takes one record and no mark.
func TestLogBytes(t *testing.T) {
	db := memDB(t, Options{})
	check := func(what string, records int) {
		t.Helper()
		equal(t, what+": bytes of log", int64(db.Stats().LogBytes), db.logs.current.off-logHeaderLen)
		equal(t, what+": records", db.logs.current.records, records)
	}
	set(t, db, "a", "1", Sync)
	check("a commit", 1)
	set(t, db, "a", "12", NoSync)
	check("a commit that is not synced", 2)
	set(t, db, "a", "123", Sync)
	check("a commit that syncs another", 4)
}

// TestGroupBuffer checks that the buffer of a group is used again, unless it is
// large.
func TestGroupBuffer(t *testing.T) {
	for _, c := range []struct{ size, want int }{{4 * asyncBytes, 4 * asyncBytes}, {4*asyncBytes + 1, 0}} {
		g := &group{buf: make([]byte, 9, c.size)}
		g = g.finish()
		equal(t, fmt.Sprint("bytes that are kept of ", c.size), cap(g.buf), c.want)
		equal(t, "bytes of an empty group", len(g.buf), 0)
	}
}

// TestAsyncExact checks that Async commits are written at once when exactly as
// many bytes wait as may, and not when one less does.
func TestAsyncExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for less, want := range []uint64{1, 0} {
			db := memDB(t, Options{Durability: Async})
			const size = asyncBytes - recordHeadLen - 1 - 1 - 1 - 3 // kind, key with its length, length of the value
			set(t, db, "a", string(make([]byte, size-less)), Async)
			equal(t, fmt.Sprint("bytes less: ", less, ": groups"), db.Stats().Groups, want)
		}
	})
}

// TestWritesShared checks that commits of several goroutines share writes
// though nothing is synced: on one processor, where the leader has to look for
// others, since none comes while it writes.
func TestWritesShared(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	db := memDB(t, Options{FS: forgetful{NewMemFS()}, Durability: NoSync})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() { // ends after 1000 commits
			for range 1000 {
				if err := db.Set([]byte{byte(w)}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := db.Stats(); got.Groups > got.Commits/2 {
		t.Errorf("%d commits in %d writes, want at most half as many", got.Commits, got.Groups)
	}
}

// TestGroupFull checks that a commit that does not fit into the log of the open
// group makes that go first, and goes into the next log.
func TestGroupFull(t *testing.T) {
	for _, busy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := NewMemFS()
			db := openMem(t, m)
			var wg sync.WaitGroup
			if busy {
				m.Inject(func(op FSOp) error {
					if op.Kind == "sync" {
						time.Sleep(time.Second)
					}
					return nil
				})
				wg.Go(func() { set(t, db, "first", "", Sync) }) // ends when it is synced
				synctest.Wait()
			}

			const size = minLogSize / 3
			start := time.Now()
			for i := range 6 {
				set(t, db, fmt.Sprint(i), string(make([]byte, size)), Async)
				synctest.Wait()
			}
			wg.Wait()
			if d := time.Since(start); !busy && d != 0 {
				t.Errorf("the commits waited %v, want that they write the group", d)
			}
			closeDB(t, db)
			db = openMem(t, m)
			for i := range 6 {
				wantValue(t, fmt.Sprint("busy ", busy), db, fmt.Sprint(i), string(make([]byte, size)))
			}
			wantSizes(t, fmt.Sprint("busy ", busy), m)
			closeDB(t, db)
		})
	}
}

// TestLargeBatch checks that a batch that is longer than a log gets a log of
// its own length, and holds up no other.
func TestLargeBatch(t *testing.T) {
	for _, reserve := range []bool{true, false} {
		disk := smallDisk{NewMemFS(), new(atomic.Bool), reserve}
		o := &Options{FS: disk, LogSize: minLogSize}
		db, err := Open("db", o)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range []int{10, 3000, minLogSize, 5 * minLogSize, 10, 100 * minLogSize, 10} {
			set(t, db, fmt.Sprint(i), string(make([]byte, n)), Durability(i%3))
		}
		disk.full.Store(true) // the space is there already
		if err := db.Sync(context.Background()); err != nil {
			t.Error(err)
		}
		disk.full.Store(false)
		closeDB(t, db)

		if db, err = Open("db", o); err != nil {
			t.Fatal(err)
		}
		wantValue(t, fmt.Sprint("reserve ", reserve), db, "5", string(make([]byte, 100*minLogSize)))
		closeDB(t, db)
	}
}

// TestLeaveWithLead checks that a commit whose context ends at the moment at
// which it gets the lead gives it on: the group is written.
func TestLeaveWithLead(t *testing.T) {
	db := memDB(t, Options{})
	p := &db.commits
	b := new(Batch)
	b.Set([]byte("a"), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	// The state at that moment: one waits, and has been given the lead.
	p.mu.Lock()
	p.leading = true
	must(t, p.admitLocked(t.Context(), int64(len(b.data)), 1, nil))
	g := p.open
	p.addLocked(g, b)
	g.sync = true
	g.waited = true
	g.waiters = 1
	g.done = make(chan struct{})
	g.baton = make(chan struct{}, 1)
	g.baton <- struct{}{}
	p.mu.Unlock()

	if err := p.leave(ctx, g); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was canceled", err)
	}
	db.idle()
	wantHas(t, "after the lead was given on", db, "a", true)
	if err := p.leave(ctx, g); err != nil {
		t.Errorf("after it was written: got %v, want nil", err)
	}
}

// TestLogRoom checks that no log grows beyond its size, whatever the lengths of
// commits, and whether marks follow them.
func TestLogRoom(t *testing.T) {
	step := 1
	if testing.Short() || raceEnabled {
		step = 7
	}
	for size := 1; size < 400; size += step {
		m := NewMemFS()
		db := openMem(t, m)
		for i := range 3 * minLogSize / (size + 50) {
			set(t, db, "a", string(make([]byte, size)), NoSync)
			if i%3 == 2 {
				must(t, db.Sync(t.Context()))
			}
			db.idle()
			for _, name := range m.files(t) {
				if n := len(m.bytes(name)); n > minLogSize {
					t.Fatalf("values of %d bytes: %s has %d bytes, want at most %d", size, name, n, minLogSize)
				}
			}
		}
		closeDB(t, db)
	}
	for size := 1; size < 100; size++ {
		synctest.Test(t, func(t *testing.T) { logRoomRound(t, size) })
	}
}

// logRoomRound fills a log with a commit, and one of a given size that comes
// while the first is written, and then syncs both, for which there is a mark.
// It runs in a bubble.
func logRoomRound(t *testing.T, size int) {
	m := NewMemFS()
	db := openMem(t, m)
	set(t, db, "a", string(make([]byte, minLogSize-500)), Sync)
	m.Inject(func(op FSOp) error {
		if op.Kind == "write" {
			time.Sleep(time.Second)
		}
		return nil
	})

	var wg sync.WaitGroup
	wg.Go(func() { set(t, db, "b", string(make([]byte, 100)), NoSync) }) // ends when it is written
	synctest.Wait()
	wg.Go(func() { set(t, db, "c", string(make([]byte, 90+size)), NoSync) }) // the same
	wg.Wait()
	must(t, db.Sync(t.Context()))
	closeDB(t, db)
	wantSizes(t, fmt.Sprint("a commit of ", 90+size, " bytes"), m)
}

// TestLogGrows checks that no group can begin a log while it is made, or while
// it grows for a large batch.
func TestLogGrows(t *testing.T) {
	m := NewMemFS()
	db := openMem(t, m)
	db.idle()
	grown := 0
	m.Inject(func(op FSOp) error {
		if op.Kind != "preallocate" {
			return nil
		}
		db.commits.mu.Lock()
		defer db.commits.mu.Unlock()
		grown++
		if db.logs.next != nil {
			t.Errorf("%s grows, and is the next log", op.Name)
		}
		return nil
	})

	// The second large batch finds the log that was made when the first had
	// filled its own.
	for i, n := range []int{10, 2 * minLogSize, 9 * minLogSize} {
		set(t, db, fmt.Sprint(i), string(make([]byte, n)), NoSync)
		db.idle()
	}
	if grown < 2 {
		t.Errorf("%d logs were made or grew, want 2 or more", grown)
	}
	m.Inject(nil)
	closeDB(t, db)
}

// TestLogRoomExact checks that a group goes into a log that it fills to the
// last byte, with the seal, and not if it is a byte longer.
func TestLogRoomExact(t *testing.T) {
	const size, ops = 1000, 100
	db := memDB(t, Options{})
	for more, want := range []bool{true, false} {
		tail := &logFile{size: size}
		l := &rotation{db: db, tail: tail, used: size - ops - groupExtra - sealLen, making: true}
		g := new(group)
		equal(t, fmt.Sprintf("there is room for %d bytes more", more), l.reserveLocked(g, ops+int64(more), false), want)
		equal(t, "the group has a log", g.log == tail, want)
		equal(t, "the next log is wanted", l.wanted > 0, !want)
	}

	// A log that comes next takes exactly what it has room for, too.
	const need = logHeaderLen + ops + groupExtra + sealLen
	for less, want := range []bool{true, false} {
		l := &rotation{db: db, next: &logFile{size: need - int64(less)}, making: true}
		equal(t, fmt.Sprintf("the next log takes a group, %d bytes less", less), l.reserveLocked(new(group), ops, false), want)
	}
}

// TestLogsFill checks that logs are filled: empty batches take no room, and
// groups give back the room that they did not need.
func TestLogsFill(t *testing.T) {
	for _, d := range []Durability{NoSync, Async} {
		db := memDB(t, Options{LogSize: 64 << 10, Durability: d})
		for range 6000 {
			must(t, db.Apply(t.Context(), new(Batch)))
		}
		got := db.Stats()
		equal(t, fmt.Sprint(d, ": logs begun by empty batches"), got.Logs, 0)
		equal(t, fmt.Sprint(d, ": commits of empty batches"), got.Commits, 0)

		for i := range 20_000 {
			set(t, db, fmt.Sprintf("%08d", i), "", d)
		}
		must(t, db.Sync(t.Context()))
		got = db.Stats()
		if fill := float64(got.LogBytes) / float64(got.Logs) / (64 << 10); fill < 0.9 {
			t.Errorf("%v: %d logs are full to %.2f, want 0.9", d, got.Logs, fill)
		}
	}
}
