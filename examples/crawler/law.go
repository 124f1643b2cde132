// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/merkle"
)

// The laws take the word of the server and of an exact list, not that of the
// crawlers. Each returns what holds, or an error.

// all returns the crawlers, with the dead one.
func (cr *crawling) all() []*crawler {
	list := append([]*crawler{}, cr.crawlers...)
	if cr.dead != nil {
		list = append(list, cr.dead)
	}
	return list
}

// fetched returns how often each page was fetched.
func (cr *crawling) fetched() map[string]int {
	times := make(map[string]int)
	for _, h := range cr.web.hits {
		if h.ok && !strings.HasSuffix(h.url, "/robots.txt") {
			times[h.url]++
		}
	}
	return times
}

// lawOnce: no page is fetched twice, but for those that a dead crawler had
// fetched since its last checkpoint.
func (cr *crawling) lawOnce() (string, error) {
	lost := make(map[string]bool)
	if cr.dead != nil {
		for _, page := range cr.dead.log[cr.dead.saved.size:] {
			address, _, _ := strings.Cut(string(page), " ")
			lost[address] = true
		}
	}
	again := 0
	pages := cr.fetched()
	for address, n := range pages {
		if n > 1 && !lost[address] || n > 2 {
			return "", fmt.Errorf("law broken: %s was fetched %d times", address, n)
		}
		again += n - 1
	}
	return fmt.Sprintf("none of %d pages was fetched twice, but for %d of %d that\n           the dead crawler had fetched since its last checkpoint",
		len(pages), again, len(lost)), nil
}

// lawPolite: each host got at most burst + rate × window in every window.
func (cr *crawling) lawPolite() (string, error) {
	times := make(map[string][]time.Duration)
	robots := make(map[string]int) // requests until the rules were known
	for _, h := range cr.web.hits {
		times[h.host] = append(times[h.host], h.at)
		if h.ok && strings.HasSuffix(h.url, "/robots.txt") {
			robots[h.host] = len(times[h.host])
		}
	}
	for host, at := range times {
		burst, perSecond := 4.0, 2.0
		if host == cr.web.names[delayed] {
			burst, perSecond = 1, 0.2
			at = at[robots[host]:]
		}
		if i, j, ok := tooMany(at, burst, perSecond); ok {
			return "", fmt.Errorf("law broken: %s got %d requests in %v", host, j-i+1, at[j]-at[i])
		}
	}
	return fmt.Sprintf("in every window each of %d hosts got at most burst + rate ×\n           window (%s), and one that asks for it a request in 5 s", len(times), usual), nil
}

// tooMany returns the first window with more requests than a limit permits.
func tooMany(at []time.Duration, burst, perSecond float64) (i, j int, ok bool) {
	for j := range at {
		for i := range at[:j+1] {
			if float64(j-i+1) > burst+perSecond*(at[j]-at[i]).Seconds()+1e-6 {
				return i, j, true
			}
		}
	}
	return 0, 0, false
}

// lawRobots: nothing that robots.txt forbids was asked for, and nothing before
// it was read.
func (cr *crawling) lawRobots() (string, error) {
	known := make(map[string]bool)
	for _, h := range cr.web.hits {
		if u, err := url.Parse(h.url); err != nil || strings.HasPrefix(u.Path, private) {
			return "", fmt.Errorf("law broken: %s was asked for", h.url)
		}
		if h.ok && strings.HasSuffix(h.url, "/robots.txt") {
			known[h.host] = true
		} else if h.ok && !known[h.host] {
			return "", fmt.Errorf("law broken: %s was asked for before robots.txt", h.url)
		}
	}
	return "no page was asked for that robots.txt forbids", nil
}

// lawFound: whatever a fetched page links to was fetched, or a filter took it
// for seen, or it is beyond the budget of its host.
func (cr *crawling) lawFound() (string, error) {
	pages := cr.fetched()
	of := make(map[string]int)
	for address := range pages {
		u, err := url.Parse(address)
		if err != nil {
			return "", err
		}
		of[u.Host]++
	}
	for host, n := range of {
		if n > cr.bound() {
			return "", fmt.Errorf("law broken: %d pages of %s, at most %d", n, host, cr.bound())
		}
	}

	for address := range pages {
		base, err := url.Parse(address)
		if err != nil {
			return "", err
		}
		for _, link := range cr.web.links[address] {
			u, err := normalize(link, base)
			if err != nil || !cr.permitted(link, base) || of[u.Host] >= cr.bound() {
				continue
			}
			if to := u.String(); pages[to] == 0 && !cr.missed[to] {
				return "", fmt.Errorf("law broken: %s links to %s, which was not fetched", address, to)
			}
		}
	}
	return fmt.Sprintf("whatever a page links to was fetched, but for %d that a filter\n           took for seen; of the endless calendar %d, at most %d of a host", len(cr.missed), of[endless], cr.bound()), nil
}

// lawFilter: the filters erred as often as they predicted.
func (cr *crawling) lawFilter() (string, error) {
	errs, expected := 0, 0.0
	for _, c := range cr.all() {
		errs += c.errs
		expected += c.expected
	}
	if math.Abs(float64(errs)-expected) > 4*math.Sqrt(expected)+3 {
		return "", fmt.Errorf("law broken: the filters took %d new addresses for seen, and predicted %.1f", errs, expected)
	}
	return fmt.Sprintf("%d new addresses were taken for seen, and %.1f predicted", errs, expected), nil
}

// lawDown: a host that is down gets what its breaker permits.
func (cr *crawling) lawDown() (string, error) {
	host := cr.web.names[down]
	n := 0
	for _, h := range cr.web.hits {
		if h.host == host && !h.ok {
			n++
		}
	}
	if most := tripAfter + cr.opened[host]; n > most {
		return "", fmt.Errorf("law broken: %s got %d requests while it was down, at most %d", host, n, most)
	}
	return fmt.Sprintf("a host that was down for two minutes got %d requests", n), nil
}

// lawMoved: only hosts of the dead crawler have another one.
func (cr *crawling) lawMoved() (string, error) {
	for host, m := range cr.moved {
		if m[0] != cr.dead.name {
			return "", fmt.Errorf("law broken: %s moves from %s, which lives", host, m[0])
		}
	}
	return fmt.Sprintf("%d of %d hosts have another crawler, those of the dead", len(cr.moved), hosts+1), nil
}

// lawLog: the log of each checkpoint begins with that of the one before.
func (cr *crawling) lawLog() (string, error) {
	n := 0
	for _, c := range cr.all() {
		for i := 1; i < len(c.roots); i++ {
			old, now := c.roots[i-1], c.roots[i]
			if old.size == 0 {
				continue
			}
			proof, err := merkle.AppendConsistency(nil, c.tree, nil, old.size, now.size)
			if err == nil {
				err = merkle.VerifyConsistency(nil, proof, old.size, now.size, old.root, now.root)
			}
			if err != nil {
				return "", fmt.Errorf("law broken: checkpoint %d of %s does not begin with the one before: %w", i, c.name, err)
			}
			n++
		}
	}
	return fmt.Sprintf("%d checkpoints begin with the ones before, by proof", n), nil
}
