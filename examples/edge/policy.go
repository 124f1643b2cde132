// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lru"
)

// A contest is a policy with or without admission by the second request, and
// what came of it.
type contest struct {
	name        string
	policy      lru.Policy
	second      bool
	hits, bytes float64 // parts
	written     int64   // bytes that were stored
	ratios      []float64
}

// newContests returns all that are compared.
func newContests() []*contest {
	return []*contest{
		{name: "FIFO", policy: lru.PolicyFIFO},
		{name: "LRU", policy: lru.PolicyLRU},
		{name: "LRU, second", policy: lru.PolicyLRU, second: true},
		{name: "LFU", policy: lru.PolicyLFU},
		{name: "TinyLFU *", policy: lru.PolicyTinyLFU},
	}
}

// run lets the requests through one cache of so many bytes, without times to
// live, so that only the policy counts.
func (c *contest) run(t *traffic, capacity int) {
	cache := lru.New(capacity, &lru.Options[int, struct{}]{
		Policy: c.policy,
		Cost:   func(key int, _ struct{}) int { return t.objects[key].size },
		Shards: 1,
	})
	seen := bloom.New(len(t.objects), 0.01, nil)

	c.written = 0
	var all, hit int64
	cached := 0
	for _, r := range t.requests {
		size := int64(t.objects[r.key].size)
		all += size
		if _, ok := cache.Get(r.key); ok {
			cached++
			hit += size
			continue
		}
		if c.second && seen.AddUint64(uint64(r.key)) {
			continue // for the first time
		}
		if !tooLarge(t.objects[r.key].size, capacity) && cache.Set(r.key, struct{}{}) {
			c.written += size
		}
	}
	c.hits = float64(cached) / float64(len(t.requests))
	c.bytes = float64(hit) / float64(all)
}

// sizes of a cache, as parts of all objects.
var sizes = []int{64, 32, 16, 8, 4, 2}

// reportPolicies prints the hits of each policy for several sizes.
func reportPolicies(ctx context.Context, t *traffic, w io.Writer) error {
	total := 0
	for _, o := range t.objects {
		total += o.size / 1024
	}

	fmt.Fprintf(w, "%-13s", "hits, size")
	for _, s := range sizes {
		fmt.Fprintf(w, "%7s", fmt.Sprintf("1/%d", s))
	}
	fmt.Fprintf(w, "  %-6s%8s%9s\n", "", "bytes", "written")
	for _, c := range newContests() {
		var bytes float64
		var written int64
		for _, s := range sizes {
			if err := ctx.Err(); err != nil {
				return err
			}
			c.run(t, min(max(total/s, 1), 1<<20)<<10) // bytes fit a word of 32 bits
			c.ratios = append(c.ratios, c.hits)
			if s == 8 {
				bytes, written = c.bytes, c.written
			}
		}
		fmt.Fprintf(w, "%-13s", c.name)
		for _, r := range c.ratios {
			fmt.Fprintf(w, "%7s", fmt.Sprintf("%.0f %%", 100*r))
		}
		fmt.Fprintf(w, "  %s%8s%9s\n", spark(c.ratios, 1), fmt.Sprintf("%.0f %%", 100*bytes), fmt.Sprintf("%.0f MB", float64(written)/1e6))
	}
	_, err := fmt.Fprint(w, "* flips coins, so that nobody can play with it: digits differ from run to run\n")
	return err
}
