// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
)

// A service is the servers that answer for one name. It is an
// http.RoundTripper that sends each request to one of them, whatever address
// the request names.
type service struct {
	name      string
	servers   []*server
	policy    policy
	transport http.RoundTripper
	timeout   time.Duration // for the head of an answer
	budget    *budget       // of second tries
	sticky    bool          // clients stay at their servers, by a cookie
	bare      bool          // no breakers, no second tries: what the gateway is compared with
	cache     *cache        // in front of it, or nil
	now       func() time.Time
	failedAt  atomic.Int64 // when it last had no answer, in Unix nanoseconds
}

// A server is one backend, as the gateway sees it.
type server struct {
	name    string
	url     *url.URL
	breaker *breaker.Breaker
	history *history
	health  health

	calls  atomic.Int64
	failed atomic.Int64
	open   atomic.Int64 // in flight
	most   atomic.Int64 // ever in flight at once
}

// An endpoint is the address of a server, its history, and who is told when its
// breaker changes.
type endpoint struct {
	url      *url.URL
	history  *history
	onChange func(breaker.Change)
}

// newService returns the service of the servers at ends, each with the weight
// of the same index.
func newService(name, lb string, ends []endpoint, weights []int, now func() time.Time, transport http.RoundTripper, timeout time.Duration) (*service, error) {
	s := &service{name: name, transport: transport, now: now, timeout: timeout, budget: newBudget()}
	var names []string
	for i, e := range ends {
		srv := &server{name: serverName(name, i+1), url: e.url, history: e.history}
		srv.breaker = newBreaker(srv.name, now, e.onChange)
		srv.health.up.Store(true)
		s.servers = append(s.servers, srv)
		names = append(names, srv.name)
	}
	var err error
	s.policy, err = newPolicy(lb, names, weights)
	return s, err
}

// front returns the transport that requests for s are sent to.
func (s *service) front() http.RoundTripper {
	if s.cache != nil {
		return s.cache
	}
	return s
}

func serverName(service string, number int) string { return fmt.Sprintf("%s-%d", service, number) }

// An unavailableError says that no server of a service may be asked now.
type unavailableError struct {
	service    string
	retryAfter time.Duration // 0 if that is not known
}

func (e *unavailableError) Error() string { return e.service + ": no server is available" }

type clientKey struct{}

// withClient returns ctx with the client that the request is made for.
func withClient(ctx context.Context, client string) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// RoundTrip sends the request to a server. If that fails, and asking twice does
// no harm, it asks another one, once and within the budget: more tries would
// multiply the load on servers that fail under load.
func (s *service) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.try(req)
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		s.failedAt.Store(s.now().UnixNano())
	}
	return resp, err
}

func (s *service) try(req *http.Request) (*http.Response, error) {
	client, _ := req.Context().Value(clientKey{}).(string)
	call, err := s.admit(client, s.home(req), -1)
	if err != nil {
		return nil, err
	}
	s.budget.earn()
	resp, err := s.roundTrip(call, req)
	if err == nil || s.bare || !repeatable(req) || req.Context().Err() != nil || !s.budget.take() {
		return resp, err
	}

	second, refused := s.admit(client, -1, call.index)
	if refused != nil {
		s.budget.giveBack()
		return nil, err
	}
	resp, err = s.roundTrip(second, req)
	if err == nil {
		s.budget.saved.Add(1)
	}
	return resp, err
}

// usable reports whether the server of that index is healthy, and its breaker
// lets calls pass.
func (s *service) usable(i int) bool {
	return s.bare || s.servers[i].health.up.Load() && s.servers[i].breaker.Err() == nil
}

// admit picks a server that is usable and whose index is not failed: home, if
// that is such an index, or the one that the policy picks.
func (s *service) admit(client string, home, failed int) (*call, error) {
	if home >= 0 && s.usable(home) {
		if permit, err := s.servers[home].breaker.Allow(); err == nil {
			return &call{server: s.servers[home], index: home, permit: permit, done: nothing}, nil
		}
	}

	// Between the look at a breaker and the call others may take what it had
	// left, hence a few tries.
	for range 2 * len(s.servers) {
		i, done := s.policy.pick(client, failed, s.usable)
		if i < 0 {
			break
		}
		srv := s.servers[i]
		permit, err := srv.breaker.Allow()
		if err == nil || s.bare {
			return &call{server: srv, index: i, permit: permit, done: done}, nil
		}
		done()
	}

	// None is left: say when the first of them will be asked again.
	unavailable := &unavailableError{service: s.name}
	for _, srv := range s.servers {
		var open *breaker.OpenError
		if !errors.As(srv.breaker.Err(), &open) {
			continue
		}
		if d, _ := open.RetryAfter(); unavailable.retryAfter == 0 || d < unavailable.retryAfter {
			unavailable.retryAfter = d
		}
	}
	return nil, unavailable
}

// A call is a request that a server was picked for.
type call struct {
	server *server
	index  int // of server in its service
	permit breaker.Permit
	done   func() // tells the policy
}

// errLate says that the head of an answer did not come in time. A server that
// accepts calls and stays silent is the worst of all: without a timeout no call
// ends, and a breaker has nothing to count.
var errLate = errors.New("no answer in time")

// roundTrip makes the call. It counts as in flight until the body of the answer
// is closed. An answer that took more than half of the timeout is passed on,
// and counts as a failure of the server: of the next ones some would be too
// late.
func (s *service) roundTrip(c *call, req *http.Request) (*http.Response, error) {
	srv := c.server
	srv.calls.Add(1)
	for n, most := srv.open.Add(1), srv.most.Load(); n > most && !srv.most.CompareAndSwap(most, n); {
		most = srv.most.Load()
	}
	recordOf(req.Context()).answeredBy(srv.name)

	// The timeout is for the head; the body takes as long as it takes.
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(s.timeout, func() { cancel(errLate) })
	out := req.Clone(ctx)
	out.URL.Scheme, out.URL.Host = srv.url.Scheme, srv.url.Host
	start := time.Now()
	resp, err := s.transport.RoundTrip(out)
	timer.Stop()
	if err == nil && context.Cause(ctx) != nil { // the head came, and so did the end
		resp.Body.Close()
		err = context.Cause(ctx)
	}
	if err != nil && errors.Is(context.Cause(ctx), errLate) {
		err = errLate
	}

	failure := err
	switch {
	case err == nil && resp.StatusCode >= http.StatusInternalServerError:
		failure = errors.New(resp.Status)
	case err == nil && time.Since(start) > s.timeout/2:
		failure = errLate
	}
	if !s.bare {
		c.permit.Done(req.Context(), failure)
	}
	if failure != nil {
		srv.failed.Add(1)
	}

	end := sync.OnceFunc(func() {
		cancel(nil)
		srv.open.Add(-1)
		c.done()
	})
	if err != nil {
		end()
		return nil, err
	}
	s.keepHome(c.index, req, resp)
	resp.Body = track(resp.Body, end)
	return resp, nil
}

// A trackedBody calls end when it is closed.
type trackedBody struct {
	io.ReadCloser
	end func()
}

// track returns body, which calls end when it is closed. What can be written to
// still can: it is a connection that is no longer HTTP.
func track(body io.ReadCloser, end func()) io.ReadCloser {
	tracked := &trackedBody{body, end}
	if conn, ok := body.(io.ReadWriteCloser); ok {
		return struct {
			io.Writer
			*trackedBody
		}{conn, tracked}
	}
	return tracked
}

func (b *trackedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

func (s *service) names() (names []string) {
	for _, srv := range s.servers {
		names = append(names, srv.name)
	}
	return names
}
