// SPDX-License-Identifier: MIT

// Package breaker compares the breaker package with other people's.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const ours = "ours"

var errFailed = errors.New("failed")

func good() error { return nil }

// A rule is what trips the breakers of a row. None trips while it is timed.
type rule int

const (
	row      rule = iota // a row of failures
	lastTime             // a ratio over 10 s in 10 steps
	lastHundred
)

func options(r rule) *breaker.Options {
	switch r {
	case lastTime:
		return &breaker.Options{FailureRatio: 0.5}
	case lastHundred:
		return &breaker.Options{FailureRatio: 0.5, WindowCalls: 100}
	}
	return &breaker.Options{Failures: 1 << 20}
}

// oursDo makes calls of which every failEvery-th fails, if that is positive.
func oursDo(r rule, failEvery int) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		b, ctx := breaker.New(options(r)), context.Background()
		call := func(context.Context) error { return nil }
		if failEvery == 0 {
			return func(_, n int) (done int) {
				for range n {
					if b.Do(ctx, call) == nil {
						done++
					}
				}
				return done
			}
		}

		fail := func(context.Context) error { return errFailed }
		return func(start, n int) (done int) {
			for i := start; i < start+n; i++ {
				fn := call
				if i%failEvery == 0 {
					fn = fail
				}
				if err := b.Do(ctx, fn); err == nil || err == errFailed {
					done++
				}
			}
			return done
		}
	}}
}

// oursAllow asks and reports in two steps.
func oursAllow(r rule) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		b := breaker.New(options(r))
		return func(_, n int) (done int) {
			for range n {
				if p, err := b.Allow(); err == nil {
					p.Success()
					done++
				}
			}
			return done
		}
	}}
}

func oursReject() bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		b, ctx := breaker.New(nil), context.Background()
		b.Trip(24*time.Hour, errFailed)
		call := func(context.Context) error { return nil }
		return func(_, n int) (done int) {
			for range n {
				if b.Do(ctx, call) == nil {
					done++
				}
			}
			return done
		}
	}}
}

// storm returns the impl that counts how many of 1000 goroutines a breaker lets
// through at once when its open time is over and one may. open returns the
// breaker's Do, with the breaker half-open or about to be.
func storm(name string, open func() func(func() error) error) bench.Impl {
	return bench.Impl{Name: name, Measure: func() (float64, int) {
		const callers = 1000
		do := open()
		var callsDone sync.WaitGroup
		entered, release := make(chan struct{}, callers), make(chan struct{})
		refused := make(chan struct{}, callers)

		for range callers {
			// It ends when it is refused or released.
			callsDone.Go(func() {
				ran := false
				_ = do(func() error {
					ran = true
					entered <- struct{}{}
					<-release
					return nil
				})
				if !ran {
					refused <- struct{}{}
				}
			})
		}

		for len(entered)+len(refused) < callers {
			runtime.Gosched()
		}
		n := len(entered)
		close(release)
		callsDone.Wait()
		return float64(n), callers
	}}
}

// openFor is how long breakers are open before a storm.
const openFor = 10 * time.Millisecond

func oursStorm() func(func() error) error {
	b := breaker.New(&breaker.Options{Failures: 1, OpenFor: openFor, ProbeTimeout: time.Hour, Jitter: -1})
	b.Trip(0, errFailed)
	time.Sleep(2 * openFor)
	return func(fn func() error) error {
		return b.Do(context.Background(), func(context.Context) error { return fn() })
	}
}

func oursThrottle(rejecting bool) bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		t := breaker.NewThrottle(nil)
		return func(_, n int) (done int) {
			for range n {
				if t.Allow() {
					if !rejecting {
						t.Accept()
					}
					done++
				}
			}
			return done
		}
	}}
}

const groupKeys = 10_000

var hosts = sync.OnceValue(func() []string {
	all := make([]string, 1<<14)
	for i := range all {
		all[i] = fmt.Sprintf("host-%d", i%groupKeys)
	}
	return all
})

func oursGroup() bench.Impl {
	return bench.Impl{Name: ours, Setup: func(func(func())) bench.Op {
		g, keys := breaker.NewGroup[string](nil), hosts()
		for _, k := range keys {
			g.Get(k)
		}
		return func(start, n int) (done int) {
			for i := start; i < start+n; i++ {
				if g.Get(keys[i&(len(keys)-1)]) != nil {
					done++
				}
			}
			return done
		}
	}}
}

func syncMap() bench.Impl {
	return bench.Impl{Name: "sync.Map", Note: "never forgets a key", Setup: func(func(func())) bench.Op {
		var m sync.Map
		keys := hosts()
		for _, k := range keys {
			m.LoadOrStore(k, breaker.New(nil))
		}
		return func(start, n int) (done int) {
			for i := start; i < start+n; i++ {
				if _, ok := m.Load(keys[i&(len(keys)-1)]); ok {
					done++
				}
			}
			return done
		}
	}}
}

// memory returns the impl that measures the bytes of a breaker after a call.
func memory[T any](name string, make func() T) bench.Impl {
	return bench.Impl{Name: name, Measure: func() (float64, int) {
		const n = 10_000
		all := [n]T{}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range all {
			all[i] = make()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(&all)
		return float64(after.HeapAlloc-before.HeapAlloc) / n, n
	}}
}
