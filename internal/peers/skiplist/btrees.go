// SPDX-License-Identifier: MIT

package skiplist

import (
	"container/heap"

	"github.com/RaduBerinde/btreemap"
	google "github.com/google/btree"
	tidwall "github.com/tidwall/btree"
)

const (
	tid  = "tidwall/btree"
	goog = "google/btree"
	radu = "btreemap"
)

func tidwallStore[K int64 | string]() store[K] {
	m := tidwall.NewMap[K, int](0)

	return store[K]{
		set: func(keys []K) {
			for i, key := range keys {
				m.Set(key, i)
			}
		},
		get: func(probes []K, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := m.Get(probes[i&(numProbes-1)]); ok {
					found++
				}
			}
			return found
		},
		change: func(probes []K, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				m.Delete(key)
				if _, replaced := m.Set(key, i); !replaced {
					done++
				}
			}
			return done
		},
		scan: func(n int) (visited int) {
			total := 0
			for visited < n {
				m.Scan(func(_ K, value int) bool {
					total += value
					visited++
					return visited < n
				})
			}
			sum += total
			return visited
		},
		nth: func(start, n, size int) (found int) {
			for i := start; i < start+n; i++ {
				if _, value, ok := m.GetAt(i * 7919 % size); ok {
					sum += value
					found++
				}
			}
			return found
		},
		clone: func(probes []K, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				c := m.Copy()
				if _, replaced := c.Set(probes[i&(numProbes-1)], i); replaced {
					done++
				}
			}
			return done
		},
	}
}

// An item is an entry of google/btree, which has no values.
type item[K int64 | string] struct {
	key   K
	value int
}

func googleStore[K int64 | string]() store[K] {
	m := google.NewG(32, func(a, b item[K]) bool { return a.key < b.key })

	return store[K]{
		set: func(keys []K) {
			for i, key := range keys {
				m.ReplaceOrInsert(item[K]{key, i})
			}
		},
		get: func(probes []K, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := m.Get(item[K]{key: probes[i&(numProbes-1)]}); ok {
					found++
				}
			}
			return found
		},
		change: func(probes []K, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				m.Delete(item[K]{key: key})
				if _, replaced := m.ReplaceOrInsert(item[K]{key, i}); !replaced {
					done++
				}
			}
			return done
		},
		scan: func(n int) (visited int) {
			total := 0
			for visited < n {
				m.Ascend(func(it item[K]) bool {
					total += it.value
					visited++
					return visited < n
				})
			}
			sum += total
			return visited
		},
		clone: func(probes []K, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				c := m.Clone()
				if _, replaced := c.ReplaceOrInsert(item[K]{probes[i&(numProbes-1)], i}); replaced {
					done++
				}
			}
			return done
		},
	}
}

func btreemapStore[K int64 | string]() store[K] {
	m := btreemap.New[K, int](32, func(a, b K) int {
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	})

	return store[K]{
		set: func(keys []K) {
			for i, key := range keys {
				m.ReplaceOrInsert(key, i)
			}
		},
		get: func(probes []K, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, _, ok := m.Get(probes[i&(numProbes-1)]); ok {
					found++
				}
			}
			return found
		},
		change: func(probes []K, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				m.Delete(key)
				if _, _, replaced := m.ReplaceOrInsert(key, i); !replaced {
					done++
				}
			}
			return done
		},
		scan: func(n int) (visited int) {
			total := 0
			for visited < n {
				for _, value := range m.Ascend(btreemap.Min[K](), btreemap.Max[K]()) {
					total += value
					if visited++; visited == n {
						break
					}
				}
			}
			sum += total
			return visited
		},
	}
}

// builtin is the map of the language, which has no order: the floor of Get.
func builtinStore[K int64 | string]() store[K] {
	m := map[K]int{}
	return store[K]{
		set: func(keys []K) {
			for i, key := range keys {
				m[key] = i
			}
		},
		get: func(probes []K, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := m[probes[i&(numProbes-1)]]; ok {
					found++
				}
			}
			return found
		},
	}
}

// sliceStore is the entries in a slice: the floor of a scan.
func sliceStore[K int64 | string]() store[K] {
	var list []item[K]
	return store[K]{
		set: func(keys []K) {
			for i, key := range keys {
				list = append(list, item[K]{key, i})
			}
		},
		scan: func(n int) (visited int) {
			total := 0
			for visited < n {
				for _, it := range list[:min(len(list), n-visited)] {
					total += it.value
					visited++
				}
			}
			sum += total
			return visited
		},
	}
}

// entries is a heap of container/heap.
type entries []item[int64]

func (e entries) Len() int           { return len(e) }
func (e entries) Less(i, j int) bool { return e[i].key < e[j].key }
func (e entries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *entries) Push(x any)        { *e = append(*e, x.(item[int64])) }

func (e *entries) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func heapPop(d data[int64]) func(start, n int) int {
	var e entries
	for i, key := range d.keys {
		heap.Push(&e, item[int64]{key, i})
	}
	return func(start, n int) (done int) {
		for i := start; i < start+n; i++ {
			it := heap.Pop(&e).(item[int64])
			it.key += d.probes[i&(numProbes-1)]>>20&(1<<40-1) + 1
			heap.Push(&e, it)
			done++
		}
		return done
	}
}

func tidwallPop(d data[int64]) func(start, n int) int {
	m := tidwall.NewMap[int64, int](0)
	for i, key := range d.keys {
		m.Set(key, i)
	}
	return func(start, n int) (done int) {
		for i := start; i < start+n; i++ {
			key, value, ok := m.PopMin()
			m.Set(key+d.probes[i&(numProbes-1)]>>20&(1<<40-1)+1, value)
			if ok {
				done++
			}
		}
		return done
	}
}
