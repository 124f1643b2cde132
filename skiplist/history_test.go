// SPDX-License-Identifier: MIT

package skiplist

import (
	"fmt"
	"strings"
)

// spread is the number of keys of a history: 0 to spread-1.
const spread = 12

// A content is the values of all keys, 0 if there is none: a ConcurrentMap as
// the checker of histories has it.
type content [spread]int16

// A verb is an operation of a ConcurrentMap.
type verb uint8

const (
	load verb = iota
	swap
	loadOrStore
	loadOrCompute
	loadAndDelete
	add     // Compute that adds
	toggle  // Compute that deletes a key that is there, and stores one that is not
	casSwap // CompareAndSwap
	casDelete
	floor
	lower
	ceiling
	higher
	minimum
	maximum
	popMin
	popMax
	snapshotAll
	snapshotSpan // of the key and the three after it
	wipe         // Clear
	length       // Len, which is not too low
	scanUp       // All, which is not linearizable: see loops
	scanDown     // Backward
)

var verbs = [...]string{
	"Load", "Swap", "LoadOrStore", "LoadOrCompute", "LoadAndDelete", "Compute+", "Compute~", "CompareAndSwap",
	"CompareAndDelete", "Floor", "Lower", "Ceiling", "Higher", "Min", "Max", "PopMin", "PopMax", "Snapshot",
	"Snapshot of 4", "Clear", "Len", "All", "Backward",
}

// A call is an operation and what it is given.
type call struct {
	verb       verb
	key        int
	value, old int16
}

func (c call) String() string {
	return fmt.Sprintf("%s(%d, %d, %d)", verbs[c.verb], c.key, c.value, c.old)
}

// An answer is what an operation returns.
type answer struct {
	key   int
	value int16
	ok    bool
	all   content
}

// entry returns the answer that has the entry of the first key from i on that
// is there, by steps of 1 or -1.
func (c content) entry(i, step int) answer {
	for ; i >= 0 && i < spread; i += step {
		if c[i] != 0 {
			return answer{key: i, value: c[i], ok: true}
		}
	}
	return answer{}
}

// apply returns what c is after an operation, and what that returns.
func (c content) apply(in call) (content, answer) {
	now := answer{value: c[in.key], ok: c[in.key] != 0}
	switch in.verb {
	case load:
		return c, now
	case swap:
		c[in.key] = in.value
		return c, now
	case loadOrStore, loadOrCompute:
		if now.ok {
			return c, now
		}
		c[in.key] = in.value
		return c, answer{value: in.value}
	case loadAndDelete:
		c[in.key] = 0
		return c, now

	case add:
		c[in.key] += in.value
		return c, answer{value: c[in.key], ok: true}
	case toggle:
		if now.ok {
			c[in.key] = 0
			return c, answer{}
		}
		c[in.key] = in.value
		return c, answer{value: in.value, ok: true}
	case casSwap, casDelete:
		fits := now.ok && now.value == in.old
		if fits && in.verb == casSwap {
			c[in.key] = in.value
		} else if fits {
			c[in.key] = 0
		}
		return c, answer{ok: fits}
	}
	return c.applyToAll(in)
}

// applyToAll is apply for operations of several keys.
func (c content) applyToAll(in call) (content, answer) {
	switch in.verb {
	case floor:
		return c, c.entry(in.key, -1)
	case lower:
		return c, c.entry(in.key-1, -1)
	case ceiling:
		return c, c.entry(in.key, 1)
	case higher:
		return c, c.entry(in.key+1, 1)
	case minimum:
		return c, c.entry(0, 1)
	case maximum:
		return c, c.entry(spread-1, -1)

	case popMin, popMax:
		out := c.entry(0, 1)
		if in.verb == popMax {
			out = c.entry(spread-1, -1)
		}
		if out.ok {
			c[out.key] = 0
		}
		return c, out
	case snapshotAll:
		return c, answer{all: c}
	case snapshotSpan:
		var all content
		copy(all[in.key:min(in.key+4, spread)], c[in.key:])
		return c, answer{all: all}
	case wipe:
		return content{}, answer{}
	}
	panic("skiplist: no such operation")
}

// accepts reports whether an operation on c may return out, and what c is then.
func (c content) accepts(in call, out answer) (content, bool) {
	switch {
	case in.verb >= scanUp:
		return c, true
	case in.verb == length:
		size := 0
		for _, value := range c {
			if value != 0 {
				size++
			}
		}
		return c, out.key >= size
	}
	next, want := c.apply(in)
	return next, out == want
}

// perform runs an operation on m.
func perform(m *ConcurrentMap[int, int16], in call) (out answer) {
	switch in.verb {
	case load:
		out.value, out.ok = m.Load(in.key)
	case swap:
		out.value, out.ok = m.Swap(in.key, in.value)
	case loadOrStore:
		out.value, out.ok = m.LoadOrStore(in.key, in.value)
	case loadOrCompute:
		out.value, out.ok = m.LoadOrCompute(in.key, func() int16 { return in.value })
	case loadAndDelete:
		out.value, out.ok = m.LoadAndDelete(in.key)
	case add:
		out.value, out.ok = m.Compute(in.key, func(old int16, _ bool) (int16, bool) { return old + in.value, true })
	case toggle:
		out.value, out.ok = m.Compute(in.key, func(_ int16, ok bool) (int16, bool) { return in.value, !ok })
	case casSwap:
		out.ok = m.CompareAndSwap(in.key, in.old, in.value)
	case casDelete:
		out.ok = m.CompareAndDelete(in.key, in.old)
	default:
		return performOnAll(m, in)
	}
	return out
}

// performOnAll is perform for operations of several keys.
func performOnAll(m *ConcurrentMap[int, int16], in call) (out answer) {
	switch in.verb {
	case floor:
		out.key, out.value, out.ok = m.Floor(in.key)
	case lower:
		out.key, out.value, out.ok = m.Lower(in.key)
	case ceiling:
		out.key, out.value, out.ok = m.Ceiling(in.key)
	case higher:
		out.key, out.value, out.ok = m.Higher(in.key)
	case minimum:
		out.key, out.value, out.ok = m.Min()
	case maximum:
		out.key, out.value, out.ok = m.Max()
	case popMin:
		out.key, out.value, out.ok = m.PopMin()
	case popMax:
		out.key, out.value, out.ok = m.PopMax()

	case snapshotAll:
		for key, value := range m.Snapshot().All() {
			out.all[key] = value
		}
	case snapshotSpan:
		for key, value := range m.From(in.key).Below(in.key + 4).Snapshot().All() {
			out.all[key] = value
		}
	case wipe:
		m.Clear()
	case length:
		out.key = m.Len()
	case scanUp:
		last := -1
		for key, value := range m.All() {
			out.ok = out.ok || key <= last // a fault
			out.all[key] = value
			last = key
		}
	case scanDown:
		last := spread
		for key, value := range m.Backward() {
			out.ok = out.ok || key >= last
			out.all[key] = value
			last = key
		}
	}
	return out
}

// loops returns what is wrong with the loops of h: keys out of order or twice,
// or one left out that is in init and that no operation of h can touch.
func loops(init content, h []event[call, answer]) error {
	pinned := init
	for _, e := range h {
		switch e.in.verb {
		case popMin, popMax, wipe:
			pinned = content{}
		case swap, loadOrStore, loadOrCompute, loadAndDelete, add, toggle, casSwap, casDelete:
			pinned[e.in.key] = 0
		}
	}
	for _, e := range h {
		if e.in.verb < scanUp {
			continue
		}
		if e.out.ok {
			return fmt.Errorf("%s has keys out of order", verbs[e.in.verb])
		}
		for key, value := range pinned {
			if value != 0 && e.out.all[key] != value {
				return fmt.Errorf("%s has %d: %d, which is %d throughout", verbs[e.in.verb], key, e.out.all[key], value)
			}
		}
	}
	return nil
}

// show returns h as text.
func show(init content, h []event[call, answer]) string {
	var b strings.Builder
	fmt.Fprintln(&b, "at first", init)
	for _, e := range h {
		fmt.Fprintf(&b, "[%d, %d] %v = %+v\n", e.call, e.ret, e.in, e.out)
	}
	return b.String()
}
