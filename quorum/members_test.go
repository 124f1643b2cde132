// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"sync"
	"testing"
	"time"
)

// The phases of a change of members, from the replicas {0 1 2} to {2 3 4}.
const (
	phaseOld = iota
	phaseJoint
	phaseNew
	phases
)

// A change leads the clients of a sim from phase to phase. A right one has all
// leave the old members before it moves the data, with a quorum of both, and
// moves them before anybody goes on without the old members.
type change struct {
	*sim
	joint   System // of reads and writes in the joint phase
	reads   System // the same, unless planted
	skips   bool   // planted: from old to new at once
	hurries bool   // planted: data are moved while some are in the old phase
	moves   bool   // the data are moved

	mu    sync.Mutex // protects the fields below
	phase int
	users [phases]int
}

func newChange(s *sim) *change {
	joint := Of(2, Majority(SetOf(0, 1, 2)), Majority(SetOf(2, 3, 4)))
	return &change{sim: s, joint: joint, reads: joint, moves: true, users: [phases]int{simClients}}
}

// newChangeSim draws a history of five replicas.
func newChangeSim(seed uint64) *sim {
	s := newSim(seed)
	for len(s.crash) < 5 {
		s.crash = append(s.crash, window{})
		s.wiped = append(s.wiped, false)
		s.stores = append(s.stores, NewMemory[string, LWW[int]]())
	}
	s.n = 5
	s.opts.Read = Quorum
	s.opts.Write = Quorum
	return s
}

// next moves a client from phase at to the present one, which it returns.
func (c *change) next(at int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users[at]--
	c.users[c.phase]++
	return c.phase
}

// quit counts a client less.
func (c *change) quit(at int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users[at]--
}

// lead leads from phase to phase, in a bubble. move moves the data.
func (c *change) lead(move func(ctx context.Context) error) {
	r := c.rand(drawClient, simClients, 4, 0)
	time.Sleep(time.Duration(r.Int64N(int64(200 * time.Millisecond))))
	if !c.skips {
		c.set(phaseJoint)
	}
	for !c.skips && !c.hurries && c.inPhase(phaseOld) > 0 {
		time.Sleep(time.Millisecond)
	}

	for op := 0; c.moves; op++ {
		limit, cancel := context.WithTimeout(context.WithValue(ctx, simKey{}, uint64(op)), 200*time.Millisecond)
		err := move(limit)
		cancel()
		if err == nil {
			break
		}
	}
	c.set(phaseNew)
}

// set begins a phase.
func (c *change) set(phase int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = phase
}

// inPhase returns how many clients are in a phase.
func (c *change) inPhase(phase int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users[phase]
}

// run plays a history of a change. clients[i] returns the calls of client i for
// each phase, and move moves the data.
func (c *change) run(t *testing.T, client func(i int) func(phase, op int), move func() func(context.Context) error) {
	t.Helper()
	var lead sync.Once
	c.play(t, func(_ *testing.T, i int) {
		lead.Do(func() {
			go c.lead(move()) // ends when the data are moved
		})
		call := client(i)
		phase := phaseOld
		for op := range simOps {
			phase = c.next(phase)
			call(phase, op)
		}
		c.quit(phase)
	})
}

// runKV plays a change under a KV, and reports whether its history is that of a
// register.
func (c *change) runKV(t *testing.T) bool {
	t.Helper()
	open := func(client int, clock *Clock) (list [phases]*KV[string, int]) {
		rs := make([]Replica[string, LWW[int]], c.n)
		for i := range rs {
			rs[i] = &link{c.sim, client, i}
		}
		joint := c.opts
		joint.ReadSystem = c.reads
		joint.WriteSystem = c.joint
		for phase, s := range [phases]struct {
			rs   []Replica[string, LWW[int]]
			opts *Options
		}{{rs[:3], &c.opts}, {rs, &joint}, {rs[2:], &c.opts}} {
			d, err := NewKV(s.rs, clock, s.opts)
			if err != nil {
				t.Fatal(err)
			}
			list[phase] = d
		}
		return list
	}

	c.run(t, func(client int) func(phase, op int) {
		r := c.rand(drawClient, uint64(client), 0, 0)
		list := open(client, skewed(client, r))
		return func(phase, op int) { c.kvCall(list[phase], client, op, r) }
	}, func() func(context.Context) error {
		d := open(simClients, NewClock(simClients, nil))[phaseJoint]
		return func(ctx context.Context) error {
			_, err := d.Cluster().Load(ctx, "k", Atomic())
			return err
		}
	})
	return c.check(c.events)
}

// runCAS plays a change under a CAS, and reports whether its history is that of
// one value that is updated.
func (c *change) runCAS(t *testing.T) bool {
	t.Helper()
	s := &casSim{sim: c.sim}
	for range c.n {
		s.acceptors = append(s.acceptors, new(MemoryAcceptor[string, int]))
	}
	open := func(client int) (list [phases]*CAS[string, int]) {
		as := make([]Acceptor[string, int], c.n)
		for i := range as {
			as[i] = &casLink[int]{link{c.sim, client, i}, s.acceptors[i]}
		}
		r := c.rand(drawClient, uint64(client), 5, 0)
		for phase, as := range [phases][]Acceptor[string, int]{as[:3], as, as[2:]} {
			opts := &CASOptions{Timeout: 200 * time.Millisecond}
			if phase == phaseJoint {
				opts.System = c.joint
			}
			d := newCAS(t, as, opts)
			d.proposer = uint64(1 + client + 10*phase)
			d.random = r.Int64N
			list[phase] = d
		}
		return list
	}

	c.run(t, func(client int) func(phase, op int) {
		r := c.rand(drawClient, uint64(client), 1, 0)
		list := open(client)
		return func(phase, op int) { s.casCall(t, list[phase], client, op, r) }
	}, func() func(context.Context) error {
		d := open(simClients)[phaseJoint]
		return func(ctx context.Context) error {
			_, _, err := d.Get(ctx, "k")
			return err
		}
	})
	return linearizable(casState{}, s.sorted(), stepCAS)
}

// TestMembers checks that a change of members by joint quorums leaves a KV and
// a CAS linearizable, whatever is lost, late, repeated or cut off meanwhile.
func TestMembers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(count()) / 10 {
		if c := newChange(newChangeSim(seed)); !c.runKV(t) {
			t.Fatalf("a KV is not linearizable: %s", c.show(c.events))
		}
		if c := newChange(newChangeSim(seed)); !c.runCAS(t) {
			t.Fatalf("seed %d: a CAS is not linearizable", seed)
		}
	}
}

// TestMembersFinds checks that the simulation finds each part that is left out
// of a change of members.
func TestMembersFinds(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(*change){
		"no joint phase":    func(c *change) { c.skips = true },
		"nothing moved":     func(c *change) { c.moves = false },
		"moved too early":   func(c *change) { c.hurries = true },
		"some of the old":   func(c *change) { c.joint = Majority(First(5)); c.reads = c.joint },
		"reads by the dual": func(c *change) { c.reads = c.joint.Dual() },
	} {
		for kind, run := range map[string]func(*change, *testing.T) bool{
			"KV":  (*change).runKV,
			"CAS": (*change).runCAS,
		} {
			if kind == "CAS" && name == "reads by the dual" {
				continue // it has one system
			}
			t.Run(name+", "+kind, func(t *testing.T) {
				const most = 5000

				for seed := range uint64(most) {
					c := newChange(newChangeSim(seed))
					plant(c)
					if !run(c, t) {
						t.Logf("found in history %d", seed)
						return
					}
				}
				t.Errorf("%d histories are linearizable, want one that is not", most)
			})
		}
	}
}
