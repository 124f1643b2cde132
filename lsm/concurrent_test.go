// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
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

// A keeper is the only writer of some keys, and knows what they have: the
// number of the last Set, or 0.
type keeper struct {
	id   byte
	db   *DB
	rng  *rand.Rand
	have [40]uint32
}

// key returns key k. One is empty, some begin with 0xff, and some are long.
func (w *keeper) key(k int) []byte {
	if w.id == 0 && k == 0 {
		return nil
	}
	key := append(bytes.Repeat([]byte{0xff}, k%4), byte(k*6), w.id)
	if k%7 == 0 {
		key = append(key, bytes.Repeat([]byte("x"), 3*k)...)
	}
	return key
}

// set gives key k its next value.
func (w *keeper) set(k int) error {
	w.have[k]++
	return w.db.Set(w.key(k), binary.BigEndian.AppendUint32(nil, w.have[k]))
}

// step makes a random commit, or a read that has to be right.
func (w *keeper) step() error {
	k := w.rng.IntN(len(w.have))

	switch w.rng.IntN(6) {
	case 0, 1, 2:
		return w.set(k)
	case 3:
		w.have[k] = 0
		return w.db.Delete(w.key(k))
	case 4:
		v, err := w.db.Get(w.key(k))
		if errors.Is(err, ErrNotFound) {
			v, err = make([]byte, 4), nil
		}
		if err == nil && binary.BigEndian.Uint32(v) != w.have[k] {
			err = fmt.Errorf("key %d of %d has %v, want %d", k, w.id, v, w.have[k])
		}
		return err
	default:
		// A snapshot before a commit, and what is there after it.
		snap := w.db.Snapshot()
		before := w.have
		if err := w.set(k); err != nil {
			return err
		}
		back := w.rng.IntN(2) == 0
		return errors.Join(w.scan(snap.Scan(nil, nil), before, back), snap.Close(), w.scan(w.db.Scan(nil, nil), w.have, !back))
	}
}

// scan checks that it shows want, in order.
func (w *keeper) scan(it *Iterator, want [40]uint32, back bool) error {
	pairs := it.All()
	if back {
		pairs = it.Backward()
	}
	got := map[string]uint32{}
	var last []byte
	for key, value := range pairs {
		if len(got) > 0 && bytes.Compare(last, key) < 0 == back {
			return fmt.Errorf("%q after %q, back: %t", key, last, back)
		}
		last = append(last[:0], key...)
		got[string(key)] = binary.BigEndian.Uint32(value)
	}
	for k := range want {
		if n := got[string(w.key(k))]; n != want[k] {
			return errors.Join(it.Err(), fmt.Errorf("key %d of %d is %d, want %d, back: %t", k, w.id, n, want[k], back))
		}
	}
	return it.Close()
}

// TestConcurrentMerges checks what several goroutines find that each write keys
// of their own, with few bytes of cache and few descriptors, while others flush
// and merge: several merges run at once, as on many processors.
func TestConcurrentMerges(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	rounds, steps := 10, 250
	if testing.Short() {
		rounds, steps = 3, 100
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(uint64(round), 1))
		lim := checkedLimits(t, limits{
			versions: 5 + rng.IntN(60), edits: 1 << 12, trigger: 1 + rng.IntN(3), table: 200 + rng.Int64N(800), base: 1 + rng.Int64N(600),
		})
		o := Options{
			FS: NewMemFS(), Durability: Durability(rng.IntN(3)), LogSize: minLogSize, Memory: minMemory,
			MaxOpenFiles: 1 + rng.IntN(5), Cache: NewCache(rng.Int64N(20_000)),
		}

		// The second time, the tables of the first are there.
		keepers := make([]keeper, 6)
		for range 2 {
			db, err := openWith("db", &o, testNonce(rng.Uint64()), lim)
			must(t, err)
			concurrentMergesRound(t, db, keepers, steps, rng.Uint64())
			isError(t, "Verify", db.Verify(t.Context()), nil)
			closeDB(t, db)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

func concurrentMergesRound(t *testing.T, db *DB, keepers []keeper, steps int, seed uint64) {
	var writers, others sync.WaitGroup
	var stop atomic.Bool
	for i := range keepers {
		w := &keepers[i]
		w.id = byte(i)
		w.db = db
		w.rng = rand.New(rand.NewPCG(seed, uint64(i)))
		writers.Go(func() { // ends after so many steps
			for range steps {
				if err := w.step(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}

	// All the while tables are made and merged.
	others.Go(func() { // ends when stop is set
		rng := rand.New(rand.NewPCG(seed, 99))
		for !stop.Load() && !t.Failed() {
			lo := []byte{byte(rng.Uint32())}
			err := [...]func() error{
				func() error { return db.Flush(t.Context()) },
				func() error { return db.Compact(t.Context(), nil, nil) },
				func() error { return db.Compact(t.Context(), lo, append(lo, 20)) },
				func() error { return db.Verify(t.Context()) },
			}[rng.IntN(4)]()
			if err != nil {
				t.Error(err)
			}
		}
	})
	writers.Wait()
	stop.Store(true)
	others.Wait()
}
