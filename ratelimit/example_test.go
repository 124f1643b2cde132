// SPDX-License-Identifier: MIT

package ratelimit_test

import (
	"bytes"
	"context"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// A clock that the examples move by hand, so that their output is always the
// same.
type handClock struct{ t time.Time }

func (c *handClock) now() time.Time           { return c.t }
func (c *handClock) sleep(d time.Duration)    { c.t = c.t.Add(d) }
func newClock() *handClock                    { return &handClock{time.Unix(0, 0)} }
func (c *handClock) opts() *ratelimit.Options { return &ratelimit.Options{Now: c.now} }

func Example() {
	lim := ratelimit.New(ratelimit.PerSecond(10), 2, nil) // 2 at once
	for range 3 {
		fmt.Println(lim.Allow())
	}
	// Output:
	// true
	// true
	// false
}

func ExampleLimiter() {
	// region quickstart
	lim := ratelimit.New(ratelimit.PerSecond(100), 20, nil) // 100 a second, 20 at once
	hello := func(w http.ResponseWriter, _ *http.Request) {
		d := lim.Take(1)
		for field, value := range d.Headers("default") {
			w.Header().Set(field, value)
		}
		if !d.OK {
			http.Error(w, "slow down", http.StatusTooManyRequests)
			return
		}
		fmt.Fprintf(w, "hello; %d more at once\n", d.Remaining)
	}
	// endregion quickstart
	w := httptest.NewRecorder()
	hello(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Print(w.Body)
	// Output:
	// hello; 19 more at once
}

func ExampleNew() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerSecond(10), 2, clock.opts())
	fmt.Println(lim.Allow(), lim.Allow(), lim.Allow())
	clock.sleep(100 * time.Millisecond)
	fmt.Println(lim.Allow(), lim.Allow())
	// Output:
	// true true false
	// true false
}

// "100 a minute" as a token bucket admits up to 200 in one minute, and how to
// admit at most 100.
func ExampleLimiter_trap() {
	count := func(rate ratelimit.Rate, burst int) (admitted int) {
		clock := newClock()
		lim := ratelimit.New(rate, burst, clock.opts())
		for range 6000 { // a client asks every 10 ms for a minute
			if lim.Allow() {
				admitted++
			}
			clock.sleep(10 * time.Millisecond)
		}
		return admitted
	}
	fmt.Println("100 a minute, burst 100:", count(ratelimit.PerMinute(100), 100))
	fmt.Println("80 a minute, burst 20: ", count(ratelimit.PerMinute(80), 20))
	// Output:
	// 100 a minute, burst 100: 199
	// 80 a minute, burst 20:  99
}

func ExampleLimiter_Take() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerMinute(6), 3, clock.opts())
	lim.AllowN(2)
	fmt.Printf("%+v\n", lim.Take(2))
	// Output:
	// {OK:false Limit:3 Remaining:1 RetryAfter:10s ResetAfter:20s Window:30s Tier:0 Gate:0}
}

// A log of the past is replayed at its own times.
func ExampleLimiter_AllowAt() {
	lim := ratelimit.New(ratelimit.PerSecond(1), 1, nil)
	start := time.Date(2015, 6, 30, 23, 59, 59, 0, time.UTC)
	for _, after := range []time.Duration{0, 500 * time.Millisecond, time.Second} {
		fmt.Println(lim.AllowAt(start.Add(after), 1))
	}
	// Output:
	// true
	// false
	// true
}

// A request of several events is admitted whole or not at all.
func ExampleLimiter_AllowN() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerSecond(1), 5, clock.opts())
	fmt.Println(lim.AllowN(3), lim.AllowN(3), lim.AllowN(2))
	// Output:
	// true false true
}

// Bytes are written as far as the limit goes.
func ExampleLimiter_TakeUpTo() {
	clock := newClock()
	bandwidth := ratelimit.New(ratelimit.PerSecond(64_000), 16_000, clock.opts())
	fmt.Println(bandwidth.TakeUpTo(10_000), bandwidth.TakeUpTo(10_000), bandwidth.TakeUpTo(10_000))
	// Output:
	// 10000 6000 0
}

// Work that was admitted and did not happen gives its tokens back.
func ExampleLimiter_Return() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerHour(1), 10, clock.opts())
	lim.AllowN(8)
	lim.Return(3) // 3 of 8 rows were there already
	fmt.Println(lim.Peek(0).Remaining)
	// Output:
	// 5
}

// The other side has forgiven the requests sent so far.
func ExampleLimiter_Fill() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerHour(1), 10, clock.opts())
	lim.AllowN(10)
	lim.Fill()
	fmt.Println(lim.Peek(0).Remaining)
	// Output:
	// 10
}

// The other side says 429: the tokens that we counted are not there.
func ExampleLimiter_Drain() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerSecond(1), 10, clock.opts())
	lim.Drain()
	fmt.Println(lim.Take(1).RetryAfter)
	// Output:
	// 1s
}

// A pacer, or leaky bucket as a queue: with a burst of 1, waiters leave one by
// one.
func ExampleLimiter_Wait() {
	pace := ratelimit.New(ratelimit.Every(10*time.Millisecond), 1, nil)
	start := time.Now()
	for range 3 {
		if err := pace.Wait(context.Background(), 1); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(time.Since(start) >= 20*time.Millisecond)

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := ratelimit.New(ratelimit.PerHour(1), 1, nil).Wait(ctx, 2)
	fmt.Println(errors.Is(err, ratelimit.ErrBurst))
	// Output:
	// true
	// true
}

func ExampleLimiter_WaitMax() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerMinute(1), 1, clock.opts())
	lim.Allow()
	err := lim.WaitMax(context.Background(), 1, time.Second)
	fmt.Println(err, errors.Is(err, ratelimit.ErrLimited))
	// Output:
	// ratelimit: wait would be too long: 1m0s for 1 true
}

func ExampleLimiter_Reserve() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerSecond(1), 1, clock.opts())
	first, second := lim.Reserve(1), lim.Reserve(1)
	fmt.Println(first.Delay(), second.Delay())
	second.Cancel()
	third := lim.Reserve(1)
	fmt.Println(third.Delay())
	// Output:
	// 0s 1s
	// 1s
}

// A reserve for work of high priority.
func ExampleLimiter_TakeReserving() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerSecond(1), 3, clock.opts())
	fmt.Println("batch:", lim.TakeReserving(1, 2), lim.TakeReserving(1, 2))
	fmt.Println("checkout:", lim.Allow(), lim.Allow())
	// Output:
	// batch: true false
	// checkout: true true
}

// The cost of work is known only afterwards: admit while tokens are left, then
// charge.
func ExampleLimiter_Charge() {
	clock := newClock()
	tokens := ratelimit.New(ratelimit.PerMinute(600), 100, clock.opts())
	if tokens.Allow() {
		tokens.Charge(249) // the answer was longer than thought
	}
	fmt.Println(tokens.Peek(1).RetryAfter)
	// Output:
	// 15.1s
}

// A database with a cold cache gets a third of the load at first, and all of it
// after a minute of use.
func ExampleOptions_warmUp() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerSecond(10), 1, &ratelimit.Options{Now: clock.now, WarmUp: time.Minute})
	for minute := range 3 {
		admitted := 0
		for end := clock.t.Add(time.Minute); clock.t.Before(end); admitted++ {
			for d := lim.Take(1); !d.OK; d = lim.Take(1) {
				clock.sleep(d.RetryAfter)
			}
		}
		fmt.Println("minute", minute+1, admitted)
	}
	// Output:
	// minute 1 401
	// minute 2 600
	// minute 3 600
}

func ExampleLimiter_SetLimit() {
	clock := newClock()
	lim := ratelimit.New(ratelimit.PerHour(10), 10, clock.opts())
	lim.AllowN(10)
	lim.SetLimit(ratelimit.PerHour(20), 20) // the customer paid
	fmt.Println(lim.Peek(0).Remaining)
	// Output:
	// 10
}

func ExampleParseLimit() {
	for _, s := range []string{"100/s", "1000/h burst 50", "10/fortnight"} {
		l, err := ratelimit.ParseLimit(s)
		fmt.Println(l, err)
	}
	// Output:
	// 100/s <nil>
	// 1000/h burst 50 <nil>
	// 0/s ratelimit: parse limit "10/fortnight": period must be ns, us, ms, s, m, h, d, a word such as minute, or a positive duration
}

// "Max 10 likes/s per user": a bucket for each user, in bounded memory.
func ExampleKeyed() {
	clock := newClock()
	likes := ratelimit.NewKeyed[int64]([]ratelimit.Limit{{Rate: ratelimit.PerSecond(10)}},
		&ratelimit.KeyedOptions{MaxKeys: 100_000, Now: clock.now})
	const user = 42
	admitted := 0
	for range 15 {
		if likes.Allow(user) {
			admitted++
		}
	}
	fmt.Println(admitted, likes.Allow(user+1), likes.Len())
	// Output:
	// 10 true 2
}

// Customers of different plans in one table.
func ExampleKeyed_TakeLimits() {
	clock := newClock()
	api := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.PerMinute(10)}},
		&ratelimit.KeyedOptions{Now: clock.now})
	gold := ratelimit.Limit{Rate: ratelimit.PerMinute(1000)}
	fmt.Println(api.TakeLimits("acme", 1, gold).Remaining, api.Take("someone", 1).Remaining)
	// Output:
	// 999 9
}

// New limits for all keys, from a configuration that was changed: spent tokens
// stay spent.
func ExampleKeyed_SetLimits() {
	clock := newClock()
	api := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.PerMinute(10)}},
		&ratelimit.KeyedOptions{Now: clock.now})
	api.AllowN("acme", 4)
	api.SetLimits(ratelimit.Limit{Rate: ratelimit.PerMinute(6)})
	fmt.Println(api.Peek("acme", 0).Remaining)
	// Output:
	// 2
}

// One user and the whole service at once: all or nothing.
func ExampleAll() {
	clock := newClock()
	users := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.PerSecond(5)}},
		&ratelimit.KeyedOptions{Now: clock.now})
	service := ratelimit.New(ratelimit.PerSecond(1000), 3, clock.opts())
	for range 4 {
		d := ratelimit.All(users.Gate("alice"), service).Take(1)
		fmt.Println(d.OK, "gate", d.Gate)
	}
	fmt.Println(users.Peek("alice", 0).Remaining, "left for alice: the refusal cost nothing")
	// Output:
	// true gate 1
	// true gate 1
	// true gate 1
	// false gate 1
	// 2 left for alice: the refusal cost nothing
}

// An HTTP middleware: one limit for each client network, with the headers of a
// good citizen.
func ExampleDecision_Headers() {
	clock := newClock()
	perClient := ratelimit.NewKeyed[netip.Addr]([]ratelimit.Limit{{Rate: ratelimit.PerMinute(60), Burst: 1}},
		&ratelimit.KeyedOptions{Now: clock.now})
	limited := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Behind a proxy you trust, take the address from X-Forwarded-For
			// instead.
			client, _ := netip.ParseAddrPort(r.RemoteAddr)
			d := perClient.Take(ratelimit.MaskAddr(client.Addr(), 32, 64), 1)
			for field, value := range d.Headers("default") {
				w.Header().Set(field, value)
			}
			if !d.OK {
				http.Error(w, "slow down", http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}

	h := limited(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))

	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Printf("%d %s retry=%q\n", w.Code, w.Header().Get("RateLimit"), w.Header().Get("Retry-After"))
	}

	// Output:
	// 200 "default";r=0;t=1 retry=""
	// 429 "default";r=0;t=1 retry="1"
}

// A limit shared by several processes: the store runs the step, here a map
// under its lock. Over Redis or SQL it would be a compare-and-swap of the two
// integers of the State.
func ExampleLimit_Step() {
	store := map[string]ratelimit.State{}
	limit := ratelimit.Limit{Rate: ratelimit.PerSecond(1), Burst: 2}
	now := time.Unix(0, 0).UnixNano() // of the store's clock
	take := func(key string) ratelimit.Decision {
		next, d := limit.Step(store[key], now, 1)
		store[key] = next
		return d
	}
	fmt.Println(take("alice").OK, take("alice").OK, take("alice").RetryAfter)
	// Output:
	// true true 1s
}

func ExampleMaskAddr() {
	fmt.Println(ratelimit.MaskAddr(netip.MustParseAddr("2001:db8:1:2:3:4:5:6"), 32, 64))
	fmt.Println(ratelimit.MaskAddr(netip.MustParseAddr("::ffff:192.0.2.7"), 32, 64))
	// Output:
	// 2001:db8:1:2::
	// 192.0.2.7
}

// "100 a minute" as people count: never more than 100 in any minute.
func ExampleNewSlidingLog() {
	clock := newClock()
	log := ratelimit.NewSlidingLog(100, time.Minute, clock.opts())
	admitted := 0
	for range 6000 { // a client asks every 10 ms for a minute
		if log.Allow() {
			admitted++
		}
		clock.sleep(10 * time.Millisecond)
	}
	fmt.Println(admitted, log.Peek(1).OK)
	// Output:
	// 100 true
}

// The same in fixed memory: six counters of ten seconds and one that is partly
// outside.
func ExampleNewSlidingWindow() {
	clock := newClock()
	w := ratelimit.NewSlidingWindow(100, time.Minute, 6, clock.opts())
	fmt.Println(w.AllowN(100), w.Take(1).RetryAfter)
	// Output:
	// true 1m10s
}

// Two counters with weights, as of Cloudflare and httprate: after 100 events at
// the end of a minute, the next minute admits one whenever the weight of these
// has fallen by one. Between 0:59 and 1:59 there are 198 of 100 a minute. A
// sliding window of one slice has two counters as well, and admits 100.
func ExampleNewSlidingWindow_weighted() {
	for _, slices := range []int{ratelimit.Weighted, 1} {
		clock := newClock()
		w := ratelimit.NewSlidingWindow(100, time.Minute, slices, clock.opts())
		clock.sleep(59 * time.Second)
		admitted := 0
		for range 600 { // ten a second, for a minute
			for w.Allow() {
				admitted++
			}
			clock.sleep(100 * time.Millisecond)
		}
		fmt.Println(admitted, "in a minute, the next in", w.Take(1).RetryAfter)
	}
	// Output:
	// 198 in a minute, the next in 400ms
	// 100 in a minute, the next in 1s
}

// Events that weigh more than others: of 100 points a minute, a search takes 10
// and a page takes 1.
func ExampleWindow_AllowN() {
	clock := newClock()
	points := ratelimit.NewSlidingWindow(100, time.Minute, 6, clock.opts())
	const page, search = 1, 10
	fmt.Println("searches", points.AllowN(9*search), "a page", points.AllowN(page))
	d := points.Take(search)
	fmt.Println("one more", d.OK, "after", d.RetryAfter, "with", d.Remaining, "left")
	// Output:
	// searches true a page true
	// one more false after 1m10s with 9 left
}

// Counting anew each minute admits twice as many around the edge.
func ExampleNewFixedWindow() {
	clock := newClock()
	w := ratelimit.NewFixedWindow(100, time.Minute, clock.opts())
	clock.sleep(59 * time.Second)
	fmt.Println("at 0:59", w.AllowN(100))
	clock.sleep(time.Second)
	fmt.Println("at 1:00", w.AllowN(100))
	// Output:
	// at 0:59 true
	// at 1:00 true
}

// "1000 a day" by the customer's calendar: the quota is new at midnight in
// Berlin.
func ExampleNewQuota() {
	berlin := time.FixedZone("CET", 3600) // or time.LoadLocation("Europe/Berlin")
	now := time.Date(2026, 11, 25, 22, 30, 0, 0, time.UTC)
	quota := ratelimit.NewQuota(1000, ratelimit.Daily(berlin), &ratelimit.Options{Now: func() time.Time { return now }})
	fmt.Println(quota.AllowN(1000), quota.Take(1).RetryAfter)
	now = now.Add(30 * time.Minute)
	fmt.Println(quota.Allow())
	// Output:
	// true 30m0s
	// true
}

// A limit so high that a shared counter would be the bottleneck.
func ExampleNewStriped() {
	lim := ratelimit.NewStriped(ratelimit.PerSecond(50_000_000), 1_000_000, nil)
	fmt.Println(lim.Allow())
	// Output:
	// true
}

// "100 requests a minute per IP" as people write it: a list of times for each
// address, in bounded memory.
func ExampleNewKeyedSlidingLog() {
	clock := newClock()
	perIP := ratelimit.NewKeyedSlidingLog[netip.Addr](100, time.Minute,
		&ratelimit.KeyedOptions{MaxKeys: 10_000, Now: clock.now})
	client := ratelimit.MaskAddr(netip.MustParseAddr("192.0.2.7"), 32, 64)
	admitted := 0
	for range 6000 { // it asks every 10 ms for a minute
		if perIP.Allow(client) {
			admitted++
		}
		clock.sleep(10 * time.Millisecond)
	}
	fmt.Println(admitted)
	// Output:
	// 100
}

// The same in less memory: 72 bytes an address instead of 1040.
func ExampleNewKeyedSlidingWindow() {
	clock := newClock()
	perIP := ratelimit.NewKeyedSlidingWindow[string](100, time.Minute, 6, &ratelimit.KeyedOptions{Now: clock.now})
	fmt.Println(perIP.AllowN("192.0.2.7", 100), perIP.Allow("192.0.2.7"), perIP.Allow("192.0.2.8"))
	// Output:
	// true false true
}

// "1000 a month for each customer", and no more than 2 a second of them.
func ExampleNewKeyedQuota() {
	clock := newClock()
	opts := &ratelimit.KeyedOptions{Now: clock.now}
	month := ratelimit.NewKeyedQuota[string](1000, ratelimit.Monthly(time.UTC), opts)
	second := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.PerSecond(2)}}, opts)
	for range 3 {
		d := ratelimit.All(second.Gate("acme"), month.Gate("acme")).Take(1)
		fmt.Println(d.OK, d.RetryAfter)
	}
	fmt.Println(month.Peek("acme", 0).Remaining)
	// Output:
	// true 0s
	// true 0s
	// false 500ms
	// 998
}

// At most two downloads at once.
func ExampleNewConcurrency() {
	downloads := ratelimit.NewConcurrency(2, nil)
	first, ok1 := downloads.TryAcquire()
	second, ok2 := downloads.TryAcquire()
	_, ok3 := downloads.TryAcquire()
	fmt.Println(ok1, ok2, ok3)
	first.Release()
	first.Release() // again: nothing happens
	fmt.Println(downloads.InFlight())
	second.Release()
	// Output:
	// true true false
	// 1
}

func ExampleConcurrency_Acquire() {
	db := ratelimit.NewConcurrency(10, &ratelimit.ConcurrencyOptions{MaxQueue: 100})
	query := func(ctx context.Context) error {
		p, err := db.Acquire(ctx) // waits in line, if fewer than 100 do
		if err != nil {
			return err
		}
		defer p.Release()
		return nil // the query itself
	}
	fmt.Println(query(context.Background()))
	// Output:
	// <nil>
}

// Requests of people go before those of crawlers.
func ExampleConcurrency_AcquirePriority() {
	c := ratelimit.NewConcurrency(1, &ratelimit.ConcurrencyOptions{MaxQueue: 1})
	busy, _ := c.TryAcquire()
	crawler := make(chan error)
	go func() { // ends when it is refused
		_, err := c.AcquirePriority(context.Background(), 0)
		crawler <- err
	}()

	for c.Queued() == 0 {
		runtime.Gosched()
	}

	person := make(chan error)
	go func() { // ends when it is served
		p, err := c.AcquirePriority(context.Background(), 1)
		p.Release()
		person <- err
	}()
	err := <-crawler // it gave its place in line to the person
	fmt.Println(errors.Is(err, ratelimit.ErrLimited), err)
	busy.Release()
	fmt.Println(<-person)

	// Output:
	// true ratelimit: wait would be too long: the queue is full
	// <nil>
}

func ExampleConcurrency_SetLimit() {
	c := ratelimit.NewConcurrency(1, &ratelimit.ConcurrencyOptions{
		OnLimit: func(old, limit int) { fmt.Println("limit", old, "is now", limit) },
	})
	c.TryAcquire()
	c.SetLimit(2)
	_, ok := c.TryAcquire()
	fmt.Println(ok)
	// Output:
	// limit 1 is now 2
	// true
}

// A limit that finds itself: 40 operations run at once without a queue, and we
// do not know.
func ExampleGradient2() {
	clock := newClock()
	c := ratelimit.NewConcurrency(10, &ratelimit.ConcurrencyOptions{Adapt: &ratelimit.Gradient2{}, Now: clock.now})
	for range 10_000 { // as many as may run at once, again and again
		var running []ratelimit.Permit
		for p, ok := c.TryAcquire(); ok; p, ok = c.TryAcquire() {
			running = append(running, p)
		}
		took := 10 * time.Millisecond
		if n := len(running); n > 40 {
			took = took * time.Duration(n) / 40
		}
		clock.sleep(took)
		for _, p := range running {
			p.Release()
		}
	}
	fmt.Println(c.Limit() >= 32, c.Limit() <= 48)
	// Output:
	// true true
}

// With timeouts: an operation that takes too long says that too many run.
func ExampleAIMD() {
	c := ratelimit.NewConcurrency(100, &ratelimit.ConcurrencyOptions{Adapt: &ratelimit.AIMD{}, Window: time.Nanosecond})
	for range 20 {
		p, _ := c.TryAcquire()
		p.Drop() // context.DeadlineExceeded, or an answer of 503
	}
	fmt.Println(c.Limit())
	// Output:
	// 90
}

// A limit that two processes share. Over Redis or SQL the store is two
// statements: see Store.
func ExampleNewShared() {
	clock := newClock()
	store := ratelimit.NewMemStore(clock.opts())
	opts := &ratelimit.SharedOptions{
		Now: func(context.Context) (time.Time, error) { return clock.now(), nil }, // SELECT now()
	}
	limits := []ratelimit.Limit{{Rate: ratelimit.PerSecond(1), Burst: 3}}
	here, there := ratelimit.NewShared(store, limits, opts), ratelimit.NewShared(store, limits, opts)
	ctx := context.Background()
	for range 2 {
		for _, process := range []*ratelimit.Shared{here, there} {
			d, err := process.Take(ctx, "alice", 1)
			fmt.Println(d.OK, d.RetryAfter, err)
		}
	}
	// Output:
	// true 0s <nil>
	// true 0s <nil>
	// true 0s <nil>
	// false 1s <nil>
}

// "1000 a day" on all servers together: a deployment in the middle of the day
// gives nobody a second one.
func ExampleWindow_Share() {
	clock := newClock()
	store := ratelimit.NewMemStore(clock.opts()) // or Redis, SQL, etcd
	opts := &ratelimit.SharedOptions{
		Now: func(context.Context) (time.Time, error) { return clock.now(), nil }, // SELECT now()
	}
	ctx := context.Background()
	for hour := range 3 { // a new process each hour
		quota := ratelimit.NewQuota(1000, ratelimit.Daily(time.UTC), nil).Share(store, opts)
		d, err := quota.Take(ctx, "acme", 400)
		fmt.Println(hour, d.OK, d.Remaining, d.RetryAfter, err)
		clock.sleep(time.Hour)
	}
	// Output:
	// 0 true 600 0s <nil>
	// 1 true 200 0s <nil>
	// 2 false 200 22h0m0s <nil>
}

// When the store is down, each process goes on with its part of the limit.
func ExampleSharedOptions() {
	local := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.PerSecond(25)}}, nil) // one of 4 processes
	shared := ratelimit.NewShared(brokenStore{}, []ratelimit.Limit{{Rate: ratelimit.PerSecond(100)}}, &ratelimit.SharedOptions{
		Timeout: 50 * time.Millisecond,
		OnError: func(key string, n int, err error) ratelimit.Decision {
			fmt.Println(err)
			return local.Take(key, n)
		},
	})
	d, err := shared.Take(context.Background(), "alice", 1)
	fmt.Println(d.OK, d.Remaining, err)
	// Output:
	// ratelimit: load "alice": connection refused
	// true 24 <nil>
}

// A brokenStore is a store that cannot be reached.
type brokenStore struct{}

func (brokenStore) Load(context.Context, string) ([]byte, error) {
	return nil, errors.New("connection refused")
}

func (brokenStore) CompareAndSwap(context.Context, string, []byte, []byte, time.Duration) (bool, error) {
	return false, errors.New("connection refused")
}

// A request that this process alone would refuse costs no round trip to the
// store.
func ExampleShared_Gate() {
	clock := newClock()
	local := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.PerSecond(10)}},
		&ratelimit.KeyedOptions{Now: clock.now})
	shared := ratelimit.NewShared(ratelimit.NewMemStore(clock.opts()), []ratelimit.Limit{{Rate: ratelimit.PerDay(1000)}}, nil)
	d := ratelimit.All(local.Gate("alice"), shared.Gate(context.Background(), "alice")).Take(1)
	fmt.Println(d.OK, d.Limit)
	// Output:
	// true 10
}

// The counters of a limit in expvar, and so at /debug/vars.
func ExampleKeyedStats_expvar() {
	likes := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.PerSecond(10)}}, nil)
	expvar.Publish("likes", expvar.Func(func() any { return likes.Stats() }))
	likes.Allow("alice")
	fmt.Println(expvar.Get("likes"))
	// Output:
	// {"Keys":1,"Allowed":1,"Denied":0,"Evicted":0,"Forgiven":0}
}

// A refusal as a line of a log.
func ExampleDecision_slog() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // so that the output is always the same
			}
			return a
		},
	}))
	lim := ratelimit.New(ratelimit.Rate{}, 1, nil)
	lim.Allow()
	if d := lim.Take(1); !d.OK {
		log.Warn("limit reached", "client", "alice", "limit", d.Limit, "retry", d.RetryAfter)
	}
	// Output:
	// level=WARN msg="limit reached" client=alice limit=1 retry=-1ns
}

// The counters of a limit as Prometheus reads them.
func ExampleConcurrencyStats_prometheus() {
	db := ratelimit.NewConcurrency(10, nil)
	db.TryAcquire()
	metrics := func(w io.Writer) {
		s := db.Stats()
		fmt.Fprintf(w, "db_permits_in_flight %d\n", s.InFlight)
		fmt.Fprintf(w, "db_permits_limit %d\n", s.Limit)
		fmt.Fprintf(w, "db_refused_total %d\n", s.Refused)
	}
	metrics(os.Stdout)
	// Output:
	// db_permits_in_flight 1
	// db_permits_limit 10
	// db_refused_total 0
}

// A deployment that does not reset the day of customers.
func ExampleKeyedWindow_WriteTo() {
	clock := newClock()
	opts := &ratelimit.KeyedOptions{Now: clock.now}
	before := ratelimit.NewKeyedQuota[string](1000, ratelimit.Daily(nil), opts)
	before.AllowN("acme", 400)

	var file bytes.Buffer
	if _, err := before.WriteTo(&file); err != nil {
		fmt.Println(err)
	}
	after := ratelimit.NewKeyedQuota[string](1000, ratelimit.Daily(nil), opts)
	if _, err := after.ReadFrom(&file); err != nil {
		fmt.Println(err)
	}
	fmt.Println(after.Peek("acme", 0).Remaining)
	// Output:
	// 600
}

// Free and paid customers in one table of quotas.
func ExampleKeyedWindow_TakeLimit() {
	clock := newClock()
	day := ratelimit.NewKeyedQuota[string](1000, ratelimit.Daily(nil), &ratelimit.KeyedOptions{Now: clock.now})
	fmt.Println(day.Take("free", 600).OK, day.Take("free", 600).OK)
	fmt.Println(day.TakeLimit("paid", 6000, 10_000).Remaining)
	// Output:
	// true false
	// 4000
}

// Requests of one customer that wait their turn, at most three of them.
func ExampleKeyed_Wait() {
	calls := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.Every(10 * time.Millisecond)}},
		&ratelimit.KeyedOptions{MaxQueue: 3})
	start := time.Now()
	for range 3 {
		if err := calls.Wait(context.Background(), "acme", 1); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(time.Since(start) >= 20*time.Millisecond)
	// Output:
	// true
}

// Several limits of a client in one set of header fields.
func ExampleKeyed_Tiers() {
	clock := newClock()
	api := ratelimit.NewKeyed[string]([]ratelimit.Limit{{Rate: ratelimit.PerSecond(10)}, {Rate: ratelimit.PerDay(1000)}},
		&ratelimit.KeyedOptions{Now: clock.now})
	api.AllowN("acme", 4)
	tiers := api.Tiers("acme")
	for field, value := range tiers[0].Headers("second", tiers[1].Headers("day")) {
		fmt.Println(field+":", value)
	}
	// Output:
	// RateLimit-Policy: "second";q=10;w=1, "day";q=1000;w=86400
	// RateLimit: "second";r=6;t=1, "day";r=996;t=346
}
