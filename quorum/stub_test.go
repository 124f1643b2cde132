// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("connection refused")

// bubble runs f in a bubble of fake time, and goes on for a day, so that each
// request ends.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t)
		time.Sleep(24 * time.Hour)
	})
}

// settle waits for the requests that c has out. In a bubble that is
// [synctest.Wait].
func settle[S State[S]](c *Cluster[string, S]) {
	for c.Stats().Outstanding > 0 {
		runtime.Gosched()
	}
}

// A stub is a replica that a test breaks: set the fields while no request is
// out, or has yet to arrive.
type stub struct {
	*Memory[string, LWW[int]]
	delay  time.Duration // of each answer; in a bubble
	err    error         // of each request, after delay
	hang   bool          // until the context ends
	deaf   bool          // hangs, and does not heed the context, until freed
	freed  chan struct{}
	loads  atomic.Int64
	merges atomic.Int64
}

// answer waits as the stub is told to, in a bubble if there is a delay.
func (s *stub) answer(ctx context.Context) error {
	err := s.err // as of when the request arrived
	if s.deaf {
		<-s.freed
		return errDown
	}
	if s.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.delay == 0 {
		return err
	}

	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stub) Load(ctx context.Context, key string) (LWW[int], error) {
	s.loads.Add(1)
	if err := s.answer(ctx); err != nil {
		return LWW[int]{}, err
	}
	return s.Memory.Load(ctx, key)
}

func (s *stub) Merge(ctx context.Context, key string, v LWW[int]) error {
	s.merges.Add(1)
	if err := s.answer(ctx); err != nil {
		return err
	}
	return s.Memory.Merge(ctx, key, v)
}

// holds returns the value that s has under "k".
func (s *stub) holds() int {
	v, _ := s.Memory.Load(context.Background(), "k")
	return v.Value
}

// at returns a state with value n, written at time n.
func at(n int) LWW[int] { return LWW[int]{Value: n, Stamp: Stamp{Wall: int64(n)}} }

// stubs returns n replicas, for a test to break.
func stubs(n int) []*stub {
	list := make([]*stub, n)
	for i := range list {
		list[i] = &stub{Memory: NewMemory[string, LWW[int]]()}
	}
	return list
}

// replicas returns list as New wants it.
func replicas(list []*stub) []Replica[string, LWW[int]] {
	rs := make([]Replica[string, LWW[int]], len(list))
	for i, s := range list {
		rs[i] = s
	}
	return rs
}

// newCluster returns a cluster of list.
func newCluster(t testing.TB, list []*stub, opts *Options) *Cluster[string, LWW[int]] {
	t.Helper()
	c, err := New(replicas(list), opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newKV returns a map on list, whose clock has number node.
func newKV(t testing.TB, list []*stub, node uint32, opts *Options) *KV[string, int] {
	t.Helper()
	d, err := NewKV(replicas(list), NewClock(node, nil), opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// set puts n under "k" into s, behind the back of a cluster.
func (s *stub) set(n int) { _ = s.Memory.Merge(context.Background(), "k", at(n)) }

// mustLoad checks that c reads want.
func mustLoad(t testing.TB, c *Cluster[string, LWW[int]], want int, calls ...Call) {
	t.Helper()
	if got, err := c.Load(context.Background(), "k", calls...); err != nil || got.Value != want {
		t.Errorf("Load = %v, %v, want %d", got.Value, err, want)
	}
}

// mustMerge writes n through c.
func mustMerge(t testing.TB, c *Cluster[string, LWW[int]], n int, calls ...Call) {
	t.Helper()
	if err := c.Merge(context.Background(), "k", at(n), calls...); err != nil {
		t.Errorf("Merge of %d = %v, want nil", n, err)
	}
}
