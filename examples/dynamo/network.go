// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// A network says who reaches whom, how long a message takes, and which requests
// are under way.
type network struct {
	mu      sync.Mutex // guards the fields below
	changed sync.Cond  // of mu: a request has ended
	down    []bool     // by node: it has stopped
	out     []bool     // by node: it has lost its disk, and was not repaired
	apart   []bool     // by node: it is on the smaller side of a cut
	merges  int        // requests to merge, ever
	running int        // requests that are under way
	op      int        // the number of the operation
	answers []int      // milliseconds, of its requests that succeeded
}

// opKey is the key of the number of an operation in its context: a read that
// has failed may leave requests behind, which are no answers to the next one.
type opKey struct{}

// operation returns the context of the next operation.
func (n *network) operation(ctx context.Context) context.Context {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.op++
	n.answers = n.answers[:0]
	return context.WithValue(ctx, opKey{}, n.op)
}

func newNetwork(nodes int) *network {
	n := &network{down: make([]bool, nodes), out: make([]bool, nodes), apart: make([]bool, nodes)}
	n.changed.L = &n.mu
	return n
}

// set changes who reaches whom.
func (n *network) set(list []bool, node int, to bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list[node] = to
}

// reach returns an error if a message from a does not arrive at b.
func (n *network) reach(a, b int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down[a] || n.down[b] || n.out[b] || n.apart[a] != n.apart[b] {
		return fmt.Errorf("n%d does not reach n%d: %w", a+1, b+1, quorum.ErrUnavailable)
	}
	return nil
}

// begin notes a request that settle waits for.
func (n *network) begin(merge bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running++
	if merge {
		n.merges++
	}
}

// end notes that it has ended, and how long it took if it succeeded.
func (n *network) end(ctx context.Context, took int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running--
	if err == nil && ctx.Value(opKey{}) == n.op {
		n.answers = append(n.answers, took)
	}
	n.changed.Broadcast()
}

// settle waits for the requests that a call has left behind: a write returns
// when it has enough answers, and has asked all copies. So the next operation
// finds the same stores in every run.
func (n *network) settle(copies int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.running > 0 || n.merges%copies != 0 {
		n.changed.Wait()
	}
}

// waited returns how long the operation took, which waited for need answers.
func (n *network) waited(need int) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.Sort(n.answers)
	d := 0
	if need <= len(n.answers) {
		d = n.answers[need-1]
	}
	return time.Duration(d) * time.Millisecond
}

// usable reports whether a node serves.
func (n *network) usable(node int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.down[node] && !n.out[node]
}

// latency is how many milliseconds a request from a to b and its answer take.
// The nodes stand in three regions, by turns.
func latency(a, b int) int {
	switch {
	case a == b:
		return 0
	case a%3 == b%3:
		return 2
	case (a%3+b%3)%2 == 1:
		return 80
	}
	return 120
}

// A link is the way from a coordinator to the replica on a node.
type link[S quorum.State[S]] struct {
	net      *network
	from, to int
	replica  func() quorum.Replica[string, S]
}

// Load is that of the replica, if it is reached.
func (l link[S]) Load(ctx context.Context, key string) (s S, err error) {
	if err := l.net.reach(l.from, l.to); err != nil {
		return s, err
	}
	return l.replica().Load(ctx, key)
}

// Merge is that of the replica, if it is reached.
func (l link[S]) Merge(ctx context.Context, key string, s S) error {
	if err := l.net.reach(l.from, l.to); err != nil {
		return err
	}
	return l.replica().Merge(ctx, key, s)
}

// A counted replica is one whose requests settle waits for.
type counted[S quorum.State[S]] struct {
	net      *network
	from, to int
	replica  quorum.Replica[string, S]
}

// took returns how long a request takes: what does not arrive is kept as a
// hint, where the request came from.
func (c counted[S]) took() int {
	if c.net.reach(c.from, c.to) != nil {
		return 0
	}
	return latency(c.from, c.to)
}

// Load is that of the replica.
func (c counted[S]) Load(ctx context.Context, key string) (s S, err error) {
	c.net.begin(false)
	defer func() { c.net.end(ctx, c.took(), err) }()
	return c.replica.Load(ctx, key)
}

// Merge is that of the replica.
func (c counted[S]) Merge(ctx context.Context, key string, s S) (err error) {
	c.net.begin(true)
	defer func() { c.net.end(ctx, c.took(), err) }()
	return c.replica.Merge(ctx, key, s)
}
