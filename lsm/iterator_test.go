// SPDX-License-Identifier: MIT

package lsm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A twinIter is an iterator over a sorted list of keys: at is a place in it, or
// -1 before the first and len(keys) after the last.
type twinIter struct {
	keys  []string
	model map[string]string
	at    int
	moved bool
}

// newTwin returns the twin of an iterator over what model has from lo to hi.
func newTwin(model map[string]string, lo, hi []byte) *twinIter {
	it := &twinIter{model: model}
	for _, key := range slices.Sorted(maps.Keys(model)) {
		if key >= string(lo) && (hi == nil || key < string(hi)) {
			it.keys = append(it.keys, key)
		}
	}
	return it
}

// lower returns how many keys are less than key.
func (it *twinIter) lower(key string) int {
	i, _ := slices.BinarySearch(it.keys, key)
	return i
}

// A move is a step of an iterator.
type move uint8

const (
	moveNext move = iota
	movePrev
	moveFirst
	moveLast
	moveGE
	moveLT
	moves
)

// do makes a move, and returns where it leads to.
func (it *twinIter) do(m move, key string) string {
	switch {
	case m == moveFirst, m == moveNext && !it.moved:
		it.at = 0
	case m == moveLast, m == movePrev && !it.moved:
		it.at = len(it.keys) - 1
	case m == moveNext:
		it.at = min(it.at+1, len(it.keys))
	case m == movePrev:
		it.at = max(it.at-1, -1)
	case m == moveGE:
		it.at = it.lower(key)
	case m == moveLT:
		it.at = it.lower(key) - 1
	}
	it.moved = true
	if it.at < 0 || it.at >= len(it.keys) {
		return "none"
	}
	return it.keys[it.at] + "=" + it.model[it.keys[it.at]]
}

// doMove makes a move, and returns where it leads to.
func doMove(it *Iterator, m move, key string) string {
	ok := false
	switch m {
	case moveNext:
		ok = it.Next()
	case movePrev:
		ok = it.Prev()
	case moveFirst:
		ok = it.First()
	case moveLast:
		ok = it.Last()
	case moveGE:
		ok = it.SeekGE([]byte(key))
	case moveLT:
		ok = it.SeekLT([]byte(key))
	}
	if ok != it.Valid() {
		return fmt.Sprintf("%t, but Valid is %t", ok, it.Valid())
	}
	if !ok {
		return cmp.Or(errorText(it.Err()), "none")
	}
	return string(it.Key()) + "=" + string(it.Value())
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// threeSources returns a database with five keys in two tables and a memtable,
// and what it holds.
func threeSources(t testing.TB, rng *rand.Rand) (*DB, map[string]string) {
	db := memDB(t, Options{LogSize: minLogSize})
	model := map[string]string{}
	for source := range 3 {
		for k := range 5 {
			key := string(rune('a' + 2*k))
			for v := range rng.IntN(3) {
				if rng.IntN(3) == 0 {
					delete(model, key)
					must(t, db.Delete([]byte(key)))
					continue
				}
				model[key] = fmt.Sprint(source, v)
				set(t, db, key, model[key], NoSync)
			}
		}
		if source < 2 {
			must(t, db.Flush(context.Background()))
		}
	}
	return db, model
}

// TestIteratorDirections checks all sequences of six moves over five keys in
// three sources, with versions and deletes, against a slice.
func TestIteratorDirections(t *testing.T) {
	configs, length := uint64(8), 6
	if testing.Short() || raceEnabled {
		configs, length = 4, 5
	}
	for seed := range configs {
		rng := rand.New(rand.NewPCG(seed, 31))
		db, model := threeSources(t, rng)
		snap := db.Snapshot()
		old := maps.Clone(model)
		for k := range 5 {
			set(t, db, string(rune('a'+2*k)), "new", NoSync) // the iterator does not see it
		}

		lo, hi := []byte(nil), []byte(nil)
		if seed%2 == 1 {
			lo, hi = []byte("b"), []byte("h")
		}
		target := []string{"e", "j", "d", "a", "i", "b", "f", "h"}[seed]
		it := snap.Scan(lo, hi)
		sequence := make([]move, length)
		for more := true; more && !t.Failed(); more = nextMoves(sequence) {
			twin := newTwin(old, lo, hi)
			it.where = isNew
			for i, m := range sequence {
				if got, want := doMove(it, m, target), twin.do(m, target); got != want {
					t.Fatalf("seed %d, from %q to %q, moves %d: move %d leads to %s, want %s", seed, lo, hi, sequence, i, got, want)
				}
			}
		}
		must(t, it.Close())
		must(t, snap.Close())
	}
}

// nextMoves makes list the next sequence of its length, and reports whether
// there is one.
func nextMoves(list []move) bool {
	for i := range list {
		if list[i]++; list[i] < moves {
			return true
		}
		list[i] = 0
	}
	return false
}

// collect returns what a loop yields.
func collect(it *Iterator, back bool) (found []string, err error) {
	loop := it.All()
	if back {
		loop = it.Backward()
	}
	for key, value := range loop {
		found = append(found, string(key)+"="+string(value))
	}
	return found, it.Close()
}

// wantScan checks a range of a database both ways.
func wantScan(t testing.TB, what string, scan func(lo, hi []byte) *Iterator, model map[string]string, lo, hi []byte) {
	t.Helper()
	twin := newTwin(model, lo, hi)
	var want []string
	for s := twin.do(moveFirst, ""); s != "none"; s = twin.do(moveNext, "") {
		want = append(want, s)
	}
	got, err := collect(scan(lo, hi), false)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%s, %q to %q: got %q and %v, want %q", what, lo, hi, got, err, want)
	}
	slices.Reverse(want)
	got, err = collect(scan(lo, hi), true)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%s, %q to %q, back: got %q and %v, want %q", what, lo, hi, got, err, want)
	}
}

// TestScan checks ranges and prefixes, while what they show changes.
func TestScan(t *testing.T) {
	db := memDB(t, Options{Durability: Async, LogSize: minLogSize})
	model := map[string]string{}
	for i := range 500 {
		key := fmt.Sprintf("key%03d", i*7%500)
		model[key] = fmt.Sprint(i)
		must(t, db.Set([]byte(key), []byte(model[key])))
		if i%150 == 149 {
			must(t, db.Flush(t.Context()))
		}
		if i%3 == 0 {
			key := fmt.Sprintf("key%03d", i*11%500)
			delete(model, key)
			must(t, db.Delete([]byte(key)))
		}
	}
	for _, r := range [][2][]byte{
		{nil, nil},
		{nil, []byte("key250")},
		{[]byte("key250"), nil},
		{[]byte("key1"), []byte("key123x")},
		{[]byte("key3"), []byte("key3")},
		{[]byte("key4"), []byte("key3")},
		{nil, {}},
		{[]byte("z"), nil},
	} {
		wantScan(t, "a range", db.Scan, model, r[0], r[1])
	}
	prefix := func(lo, _ []byte) *Iterator { return db.Prefix(lo) }
	wantScan(t, "a prefix", prefix, model, []byte("key12"), []byte("key13"))
	wantScan(t, "all", prefix, model, nil, nil)
	wantScan(t, "bytes 255", prefix, model, []byte{0xff, 0xff}, nil)

	// An iterator shows what was there when it was made.
	it := db.Scan(nil, nil)
	want := len(model)
	for i := range 500 {
		must(t, db.Set(fmt.Appendf(nil, "key%03d", i), []byte("later")))
	}
	must(t, db.Flush(t.Context()))
	got, err := collect(it, false)
	must(t, err)
	equal(t, "keys of an iterator that is older", len(got), want)
	for _, s := range got {
		if s[7:] == "later" {
			t.Fatalf("an older iterator shows %s", s)
		}
	}
}

// TestSuccessor checks where a prefix ends.
func TestSuccessor(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "a": "b", "a\xff": "b", "\xff": "", "\xff\xff": "", "a\x00": "a\x01", "a\xfe\xff": "a\xff",
	} {
		equal(t, fmt.Sprintf("the end of %q", prefix), string(successor([]byte(prefix))), want)
	}
}

// TestIteratorClosed checks what an iterator says that is closed, of which the
// snapshot is, or of which the database is.
func TestIteratorClosed(t *testing.T) {
	db, model := threeSources(t, rand.New(rand.NewPCG(3, 3)))
	snap := db.Snapshot()
	late := snap.Scan(nil, nil)
	must(t, snap.Close())
	isError(t, "a snapshot closed twice", snap.Close(), ErrClosed)
	isError(t, "Scan of a closed snapshot", snap.Scan(nil, nil).Close(), ErrClosed)
	isError(t, "Prefix of a closed snapshot", snap.Prefix(nil).Err(), ErrClosed)
	_, err := snap.Get([]byte("a"))
	isError(t, "Get of a closed snapshot", err, ErrClosed)
	_, err = snap.Has([]byte("a"))
	isError(t, "Has of a closed snapshot", err, ErrClosed)
	got, err := collect(late, false)
	isError(t, "an iterator that outlives its snapshot", err, nil)
	equal(t, "its keys", len(got), len(model))
	equal(t, "a move after Close", late.First() || late.Last() || late.Next() || late.Prev(), false)
	equal(t, "a search after Close", late.SeekGE(nil) || late.SeekLT([]byte{255}), false)
	isError(t, "Err after Close", late.Err(), ErrClosed)
	isError(t, "Close after Close", late.Close(), ErrClosed)

	it := db.Scan(nil, nil)
	equal(t, "First", it.First(), true)
	snap = db.Snapshot()
	must(t, db.Close())
	equal(t, "a move after the database was closed", it.Next() || it.First() || it.Valid(), false)
	equal(t, "a search after the database was closed", it.SeekGE(nil) || it.SeekLT([]byte{255}), false)
	isError(t, "Err after the database was closed", it.Err(), ErrClosed)
	isError(t, "Close after the database was closed", it.Close(), ErrClosed)
	isError(t, "Scan after the database was closed", db.Scan(nil, nil).Close(), ErrClosed)
	_, err = snap.Get([]byte("a"))
	isError(t, "Get of a snapshot after the database was closed", err, ErrClosed)
	isError(t, "Close of a snapshot after the database was closed", snap.Close(), nil)
	_, err = db.Snapshot().Get([]byte("a"))
	isError(t, "Get of a snapshot of what is closed", err, ErrClosed)
	isError(t, "Close of a snapshot of what is closed", db.Snapshot().Close(), ErrClosed)
}

// TestIteratorManyLevels checks that an iterator has room for a table of each
// level, and several of level 0.
func TestIteratorManyLevels(t *testing.T) {
	for _, first := range []int{0, 1, 3} {
		var set tableSet
		for level := range numLevels {
			for range max(1, first) {
				set.levels[level] = append(set.levels[level], new(dbTable))
			}
		}
		set.levels[0] = set.levels[0][:first]
		it := &Iterator{m: new(iteratorParts)}
		it.addSources(&readState{mem: newMemtable(), imms: []*memtable{newMemtable()}, tables: &set}, 1)
		equal(t, "cursors of tables", len(it.m.levels), first+numLevels-1)
		equal(t, "cursors of memtables", len(it.m.mem), 2)
	}
}

// TestScanBesideClose checks a scan of a snapshot that is closed meanwhile:
// what it would show may be gone, so it shows nothing, and holds nothing.
func TestScanBesideClose(t *testing.T) {
	db := memDB(t, Options{})
	set(t, db, "key", "value", NoSync)
	snap := db.Snapshot()
	db.commits.mu.Lock()
	found := make(chan *Iterator)
	go func() { found <- snap.Scan(nil, nil) }()
	for stack := make([]byte, 1<<20); !strings.Contains(string(stack[:runtime.Stack(stack, true)]), "(*DB).scan("); {
		runtime.Gosched()
	}
	snap.r.released.Store(true) // the first step of Close
	db.commits.mu.Unlock()

	it := <-found
	equal(t, "a move", it.First() || it.Last(), false)
	isError(t, "Close of the iterator", it.Close(), ErrClosed)
	db.leave(snap.r, false) // the last step
	equal(t, "readers that are left", db.Stats().Readers, 0)
}

// TestIteratorPool checks that what an iterator has read with is used again,
// but keeps nothing of what it has read, nor buffers that are long.
func TestIteratorPool(t *testing.T) {
	db, _ := threeSources(t, rand.New(rand.NewPCG(1, 1)))
	it := db.Scan(nil, nil)
	equal(t, "First", it.First(), true)
	p := it.m
	must(t, it.Close())
	equal(t, "cursors that are in use", len(p.mem)+len(p.levels)+len(p.sources)+len(p.heap), 0)
	for _, c := range p.mem[:cap(p.mem)] {
		equal(t, "a memtable that is kept", c.m != nil || c.leaf != nil, false)
	}
	for _, c := range p.levels[:cap(p.levels)] {
		equal(t, "a table that is kept", c.t != nil || len(c.tables) > 0 || c.index != nil || c.key != nil, false)
	}
	for _, s := range p.sources[:cap(p.sources)] {
		equal(t, "a source that is kept", s.cursor != nil || s.at != nil, false)
	}
	for _, s := range p.heap[:cap(p.heap)] {
		equal(t, "a place of the heap that is kept", s != nil, false)
	}

	for _, more := range []int{0, 1} {
		p := new(iteratorParts)
		p.levels = []levelCursor{{own: make([]byte, 0, maxAhead/2)}}
		p.levels[0].buf.b = make([]byte, maxAhead/4)
		p.levels[0].buf.raw = make([]byte, maxAhead/4+more)
		p.give()
		kept := p.levels[:1][0]
		equal(t, fmt.Sprint(more, " bytes more than may be: kept"), cap(kept.own)+cap(kept.buf.b)+cap(kept.buf.raw), maxAhead*(1-more))
	}
}

// TestTrapScanError checks that a scan of which a read fails ends there, with
// that error: nothing is skipped, and Next does not go on. An absolute move
// tries again.
func TestTrapScanError(t *testing.T) {
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Cache: NewCache(0), LogSize: minLogSize})
	model := map[string]string{}
	for round := range 3 {
		for i := range 400 {
			key := fmt.Sprintf("key%04d", i*3+round)
			model[key] = fmt.Sprintf("%060d", i)
			set(t, db, key, model[key], Async)
		}
		must(t, db.Flush(t.Context()))
	}

	reads := 0
	failAt := -1
	m.Inject(func(op FSOp) error {
		if op.Kind == "read" && filepath.Ext(op.Name) == ".sst" {
			if reads++; reads == failAt {
				return syscall.EIO
			}
		}
		return nil
	})
	for _, back := range []bool{false, true} {
		want, err := collect(db.Scan(nil, nil), back)
		must(t, err)
		equal(t, "keys", len(want), len(model))
		total := reads
		for n := 1; n <= total; n++ {
			reads, failAt = 0, n
			it := db.Scan(nil, nil)
			begin, step := (*Iterator).First, (*Iterator).Next
			if back {
				begin, step = (*Iterator).Last, (*Iterator).Prev
			}
			i := 0
			for ok := begin(it); ok; ok = step(it) {
				if got := string(it.Key()) + "=" + string(it.Value()); got != want[i] {
					t.Fatalf("read %d fails: entry %d is %q, want %q", n, i, got, want[i])
				}
				i++
			}
			if i == len(want) || !errors.Is(it.Err(), syscall.EIO) {
				t.Fatalf("read %d fails: %d entries and %v, want fewer and the error", n, i, it.Err())
			}
			equal(t, "a step after the error", it.Next() || it.Prev() || it.Valid(), false)
			isError(t, "after a step", it.Err(), syscall.EIO)
			equal(t, "an absolute move", begin(it), true)
			isError(t, "a scan that was begun again", it.Close(), nil)
		}
		reads, failAt = 0, -1
	}
}

// TestTrapSeekOwnKey checks for a seek to what the iterator shows, or to
// something in the same memory, that reads it when it has changed already.
func TestTrapSeekOwnKey(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}} {
		seekOwnKeyRound(t, order)
	}

	// What a user looked for once is not kept for long.
	parts := new(iteratorParts)
	parts.seek(make([]byte, MaxKeyLen+1))
	parts.give()
	equal(t, "bytes that stay in the pool", cap(parts.sought), 0)
}

func seekOwnKeyRound(t *testing.T, order []int) {
	t.Helper()
	db := memDB(t, Options{Durability: NoSync})
	key := func(i int) string { return fmt.Sprintf("key%06d", i*10) }
	const n = 1000
	for source, first := range order {
		for i := first; i < n; i += 3 {
			set(t, db, key(i), key(i+1), NoSync)
		}
		if source < 2 {
			must(t, db.Flush(t.Context()))
		}
		if source == 0 {
			must(t, db.Compact(t.Context(), nil, nil))
		}
	}

	snap := db.Snapshot()
	for what, scan := range map[string]func(lo, hi []byte) *Iterator{"DB": db.Scan, "Snapshot": snap.Scan} {
		it := scan(nil, nil)
		i := 0
		for ok := it.First(); ok; i++ {
			if got := string(it.Key()); got != key(i) {
				t.Fatalf("%s: entry %d is %s, want %s", what, i, got, key(i))
			}
			if i%2 == 0 {
				ok = it.SeekGE(append(it.Key(), 0))
			} else {
				ok = it.SeekGE(it.Value())
			}
		}
		equal(t, what+": entries forth", i, n)

		// The same way back.
		for ok := it.Last(); ok; ok = it.SeekLT(it.Key()) {
			if i--; string(it.Key()) != key(i) {
				t.Fatalf("%s: entry %d is %s, want %s", what, i, it.Key(), key(i))
			}
		}
		equal(t, what+": entries back", i, 0)
		must(t, it.Close())
	}
	must(t, snap.Close())
}
