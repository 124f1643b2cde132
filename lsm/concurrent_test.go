// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLinearizable checks histories of concurrent reads and writes of one key.
// An absent key is an answer of its own, and no error passes for it.
func TestLinearizable(t *testing.T) {
	type in struct {
		kind  int
		value string
	}
	const absent = "absent"
	for d := range Async + 1 {
		o := Options{FS: NewMemFS(), Durability: d, LogSize: minLogSize}
		db, err := openWith("db", &o, testNonce(1), limits{versions: 20, edits: 1 << 20, trigger: 1, table: 300, base: 1})
		must(t, err)
		stop := time.Now().Add(*linearTime)
		for round := 0; time.Now().Before(stop) && !t.Failed(); round++ {
			key := fmt.Append(nil, "key", round)
			do := func(i in) string {
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
					switch {
					case err == nil:
						return string(v)
					case !errors.Is(err, ErrNotFound):
						t.Error(err)
					}
					return absent
				}
				return ""
			}

			h := record(4, 8, func(proc, op int) in {
				return in{(proc*7 + op*5 + round) % 5, fmt.Sprint(proc, op)}
			}, do)
			step := func(s string, i in, out string) (string, bool) {
				switch i.kind {
				case 0:
					return absent, true
				case 1, 2:
					return i.value, true
				}
				return s, s == out
			}
			if !linearizable(absent, h, step) {
				t.Errorf("durability %v: not linearizable: %v", d, h)
			}
		}
		if s := db.Stats(); s.Merges == 0 {
			t.Errorf("durability %v: nothing was merged", d)
		}
		closeDB(t, db)
	}
}

// TestBatchAtomic checks that two keys which every batch sets together are
// never seen apart: whatever the writer has just done, and by a reader that is
// slower than the writer, for which the key that is read second is never older,
// whichever that is.
func TestBatchAtomic(t *testing.T) {
	for d := Sync; d <= Async; d++ {
		db := memDB(t, Options{Durability: d})
		steps := 0
		db.state.Load().mem.step = func() {
			a, _ := db.Get([]byte("a"))
			b, _ := db.Get([]byte("b"))
			if !bytes.Equal(a, b) {
				t.Fatalf("%v: a is %v and b is %v, want the same", d, a, b)
			}
			steps++
		}
		for i := range byte(50) {
			var b Batch
			b.Set([]byte("a"), []byte{i})
			b.Set([]byte("b"), []byte{i})
			must(t, db.Apply(t.Context(), &b))
		}
		if steps < 200 {
			t.Errorf("%v: %d steps, want two or more for each operation", d, steps)
		}
	}

	n := 5000
	if raceEnabled || testing.Short() {
		n = 500
	}
	for _, keys := range [][2]string{{"a", "b"}, {"b", "a"}} {
		db := memDB(t, Options{Durability: NoSync})
		var stop atomic.Bool
		var written atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() { // ends when stop is set
			var b Batch
			for i := 0; !stop.Load(); i++ {
				b.Reset()
				b.Set([]byte("a"), []byte{byte(i >> 16), byte(i >> 8), byte(i)})
				b.Set([]byte("b"), []byte{byte(i >> 16), byte(i >> 8), byte(i)})
				if err := db.Apply(context.Background(), &b); err != nil {
					t.Error(err)
				}
				written.Add(1)
			}
		})

		for reads := 0; reads < n || written.Load() < int64(n); reads++ {
			first, err1 := db.Get([]byte(keys[0]))
			second, err2 := db.Get([]byte(keys[1]))
			if err1 == nil && err2 != nil {
				t.Errorf("%s is %v, then %s: got %v, want a value", keys[0], first, keys[1], err2)
				break
			}
			if bytes.Compare(first, second) > 0 {
				t.Errorf("%s is %v, then %s: got %v, want the same or a later one", keys[0], first, keys[1], second)
				break
			}
		}
		stop.Store(true)
		wg.Wait()
	}
}

// TestTableConcurrent asks one table from several goroutines.
func TestTableConcurrent(t *testing.T) {
	list := testVersions()
	table := mustTable(t, list, &TableOptions{BlockSize: minBlockSize})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				v := list[(g*7+i)%len(list)]
				want, ok := twinGet(list, v.key, maxSeq)
				got, err := table.Get([]byte(v.key))
				if ok != (err == nil) || string(got) != want {
					t.Errorf("Get(%q) = %q and %v, want %q, %t", v.key, got, err, want, ok)
				}
			}
			got, err := scanAll(table, nil, nil, maxSeq)
			isError(t, "scan", err, nil)
			if want := twinScan(list, "", nil, maxSeq); !slices.Equal(got, want) {
				t.Errorf("scan yields %q, want %q", got, want)
			}
			isError(t, "verify", table.Verify(context.Background()), nil)
		})
	}
	wg.Wait()
}
