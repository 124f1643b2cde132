// SPDX-License-Identifier: MIT

package breaker

import (
	"time"

	"github.com/eapache/go-resiliency/breaker"
	"github.com/sony/gobreaker/v2"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const (
	gobr = "gobreaker"
	eap  = "eapache"
)

func settings(r rule) gobreaker.Settings {
	s := gobreaker.Settings{ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures > 1<<20 }}
	if r == lastTime {
		s.Interval, s.BucketPeriod = 10*time.Second, time.Second
		s.ReadyToTrip = func(c gobreaker.Counts) bool { return c.Requests >= 20 && c.TotalFailures*2 >= c.Requests }
	}
	return s
}

func gobreakerDo(r rule, failEvery int) bench.Impl {
	return bench.Impl{Name: gobr, Setup: func(func(func())) bench.Op {
		b := gobreaker.NewCircuitBreaker[int](settings(r))
		call := func() (int, error) { return 0, nil }
		fail := func() (int, error) { return 0, errFailed }
		return func(start, n int) (done int) {
			for i := start; i < start+n; i++ {
				fn := call
				if failEvery > 0 && i%failEvery == 0 {
					fn = fail
				}
				if _, err := b.Execute(fn); err == nil || err == errFailed {
					done++
				}
			}
			return done
		}
	}}
}

func gobreakerAllow(r rule) bench.Impl {
	return bench.Impl{Name: gobr, Setup: func(func(func())) bench.Op {
		b := gobreaker.NewTwoStepCircuitBreaker[int](settings(r))
		return func(_, n int) (done int) {
			for range n {
				if report, err := b.Allow(); err == nil {
					report(nil)
					done++
				}
			}
			return done
		}
	}}
}

func gobreakerReject() bench.Impl {
	return bench.Impl{Name: gobr, Setup: func(func(func())) bench.Op {
		b := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
			Timeout:     24 * time.Hour,
			ReadyToTrip: func(gobreaker.Counts) bool { return true },
		})
		_, _ = b.Execute(func() (int, error) { return 0, errFailed })
		call := func() (int, error) { return 0, nil }
		return func(_, n int) (done int) {
			for range n {
				if _, err := b.Execute(call); err == nil {
					done++
				}
			}
			return done
		}
	}}
}

func gobreakerStorm() func(func() error) error {
	b := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
		Timeout:     openFor,
		MaxRequests: 1,
		ReadyToTrip: func(gobreaker.Counts) bool { return true },
	})
	_, _ = b.Execute(func() (int, error) { return 0, errFailed })
	time.Sleep(2 * openFor)
	return func(fn func() error) error {
		_, err := b.Execute(func() (int, error) { return 0, fn() })
		return err
	}
}

func newGobreaker(r rule) func() *gobreaker.CircuitBreaker[int] {
	return func() *gobreaker.CircuitBreaker[int] { return gobreaker.NewCircuitBreaker[int](settings(r)) }
}

// eapacheDo makes calls that succeed. A success while closed does nothing at
// all there, and failures are in a row if none is further than the timeout from
// the one before.
func eapacheDo() bench.Impl {
	return bench.Impl{Name: eap, Setup: func(func(func())) bench.Op {
		b := breaker.New(1<<20, 1, time.Second)
		return func(_, n int) (done int) {
			for range n {
				if b.Run(good) == nil {
					done++
				}
			}
			return done
		}
	}}
}

func eapacheReject() bench.Impl {
	return bench.Impl{Name: eap, Setup: func(func(func())) bench.Op {
		b := breaker.New(1, 1, time.Hour)
		_ = b.Run(func() error { return errFailed })
		return func(_, n int) (done int) {
			for range n {
				if b.Run(good) == nil {
					done++
				}
			}
			return done
		}
	}}
}

func eapacheStorm() func(func() error) error {
	b := breaker.New(1, 1, openFor)
	_ = b.Run(func() error { return errFailed })
	for b.GetState() != breaker.HalfOpen {
		time.Sleep(openFor / 10)
	}
	return b.Run
}
