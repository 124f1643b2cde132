// SPDX-License-Identifier: MIT

package skiplist

import (
	workiva "github.com/Workiva/go-datastructures/common"
	"github.com/Workiva/go-datastructures/slice/skip"
	"github.com/emirpasic/gods/maps/treemap"
	"github.com/emirpasic/gods/utils"
	huandu "github.com/huandu/skiplist"
)

const (
	huanduName  = "huandu/skiplist"
	workivaName = "Workiva/skip"
	godsName    = "gods/treemap"
)

// huanduStore is a skip list with a key and a value in interfaces.
func huanduStore() store[int64] {
	m := huandu.New(huandu.Int64)

	return store[int64]{
		set: func(keys []int64) {
			for i, key := range keys {
				m.Set(key, i)
			}
		},
		get: func(probes []int64, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := m.GetValue(probes[i&(numProbes-1)]); ok {
					found++
				}
			}
			return found
		},
		change: func(probes []int64, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				m.Remove(key)
				if m.Set(key, i) != nil {
					done++
				}
			}
			return done
		},
		scan: func(n int) (visited int) {
			total := 0
			for visited < n {
				for e := m.Front(); e != nil && visited < n; e = e.Next() {
					total += e.Value.(int)
					visited++
				}
			}
			sum += total
			return visited
		},
	}
}

// A workivaEntry is an entry of Workiva's skip list, which has no values.
type workivaEntry struct {
	key   int64
	value int
}

func (e *workivaEntry) Compare(other workiva.Comparator) int {
	o := other.(*workivaEntry)
	switch {
	case e.key < o.key:
		return -1
	case e.key > o.key:
		return 1
	}
	return 0
}

func workivaStore() store[int64] {
	m := skip.New(uint64(0))

	return store[int64]{
		set: func(keys []int64) {
			for i, key := range keys {
				m.Insert(&workivaEntry{key, i})
			}
		},
		get: func(probes []int64, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if m.Get(&workivaEntry{key: probes[i&(numProbes-1)]})[0] != nil {
					found++
				}
			}
			return found
		},
		change: func(probes []int64, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				m.Delete(&workivaEntry{key: key})
				if m.Insert(&workivaEntry{key, i})[0] == nil {
					done++
				}
			}
			return done
		},
		scan: func(n int) (visited int) {
			total := 0
			for visited < n {
				for it := m.IterAtPosition(0); visited < n && it.Next(); visited++ {
					total += it.Value().(*workivaEntry).value
				}
			}
			sum += total
			return visited
		},
	}
}

// godsStore is a red-black tree with a key and a value in interfaces.
func godsStore() store[int64] {
	m := treemap.NewWith(utils.Int64Comparator)

	return store[int64]{
		set: func(keys []int64) {
			for i, key := range keys {
				m.Put(key, i)
			}
		},
		get: func(probes []int64, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if _, ok := m.Get(probes[i&(numProbes-1)]); ok {
					found++
				}
			}
			return found
		},
		change: func(probes []int64, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				key := probes[i&(numProbes-1)]
				m.Remove(key)
				m.Put(key, i)
				done++
			}
			return done
		},
		scan: func(n int) (visited int) {
			total := 0
			for visited < n {
				for it := m.Iterator(); visited < n && it.Next(); visited++ {
					total += it.Value().(int)
				}
			}
			sum += total
			return visited
		},
	}
}
