// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// An object is what a path leads to.
type object struct {
	path    string
	size    int
	tags    []string
	control string // what the origin says, as Cache-Control
	missing bool   // the origin says 404
}

// A request asks for an object.
type request struct {
	at    time.Duration // since the first
	key   int           // of the object
	again bool          // the client has a copy, and sends its ETag
}

// A change is a new version of an object, at the origin.
type change struct {
	at    time.Duration
	key   int
	purge purge
}

// A purge says what is purged when an object changes.
type purge int

const (
	byNone purge = iota // the old version stays until it is too old
	byPath
	byTag // of the object: other objects that have it are purged as well
)

// A traffic is what goes through the cluster.
type traffic struct {
	*config
	title    string
	objects  []object
	requests []request
	changes  []change
	number   map[string]int // of the object of a path
}

// object returns the number of the object with a path. If it is new, make makes
// it.
func (t *traffic) object(path string, make func() object) int {
	key, ok := t.number[path]
	if !ok {
		key = len(t.objects)
		if t.number == nil {
			t.number = map[string]int{}
		}
		t.number[path] = key
		o := make()
		o.path = path
		t.objects = append(t.objects, o)
	}
	return key
}

// The generated traffic: so many requests a second, for most of the time; a
// crowd that wants one post, and a crawler that reads what nobody else does.
const (
	perSecond = 8
	postCount = 200
)

// generate makes the requests.
func (t *traffic) generate() {
	rng := rand.New(rand.NewPCG(t.seed, 1))
	zipf := rand.NewZipf(rng, 1.2, 4, postCount-1)
	total := time.Duration(t.n) * time.Second / perSecond
	part := func(from, length float64) time.Duration {
		return time.Duration((from + length*rng.Float64()) * float64(total))
	}

	for i := range t.n {
		r := request{again: rng.IntN(8) == 0}
		switch {
		case i%12 == 5:
			r.at = part(0.40, 0.01)
			r.key = t.post(rng, 7)
			if rng.IntN(2) == 0 {
				r.key = t.picture(rng, 7)
			}
		case i%100 == 3:
			r.at = part(0.60, 0.003)
			r.key = t.object(fmt.Sprintf("/archive/%d", i), func() object { return object{size: 5_000 + rng.IntN(30_000)} })
		default:
			r.at = part(0, 1)
			r.key = t.regular(rng, zipf, i)
		}
		t.requests = append(t.requests, r)
	}
	slices.SortStableFunc(t.requests, func(a, b request) int { return cmp.Compare(a.at, b.at) })
	t.title = fmt.Sprintf("generated, in %v", total.Round(time.Second))
	t.change(rng)
}

// regular returns the object of a request of the usual kind.
func (t *traffic) regular(rng *rand.Rand, zipf *rand.Zipf, i int) int {
	switch x := rng.IntN(100); {
	case x < 20:
		id := zipf.Uint64() % 16
		return t.object(fmt.Sprintf("/stories/%d", id), func() object {
			return object{size: 20_000 + rng.IntN(180_000), control: "max-age=10", tags: []string{fmt.Sprintf("author-%d", id%6)}}
		})
	case x < 40:
		return t.post(rng, int(zipf.Uint64()))
	case x < 70:
		return t.picture(rng, int(zipf.Uint64()))
	case x < 91:
		names := []string{"site.css", "app.js", "chat.js", "print.css"}
		return t.object("/static/"+names[rng.IntN(len(names))], func() object {
			return object{size: 5_000 + rng.IntN(100_000), control: "public, max-age=600", tags: []string{"static"}}
		})
	case x < 94:
		return t.object(fmt.Sprintf("/gone/%d", zipf.Uint64()%3), func() object {
			return object{size: 500, missing: true}
		})
	case x < 95:
		return t.object(fmt.Sprintf("/account/%d", rng.IntN(50)), func() object {
			return object{size: 3_000, control: "private, no-store"}
		})
	case x < 99:
		return t.picture(rng, int(zipf.Uint64()))
	}

	// A picture that nobody asks for again.
	return t.object(fmt.Sprintf("/img/once-%d.jpg", i), func() object {
		return object{size: 20_000 + rng.IntN(500_000)}
	})
}

// post returns a post, and picture its picture: a tag of the post is on both.
func (t *traffic) post(rng *rand.Rand, i int) int {
	return t.object(fmt.Sprintf("/posts/%d", i), func() object {
		return object{size: 5_000 + rng.IntN(30_000), control: "max-age=86400", tags: []string{fmt.Sprintf("post-%d", i)}}
	})
}

func (t *traffic) picture(rng *rand.Rand, i int) int {
	return t.object(fmt.Sprintf("/img/%d.jpg", i), func() object {
		return object{size: 20_000 + rng.IntN(200_000), tags: []string{fmt.Sprintf("post-%d", i)}}
	})
}

// correction is how long after a request for it an object is changed: its
// answer is on its way.
const correction = miss / 3

// change makes the changes: one for each 300 requests, of any object that is
// asked for now and then. Most are corrected at once, while somebody fetches
// the first one.
func (t *traffic) change(rng *rand.Rand) {
	asked := make([][]int, len(t.objects)) // the requests of each
	for i, r := range t.requests {
		asked[r.key] = append(asked[r.key], i)
	}
	order := rng.Perm(len(t.objects))
	slices.SortStableFunc(order, func(a, b int) int { return min(len(asked[b]), 10) - min(len(asked[a]), 10) })
	popular := 0
	for popular < len(order) && len(asked[order[popular]]) >= 10 {
		popular++
	}
	for range max(len(t.requests)/300, 1) {
		key := order[rng.IntN(max(popular, 1))]
		i := asked[key][rng.IntN(len(asked[key]))]
		r := t.requests[i]
		kind := purge(rng.IntN(3))
		t.changes = append(t.changes, change{at: r.at + correction, key: r.key, purge: kind})
		for _, next := range t.requests[i+1 : min(i+2000, len(t.requests))] {
			if next.key == r.key && next.at > r.at+2*miss {
				t.changes = append(t.changes, change{at: next.at + correction, key: r.key, purge: kind})
				break
			}
		}
	}
	slices.SortStableFunc(t.changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
}

// hottest returns the objects that are asked for most: an operator pins them.
func (t *traffic) hottest(n int) map[int]bool {
	count := make([]int, len(t.objects))
	order := make([]int, len(t.objects))
	for i := range order {
		order[i] = i
	}
	for _, r := range t.requests {
		count[r.key]++
	}
	slices.SortStableFunc(order, func(a, b int) int { return count[b] - count[a] })
	pinned := map[int]bool{}
	for _, key := range order[:min(n, len(order))] {
		pinned[key] = true
	}
	return pinned
}
