// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// A Memory is a [Replica] in the memory of this process: for tests, and as the
// store of a server that answers the requests of others. It is safe for
// concurrent use by multiple goroutines. What it holds is lost with the
// process, so a server of that kind must not answer after a restart before
// [Cluster.Repair] has gone over its keys. The zero value is ready to use.
type Memory[K comparable, S State[S]] struct {
	mu     sync.RWMutex // protects states
	states map[K]S      // nil until the first Merge
}

// errKey is the error of a key that could not be found again.
var errKey = fmt.Errorf("%w: key is not equal to itself", ErrUnavailable)

// NewMemory returns an empty replica, as new(Memory[K, S]) does. Its instance
// for a K and an S is a function that makes any number of replicas without
// naming the types again.
func NewMemory[K comparable, S State[S]]() *Memory[K, S] {
	return new(Memory[K, S])
}

// Load returns the state of key. It does not wait, and heeds no context.
func (m *Memory[K, S]) Load(_ context.Context, key K) (S, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.states[key], nil
}

// Merge joins s into the state of key. It does not wait, and heeds no context.
// Join runs under the lock of m. It returns an [ErrUnavailable] if key is not
// equal to itself, as NaN is not.
func (m *Memory[K, S]) Merge(_ context.Context, key K, s S) error {
	if !isReflexive(key) {
		return errKey
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.states == nil {
		m.states = map[K]S{}
	}
	m.states[key] = m.states[key].Join(s)
	return nil
}

// Len returns the number of keys.
func (m *Memory[K, S]) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.states)
}

// Keys returns a snapshot of the keys, in no particular order.
func (m *Memory[K, S]) Keys() iter.Seq[K] {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Values(slices.Collect(maps.Keys(m.states)))
}
