// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A modelReader is a snapshot or an iterator of a model, and what it shows.
type modelReader struct {
	snap  *Snapshot
	it    *Iterator
	model map[string]string
	twin  *twinIter
}

// close closes the reader.
func (r *modelReader) close() error {
	if r.snap != nil {
		return r.snap.Close()
	}
	return r.it.Close()
}

// TestModelDB checks a database with snapshots and iterators against maps, over
// flushes, closes, kills and reopens.
func TestModelDB(t *testing.T) { rapid.Check(t, modelDB) }

func modelDB(t *rapid.T) {
	m := NewMemFS()
	durability := Durability(rapid.IntRange(0, 2).Draw(t, "durability"))
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	lim := checkedLimits(t, limits{
		versions: rapid.SampledFrom([]int{1, 5, 30, 1000}).Draw(t, "versions"),
		edits:    300,
		trigger:  rapid.SampledFrom([]int{0, 1, 2, 4}).Draw(t, "trigger"),
		table:    rapid.SampledFrom([]int64{100, 1000, 1 << 20}).Draw(t, "table"),
		base:     rapid.SampledFrom([]int64{1, 10, 1000}).Draw(t, "base"),
	})
	open := func() *DB {
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize, Durability: durability}, rand.Uint64, lim)
		must(err)
		return db
	}
	db := open()
	defer func() { must(db.Close()) }()

	model := map[string]string{}
	key := rapid.SliceOfN(rapid.ByteRange('a', 'c'), 0, 3)
	value := rapid.SliceOfN(rapid.Byte(), 0, 200)
	var readers []*modelReader
	closeReaders := func() {
		for _, r := range readers {
			must(r.close())
		}
		readers = nil
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
		"sync":  func(*rapid.T) { must(db.Sync(context.Background())) },
		"flush": func(*rapid.T) { must(db.Flush(context.Background())) },
		"compact": func(t *rapid.T) {
			lo, hi := key.Draw(t, "lo"), key.Draw(t, "hi")
			if rapid.Bool().Draw(t, "to the end") {
				hi = nil
			}
			must(db.Compact(context.Background(), lo, hi))
		},
		"snapshot": func(*rapid.T) {
			if len(readers) < 5 {
				readers = append(readers, &modelReader{snap: db.Snapshot(), model: maps.Clone(model)})
			}
		},
		"iterator": func(t *rapid.T) {
			lo, hi := key.Draw(t, "lo"), key.Draw(t, "hi")
			if rapid.Bool().Draw(t, "to the end") {
				hi = nil
			}
			r := &modelReader{model: model}
			from := db.Scan
			if n := rapid.IntRange(0, len(readers)).Draw(t, "of"); n < len(readers) && readers[n].snap != nil {
				from = readers[n].snap.Scan
				r.model = readers[n].model
			}
			r.model = maps.Clone(r.model)
			r.twin = newTwin(r.model, lo, hi)
			r.it = from(lo, hi)
			readers = append(readers, r)
		},
		"read": func(t *rapid.T) {
			if len(readers) == 0 {
				return
			}
			r := readers[rapid.IntRange(0, len(readers)-1).Draw(t, "reader")]
			if r.it == nil {
				lo, hi := key.Draw(t, "lo"), key.Draw(t, "hi")
				modelScan(t, r.snap.Scan, r.model, lo, hi)
				modelGet(t, r.snap, r.model, lo)
				return
			}
			for _, m := range rapid.SliceOfN(rapid.IntRange(0, int(moves)-1), 1, 8).Draw(t, "moves") {
				k := key.Draw(t, "target")
				if got, want := doMove(r.it, move(m), string(k)), r.twin.do(move(m), string(k)); got != want {
					t.Fatalf("move %d, target %q: got %s, want %s", m, k, got, want)
				}
			}
		},
		"release": func(t *rapid.T) {
			if len(readers) == 0 {
				return
			}
			i := rapid.IntRange(0, len(readers)-1).Draw(t, "reader")
			must(readers[i].close())
			readers = slices.Delete(readers, i, i+1)
		},
		"reopen": func(*rapid.T) {
			closeReaders()
			must(db.Close())
			db = open()
		},
		"kill": func(*rapid.T) {
			closeReaders()
			must(db.Sync(context.Background())) // so that nothing may be missing
			m = m.killClone()
			must(db.Close())
			db = open()
		},
		"": func(t *rapid.T) {
			k := key.Draw(t, "key")
			want, ok := model[string(k)]
			v, err := db.Get(k)
			if ok != (err == nil) {
				t.Fatalf("Get(%q): got %v, want a value: %t", k, err, ok)
			}
			if string(v) != want {
				t.Fatalf("Get(%q): got %q, want %q", k, v, want)
			}
			has, err := db.Has(k)
			must(err)
			if has != ok {
				t.Fatalf("Has(%q): got %t, want %t", k, has, ok)
			}
			if v, _ := db.AppendGet([]byte("x"), k); string(v) != "x"+want {
				t.Fatalf("AppendGet(x, %q) = %q, want %q", k, v, "x"+want)
			}
			modelScan(t, db.Scan, model, k, nil)
		},
	})
	closeReaders()
}

// modelScan checks a range both ways.
func modelScan(t *rapid.T, scan func(lo, hi []byte) *Iterator, model map[string]string, lo, hi []byte) {
	twin := newTwin(model, lo, hi)
	var want []string
	for s := twin.do(moveFirst, ""); s != "none"; s = twin.do(moveNext, "") {
		want = append(want, s)
	}
	for _, back := range []bool{false, true} {
		got, err := collect(scan(lo, hi), back)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("from %q to %q, back %t: got %q and %v, want %q", lo, hi, back, got, err, want)
		}
		slices.Reverse(want)
	}
}

// modelGet checks a key of a snapshot.
func modelGet(t *rapid.T, snap *Snapshot, model map[string]string, k []byte) {
	want, ok := model[string(k)]
	v, err := snap.Get(k)
	has, herr := snap.Has(k)
	if ok != (err == nil) || string(v) != want || has != ok || herr != nil {
		t.Fatalf("%q in a snapshot: got %q and %v, Has %t and %v, want %q", k, v, err, has, herr, want)
	}
}

// TestMetamorphic checks that the same changes give the same answers whatever
// the options are, over reopens, kills and changes of the options.
func TestMetamorphic(t *testing.T) {
	sets := []struct {
		o   Options
		lim limits
	}{
		{Options{LogSize: 64 << 10}, noLimits},
		{Options{Durability: NoSync, LogSize: minLogSize}, limits{versions: 1, edits: 0}},
		{Options{Durability: Async, LogSize: minLogSize}, limits{versions: 3, edits: 100}},
		{Options{LogSize: minLogSize, MaxOpenFiles: 1}, limits{versions: 7, edits: 1000}},
		{Options{Cache: NewCache(0), LogSize: 16 << 10}, limits{versions: 20, edits: 1 << 20}},
		{Options{Durability: NoSync, Cache: NewCache(3000), MaxOpenFiles: 2, LogSize: 5000}, limits{versions: 5, edits: 300}},
		{Options{Memory: minMemory, LogSize: 8 << 10}, limits{versions: 50, edits: 64 << 10}},
		{Options{Durability: Async, Memory: minMemory, Cache: NewCache(1 << 20), LogSize: minLogSize}, limits{versions: 2, edits: 1}},
		{Options{Memory: maxMemory, LogSize: 256 << 10}, limits{versions: 100, edits: 500}},
		{Options{LogSize: minLogSize}, limits{versions: 4, edits: 200, trigger: 1, table: 100, base: 1}},
		{Options{Durability: Async, LogSize: minLogSize, MaxOpenFiles: 1}, limits{versions: 10, edits: 1000, trigger: 2, table: 500, base: 300}},
		{Options{Durability: NoSync, LogSize: 8 << 10, Cache: NewCache(0)}, limits{versions: 25, edits: 0, trigger: 3, table: 2000, base: 1000}},
		{Options{LogSize: minLogSize, Cache: NewCache(4000)}, limits{versions: 2, edits: 100, trigger: 4, table: 300, base: 50}},
		{Options{Memory: minMemory, LogSize: minLogSize}, limits{versions: 8, edits: 1 << 20, trigger: 12, table: 1 << 20, base: 1 << 20}},
		{Options{Durability: Async, LogSize: 16 << 10}, limits{versions: 60, edits: 300, trigger: 1, table: 1, base: 1}},
		{Options{Durability: NoSync, LogSize: minLogSize, MaxOpenFiles: 2}, limits{versions: 1, edits: 500, trigger: 2, table: 200, base: 10}},
	}

	rounds := uint64(6)
	if testing.Short() || raceEnabled {
		rounds = 1
	}
	for seed := range rounds {
		for first := range sets {
			now := first
			open := func(m *MemFS) *DB {
				o := sets[now].o
				o.FS = m
				if seed%2 == 0 {
					o.Codec = runCodec{}
				}
				db, err := openWith("db", &o, rand.Uint64, sets[now].lim)
				must(t, err)
				return db
			}
			next := func() { now = (now + 1) % len(sets) }
			metamorphicRound(t, fmt.Sprintf("seed %d, options from %d on", seed, first), seed, open, next)
		}
	}
}

// metamorphicRound makes changes at random. open opens the database with the
// options at hand, which next changes.
func metamorphicRound(t *testing.T, what string, seed uint64, open func(*MemFS) *DB, next func()) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 20))
	m := NewMemFS()
	db := open(m)
	model := map[string]string{}
	for range 400 {
		key := fmt.Sprint("key", rng.IntN(40))
		value := fmt.Sprintf("%0*d", rng.IntN(200), rng.Uint64())
		switch x := rng.IntN(100); {
		case x < 60:
			model[key] = value
			must(t, db.Set([]byte(key), []byte(value)))
		case x < 80:
			delete(model, key)
			must(t, db.Delete([]byte(key)))
		case x < 93:
			checkKey(t, what, db, model, key)
		case x < 95:
			lo, hi := fmt.Append(nil, "key", rng.IntN(40)), fmt.Append(nil, "key", rng.IntN(40))
			wantScan(t, what, db.Scan, model, lo, hi)
		case x == 95:
			must(t, db.Compact(t.Context(), []byte(key), nil))
		case x < 98:
			closeDB(t, db)
			next()
			db = open(m)
		default:
			must(t, db.Sync(t.Context()))
			m = m.killClone()
			closeDB(t, db)
			db = open(m)
		}
	}

	for k := range 40 {
		checkKey(t, what+", at the end", db, model, fmt.Sprint("key", k))
	}
	wantScan(t, what+", at the end", db.Scan, model, nil, nil)
	isError(t, what+", at the end", db.Verify(t.Context()), nil)
	db.idle()
	isError(t, what+", levels at the end", checkLevels(db.state.Load().tables), nil)
	closeDB(t, db)
}

// checkKey checks what db has of key.
func checkKey(t *testing.T, what string, db *DB, model map[string]string, key string) {
	t.Helper()
	if want, ok := model[key]; ok {
		wantValue(t, what, db, key, want)
	} else {
		wantHas(t, what, db, key, false)
	}
}
