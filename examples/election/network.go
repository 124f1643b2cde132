// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/ashlar-go/ashlar/quorum"
)

// A network says who reaches whom, and counts requests.
type network struct {
	down  []bool // by node
	apart []bool // by node: it is on the smaller side of a cut

	mu       sync.Mutex    // guards the fields below
	changed  sync.Cond     // of mu: a request has ended
	requests int           // to acceptors, ever
	running  int           // of them, those that are under way
	rounds   map[round]int // of each that is not complete: how many nodes were asked
}

// A round is the requests of one ballot to all acceptors.
type round struct {
	accept bool
	ballot quorum.Ballot
}

func newNetwork(nodes int) *network {
	n := &network{down: make([]bool, nodes), apart: make([]bool, nodes), rounds: map[round]int{}}
	n.changed.L = &n.mu
	return n
}

// reaches reports whether a message from a arrives at b, and the answer at a.
func (n *network) reaches(a, b int) bool {
	return !n.down[a] && !n.down[b] && n.apart[a] == n.apart[b]
}

// most reports whether a reaches a majority.
func (n *network) most(a int) bool {
	count := 0
	for b := range n.down {
		if n.reaches(a, b) {
			count++
		}
	}
	return 2*count > len(n.down)
}

// begin counts a request of a round that begins, end one that has ended.
func (n *network) begin(r round) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests++
	n.running++
	if n.rounds[r]++; n.rounds[r] == len(n.down) {
		delete(n.rounds, r)
	}
}

func (n *network) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running--
	n.changed.Broadcast()
}

// settle waits for the requests that a call has left behind: it returns when it
// has the answers of a majority, and has asked all. So the next step finds the
// same acceptors in every run.
func (n *network) settle() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.running > 0 || len(n.rounds) > 0 {
		n.changed.Wait()
	}
}

// A link is the way from a node to the acceptor of another.
type link struct {
	net      *network
	from, to int
	acceptor *disk // of to
}

// reach returns an error if a request does not arrive.
func (l link) reach() error {
	if !l.net.reaches(l.from, l.to) {
		return fmt.Errorf("n%d does not reach n%d: %w", l.from+1, l.to+1, quorum.ErrUnavailable)
	}
	return nil
}

// Prepare is that of the acceptor, if it is reached.
func (l link) Prepare(ctx context.Context, key string, b quorum.Ballot) (quorum.Slot[quorum.Grant], error) {
	l.net.begin(round{false, b})
	defer l.net.end()
	if err := l.reach(); err != nil {
		return quorum.Slot[quorum.Grant]{}, err
	}
	return l.acceptor.Prepare(ctx, key, b)
}

// Accept is that of the acceptor, if it is reached.
func (l link) Accept(ctx context.Context, key string, p quorum.Slot[quorum.Grant]) (quorum.Ballot, error) {
	l.net.begin(round{true, p.Accepted})
	defer l.net.end()
	if err := l.reach(); err != nil {
		return quorum.Ballot{}, err
	}
	return l.acceptor.Accept(ctx, key, p)
}

// A disk is what acceptors of a node keep.
type disk = quorum.MemoryAcceptor[string, quorum.Grant]

// newDisks returns the disks of some nodes.
func newDisks(nodes int) []*disk {
	disks := make([]*disk, nodes)
	for i := range disks {
		disks[i] = new(disk)
	}
	return disks
}

// newLease returns the lease of a candidate that runs on a node.
func newLease(net *network, from int, disks []*disk, opts *quorum.LeaseOptions) *quorum.Lease[string] {
	links := make([]quorum.Acceptor[string, quorum.Grant], len(disks))
	for to, disk := range disks {
		links[to] = link{net, from, to, disk}
	}
	cas, err := quorum.NewCAS(links, nil)
	if err != nil {
		panic(err) // the majority of 3 to 9 is a system
	}
	l, err := quorum.NewLease(cas, "leader", opts)
	if err != nil {
		panic(err) // the options are our own
	}
	return l
}
