// SPDX-License-Identifier: MIT

package breaker_test

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
)

// A clock that the examples move by hand, so that their output is always the
// same.
type handClock struct{ t time.Time }

func (c *handClock) now() time.Time        { return c.t }
func (c *handClock) sleep(d time.Duration) { c.t = c.t.Add(d) }
func newClock() *handClock                 { return &handClock{time.Unix(0, 0).UTC()} }

var errDown = errors.New("connection refused")

func down(context.Context) error { return errDown }
func up(context.Context) error   { return nil }

// The program of the package comment.
func Example() {
	inventory := breaker.New(&breaker.Options{Name: "inventory", Failures: 2})
	get := func(context.Context) (string, error) { return "", errors.New("connection refused") }
	for range 3 {
		_, err := breaker.Do(context.Background(), inventory, get)
		fmt.Println(err)
	}
	// Output:
	// connection refused
	// connection refused
	// breaker: open (inventory), since connection refused
}

// The usual picture: half of at least ten calls fail, wait 5 s, try one.
func ExampleBreaker() {
	clock, ctx := newClock(), context.Background()
	// region quickstart
	inventory := breaker.New(&breaker.Options{
		FailureRatio: 0.5, // trip when half of the calls of the last 10 s failed,
		MinCalls:     10,  // of ten or more
		Now:          clock.now,
		Jitter:       -1,
	})
	price := func(ctx context.Context) (string, error) { return "", errDown }
	fallback := func(_ context.Context, err error) (string, error) {
		if errors.Is(err, breaker.ErrOpen) {
			return "service unavailable, try later", nil
		}
		return "", err
	}

	for range 10 {
		_, _ = breaker.DoElse(ctx, inventory, price, fallback)
	}
	answer, err := breaker.DoElse(ctx, inventory, price, fallback)
	fmt.Println(inventory.State(), answer, err)
	// endregion quickstart
	clock.sleep(5 * time.Second)
	fmt.Println(inventory.State())
	fmt.Println(inventory.Do(ctx, up), inventory.State())
	// Output:
	// open service unavailable, try later <nil>
	// half-open
	// <nil> closed
}

func ExampleDo() {
	b := breaker.New(&breaker.Options{Name: "inventory", Timeout: time.Second})
	n, err := breaker.Do(context.Background(), b, func(ctx context.Context) (int, error) {
		return 42, ctx.Err() // pass ctx on: Timeout cancels it
	})
	fmt.Println(n, err)
	// Output:
	// 42 <nil>
}

func ExampleDoElse() {
	b := breaker.New(nil)
	b.ForceOpen()
	stale := func(context.Context, error) (string, error) { return "from the cache", nil }
	fmt.Println(breaker.DoElse(context.Background(), b, func(context.Context) (string, error) { return "fresh", nil }, stale))
	// Output:
	// from the cache <nil>
}

// The zero Breaker trips by five failures in a row.
func ExampleBreaker_Do() {
	var b breaker.Breaker
	for range 6 {
		fmt.Println(b.Do(context.Background(), down))
	}
	// Output:
	// connection refused
	// connection refused
	// connection refused
	// connection refused
	// connection refused
	// breaker: open, since connection refused
}

func ExampleNew() {
	clock := newClock()
	b := breaker.New(&breaker.Options{Failures: 2, OpenFor: time.Second, Jitter: -1, Now: clock.now})
	for range 4 { // it stays down: each time in a row it is left alone for longer
		for b.Err() == nil {
			_ = b.Do(context.Background(), down)
		}
		d := b.Until().Sub(clock.now())
		fmt.Println(d)
		clock.sleep(d)
	}
	// Output:
	// 1s
	// 2s
	// 4s
	// 8s
}

// Admission and outcome in two places, as in an interceptor.
func ExampleBreaker_Allow() {
	b := breaker.New(&breaker.Options{Failures: 1})
	call, late := mustAllow(b), mustAllow(b)
	fmt.Println(call.Failure(errDown), b.State())
	fmt.Println(late.Success(), b.State(), "too late to count")
	_, err := b.Allow()
	fmt.Println(err)
	// Output:
	// true open
	// false open too late to count
	// breaker: open, since connection refused
}

func mustAllow(b *breaker.Breaker) breaker.Permit {
	p, err := b.Allow()
	if err != nil {
		panic(err)
	}
	return p
}

func ExamplePermit_Done() {
	b := breaker.New(nil)
	ctx, cancel := context.WithCancel(context.Background())
	p := mustAllow(b)
	cancel() // the caller hung up: that says nothing about the backend
	fmt.Println(p.Done(ctx, ctx.Err()), b.Stats().Row)
	// Output:
	// true 0
}

// An error that is an answer: the backend is well.
func ExampleAnswer() {
	b := breaker.New(&breaker.Options{Failures: 1})
	errNotFound := errors.New("not found")
	err := b.Do(context.Background(), func(context.Context) error {
		return breaker.Answer(errNotFound)
	})
	fmt.Println(err, b.State())
	// Output:
	// not found closed
}

// An error that says nothing: the call never got to the backend.
func ExampleIgnore() {
	b := breaker.New(&breaker.Options{Failures: 1})
	err := b.Do(context.Background(), func(context.Context) error {
		_, err := strconv.Atoi("12 apples") // of the request, before it is sent
		return breaker.Ignore(err)
	})
	fmt.Println(err, b.State())
	// Output:
	// strconv.Atoi: parsing "12 apples": invalid syntax closed
}

// A rule for outcomes that goes on from the default.
func ExampleClassify() {
	errQuota := errors.New("quota exceeded")
	b := breaker.New(&breaker.Options{Failures: 1, Classify: func(ctx context.Context, err error) breaker.Outcome {
		if errors.Is(err, errQuota) {
			return breaker.Success // it answers
		}
		return breaker.Classify(ctx, err)
	}})
	_ = b.Do(context.Background(), func(context.Context) error { return errQuota })
	fmt.Println(b.State())
	_ = b.Do(context.Background(), down)
	fmt.Println(b.State())
	// Output:
	// closed
	// open
}

func ExampleOpenError() {
	clock := newClock()
	b := breaker.New(&breaker.Options{Name: "db", Now: clock.now})
	b.Trip(30*time.Second, errDown)
	clock.sleep(10 * time.Second)
	err := b.Do(context.Background(), up)
	if oe, ok := errors.AsType[*breaker.OpenError](err); ok {
		d, _ := oe.RetryAfter()
		fmt.Println(d, oe.Cause)
	}
	fmt.Println(errors.Is(err, breaker.ErrOpen), errors.Is(err, errDown))
	// Output:
	// 20s connection refused
	// true false
}

func ExampleBreaker_ForceOpen() {
	b := breaker.New(nil)
	b.ForceOpen() // maintenance
	fmt.Println(b.Do(context.Background(), up))
	b.ForceClosed() // a false alarm; calls must go through
	fmt.Println(b.Do(context.Background(), up), b.State())
	b.Auto()
	fmt.Println(b.State())
	// Output:
	// breaker: forced open
	// <nil> disabled
	// closed
}

// The other side says when to come back.
func ExampleBreaker_Trip() {
	clock := newClock()
	b := breaker.New(&breaker.Options{Now: clock.now})
	b.Trip(90*time.Second, errors.New("503, Retry-After: 90"))
	fmt.Println(b.Until().Sub(clock.now()), b.Err())
	b.Reset() // a health check says otherwise
	fmt.Println(b.State())
	// Output:
	// 1m30s breaker: open, since 503, Retry-After: 90
	// closed
}

func ExampleBreaker_SetOptions() {
	b := breaker.New(&breaker.Options{Failures: 10})
	fmt.Println(b.SetOptions(&breaker.Options{Failures: 1}), b.SetOptions(&breaker.Options{Failures: -1}) != nil)
	_ = b.Do(context.Background(), down)
	fmt.Println(b.State())
	// Output:
	// <nil> true
	// open
}

func ExampleBreaker_Stats() {
	b := breaker.New(&breaker.Options{FailureRatio: 0.9, Count: true})
	for range 3 {
		_ = b.Do(context.Background(), up)
	}
	_ = b.Do(context.Background(), down)
	s := b.Stats()
	fmt.Println(s.State, s.Calls, s.FailureRatio(), s.Row, s.Succeeded)
	// Output:
	// closed 4 0.25 1 3
}

// The timeline of a breaker, and a ramp after half-open.
func ExampleChange() {
	clock := newClock()
	b := breaker.New(&breaker.Options{
		Failures: 1, OpenFor: 5 * time.Second, Jitter: -1, Recovery: 10 * time.Second, Now: clock.now,
		OnChange: func(c breaker.Change) {
			fmt.Printf("%s %v to %v\n", c.At.Format("05"), c.From, c.To)
		},
	})
	_ = b.Do(context.Background(), down)
	clock.sleep(7 * time.Second)
	_ = b.Do(context.Background(), up)
	clock.sleep(30 * time.Second)
	b.State()
	// Output:
	// 00 closed to open
	// 05 open to half-open
	// 07 half-open to recovering
	// 17 recovering to closed
}

// A breaker for each host.
func ExampleGroup() {
	hosts := breaker.NewGroup(&breaker.GroupOptions[string]{
		Max:     1000,
		Options: func(host string) *breaker.Options { return &breaker.Options{Name: host, Failures: 1} },
	})
	_ = hosts.Get("a.example").Do(context.Background(), down)
	fmt.Println(hosts.Get("a.example").Do(context.Background(), up))
	fmt.Println(hosts.Get("b.example").Do(context.Background(), up))
	for host, b := range hosts.All() {
		if b.State() == breaker.Open {
			fmt.Println(host, "is open, of", hosts.Len())
		}
	}
	// Output:
	// breaker: open (a.example), since connection refused
	// <nil>
	// a.example is open, of 2
}

func ExampleNewThrottle() {
	clock := newClock()
	t := breaker.NewThrottle(&breaker.ThrottleOptions{Now: clock.now})
	for range 1000 { // the backend accepts one call in four
		for i := range 4 {
			if t.Allow() && i == 0 {
				t.Accept()
			}
		}
		clock.sleep(10 * time.Millisecond)
	}
	fmt.Println(t.RejectRatio() > 0.4)
	// Output:
	// true
}

func ExampleThrottle_Do() {
	t := breaker.NewThrottle(&breaker.ThrottleOptions{Timeout: time.Second})
	err := t.Do(context.Background(), up)
	fmt.Println(err, errors.Is(err, breaker.ErrThrottled), t.Stats().Accepted)
	// Output:
	// <nil> false 1
}

// Stats as a variable of expvar: states are written by name.
func ExampleStats_expvar() {
	b := breaker.New(&breaker.Options{Count: true, Now: newClock().now})
	_ = b.Do(context.Background(), down)
	v := expvar.Func(func() any { return b.Stats() }) // expvar.Publish("inventory", v)
	fmt.Println(v)
	// Output:
	// {"State":"closed","Generation":1,"Row":1,"Calls":0,"Failures":0,"Slow":0,"Probes":0,"Successes":0,"Quiet":0,"Opened":0,"Late":0,"Dropped":0,"Succeeded":0,"Failed":1,"Ignored":0,"Rejected":0}
}

// Changes as lines of log/slog.
func ExampleChange_slog() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // so that the output is always the same
			}
			return a
		},
	}))
	b := breaker.New(&breaker.Options{Name: "db", Failures: 1, OnChange: func(c breaker.Change) {
		log.Warn("breaker", "name", c.Name, "from", c.From, "to", c.To, "cause", c.Cause)
	}})
	_ = b.Do(context.Background(), down)
	// Output:
	// level=WARN msg=breaker name=db from=closed to=open cause="connection refused"
}

// Stats of a group in the text format of Prometheus.
func ExampleStats_prometheus() {
	hosts := breaker.NewGroup[string](nil)
	hosts.Get("a.example").ForceOpen()
	for host, b := range hosts.All() {
		s := b.Stats()
		fmt.Printf("breaker_state{host=%q,state=%q} 1\n", host, s.State)
		fmt.Printf("breaker_opened_total{host=%q} %d\n", host, s.Opened)
		fmt.Printf("breaker_failure_ratio{host=%q} %g\n", host, s.FailureRatio())
	}
	// Output:
	// breaker_state{host="a.example",state="forced open"} 1
	// breaker_opened_total{host="a.example"} 0
	// breaker_failure_ratio{host="a.example"} 0
}

// A transport is an http.RoundTripper with a breaker for each host. An answer
// of 5xx is a failure, but is returned. The timeout, unlike Options.Timeout,
// lasts until the body is closed: its context must outlive the round trip. A
// call that its caller cancels is ignored, so a host that hangs trips the
// breaker only if timeout is less than the deadlines of the callers.
type transport struct {
	next    http.RoundTripper
	hosts   *breaker.Group[string]
	timeout time.Duration
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	permit, err := t.hosts.Get(r.URL.Host).Allow()
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it, on errors too
		}
		return nil, err
	}
	defer permit.Failure(nil) // if next panics; else it was reported by then

	ctx, cancel := context.WithTimeoutCause(r.Context(), t.timeout, breaker.ErrTimeout)
	resp, err := t.next.RoundTrip(r.WithContext(ctx))
	switch {
	case err != nil && errors.Is(context.Cause(ctx), breaker.ErrTimeout):
		err = fmt.Errorf("%w: %w", breaker.ErrTimeout, err)
		permit.Failure(err)
	case err == nil && resp.StatusCode >= 500:
		permit.Failure(errors.New(resp.Status))
	default:
		permit.Done(r.Context(), err)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = body{resp.Body, cancel}
	return resp, nil
}

// A body ends the context of its round trip when it is closed.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func newTransport(timeout time.Duration) transport {
	return transport{http.DefaultTransport, breaker.NewGroup(&breaker.GroupOptions[string]{
		Options: func(string) *breaker.Options { return &breaker.Options{Failures: 2} },
	}), timeout}
}

func ExampleGroup_roundTripper() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer server.Close()
	client := http.Client{Transport: newTransport(time.Minute)}
	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println(errors.Is(err, breaker.ErrOpen))
			continue
		}
		fmt.Println(resp.Status)
		_ = resp.Body.Close()
	}
	// Output:
	// 502 Bad Gateway
	// 502 Bad Gateway
	// true
}

// TestRoundTripper checks the transport of ExampleGroup_roundTripper: it closes
// the body of a rejected request, trips by a host that hangs though callers
// have deadlines, and returns long bodies whole.
func TestRoundTripper(t *testing.T) {
	const size = 1 << 20
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			select {
			case <-r.Context().Done():
			case <-release:
			}
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	}))
	defer server.Close()
	defer close(release)

	// The body outlives the round trip.
	client := http.Client{Transport: newTransport(time.Minute)}
	resp, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if len(text) != size || err != nil {
		t.Errorf("read %d bytes, %v, want %d", len(text), err, size)
	}
	_ = resp.Body.Close()

	// Two timeouts trip, though the callers would wait for longer.
	client.Transport = newTransport(5 * time.Millisecond)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/hang", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(r); !errors.Is(err, breaker.ErrTimeout) { //nolint:bodyclose // there is none
			t.Errorf("Do = %v, want ErrTimeout", err)
		}
		cancel()
	}

	// The writer of a body that is not sent does not hang.
	read, write := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := write.Write([]byte("x"))
		done <- err
	}()
	if _, err := client.Post(server.URL, "text/plain", read); !errors.Is(err, breaker.ErrOpen) { //nolint:bodyclose // there is none
		t.Errorf("Post = %v, want ErrOpen", err)
	}
	if err := <-done; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Write = %v, want ErrClosedPipe", err)
	}
}

// A middleware that answers 503 with Retry-After while the database is down.
func ExampleOpenError_middleware() {
	clock := newClock()
	db := breaker.New(&breaker.Options{Failures: 1, Jitter: -1, Now: clock.now})
	query := up
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := db.Do(r.Context(), query)
		oe, open := errors.AsType[*breaker.OpenError](err)
		switch {
		case open:
			if d, known := oe.RetryAfter(); known {
				w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
			}
			http.Error(w, "service unavailable, try later", http.StatusServiceUnavailable)
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	get := func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Printf("%d retry=%q\n", w.Code, w.Header().Get("Retry-After"))
	}

	get()
	query = down
	get()
	get()
	db.ForceOpen() // nobody knows for how long
	get()
	// Output:
	// 200 retry=""
	// 502 retry=""
	// 503 retry="5"
	// 503 retry=""
}

// The order of composition, outermost first: cache, coalescing, retry with a
// budget, limiter, breaker, timeout. The limiter is outside the breaker, whose
// probe would else wait in its queue. Here the parts other than the breaker are
// a few lines each.
func Example_composition() {
	b := breaker.New(&breaker.Options{Failures: 3, Timeout: time.Second}) // breaker, and timeout within
	slots := make(chan struct{}, 8)                                       // limiter: at most 8 at once
	budget, calls := 5, 0                                                 // retries that all callers may make together
	limited := func(ctx context.Context) (string, error) {
		slots <- struct{}{}
		defer func() { <-slots }()
		return breaker.Do(ctx, b, func(context.Context) (string, error) {
			calls++
			return "", errDown
		})
	}
	retrying := func(ctx context.Context) (v string, err error) {
		for range 10 {
			v, err = limited(ctx)
			// A rejection is final: to try again is what the breaker prevents.
			if err == nil || errors.Is(err, breaker.ErrOpen) || budget == 0 {
				break
			}
			budget--
		}
		return v, err
	}

	cache := map[string]string{"other": "cached"} // and golang.org/x/sync/singleflight to coalesce
	get := func(key string) (string, error) {
		if v, ok := cache[key]; ok {
			return v, nil
		}
		return retrying(context.Background())
	}
	fmt.Println(get("other"))
	_, err := get("key")
	fmt.Println(err, "after", calls, "calls")
	_, err = get("key")
	fmt.Println(errors.Is(err, breaker.ErrOpen), calls)
	// Output:
	// cached <nil>
	// breaker: open, since connection refused after 3 calls
	// true 3
}
