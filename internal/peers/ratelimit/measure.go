// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// crowd runs f in many goroutines, over and over until d has passed, and
// returns how many calls reported true and the time from before the first to
// after the last.
func crowd(goroutines int, d time.Duration, f func() bool) (admitted int, took time.Duration) {
	var stop atomic.Bool
	var total atomic.Int64
	var done sync.WaitGroup
	start := time.Now()
	for range goroutines {
		done.Go(func() { // ends after stop
			n := 0
			for !stop.Load() {
				if f() {
					n++
				}
			}
			total.Add(int64(n))
		})
	}
	time.Sleep(d)
	stop.Store(true)
	done.Wait()
	return int(total.Load()), time.Since(start)
}

// accuracy measures what is admitted as a share of the most that the limit
// allows, under a crowd that is larger than the processors: goroutines are
// descheduled between their reading of the clock and its use, which is when
// stale readings do harm.
func accuracy(name string, l limit, goroutines int, d time.Duration, makeAllow func() func() bool) bench.Impl {
	return bench.Impl{Name: name, Measure: func() (float64, int) {
		admitted, took := crowd(goroutines, d, makeAllow())
		return float64(admitted) / (float64(l.burst) + l.perSecond()*took.Seconds()), admitted
	}}
}

// grants measures the time from one end of a wait to the next while many
// callers always wait.
func grants(name string, waiters int, d time.Duration, makeWait func() func(context.Context) error) bench.Impl {
	return bench.Impl{Name: name, Measure: func() (float64, int) {
		wait, ctx := makeWait(), context.Background()
		admitted, took := crowd(waiters, d, func() bool { return wait(ctx) == nil })
		return float64(took) / float64(max(admitted, 1)), admitted
	}}
}

// A fill makes a limiter and returns it with its function to take an event of a
// key. held, if not nil, returns the number of keys it holds.
type fill[K comparable] func(atEnd func(func())) (lim any, touch func(K), held func() int)

// heap measures the heap that each of n keys takes, after one event of each.
// Keys are made one by one, so that those which the limiter keeps are part of
// what it takes.
func heap[K comparable](name, note string, n int, key func(i int) K, f fill[K]) bench.Impl {
	return bench.Impl{Name: name, Note: note, Measure: func() (float64, int) {
		return bench.HeapPerKey(func(atEnd func(func())) (any, int) {
			lim, touch, held := f(atEnd)
			for i := range n {
				touch(key(i))
			}
			if held != nil {
				return lim, held()
			}
			return lim, n
		})
	}}
}

// name is a key as clients have them, 16 bytes.
func name(i int) string { return fmt.Sprintf("client%010d", i) }

// number is a key of 8 bytes, mixed so that no table sees a sequence.
func number(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 }

// packed is number as a string, the shortest that limiters of strings can be
// given for it.
func packed(i int) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], number(i))
	return string(b[:])
}

// memoryOurs holds up to maxKeys keys.
func memoryOurs[K comparable](n, maxKeys int, key func(int) K) bench.Impl {
	return heap(ours, "", n, key, func(func(func())) (any, func(K), func() int) {
		lim := newOursKeyed[K](maxKeys, onceKey)
		return lim, func(key K) { lim.Allow(key) }, lim.Len
	})
}

func memoryXtime[K comparable](n int, key func(int) K) bench.Impl {
	return heap("map of "+xtime, "", n, key, func(func(func())) (any, func(K), func() int) {
		lim := newXtimeMap[K](onceKey)
		return lim, func(key K) { lim.allow(key) }, nil
	})
}

// memoryPeers are the limiters whose keys are strings.
func memoryPeers(n int, key func(int) string) []bench.Impl {
	ctx := context.Background()
	return []bench.Impl{
		heap("throttled", "", n, key, func(func(func())) (any, func(string), func() int) {
			lim := newThrottled(onceKey, 0)
			return lim, func(key string) { _, _, _ = lim.RateLimitCtx(ctx, key, 1) }, nil
		}),
		heap("sethvargo", "", n, key, func(atEnd func(func())) (any, func(string), func() int) {
			lim := newSethvargo(onceKey, n)
			atEnd(func() { _ = lim.Close(ctx) })
			return lim, func(key string) { _, _, _, _, _ = lim.Take(ctx, key) }, nil
		}),
		heap("ulule", "", n, key, func(func(func())) (any, func(string), func() int) {
			lim := newUlule(onceKey)
			return lim, func(key string) { _, _ = lim.Get(ctx, key) }, nil
		}),
		heap("tollbooth", "", n, key, func(func(func())) (any, func(string), func() int) {
			lim := newTollbooth(onceKey)
			return lim, func(key string) { lim.LimitReached(key) }, nil
		}),
	}
}
