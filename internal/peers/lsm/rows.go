// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	gosync "sync"
	"time"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/lsm"
)

var background = context.Background()

// manyKeys is how many keys a whole store has. Tests have fewer.
var manyKeys = 1_000_000

// sharedPrefix makes keys of 24 bytes that begin alike.
var sharedPrefix bool

// manyKey writes the i-th key of a whole store, in a random order.
func manyKey(buf []byte, i int) []byte {
	x := uint64(i) * 0x9E3779B97F4A7C15
	if sharedPrefix {
		return fmt.Appendf(buf[:0], "user%020d", x)
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(buf[:0], x), x>>7)
}

// orderedKey writes the i-th key in order.
func orderedKey(buf []byte, i int) []byte {
	return binary.BigEndian.AppendUint64(append(buf[:0], "key:key:"...), uint64(i))
}

// A fill is how a whole store comes to be, measured from an empty one.
type fill struct {
	name    string
	key     func(buf []byte, i int) []byte
	rounds  int // how often each key is set
	settled bool
}

// measureFill returns the time of a key, or if what is not empty another
// figure.
func measureFill(e engine, f fill, what string) bench.Impl {
	impl := bench.Impl{Name: e.name, Note: e.note, Measure: func() (float64, int) {
		var undo []func()
		dir := folder(func(f func()) { undo = append(undo, f) })
		defer func() { undo[0]() }()
		s := e.open(dir, budget{64 << 20, 512 << 20})

		begin := time.Now()
		n := manyKeys
		if e.name == bolt {
			n /= 20 // a transaction each: it has no other way that is durable
		}
		buf := make([]byte, 0, 32)
		for round := range f.rounds {
			for i := range n {
				must(s.put(f.key(buf, i*(1+2*round)%n), value))
			}
		}
		took := time.Since(begin)
		switch what {
		case "amp":
			must(s.settle())
			figure := s.amp()
			must(s.close())
			return figure, 1
		case "space":
			must(s.settle())
			must(s.close())
			return float64(size(dir)) / float64(n), 1
		}
		must(s.close())
		return float64(took) / float64(n*f.rounds), n * f.rounds
	}}
	if e.name != ours {
		impl.Beside = "flushes and compactions"
	} else {
		impl.Beside = "flushes and merges"
	}
	return impl
}

// fillRows returns the rows of writing whole stores.
func fillRows() (rows []*bench.Workload) {
	for _, f := range []fill{
		{name: "Fill/order=ascending", key: orderedKey, rounds: 1},
		{name: "Fill/order=random", key: manyKey, rounds: 1},
		{name: "Fill/order=overwrite", key: manyKey, rounds: 3},
	} {
		for _, d := range []lsm.Durability{lsm.Async, lsm.NoSync} {
			w := row(fmt.Sprintf("%s/durability=%v/keys=%d", f.name, d, manyKeys), 1, "keys of 16 bytes and values of 100, one a commit; 64 MiB for memtables, 512 for blocks; async: pebble has commits in its memory too; nosync: a kill loses none; bbolt has a twentieth of the keys")
			w.Rounds = 3
			w.Target = bench.Ratio(1)
			if f.name == "Fill/order=random" {
				w.Target = bench.Ratio(0.8)
			}
			w.Ours = measureFill(engines[0], f, "")
			w.Peers = []bench.Impl{measureFill(engines[1], f, "")}
			if d == lsm.NoSync {
				w.Ours = measureFill(safer, f, "")
				w.Peers = nil
				for _, e := range engines[2:] {
					w.Peers = append(w.Peers, measureFill(e, f, ""))
				}
			}
			rows = append(rows, w)
		}
	}

	// What that writes, and what it leaves.
	f := fill{key: manyKey, rounds: 3}
	for _, what := range []string{"amp", "space"} {
		w := row(fmt.Sprintf("Overwrite/figure=%s/keys=%d", what, manyKeys), 1, "each key is set three times, then all is merged: bytes written to files for a byte that was set, or bytes in files for a key")
		w.Rounds = 1
		w.Unit = map[string]string{"amp": "written/set", "space": "B/key"}[what]
		w.Target = bench.Ratio(1)
		w.Ours = measureFill(engines[0], f, what)
		w.Peers = []bench.Impl{measureFill(engines[1], f, what)}
		if what == "space" {
			w.Peers = append(w.Peers, measureFill(engines[2], f, what))
		}
		rows = append(rows, w)
	}
	return rows
}

// row returns a row against the better of pebble and goleveldb.
func row(name string, parallel int, why string) *bench.Workload {
	return &bench.Workload{Name: name, Parallel: parallel, Why: why, Target: bench.Ratio(1), Expect: bench.Any}
}

// filled returns the loop of a store that has all keys. make makes the loop; it
// is called once for each goroutine.
func filled(e engine, b budget, op func(s store) bench.Op) bench.Impl {
	return bench.Impl{Name: e.name, Note: e.note, Setup: func(atEnd func(func())) bench.Op {
		s := e.open(folder(atEnd), b)
		if s.load != nil {
			must(s.load(manyKeys))
		} else {
			buf := make([]byte, 0, 32)
			for i := range manyKeys {
				must(s.put(manyKey(buf, i), value))
			}
		}
		must(s.settle())
		atEnd(func() { must(s.close()) })

		// The cache is warm, as far as it is large enough.
		buf := make([]byte, 0, 32)
		for i := range manyKeys {
			_, _, err := s.get(nil, manyKey(buf, i))
			must(err)
		}
		return op(s)
	}}
}

// getOp reads keys that pick chooses.
func getOp(pick func(i int) int, want bool) func(s store) bench.Op {
	return func(s store) bench.Op {
		return func(start, n int) (done int) {
			buf, dst := make([]byte, 0, 32), make([]byte, 0, valueSize)
			for i := start; i < start+n; i++ {
				_, ok, err := s.get(dst[:0], manyKey(buf, pick(i)))
				must(err)
				if ok == want {
					done++
				}
			}
			return done
		}
	}
}

func uniform(i int) int { return int(uint32(i)*2654435761>>3) % manyKeys }
func hot(i int) int     { return uniform(i) % (manyKeys / 100) }
func missing(i int) int { return manyKeys + uniform(i) }

// seekOp seeks to keys, and reads so many entries from there on.
func seekOp(entries int, back bool) func(s store) bench.Op {
	return func(s store) bench.Op {
		return func(start, n int) (done int) {
			buf := make([]byte, 0, 32)
			c := s.cursor()
			defer c.close()

			for i := start; i < start+n; i++ {
				ok := c.seek(manyKey(buf, uniform(i)))
				for j := 1; ok && j < entries; j++ {
					if back {
						ok = c.prev()
					} else {
						ok = c.next()
					}
				}
				if !ok {
					done++ // the end of the keys
					continue
				}
				if _, v := c.entry(); len(v) == valueSize {
					done++
				}
			}
			return done
		}
	}
}

// readRows returns the rows of reading whole stores.
func readRows() (rows []*bench.Workload) {
	warm, small := budget{64 << 20, 512 << 20}, budget{8 << 20, 8 << 20}

	for _, r := range []struct {
		name     string
		budget   budget
		target   float64
		parallel int
		op       func(s store) bench.Op
		oneWay   bool // badger too
	}{
		{"Read/keys=random/cache=warm", warm, 0.6, 1, getOp(uniform, true), true},
		{"Read/keys=random/cache=warm/readers=2", warm, 0.6, 2, getOp(uniform, true), true},
		{"Read/keys=hot", warm, 1, 1, getOp(hot, true), true},
		{"Read/keys=random/cache=small", small, 1, 1, getOp(uniform, true), true},
		{"Read/keys=missing", warm, 1, 1, getOp(missing, false), true},
		{"Seek", warm, 1, 1, seekOp(1, false), true},
		{"Scan/entries=100", warm, 1, 1, seekOp(100, false), true},
		{"Scan/entries=100/back", warm, 1, 1, seekOp(100, true), false},
	} {
		w := row(r.name, r.parallel, fmt.Sprintf("%d keys of 16 bytes with values of 100, merged before; %d MiB for blocks (bbolt maps its file), and filters everywhere", manyKeys, r.budget.cache>>20))
		w.Target = bench.Ratio(r.target)
		w.Expect = bench.Granted
		w.Ours = filled(engines[0], r.budget, r.op)
		for _, e := range engines[1:] {
			if e.name != badg || r.oneWay {
				w.Peers = append(w.Peers, filled(e, r.budget, r.op))
			}
		}
		rows = append(rows, w)
	}
	return rows
}

// A zipf chooses keys as YCSB does, with the exponent 0.99.
type zipf struct {
	n, zeta, eta, alpha, half float64
}

func newZipf(n int) *zipf {
	const theta = 0.99
	z := &zipf{n: float64(n), alpha: 1 / (1 - theta)}
	for i := 1; i <= n; i++ {
		z.zeta += math.Pow(float64(i), -theta)
	}
	z.half = math.Pow(0.5, theta)
	z.eta = (1 - math.Pow(2/z.n, 1-theta)) / (1 - (1+z.half)/z.zeta)
	return z
}

func (z *zipf) next(rng *rand.Rand) int {
	u := rng.Float64()
	switch uz := u * z.zeta; {
	case uz < 1:
		return 0
	case uz < 1+z.half:
		return 1
	default:
		return int(z.n * math.Pow(z.eta*u-z.eta+1, z.alpha))
	}
}

// mixOp reads, updates, inserts, scans and modifies by shares of 100, of keys
// that a zipf chooses, or the latest ones.
func mixOp(read, update, insert, scan, modify int, latest bool) func(s store) bench.Op {
	return func(s store) bench.Op {
		z := newZipf(manyKeys)
		var mu gosync.Mutex
		top := manyKeys
		return func(start, n int) (done int) {
			rng := rand.New(rand.NewPCG(uint64(start), 1))
			buf, dst := make([]byte, 0, 32), make([]byte, 0, valueSize)
			for i := start; i < start+n; i++ {
				at := min(z.next(rng), manyKeys-1)
				if latest {
					mu.Lock()
					at = top - 1 - at
					mu.Unlock()
				} else {
					at = at * 7919 % manyKeys
				}

				k := manyKey(buf, at)
				switch x := rng.IntN(100); {
				case x < read+modify:
					_, _, err := s.get(dst[:0], k)
					must(err)
					if x >= read {
						must(s.put(k, value))
					}
				case x < read+modify+update:
					must(s.put(k, value))
				case x < read+modify+update+insert:
					mu.Lock()
					top++
					k = manyKey(buf, top-1)
					mu.Unlock()
					must(s.put(k, value))
				case scan > 0:
					c := s.cursor()
					ok := c.seek(k)
					for j := rng.IntN(100); ok && j > 0; j-- {
						ok = c.next()
					}
					c.close()
				}
				done++
			}
			return done
		}
	}
}

// mixRows returns the rows of reading and writing: half and half, and those of
// YCSB.
func mixRows() (rows []*bench.Workload) {
	for _, r := range []struct {
		name     string
		parallel int
		op       func(s store) bench.Op
	}{
		{"Mixed/reads=50/goroutines=2", 2, mixOp(50, 50, 0, 0, 0, false)},
		{"YCSB-A/update=50", 1, mixOp(50, 50, 0, 0, 0, false)},
		{"YCSB-B/update=5", 1, mixOp(95, 5, 0, 0, 0, false)},
		{"YCSB-C/update=0", 1, mixOp(100, 0, 0, 0, 0, false)},
		{"YCSB-D/insert=5/keys=latest", 1, mixOp(95, 0, 5, 0, 0, true)},
		{"YCSB-E/scan=95/insert=5", 1, mixOp(0, 0, 5, 95, 0, false)},
		{"YCSB-F/modify=50", 1, mixOp(50, 0, 0, 0, 50, false)},
	} {
		w := row(r.name, r.parallel, fmt.Sprintf("%d keys, chosen by a zipf of 0.99; 64 MiB for memtables, 512 for blocks; commits are in the memory of ours and pebble, in the system with others", manyKeys))
		w.Expect = bench.Granted
		w.Ours = filled(engines[0], budget{64 << 20, 512 << 20}, r.op)
		for _, e := range engines[1:] {
			if e.name != bolt {
				w.Peers = append(w.Peers, filled(e, budget{64 << 20, 512 << 20}, r.op))
			}
		}
		rows = append(rows, w)
	}
	return rows
}

// openRows returns the rows of opening a store.
func openRows() (rows []*bench.Workload) {
	for _, killed := range []bool{false, true} {
		w := row(fmt.Sprintf("Open/killed=%t/keys=%d", killed, manyKeys), 1, "milliseconds until the first key is read, after Close, or of the files of a process that was killed after as many commits; the files are in the cache of the system")
		w.Unit = "ms"
		w.Rounds = 3
		w.Ours = measureOpen(engines[0], killed)
		for _, e := range engines[1:] {
			w.Peers = append(w.Peers, measureOpen(e, killed))
		}
		rows = append(rows, w)
	}
	return rows
}

func measureOpen(e engine, killed bool) bench.Impl {
	return bench.Impl{Name: e.name, Note: e.note, Measure: func() (float64, int) {
		var undo []func()
		root := folder(func(f func()) { undo = append(undo, f) })
		defer func() { undo[0]() }()
		dir, copied := filepath.Join(root, "a"), filepath.Join(root, "b")
		makeFolder(dir)
		b := budget{64 << 20, 512 << 20}
		s := e.open(dir, b)
		if s.load != nil {
			must(s.load(manyKeys))
		} else {
			buf := make([]byte, 0, 32)
			for i := range manyKeys {
				must(s.put(manyKey(buf, i), value))
			}
		}
		if killed {
			copyDir(dir, copied)
			must(s.close())
			dir = copied
		} else {
			must(s.close())
		}

		begin := time.Now()
		s = e.open(dir, b)
		_, ok, err := s.get(nil, manyKey(nil, 1))
		took := time.Since(begin)
		must(err)
		if !ok {
			panic(e.name + " has lost a key")
		}
		must(s.close())
		return float64(took) / 1e6, 1
	}}
}
