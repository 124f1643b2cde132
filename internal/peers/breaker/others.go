// SPDX-License-Identifier: MIT

package breaker

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	gozero "github.com/zeromicro/go-zero/core/breaker"
	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/stat"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const (
	hyst  = "hystrix-go"
	aegis = "aegis"
	zero  = "go-zero"
)

// What peers do beside the measured goroutines.
const (
	hystrixBeside = "two goroutines for each call, and two that count, for each command"
	zeroBeside    = "a goroutine that samples the load of the machine four times a second"
)

// go-zero logs what it drops, and the load of the machine, to standard output,
// where the report of a comparison goes.
func init() {
	logx.Disable()
	logx.DisableStat()
	stat.SetReporter(nil)
}

// commands numbers the commands of hystrix, which are of the whole process.
var commands atomic.Int64

func newCommand(c hystrix.CommandConfig) string {
	name := fmt.Sprint("command", commands.Add(1))
	c.Timeout, c.MaxConcurrentRequests = math.MaxInt32, 1<<16
	hystrix.ConfigureCommand(name, c)
	return name
}

func hystrixDo() bench.Impl {
	return bench.Impl{Name: hyst, Beside: hystrixBeside, Setup: func(func(func())) bench.Op {
		name := newCommand(hystrix.CommandConfig{})
		return func(_, n int) (done int) {
			for range n {
				if hystrix.Do(name, good, nil) == nil {
					done++
				}
			}
			return done
		}
	}}
}

func hystrixStorm() func(func() error) error {
	name := newCommand(hystrix.CommandConfig{RequestVolumeThreshold: 1, ErrorPercentThreshold: 1, SleepWindow: int(openFor / time.Millisecond)})
	circuit, _, err := hystrix.GetCircuit(name)
	if err != nil {
		panic(err)
	}
	for !circuit.IsOpen() { // it learns of outcomes from another goroutine
		_ = hystrix.Do(name, func() error { return errFailed }, nil)
		runtime.Gosched()
	}
	time.Sleep(2 * openFor)
	return func(fn func() error) error { return hystrix.Do(name, fn, nil) }
}

// aegisThrottle and zeroThrottle are the same idea as our Throttle, under the
// name of breaker.
func aegisThrottle(rejecting bool) bench.Impl {
	return bench.Impl{Name: aegis, Setup: func(func(func())) bench.Op {
		b := sre.NewBreaker(sre.WithSuccess(0.5), sre.WithWindow(2*time.Minute), sre.WithBucket(40), sre.WithRequest(10))
		return func(_, n int) (done int) {
			for range n {
				if b.Allow() != nil {
					b.MarkFailed()
					continue
				}
				if rejecting {
					b.MarkFailed()
				} else {
					b.MarkSuccess()
				}
				done++
			}
			return done
		}
	}}
}

func zeroThrottle(rejecting bool) bench.Impl {
	return bench.Impl{Name: zero, Beside: zeroBeside, Setup: func(func(func())) bench.Op {
		b := gozero.NewBreaker()
		return func(_, n int) (done int) {
			for range n {
				p, err := b.Allow()
				if err != nil {
					continue
				}
				if rejecting {
					p.Reject("overloaded")
				} else {
					p.Accept()
				}
				done++
			}
			return done
		}
	}}
}

func zeroGroup() bench.Impl {
	return bench.Impl{Name: zero, Note: "never forgets a key", Beside: zeroBeside, Setup: func(func(func())) bench.Op {
		keys := hosts()
		for _, k := range keys {
			gozero.GetBreaker(k)
		}
		return func(start, n int) (done int) {
			for i := start; i < start+n; i++ {
				if gozero.GetBreaker(keys[i&(len(keys)-1)]) != nil {
					done++
				}
			}
			return done
		}
	}}
}
