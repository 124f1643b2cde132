// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// healthPath is the page that a health check asks for.
const healthPath = "/healthz"

// A health is the result of the checks of a server. A breaker learns from the
// calls of clients, at their cost, and at once; a check costs nobody anything,
// and takes a while.
type health struct {
	up  atomic.Bool
	row int // checks in a row that said the opposite of up
}

// healthRow is how many checks in a row it takes to change one's mind.
const healthRow = 2

// A checker asks each server how it is, once in an interval. Only one goroutine
// calls advance.
type checker struct {
	services []*service
	every    time.Duration // 0: never
	lenient  bool          // any answer that blames nobody will do: the servers may have no such page
	next     time.Time
}

// advance makes a round of checks if one is due at now. Rounds that were missed
// are not made up for.
func (c *checker) advance(ctx context.Context, now time.Time) {
	if c.every <= 0 || now.Before(c.next) {
		return
	}
	c.next = now.Add(c.every)

	// All are asked at once: one that is silent must not make the others wait.
	var wg sync.WaitGroup
	for _, s := range c.services {
		for _, srv := range s.servers {
			wg.Go(func() { srv.health.enter(c.ping(ctx, s, srv), srv.history) })
		}
	}
	wg.Wait()
}

// enter takes a server out after healthRow failed checks, and back after as
// many that went well.
func (h *health) enter(ok bool, hist *history) {
	if ok == h.up.Load() {
		h.row = 0
		return
	}
	if h.row++; h.row < healthRow {
		return
	}
	h.row = 0
	h.up.Store(ok)
	if ok {
		hist.add(well)
	} else {
		hist.add(sick)
	}
}

// ping reports whether srv answers well, and within half of the time that a
// call may take.
func (c *checker) ping(ctx context.Context, s *service, srv *server) bool {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout/2, errLate)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.url.JoinPath(healthPath).String(), nil)
	if err != nil {
		return false
	}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxPart))
	well := resp.StatusCode == http.StatusOK || c.lenient && resp.StatusCode < http.StatusInternalServerError
	return err == nil && well
}
