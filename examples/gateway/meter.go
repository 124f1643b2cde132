// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// meterBounds are the bounds of the histogram of a meter, each about 2.5 times
// the one before. What takes longer than the last is counted beyond it.
var meterBounds = [...]time.Duration{
	time.Millisecond / 2, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// A meter counts answers by the first digit of their status and by the time
// that they took, of the clock on the wall. It is safe for concurrent use by
// multiple goroutines.
type meter struct {
	classes [6]atomic.Uint64 // by the first digit; 0 for none
	buckets [len(meterBounds) + 1]atomic.Uint64
	took    atomic.Int64 // the sum
}

func (m *meter) observe(status int, took time.Duration) {
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	m.classes[class].Add(1)
	m.took.Add(int64(took))
	i := 0
	for i < len(meterBounds) && took > meterBounds[i] {
		i++
	}
	m.buckets[i].Add(1)
}

// A reading is what a meter counted.
type reading struct {
	Classes [6]uint64
	Buckets [len(meterBounds) + 1]uint64
	Took    time.Duration
}

func (m *meter) read() (r reading) {
	for i := range m.classes {
		r.Classes[i] = m.classes[i].Load()
	}
	for i := range m.buckets {
		r.Buckets[i] = m.buckets[i].Load()
	}
	r.Took = time.Duration(m.took.Load())
	return r
}

// Sub returns what was counted since prev.
func (r reading) Sub(prev reading) reading {
	for i := range r.Classes {
		r.Classes[i] -= prev.Classes[i]
	}
	for i := range r.Buckets {
		r.Buckets[i] -= prev.Buckets[i]
	}
	r.Took -= prev.Took
	return r
}

func (r reading) count() (n uint64) {
	for _, b := range r.Buckets {
		n += b
	}
	return n
}

// quantile returns the bound of the bucket that has the answer of that part,
// between 0 and 1, by time: not less than it took. Without answers it is 0.
func (r reading) quantile(part float64) time.Duration {
	total := r.count()
	if total == 0 {
		return 0
	}
	sum := 0.0
	for i, b := range r.Buckets[:len(meterBounds)] {
		if sum += float64(b); sum >= part*float64(total) {
			return meterBounds[i]
		}
	}
	return 2 * meterBounds[len(meterBounds)-1]
}

// printMetrics writes the counters of sys in the text format of Prometheus.
func (sys *system) printMetrics(w io.Writer) {
	family := func(name, kind, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }

	// The answers of the gateway.
	r := sys.meter.read()
	family("gateway_requests_total", "counter", "Answers by class of status.")
	for class := 1; class < len(r.Classes); class++ {
		fmt.Fprintf(w, "gateway_requests_total{code=\"%dxx\"} %d\n", class, r.Classes[class])
	}
	family("gateway_request_seconds", "histogram", "Time from request to answer.")
	sum := uint64(0)
	for i, bound := range meterBounds {
		sum += r.Buckets[i]
		fmt.Fprintf(w, "gateway_request_seconds_bucket{le=\"%g\"} %d\n", bound.Seconds(), sum)
	}
	fmt.Fprintf(w, "gateway_request_seconds_bucket{le=\"+Inf\"} %d\n", r.count())
	fmt.Fprintf(w, "gateway_request_seconds_sum %g\ngateway_request_seconds_count %d\n", r.Took.Seconds(), r.count())

	// The limiter.
	limits := sys.limiter.keyed.Stats()
	family("gateway_limited_total", "counter", "Requests refused by the limits.")
	fmt.Fprintf(w, "gateway_limited_total %d\n", limits.Denied)
	family("gateway_limiter_clients", "gauge", "Clients that the limiter remembers.")
	fmt.Fprintf(w, "gateway_limiter_clients %d\n", limits.Keys)

	// The servers.
	each := func(name, kind, help string, value func(*server) any) {
		family(name, kind, help)
		for _, s := range sys.services {
			for _, srv := range s.servers {
				fmt.Fprintf(w, "%s{service=%q,server=%q} %v\n", name, s.name, srv.name, value(srv))
			}
		}
	}
	each("gateway_calls_total", "counter", "Calls of a server.", func(s *server) any { return s.calls.Load() })
	each("gateway_call_failures_total", "counter", "Calls that failed or were late.", func(s *server) any { return s.failed.Load() })
	each("gateway_calls_in_flight", "gauge", "Calls under way.", func(s *server) any { return s.open.Load() })
	each("gateway_breaker_opened_total", "counter", "Times that the breaker opened.", func(s *server) any { return s.breaker.Stats().Opened })
	each("gateway_breaker_state", "gauge", "0 closed, 1 open, 2 half-open, 3 recovering.", func(s *server) any { return int(s.breaker.State()) })
	each("gateway_server_up", "gauge", "1 if the health checks say so.", func(s *server) any { return map[bool]int{true: 1}[s.health.up.Load()] })

	sys.printServiceMetrics(w, family)
}

// printServiceMetrics writes the counters of second tries and caches.
func (sys *system) printServiceMetrics(w io.Writer, family func(name, kind, help string)) {
	each := func(name, kind, help string, value func(*service) (v any, ok bool)) {
		family(name, kind, help)
		for _, s := range sys.services {
			if v, ok := value(s); ok {
				fmt.Fprintf(w, "%s{service=%q} %v\n", name, s.name, v)
			}
		}
	}
	cached := func(value func(*cache) any) func(*service) (any, bool) {
		return func(s *service) (any, bool) {
			if s.cache == nil {
				return nil, false
			}
			return value(s.cache), true
		}
	}

	each("gateway_retries_total", "counter", "Second tries.", func(s *service) (any, bool) { return s.budget.taken.Load(), true })
	each("gateway_retries_refused_total", "counter", "Second tries that the budget refused.", func(s *service) (any, bool) { return s.budget.refused.Load(), true })
	each("gateway_cache_hits_total", "counter", "Answers found.", cached(func(c *cache) any { return c.answers.Stats().Hits }))
	each("gateway_cache_misses_total", "counter", "Answers not found.", cached(func(c *cache) any { return c.answers.Stats().Misses }))
	each("gateway_cache_evictions_total", "counter", "Answers removed to make room.", cached(func(c *cache) any { return c.answers.Stats().Evicted }))
	each("gateway_cache_stale_total", "counter", "Old answers while the service failed.", cached(func(c *cache) any { return c.answers.Stats().StaleHits }))
	each("gateway_cache_bytes", "gauge", "Bytes of answers.", cached(func(c *cache) any { return c.answers.Stats().Cost }))
}
