// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/lru"
)

// A home is the timeline of a user as far as posts were pushed into it: at most
// timelineLen, the newest last.
type home struct{ list []int }

// A work counts what was done.
type work struct {
	posts, written, mostWritten int // copies into timelines
	reads, lists, mostLists     int // lists that readings looked at
	backfilled                  int // posts that a follow brought
	removed, refilled           int // posts that an unfollow took out, and lists that were looked at to fill the gap
	promoted, demoted           int // authors who came to be pulled, or pushed
	caughtUp                    int // posts of the latter that were pushed late
	spared, rebuilt             int // copies into timelines that are not there, and timelines made again
}

// total is the work of posts and readings.
func (w *work) total() int { return w.written + w.lists }

// A feed is a way to make timelines. Authors with as many followers as the
// threshold, or more, are pulled, and the others pushed.
type feed struct {
	name      string
	threshold int
	g         *graph
	p         *posts
	homes     *lru.Cache[int, *home]
	pulled    []bool
	work

	// In tests, what goes wrong.
	noBackfill, noRefill bool
}

// always is the threshold that pushes all.
const always = math.MaxInt

// newFeed returns a feed of nothing. If ttl is not 0, a timeline is forgotten
// so long after it was made, or up to a half earlier, as chance will have it.
// Options.Jitter of a cache does so; here the seed of the trial is the chance.
func newFeed(name string, threshold int, g *graph, p *posts, ttl time.Duration, rng *rand.Rand, now func() time.Time) *feed {
	opts := &lru.Options[int, *home]{Now: now}
	if ttl > 0 {
		opts.TTLOf = func(int, *home) time.Duration { return ttl - time.Duration(rng.Int64N(int64(ttl)/2)) }
	}
	f := &feed{
		name:      name,
		threshold: threshold,
		g:         g,
		p:         p,
		homes:     lru.New(len(g.count), opts),
		pulled:    make([]bool, len(g.count)),
	}
	for author, n := range g.count {
		f.pulled[author] = n >= threshold
	}
	if ttl == 0 {
		for user := range g.count {
			f.homes.Set(user, new(home))
		}
	}
	return f
}

// post pushes a new post, unless its author is pulled.
func (f *feed) post(author, n int) {
	f.posts++
	if f.pulled[author] {
		return
	}
	written := 0
	for user := range of(f.g.followers, author) {
		h, ok := f.homes.Peek(user)
		if !ok {
			f.spared++ // nobody has read it for long: it is made when somebody does
			continue
		}
		h.push(n)
		written++
	}
	f.written += written
	f.mostWritten = max(f.mostWritten, written)
}

// push adds the newest post, and drops the oldest one.
func (h *home) push(n int) {
	if len(h.list) == timelineLen {
		copy(h.list, h.list[1:])
		h.list = h.list[:timelineLen-1]
	}
	h.list = append(h.list, n)
}

// add brings older posts in.
func (h *home) add(list []int) {
	h.list = append(h.list, list...)
	slices.Sort(h.list)
	h.list = slices.Compact(h.list)
	h.list = h.list[max(len(h.list)-timelineLen, 0):]
}

// page returns the page below a cursor of the timeline of a user, newest first.
func (f *feed) page(user, cursor int) []int {
	// Of the first page no more can be needed; of others nobody knows how many
	// posts are above.
	need := timelineLen
	if cursor == newest {
		need = pageLen
	}
	var list []int
	lists := 0
	if f.threshold > 0 {
		lists++
		list = append(list, f.home(user).list...)
	}
	for author := range of(f.g.follows, user) {
		if f.pulled[author] {
			lists++
			list = f.p.appendBy(list, author, need)
		}
	}
	f.reads++
	f.lists += lists
	f.mostLists = max(f.mostLists, lists)
	return cut(list, cursor)
}

// cut sorts posts, the newest first, and returns the page below a cursor of the
// first hundred.
func cut(list []int, cursor int) []int {
	slices.SortFunc(list, func(a, b int) int { return b - a })
	list = slices.Compact(list)
	list = list[:min(len(list), timelineLen)]
	for i, n := range list {
		if n < cursor {
			return list[i:min(i+pageLen, len(list))]
		}
	}
	return nil
}

// home returns what was pushed to a user. If it was forgotten, it is made
// again.
func (f *feed) home(user int) *home {
	if h, ok := f.homes.Get(user); ok {
		return h
	}
	h := new(home)
	f.rebuilt++
	f.lists += f.refill(h, user)
	f.homes.Set(user, h)
	return h
}

// refill looks at the posts of all whom a user follows and who are pushed, and
// returns how many these are.
func (f *feed) refill(h *home, user int) (lists int) {
	var list []int
	for author := range of(f.g.follows, user) {
		if !f.pulled[author] {
			lists++
			list = f.p.appendBy(list, author, timelineLen)
		}
	}
	h.add(list)
	return lists
}

// followed takes in that a user follows an author now.
func (f *feed) followed(user, author int) {
	if !f.pulled[author] && f.g.count[author] >= f.threshold {
		f.pulled[author] = true // what was pushed may stay: it is old
		f.promoted++
	}
	if f.pulled[author] {
		return
	}
	f.backfilled += f.backfill(user, author)
}

// backfill brings the posts of an author into the timeline of a user, and
// returns how many these are.
func (f *feed) backfill(user, author int) int {
	h, ok := f.homes.Peek(user)
	if !ok || f.noBackfill {
		return 0
	}
	list := f.p.appendBy(nil, author, timelineLen)
	h.add(list)
	return len(list)
}

// unfollowed takes in that a user does not follow an author any more.
func (f *feed) unfollowed(user, author int) {
	if h, ok := f.homes.Peek(user); ok {
		full := len(h.list) == timelineLen
		before := len(h.list)
		h.list = slices.DeleteFunc(h.list, func(n int) bool { return f.p.authors[n] == author })
		f.removed += before - len(h.list)

		// A timeline that was not full has all that there is. One that was may
		// have dropped what is missing now.
		if full && len(h.list) < before && !f.noRefill {
			f.refilled += f.refill(h, user)
		}
	}

	// With fewer followers the author may have to be pushed, to all of them.
	if f.pulled[author] && f.g.count[author] < f.threshold {
		f.pulled[author] = false
		f.demoted++
		for other := range of(f.g.followers, author) {
			f.caughtUp += f.backfill(other, author)
		}
	}
}

// A world is a trial as it goes on, with all feeds side by side.
type world struct {
	g        *graph
	p        *posts
	feeds    []*feed
	at       time.Time
	sessions map[int]*session
	checked  int // pages that were compared
	looked   int // of these, with a look at all posts
	cursors  pages
	byNumber pages
}

// newWorld returns the beginning of a trial, without feeds.
func (t *trial) newWorld() *world {
	return &world{
		g:        t.first.clone(),
		p:        newPosts(),
		at:       time.Unix(1e9, 0),
		sessions: map[int]*session{},
	}
}

func (w *world) now() time.Time { return w.at }

// add adds a feed.
func (w *world) add(name string, threshold int) *feed {
	f := newFeed(name, threshold, w.g, w.p, 0, nil, w.now)
	w.feeds = append(w.feeds, f)
	return f
}

// do lets an event happen.
func (w *world) do(e event) error {
	w.at = w.at.Add(step)
	switch e.kind {
	case post:
		n := w.p.add(e.user)
		for _, f := range w.feeds {
			f.post(e.user, n)
		}
	case read, readOn:
		return w.read(e)
	case follow:
		if e.user != e.other && w.g.add(edge{e.user, e.other}) {
			for _, f := range w.feeds {
				f.followed(e.user, e.other)
			}
		}
	case unfollow:
		if w.g.remove(edge{e.user, e.other}) {
			for _, f := range w.feeds {
				f.unfollowed(e.user, e.other)
			}
		}
	}
	return nil
}

// timeline returns what a user should see, newest first: it looks at all posts.
func (w *world) timeline(user int) (list []int) {
	for n := len(w.p.authors) - 1; n >= 0 && len(list) < timelineLen; n-- {
		if w.g.follows.Has(edge{user, w.p.authors[n]}) {
			list = append(list, n)
		}
	}
	return list
}

// String names a feed with its threshold.
func (f *feed) String() string {
	if f.threshold > 0 && f.threshold < always {
		return fmt.Sprintf("%s %d", f.name, f.threshold)
	}
	return f.name
}
