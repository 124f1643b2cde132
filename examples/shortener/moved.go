// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A reader clicks on a link that lasts for an hour, and goes on afterwards.
const (
	moveClicks = 24
	moveEvery  = 5 * time.Minute
	moveLasts  = time.Hour
)

// A browser keeps answers that it may keep, and asks for others: a 302 only if
// it says so, a 301 also if it does not.
type browser struct {
	deaf   bool // it knows of no max-age, or got none
	target string
	until  time.Time
}

// moves are what a reader saw, and what the service did.
type moves struct {
	asked   int    // requests that the service got
	counted uint64 // clicks that it knows of
	gone    int    // clicks that ended at 410
	late    int    // clicks that led to the target after the end
}

// reportMoved compares 302, 301 with a time, and 301 without.
func reportMoved(ctx context.Context, c *config, out io.Writer) error {
	fmt.Fprintf(out, "301 or 302: a reader clicks every %.0f minutes, %d times; the link ends after %.0f\n", moveEvery.Minutes(), moveClicks, moveLasts.Minutes())
	fmt.Fprintf(out, "%-26s%10s%10s%14s%18s\n", "", "requests", "counted", "told it ended", "led there anyway")
	for _, row := range []struct {
		name        string
		moved, deaf bool
	}{
		{"302, no-store", false, false},
		{"301, max-age to its end", true, false},
		{"301, no max-age", true, true},
	} {
		m, err := watch(ctx, c, row.moved, row.deaf)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-26s%10d%10d%14d%18d\n", row.name, m.asked, m.counted, m.gone, m.late)
		if row.deaf {
			continue // it shows what the others are for
		}
		if err := checkMoves(m, row.moved); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
	}
	_, err := fmt.Fprintf(out, "law holds: a 302 counts each click, and neither it nor a 301 outlives its link\n\n")
	return err
}

// checkMoves checks that nothing leads to the target after the end, and that
// all clicks on a link that is not moved for good are counted.
func checkMoves(m *moves, moved bool) error {
	alive := int(moveLasts / moveEvery)
	if m.late != 0 || m.gone != moveClicks-alive {
		return fmt.Errorf("%d clicks led to the target after the end, and %d of %d were told", m.late, m.gone, moveClicks-alive)
	}
	if !moved && (m.asked != moveClicks || m.counted != uint64(alive)) {
		return fmt.Errorf("%d requests and %d clicks, want %d and %d", m.asked, m.counted, moveClicks, alive)
	}
	return nil
}

// watch has a reader click on a link.
func watch(ctx context.Context, c *config, moved, deaf bool) (m *moves, err error) {
	w, err := newWorld(ctx, c.seed, 100)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	w.moved = moved
	r, err := w.client.post(ctx, address(0), request{URL: "https://example.com/", TTL: moveLasts.String()})
	if err != nil {
		return nil, err
	}
	code, ends := r.Code, w.now().Add(moveLasts)

	// The browser asks for what it does not have, or not any more.
	b := &browser{deaf: deaf}
	m = new(moves)
	for range moveClicks {
		if b.target == "" || !w.now().Before(b.until) {
			m.asked++
			if err := b.load(ctx, w, code); err != nil {
				return nil, err
			}
		}
		switch {
		case b.target == "":
			m.gone++
		case !w.now().Before(ends):
			m.late++
		}
		w.sleep(moveEvery)
	}
	m.counted, err = w.Clicks(code)
	return m, err
}

// load follows a link, and keeps the answer as long as it may.
func (b *browser) load(ctx context.Context, w *world, code string) error {
	r, err := w.client.get(ctx, code)
	if err != nil {
		return err
	}
	b.target, b.until = r.header.Get("Location"), w.now()
	if r.status != http.StatusMovedPermanently {
		return nil
	}
	_, age, _ := strings.Cut(r.header.Get("Cache-Control"), "max-age=")
	seconds, err := strconv.Atoi(age)
	if b.deaf {
		seconds = int(longest / time.Second)
	}
	b.until = b.until.Add(time.Duration(seconds) * time.Second)
	return err
}
