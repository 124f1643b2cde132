// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
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
