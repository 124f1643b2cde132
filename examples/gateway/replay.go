// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// A result is the driver's view: nothing in it was asked of the limiter.
type result struct {
	services map[string]*tally
	refusals map[string]int // by the policy named in the answer
	events   []event
	law      *law
	ages     *ageLaw
	homes    *stickyLaw
	waits    []time.Duration // wall clock, per request
	elapsed  time.Duration   // wall clock
}

// A tally counts the answers of a service.
type tally struct{ requests, ok, unauthorized, notFound, limited, failed, other int }

// An event is a request in log time.
type event struct {
	at       time.Time
	admitted bool
}

// replay sends the requests one after the other. The driver stands for the load
// balancer that a gateway has in front of it: it is trusted to say who the
// client is.
func (sys *system) replay(ctx context.Context, requests []request, progress func(done, total int)) (*result, error) {
	transport := newTransport(sys.trust)
	defer transport.CloseIdleConnections()
	out := &result{services: make(map[string]*tally), refusals: make(map[string]int)}
	var bounds []bound
	for _, t := range sys.limiter.tiers {
		bounds = append(bounds, t.bound)
	}
	out.law, out.ages, out.homes = newLaw(bounds), &ageLaw{freshness: sys.freshness}, newStickyLaw(sys)

	start := time.Now()
	for i := range requests {
		r := &requests[i]

		// Events that time brings come before the request: a death, a health
		// check.
		at := sys.clock.advance(r.at)
		sys.fail(float64(i) / float64(len(requests)))
		sys.checker.advance(ctx, at)
		sys.watch.advance(at)

		sent := time.Now()
		resp, err := sys.send(ctx, transport, r, out.homes)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted after %d of %d requests: %w", i, len(requests), context.Cause(ctx))
		}
		if err != nil {
			return nil, fmt.Errorf("request %d, %s %s: %w", i+1, r.method, r.target, err)
		}

		out.waits = append(out.waits, time.Since(sent))
		if err := out.add(r, at, resp); err != nil {
			return nil, err
		}
		if s := sys.serviceOf(r); s != nil && s.cache != nil && r.method == http.MethodGet {
			s.cache.settle(ctx)
			out.ages.observe(at, time.Unix(0, s.failedAt.Load()).UTC(), resp)
		}

		progress(i+1, len(requests))
	}
	out.elapsed = time.Since(start)
	return out, nil
}

// serviceOf returns the service that r is for, or nil.
func (sys *system) serviceOf(r *request) *service {
	name := route(r.url("").Path)
	for _, s := range sys.services {
		if s.name == name {
			return s
		}
	}
	return nil
}

// send makes one round trip and reads the whole answer, so that the connection
// is used again.
func (sys *system) send(ctx context.Context, transport http.RoundTripper, r *request, homes *stickyLaw) (*http.Response, error) {
	target := r.url(sys.front.Host)
	target.Scheme = sys.front.Scheme
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Forwarded-For", r.client) // as the load balancer would
	if r.user != "" {
		req.Header.Set("Authorization", token)
	}
	homes.ask(seenAs(r), req)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	homes.observe(seenAs(r), resp)
	return resp, err
}

// add enters an answer. Whatever was not refused was admitted, also if it
// failed afterwards.
func (out *result) add(r *request, at time.Time, resp *http.Response) error {
	service := route(r.url("").Path)
	t := out.services[service]
	if t == nil {
		t = new(tally)
		out.services[service] = t
	}

	t.add(resp.StatusCode)
	admitted := resp.StatusCode != http.StatusTooManyRequests
	if !admitted {
		policy, _, _ := strings.Cut(resp.Header.Get("RateLimit-Policy"), ";")
		out.refusals[strings.Trim(policy, `"`)]++
	}

	if resp.Header.Get("RateLimit") == "" {
		return fmt.Errorf("answer %d to %s has no RateLimit field", resp.StatusCode, r.target)
	}

	out.events = append(out.events, event{at, admitted})
	out.law.observe(seenAs(r), at, admitted)
	return nil
}

// seenAs returns the client that the gateway sees behind r: not quite the one
// in the log if that is a loopback address, which the gateway takes for another
// proxy.
func seenAs(r *request) string {
	return clientOf(&http.Request{
		RemoteAddr: "127.0.0.1:0",
		Header:     http.Header{"X-Forwarded-For": {r.client}},
	})
}

func (t *tally) add(status int) {
	t.requests++
	switch {
	case status/100 == 2:
		t.ok++
	case status == http.StatusUnauthorized:
		t.unauthorized++
	case status == http.StatusNotFound:
		t.notFound++
	case status == http.StatusTooManyRequests:
		t.limited++
	case status/100 == 5:
		t.failed++
	default:
		t.other++
	}
}

// sum returns the tally of all services.
func (out *result) sum() tally {
	var s tally
	for _, t := range out.services {
		s.requests += t.requests
		s.ok += t.ok
		s.unauthorized += t.unauthorized
		s.notFound += t.notFound
		s.limited += t.limited
		s.failed += t.failed
		s.other += t.other
	}
	return s
}

// reconcile returns an error if the limiter counted other than the driver saw.
func (out *result) reconcile(stats ratelimit.KeyedStats) error {
	s := out.sum()
	if stats.Denied != uint64(s.limited) || stats.Allowed != uint64(s.requests-s.limited) {
		return fmt.Errorf("the limiter counted %d allowed and %d denied, the driver saw %d and %d",
			stats.Allowed, stats.Denied, s.requests-s.limited, s.limited)
	}
	return nil
}

// A logClock tells the time of the log. Lines are written when requests end and
// stamped when they begin, so some stamps lie before the one above; a gateway
// that serves the lines in their order has a clock that never goes back, and so
// does this one.
type logClock struct{ ns atomic.Int64 }

func (c *logClock) now() time.Time { return time.Unix(0, c.ns.Load()).UTC() }

// advance moves the clock to t unless it is later already, and returns its
// time. It has one caller at a time.
func (c *logClock) advance(t time.Time) time.Time {
	if ns := t.UnixNano(); ns > c.ns.Load() {
		c.ns.Store(ns)
	}
	return c.now()
}
