// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A scheme says which shard holds a person.
type scheme interface {
	// name is the word for it.
	name() string
	// shard returns the shard that holds p.
	shard(p *person) string
	// touches returns the shards that may hold what q asks for.
	touches(q *query) []string
	// with returns the scheme for other shards: one more, the last, or one
	// less. The people are those that the shards hold.
	with(shards []string, people []person) scheme
}

// schemes returns all schemes for some shards and people.
func schemes(shards []string, people []person) []scheme {
	return []scheme{
		mod{shards},
		pie{shards},
		newLetters(shards),
		newList(shards, people),
		newDirectory(shards, people),
		newPlace(shards),
		newComposite(shards),
		newRing(shards),
	}
}

// hash returns the hash of a key.
func hash(key string) uint64 { return xxhash.Sum64String(key) }

// count returns the number of people that each shard holds.
func count(s scheme, shards []string, people []person) map[string]int {
	n := make(map[string]int, len(shards))
	for _, name := range shards {
		n[name] = 0
	}
	for i := range people {
		n[s.shard(&people[i])]++
	}
	return n
}

// fullest returns the key of n with the largest number, and emptiest that with
// the smallest; of several, the first.
func fullest(n map[string]int) string {
	return slices.MaxFunc(order(n), func(a, b string) int { return cmp.Compare(n[a], n[b]) })
}

func emptiest(n map[string]int) string {
	return slices.MinFunc(order(n), func(a, b string) int { return cmp.Compare(n[a], n[b]) })
}

// order returns the keys of m: shards by their number, and cities by their
// name.
func order[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
}

// change returns which shard is new in to, and which is gone. One of them is
// empty.
func change(from, to []string) (added, removed string) {
	for _, s := range to {
		if !slices.Contains(from, s) {
			added = s
		}
	}
	for _, s := range from {
		if !slices.Contains(to, s) {
			removed = s
		}
	}
	return added, removed
}
