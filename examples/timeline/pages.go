// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// A session is somebody who reads page after page.
type session struct {
	cursor  int // the last post that was seen
	page    int // pages that were seen
	cursors map[int]bool
	numbers map[int]bool
}

// pages counts pages after the first, and posts on them that were seen before.
type pages struct{ read, again int }

// oneOf is how many pages are compared with a look at all posts.
const oneOf = 10

// read lets a user read a page in all feeds, and compares them.
func (w *world) read(e event) error {
	s := w.sessions[e.user]
	if e.kind == read || s == nil {
		s = &session{cursor: newest, cursors: map[int]bool{}, numbers: map[int]bool{}}
		w.sessions[e.user] = s
	}
	var first []int
	for i, f := range w.feeds {
		list := f.page(e.user, s.cursor)
		if i == 0 {
			first = list
		} else if !slices.Equal(list, first) {
			return fmt.Errorf("law broken: user %d sees the posts %v by %v, and %v by %v", e.user, first, w.feeds[0], list, f)
		}
	}
	w.checked++

	// Now and then, and when somebody reads on, look at all posts.
	if w.checked%oneOf == 0 || s.page > 0 {
		w.looked++
		truth := w.timeline(e.user)
		if want := cut(slices.Clone(truth), s.cursor); !slices.Equal(first, want) {
			return fmt.Errorf("law broken: user %d sees the posts %v, want %v", e.user, first, want)
		}
		from := min(s.page*pageLen, len(truth))
		w.byNumber.turn(truth[from:min(from+pageLen, len(truth))], s.numbers, s.page > 0)
	} else {
		w.byNumber.turn(first, s.numbers, false) // the first page is the same
	}
	w.cursors.turn(first, s.cursors, s.page > 0)
	if w.cursors.again > 0 {
		return fmt.Errorf("law broken: user %d sees a post of %v again below the cursor %d", e.user, first, s.cursor)
	}
	s.page++
	if len(first) > 0 {
		s.cursor = first[len(first)-1]
	}
	return nil
}

// turn counts a page. Its posts have been seen then.
func (p *pages) turn(list []int, seen map[int]bool, next bool) {
	if next {
		p.read++
	}
	for _, n := range list {
		if seen[n] {
			p.again++
		}
		seen[n] = true
	}
}

// reportPages prints what pages and follows cost.
func reportPages(ctx context.Context, t *trial, w io.Writer) error {
	world := t.newWorld()
	push := world.add("push", always)
	hybrid := world.add("hybrid", t.threshold)
	if err := t.play(ctx, world); err != nil {
		return err
	}
	fmt.Fprintf(w, "of %d pages after the first\n", world.cursors.read)
	fmt.Fprintf(w, "  by cursor, 20 below the last post: %d posts were seen before\n", world.cursors.again)
	fmt.Fprintf(w, "  by number, 21-40, 41-60, ...:      %d posts were seen before\n", world.byNumber.again)
	fmt.Fprintf(w, "%-16s%18s%18s%22s\n", "", "follows: posts", "unfollows: posts", "lists looked at to")
	fmt.Fprintf(w, "%-16s%18s%18s%22s\n", "", "brought in", "taken out", "fill the hundred")
	for _, f := range []*feed{push, hybrid} {
		fmt.Fprintf(w, "%-16s%18d%18d%22d\n", f, f.backfilled, f.removed, f.refilled)
	}
	if hybrid.promoted+hybrid.demoted > 0 {
		fmt.Fprintf(w, "authors who passed the threshold: %d upward, %d downward (%d posts pushed late)\n", hybrid.promoted, hybrid.demoted, hybrid.caughtUp)
	}
	_, err := fmt.Fprint(w, "law holds: by cursor no post was seen twice\n\n")
	return err
}
