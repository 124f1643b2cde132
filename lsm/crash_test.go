// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

var crashes = flag.Int("crashes", 6000, "how many states after a crash are checked")

// A script makes numbered commits. Commit i sets the key "last" to i and changes two of a few
// keys, so that what a database holds must be the state after commit "last".
type script struct {
	begun atomic.Int64 // commits that were begun
	acked atomic.Int64 // the last that must survive a loss of power
	kept  atomic.Int64 // the last that must survive the end of the process
}

// scriptValue returns the value that commit i sets, long enough to fill logs.
func scriptValue(i int64) []byte {
	return fmt.Appendf(nil, "%d:%0*d", i, 20+int(i%7)*60, i*i)
}

const scriptKeys = 5

func scriptBatch(i int64) *Batch {
	b := new(Batch)
	b.Set([]byte("last"), fmt.Append(nil, i))
	b.Delete(fmt.Append(nil, "key", (i+2)%scriptKeys))
	b.Set(fmt.Append(nil, "key", i%scriptKeys), scriptValue(i))
	return b
}

// scriptState returns the value of every key after commit i.
func scriptState(i int64) map[string]string {
	state := map[string]string{}
	for j := max(1, i-2*scriptKeys); j <= i; j++ {
		delete(state, fmt.Sprint("key", (j+2)%scriptKeys))
		state[fmt.Sprint("key", j%scriptKeys)] = string(scriptValue(j))
	}
	if i > 0 {
		state["last"] = fmt.Sprint(i)
	}
	return state
}

// commit makes the next commit, and notes what it promises.
func (s *script) commit(db *DB, d Durability) error {
	i := s.begun.Add(1)
	b := scriptBatch(i)
	b.SetDurability(d)
	if err := db.Apply(context.Background(), b); err != nil {
		return err
	}
	switch d {
	case Sync:
		s.acked.Store(i)
		s.kept.Store(i)
	case NoSync:
		s.kept.Store(i)
	}
	return nil
}

func (s *script) sync(db *DB) error {
	i := s.begun.Load()
	err := db.Sync(context.Background())
	if err == nil {
		s.acked.Store(i)
		s.kept.Store(i)
	}
	return err
}

// readState returns what db holds of the keys of a script, and checks that it is a state that a script
// has gone through.
func readState(db *DB) (i int64, err error) {
	last, err := db.Get([]byte("last"))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	if err == nil {
		if _, err := fmt.Sscan(string(last), &i); err != nil {
			return 0, err
		}
	}
	want := scriptState(i)
	for k := range scriptKeys {
		key := fmt.Sprint("key", k)
		v, err := db.Get([]byte(key))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return 0, err
		}
		if string(v) != want[key] {
			return 0, fmt.Errorf("after commit %d %s is %.20q, want %.20q", i, key, v, want[key])
		}
	}
	if m := db.Metrics(); m.Sequence != uint64(3*i) {
		return 0, fmt.Errorf("after commit %d the sequence is %d", i, m.Sequence)
	}
	return i, nil
}

// killClone returns what m is when all processes have died: what is pending stays so.
func (m *MemFS) killClone() *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	clone := NewMemFS()
	nodes := map[*memNode]*memNode{nil: nil}
	node := func(n *memNode) *memNode {
		if _, ok := nodes[n]; !ok {
			nodes[n] = &memNode{
				live: slices.Clone(n.live), durable: slices.Clone(n.durable),
				pending: slices.Clone(n.pending), doomed: slices.Clone(n.doomed),
			}
		}
		return nodes[n]
	}
	for name, d := range m.dirs {
		c := &memDir{live: map[string]*memNode{}, durable: map[string]*memNode{}}
		for name, n := range d.live {
			c.live[name] = node(n)
		}
		for name, n := range d.durable {
			c.durable[name] = node(n)
		}
		for _, p := range d.pending {
			p.node = node(p.node)
			c.pending = append(c.pending, p)
		}
		clone.dirs[name] = c
	}
	return clone
}

// checkCrash opens what a crash has left, and checks that it holds all commits up to at least acked and
// at most begun. If deep, the machine crashes again at every step of that.
func checkCrash(m *MemFS, acked, begun int64, seed uint64, deep bool) (states int, err error) {
	return checkKill(m, acked, acked, begun, seed, deep)
}

// checkKill is checkCrash when not all of the commits up to acked, but those up to durable, are on the disk.
func checkKill(m *MemFS, durable, acked, begun int64, seed uint64, deep bool) (states int, err error) {
	var inner error
	var innerStates int
	if deep {
		m.Inject(func(op FSOp) error {
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
	db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
	m.Inject(nil)
	if err != nil {
		return 1, err
	}
	i, err := readState(db)
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

// TestCrash runs scripts, and at every operation of the file system looks at states that a loss of
// power could leave: without what was not synced, with all of it, and with some of it.
func TestCrash(t *testing.T) {
	want, commits := *crashes, 40
	if testing.Short() || raceEnabled || invariants {
		want, commits = want/10, 10
	}
	states, rounds := 0, 0
	for seed := uint64(0); states < want && !t.Failed(); seed++ {
		states += crashRound(t, seed, commits)
		rounds++
	}
	t.Logf("%d states in %d rounds", states, rounds)
}

func crashRound(t *testing.T, seed uint64, commits int) (states int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 9))
	m := NewMemFS()
	s := new(script)
	var mu sync.Mutex // the database may use the file system in two goroutines
	var failed error
	m.Inject(func(op FSOp) error {
		mu.Lock()
		defer mu.Unlock()
		for k, c := range []CrashConfig{
			{},
			{Keep: 1},
			{Keep: 0.5, Seed: rng.Uint64()},
			{Keep: 0.9, Seed: rng.Uint64()},
			{Keep: 0.3, Garbage: true, Seed: rng.Uint64()},
		} {
			acked := s.acked.Load()
			if c.Keep == 1 {
				acked = s.kept.Load()
			}
			clone := m.CrashClone(c)
			n, err := checkCrash(clone, acked, s.begun.Load(), rng.Uint64(), k > 0 && rng.IntN(40) == 0)
			states += n
			if k == 0 && (op.Kind == "sync" || op.Kind == "syncdir" || rng.IntN(8) == 0) {
				n, kerr := checkKill(m.killClone(), s.acked.Load(), s.kept.Load(), s.begun.Load(), rng.Uint64(), true)
				states += n
				if kerr != nil {
					err = errors.Join(err, fmt.Errorf("process killed: %w", kerr))
				}
			}
			if err != nil && failed == nil {
				failed = fmt.Errorf("seed %d, crash %+v before operation %d, %s %s: %w", seed, c, op.N, op.Kind, op.Name, err)
			}
		}
		return nil
	})
	if err := runScript(m, s, rand.New(rand.NewPCG(seed, 8)), commits); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	if failed != nil {
		t.Error(failed)
	}
	return states
}

// runScript makes n commits, with syncs and reopens between them.
func runScript(m *MemFS, s *script, rng *rand.Rand, n int) error {
	db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
	if err != nil {
		return err
	}
	for range n {
		switch d := rng.IntN(12); d {
		case 0:
			err = s.sync(db)
		case 1:
			begun := s.begun.Load()
			if err = db.Close(); err != nil {
				return err
			}
			s.acked.Store(begun)
			s.kept.Store(begun)
			if db, err = Open("db", &Options{FS: m, LogSize: minLogSize}); err != nil {
				return err
			}
			var i int64
			if i, err = readState(db); err == nil && i != begun {
				err = fmt.Errorf("commit %d is the last after a reopen, want %d", i, begun)
			}
		default:
			err = s.commit(db, Durability(d%3))
		}
		if err != nil {
			return errors.Join(err, db.Close())
		}
	}
	return db.Close()
}

// TestCrashConcurrent crashes while several goroutines commit: of each, what was acknowledged and
// nothing that was not begun is there, and no half of a batch.
func TestCrashConcurrent(t *testing.T) {
	rounds := 20
	if testing.Short() || raceEnabled {
		rounds = 4
	}
	for seed := range uint64(rounds) {
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
			clone := m.CrashClone(CrashConfig{Keep: float64(rng.IntN(3)) / 2, Seed: rng.Uint64()})
			db, err := Open("db", &Options{FS: clone, LogSize: minLogSize})
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
				return nil
			}
			for w := range writers {
				a, _ := db.Get([]byte{'a', byte(w)})
				b, _ := db.Get([]byte{'b', byte(w)})
				i := int64(0)
				fmt.Sscan(string(a), &i)
				if string(a) != string(b) || i < low[w] || i > begun[w].Load() {
					t.Errorf("seed %d: writer %d has %q and %q, acknowledged %d", seed, w, a, b, low[w])
				}
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			return nil
		})
		db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
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
				t.Errorf("%s has %d bytes, more than were allocated", name, len(f.live))
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
