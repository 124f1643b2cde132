// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/ashlar-go/ashlar/lru"
)

// What the notes say of a page, and of the database behind it.
const (
	missTime = 300.0 // ms
	hitTime  = 20.0  // ms
	queries  = 600   // of the database, without a cache
)

// The traffic: popularity falls off as it does on the web.
const (
	pages    = 20_000
	requests = 200_000
)

// A share is what a cache of some size does.
type share struct {
	capacity int
	hits     float64 // part of the requests
	best     float64 // of a cache that knows the popularity beforehand
}

// cacheShare sends the requests of one seed through a cache that forgets what
// was not used for longest.
func cacheShare(seed uint64, capacity int) share {
	rng := rand.New(rand.NewPCG(seed, 7))
	zipf := rand.NewZipf(rng, 1.05, 4, pages-1)
	cache := lru.NewLRU[uint64, struct{}](capacity) // the textbook policy, which chance has no part in

	s := share{capacity: capacity}
	for range requests {
		page := zipf.Uint64()
		if _, ok := cache.Get(page); ok {
			s.hits++
		} else {
			cache.Set(page, struct{}{})
		}
		if page < uint64(capacity) {
			s.best++
		}
	}
	s.hits /= requests
	s.best /= requests
	return s
}

// meanLatency returns the mean time of a page, in milliseconds.
func meanLatency(hits float64) float64 { return hits*hitTime + (1-hits)*missTime }

// printHits prints what a share of hits buys.
func printHits(w io.Writer, c *config, _ *figures) error {
	err := printEstimates(w, "what hits buy", []estimate{
		{what: "a page, no cache", formula: "300 ms", value: meanLatency(0), unit: "ms", notes: 300},
		{what: "a page that is there", formula: "20 ms", value: meanLatency(1), unit: "ms", notes: 20},
		{what: "mean at 29 %", formula: "0.29 × 20 + 0.71 × 300", value: meanLatency(0.29), unit: "ms", notes: 220},
		{what: "mean at 80 %", formula: "0.80 × 20 + 0.20 × 300", value: meanLatency(0.8), unit: "ms"},
		{what: "mean at 90 %", formula: "0.90 × 20 + 0.10 × 300", value: meanLatency(0.9), unit: "ms"},
		{what: "queries at 82 %", formula: "600 × 0.18", value: queries * 0.18, notes: 110},
	}, true)
	if err != nil {
		return err
	}

	fmt.Fprintf(w, "%-26s %9s %9s %9s %9s\n", "a cache of", "hits", "the best", "mean", "queries")
	before := 0.0
	for _, part := range []float64{0.001, 0.01, 0.1, 0.5} {
		s := cacheShare(c.seed, int(pages*part))
		name := fmt.Sprintf("%d of %d pages", s.capacity, pages)
		fmt.Fprintf(w, "%-26s %7.1f %% %7.1f %% %6.0f ms %9.0f\n", name, 100*s.hits, 100*s.best, meanLatency(s.hits), math.Round(queries*(1-s.hits)))
		if err := judgeShare(s, before); err != nil {
			return err
		}
		before = s.hits
	}
	fmt.Fprintln(w, "law holds: more room, more hits; none has more than one that knows the future")
	return nil
}

// judgeShare returns an error if a cache has fewer hits than a smaller one, or
// more than the pages that are wanted most could give it. Chance favours some
// pages over those that should be ahead of them, so the best is not quite it.
func judgeShare(s share, smaller float64) error {
	if s.hits <= smaller {
		return fmt.Errorf("law broken: a cache of %d has %.3f hits, a smaller one %.3f", s.capacity, s.hits, smaller)
	}
	if s.hits > s.best+0.01 {
		return fmt.Errorf("law broken: a cache of %d has %.3f hits, and at best %.3f", s.capacity, s.hits, s.best)
	}
	return nil
}
