// SPDX-License-Identifier: MIT

package skiplist

import (
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"testing"
)

var (
	histories    = flag.Int("histories", 100_000, "how many controlled histories the tests of schedules run")
	firstHistory = flag.Uint64("firsthistory", 0, "the number of the first one")
)

// maxSteps bounds the steps of a history: the longest has a tenth of them.
const maxSteps = 20_000

// errStopped ends an operation of a history that has failed.
var errStopped = errors.New("stopped")

// A worker is a goroutine of a plan. It runs only when a schedule lets it, from
// one access of shared memory to the next.
type worker struct {
	id      int // its place in the plan
	resume  func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	blocked bool // the lock it waits for was held by another when it ran last
	rank    int  // the greatest runs, if ranks decide
}

// A schedule decides which worker takes the next step.
type schedule interface {
	// choose returns the place of the next worker. last is the one of the step
	// before, nil at first.
	choose(step int, workers []*worker, last *worker) int
}

// A random schedule decides by chance, or by ranks that change at a few random
// steps, so that one worker can be stopped at an unlucky place while others go
// far.
type random struct {
	r       *rand.Rand
	ranked  bool
	sticky  int          // chance keeps a worker for 2^sticky steps or so
	changes map[int]bool // the steps at which a worker gets the least rank
	least   int
}

// newRandom returns a random schedule for about so many steps.
func newRandom(r *rand.Rand, steps int) *random {
	s := &random{r: r, ranked: r.IntN(2) == 0, sticky: r.IntN(4), changes: map[int]bool{}}
	for range 1 + r.IntN(6) {
		s.changes[r.IntN(steps)] = true
	}
	return s
}

func (s *random) choose(step int, workers []*worker, last *worker) int {
	i := s.r.IntN(len(workers))
	if !s.ranked {
		if j := slices.Index(workers, last); j >= 0 && s.sticky > 0 && !last.blocked && s.r.IntN(1<<s.sticky) != 0 {
			return j
		}
		return i
	}

	if last != nil && last.blocked {
		s.demote(last)
	}
	for j, w := range workers {
		if w.rank > workers[i].rank {
			i = j
		}
	}
	if s.changes[step] {
		s.demote(workers[i])
	}
	return i
}

// demote gives w the least rank.
func (s *random) demote(w *worker) {
	s.least--
	w.rank = s.least
}

// A script lets one worker after the other run, each for a number of steps, or
// until it waits for a lock. Afterwards they take turns.
type script struct {
	turns []turn
	taken int // steps of the first turn
}

type turn struct{ worker, steps int }

func (s *script) choose(step int, workers []*worker, last *worker) int {
	if last != nil && last.blocked && len(s.turns) > 0 {
		s.taken = s.turns[0].steps
	}
	for len(s.turns) > 0 {
		i := slices.IndexFunc(workers, func(w *worker) bool { return w.id == s.turns[0].worker })
		if i >= 0 && s.taken < s.turns[0].steps {
			s.taken++
			return i
		}
		s.turns = s.turns[1:]
		s.taken = 0
	}
	return step % len(workers)
}

// run runs p, one goroutine at a time, and returns the history, or what went
// wrong. It depends on nothing but p and s.
func (p *plan) run(s schedule) (h []event[call, answer], err error) {
	var current *worker
	var workers []*worker
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("panic: %v", e)
		}
		for _, w := range workers {
			w.stop()
		}
		onStep = nil
	}()
	clock := int64(0)
	onStep = func(blocked bool) {
		current.blocked = blocked
		if !current.yield(struct{}{}) {
			panic(errStopped)
		}
	}

	for id, ops := range p.ops {
		w := &worker{id: id, rank: id}
		w.resume, w.stop = iter.Pull(func(yield func(struct{}) bool) {
			w.yield = yield
			defer func() {
				if e := recover(); e != nil && e != errStopped {
					panic(e)
				}
			}()
			for _, in := range ops {
				step()
				e := event[call, answer]{in: in, call: clock}
				clock++
				e.out = perform(p.m, in)
				e.ret = clock
				clock++
				h = append(h, e)
			}
		})
		workers = append(workers, w)
	}

	alive := workers
	for step := 0; len(alive) > 0; step++ {
		if step == maxSteps {
			return h, errors.New("operations do not return")
		}
		i := s.choose(step, alive, current)
		current = alive[i]
		current.blocked = false
		if _, ok := current.resume(); !ok {
			alive = slices.Concat(alive[:i], alive[i+1:])
		}
	}
	return h, nil
}

// try runs p by s, and returns what is wrong with the history or with the map
// afterwards.
func (p *plan) try(s schedule) error {
	h, err := p.run(s)
	switch {
	case err != nil:
	case !linearizable(p.init, h, content.accepts):
		err = errors.New("not linearizable")
	default:
		err = loops(p.init, h)
	}
	if err == nil {
		err = checked(p.m)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, show(p.init, h))
	}
	return nil
}

// tryHistory runs the history of a number, and returns what is wrong with it.
func tryHistory(number uint64) error {
	r := rand.New(rand.NewPCG(number, 1))
	p := newPlan(r)
	r.Shuffle(len(p.ops), func(i, j int) { p.ops[i], p.ops[j] = p.ops[j], p.ops[i] })
	return p.try(newRandom(r, 12*len(p.ops)*(1+len(p.ops[0]))))
}

// checked returns what invariant of m does not hold.
func checked[K, V any](m *ConcurrentMap[K, V]) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("%v", e)
		}
	}()
	m.check()
	return nil
}

// TestSchedules runs histories whose goroutines take their steps in an order
// that their number decides, and checks that each is linearizable, navigation,
// pops and snapshots included, and that the map is whole afterwards.
func TestSchedules(t *testing.T) {
	if !invariants {
		t.Skip("needs -tags invariants: TestSchedulesTagged runs it")
	}
	n := *histories
	if testing.Short() || raceEnabled {
		n /= 40
	}
	for i := range n {
		if err := tryHistory(*firstHistory + uint64(i)); err != nil {
			t.Fatalf("history %d: %v", *firstHistory+uint64(i), err)
		}
	}
}

// kept are the numbers of histories of TestSchedules that a map with a fault
// fails. The faults are those of internal/arch/faults, in that order; without
// one all of them pass.
var kept = []struct {
	fault   string
	numbers []uint64
}{
	{"a writer does not look whether the leaf that it has locked was replaced", []uint64{2}},
	{"navigation does not look again at the leaves that it has passed", []uint64{260}},
	{"Lower takes the neighbor from the guide that it came through", []uint64{440}},
	{"a writer changes a guide that was replaced", []uint64{1}},
	{"the new leaf is open to writers before the old one is dead", []uint64{9}},
	{"a leaf that was replaced is never marked", []uint64{0}},
	{"a snapshot reads each leaf but once", []uint64{260}},
	{"navigation takes a leaf that was replaced for one that is empty", []uint64{2048}},
	{"a loop goes on at the end of the leaf that it would have read next", []uint64{1908}},
}

// TestKeptSchedules runs the histories that have found a fault before.
func TestKeptSchedules(t *testing.T) {
	if !invariants {
		t.Skip("needs -tags invariants: TestSchedulesTagged runs it")
	}
	for _, k := range kept {
		for _, n := range k.numbers {
			if err := tryHistory(n); err != nil {
				t.Errorf("%s: history %d: %v", k.fault, n, err)
			}
		}
	}
}

// TestSchedulesTagged runs the tests of schedules with the tag that they need:
// the hooks that they stand on compile to nothing without it.
func TestSchedulesTagged(t *testing.T) {
	if invariants || raceEnabled || testing.Short() {
		t.Skip("a build of its own")
	}
	command, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command")
	}
	cmd := exec.CommandContext(t.Context(), command, "test", "-tags", "invariants", "-run", "Schedules$|^TestPreemptions$", ".",
		"-histories", strconv.Itoa(*histories), "-firsthistory", strconv.FormatUint(*firstHistory, 10))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
