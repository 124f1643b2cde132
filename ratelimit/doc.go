// SPDX-License-Identifier: MIT

// Package ratelimit provides rate limiters: they decide whether an event may
// happen now, so that no more than a chosen number happen in any length of
// time.
//
//	package main
//
//	import (
//		"fmt"
//
//		"github.com/ashlar-go/ashlar/ratelimit"
//	)
//
//	func main() {
//		lim := ratelimit.New(ratelimit.PerSecond(10), 2, nil) // 2 at once
//		for range 3 {
//			fmt.Println(lim.Allow())
//		}
//	}
//
// # Choosing
//
// Start with [Limiter] for one resource and [Keyed] for many clients. The
// others are for special needs: a number that people count, such as "100 in any
// minute" or "1000 a day" ([Window], [KeyedWindow]); one limit for several
// processes ([NewShared], [Window.Share]); a number of operations that run at
// once ([Concurrency], by [Gradient2] if nobody knows the number); several
// limits at once ([All]); ten million calls a second ([Striped]).
//
// To refuse an event call Allow, or Take to tell the client when to come back;
// to delay it call Wait. "100 a minute" as a bucket admits 100 at once and 100
// more during the first minute; if no minute may see more than 100, use
// [NewSlidingLog], or [NewSlidingWindow] in little memory; [Weighted] counts as
// httprate does. A few at once are bounded by a buffered channel as well.
//
// # How it works
//
// A bucket holds burst tokens and is refilled at rate; an event takes a token.
// The state is the spending so far, in units of which a token T costs a whole
// number; the supply so far is a function of the clock. With 100 a minute:
//
//	time   supplied   spent    left = burst - (spent - supplied)
//	0 s    0          100 T    0      100 events at once, the last is allowed
//	0.3 s  0.5 T      100 T    0.5    denied; RetryAfter is 0.3 s
//	0.6 s  1 T        101 T    0      allowed
//
// A decision is one compare-and-swap of one word, and since no time is stored,
// an old reading of the clock can only find fewer tokens. This is the generic
// cell rate algorithm, the token bucket and the leaky bucket in one.
//
// # Guarantees
//
// In any window of length w, the events admitted are at most burst + rate·(w +
// 2 ns) by the limiter's clock, for any interleaving of callers; a clock that
// steps back is treated as stopped until it catches up. Tokens given by Return
// and Fill come on top (TestPropEnvelope, TestPropSupply). An event is denied
// only if an ideal bucket (exact real numbers, same history) would not have the
// tokens, or has had them for less than 2 ns (TestPropComplete). A Striped
// keeps it (TestPropStriped); [Options] has that of a warm-up (TestPropWarmUp).
//
// Waits are served as they arrive, and one that is canceled leaves no trace
// (TestPropWaitCancel, TestPropKeyedWait). A reservation canceled in time gives
// back all (TestPropCancelRestores), later nothing (TestTrapDeferCancel).
// SetLimit neither loses nor repeats an admission (TestSetLimitConcurrent).
//
// A Keyed holds at most MaxKeys keys (TestKeyedBound), and admits for each key
// the events of a Limiter of its own (TestModelKeyed) and the tokens counted as
// [KeyedStats].Forgiven (TestKeyedFlood). Tiers and gates go all or none
// (TestTrapTiersAllOrNothing, TestTrapReturnOverBoundary). A sliding Window
// admits at most n events in any length of time, a fixed window up to 2n around
// an edge, and [Weighted] less than 2n (TestPropWindow). A quota admits n from
// midnight to midnight, however clocks change (TestPeriodFirstInstant), and so
// does a KeyedWindow (TestPropKeyedWindow).
//
// A Shared whose clocks differ by at most e, up to a minute, admits at most
// burst + rate·(w + e + 2 ns), or a window's n in its length less e, whatever
// answers its store loses (TestPropSharedLaw, TestPropSharedWindowLaw); a store
// that loses its state admits one more burst, or n (TestSharedWindowStateLost).
//
// A Concurrency gives no permit while limit are in flight, serves by priority
// and arrival, and loses none to a context that ends (TestModelConcurrency).
// [Gradient2] tells where limits settle (TestAdaptiveSettles,
// TestAdaptiveConditions).
//
// # Complexity
//
// Operations are O(1), some amortized, without allocations in steady state; but
// Acquire is O(p) in the priorities that wait, and Reserve O(h) in canceled
// places; it allocates 8 bytes if kept. A Limiter takes 288 bytes, a slot of a
// Keyed its key, a byte, and 8 a tier; a log 8 an event, a sliding window 8 a
// slice. Shared.Take is two round trips, and 88 bytes a key of one limit.
//
// # Concurrency
//
// All types are safe for concurrent use by multiple goroutines. No type starts
// a goroutine or needs a Close. Limiter.Allow without WarmUp seldom locks.
//
// # Errors
//
// A refusal is a bool or a [Decision]. Wait and Acquire return ctx.Err(), or at
// once an error that wraps [ErrLimited], [ErrBurst] or
// [context.DeadlineExceeded]. Constructors and negative numbers panic.
//
// # Format
//
// A Shared keeps little-endian bytes in its store: "ashlarrs", a uint16 of the
// version, 1, a byte of the kind, a byte of the number of limits, a CRC-32C of
// all but itself, the uint64 marks of the last 4 writes, and int64s. Kind 1,
// for each limit: Base and Spent of its [State], count and period of its rate
// (Inf is 2^63-1 and 0), and burst. Kind 2, 0 limits: the time of the last
// write, and pairs of a time and the number of events that count until then, in
// ns since 1970. Others are [ErrVersion]; later versions read version 1.
//
// # References
//
//   - ITU-T Recommendation I.371, 1993: the generic cell rate algorithm.
//   - D.-M. Chiu, R. Jain, Computer Networks and ISDN Systems 17(1), 1989: AIMD.
//   - Netflix, https://github.com/Netflix/concurrency-limits: Gradient2.
package ratelimit
