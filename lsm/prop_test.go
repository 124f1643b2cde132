// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestModelDB checks a database against a map, over closes, kills and reopens.
func TestModelDB(t *testing.T) { rapid.Check(t, modelDB) }

func modelDB(t *rapid.T) {
	m := NewMemFS()
	durability := Durability(rapid.IntRange(0, 2).Draw(t, "durability"))
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	lim := limits{versions: rapid.SampledFrom([]int{1, 5, 30, 1000}).Draw(t, "versions"), edits: 300}
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
			db = open()
		},
		"kill": func(*rapid.T) {
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
		},
	})
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
	}

	rounds := uint64(12)
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
		case x < 95:
			checkKey(t, what, db, model, key)
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
	isError(t, what+", at the end", db.Verify(t.Context()), nil)
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
