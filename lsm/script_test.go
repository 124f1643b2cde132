// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// A script makes numbered commits. Commit i sets the key "last" to i and
// changes two of a few keys, so that what a database holds must be the state
// after commit "last".
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

// readScript returns what db holds of the keys of a script, and checks that it
// is a state that a script has gone through.
func readScript(db *DB) (i int64, err error) {
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
	if got := db.Stats().Sequence; got != uint64(3*i) {
		return 0, fmt.Errorf("after commit %d the sequence is %d, want %d", i, got, 3*i)
	}
	return i, nil
}

// memDB returns an empty database in memory, which is closed at the end of the
// test.
func memDB(t testing.TB, o Options) *DB {
	t.Helper()
	if o.FS == nil {
		o.FS = NewMemFS()
	}
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

// openMem opens a database on m, with small logs.
func openMem(t testing.TB, m *MemFS) *DB {
	t.Helper()
	db, err := Open("db", &Options{FS: m, LogSize: minLogSize})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// scriptLimits make a table of every few commits of a script, and a manifest of
// every few tables.
var scriptLimits = limits{versions: 10, edits: 500, closing: 5, trigger: 1, table: 300, base: 20}

// openScript opens the database in m with scriptLimits.
func openScript(m *MemFS) (*DB, error) {
	return openWith("db", &Options{FS: m, LogSize: minLogSize}, rand.Uint64, scriptLimits)
}

// set commits one key.
func set(t testing.TB, db *DB, key, value string, d Durability) {
	t.Helper()
	b := new(Batch)
	b.Set([]byte(key), []byte(value))
	b.SetDurability(d)
	if err := db.Apply(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

// equal checks that got is want.
func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// isError checks that got is each error of want; nil stands for no error.
func isError(t testing.TB, what string, got error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(got, w) {
			t.Errorf("%s: got %v, want %v", what, got, w)
		}
	}
}

// wantHas checks whether key has a value.
func wantHas(t testing.TB, what string, db *DB, key string, want bool) {
	t.Helper()
	got, err := db.Has([]byte(key))
	if err != nil {
		t.Errorf("%s: Has(%q): got %v, want %t", what, key, err, want)
		return
	}
	equal(t, fmt.Sprintf("%s: Has(%q)", what, key), got, want)
}

// wantValue checks the value of key.
func wantValue(t testing.TB, what string, db *DB, key, want string) {
	t.Helper()
	got, err := db.Get([]byte(key))
	if err != nil {
		t.Errorf("%s: Get(%q): got %v, want a value of %d bytes", what, key, err, len(want))
		return
	}
	if string(got) != want {
		t.Errorf("%s: Get(%q): got %.40q of %d bytes, want %.40q of %d", what, key, got, len(got), want, len(want))
	}
}

// wantLast checks that db holds what a script has made of it with so many
// commits.
func wantLast(t testing.TB, what string, db *DB, want int64) {
	t.Helper()
	got, err := readScript(db)
	if err != nil {
		t.Errorf("%s: got %v, want the state after commit %d", what, err, want)
		return
	}
	equal(t, what+": the last commit", got, want)
}

// wantSizes checks that no file of m is longer than a log.
func wantSizes(t testing.TB, what string, m *MemFS) {
	t.Helper()
	for _, name := range m.files(t) {
		if got := len(m.bytes(name)); got > minLogSize {
			t.Errorf("%s: %s has %d bytes, want at most %d", what, name, got, minLogSize)
		}
	}
}

// idle waits until nothing runs in the background. A wait for the goroutines
// themselves would not allow a timer, or the garbage collector, to start one
// meanwhile.
func (db *DB) idle() {
	for busy := true; busy; runtime.Gosched() {
		db.commits.mu.Lock()
		busy = db.commits.leading || db.logs.making || db.flush.running || db.removal.running || len(db.compactions.running) > 0
		db.commits.mu.Unlock()
	}
}

// closeDB closes db, which must succeed.
func closeDB(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// testNonce returns a source of nonces that is the same each time.
func testNonce(seed uint64) func() uint64 {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 2))
	return func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return rng.Uint64()
	}
}

// testFiles returns the files of a database that holds commits 1 to n of a
// script, closed or still open. Up to 8 of them fit into one log.
func testFiles(t testing.TB, n int64, closed bool) *MemFS {
	t.Helper()
	return filesWith(t, n, closed, 1, noLimits)
}

// filesWith is testFiles with limits, and with nonces of a seed.
func filesWith(t testing.TB, n int64, closed bool, seed uint64, lim limits) *MemFS {
	t.Helper()
	m := NewMemFS()
	s := new(script)
	db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(seed), lim)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := s.commit(db, Sync); err != nil {
			t.Fatal(err)
		}
		db.idle() // the same files each time
	}

	live := m.CrashClone(CrashConfig{Keep: 1})
	closeDB(t, db)
	if closed {
		return m
	}
	return live
}

// bytes returns what m has under the name of a file in db.
func (m *MemFS) bytes(name string) []byte { return m.dirs["db"].live[name].live }

// put makes b the bytes of a file in db, as if they had always been there.
func (m *MemFS) put(name string, b []byte) {
	node := &memNode{live: slices.Clone(b), durable: slices.Clone(b)}
	d := m.dirLocked("db")
	d.live[name] = node
	d.durable[name] = node
}

// files returns the names of the files in db, sorted.
func (m *MemFS) files(t testing.TB) []string {
	t.Helper()
	names, err := m.List("db")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// manifest returns the name of the manifest that counts.
func (m *MemFS) manifest(t testing.TB) string {
	t.Helper()
	l, err := list(m, "db")
	if err != nil {
		t.Fatal(err)
	}
	if len(l.manifests) == 0 {
		t.Fatal("got no manifest, want one")
	}
	return manifestName(slices.Max(l.manifests))
}

// leaks returns an error if files of m are open or locked.
func (m *MemFS) leaks() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open > 0 {
		return fmt.Errorf("got %d open files, want none", m.open)
	}
	if len(m.locks) > 0 {
		return fmt.Errorf("got locks %v, want none", m.locks)
	}
	return nil
}

// killClone returns what m is when all processes have died: what is pending
// stays so.
func (m *MemFS) killClone() *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	clone := NewMemFS()
	nodes := map[*memNode]*memNode{nil: nil}
	node := func(n *memNode) *memNode {
		if _, ok := nodes[n]; !ok {
			nodes[n] = &memNode{
				live: slices.Clone(n.live), durable: slices.Clone(n.durable),
				pending: slices.Clone(n.pending), history: slices.Clone(n.history),
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
