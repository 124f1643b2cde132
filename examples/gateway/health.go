// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"net/http"
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

// A checker asks each server how it is, once in an interval of the time of the
// log.
type checker struct {
	services []*service
	every    time.Duration // 0: never
	next     time.Time
}

// advance makes a round of checks if one is due at now. Rounds that were missed
// are not made up for.
func (c *checker) advance(ctx context.Context, now time.Time) {
	if c.every <= 0 || now.Before(c.next) {
		return
	}
	c.next = now.Add(c.every)
	for _, s := range c.services {
		for _, srv := range s.servers {
			srv.health.enter(ping(ctx, s.transport, srv), srv.history)
		}
	}
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

func ping(ctx context.Context, transport http.RoundTripper, srv *server) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.url.JoinPath(healthPath).String(), nil)
	if err != nil {
		return false
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}
