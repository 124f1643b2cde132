// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ashlar-go/ashlar/breaker"
)

// checkEvery and watchEvery are the intervals of health checks and of alerts in
// front of real servers.
const (
	checkEvery = 10 * time.Second
	watchEvery = time.Minute
)

// open makes what stands before the services: limits, meter and alerts, which
// go to log as well if that is not nil.
func (sys *system) open(c *config, now func() time.Time, log *slog.Logger) (err error) {
	sys.meter = new(meter)
	sys.watch = newWatch(sys.services, sys.meter, c.timeout/2, c.watch, log)
	sys.limiter, err = newLimiter(c.limits, c.maxKeys, now)
	return err
}

// listen serves the gateway at addr, and its admin address if it has one.
func (sys *system) listen(ctx context.Context, g *errgroup.Group, c *config, addr string, services http.Handler) (err error) {
	var secure *tls.Config
	if c.tls {
		cert, pool, err := newCertificate()
		if err != nil {
			return err
		}
		secure = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		sys.trust = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}

	now := time.Now
	if sys.clock != nil {
		now = sys.clock.now
	}
	sys.front, err = serve(ctx, g, addr, observe(sys.limiter.wrap(services), sys.meter, c.access, now), secure)
	if err != nil || c.admin == "" {
		return err
	}
	_, err = serve(ctx, g, c.admin, newAdmin(sys), nil)
	return err
}

// serveUntilDone is the gateway in front of real servers.
func (c *config) serveUntilDone(ctx context.Context, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	log := slog.New(slog.NewTextHandler(stderr, nil))
	back := newTransport(nil)
	defer back.CloseIdleConnections()

	// One service, with all servers.
	var ends []endpoint
	for i, u := range c.to {
		name := serverName("origin", i+1)
		ends = append(ends, endpoint{url: u, onChange: func(change breaker.Change) {
			log.Warn("breaker", "server", name, "from", change.From, "to", change.To)
		}})
	}
	s, err := newService("origin", c.lb, ends, c.weights, time.Now, back, c.timeout)
	if err != nil {
		return err
	}
	s.sticky = c.sticky
	if c.cache > 0 {
		s.cache = newCache(s, c.cache, c.freshness, time.Now)
		s.cache.explicit = true
	}

	// The gateway in front of it.
	sys := &system{services: []*service{s}, checker: &checker{services: []*service{s}, every: c.health, lenient: true}}
	if err := sys.open(c, time.Now, log); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	if err := sys.listen(ctx, g, c, c.serve, newProxy(s, true)); err != nil {
		return &inputError{err} // the address of a flag
	}
	fmt.Fprintf(stdout, "gateway: %s for %d servers; Ctrl-C ends it\n", sys.front, len(c.to))

	g.Go(func() error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case now := <-tick.C:
				sys.checker.advance(ctx, now)
				sys.watch.advance(now)
			}
		}
	})
	return g.Wait()
}

// parseServers reads the addresses of servers, separated by commas.
func parseServers(s string) (servers []*url.URL, err error) {
	for field := range strings.SplitSeq(s, ",") {
		u, err := url.Parse(strings.TrimSpace(field))
		if err != nil {
			return nil, err
		}
		if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, fmt.Errorf("%q is not like http://host:port", field)
		}
		servers = append(servers, &url.URL{Scheme: u.Scheme, Host: u.Host})
	}
	return servers, nil
}
