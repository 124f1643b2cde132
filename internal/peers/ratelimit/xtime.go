// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// golang.org/x/time/rate is a token bucket with the same rate and burst as
// ours, and most methods have a counterpart. It has no keyed limiter; what its
// users write is a map of limiters under one mutex, whose lookup is the one
// operation inside the lock. Where memory must be bounded they put an LRU in
// place of the map.

const xtime = "x/time/rate"

func newXtime(l limit) *rate.Limiter { return rate.NewLimiter(rate.Limit(l.perSecond()), l.burst) }

func xtimeAllow(l limit) bench.Impl {
	return bench.Impl{Name: xtime, Setup: func(func(func())) bench.Op {
		lim := newXtime(l)
		return func(_, n int) (admitted int) {
			for range n {
				if lim.Allow() {
					admitted++
				}
			}
			return admitted
		}
	}}
}

func xtimeWait(l limit) bench.Impl {
	return bench.Impl{Name: xtime, Setup: func(func(func())) bench.Op {
		lim, ctx := newXtime(l), context.Background()
		return func(_, n int) (admitted int) {
			for range n {
				if lim.Wait(ctx) == nil {
					admitted++
				}
			}
			return admitted
		}
	}}
}

func xtimeReserve(l limit) bench.Impl {
	return bench.Impl{Name: xtime, Setup: func(func(func())) bench.Op {
		lim := newXtime(l)
		lim.Allow()
		return func(_, n int) (admitted int) {
			for range n {
				r := lim.Reserve()
				if r.OK() {
					admitted++
				}
				r.Cancel()
			}
			return admitted
		}
	}}
}

// An xtimeMap is a limiter per key. The zero value is not usable: make m.
type xtimeMap[K comparable] struct {
	mu sync.Mutex // protects m
	m  map[K]*rate.Limiter
	l  limit
}

func newXtimeMap[K comparable](l limit) *xtimeMap[K] {
	return &xtimeMap[K]{m: map[K]*rate.Limiter{}, l: l}
}

func (x *xtimeMap[K]) allow(key K) bool {
	x.mu.Lock()
	lim := x.m[key]
	if lim == nil {
		lim = newXtime(x.l)
		x.m[key] = lim
	}
	x.mu.Unlock()
	return lim.Allow()
}

func xtimeKeyed(k func() keyset, l limit) bench.Impl {
	return bench.Impl{Name: "map of " + xtime, Setup: func(func(func())) bench.Op {
		lim := newXtimeMap[string](l)
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					if lim.allow(keys[i&(len(keys)-1)]) {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}

// xtimeTiers is two limiters per key, behind one lookup. It is less than ours
// does: an event that the second refuses has already taken a token of the
// first.
func xtimeTiers(k func() keyset, first, second limit) bench.Impl {
	return bench.Impl{Name: "map of 2 " + xtime, Setup: func(func(func())) bench.Op {
		var mu sync.Mutex
		m := map[string]*[2]*rate.Limiter{}
		allow := func(key string) bool {
			mu.Lock()
			pair := m[key]
			if pair == nil {
				pair = &[2]*rate.Limiter{newXtime(first), newXtime(second)}
				m[key] = pair
			}
			mu.Unlock()
			return pair[0].Allow() && pair[1].Allow()
		}
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					if allow(keys[i&(len(keys)-1)]) {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}

// xtimeLRU is a limiter per key in an LRU cache, which has a mutex of its own.
func xtimeLRU(k func() keyset, maxKeys int, l limit) bench.Impl {
	return bench.Impl{Name: "golang-lru/v2 of " + xtime, Setup: func(func(func())) bench.Op {
		cache := must(lru.New[string, *rate.Limiter](maxKeys))
		allow := func(key string) bool {
			if lim, ok := cache.Get(key); ok {
				return lim.Allow()
			}
			lim := newXtime(l)
			if old, ok, _ := cache.PeekOrAdd(key, lim); ok {
				lim = old // another goroutine was faster
			}
			return lim.Allow()
		}
		return loop(func(keys []string) bench.Op {
			return func(start, n int) (admitted int) {
				for i := start; i < start+n; i++ {
					if allow(keys[i&(len(keys)-1)]) {
						admitted++
					}
				}
				return admitted
			}
		}).on(k())
	}}
}

func xtimeAllower(l limit) func() func() bool { return func() func() bool { return newXtime(l).Allow } }

func xtimeWaiter(l limit) func() func(context.Context) error {
	return func() func(context.Context) error { return newXtime(l).Wait }
}
