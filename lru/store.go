// SPDX-License-Identifier: MIT

package lru

import "context"

// A Store is the source of the values that a cache has copies of: for [Through]
// and [Behind]. Its methods are called by several goroutines at a time, and
// must not write through the Through or Behind that calls them.
type Store[K comparable, V any] interface {
	// Load returns the value of key. If there is none, the error is, or wraps,
	// [ErrNotFound].
	Load(ctx context.Context, key K) (V, error)

	// Set stores value under key. If it fails, the store may have done so or
	// not.
	Set(ctx context.Context, key K, value V) error

	// Delete removes key. That it is not there is no error.
	Delete(ctx context.Context, key K) error
}
