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
	cache     *cache // in front of it, or nil
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

// An endpoint is the address of a server, and its history.
type endpoint struct {
	url     *url.URL
	history *history
}

// newService returns the service of the servers at ends, each with the weight
// of the same index.
func newService(name, lb string, ends []endpoint, weights []int, now func() time.Time, transport http.RoundTripper) (*service, error) {
	s := &service{name: name, transport: transport, now: now}
	var names []string
	for i, e := range ends {
		srv := &server{name: serverName(name, i+1), url: e.url, history: e.history}
		srv.breaker = newBreaker(srv.name, now, srv.history)
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
// no harm, it asks another one, once: more tries would multiply the load on
// servers that fail under load.
func (s *service) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.try(req)
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		s.failedAt.Store(s.now().UnixNano())
	}
	return resp, err
}

func (s *service) try(req *http.Request) (*http.Response, error) {
	client, _ := req.Context().Value(clientKey{}).(string)
	call, err := s.admit(client, -1)
	if err != nil {
		return nil, err
	}
	resp, err := call.roundTrip(req, s.transport)

	safe := req.Method == http.MethodGet || req.Method == http.MethodHead
	if err == nil || !safe || req.Context().Err() != nil {
		return resp, err
	}
	if second, err2 := s.admit(client, call.index); err2 == nil {
		return second.roundTrip(req, s.transport)
	}
	return nil, err
}

// admit picks a server that is healthy, whose breaker lets calls pass and whose
// index is not failed.
func (s *service) admit(client string, failed int) (*call, error) {
	usable := func(i int) bool {
		return s.servers[i].health.up.Load() && s.servers[i].breaker.Err() == nil
	}

	// Between the look at a breaker and the call others may take what it had
	// left, hence a few tries.
	for range 2 * len(s.servers) {
		i, done := s.policy.pick(client, failed, usable)
		if i < 0 {
			break
		}
		srv := s.servers[i]
		permit, err := srv.breaker.Allow()
		if err != nil {
			done()
			continue
		}
		return &call{server: srv, index: i, permit: permit, done: done}, nil
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

// roundTrip makes the call. It counts as in flight until the body of the answer
// is closed.
func (c *call) roundTrip(req *http.Request, transport http.RoundTripper) (*http.Response, error) {
	srv := c.server
	srv.calls.Add(1)
	for n, most := srv.open.Add(1), srv.most.Load(); n > most && !srv.most.CompareAndSwap(most, n); {
		most = srv.most.Load()
	}

	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host = srv.url.Scheme, srv.url.Host
	resp, err := transport.RoundTrip(out)

	failure := err
	if err == nil && resp.StatusCode >= http.StatusInternalServerError {
		failure = errors.New(resp.Status)
	}
	c.permit.Done(req.Context(), failure)
	if failure != nil {
		srv.failed.Add(1)
	}

	end := sync.OnceFunc(func() {
		srv.open.Add(-1)
		c.done()
	})
	if err != nil {
		end()
		return nil, err
	}
	resp.Body = &trackedBody{resp.Body, end}
	return resp, nil
}

// A trackedBody calls end when it is closed.
type trackedBody struct {
	io.ReadCloser
	end func()
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
