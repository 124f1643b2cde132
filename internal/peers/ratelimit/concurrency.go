// SPDX-License-Identifier: MIT

package ratelimit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"golang.org/x/sync/semaphore"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// Limits of concurrency that are never reached: what is compared is taking a
// permit and giving it back. One that adapts is told of the time in between,
// too.

const (
	weighted = "x/sync/semaphore"
	bulk     = "failsafe bulkhead"
	adaptive = "failsafe adaptive"
	channel  = "chan struct{}"
	room     = 1000
)

func oursConcurrency(held int, opts func() *ratelimit.ConcurrencyOptions) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		c := ratelimit.NewConcurrency(room, opts())
		for range held {
			c.TryAcquire()
		}
		return func(_, n int) (admitted int) {
			for range n {
				if p, ok := c.TryAcquire(); ok {
					p.Release()
					admitted++
				}
			}
			return admitted
		}
	}}
}

func oursAcquire() bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		c, ctx := ratelimit.NewConcurrency(room, nil), context.Background()
		return func(_, n int) (admitted int) {
			for range n {
				if p, err := c.Acquire(ctx); err == nil {
					p.Release()
					admitted++
				}
			}
			return admitted
		}
	}}
}

func semaphoreTry(held int64) bench.Impl {
	return bench.Impl{Name: weighted, Setup: func(func(func())) bench.Op {
		s := semaphore.NewWeighted(room)
		s.TryAcquire(held)
		return func(_, n int) (admitted int) {
			for range n {
				if s.TryAcquire(1) {
					s.Release(1)
					admitted++
				}
			}
			return admitted
		}
	}}
}

func semaphoreAcquire() bench.Impl {
	return bench.Impl{Name: weighted, Setup: func(func(func())) bench.Op {
		s, ctx := semaphore.NewWeighted(room), context.Background()
		return func(_, n int) (admitted int) {
			for range n {
				if s.Acquire(ctx, 1) == nil {
					s.Release(1)
					admitted++
				}
			}
			return admitted
		}
	}}
}

func channelTry(held int) bench.Impl {
	return bench.Impl{Name: channel, Setup: func(func(func())) bench.Op {
		permits := make(chan struct{}, room)
		for range held {
			permits <- struct{}{}
		}
		return func(_, n int) (admitted int) {
			for range n {
				select {
				case permits <- struct{}{}:
					<-permits
					admitted++
				default:
				}
			}
			return admitted
		}
	}}
}

func bulkheadTry() bench.Impl {
	return bench.Impl{Name: bulk, Setup: func(func(func())) bench.Op {
		b := bulkhead.New[any](room)
		return func(_, n int) (admitted int) {
			for range n {
				if b.TryAcquirePermit() {
					b.ReleasePermit()
					admitted++
				}
			}
			return admitted
		}
	}}
}

func adaptiveTry() bench.Impl {
	return bench.Impl{Name: adaptive, Setup: func(func(func())) bench.Op {
		l := adaptivelimiter.NewBuilder[any]().WithLimits(room, room, room).Build()
		return func(_, n int) (admitted int) {
			for range n {
				if p, ok := l.TryAcquirePermit(); ok {
					p.Record()
					admitted++
				}
			}
			return admitted
		}
	}}
}

// concurrencyRows have permits to spare in every row.
func concurrencyRows() []*bench.Workload {
	fixed := func() *ratelimit.ConcurrencyOptions { return nil }
	adapting := func() *ratelimit.ConcurrencyOptions {
		return &ratelimit.ConcurrencyOptions{Adapt: &ratelimit.Gradient2{}, Min: room, Max: room, Window: time.Second}
	}
	var rows []*bench.Workload
	for _, goroutines := range []int{1, 2} {
		row := func(name, why, versus string, target float64, origin string, ours bench.Impl, peers ...bench.Impl) {
			rows = append(rows, &bench.Workload{
				Name: fmt.Sprintf("Concurrency.%s/goroutines=%d", name, goroutines), Why: why, Versus: versus,
				Target: bench.Ratio(target), Origin: origin,
				Expect: bench.Granted, Parallel: goroutines, Ours: ours, Peers: peers,
			})
			if goroutines > 1 {
				return // two do not share a word, so it is no part
			}

			// A permit is taken and given back.
			w := rows[len(rows)-1]
			w.Floors = []bench.Impl{bench.CAS(), bench.CAS()}
			if strings.Contains(name, "adaptive") {
				w.Floors = append(w.Floors, bench.Since(), bench.Since())
			}
		}

		// The prototype of stripes was at .53 and .26; with permits held it was
		// slower than the semaphore.
		few := map[int]float64{1: 0.6, 2: 0.4}[goroutines]
		row("TryAcquire+Release", "1000 permits, of which as many are out as goroutines", weighted, few, prototype,
			oursConcurrency(0, fixed), semaphoreTry(0), bulkheadTry(), channelTry(0))
		row("TryAcquire+Release/held=100", "the same while 100 permits are out, as of operations in flight", weighted, 0.9, noSlower,
			oursConcurrency(100, fixed), semaphoreTry(100), channelTry(100))
		row("Acquire+Release", "the same with a context that never ends; nobody waits", weighted, few, prototype, oursAcquire(), semaphoreAcquire())
		row("TryAcquire+Release/case=adaptive", "limits that adapt, held between 1000 and 1000; both read the clock twice", adaptive, 0.15, "",
			oursConcurrency(0, adapting), adaptiveTry())
	}
	return rows
}
