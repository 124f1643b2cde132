// SPDX-License-Identifier: MIT

// Package breaker is a circuit breaker: it stops calling what is failing, and finds out
// with a bounded number of calls when it works again.
//
//	inventory := breaker.New(&breaker.Options{Name: "inventory", FailureRatio: 0.5, Timeout: time.Second})
//	item, err := breaker.Do(ctx, inventory, func(ctx context.Context) (*Item, error) {
//		return client.Get(ctx, id)
//	})
//	if errors.Is(err, breaker.ErrOpen) {
//		return cached(id) // the call was not made
//	}
//
// # Choosing
//
//   - Is it down, or merely overloaded? A [Breaker] cuts off; a [Throttle] gives way, and sends what
//     the backend still accepts. Both may stand in line.
//   - Are calls rare? Failures in a row, the default. Are there thousands a second? FailureRatio: at
//     that rate five failures in a row happen by chance.
//   - Does it fail by not answering? Options.Timeout, below the deadlines of the callers, whose own
//     cancellations are no failures. By answering late? SlowRatio and SlowCall.
//   - One breaker for what? For each thing that fails as one, such as a host: a [Group]. Never for
//     each request, and not for a service of which one shard may fail alone.
//   - What do callers get meanwhile? The error, which says when to come back; or [DoElse].
//
// Outermost first, the order that works is cache, coalescing, retry, breaker, rate or
// concurrency limit, timeout. A retry around a breaker must take ErrOpen as final. This package
// does not call again: no retries, hedging, caching; nor does it bound how many calls
// run at once, for which a buffered channel is enough. A health check that calls Reset when it
// succeeds needs no more than a time.Ticker.
//
// # How it works
//
//	            a rule trips                 OpenFor·2ⁿ passes
//	┌────────┐ ─────────────▶ ┌──────┐ ───────────────────────▶ ┌───────────┐
//	│ Closed │                │ Open │                          │ Half-open │ Probes calls at once
//	└────────┘                └──────┘ ◀─────────────────────── └───────────┘
//	     ▲                        ▲     a probe fails or is lost      │ Successes of them
//	     │ Recovery passes        │ a rule trips                      ▼ succeed
//	     │                  ┌────────────┐
//	     └───────────────── │ Recovering │ a growing part of the calls (left out if Recovery is 0)
//	                        └────────────┘
//
// In the words of others: an error threshold of 50 % and a reset timeout of 5000 ms are FailureRatio
// 0.5 and OpenFor 5 s. With MinCalls 10, of ten calls that fail one after the other:
//
//	calls    1..9   closed: 9 of 9 failed, but 9 calls say nothing
//	call     10     10 of 10 are 50 % or more: open; "unavailable, try later" for 5 s
//	at 5 s          half-open: one probe; it fails: open for 10 s
//	at 15 s         half-open: one probe; it succeeds: closed, counting from nothing
//
// Each change of state starts a generation. A result is counted in the one that admitted its call or
// not at all.
//
// # Guarantees
//
// Sequentially a breaker is the specification in slow_test.go, step by step and event by event: see
// TestModelBreaker and, for Options.Now, TestModelLazy. Concurrent calls are linearizable with
// respect to it, but that a ratio may miss successes that are just being reported: see
// TestLinearizable.
//
// While half-open,
//
//	probes outstanding <= Probes
//
// for any interleaving, exactly that many are admitted if enough ask, and none can be lost for longer
// than ProbeTimeout. See TestTrapHalfOpenStorm and TestTrapLostProbe. A result is counted
// at most once if its Permit is not copied, and for probes even then: TestTrapDoneTwice,
// TestTrapLateSuccess. Until it opens, what has failed receives no more calls than
//
//	threshold + calls in flight
//
// and afterwards at most Probes per half-open period: TestPropDeadBackend.
//
// The last n calls are exactly those (TestPropLast); a window of time is exact to one bucket, and
// expires when read as well (TestPropRing). The k-th open time in a row is between 1-Jitter and
// 1+Jitter times min(OpenMax, OpenFor·OpenFactor^k) (TestPropDelay).
//
// Events form one chain, in order, one at a time, and outside of locks (TestEventOrder). A panic
// or Goexit in any callback leaves the breaker valid (TestTrapPanic, TestEventPanic).
// A Group never holds more than Max breakers, and forgets none that knows of a failure
// (TestTrapEvictOpen, TestGroupBound). With a Throttle, a server at five times its load keeps
// nine tenths of its capacity for answers (TestThrottleGoodput).
//
// # Complexity
//
//	operation                time        allocations   reads the clock
//	Do, Allow, closed        O(1)        0             no
//	Allow, open              O(1)        0             no, unless Options.Now is set
//	success, by row          O(1)        0             no
//	success, by time         O(1)        0             once; twice if calls are timed
//	failure, by time         O(buckets)  0             once; twice if calls are timed
//	probe                    O(Probes)   its timer     yes
//	change of state          O(window)   O(1)          yes
//	Group.Get                O(1)        0             no
//	Throttle.Allow           O(1)        0             once; every 1/320 of the window, or 64 calls, O(buckets)
//
// A breaker takes 480 bytes, and a window 24 bytes a bucket or 2 bits a call.
//
// # Concurrency
//
// All types are safe for concurrent use by multiple goroutines. Successful calls through a
// closed breaker and rejections by an open one take no lock, but that WindowCalls has one. No goroutine is
// started; a timer runs while open, half-open or recovering, and does not keep the
// breaker alive. No type needs a Close. A breaker that opens in a testing/synctest bubble belongs to
// the bubble, as its timer does; one that tests share is better given Options.Now.
//
// # Errors
//
// A rejected call returns an [*OpenError], which is an [ErrOpen] and says when to ask again. A call
// canceled by Options.Timeout returns an error that wraps [ErrTimeout]. Else Do returns what the
// function did. Constructors panic if options are not valid, since they are the
// programmer's; SetOptions returns the error, since what is changed in flight often is not.
//
// # References
//
//   - M. T. Nygard, "Release It!", 2nd edition, Pragmatic Bookshelf 2018: circuit breaker, chapter 5.
//   - M. Fowler, "CircuitBreaker", 2014, https://martinfowler.com/bliki/CircuitBreaker.html.
//   - A. Forero Cuervo, "Handling Overload", in Beyer et al., "Site Reliability Engineering",
//     O'Reilly 2016, chapter 21, https://sre.google/sre-book/handling-overload/: the throttle.
//   - M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015.
//   - M. P. Herlihy, J. M. Wing, "Linearizability: a correctness condition for concurrent objects",
//     ACM TOPLAS 12(3), 1990.
package breaker
