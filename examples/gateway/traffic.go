// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// The generated traffic, from which all numbers of a run without -in follow:
//
//	regular   always                      0.50/s  400 clients, Zipf (s = 1.01, v = 8)
//	crowd     from 55 % to 60 % of time   3.00/s  one page and its parts, each client a few times
//	abuser    from 25 % to 30 % of time   2.00/s  one client that guesses at logins, without token
//
// Arrivals are a Poisson process at the rate of the moment. Half of the regular
// requests are static, half go to the API; of these one in 50 has no token, one
// in 50 asks for a service that does not exist, and one order in 25 is the
// broken endpoint. Lines are in order of completion, which is an exponential
// time of mean 400 ms after the arrival, and stamped in whole seconds of the
// arrival: a few are out of order, as in real logs.
const (
	regularRate  = 0.5
	regularCount = 400
	crowdRate    = 3.0
	crowdCount   = 1000
	crowdFrom    = 0.55
	abuserRate   = 2.0
	abuserFrom   = 0.25
	phase        = 0.05 // how long crowd and abuser last, of the whole
	meanLatency  = 400 * time.Millisecond
)

// epoch is when the generated traffic begins.
var epoch = time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)

// A generator makes requests from a seed.
type generator struct {
	rng   *rand.Rand
	ranks *rand.Zipf // of regular clients
	pages *rand.Zipf // of images and records
}

// generate returns n requests in the order of an access log.
func generate(seed uint64, n int) []request {
	rng := rand.New(rand.NewPCG(seed, 2))
	g := &generator{
		rng:   rng,
		ranks: rand.NewZipf(rng, 1.01, 8, regularCount-1),
		pages: rand.NewZipf(rng, 1.2, 1, 99),
	}

	total := float64(n) / (regularRate + phase*(crowdRate+abuserRate)) // seconds
	type line struct {
		request
		done time.Duration
	}

	lines := make([]line, n)
	var now time.Duration
	for i := range lines {
		var crowd, abuser float64
		switch part := now.Seconds() / total; {
		case part >= crowdFrom && part < crowdFrom+phase:
			crowd = crowdRate
		case part >= abuserFrom && part < abuserFrom+phase:
			abuser = abuserRate
		}

		rate := regularRate + crowd + abuser
		now += g.exponential(float64(time.Second) / rate)

		var r request
		switch x := g.rng.Float64() * rate; {
		case x < crowd:
			r = g.crowd()
		case x < crowd+abuser:
			r = request{client: "203.0.113.66", method: http.MethodPost, target: "/api/users/login", status: 401}
		default:
			r = g.regular()
		}

		r.at = epoch.Add(now).Truncate(time.Second)
		lines[i] = line{r, now + g.exponential(float64(meanLatency))}
	}

	// A log has its lines in the order in which requests ended.
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.done, b.done) })
	requests := make([]request, n)
	for i, l := range lines {
		requests[i] = l.request
	}
	return requests
}

func (g *generator) exponential(mean float64) time.Duration {
	return time.Duration(g.rng.ExpFloat64() * mean)
}

// regular returns a request of one of the regular clients: some have an IPv6
// address, which changes within its /64 as privacy extensions make it, and a
// few a host name.
func (g *generator) regular() request {
	rank := int(g.ranks.Uint64())
	r := request{method: http.MethodGet, status: http.StatusOK}
	switch {
	case rank%8 == 5:
		r.client = fmt.Sprintf("2001:db8:0:%x::%x", rank, 1+g.rng.IntN(4))
	case rank%50 == 7:
		r.client = fmt.Sprintf("host%d.example.net", rank)
	default:
		r.client = fmt.Sprintf("198.18.%d.%d", rank/250, 1+rank%250)
	}
	if g.rng.IntN(2) == 0 {
		g.static(&r)
	} else {
		g.api(&r)
	}
	return r
}

func (g *generator) static(r *request) {
	switch g.rng.IntN(8) {
	case 0:
		r.target = "/"
	case 1:
		r.target = "/site.css"
	case 2:
		r.target = "/search?q=brick+or+stone"
	case 3:
		r.target, r.status = "/favicon.ico", http.StatusNotFound
	default:
		r.target = fmt.Sprintf("/img/%d.png", g.pages.Uint64())
	}
}

func (g *generator) api(r *request) {
	r.user = "demo"
	switch g.rng.IntN(50) {
	case 0:
		r.user, r.status = "", http.StatusUnauthorized
	case 1:
		r.target, r.status = "/api/carts/1", http.StatusNotFound
		return
	}
	switch service := g.rng.IntN(7); {
	case service < 2:
		r.target = fmt.Sprintf("/api/users/%d", g.pages.Uint64())
	case service < 4:
		r.target = fmt.Sprintf("/api/products/%d", g.pages.Uint64())
	case service < 6 && g.rng.IntN(25) == 0:
		r.target, r.status = brokenPath, http.StatusBadGateway
	case service < 6:
		r.target = fmt.Sprintf("/api/orders/%d", g.pages.Uint64())
	default:
		r.target = "/api/summary"
	}
}

// crowd returns a request of someone who has read of the page elsewhere.
func (g *generator) crowd() request {
	n := g.rng.IntN(crowdCount)
	targets := []string{"/news/today", "/site.css", "/img/0.png"}
	return request{
		client: fmt.Sprintf("198.19.%d.%d", n/250, 1+n%250),
		method: http.MethodGet,
		target: targets[g.rng.IntN(len(targets))],
		status: http.StatusOK,
	}
}
