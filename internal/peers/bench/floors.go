// SPDX-License-Identifier: MIT

package bench

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// The floors are shared by the goroutines of a workload, as the state of an
// implementation is.

// Since is one reading of the monotonic clock.
func Since() Impl {
	return Impl{Name: "Since", Setup: func(func(func())) Op {
		base := time.Now()
		return func(_, n int) int {
			var sum time.Duration
			for range n {
				sum += time.Since(base)
			}
			return keep(n, uint64(sum))
		}
	}}
}

// CAS is one successful load and compare-and-swap of a shared word.
func CAS() Impl {
	return Impl{Name: "CAS", Setup: func(func(func())) Op {
		word := new([16]atomic.Int64) // the first has its cache line to itself
		return func(_, n int) int {
			for range n {
				for {
					old := word[0].Load()
					if word[0].CompareAndSwap(old, old+1) {
						break
					}
				}
			}
			return n
		}
	}}
}

// Mutex is one Lock and Unlock of a mutex.
func Mutex() Impl {
	return Impl{Name: "Mutex", Setup: func(func(func())) Op {
		var mu sync.Mutex
		count := 0
		return func(_, n int) int {
			for range n {
				mu.Lock()
				count++
				mu.Unlock()
			}
			return n
		}
	}}
}

// Call is one call of a function by another that asks a context if it has ended
// and will see a panic, which nothing else can.
func Call() Impl {
	return Impl{Name: "Call", Setup: func(func(func())) Op {
		ctx := context.Background()
		fn := func(context.Context) error { return nil }
		panics := new(atomic.Int64)
		return func(_, n int) (ok int) {
			for range n {
				if guarded(ctx, fn, panics) == nil {
					ok++
				}
			}
			return ok
		}
	}}
}

//go:noinline
func guarded(ctx context.Context, fn func(context.Context) error, panics *atomic.Int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			panics.Add(1)
		}
	}()
	err := fn(ctx)
	done = true
	return err
}

// Hash is one seeded hash of a key. The number of keys is a power of two.
func Hash[K comparable](source func() []K) Impl {
	return Impl{Name: "Hash", Setup: func(func(func())) Op {
		keys, seed := source(), maphash.MakeSeed()
		return func(start, n int) int {
			var sum uint64
			for i := start; i < start+n; i++ {
				sum += maphash.Comparable(seed, keys[i&(len(keys)-1)])
			}
			return keep(n, sum)
		}
	}}
}

// sink is where results go that nobody needs.
var sink atomic.Uint64

// keep returns n and keeps the compiler from dropping the work that made sum.
func keep(n int, sum uint64) int {
	sink.Store(sum)
	return n
}
