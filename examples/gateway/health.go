// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// healthPath is what a health check asks for.
const healthPath = "/healthz"

// A health is what the checks of a server found. A breaker learns from the calls of clients, at
// their cost, and at once; a check costs nobody anything, and takes a while.
type health struct {
	up  atomic.Bool
	row int // checks in a row that said the opposite of up
}

// healthRow is how many checks in a row it takes to change one's mind.
const healthRow = 2

// A checker asks each server how it is, once in an interval of the time of the log.
type checker struct {
	services []*service
	every    time.Duration // 0: never
	next     time.Time
}

// advance makes a round of checks if one is due at now. Rounds that were missed are not made up for.
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

// enter takes a server out after healthRow failed checks, and back after as many that went well.
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

// A kill is a machine that dies: the server of that number of each service.
type kill struct {
	number   int     // of the machine, from 1; 0 for none
	from, to float64 // parts of the requests between which it is dead
}

// parseKill reads "2@40%", for good, or "2@40%-70%".
func parseKill(s string, machines int) (kill, error) {
	number, when, ok := strings.Cut(s, "@")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || n > machines {
		return kill{}, fmt.Errorf("%q does not begin with a machine of 1 to %d and an @", s, machines)
	}
	k := kill{number: n, to: 2} // beyond the end
	from, to, back := strings.Cut(when, "-")
	if k.from, err = parsePercent(from); err != nil {
		return kill{}, err
	}
	if back {
		if k.to, err = parsePercent(to); err != nil {
			return kill{}, err
		}
	}
	if k.to <= k.from {
		return kill{}, fmt.Errorf("%q ends before it begins", s)
	}
	return k, nil
}

func parsePercent(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	p, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(p >= 0 && p <= 100) {
		return 0, fmt.Errorf("%q is not between 0%% and 100%%", s)
	}
	return p / 100, nil
}

// dead reports whether the machine is dead when part of the requests are done.
func (k kill) dead(part float64) bool { return k.number > 0 && part >= k.from && part < k.to }
