// SPDX-License-Identifier: MIT

package skiplist

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/bytedance/gopkg/collection/skipmap"

	"github.com/ashlar-go/ashlar/skiplist"
)

var linearTime = flag.Duration("linear", time.Second, "how long each test of histories runs")

// keys is the number of keys of a history, 0 to keys-1.
const keys = 12

// A content is the values of all keys, 0 if there is none.
type content [keys]int64

// A call is an operation of a history, and an answer what it returned.
type (
	call struct {
		op    string
		key   int64
		value int64
	}
	answer struct {
		key   int64
		value int64
		ok    bool
		all   content
	}
)

// pointOps are operations of one key, which every map here has.
var pointOps = []string{"Load", "Store", "LoadOrStore", "LoadAndDelete"}

// allOps are those of a ConcurrentMap.
var allOps = append([]string{
	"Swap", "Add", "Floor", "Lower", "Ceiling", "Higher", "Min", "Max", "PopMin", "PopMax", "Snapshot", "Clear",
}, pointOps...)

// next returns what c is after an operation, and what that returns.
func (c content) next(in call) (content, answer) {
	there := answer{value: c[in.key], ok: c[in.key] != 0}
	switch in.op {
	case "Load":
		return c, there
	case "Store":
		c[in.key] = in.value
		return c, answer{}
	case "Swap":
		c[in.key] = in.value
		return c, there
	case "LoadOrStore":
		if there.ok {
			return c, there
		}
		c[in.key] = in.value
		return c, answer{value: in.value}
	case "LoadAndDelete":
		c[in.key] = 0
		return c, there
	case "Add":
		c[in.key] += in.value
		return c, answer{value: c[in.key], ok: true}
	}
	return c.nextOfAll(in)
}

// nextOfAll is next for operations of several keys.
func (c content) nextOfAll(in call) (content, answer) {
	entry := func(i, step int64) answer {
		for ; i >= 0 && i < keys; i += step {
			if c[i] != 0 {
				return answer{key: i, value: c[i], ok: true}
			}
		}
		return answer{}
	}

	switch in.op {
	case "Floor":
		return c, entry(in.key, -1)
	case "Lower":
		return c, entry(in.key-1, -1)
	case "Ceiling":
		return c, entry(in.key, 1)
	case "Higher":
		return c, entry(in.key+1, 1)
	case "Min":
		return c, entry(0, 1)
	case "Max":
		return c, entry(keys-1, -1)
	case "PopMin", "PopMax":
		out := entry(0, 1)
		if in.op == "PopMax" {
			out = entry(keys-1, -1)
		}
		if out.ok {
			c[out.key] = 0
		}
		return c, out
	case "Snapshot":
		return c, answer{all: c}
	}
	return content{}, answer{} // Clear
}

// wholeMap is a map as porcupine has it; with perKey it takes each key by
// itself.
func wholeMap(perKey bool) porcupine.Model {
	m := porcupine.Model{
		Init: func() any { return content{} },
		Step: func(state, in, out any) (bool, any) {
			next, want := state.(content).next(in.(call))
			return want == out.(answer), next
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprint(in, out) },
	}
	if perKey {
		m.Partition = func(h []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, keys)
			for _, op := range h {
				key := op.Input.(call).key
				parts[key] = append(parts[key], op)
			}
			return parts
		}
	}
	return m
}

// run has goroutines do random operations of a list, and returns the history.
func run(seed uint64, procs, ops int, list []string, do func(in call) answer) []porcupine.Operation {
	var clock atomic.Int64
	parts := make([][]porcupine.Operation, procs)
	var ready, done sync.WaitGroup
	ready.Add(procs)
	for g := range procs {
		done.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(g)))
			ready.Done()
			ready.Wait()
			for i := range ops {
				in := call{list[rng.IntN(len(list))], rng.Int64N(keys), int64(g*ops + i + 1)}
				from := clock.Add(1)
				out := do(in)
				parts[g] = append(parts[g], porcupine.Operation{ClientId: g, Input: in, Call: from, Output: out, Return: clock.Add(1)})
				if rng.IntN(4) == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	done.Wait()

	var h []porcupine.Operation
	for _, part := range parts {
		h = append(h, part...)
	}
	return h
}

// onOurs does an operation of a ConcurrentMap.
func onOurs(m *skiplist.ConcurrentMap[int64, int64], in call) (out answer) {
	switch in.op {
	case "Load":
		out.value, out.ok = m.Load(in.key)
	case "Store":
		m.Store(in.key, in.value)
	case "Swap":
		out.value, out.ok = m.Swap(in.key, in.value)
	case "LoadOrStore":
		out.value, out.ok = m.LoadOrStore(in.key, in.value)
	case "LoadAndDelete":
		out.value, out.ok = m.LoadAndDelete(in.key)
	case "Add":
		out.value, out.ok = m.Compute(in.key, func(old int64, _ bool) (int64, bool) { return old + in.value, true })

	case "Floor":
		out.key, out.value, out.ok = m.Floor(in.key)
	case "Lower":
		out.key, out.value, out.ok = m.Lower(in.key)
	case "Ceiling":
		out.key, out.value, out.ok = m.Ceiling(in.key)
	case "Higher":
		out.key, out.value, out.ok = m.Higher(in.key)
	case "Min":
		out.key, out.value, out.ok = m.Min()
	case "Max":
		out.key, out.value, out.ok = m.Max()
	case "PopMin":
		out.key, out.value, out.ok = m.PopMin()
	case "PopMax":
		out.key, out.value, out.ok = m.PopMax()
	case "Snapshot":
		for key, value := range m.Snapshot().All() {
			out.all[key] = value
		}
	default:
		m.Clear()
	}
	return out
}

// TestLinearizable checks whole-map histories of a ConcurrentMap, and long ones
// key by key, with the checker of other people.
func TestLinearizable(t *testing.T) {
	start := time.Now()
	n := 0
	for seed := uint64(0); time.Since(start) < *linearTime; seed++ {
		m := skiplist.NewConcurrentMap[int64, int64]()
		h := run(seed, 3, 4, allOps, func(in call) answer { return onOurs(m, in) })
		if !porcupine.CheckOperations(wholeMap(false), h) {
			t.Fatalf("history %d is not linearizable: %v", seed, h)
		}
		m = skiplist.NewConcurrentMap[int64, int64]()
		h = run(seed, 4, 100, append([]string{"Swap", "Add"}, pointOps...), func(in call) answer { return onOurs(m, in) })
		if !porcupine.CheckOperations(wholeMap(true), h) {
			t.Fatalf("history %d is not linearizable by key", seed)
		}
		n++
	}
	t.Logf("%d histories of each kind", n)
}

// TestSkipmapIsNot checks that the checker rejects: a Store of skipmap can
// write into a node that is just being deleted (bytedance/gopkg#265), in one
// history of some hundred.
func TestSkipmapIsNot(t *testing.T) {
	if *linearTime < 20*time.Second {
		t.Skip("needs -linear 20s")
	}
	start := time.Now()
	for seed := uint64(0); time.Since(start) < *linearTime; seed++ {
		m := skipmap.NewInt64()
		h := run(seed, 4, 400, pointOps, func(in call) (out answer) {
			value, ok := any(nil), false
			switch in.op {
			case "Load":
				value, ok = m.Load(in.key)
			case "Store":
				m.Store(in.key, in.value)
			case "LoadOrStore":
				value, ok = m.LoadOrStore(in.key, in.value)
			default:
				value, ok = m.LoadAndDelete(in.key)
			}

			if value != nil {
				out.value = value.(int64)
			}
			out.ok = ok
			return out
		})
		if !porcupine.CheckOperations(wholeMap(true), h) {
			t.Logf("history %d of skipmap is not linearizable", seed)
			return
		}
	}
	t.Error("no history of skipmap was rejected")
}
