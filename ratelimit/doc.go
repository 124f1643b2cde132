// SPDX-License-Identifier: MIT

// Package ratelimit is a rate limiter: it decides whether an event may happen
// now, so that no more than a chosen number happen in any interval of time.
//
//	lim := ratelimit.New(ratelimit.PerSecond(100), 20, nil) // bursts of 20
//	if !lim.Allow() {
//		http.Error(w, "slow down", http.StatusTooManyRequests)
//		return
//	}
//
// # Choosing
//
//   - One shared resource: a [Limiter]; beyond ten million calls a second, a [Striped].
//   - A number that people count, such as "100 in any minute": a [Window]; a number in each day or
//     month of a calendar: a [Quota].
//   - Many clients, each with a limit of its own, in bounded memory: a [Keyed], whose keys may
//     obey several limits at once ("10/s and 1000/d"), or a [KeyedWindow].
//   - One limit for several processes: a [Shared], or [Limit.Step] run in the store they share.
//   - How many operations run at once, not how many begin: a [Concurrency]. If nobody knows how many
//     are good, let it find out, by [Gradient2], or by [AIMD] where operations time out.
//   - Limits of different kinds or keys at once (this user and the whole service): [All].
//
// Whichever it is:
//
//   - To refuse what is too much, call Allow, or Take to tell the client when to come back.
//   - To delay it, call Wait: with a burst of 1 that is the leaky bucket as a queue, a pacer.
//   - To shed work of low priority first, call TakeKeeping for it and Allow for the rest.
//   - If the cost is known only afterwards, call Charge then; if it was too high, Return.
//
// "100 a minute" can mean two things. A bucket of 100 tokens refilled at 100 a
// minute, as here, admits 100 at once and 100 more during the first minute: up
// to 200 in one minute, and 100 in every minute after. If no minute may see
// more than 100, use [NewSlidingLog], which is exact, or [NewSlidingWindow],
// which needs little memory, or [NewKeyedSlidingLog] for each client; or choose
// a rate and burst with burst + rate·minute <= 100, such as 80 a minute and a
// burst of 20. [NewFixedWindow] does not do it: around the edge of two windows
// it admits 200 at once.
//
// If a few at once are enough and nobody waits by priority, a buffered channel
// or golang.org/x/sync/semaphore bounds concurrency as well. To run something
// at most every so often, where being asked more often is normal,
// golang.org/x/time/rate.Sometimes is enough.
//
// # How it works
//
// A bucket holds burst tokens and is refilled at rate; an event takes a token.
// All that is stored is how much was ever spent, in units of which a token
// costs a whole number; what was ever supplied is a function of the clock. With
// 100 a minute and a burst of 100, a token is 600,000,000 units and a
// nanosecond supplies one:
//
//	 time   supplied    spent   left = burst - (spent - supplied)/unit
//	 0 s    0           0       100
//	 0 s    0           100 T   0       100 events at once: the last is allowed
//	 0.3 s  0.5 T       100 T   0.5     denied; RetryAfter is 0.3 s
//	 0.6 s  1 T         101 T   0       allowed
//	60 s    100 T       200 T   0       99 more: 200 within the first minute
//	60.6 s  101 T       201 T   0       from here 100 a minute
//
// Spending never falls behind the supply, so a bucket left alone is full and no
// fuller. A decision is one compare-and-swap of one word, and since no time is
// stored, a reading of the clock that is old can only find fewer tokens. This
// is the generic cell rate algorithm of ATM networks, which is the token bucket
// and the leaky bucket (as a meter) in one.
//
// # Guarantees
//
// In any window of length w, the events admitted are at most
//
//	burst + rate·(w + 2 ns)
//
// by the limiter's clock, for any interleaving of callers and any clock, which
// is taken to stand still while it goes back. If readings lie behind true time
// by at most e, the same holds in true time with w + e. Tokens given by Return
// and Fill within the window come on top. See TestPropEnvelope and
// TestEnvelopeConcurrent. Where rate and burst are so extreme that filling the
// bucket takes more than 73 years, 2 ns reads fill time / 2^60; see
// TestPropSupply.
//
// An event is denied only if a bucket in real numbers, fed the same admissions,
// lacks the tokens or has them for less than 2 ns. Nothing drifts: any rate
// that is a quotient, from one a century to 10^12 a second, is exact for ever.
// See TestPropComplete and TestModelLimiter.
//
// Waits are served in the order of arrival, and one that is canceled leaves no
// trace (TestWaitFIFO, TestPropWaitCancel). A canceled reservation gives back
// exactly what it took (TestPropCancelRestores). SetLimit neither loses nor
// repeats an admission (TestSetLimitConcurrent).
//
// A Striped keeps the law of a Limiter; see TestPropStriped and
// TestStripedEnvelope.
//
// A Keyed never holds more than MaxKeys keys, and admits for each key what a
// Limiter of its own would, plus at most what [KeyedStats] says was forgiven to
// all. A key over its limit is not forgotten while others in its way owe less.
// Several tiers are taken all or none. See TestKeyedBound, TestModelKeyed,
// TestKeyedFlood and TestTrapTiersAllOrNothing.
//
// A Window of the sliding kinds admits at most n events in any length of time;
// the log admits all that this allows. A fixed window admits up to 2n around an
// edge. See TestPropWindow and TestWindowAdversary. A Quota admits at most n
// between one midnight and the next, wherever clocks change and however the
// clock is set; see TestPeriodFirstInstant and TestQuota. A KeyedWindow decides
// for each key as they do, within the bound of a Keyed; see TestPropKeyedWindow
// and TestKeyedWindowFlood.
//
// A Shared admits at most burst + rate·(w + e + 2 ns), where its clocks differ
// by at most e, up to a minute, and whatever its store loses
// (TestPropSharedLaw); contention is no error (TestTrapContentionError).
//
// A Concurrency gives no permit while limit are in flight, serves its line by
// priority and arrival, and loses no permit to a context that ends
// (TestModelConcurrency, TestTrapInFlightRace, TestTrapGrantRacesCancel). In
// simulations of queues whose servers fail, return and slow down, adaptive
// limits settle within 20 % of the number of servers (TestAdaptiveSettles), and
// they do not grow while all is timing out (TestTrapTimeoutGrowth).
//
// # Complexity
//
//	operation              time             allocations   memory
//	Allow, Take, Charge    O(1)             0             1 word of state; 256 bytes a Limiter
//	Wait                   O(1)             0 if granted at once, else amortized 0 in a queue
//	Reserve, Cancel        O(h)             0 while h = 0, the canceled reservations
//	SetLimit               O(h)             1
//	Keyed.Allow            O(1)             0             size of a key + 1 byte + 8 bytes a tier, a slot
//	Keyed, new key         O(1) amortized                 slots are at most MaxKeys, 16 candidates a key
//	Striped.Allow          O(1)             0             128 bytes a stripe
//	Window.Allow           O(1) amortized                 log: 8 bytes an event; sliding: 8 a slice; fixed: 8
//	KeyedWindow.Allow      O(1) amortized   0             the same a slot, a log for all of n; quota: 16
//	TryAcquire, Release    O(1)             0             1 word of state; 16 bytes a Permit
//	Acquire                O(p) in line     amortized 0   p is the number of priorities that wait
//	Shared.Take            2 round trips                  41 bytes a key of one limit, in the store
//
// # Concurrency
//
// All types are safe for concurrent use by multiple goroutines. Allow and its
// kin are lock-free, as is a Concurrency with a fixed limit while nobody waits.
// No type starts a goroutine or needs a Close.
//
// # Errors
//
// A refusal is a bool or a [Decision], never an error. Wait returns ctx.Err()
// if its context ends, and at once a [*WaitError] that wraps
// [context.DeadlineExceeded] if the deadline would pass first, [ErrLimited] if
// WaitMax would wait too long, or [ErrBurst] if n can never be had; in each
// case nothing was taken. Acquire returns ctx.Err(), or wraps ErrLimited if the
// line is full. A Shared returns what its store does, unless
// [SharedOptions].OnError decides instead. Constructors and negative numbers of
// events panic, since they are the programmer's; [ParseLimit] returns an error,
// since text is not.
//
// # Format
//
// What a Shared keeps in its store for a key is a version and, for each limit,
// five big-endian integers of 64 bits. A later version of this package reads
// version 1.
//
//	offset  bytes  content
//	0       1      version, 1
//	1+40i   8      State.Base, in nanoseconds since 1970
//	9+40i   8      State.Spent
//	17+40i  8      count of the rate; 2^63-1 for Inf
//	25+40i  8      period of the rate in nanoseconds; 0 for Inf and for the zero Rate
//	33+40i  8      burst; 0 for Inf
//
// # References
//
//   - J. S. Turner, "New directions in communications (or which way to the information age?)",
//     IEEE Communications Magazine 24(10), 1986: the leaky bucket.
//   - ITU-T Recommendation I.371, "Traffic control and congestion control in B-ISDN", 1993:
//     the generic cell rate algorithm, and why virtual scheduling is a leaky bucket.
//   - R. L. Cruz, "A calculus for network delay, part I", IEEE Transactions on Information
//     Theory 37(1), 1991: what burst + rate·w bounds downstream.
//   - J. D. C. Little, "A proof for the queuing formula L = λW", Operations Research 9(3), 1961:
//     how many operations a resource has in flight at its best.
//   - D.-M. Chiu, R. Jain, "Analysis of the increase and decrease algorithms for congestion
//     avoidance in computer networks", Computer Networks and ISDN Systems 17(1), 1989: AIMD.
//   - Netflix, concurrency-limits, https://github.com/Netflix/concurrency-limits: Gradient2.
//   - IETF draft-ietf-httpapi-ratelimit-headers-10, "RateLimit header fields for HTTP", 2025.
package ratelimit
