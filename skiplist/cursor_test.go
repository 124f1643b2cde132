// SPDX-License-Identifier: MIT

package skiplist

import (
	"testing"

	"pgregory.net/rapid"
)

// TestModelCursor leads a cursor through a map that changes, and compares each
// step with the neighbors of its key.
func TestModelCursor(t *testing.T) { rapid.Check(t, modelCursor) }

func modelCursor(t *rapid.T) {
	m := NewMap[int, int]()
	m.limit = rapid.SampledFrom([]int{5, 8, width}).Draw(t, "limit")
	m.coins.Seed(1, rapid.Uint64().Draw(t, "seed"))
	keys := rapid.IntRange(0, 50)
	for range rapid.IntRange(0, 100).Draw(t, "n") {
		key := keys.Draw(t, "key")
		m.Set(key, -key)
	}
	c := m.Cursor()
	last := -1 // the key on which the cursor stands, or stood
	where := beforeAll

	// arrived compares the cursor with the entry where it should be.
	arrived := func(t *rapid.T, step string, got bool, key int, want bool, beyond position) {
		if got != want {
			t.Fatalf("%s = %t, want %t", step, got, want)
		}
		if !want {
			where = beyond
			return
		}
		where = onEntry
		last = key
		if c.Key() != key || c.Value() != -key {
			t.Fatalf("%s leads to %d: %d, want %d", step, c.Key(), c.Value(), key)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"Next": func(t *rapid.T) {
			key, _, ok := m.Higher(last)
			switch where {
			case beforeAll:
				key, _, ok = m.Min()
			case behindAll:
				ok = false
			}
			arrived(t, "Next", c.Next(), key, ok, behindAll)
		},
		"Prev": func(t *rapid.T) {
			key, _, ok := m.Lower(last)
			switch where {
			case beforeAll:
				ok = false
			case behindAll:
				key, _, ok = m.Max()
			}
			arrived(t, "Prev", c.Prev(), key, ok, beforeAll)
		},
		"Seek": func(t *rapid.T) {
			at := keys.Draw(t, "at")
			key, _, ok := m.Ceiling(at)
			arrived(t, "Seek", c.Seek(at), key, ok, behindAll)
		},
		"First": func(t *rapid.T) {
			key, _, ok := m.Min()
			arrived(t, "First", c.First(), key, ok, behindAll)
		},
		"Last": func(t *rapid.T) {
			key, _, ok := m.Max()
			arrived(t, "Last", c.Last(), key, ok, beforeAll)
		},
		"Delete": func(t *rapid.T) {
			want := where == onEntry && m.Has(last)
			if got := c.Delete(); got != want {
				t.Fatalf("Delete = %t, want %t", got, want)
			}
			if m.Has(last) && where == onEntry {
				t.Fatalf("%d is there after Delete", last)
			}
		},
		"change": func(t *rapid.T) {
			key := keys.Draw(t, "key")
			if rapid.Bool().Draw(t, "delete") {
				m.Delete(key)
			} else {
				m.Set(key, -key)
			}
			want := 0
			if where == onEntry {
				want, _ = m.Get(last)
			}
			if got := c.Value(); got != want {
				t.Fatalf("Value = %d after a change, want %d", got, want)
			}
		},
	})
}

// TestCursorInLowerMap goes on with a cursor after the map has fewer levels.
func TestCursorInLowerMap(t *testing.T) {
	m := numbers(1000, 5)
	high := height(m)
	c := m.Cursor()
	c.Last()
	m.Above(20).Below(990).Clear()
	if low := height(m); low < 1 || low >= high {
		t.Fatalf("height %d after %d, want less, but a level", low, high)
	}
	for want := 998; want >= 0; want-- {
		if want == 989 {
			want = 20
		}
		if !c.Prev() || c.Key() != want {
			t.Fatalf("Prev leads to %d, want %d", c.Key(), want)
		}
	}
	if c.Prev() {
		t.Error("Prev = true before the first, want false")
	}
}
