// SPDX-License-Identifier: MIT

package lsm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// childEnv names the directory in which the test binary commits until it is killed.
const childEnv = "LSM_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	os.Exit(m.Run())
}

// child commits for ever, and prints the number of each commit that was acknowledged.
func child(dir string) error {
	db, err := Open(dir, &Options{LogSize: 16 << 10})
	if err != nil {
		return err
	}
	i, err := readState(db)
	if err != nil {
		return err
	}
	s := new(script)
	s.begun.Store(i)
	for {
		if err := s.commit(db, Durability(s.begun.Load()%8/7)); err != nil { // 7 of 8 are NoSync
			return err
		}
		if _, err := fmt.Println(s.begun.Load()); err != nil {
			return err
		}
	}
}

var kills = flag.Int("kills", 10, "how often a process that commits is killed")

// TestKill kills a process that commits, at random. All it has acknowledged is there.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil || testing.Short() {
		t.Skip("starts processes")
	}
	dir := filepath.Join(t.TempDir(), "db")
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range *kills {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Skip(err)
		}
		in := bufio.NewReader(out)
		var acked int64
		for n := 1 + rng.IntN(300); ; n-- {
			var i int64
			if _, err := fmt.Fscanln(in, &i); err != nil {
				break // the pipe is empty
			}
			acked = i
			if n == 0 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait() // it was killed
		if stderr.Len() > 0 {
			t.Fatalf("round %d: %s", round, &stderr)
		}
		db, err := Open(dir, &Options{ReadOnly: round%2 == 0})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if i, err := readState(db); err != nil || i < acked {
			t.Fatalf("round %d: commit %d is the last, acknowledged were %d: %v", round, i, acked, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// memDB returns an empty database in memory, which is closed at the end of the test.
func memDB(t testing.TB, o Options) *DB {
	t.Helper()
	o.FS = NewMemFS()
	db, err := Open("db", &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

// TestModelDB compares a database with a map, over reopens.
func TestModelDB(t *testing.T) { rapid.Check(t, modelDB) }

func modelDB(t *rapid.T) {
	o := Options{FS: NewMemFS(), LogSize: minLogSize, Durability: Durability(rapid.IntRange(0, 2).Draw(t, "durability"))}
	db, err := Open("db", &o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { db.Close() }()
	model := map[string]string{}
	key := rapid.SliceOfN(rapid.ByteRange('a', 'c'), 0, 3)
	value := rapid.SliceOfN(rapid.Byte(), 0, 200)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"set": func(t *rapid.T) {
			k, v := key.Draw(t, "key"), value.Draw(t, "value")
			must(db.Set(k, v))
			model[string(k)] = string(v)
		},
		"delete": func(t *rapid.T) {
			k := key.Draw(t, "key")
			must(db.Delete(k))
			delete(model, string(k))
		},
		"batch": func(t *rapid.T) {
			var b Batch
			for range rapid.IntRange(0, 5).Draw(t, "n") {
				k := key.Draw(t, "key")
				if rapid.Bool().Draw(t, "delete") {
					b.Delete(k)
					delete(model, string(k))
					continue
				}
				v := value.Draw(t, "value")
				b.Set(k, v)
				model[string(k)] = string(v)
			}
			must(db.Apply(context.Background(), &b))
		},
		"sync": func(*rapid.T) { must(db.Sync(context.Background())) },
		"reopen": func(*rapid.T) {
			must(db.Close())
			db, err = Open("db", &o)
			must(err)
		},
		"": func(t *rapid.T) {
			k := key.Draw(t, "key")
			want, ok := model[string(k)]
			v, err := db.Get(k)
			if has, _ := db.Has(k); has != ok || ok != (err == nil) || string(v) != want {
				t.Fatalf("Get(%q) = %q, %v, has %t, want %q", k, v, err, has, want)
			}
			if v, _ := db.AppendGet([]byte("x"), k); string(v) != "x"+want {
				t.Fatalf("AppendGet(%q) = %q", k, v)
			}
		},
	})
}

// TestLinearizable records histories of concurrent reads and writes of one key.
func TestLinearizable(t *testing.T) {
	type in struct {
		kind  int
		value string
	}
	for d := range Async + 1 {
		db := memDB(t, Options{Durability: d, LogSize: minLogSize})
		stop := time.Now().Add(*linearTime)
		for round := 0; time.Now().Before(stop) && !t.Failed(); round++ {
			key := fmt.Append(nil, "key", round)
			h := record(4, 8, func(proc, op int) in {
				return in{(proc*7 + op*5 + round) % 5, fmt.Sprint(proc, op)}
			}, func(i in) string {
				switch i.kind {
				case 0:
					if err := db.Delete(key); err != nil {
						t.Error(err)
					}
				case 1, 2:
					b := new(Batch)
					b.Set(key, []byte(i.value))
					b.SetDurability(Durability((round + i.kind) % 3))
					if err := db.Apply(context.Background(), b); err != nil {
						t.Error(err)
					}
				default:
					v, err := db.Get(key)
					if err == nil {
						return string(v)
					}
				}
				return ""
			})
			if !linearizable("", h, func(s string, i in, out string) (string, bool) {
				switch i.kind {
				case 0:
					return "", true
				case 1, 2:
					return i.value, true
				}
				return s, s == out
			}) {
				t.Errorf("durability %d: not linearizable: %v", d, h)
			}
		}
	}
}

// TestBatchAtomic reads two keys that every batch sets together: the one that is read second is
// never older.
func TestBatchAtomic(t *testing.T) {
	db := memDB(t, Options{Durability: NoSync, Memory: 1 << 30})
	n := uint16(5000)
	if raceEnabled || testing.Short() {
		n = 500
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		var b Batch
		for i := range n {
			b.Reset()
			b.Set([]byte("a"), []byte{byte(i >> 8), byte(i)})
			b.Set([]byte("b"), []byte{byte(i >> 8), byte(i)})
			if err := db.Apply(context.Background(), &b); err != nil {
				t.Error(err)
			}
		}
		if err := db.Delete([]byte("b")); err != nil {
			t.Error(err)
		}
	})
	for {
		a, _ := db.Get([]byte("a"))
		b, err := db.Get([]byte("b"))
		if len(a) > 0 && errors.Is(err, ErrNotFound) {
			break
		}
		if bytes.Compare(a, b) > 0 {
			t.Fatalf("a is %v, b %v", a, b)
		}
	}
	wg.Wait()
}

// TestClosed checks that all methods of a closed database say so.
func TestClosed(t *testing.T) {
	db := memDB(t, Options{})
	if err := db.Set([]byte("a"), nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, get := db.Get([]byte("a"))
	_, appendGet := db.AppendGet(nil, []byte("a"))
	_, has := db.Has([]byte("a"))
	for i, err := range []error{
		get, appendGet, has, db.Set(nil, nil), db.Delete(nil), db.Apply(ctx, new(Batch)), db.Sync(ctx), db.Close(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("method %d: %v", i, err)
		}
	}
	if db.Metrics().Commits != 1 {
		t.Error("no metrics after Close")
	}
}

// TestReadOnly opens what a crash has left, and changes nothing.
func TestReadOnly(t *testing.T) {
	m := testFiles(t, 8, false)
	m.Inject(func(op FSOp) error {
		switch op.Kind {
		case "list", "open", "read", "size", "close":
			return nil
		case "lock":
			return errors.New("a disk that cannot be written")
		}
		t.Errorf("%s %s", op.Kind, op.Name)
		return nil
	})
	db, err := Open("db", &Options{FS: m, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if i, err := readState(db); i != 8 || err != nil {
		t.Errorf("commit %d is the last: %v", i, err)
	}
	ctx := context.Background()
	for _, err := range []error{db.Set(nil, nil), db.Delete(nil), db.Sync(ctx)} {
		if !errors.Is(err, ErrReadOnly) {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestIdle leaves a database open. The bubble ends only if no goroutine is left.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := NewMemFS(), new(script)
		db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			if err := s.commit(db, Durability(i%3)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		db.mu.Lock()
		defer db.mu.Unlock()
		if db.armed || db.leading || db.making || db.pend.count > 0 {
			t.Error("something is going on")
		}
	})
}

// TestAsync checks when Async commits reach the file system: after 10 ms, or with the next that is
// not Async, or when there are many.
func TestAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db, err := Open("db", &Options{FS: m, Durability: Async})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		groups := func() uint64 { synctest.Wait(); return db.Metrics().Groups }
		for _, key := range []string{"a", "b"} {
			if err := db.Set([]byte(key), nil); err != nil {
				t.Fatal(err)
			}
		}
		if ok, _ := db.Has([]byte("b")); !ok || groups() != 0 {
			t.Errorf("has %t, %d groups", ok, groups())
		}
		time.Sleep(asyncDelay - 1)
		if groups() != 0 {
			t.Error("written too early")
		}
		time.Sleep(time.Nanosecond)
		if groups() != 1 {
			t.Errorf("%d groups after 10 ms", groups())
		}
		for range asyncBytes / 1000 {
			if err := db.Set([]byte("c"), make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if groups() != 2 {
			t.Errorf("%d groups after 256 KiB", groups())
		}
		if err := db.Set([]byte("d"), nil); err != nil {
			t.Fatal(err)
		}
		if err := db.Sync(t.Context()); err != nil || groups() != 3 || db.Metrics().Syncs != 1 {
			t.Errorf("%d groups, %d syncs after Sync: %v", groups(), db.Metrics().Syncs, err)
		}
		if err := db.Sync(t.Context()); err != nil || db.Metrics().Syncs != 1 {
			t.Errorf("%d syncs when there is nothing to do: %v", db.Metrics().Syncs, err)
		}
	})
}

// TestAsyncWhileWriting commits while the disk is busy with older Async commits: readers see the
// new one at once and from then on, and it is written in time.
func TestAsyncWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db, err := Open("db", &Options{FS: m, Durability: Async})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		m.Inject(func(op FSOp) error {
			if op.Kind == "write" {
				time.Sleep(time.Second)
			}
			return nil
		})
		set := func(key string) {
			if err := db.Set([]byte(key), nil); err != nil {
				t.Fatal(err)
			}
			if ok, _ := db.Has([]byte(key)); !ok {
				t.Errorf("%s is not seen", key)
			}
		}
		start := time.Now()
		set("a")
		time.Sleep(asyncDelay + time.Millisecond) // now a is being written
		set("b")
		if d := time.Since(start); d != asyncDelay+time.Millisecond {
			t.Errorf("Async commits took %v", d)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if ok, _ := db.Has([]byte("b")); !ok {
			t.Error("b is not seen any more")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := db.Metrics().Groups; n != 2 {
			t.Errorf("%d groups, want 2", n)
		}
	})
}

// TestContext ends contexts of commits that wait for the disk. The lead passes to others, or to the
// background, and the commits happen all the same.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db, err := Open("db", &Options{FS: m})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		block := make(chan struct{})
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" {
				<-block
			}
			return nil
		})
		go db.Set([]byte("first"), nil)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				b := new(Batch)
				b.Set([]byte{byte(i)}, nil)
				if err := db.Apply(ctx, b); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if err := db.Apply(ctx, new(Batch)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := db.Sync(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(block)
		synctest.Wait()
		for i := range 3 {
			if ok, err := db.Has([]byte{byte(i)}); !ok || err != nil {
				t.Errorf("commit %d has not happened: %v", i, err)
			}
		}
	})
}

// TestGroups checks that commits that come while the disk is busy share a write and a sync.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemFS()
		db, err := Open("db", &Options{FS: m})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		m.Inject(func(op FSOp) error {
			if op.Kind == "sync" {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for range 10 {
					if err := db.Set([]byte{byte(w)}, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		got := db.Metrics()
		if got.Commits != 80 || got.Groups > 21 || got.Syncs != got.Groups {
			t.Errorf("%d commits in %d groups with %d syncs", got.Commits, got.Groups, got.Syncs)
		}
		if w := time.Duration(db.window.Load()); w <= 0 || w > time.Millisecond/8 {
			t.Errorf("the window is %v", w)
		}
		if got := db.Metrics().Sub(got); got.Commits+got.Groups+got.Syncs+got.Logs+got.LogBytes+got.Stalls != 0 {
			t.Errorf("a difference of nothing is %+v", got)
		}
	})
}

// TestLimits checks what is too large.
func TestLimits(t *testing.T) {
	db := memDB(t, Options{Memory: 1 << 20, Durability: NoSync})
	long := make([]byte, MaxKeyLen+1)
	if err := db.Set(long, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a long key: %v", err)
	}
	if err := db.Delete(long); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a long key: %v", err)
	}
	if _, err := db.Get(long); !errors.Is(err, ErrNotFound) {
		t.Errorf("a long key: %v", err)
	}
	if err := db.Set(long[1:], nil); err != nil {
		t.Errorf("the longest key: %v", err)
	}
	if ok, err := db.Has(long[1:]); !ok || err != nil {
		t.Errorf("the longest key: %t, %v", ok, err)
	}
	n := 0
	var err error
	for ; err == nil && n < 5000; n++ {
		err = db.Set(fmt.Append(nil, n), make([]byte, 300))
	}
	if !errors.Is(err, ErrFull) || n < 1000 {
		t.Errorf("%d commits, then %v", n, err)
	}
	if got := db.Metrics().Memory; got > 1<<20 {
		t.Errorf("%d bytes of memory", got)
	}
	for _, o := range []*Options{
		{Durability: 3},
		{Memory: -1},
		{LogSize: 1},
		{LogSize: 1 << 40},
		{StallTimeout: -1},
		{ErrorIfExists: true, ReadOnly: true},
	} {
		if _, err := Open("db", o); err == nil {
			t.Errorf("%+v is valid", o)
		}
	}
	if err := (*Options)(nil).Validate(); err != nil {
		t.Error(err)
	}
}

// TestOS does a little of everything on the file system of the operating system.
func TestOS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "db")
	s := new(script)
	before := openFiles(t)
	for range 3 {
		db, err := Open(dir, &Options{LogSize: 8 << 10})
		if err != nil {
			if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
				t.Skip(err)
			}
			t.Fatal(err)
		}
		if i, err := readState(db); err != nil || i != s.begun.Load() {
			t.Fatalf("commit %d, %v", i, err)
		}
		if _, err := Open(dir, nil); !errors.Is(err, ErrLocked) {
			t.Errorf("a second Open: %v", err)
		}
		for i := range 100 {
			if err := s.commit(db, Durability(i%3)); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(filepath.Join(dir, "LOCK", "x"), nil); err == nil {
		t.Error("a directory below a file")
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before %d", after, before)
	}
}

// openFiles returns the number of open descriptors, where the system tells.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
