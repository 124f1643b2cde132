// SPDX-License-Identifier: MIT

package skiplist

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bytedance/gopkg/collection/skipmap"
	google "github.com/google/btree"
	"github.com/puzpuzpuz/xsync/v4"
	tidwall "github.com/tidwall/btree"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/skiplist"
)

const (
	rwTid   = "RWMutex+tidwall"
	rwGoog  = "RWMutex+google"
	skips   = "bytedance/skipmap (not linearizable)"
	syncMap = "sync.Map"
	xsyncs  = "xsync.Map"

	unordered = "has no order"
)

// A kind is an operation of a mix.
type kind byte

const (
	loads kind = iota
	stores
	deletes
)

// A mix is kinds of operations in percent.
type mix struct{ load, store, delete int }

// name returns the mix as the name of a row.
func (x mix) name() string {
	return fmt.Sprintf("Load%d+Store%d+Delete%d", x.load, x.store, x.delete)
}

// kinds returns as many kinds as there are probes.
func (x mix) kinds() []kind {
	rng := rand.New(rand.NewPCG(3, 4))
	list := make([]kind, numProbes)
	for i := range list {
		switch p := rng.IntN(100); {
		case p < x.load:
			list[i] = loads
		case p < x.load+x.store:
			list[i] = stores
		default:
			list[i] = deletes
		}
	}
	return list
}

// A shared map is one that goroutines use at the same time, as loops that its
// owner wrote.
type shared struct {
	kept  any // the map
	store func(keys []int64)
	mix   func(probes []int64, kinds []kind, start, n int) (found int)
	floor func(probes []int64, start, n int) (found int)
	scan  func(probes []int64, start, n int) (visited int) // 100 entries from a key on
	pop   func(probes []int64, start, n int) (done int)    // takes the first, and stores another
}

// scanned is the number of entries of a scan.
const scanned = 100

func oursShared() shared {
	m := skiplist.NewConcurrentMap[int64, int]()

	return shared{
		kept: m,
		store: func(keys []int64) {
			for i, key := range keys {
				m.Store(key, i)
			}
		},
		mix: func(probes []int64, kinds []kind, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				switch kinds[i&(numProbes-1)] {
				case loads:
					if _, ok := m.Load(key); ok {
						found++
					}
				case stores:
					m.Store(key, i)
				default:
					m.Delete(key)
				}
			}
			return found
		},
		floor: func(probes []int64, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, _, ok := m.Floor(probes[i&(numProbes-1)] + 1); ok {
					found++
				}
			}
			return found
		},
		scan: func(probes []int64, start, n int) (visited int) {
			for i := start; i < start+n; i++ {
				left := scanned
				for _, value := range m.From(probes[i&(numProbes-1)]).All() {
					visited += value & 1
					if left--; left == 0 {
						break
					}
				}
			}
			return visited
		},
		pop: func(probes []int64, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				if key, value, ok := m.PopMin(); ok {
					m.Store(key+probes[i&(numProbes-1)]>>20&(1<<40-1)+1, value)
					done++
				}
			}
			return done
		},
	}
}

func tidwallShared() shared {
	m := tidwall.NewMap[int64, int](0)
	var mu sync.RWMutex

	return shared{
		kept: m,
		store: func(keys []int64) {
			for i, key := range keys {
				m.Set(key, i)
			}
		},
		mix: func(probes []int64, kinds []kind, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				switch kinds[i&(numProbes-1)] {
				case loads:
					mu.RLock()
					_, ok := m.Get(key)
					mu.RUnlock()
					if ok {
						found++
					}
				case stores:
					mu.Lock()
					m.Set(key, i)
					mu.Unlock()
				default:
					mu.Lock()
					m.Delete(key)
					mu.Unlock()
				}
			}
			return found
		},
		floor: func(probes []int64, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				mu.RLock()
				m.Descend(probes[i&(numProbes-1)]+1, func(int64, int) bool {
					found++
					return false
				})
				mu.RUnlock()
			}
			return found
		},
		scan: func(probes []int64, start, n int) (visited int) {
			for i := start; i < start+n; i++ {
				left := scanned
				mu.RLock()
				m.Ascend(probes[i&(numProbes-1)], func(_ int64, value int) bool {
					visited += value & 1
					left--
					return left > 0
				})
				mu.RUnlock()
			}
			return visited
		},
		pop: func(probes []int64, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				mu.Lock()
				key, value, ok := m.PopMin()
				mu.Unlock()
				if ok {
					mu.Lock()
					m.Set(key+probes[i&(numProbes-1)]>>20&(1<<40-1)+1, value)
					mu.Unlock()
					done++
				}
			}
			return done
		},
	}
}

func googleShared() shared {
	m := google.NewG(32, func(a, b item[int64]) bool { return a.key < b.key })
	var mu sync.RWMutex

	return shared{
		kept: m,
		store: func(keys []int64) {
			for i, key := range keys {
				m.ReplaceOrInsert(item[int64]{key, i})
			}
		},
		mix: func(probes []int64, kinds []kind, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				switch kinds[i&(numProbes-1)] {
				case loads:
					mu.RLock()
					_, ok := m.Get(item[int64]{key: key})
					mu.RUnlock()
					if ok {
						found++
					}
				case stores:
					mu.Lock()
					m.ReplaceOrInsert(item[int64]{key, i})
					mu.Unlock()
				default:
					mu.Lock()
					m.Delete(item[int64]{key: key})
					mu.Unlock()
				}
			}
			return found
		},
		floor: func(probes []int64, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				mu.RLock()
				m.DescendLessOrEqual(item[int64]{key: probes[i&(numProbes-1)] + 1}, func(item[int64]) bool {
					found++
					return false
				})
				mu.RUnlock()
			}
			return found
		},
		scan: func(probes []int64, start, n int) (visited int) {
			for i := start; i < start+n; i++ {
				left := scanned
				mu.RLock()
				m.AscendGreaterOrEqual(item[int64]{key: probes[i&(numProbes-1)]}, func(it item[int64]) bool {
					visited += it.value & 1
					left--
					return left > 0
				})
				mu.RUnlock()
			}
			return visited
		},
		pop: func(probes []int64, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				mu.Lock()
				it, ok := m.DeleteMin()
				mu.Unlock()
				if ok {
					mu.Lock()
					it.key += probes[i&(numProbes-1)]>>20&(1<<40-1) + 1
					m.ReplaceOrInsert(it)
					mu.Unlock()
					done++
				}
			}
			return done
		},
	}
}

// skipmapShared is a skip list with a node and a lock for each entry.
func skipmapShared() shared {
	m := skipmap.NewInt64()

	return shared{
		kept: m,
		store: func(keys []int64) {
			for i, key := range keys {
				m.Store(key, i)
			}
		},
		mix: func(probes []int64, kinds []kind, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				switch kinds[i&(numProbes-1)] {
				case loads:
					if _, ok := m.Load(key); ok {
						found++
					}
				case stores:
					m.Store(key, i)
				default:
					m.Delete(key)
				}
			}
			return found
		},
	}
}

func syncShared() shared {
	m := new(sync.Map)

	return shared{
		kept: m,
		store: func(keys []int64) {
			for i, key := range keys {
				m.Store(key, i)
			}
		},
		mix: func(probes []int64, kinds []kind, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				switch kinds[i&(numProbes-1)] {
				case loads:
					if _, ok := m.Load(key); ok {
						found++
					}
				case stores:
					m.Store(key, i)
				default:
					m.Delete(key)
				}
			}
			return found
		},
	}
}

func xsyncShared() shared {
	m := xsync.NewMap[int64, int]()

	return shared{
		kept: m,
		store: func(keys []int64) {
			for i, key := range keys {
				m.Store(key, i)
			}
		},
		mix: func(probes []int64, kinds []kind, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				switch kinds[i&(numProbes-1)] {
				case loads:
					if _, ok := m.Load(key); ok {
						found++
					}
				case stores:
					m.Store(key, i)
				default:
					m.Delete(key)
				}
			}
			return found
		},
	}
}

// sums keeps the compiler from dropping a loop.
var sums atomic.Int64

// sharedImpl returns the impl of an operation of a map of n keys. Each of its
// calls does its n operations, whatever it finds.
func sharedImpl(name, note string, n int, make func() shared, op func(s shared, d data[int64]) func(start, n int) int) bench.Impl {
	return bench.Impl{Name: name, Note: note, Setup: func(func(func())) bench.Op {
		s := make()
		d := numbers(n)
		s.store(d.keys)
		f := op(s, d)
		return func(start, n int) int {
			sums.Add(int64(f(start, n)))
			return n
		}
	}}
}

// concurrentRows returns the rows of a ConcurrentMap.
func concurrentRows() (rows []*bench.Workload) {
	for _, n := range []int{1e3, 1e6} {
		for _, g := range []int{1, 2} {
			for _, x := range []mix{{100, 0, 0}, {0, 100, 0}, {90, 9, 1}, {50, 25, 25}} {
				rows = append(rows, mixRows(x, n, g)...)
			}
			rows = append(rows, orderRows(n, g)...)
		}
	}
	return append(rows, sharedMemoryRows()...)
}

// mixRows returns the rows of a mix: against maps with a lock, and against maps
// for many goroutines.
func mixRows(x mix, n, g int) []*bench.Workload {
	kinds := sync.OnceValue(x.kinds)
	op := func(s shared, d data[int64]) func(start, n int) int {
		list := kinds()
		return func(start, n int) int { return s.mix(d.probes, list, start, n) }
	}
	one := func(name, note string, make func() shared) bench.Impl { return sharedImpl(name, note, n, make, op) }
	return []*bench.Workload{
		{
			Name: fmt.Sprintf("Concurrent%s/n=%d/g=%d", x.name(), n, g), Why: "random keys; the peers are read under RLock and written under Lock", Parallel: g,
			Versus: rwTid, Target: bench.Ratio(1), Expect: bench.Granted,
			Ours: one(ours, "", oursShared), Peers: []bench.Impl{one(rwTid, "", tidwallShared), one(rwGoog, "", googleShared)},
		},
		{
			Name: fmt.Sprintf("Concurrent%s/n=%d/g=%d/without=locks", x.name(), n, g), Why: "random keys; a skip list without one moment for each operation, and maps without order", Parallel: g,
			Versus: skips, Target: bench.Ratio(map[int]float64{1e3: 1, 1e6: 0.3}[n]), Expect: bench.Granted,
			Ours:  one(ours, "", oursShared),
			Peers: []bench.Impl{one(skips, "", skipmapShared), one(syncMap, unordered, syncShared), one(xsyncs, unordered, xsyncShared)},
		},
	}
}

// orderRows returns the rows of what needs an order.
func orderRows(n, g int) []*bench.Workload {
	row := func(name, why string, target float64, op func(s shared, d data[int64]) func(start, n int) int) *bench.Workload {
		one := func(name string, make func() shared) bench.Impl { return sharedImpl(name, "", n, make, op) }
		return &bench.Workload{
			Name: fmt.Sprintf("Concurrent%s/n=%d/g=%d", name, n, g), Why: why, Parallel: g,
			Versus: rwTid, Target: bench.Ratio(target), Expect: bench.Granted,
			Ours: one(ours, oursShared), Peers: []bench.Impl{one(rwTid, tidwallShared), one(rwGoog, googleShared)},
		}
	}
	return []*bench.Workload{
		row("Floor", "the entry before a random key; the peers are read under RLock", 1, func(s shared, d data[int64]) func(start, n int) int {
			return func(start, n int) int { return s.floor(d.probes, start, n) }
		}),
		row("Scan", "100 entries from a random key on; the peers keep RLock meanwhile, and writers wait", 1.3, func(s shared, d data[int64]) func(start, n int) int {
			return func(start, n int) int { return s.scan(d.probes, start, n) }
		}),
		row("PopMin+Store", "a queue: the first event is taken, and stored again for later; two locks of the peers", 3, func(s shared, d data[int64]) func(start, n int) int {
			return func(start, n int) int { return s.pop(d.probes, start, n) }
		}),
	}
}

// sharedMemoryRows compares the bytes of an entry, and the time of a
// collection.
func sharedMemoryRows() []*bench.Workload {
	const n = 1e6
	makers := []struct {
		name, note string
		make       func() shared
	}{{ours, "", oursShared}, {rwTid, "", tidwallShared}, {skips, "", skipmapShared}, {syncMap, unordered, syncShared}, {xsyncs, unordered, xsyncShared}}
	row := func(name, why, unit, versus string, target float64, measure func(make func() shared) (float64, int)) *bench.Workload {
		var impls []bench.Impl
		for _, k := range makers {
			impls = append(impls, bench.Impl{Name: k.name, Note: k.note, Measure: func() (float64, int) { return measure(k.make) }})
		}
		return &bench.Workload{
			Name: name, Why: why, Unit: unit, Rounds: 1, Versus: versus, Target: bench.Ratio(target),
			Ours: impls[0], Peers: impls[1:],
		}
	}

	return []*bench.Workload{
		row("ConcurrentMemory/n=1000000", "8-byte keys and values in random order", "bytes/entry", skips, 0.33, func(make func() shared) (float64, int) {
			keys := numbers(n).keys
			return bench.HeapPerKey(func(func(func())) (any, int) {
				s := make()
				s.store(keys)
				return s.kept, n
			})
		}),
		row("ConcurrentGC/n=1000000", "one full collection with a million entries and the data set", "ms", skips, 0.1, func(make func() shared) (float64, int) {
			s := make()
			s.store(numbers(n).keys)
			runtime.GC()
			begin := time.Now()
			runtime.GC()
			took := time.Since(begin)
			runtime.KeepAlive(s.kept)
			return float64(took) / 1e6, 1
		}),
	}
}
