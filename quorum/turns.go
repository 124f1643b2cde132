// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"sync"
)

// turns let the calls of one key run one after the other, and remember a memo
// of each key. Waiting for a mutex could not end with a context.
type turns[K comparable, T any] struct {
	keep int // how many keys are remembered although nobody uses them

	mu   sync.Mutex // protects keys
	keys map[K]*turn[T]
}

// A turn is the place of one key. Its user holds the token of free.
type turn[T any] struct {
	free  chan struct{} // of capacity 1
	users int           // that hold or wait; protected by turns.mu
	memo  T             // owned by the user that holds the token
}

// enter waits until key has no other user.
func (s *turns[K, T]) enter(ctx context.Context, key K) (*turn[T], error) {
	s.mu.Lock()
	t := s.keys[key]
	if t == nil {
		t = &turn[T]{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		if s.keys == nil {
			s.keys = map[K]*turn[T]{}
		}
		if isReflexive(key) {
			s.keys[key] = t
		}
	}
	t.users++
	s.mu.Unlock()

	err := ctx.Err()
	if err == nil {
		select {
		case <-t.free:
			return t, nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.quit(key, t)
	return nil, err
}

// isReflexive reports whether key is equal to itself. NaN is not: a map could
// never find it again, nor remove it.
func isReflexive[K comparable](key K) bool {
	same := key
	return key == same
}

// leave lets the next user have t.
func (s *turns[K, T]) leave(key K, t *turn[T]) {
	t.free <- struct{}{} // has room: the only token
	s.quit(key, t)
}

// quit counts one user of t less, and forgets t if it has none and more than
// keep keys are remembered.
func (s *turns[K, T]) quit(key K, t *turn[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.users--
	if t.users == 0 && len(s.keys) > s.keep {
		delete(s.keys, key)
	}
}
