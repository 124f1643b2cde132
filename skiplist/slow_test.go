// SPDX-License-Identifier: MIT

package skiplist

import (
	"cmp"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// A slowList is the skip list of the paper: a node holds one entry, and as many
// pointers as coins of 1 in 4 fell on the right side, and one more. A Map has
// 62 entries in a node, flips coins for blocks and not for entries, and finds
// ranks.
type slowList[K cmp.Ordered, V any] struct {
	head  slowNode[K, V] // before all others
	rng   *rand.Rand
	len   int
	level int
}

type slowNode[K, V any] struct {
	key   K
	value V
	next  []*slowNode[K, V] // the next node of each level
}

const slowLevels = 16

func newSlowList[K cmp.Ordered, V any](seed uint64) *slowList[K, V] {
	return &slowList[K, V]{
		head:  slowNode[K, V]{next: make([]*slowNode[K, V], slowLevels)},
		rng:   rand.New(rand.NewPCG(seed, 0)),
		level: 1,
	}
}

// search returns the last node of each level whose key is less than key.
func (l *slowList[K, V]) search(key K) (before [slowLevels]*slowNode[K, V]) {
	x := &l.head
	for i := slowLevels - 1; i >= 0; i-- {
		for x.next[i] != nil && cmp.Less(x.next[i].key, key) {
			x = x.next[i]
		}
		before[i] = x
	}
	return before
}

func (l *slowList[K, V]) get(key K) (value V, ok bool) {
	x := l.search(key)[0].next[0]
	if x == nil || cmp.Compare(x.key, key) != 0 {
		return value, false
	}
	return x.value, true
}

func (l *slowList[K, V]) set(key K, value V) {
	before := l.search(key)
	if x := before[0].next[0]; x != nil && cmp.Compare(x.key, key) == 0 {
		x.value = value
		return
	}
	level := 1
	for level < slowLevels && l.rng.Uint32()&3 == 0 {
		level++
	}
	x := &slowNode[K, V]{key: key, value: value, next: make([]*slowNode[K, V], level)}
	for i := range x.next {
		x.next[i] = before[i].next[i]
		before[i].next[i] = x
	}
	l.len++
}

func (l *slowList[K, V]) delete(key K) {
	before := l.search(key)
	x := before[0].next[0]
	if x == nil || cmp.Compare(x.key, key) != 0 {
		return
	}
	for i := range x.next {
		before[i].next[i] = x.next[i]
	}
	l.len--
}

// TestTextbook compares a Map with the list of the paper.
func TestTextbook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewMap[int, int]()
		m.coins.Seed(1, 2)
		slow := newSlowList[int, int](1)
		keys := rapid.IntRange(0, 500)
		for i := range 300 {
			key := keys.Draw(t, "key")
			if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
				m.Delete(key)
				slow.delete(key)
			} else {
				m.Set(key, i)
				slow.set(key, i)
			}
		}

		if got, want := m.Len(), slow.len; got != want {
			t.Fatalf("Len = %d, want %d", got, want)
		}
		x := slow.head.next[0]
		for key, value := range m.All() {
			if x.key != key || x.value != value {
				t.Fatalf("an entry is %d: %d, want %d: %d", key, value, x.key, x.value)
			}
			if got, ok := slow.get(key); !ok || got != value {
				t.Fatalf("the textbook finds %d, %t, want %d", got, ok, value)
			}
			x = x.next[0]
		}
	})
}
