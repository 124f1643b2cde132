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
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	crashes = flag.Int("crashes", 10000, "how many states after a crash are checked in scripts at random")
	orders  = flag.Int("orders", 1, "of how many steps at most all scripts are checked")
	part    = flag.Int("part", 0, "which part of the scripts is checked, from 0 on")
	parts   = flag.Int("parts", 1, "how many parts there are")
	kills   = flag.Int("kills", 10, "how often a process that commits is killed")
)

// A sight is what TestCrash has seen, so that a milder MemFS does not pass for
// a better database.
type sight struct {
	states   int
	unnamed  int // states in which a name that was not synced is missing
	named    int // states in which such a name is there
	unclosed int // lives of a database that ended without a commit
	tables   int // states with a table that a manifest names
	merged   int // states with a table below level 0
	orphans  int // states with a table that none names
	edits    int // states with a manifest that has a change
}

// checkCrash opens the files that a crash has left, and checks that they hold
// all commits up to at least acked and at most begun. If deep, the machine
// crashes again at every step of that.
func checkCrash(m *MemFS, acked, begun int64, seed uint64, deep bool) (states int, err error) {
	return checkKill(m, acked, acked, begun, seed, deep)
}

// checkKill is checkCrash when not all of the commits up to acked, but those up
// to durable, are on the disk.
func checkKill(m *MemFS, durable, acked, begun int64, seed uint64, deep bool) (states int, err error) {
	var mu sync.Mutex // a merge begins with recovery, and has a goroutine
	var ended bool
	var inner error
	var innerStates int
	if deep {
		m.Inject(func(op FSOp) error {
			mu.Lock()
			defer mu.Unlock()
			if ended {
				return nil
			}
			for _, c := range []CrashConfig{{}, {Keep: 1}, {Keep: 0.5, Seed: seed + uint64(op.N)}} {
				n, err := checkCrash(m.CrashClone(c), durable, begun, seed, false)
				innerStates += n
				if err != nil && inner == nil {
					inner = fmt.Errorf("crash %+v before %s %s of recovery: %w", c, op.Kind, op.Name, err)
				}
			}
			return nil
		})
	}
	db, err := openScript(m)
	m.Inject(nil)
	mu.Lock()
	ended = true
	mu.Unlock()
	if err != nil {
		return 1, err
	}

	i, err := readScript(db)
	if err == nil && (i < acked || i > begun) {
		err = fmt.Errorf("commit %d is the last, want between %d and %d", i, acked, begun)
	}
	if err == nil && deep {
		// What the database has shown lasts, and it goes on from there.
		s := new(script)
		s.begun.Store(i)
		for range 2 {
			for _, c := range []CrashConfig{{}, {Keep: 0.5, Seed: seed}} {
				n, cerr := checkCrash(m.CrashClone(c), s.begun.Load(), s.begun.Load(), seed, false)
				innerStates += n
				if cerr != nil {
					err = errors.Join(err, fmt.Errorf("and crash %+v after recovery: %w", c, cerr))
				}
			}
			err = errors.Join(err, s.commit(db, Sync))
		}
	}
	return 1 + innerStates, errors.Join(err, inner, db.Close())
}

// TestCrash checks that scripts of commits, syncs, closes, kills and reopens,
// in any order, leave a state that is promised whenever the power fails:
// without what was not synced, with all of it, and with some of it. It looks at
// every operation of the file system.
func TestCrash(t *testing.T) {
	want, commits := *crashes, 16
	if testing.Short() || raceEnabled || invariants {
		want, commits = want/10, 12
	}
	var saw sight
	rounds := 0
	for seed := uint64(*part); saw.states < want && !t.Failed(); seed += uint64(*parts) {
		rng := rand.New(rand.NewPCG(seed, 8))
		steps := make([]step, commits)
		for i := range steps {
			steps[i] = [...]step{stepSync, stepKill, stepClose, stepClose, 1, 2, 0, 1, 2, 0, 1, 2}[rng.IntN(12)]
		}
		crashRound(t, seed, steps, 0, &saw)
		rounds++
	}

	t.Logf("%+v in %d rounds", saw, rounds)
	for what, n := range map[string]int{
		"a name lost": saw.unnamed, "a name kept": saw.named, "no commit between open and end": saw.unclosed,
		"a table": saw.tables, "a table below level 0": saw.merged, "a table that nothing names": saw.orphans, "a change of a manifest": saw.edits,
	} {
		if n == 0 {
			t.Errorf("no state with %s", what)
		}
	}
}

// TestCrashOrders checks every script of up to -orders steps: commits of each
// durability, a sync, and the end of a life by Close or kill, in any order. It
// looks at the operations of the last step, because those of the others are
// looked at in shorter scripts. Each runs from the start, and after as many
// commits as it takes that the next one makes a table.
func TestCrashOrders(t *testing.T) {
	depth := *orders
	if testing.Short() || raceEnabled || invariants {
		depth = 0
	}
	var saw sight
	scripts := 0
	for length := range depth + 1 {
		steps := make([]step, length)
		for more := true; more && !t.Failed(); more = nextSteps(steps) {
			if scripts++; scripts%*parts != *part {
				continue
			}
			for _, before := range []int{0, 4} {
				crashRound(t, uint64(scripts), append(make([]step, before), steps...), before+length, &saw)
			}
		}
	}
	t.Logf("%+v in %d scripts of up to %d steps, part %d of %d", saw, scripts, depth, *part, *parts)
}

// nextSteps makes steps the next script of its length, and reports whether
// there is one.
func nextSteps(steps []step) bool {
	for i := range steps {
		if steps[i]++; steps[i] < allSteps {
			return true
		}
		steps[i] = 0
	}
	return false
}

// crashRound runs one script, and looks at each operation from step first on.
// Step 0 is that the database is made.
func crashRound(t *testing.T, seed uint64, steps []step, first int, saw *sight) {
	t.Helper()
	c := &crasher{s: new(script), saw: saw, rng: rand.New(rand.NewPCG(seed, 9))}
	err := c.run(steps, first)
	if err = errors.Join(err, c.failed); err != nil {
		t.Errorf("seed %d, steps %d: %v, want no error", seed, steps, err)
	}
}

// A crasher looks at what a crash would leave, before each operation of the
// file system that a script causes.
type crasher struct {
	s   *script
	saw *sight
	on  atomic.Bool // it looks

	mu     sync.Mutex // the database may use the file system in two goroutines
	rng    *rand.Rand // protected by mu, as failed is
	failed error
}

// watch looks at the crashes before op.
func (c *crasher) watch(m *MemFS, op FSOp) {
	if !c.on.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, config := range []CrashConfig{
		{},
		{Keep: 1},
		{Keep: 0.5, Seed: c.rng.Uint64()},
		{Keep: 0.9, Seed: c.rng.Uint64()},
		{Keep: 0.3, Garbage: true, Seed: c.rng.Uint64()},
	} {
		acked := c.s.acked.Load()
		if config.Keep == 1 {
			acked = c.s.kept.Load()
		}
		clone := m.CrashClone(config)
		c.saw.names(m, clone)
		if err := c.saw.files(clone); err != nil && c.failed == nil {
			c.failed = err
		}
		n, err := checkCrash(clone, acked, c.s.begun.Load(), c.rng.Uint64(), k > 0 && c.rng.IntN(40) == 0)
		c.saw.states += n

		every := 1
		if testing.Short() {
			every = 3
		}
		if often := op.Kind == "sync" || op.Kind == "syncdir"; k == 0 && (often && c.rng.IntN(every) == 0 || c.rng.IntN(8*every) == 0) {
			durable, kept := c.s.acked.Load(), c.s.kept.Load() // before others are
			n, kerr := checkKill(m.killClone(), durable, kept, c.s.begun.Load(), c.rng.Uint64(), true)
			c.saw.states += n
			if kerr != nil {
				err = errors.Join(err, fmt.Errorf("process killed: %w", kerr))
			}
		}
		if err != nil && c.failed == nil {
			c.failed = fmt.Errorf("crash %+v before operation %d, %s %s: %w", config, op.N, op.Kind, op.Name, err)
		}
	}
}

// names counts which names, of those that were not durable in m, are in clone.
func (saw *sight) names(m, clone *MemFS) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked("db")
	for _, c := range d.pending {
		switch {
		case c.node == nil || d.live[c.name] != c.node || d.durable[c.name] != nil:
		case clone.dirLocked("db").live[c.name] == nil:
			saw.unnamed++
		default:
			saw.named++
		}
	}
}

// files counts what the files in a clone are.
func (saw *sight) files(clone *MemFS) error {
	l, err := list(clone, "db")
	if err != nil || len(l.manifests) == 0 {
		return err
	}
	m, err := readManifest(clone, "db", slices.Max(l.manifests))
	if err != nil {
		return err
	}

	named := 0
	for _, tables := range m.levels {
		named += len(tables)
	}
	if named > len(m.levels[0]) {
		saw.merged++
	}
	if named > 0 {
		saw.tables++
	}
	if len(l.tables) > named {
		saw.orphans++
	}
	if len(clone.dirs["db"].live[manifestName(m.no)].live) > len(m.encode())+editHeadLen {
		saw.edits++
	}
	return nil
}

// A life is a database in a script. Each begins with an Open, and ends with a
// Close or a kill.
type life struct {
	m       *MemFS
	db      *DB
	commits int // since it was opened
}

// begin opens the files in m, and lets watch see each operation.
func (l *life) begin(m *MemFS, watch func(*MemFS, FSOp)) (err error) {
	m.Inject(func(op FSOp) error { watch(m, op); return nil })
	l.m = m
	l.commits = 0
	l.db, err = openScript(m)
	return err
}

// A step is what a script does next: a commit with a [Durability], or one of
// the others.
type step uint8

const (
	stepSync step = iota + 3 // DB.Sync
	stepClose
	stepKill
	allSteps
)

// run makes the steps, and looks at them from first on.
func (c *crasher) run(steps []step, first int) error {
	var l life
	c.on.Store(first == 0)
	if err := l.begin(NewMemFS(), c.watch); err != nil {
		return err
	}
	s := c.s
	for i, d := range steps {
		c.on.Store(i+1 >= first)
		var err error
		switch d {
		case stepSync:
			err = s.sync(l.db)
		case stepClose, stepKill:
			if l.commits == 0 {
				c.saw.unclosed++
			}
			err = l.end(s, d == stepKill, c.watch)
		default:
			l.commits++
			err = s.commit(l.db, Durability(d))
		}
		if err != nil {
			return errors.Join(err, l.db.Close())
		}
	}

	l.db.idle() // the last commit may have begun a table
	c.on.Store(first == 0)
	if i, err := readScript(l.db); err != nil || i != s.begun.Load() {
		return errors.Join(fmt.Errorf("commit %d is the last, want %d", i, s.begun.Load()), err, l.db.Close())
	}
	return l.db.Close()
}

// end closes or kills the process, and opens the database again. After a kill,
// Async commits may be gone.
func (l *life) end(s *script, kill bool, watch func(*MemFS, FSOp)) error {
	m := l.m
	if kill {
		m = m.killClone()
		l.m.Inject(nil) // nobody sees what the old process does now
	}
	if err := l.db.Close(); err != nil {
		return err
	}

	begun := s.begun.Load()
	if !kill {
		s.acked.Store(begun)
		s.kept.Store(begun)
	}
	if err := l.begin(m, watch); err != nil {
		return err
	}
	i, err := readScript(l.db)
	if err == nil && (i < s.kept.Load() || i > begun) {
		err = fmt.Errorf("commit %d is the last after a reopen, want %d to %d", i, s.kept.Load(), begun)
	}
	s.begun.Store(i)
	s.acked.Store(i) // it was shown
	s.kept.Store(i)
	return err
}

// TestCrashConcurrent checks that a crash while several goroutines commit
// leaves of each what was acknowledged and nothing that was not begun, and no
// half of a batch.
func TestCrashConcurrent(t *testing.T) {
	rounds := 20
	if testing.Short() || raceEnabled {
		rounds = 4
	}
	for seed := range uint64(rounds) {
		crashConcurrentRound(t, seed)
	}
}

func crashConcurrentRound(t *testing.T, seed uint64) {
	t.Helper()
	m := NewMemFS()
	const writers = 4
	var acked, begun [writers]atomic.Int64
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 3))
	m.Inject(func(op FSOp) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind != "write" && op.Kind != "sync" || rng.IntN(4) > 0 {
			return nil
		}

		var low [writers]int64
		for w := range writers {
			low[w] = acked[w].Load()
		}
		db := openMem(t, m.CrashClone(CrashConfig{Keep: float64(rng.IntN(3)) / 2, Seed: rng.Uint64()}))
		defer closeDB(t, db)
		for w := range writers {
			a, _ := db.Get([]byte{'a', byte(w)})
			b, _ := db.Get([]byte{'b', byte(w)})
			i := int64(0)
			if len(a) > 0 {
				if _, err := fmt.Sscan(string(a), &i); err != nil {
					t.Error(err)
				}
			}
			if string(a) != string(b) || i < low[w] || i > begun[w].Load() {
				t.Errorf("seed %d: writer %d has %q and %q, want the same and at least %d", seed, w, a, b, low[w])
			}
		}
		return nil
	})

	db := openMem(t, m)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { // ends after 30 commits
			var b Batch
			for i := int64(1); i <= 30; i++ {
				b.Reset()
				b.Set([]byte{'a', byte(w)}, fmt.Append(nil, i))
				b.Set([]byte{'b', byte(w)}, fmt.Append(nil, i))
				begun[w].Store(i)
				if err := db.Apply(context.Background(), &b); err != nil {
					t.Error(err)
					return
				}
				acked[w].Store(i)
			}
		})
	}
	wg.Wait()

	for name, f := range m.dirs["db"].live {
		if len(f.live) > minLogSize {
			t.Errorf("%s has %d bytes, want at most %d", name, len(f.live), minLogSize)
		}
	}
	closeDB(t, db)
}

// childEnv names the directory in which the test binary commits until it is
// killed.
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

// child commits until it is killed, and prints the number of each commit that
// was acknowledged.
func child(dir string) error {
	lim := limits{versions: 100, edits: 2000, trigger: 2, table: 2000, base: 1000}
	db, err := openWith(dir, &Options{LogSize: 16 << 10}, rand.Uint64, lim)
	if err != nil {
		return err
	}
	i, err := readScript(db)
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

// TestKill checks that a process which is killed while it commits, at random,
// leaves everything that it has acknowledged. In one of three rounds the
// database is opened and closed once more without a commit.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil || testing.Short() {
		t.Skip("starts processes")
	}
	dir := filepath.Join(t.TempDir(), "db")
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range *kills {
		acked := killRound(t, exe, dir, 1+rng.IntN(300))
		opens := 1
		if round%3 == 2 {
			opens = 2
		}
		for range opens {
			db, err := Open(dir, &Options{ReadOnly: round%2 == 0})
			if err != nil {
				t.Fatalf("round %d: %v, want no error", round, err)
			}
			if i, err := readScript(db); err != nil || i < acked {
				t.Fatalf("round %d: commit %d is the last, want at least %d: %v", round, i, acked, err)
			}
			closeDB(t, db)
		}
	}
}

// killRound starts a process and kills it after n commits. It returns the last
// that was acknowledged.
func killRound(t *testing.T, exe, dir string, n int) (acked int64) {
	t.Helper()
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
	for ; ; n-- {
		var i int64
		if _, err := fmt.Fscanln(in, &i); err != nil {
			break // the pipe is empty
		}
		acked = i
		if n == 0 {
			_ = cmd.Process.Kill() // it may have ended by itself, which stderr tells
		}
	}
	_ = cmd.Wait() // it was killed
	if stderr.Len() > 0 {
		t.Fatal(stderr.String())
	}
	return acked
}
