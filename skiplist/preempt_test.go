// SPDX-License-Identifier: MIT

package skiplist

import (
	"fmt"
	"iter"
	"testing"
)

// A scene is a small map and a few operations, of which a certain order of
// steps would be answered wrongly by a map that left something out.
type scene struct {
	why    string
	size   [3]int
	fences []int // between leaves
	free   []int // slots in the log of each leaf
	keys   []int
	ops    [][]call
}

var scenes = []scene{
	{
		"Lower passes a leaf into which z goes, and ends in one into which y goes afterwards",
		[3]int{3, 2, 3},
		[]int{5},
		[]int{0, 0},
		[]int{0, 1, 2, 3, 7, 8, 9},
		[][]call{{{verb: swap, key: 5, value: 1}}, {{verb: load, key: 5}, {verb: swap, key: 4, value: 2}}, {{verb: lower, key: 6}}},
	},
	{
		"Ceiling does, with room in the logs",
		[3]int{3, 2, 3},
		[]int{5},
		[]int{2, 2},
		[]int{1, 2, 8, 9},
		[][]call{{{verb: swap, key: 4, value: 1}}, {{verb: load, key: 4}, {verb: swap, key: 5, value: 2}}, {{verb: ceiling, key: 3}}},
	},
	{
		"Higher looks for an entry that moves to the other leaf",
		[3]int{3, 1, 3},
		[]int{6},
		[]int{0, 0},
		[]int{0, 1, 2, 6, 8, 9, 10, 11},
		[][]call{{{verb: swap, key: 5, value: 1}, {verb: loadAndDelete, key: 6}}, {{verb: higher, key: 4}}},
	},
	{
		"Lower looks for one, and its insertion splits the other leaf",
		[3]int{3, 2, 3},
		[]int{5},
		[]int{0, 0},
		[]int{0, 1, 2, 3, 5, 7, 8},
		[][]call{{{verb: swap, key: 4, value: 1}, {verb: loadAndDelete, key: 5}}, {{verb: lower, key: 6}}},
	},
	{
		"Lower passes a leaf that is rebuilt for z, and ends in one that has room for y",
		[3]int{3, 2, 3},
		[]int{5},
		[]int{1, 0},
		[]int{0, 1, 7, 8},
		[][]call{{{verb: swap, key: 5, value: 1}}, {{verb: load, key: 5}, {verb: swap, key: 4, value: 2}}, {{verb: lower, key: 6}}},
	},
	{
		"PopMax finds its leaf before an entry comes behind",
		[3]int{3, 2, 3},
		[]int{4, 8},
		[]int{1, 1, 1},
		[]int{1, 2},
		[][]call{{{verb: popMax}}, {{verb: swap, key: 9, value: 1}, {verb: load, key: 2}}},
	},
	{
		"PopMin passes an empty leaf before an entry comes there",
		[3]int{3, 2, 3},
		[]int{4, 8},
		[]int{1, 1, 1},
		[]int{9, 10},
		[][]call{{{verb: popMin}}, {{verb: swap, key: 2, value: 1}, {verb: load, key: 9}}},
	},
	{
		"Max and Min meet an entry that moves",
		[3]int{2, 1, 3},
		[]int{3, 6, 9},
		[]int{0, 0, 0, 0},
		[]int{5},
		[][]call{{{verb: swap, key: 1, value: 1}, {verb: loadAndDelete, key: 5}, {verb: swap, key: 10, value: 2}}, {{verb: minimum}, {verb: maximum}}},
	},
	{
		"Snapshot reads the first leaf before a goroutine writes both",
		[3]int{3, 2, 3},
		[]int{5},
		[]int{0, 0},
		[]int{1, 8},
		[][]call{{{verb: swap, key: 2, value: 1}, {verb: swap, key: 7, value: 2}}, {{verb: snapshotAll}}},
	},
	{
		"two writers meet in a leaf that is full",
		[3]int{3, 1, 3},
		[]int{6},
		[]int{0, 0},
		[]int{1, 2, 3},
		[][]call{{{verb: swap, key: 4, value: 1}}, {{verb: add, key: 4, value: 20}, {verb: load, key: 4}}},
	},
	{
		"a leaf is merged while another goroutine writes to it",
		[3]int{4, 1, 3},
		[]int{5},
		[]int{1, 1},
		[]int{2, 7},
		[][]call{{{verb: loadAndDelete, key: 2}}, {{verb: swap, key: 3, value: 1}, {verb: load, key: 3}}, {{verb: lower, key: 7}}},
	},
	{
		"Higher passes a leaf, a goroutine sees that all is cleared, and entries come in order",
		[3]int{2, 1, 3},
		[]int{6},
		[]int{1, 1},
		[]int{0, 1, 8, 9},
		[][]call{
			{{verb: wipe}},
			{
				{verb: load, key: 9},
				{verb: swap, key: 3, value: 1},
				{verb: swap, key: 5, value: 2},
				{verb: swap, key: 6, value: 3},
				{verb: swap, key: 7, value: 4},
			},
			{{verb: higher, key: 2}},
		},
	},
	{
		"a goroutine sees that all is cleared before it writes",
		[3]int{3, 1, 3},
		[]int{6},
		[]int{0, 0},
		[]int{0, 1, 2, 6, 8, 9},
		[][]call{{{verb: wipe}}, {{verb: load, key: 1}, {verb: swap, key: 8, value: 1}}, {{verb: snapshotAll}}},
	},
	{
		"an entry shows, and is counted",
		[3]int{3, 1, 3},
		[]int{6},
		[]int{1, 1},
		[]int{},
		[][]call{{{verb: swap, key: 3, value: 1}}, {{verb: load, key: 3}, {verb: length}}},
	},
	{
		"an entry is gone, and is counted no more",
		[3]int{3, 1, 3},
		[]int{6},
		[]int{1, 1},
		[]int{3},
		[][]call{{{verb: loadAndDelete, key: 3}}, {{verb: length}, {verb: load, key: 3}}},
	},
	{
		"a loop passes from leaf to leaf while they split",
		[3]int{3, 1, 3},
		[]int{5},
		[]int{0, 0},
		[]int{0, 1, 2, 6, 8, 9},
		[][]call{{{verb: swap, key: 3, value: 1}, {verb: swap, key: 7, value: 2}}, {{verb: scanUp}, {verb: scanDown}}},
	},
}

// plan returns the plan of s, with a map of its own.
func (s scene) plan() *plan {
	p := &plan{ops: s.ops}
	for i, key := range s.keys {
		p.init[key] = int16(100 + i)
	}
	b := shape{m: newSized[int, int16](s.size)}
	lo := 0
	for i, hi := range append(append([]int{}, s.fences...), spread) {
		b.leaf(p.init, lo, hi, s.free[i])
		lo = hi
	}
	b.publish(func() int { return s.size[2] })
	b.m.tries = 1
	p.m = b.m
	return p
}

// TestPreemptions runs each scene by all schedules in which one goroutine is
// stopped at any of its steps, and by those in which a second one is, too. The
// others run to their ends meanwhile.
func TestPreemptions(t *testing.T) {
	if !invariants {
		t.Skip("needs -tags invariants: TestSchedulesTagged runs it")
	}
	n := 0
	for _, s := range scenes {
		for turns := range s.schedules(t) {
			n++
			if err := s.plan().try(&script{turns: turns}); err != nil {
				t.Fatalf("%s: by turns %v: %v", s.why, fmt.Sprint(turns), err)
			}
		}
	}
	t.Logf("%d histories", n)
}

// schedules returns the schedules of s: the first goroutine takes some steps,
// the second takes some, the third goes to its end, if there is one, and then
// one after the other those that were stopped.
func (s scene) schedules(t *testing.T) iter.Seq[[]turn] {
	stops := [][]int{{0}, {0}, {0}}
	for id := range s.ops {
		stops[id] = s.stops(t, id)
	}
	return func(yield func([]turn) bool) {
		for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			first, second, third := order[0], order[1], order[2]
			seconds := stops[second]
			if raceEnabled {
				seconds = []int{maxSteps}
			}
			if max(first, second) >= len(s.ops) {
				continue
			}

			for _, i := range stops[first] {
				for _, j := range seconds {
					begin := []turn{{first, i}, {second, j}, {third, maxSteps}}
					if !yield(append(begin[:3:3], turn{first, maxSteps}, turn{second, maxSteps})) ||
						!yield(append(begin[:3:3], turn{second, maxSteps}, turn{first, maxSteps})) {
						return
					}
				}
			}
		}
	}
}

// stops returns the steps at which goroutine id can be stopped, and one behind
// its end.
func (s scene) stops(t *testing.T, id int) (list []int) {
	p := s.plan()
	p.ops = [][]call{p.ops[id]}
	c := &counter{}
	if _, err := p.run(c); err != nil {
		t.Fatalf("%s: goroutine %d alone: %v", s.why, id, err)
	}
	for i := range c.steps + 10 {
		list = append(list, i) // it may take some more beside others
	}
	return append(list, maxSteps)
}

// A counter is a schedule that counts the steps of one worker.
type counter struct{ steps int }

func (c *counter) choose(int, []*worker, *worker) int {
	c.steps++
	return 0
}
