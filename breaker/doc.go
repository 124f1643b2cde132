// SPDX-License-Identifier: MIT

// Package breaker is a circuit breaker: it stops calling a backend that fails,
// and finds out with a bounded number of calls when it works again.
//
//	package main
//
//	import (
//		"context"
//		"errors"
//		"fmt"
//		"github.com/ashlar-go/ashlar/breaker"
//	)
//
//	func main() {
//		inventory := breaker.New(&breaker.Options{Name: "inventory", Failures: 2})
//		get := func(context.Context) (string, error) { return "", errors.New("connection refused") }
//		for range 3 {
//			_, err := breaker.Do(context.Background(), inventory, get)
//			fmt.Println(err) // at last: breaker: open (inventory), since connection refused
//		}
//	}
//
// # Choosing
//
// Start with [New], [Do] and [Options]; the rest is for special needs.
//
//   - Is it down, or merely overloaded? A [Breaker] cuts off; a [Throttle] gives
//     way, and sends as much as the backend still accepts.
//   - Are calls rare? Failures in a row, the default. Thousands a second?
//     FailureRatio: at that rate five failures in a row happen by chance.
//   - Does it hang? Options.Timeout, below the deadlines of the callers, whose
//     own cancellations are no failures. Is it late? SlowRatio and SlowCall.
//   - Is an error an answer, like "not found"? Mark it: [Answer]. One breaker
//     for each thing that fails as one, such as a host: a [Group].
//
// Outermost first: cache, coalescing, retry, rate or concurrency limit,
// breaker, timeout: Example_composition. MIGRATING.md is for other libraries.
//
// # How it works
//
//	            a rule trips                 OpenFor·2ⁿ passes
//	┌────────┐ ─────────────▶ ┌──────┐ ───────────────────────▶ ┌───────────┐
//	│ Closed │                │ Open │                          │ Half-open │
//	└────────┘                └──────┘ ◀─────────────────────── └───────────┘
//	     ▲                        ▲     a probe fails or is lost      │ Successes
//	     │ Recovery passes        │ a rule trips                      ▼ of probes
//	     │                  ┌────────────┐
//	     └───────────────── │ Recovering │ a growing part of the calls
//	                        └────────────┘ (left out if Recovery is 0)
//
// In the terms of opossum and Hystrix, with their defaults, and ours:
//
//	timeout 10 s; 1 s                               Timeout          none
//	errorThresholdPercentage 50                     FailureRatio     Failures: 5
//	volumeThreshold 0; requestVolumeThreshold 20    MinCalls         20
//	rollingCountTimeout 10 s                        Window           10 s
//	resetTimeout 30 s; sleepWindow 5 s              OpenFor          5 s
//	fallback                                        DoElse
//
// With FailureRatio 0.5 and MinCalls 10, nine calls that fail say nothing; at
// the tenth, 10 of 10 are half or more: open for 5 s. Then one probe: if it
// fails, open for 10 s; else closed. Each change of state starts a generation.
//
// # Guarantees
//
// One call after another, a breaker is the specification in slow_test.go
// (TestModelBreaker; with Options.Now, TestModelLazy). Concurrent calls are
// linearizable with respect to it, except that a ratio may miss successes that
// are just being reported (TestLinearizable). A result is counted in its own
// generation or not at all (TestTrapLateSuccess), once (TestTrapDoneTwice).
//
//	while half-open       probes outstanding <= Probes  TestTrapHalfOpenStorm
//	a probe is lost       for <= ProbeTimeout           TestTrapLostProbe
//	calls until it opens  <= threshold + in flight      TestPropDeadBackend
//	calls once it opened  <= Probes a half-open period  TestPropDeadBackend
//	k-th open time / (1±Jitter)  min(OpenMax, OpenFor·OpenFactor^k)  TestPropDelay
//	window of calls       the last n exactly            TestPropLast
//	window of time        exact to one bucket           TestPropRing
//
// Changes form one chain, in order, one at a time, outside of locks
// (TestEventOrder), of which at most 128 wait (TestTrapEventHangs). A panic or
// Goexit of user code leaves a breaker valid (TestTrapPanic, TestEventPanic). A
// [Group] holds at most Max breakers (TestGroupBound) and forgets none that
// knows of a failure less than Forget ago (TestGroupForget). With a [Throttle]
// a server at five times its load spends 0.9 of its time on answers, if to
// refuse costs a tenth; 0.88 with 100 clients (TestThrottleGoodput).
//
// # Complexity
//
//	operation             time        allocations  reads the clock
//	Do, Allow             O(1)        0            if timed; open, if Now is set
//	success               O(1)        0            with a window of time
//	failure               O(buckets)  0            yes
//	probe                 O(Probes)   its timer    yes
//	Group.Get             O(1)        0            no
//	Throttle.Allow        O(1)        0            each 1/320 of the window
//
// A breaker takes 224 bytes, its window 24 a bucket or 2 bits a call, and 1 KB
// once goroutines meet; settings 224, shared by New(nil) and within a Group.
//
// # Concurrency
//
// All types are safe for concurrent use by multiple goroutines. No goroutine is
// started, and no timer keeps its owner alive. A breaker that opens in a bubble
// of testing/synctest belongs to it; give one that tests share Options.Now.
//
// # Errors
//
// A rejected call returns an [*OpenError], which is an [ErrOpen] and says when
// to ask again, or [ErrThrottled]; one that a timeout canceled wraps
// [ErrTimeout]. Constructors panic if options are not valid.
//
// # References
//
//   - M. T. Nygard, "Release It!", 2nd edition, Pragmatic Bookshelf 2018.
//   - A. Forero Cuervo, "Handling Overload", in "Site Reliability Engineering",
//     O'Reilly 2016, https://sre.google/sre-book/handling-overload/.
//   - M. P. Herlihy, J. M. Wing, "Linearizability", ACM TOPLAS 12(3), 1990.
package breaker
