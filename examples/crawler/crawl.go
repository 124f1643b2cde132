// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// How polite the crawlers are.
var (
	usual = ratelimit.Limit{Rate: ratelimit.PerSecond(2), Burst: 4}
	slow  = ratelimit.Limit{Rate: ratelimit.Every(5 * time.Second), Burst: 1} // what Crawl-delay: 5 asks for
)

const (
	takes     = 100 * time.Millisecond // that a crawler takes for a page
	tripAfter = 3                      // failures in a row after which a host is left alone
	openFor   = 20 * time.Second
	every     = 50 // pages between two checkpoints
)

// A crawling is the crawlers, and what is known of it all.
type crawling struct {
	*config
	web      *web
	ring     *consistenthash.Snapshot
	crawlers []*crawler
	dead     *crawler // the one that died, when it did
	diedAt   time.Duration
	moved    map[string][2]string // hosts that have another owner since: from, to

	limits   *ratelimit.Keyed[string]
	breakers *breaker.Group[string]
	opened   map[string]int // half-open periods, by host
	client   *http.Client

	audit  map[string]bool // every address that was ever seen, exactly
	missed map[string]bool // those that a filter took for seen, and were not
	ways   map[string]bool // the ways in which addresses were written
}

// crawl crawls the web to its end.
func (c *config) crawl(ctx context.Context) (*crawling, error) {
	w := newWeb(c)
	addr, stop, err := w.serve(ctx)
	if err != nil {
		return nil, err
	}

	// All host names lead to one server.
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}
	defer transport.CloseIdleConnections()
	cr := &crawling{
		config: c, web: w, client: &http.Client{Transport: transport},
		audit: make(map[string]bool), missed: make(map[string]bool), ways: make(map[string]bool),
		moved: make(map[string][2]string), opened: make(map[string]int),
	}
	err = errors.Join(cr.begin(), cr.loop(ctx))
	return cr, errors.Join(err, stop())
}

// begin makes the crawlers, and gives them the first address.
func (cr *crawling) begin() (err error) {
	var nodes []consistenthash.Node
	for i := range cr.config.crawlers {
		name := fmt.Sprintf("c%d", i+1)
		nodes = append(nodes, consistenthash.Node{Name: name})
		cr.crawlers = append(cr.crawlers, newCrawler(cr, name))
	}
	if cr.ring, err = consistenthash.NewSnapshot(nil, nodes...); err != nil {
		return err
	}

	now := cr.web.clock.time
	cr.limits = ratelimit.NewKeyed[string]([]ratelimit.Limit{usual}, &ratelimit.KeyedOptions{Now: now})
	cr.breakers = breaker.NewGroup(&breaker.GroupOptions[string]{Options: func(host string) *breaker.Options {
		return &breaker.Options{
			Name: host, Failures: tripAfter, OpenFor: openFor, Jitter: -1, Now: now,
			OnChange: func(c breaker.Change) {
				if c.To == breaker.HalfOpen {
					cr.opened[host]++
				}
			},
		}
	}})
	return cr.found("http://"+cr.web.names[0]+"/", nil)
}

// owner returns the crawler of a host.
func (cr *crawling) owner(host string) *crawler {
	name, _ := cr.ring.Get(host)
	for _, c := range cr.crawlers {
		if c.name == name {
			return c
		}
	}
	return nil
}

// normalize returns the one address of a page that a link leads to, from the
// page at base, if there is one: scheme and host in lower case, no standard
// port, no fragment, no empty query, and a clean path (RFC 3986, section 6).
func normalize(link string, base *url.URL) (*url.URL, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, err
	}
	if base != nil {
		u = base.ResolveReference(u)
	}
	u.Scheme = strings.ToLower(u.Scheme)
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), ":80")
	if u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("not a page: %s", link)
	}
	u.Fragment, u.RawFragment, u.ForceQuery = "", "", false
	u.Path, u.RawPath = path.Clean("/"+u.Path), ""
	return u, nil
}

// found takes a link that was found on the page at base to the crawler of its
// host.
func (cr *crawling) found(link string, base *url.URL) error {
	cr.ways[link] = true
	u, err := normalize(link, base)
	if err != nil {
		return nil // the web is full of such
	}
	if cr.careless && base != nil && u.Host != endless {
		u = base.ResolveReference(&url.URL{Scheme: "http", Host: u.Host, Path: u.Path, Fragment: link})
	}
	c := cr.owner(u.Host)
	if c == nil {
		return errors.New("a host has no crawler")
	}
	c.inbox = append(c.inbox, u)
	c.offer(u)
	return nil
}

// loop lets the crawler go on that can do so first, until none has anything to
// do. Time passes from one page to the next.
func (cr *crawling) loop(ctx context.Context) error {
	pages := 0
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var next *crawler
		var host *hostQueue
		var at time.Duration
		for _, c := range cr.crawlers {
			if q, t := c.next(); q != nil && (next == nil || t < at) {
				next, host, at = c, q, t
			}
		}
		if next == nil {
			return nil
		}

		cr.web.clock.advance(at)
		fetched, err := next.visit(ctx, host)
		if err != nil {
			return err
		}
		if fetched {
			pages++
		}
		if cr.dead == nil && pages >= cr.config.pages*2/5 {
			if err := cr.kill(1); err != nil {
				return err
			}
		}
	}
}

// kill lets a crawler die. Who gets one of its hosts takes over what the last
// checkpoint knew of it; all others keep theirs.
func (cr *crawling) kill(i int) error {
	cr.dead = cr.crawlers[i]
	cr.diedAt = cr.web.clock.read()
	before := cr.ring
	cr.ring = before.Without(cr.dead.name)
	cr.crawlers = append(cr.crawlers[:i:i], cr.crawlers[i+1:]...)
	for _, host := range append([]string{endless}, cr.web.names...) {
		from, _ := before.Get(host)
		if to, _ := cr.ring.Get(host); from != to {
			cr.moved[host] = [2]string{from, to}
		}
	}

	// The queues, each to its heir, and the filter to all of them.
	saved, err := cr.dead.saved.restore()
	if err != nil {
		return err
	}
	heirs := make(map[*crawler]bool)
	for _, q := range saved.queues {
		heir := cr.owner(q.host)
		if !cr.forgetful {
			heir.adopt(q)
		}
		heirs[heir] = true
	}
	for heir := range heirs {
		if err := heir.filter.Union(saved.filter); err != nil {
			return err
		}
	}

	// Whoever sent it a link keeps that until a checkpoint has it, and sends
	// it to the heir now.
	for _, address := range cr.dead.seen[cr.dead.saved.seen:] {
		delete(cr.audit, address)
		delete(cr.missed, address)
	}
	for _, u := range cr.dead.inbox {
		if err := cr.found(u.String(), nil); err != nil {
			return err
		}
	}
	return nil
}

// fetch gets a page, and returns its text.
func (cr *crawling) fetch(ctx context.Context, address string) (text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := cr.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", address, resp.Status)
	}
	return string(body), nil
}
