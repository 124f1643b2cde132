// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/ashlar-go/ashlar/lru"
)

// The clients live in regions, which have so many of a hundred requests. The
// origin is in the first one.
var regions = []struct {
	name  string
	share int
}{{"west", 50}, {"east", 30}, {"south", 20}}

// ocean is how long an answer takes that comes from another region's cache.
const ocean = 150 * time.Millisecond

// everywhere is the region of an answer that is the same in all of them.
const everywhere = -1

// regional reports whether an object has content of its own in each region, as
// front pages and prices do. Every fourth one does.
func regional(key int) bool { return key%4 == 1 }

// A variant is what a cache keeps an answer by: the object, and the region that
// it is meant for.
type variant struct{ key, region int }

// A local is an answer of the origin to a client in a region.
type local struct {
	region int
	date   time.Time
}

// A plan says where caches are, and what they keep answers by.
type plan struct {
	name   string
	byPath bool // the region of the client is overlooked
	near   bool // each region has a cache of its own
	shield bool // they ask a cache before the origin, and not the origin

	newAge bool // in tests: an answer of the shield begins a new life
}

var plans = []plan{
	{name: "one, by path", byPath: true},
	{name: "one, by path and region"},
	{name: "one in each region", near: true},
	{name: "the same, and a shield", near: true, shield: true},
}

// A world is the caches of a plan, each with the memory of the flag, and what
// their clients saw.
type world struct {
	*traffic
	plan
	at     time.Time
	shield *lru.Cache[variant, local] // or nil
	caches []*lru.Cache[variant, local]

	asked      int // requests that came to the origin
	hits       int // answers of the first cache
	wrong      int // answers for another region
	old        int // answers that were too old
	took       time.Duration
	fromOrigin bool // the request came to the origin
	fromShield bool // or was answered by the shield
}

func newWorld(t *traffic, p plan) *world {
	w := &world{traffic: t, plan: p}
	source := w.ask
	if p.shield {
		w.shield = w.newCache(w.ask)
		source = w.askShield
	}
	count := 1
	if p.near {
		count = len(regions)
	}
	for range count {
		w.caches = append(w.caches, w.newCache(source))
	}
	return w
}

func (w *world) newCache(load func(context.Context, variant) (local, error)) *lru.Cache[variant, local] {
	capacity := w.mem << 20
	return lru.New(capacity, &lru.Options[variant, local]{
		Policy: w.policy,
		Load:   load,
		Cost:   func(v variant, _ local) int { return w.objects[v.key].size },
		TTLOf: func(v variant, l local) time.Duration {
			fresh := lifetimeOf(&w.objects[v.key])
			switch {
			case tooLarge(w.objects[v.key].size, capacity):
				return 0
			case w.newAge:
				return fresh
			}
			return fresh - w.at.Sub(l.date)
		},
		Shards: 1, // one goroutine; the default is for many
		Now:    func() time.Time { return w.at },
	})
}

// lifetimeOf returns for how long an answer may be kept.
func lifetimeOf(o *object) time.Duration {
	fresh, ok := behaviors[behaviorOf(o.path)].clamp(o.control)
	switch {
	case !ok:
		return 0
	case o.missing:
		return min(fresh, negative)
	}
	return fresh
}

// ask asks the origin, which answers for the region of the client.
func (w *world) ask(_ context.Context, v variant) (local, error) {
	w.asked++
	w.fromOrigin = true
	return local{region: v.region, date: w.at}, nil
}

// askShield asks the shield, which asks the origin if it has to.
func (w *world) askShield(ctx context.Context, v variant) (local, error) {
	w.fromShield = true
	return w.shield.Load(ctx, v)
}

// serve answers a request of a client in a region.
func (w *world) serve(ctx context.Context, r request, region int) error {
	w.at = time.Unix(1e9, 0).Add(r.at)
	w.fromOrigin = false
	w.fromShield = false
	cache := w.caches[0]
	if w.near {
		cache = w.caches[region]
	}

	// What is the same everywhere is kept once.
	v := variant{key: r.key, region: everywhere}
	if regional(r.key) && !w.byPath {
		v.region = region
	}
	var l local
	var err error
	if w.byPath {
		// The origin knows where the client is. The cache does not.
		l, err = cache.LoadFunc(ctx, v, func(ctx context.Context, v variant) (local, error) {
			return w.ask(ctx, variant{key: v.key, region: region})
		})
	} else {
		l, err = cache.Load(ctx, v)
	}
	if err != nil {
		return err
	}

	switch {
	case w.fromOrigin:
		w.took += miss
	case w.fromShield:
		w.took += hit + ocean
	case !w.near && region != 0:
		w.took += hit + ocean
		w.hits++
	default:
		w.took += hit
		w.hits++
	}
	if regional(r.key) && l.region != region {
		w.wrong++
	}
	if w.at.Sub(l.date) > lifetimeOf(&w.objects[r.key]) {
		w.old++
	}
	return nil
}

// strangers counts what the caches of the regions keep for other regions.
func (w *world) strangers() (n int) {
	for region, cache := range w.caches {
		for v := range cache.Keys() {
			if w.near && v.region != everywhere && v.region != region {
				n++
			}
		}
	}
	return n
}

// check checks the laws of a plan.
func (w *world) check() error {
	n := w.strangers()
	if !w.byPath && w.wrong > 0 || w.old > 0 || n > 0 {
		return fmt.Errorf("law broken: %s: %d answers for another region, %d older than their clamp, %d kept for another region",
			w.name, w.wrong, w.old, n)
	}
	return nil
}

// run lets all requests through. Where each client is was drawn by a seed.
func (w *world) run(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(w.seed, 3))
	quiet := context.WithoutCancel(ctx) // so that loads run in this goroutine
	for i, r := range w.requests {
		if i%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.serve(quiet, r, draw(rng)); err != nil {
			return err
		}
	}
	return w.check()
}

// draw returns a region, by its share of the requests.
func draw(rng *rand.Rand) int {
	x := rng.IntN(100)
	region := 0
	for ; x >= regions[region].share; region++ {
		x -= regions[region].share
	}
	return region
}

// reportRegions compares the plans.
func reportRegions(ctx context.Context, t *traffic, out io.Writer) error {
	fmt.Fprint(out, "a quarter of the objects has content of its own in each region; requests:\n")
	for _, r := range regions {
		fmt.Fprintf(out, "  %s %d %%", r.name, r.share)
	}
	fmt.Fprintln(out)
	fmt.Fprintf(out, "%-26s%13s%11s%9s%9s\n", "caches", "wrong region", "nearby", "origin", "mean")

	for _, p := range plans {
		w := newWorld(t, p)
		if err := w.run(ctx); err != nil {
			return err
		}
		fmt.Fprintf(out, "%-26s%13d%9.1f %%%9d%9s\n", p.name, w.wrong, percent(w.hits, len(t.requests)),
			w.asked, ms(w.took/time.Duration(len(t.requests))))
	}
	_, err := fmt.Fprint(out, "law holds: by path and region no client gets what was meant for another region,\n"+
		"           no region keeps it, and a second cache on the way adds no age\n\n")
	return err
}
