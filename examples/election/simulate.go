// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// lag is how many steps a log that is sent behind the back of clients takes.
const lag = 4

// A simulation is a minute of some nodes.
type simulation struct {
	mode     string
	schedule []fault
	net      *network
	disks    []*disk
	nodes    []*node
	now      time.Time
	step     int
	last     int        // step
	shipped  []shipment // by async
	law      *law

	ids    int   // of writes
	acked  []int // ids, in order
	strips []strings.Builder
	terms  strings.Builder

	outages []outage
	stale   int // the most entries that a reachable follower lacks
	fenced  int // writes of a leader that had slept
	primes  int
	done    int // chunks
}

// An outage is the time from a fault that hits the leader to the next write
// that is acknowledged.
type outage struct {
	fault string
	from  int // step
	to    int // 0 while it lasts
	open  bool
}

func newSimulation(c *config, mode string) *simulation {
	s := &simulation{mode: mode, schedule: c.schedule, net: newNetwork(c.nodes), now: time.Unix(0, 0), last: steps(runTime), law: newLaw()}
	s.strips = make([]strings.Builder, c.nodes)
	s.disks = newDisks(c.nodes)
	for i := range c.nodes {
		s.nodes = append(s.nodes, s.start(i))
	}
	return s
}

// start returns a node that has just been started, with nothing in its memory.
func (s *simulation) start(i int) *node {
	opts := &quorum.LeaseOptions{TTL: ttl, Now: func() time.Time { return s.now }}
	return &node{id: i, lease: newLease(s.net, i, s.disks, opts), next: s.step + 1 + i, chunk: -1}
}

// leader returns the node that leads, as it knows itself, or nil.
func (s *simulation) leader() *node {
	for _, n := range s.nodes {
		if _, ok := n.lease.Held(); ok && n.token != 0 && !s.net.down[n.id] {
			return n
		}
	}
	return nil
}

// run runs the minute.
func (s *simulation) run(ctx context.Context) error {
	for s.step = 1; s.step <= s.last; s.step++ {
		s.now = s.now.Add(tick)
		s.strike()
		s.deliver()
		for _, n := range s.nodes {
			if err := s.wake(n); err != nil {
				return err
			}
		}
		for _, n := range s.nodes {
			if !s.awake(n) {
				continue
			}
			if err := s.elect(ctx, n); err != nil {
				return err
			}
			s.serve(n)
		}

		// Nobody else may believe that it leads.
		if err := s.law.alone(s.nodes); err != nil {
			return fmt.Errorf("after %v: %w", time.Duration(s.step)*tick, err)
		}
		s.draw()
	}
	return s.law.check(s)
}

// awake reports whether a node does anything.
func (s *simulation) awake(n *node) bool { return !s.net.down[n.id] && s.step >= n.paused }

// strike lets the faults happen whose time has come.
func (s *simulation) strike() {
	for len(s.schedule) > 0 && s.step >= max(steps(s.schedule[0].at), 1) {
		f := s.schedule[0]
		s.schedule = s.schedule[1:]
		leads := s.leader()
		hit := false
		var nodes []int
		for _, i := range f.nodes {
			if i == leader && leads == nil {
				continue // nobody leads
			}
			if i == leader {
				i = leads.id
			}
			hit = hit || leads != nil && i == leads.id
			nodes = append(nodes, i)
		}
		s.hit(f, nodes)
		if hit && f.what != "heal" && f.what != "restart" {
			s.outages = append(s.outages, outage{fault: f.String(), from: s.step, open: true})
		}
	}
}

// hit lets a fault happen to some nodes.
func (s *simulation) hit(f fault, nodes []int) {
	switch f.what {
	case "kill":
		// Only the disk is left.
		for _, i := range nodes {
			s.net.down[i] = true
			n := s.start(i)
			n.replica = s.nodes[i].replica
			s.nodes[i] = n
		}

	case "restart":
		clear(s.net.down)
	case "cut":
		for _, i := range nodes {
			s.net.apart[i] = true
		}
	case "heal":
		clear(s.net.apart)

	case "pause":
		// It falls asleep between its look at the lease and its write.
		for _, i := range nodes {
			n := s.nodes[i]
			n.paused = s.step + steps(f.long)
			if n.opened {
				s.ids++
				n.pending = &entry{id: s.ids, chunk: -1}
			}
		}
	}
}

// wake lets a node that has slept finish what it was about to do: it has looked
// at its lease, and does not know how long ago. Only the token protects the
// others.
func (s *simulation) wake(n *node) error {
	e := n.pending
	if e == nil || !s.awake(n) {
		return nil
	}
	n.pending = nil
	next := s.leader()
	switch acked := s.write(n, *e); {
	case acked && next != nil && next != n && next.opened && s.mode != "async":
		return fmt.Errorf("n%d has slept, and its write was accepted beside n%d", n.id+1, next.id+1)
	case acked:
		s.ack(*e) // by async nobody is asked: the entry will be refused, and is lost
	default:
		s.fenced++
	}
	return nil
}

// deliver gives logs that were sent to those whom they reach.
func (s *simulation) deliver() {
	left := s.shipped[:0]
	for _, p := range s.shipped {
		switch from := s.law.holder[p.token]; {
		case s.step < p.arrives:
			left = append(left, p)
		case s.net.reaches(from, p.to) && s.step >= s.nodes[p.to].paused:
			s.nodes[p.to].replica.accept(p.token, p.log)
		}
	}
	s.shipped = left
}

// serve lets a node do its work: the leader writes and gives out chunks, and
// the others count.
func (s *simulation) serve(n *node) {
	if _, ok := n.lease.Held(); !ok || n.token == 0 {
		n.count(s.step)
		return
	}
	if !n.opened {
		s.open(n)
	}
	if !n.opened {
		return
	}
	s.assign(n)

	// One write a step: a result if there is one.
	s.ids++
	e := entry{id: s.ids, chunk: -1}
	if r, worker := s.collect(n); r != nil {
		e.chunk = r.chunk
		e.count = r.count
		worker.ready = nil
		delete(n.work, r.chunk)
	}
	if s.write(n, e) {
		s.ack(e)
	}
	s.look(n)
}

// ack tells the client that its write is done.
func (s *simulation) ack(e entry) {
	s.acked = append(s.acked, e.id)
	for i := range s.outages {
		if o := &s.outages[i]; o.open {
			o.open = false
			o.to = s.step
		}
	}
}

// look notes how far followers are behind.
func (s *simulation) look(n *node) {
	for _, other := range s.nodes {
		if s.answers(n, other) && other.replica.written == n.token {
			s.stale = max(s.stale, len(n.replica.entries)-len(other.replica.entries))
		}
	}
}

// draw adds a column to the strips.
func (s *simulation) draw() {
	if s.step%columnSteps != 0 {
		return
	}
	term := byte(' ')
	for i, n := range s.nodes {
		c := 'F'
		_, held := n.lease.Held()
		switch {
		case s.net.down[i]:
			c = 'x'
		case s.step < n.paused:
			c = 'z'
		case held && n.token != 0:
			c = 'L'
			term = '0' + byte(s.law.term(n.token)%10)
		case !s.net.most(i):
			c = '·'
		}
		s.strips[i].WriteRune(c)
	}
	s.terms.WriteByte(term)
}

// columnSteps is how many steps a column stands for.
const columnSteps = 10

// best returns the log that a new leader would have in the end.
func (s *simulation) best() []entry {
	best := &s.nodes[0].replica
	for _, n := range s.nodes {
		if n.replica.newer(best) {
			best = &n.replica
		}
	}
	return best.entries
}

// lost returns how many acknowledged writes are not in the log at the end.
func (s *simulation) lost() (n int) {
	var ids []int
	for _, e := range s.best() {
		ids = append(ids, e.id)
	}
	slices.Sort(ids)
	for _, id := range s.acked {
		if _, ok := slices.BinarySearch(ids, id); !ok {
			n++
		}
	}
	return n
}
