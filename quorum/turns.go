// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"sync"
)

// Turns let calls of one key come one after the other, and remember something
// of each key. A lock could not be given up when a context ends.
type turns[K comparable, T any] struct {
	keep int // how many keys are remembered although nobody uses them

	mu   sync.Mutex // protects keys
	keys map[K]*turn[T]
}

// A turn is the place of one key. Its user holds the token of free.
type turn[T any] struct {
	free  chan struct{} // of capacity 1
	users int           // that hold or wait; protected by turns.mu
	memo  T             // of the user
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

// isReflexive reports whether key is equal to itself, as NaN is not: that could
// never be found again, nor removed.
func isReflexive[K comparable](key K) bool {
	same := key
	return key == same
}

// leave lets the next user have t.
func (s *turns[K, T]) leave(key K, t *turn[T]) {
	t.free <- struct{}{} // has room: the only token
	s.quit(key, t)
}

// quit counts a user of t less, and forgets t if nobody uses it and there are
// many.
func (s *turns[K, T]) quit(key K, t *turn[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.users--
	if t.users == 0 && len(s.keys) > s.keep {
		delete(s.keys, key)
	}
}
