// SPDX-License-Identifier: MIT

package breaker

import (
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/adaptivethrottler"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const (
	fail     = "failsafe"
	executor = "failsafe executor"
)

func newFailsafe(r rule) func() circuitbreaker.CircuitBreaker[any] {
	return func() circuitbreaker.CircuitBreaker[any] {
		b := circuitbreaker.NewBuilder[any]()
		switch r {
		case lastTime:
			b.WithFailureRateThreshold(0.5, 20, 10*time.Second)
		case lastHundred:
			b.WithFailureThresholdRatio(50, 100)
		default:
			b.WithFailureThreshold(1 << 20)
		}
		return b.Build()
	}
}

// failsafeDo asks and reports without its executor: the fastest way there is.
func failsafeDo(r rule, failEvery int) bench.Impl {
	return bench.Impl{Name: fail, Setup: func(func(func())) bench.Op {
		b := newFailsafe(r)()
		return func(start, n int) (done int) {
			for i := start; i < start+n; i++ {
				if !b.TryAcquirePermit() {
					continue
				}
				if failEvery > 0 && i%failEvery == 0 {
					b.RecordFailure()
				} else {
					b.RecordSuccess()
				}
				done++
			}
			return done
		}
	}}
}

func failsafeExecutor(r rule) bench.Impl {
	return bench.Impl{Name: executor, Setup: func(func(func())) bench.Op {
		e := failsafe.With[any](newFailsafe(r)())
		return func(_, n int) (done int) {
			for range n {
				if e.Run(good) == nil {
					done++
				}
			}
			return done
		}
	}}
}

func failsafeReject() bench.Impl {
	return bench.Impl{Name: fail, Setup: func(func(func())) bench.Op {
		b := circuitbreaker.NewBuilder[any]().WithDelay(24 * time.Hour).Build()
		b.Open()
		return func(_, n int) (done int) {
			for range n {
				if b.TryAcquirePermit() {
					done++
				}
			}
			return done
		}
	}}
}

func failsafeStorm() func(func() error) error {
	b := circuitbreaker.NewBuilder[any]().WithFailureThreshold(1).WithSuccessThreshold(1).WithDelay(openFor).Build()
	b.Open()
	time.Sleep(2 * openFor)
	return func(fn func() error) error {
		if !b.TryAcquirePermit() {
			return circuitbreaker.ErrOpen
		}
		err := fn()
		b.RecordError(err)
		return err
	}
}

func failsafeThrottle(rejecting bool) bench.Impl {
	return bench.Impl{Name: fail, Setup: func(func(func())) bench.Op {
		t := adaptivethrottler.NewBuilder[any]().WithFailureRateThreshold(0.5, 10, 2*time.Minute).WithMaxRejectionRate(0.95).Build()
		return func(_, n int) (done int) {
			for range n {
				if !t.TryAcquirePermit() {
					continue
				}
				if rejecting {
					t.RecordFailure()
				} else {
					t.RecordSuccess()
				}
				done++
			}
			return done
		}
	}}
}
