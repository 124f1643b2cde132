// SPDX-License-Identifier: MIT

package lru

import "slices"

// A slowExact is the textbook of the exact types: a slice, and a search
// for everything.
type slowExact struct {
	kind     byte // 'l' LRU, 'f' LFU, 'q' FIFO
	capacity int  // 0 means unbounded
	items    []slowItem
	clock    int
}

type slowItem struct {
	Pair[int, int]
	count uint64
	used  int // when it was last set or used; for a FIFO, when it was added
}

func (m *slowExact) index(key int) int {
	return slices.IndexFunc(m.items, func(it slowItem) bool { return it.Key == key })
}

// before orders items by how soon they are pushed out.
func (m *slowExact) before(a, b slowItem) int {
	if m.kind == 'f' && a.count != b.count {
		return int(a.count) - int(b.count)
	}
	return a.used - b.used
}

func (m *slowExact) touch(i int) {
	m.clock++
	m.items[i].count++
	if m.kind != 'q' {
		m.items[i].used = m.clock
	}
}

func (m *slowExact) get(key int) (int, bool) {
	i := m.index(key)
	if i < 0 {
		return 0, false
	}
	m.touch(i)
	return m.items[i].Value, true
}

func (m *slowExact) peek(key int) (int, bool) {
	i := m.index(key)
	if i < 0 {
		return 0, false
	}
	return m.items[i].Value, true
}

func (m *slowExact) set(key, value int) (out Pair[int, int], evicted bool) {
	if i := m.index(key); i >= 0 {
		m.items[i].Value = value
		m.touch(i)
		return out, false
	}
	if m.capacity > 0 && len(m.items) == m.capacity {
		out, evicted = m.pop(), true
	}
	m.clock++
	m.items = append(m.items, slowItem{Pair[int, int]{key, value}, 1, m.clock})
	return out, evicted
}

func (m *slowExact) remove(key int) (int, bool) {
	i := m.index(key)
	if i < 0 {
		return 0, false
	}
	v := m.items[i].Value
	m.items = slices.Delete(m.items, i, i+1)
	return v, true
}

// pop removes the next victim.
func (m *slowExact) pop() Pair[int, int] {
	it := slices.MinFunc(m.items, m.before)
	m.remove(it.Key)
	return it.Pair
}

// order returns the pairs, the last victim first.
func (m *slowExact) order() (list []Pair[int, int]) {
	sorted := slices.SortedFunc(slices.Values(m.items), m.before)
	for _, it := range slices.Backward(sorted) {
		list = append(list, it.Pair)
	}
	return list
}

// A slowTiny is the textbook of the default policy: lists are slices, the first
// element the newest. It is told the same hashes, and shares the sketch and the
// ghost, which have tests of their own.
type slowTiny struct {
	capacity     int
	window, main []uint64
	ref          map[uint64]int // hits since the hand passed, at most 3
	share        float64        // of the window
	worn         uint64         // the key under the hand that returning keys met last
	wear         int            // how many of them it has turned away; 0 if worn is unset
	hash         func(uint64) uint32
	sketch       sketch
	ghost        ghost
	random       func(n uint32) uint32
}

func (m *slowTiny) count(k uint64) int { return m.sketch.count(m.hash(k)) }

func (m *slowTiny) size() int { return len(m.window) + len(m.main) }

func (m *slowTiny) windowSize() int { return max(int(float64(m.size())*m.share), 1) }

func (m *slowTiny) has(k uint64) bool {
	return slices.Contains(m.window, k) || slices.Contains(m.main, k)
}

func (m *slowTiny) remove(k uint64) {
	is := func(x uint64) bool { return x == k }
	m.window = slices.DeleteFunc(m.window, is)
	m.main = slices.DeleteFunc(m.main, is)
	delete(m.ref, k)
	if k == m.worn {
		m.wear = -1
	}
}

// get counts a hit, or a miss.
func (m *slowTiny) get(k uint64) bool {
	if m.has(k) {
		m.ref[k] = min(m.ref[k]+1, 3)
		return true
	}
	return false
}

// set adds k and returns the victim, if there is one.
func (m *slowTiny) set(k uint64) (victim uint64, evicted bool) {
	if m.get(k) {
		return 0, false
	}

	// A key that returns soon after it left the window makes the window larger.
	again := false
	if len(m.sketch.words) > 0 {
		m.sketch.add(m.hash(k))
		age, ok := m.ghost.recall(m.hash(k))
		again = ok
		if ok && age <= len(m.window) {
			m.share = min(m.share+1/float64(max(m.size(), 1)), 1.0/2)
		}
	}

	toMain := false
	if m.size() == m.capacity {
		victim, toMain = m.choose(k, again)
		if slices.Contains(m.window, victim) {
			m.ghost.add(m.hash(victim))
		}
		m.remove(victim)
		evicted = true
	}
	if toMain {
		m.main = slices.Insert(m.main, 0, k)
		return victim, evicted
	}

	// While there is room, the window flows over into main.
	m.window = slices.Insert(m.window, 0, k)
	if !evicted && len(m.window) > m.windowSize() {
		m.promote()
	}
	return victim, evicted
}

// promote moves the tail of the window to main.
func (m *slowTiny) promote() {
	n := len(m.window) - 1
	m.main = slices.Insert(m.main, 0, m.window[n])
	m.window = m.window[:n]
}

// turn moves the hand to the first entry of main without a hit.
func (m *slowTiny) turn() {
	for range 64 {
		n := len(m.main) - 1
		if n < 0 || m.ref[m.main[n]] == 0 {
			return
		}
		old := m.main[n]
		m.ref[old]--
		if m.ref[old] == 0 {
			// A smaller main might have lost this hit.
			d := 2 * float64(len(m.window)) / float64(len(m.main))
			m.share = max(m.share-d/float64(m.size()), 1.0/64)
		}
		if old == m.worn {
			m.wear = -1
		}

		m.sketch.add(m.hash(old))
		m.main = slices.Insert(m.main[:n], 0, old)
	}
}

// flush moves the hits of k to the sketch.
func (m *slowTiny) flush(k uint64) {
	for ; m.ref[k] > 0; m.ref[k]-- {
		m.sketch.add(m.hash(k))
	}
}

// returns reports whether k, which has returned, takes the place of hand.
func (m *slowTiny) returns(k, hand uint64) bool {
	if m.worn != hand || m.wear < 0 {
		m.worn = hand
		m.wear = 0
	}
	f := m.count(hand) - m.wear
	if f > 1 {
		f++
	}
	if m.count(k) > f {
		return true
	}
	m.wear++
	return false
}

// choose returns the victim for k, and whether k goes to main.
func (m *slowTiny) choose(k uint64, again bool) (victim uint64, toMain bool) {
	m.turn()
	over := len(m.window) - m.windowSize()
	if again && len(m.main) > 0 && m.returns(k, m.main[len(m.main)-1]) {
		if over > 0 {
			w := m.window[len(m.window)-1]
			m.flush(w)
			return w, true
		}
		return m.main[len(m.main)-1], true
	}
	if len(m.main) == 0 {
		return m.window[len(m.window)-1], false
	}

	hand := m.main[len(m.main)-1]
	if len(m.window) == 0 || over+1 <= 0 {
		return hand, false
	}
	candidate := m.window[len(m.window)-1]
	m.flush(candidate)
	if f := m.count(candidate); f <= m.count(hand)+1 && (f < 6 || m.random(128) != 0) {
		return candidate, false
	}
	m.promote()
	if over > 0 && len(m.window) > 0 {
		return m.window[len(m.window)-1], false
	}
	return hand, false
}
