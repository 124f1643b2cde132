// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// A step of the conversation is a request, and the status that its answer must
// have.
type step struct {
	ask    request
	follow string // a code, instead of a request; $1 is that of the first step
	sleep  time.Duration
	want   int
}

// conversation has one of each answer.
var conversation = []step{
	{ask: request{URL: "HTTPS://Example.COM:443/a/../%7eme?q=a%2fb#top"}, want: http.StatusCreated},
	{ask: request{URL: "https://example.com/~me?q=a%2Fb#top"}, want: http.StatusOK},
	{follow: "$1", want: http.StatusFound},
	{ask: request{URL: "https://example.com/sale", Alias: "sale", TTL: "24h"}, want: http.StatusCreated},
	{ask: request{URL: "https://example.org/", Alias: "sale"}, want: http.StatusConflict},
	{follow: "sale", want: http.StatusFound},
	{follow: "sale", sleep: 24 * time.Hour, want: http.StatusGone},
	{follow: "sale", sleep: grace + time.Second, want: http.StatusNotFound},
	{follow: "nobody", want: http.StatusNotFound},
	{ask: request{URL: "javascript:alert(document.cookie)"}, want: http.StatusBadRequest},
	{ask: request{URL: "data:text/html,<h1>Your bank</h1>"}, want: http.StatusBadRequest},
	{ask: request{URL: "https://bank.example@example.net/"}, want: http.StatusBadRequest},
	{ask: request{URL: site + "/sale"}, want: http.StatusBadRequest},
}

// reportTalk shows requests and answers, and what a client gets that asks too
// often.
func reportTalk(ctx context.Context, c *config, out io.Writer) (err error) {
	w, err := newWorld(ctx, c.seed, 100)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	fmt.Fprintln(out, "the API: links that are made, and followed")
	var first string
	for _, s := range conversation {
		line, code, err := w.step(ctx, s, first)
		if err != nil {
			return err
		}
		if first == "" {
			first = code
		}
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out)
	return w.hammer(ctx, out)
}

// step makes one step, and returns a line about it.
func (w *world) step(ctx context.Context, s step, first string) (line, code string, err error) {
	waited := ""
	if s.sleep > 0 {
		w.sleep(s.sleep)
		if _, err := w.Sweep(ctx); err != nil {
			return "", "", err
		}
		waited = fmt.Sprintf("%.0f hours later: ", s.sleep.Hours())
	}
	var r *reply
	var asked string
	if s.follow != "" {
		to := strings.ReplaceAll(s.follow, "$1", first)
		asked = waited + "GET /" + to
		r, err = w.client.get(ctx, to)
	} else {
		asked = "POST " + s.ask.URL
		if s.ask.Alias != "" {
			asked += " as " + s.ask.Alias
		}
		if s.ask.TTL != "" {
			asked += ", " + s.ask.TTL
		}
		r, err = w.client.post(ctx, address(0), s.ask)
	}
	if err != nil {
		return "", "", err
	}
	if r.status != s.want {
		return "", "", fmt.Errorf("%s: the answer is %d, want %d", asked, r.status, s.want)
	}

	got := r.Error
	switch {
	case r.Short != "":
		got = r.Short
	case r.header.Get("Location") != "":
		got = "to " + r.header.Get("Location")
	}
	line = fmt.Sprintf("%s\n%8d %s", asked, r.status, got)
	return strings.TrimRight(line, " "), r.Code, nil
}

// hammer has a client ask for 25 links at once, and for as many a minute later.
func (w *world) hammer(ctx context.Context, out io.Writer) error {
	const tries = 25
	from := w.at.Load()
	admitted := 0
	for minute := range 2 {
		var made, refused int
		var retry string
		for i := range tries {
			r, err := w.client.post(ctx, address(1), request{URL: fmt.Sprintf("https://example.com/spam/%d", minute*tries+i)})
			if err != nil {
				return err
			}
			switch r.status {
			case http.StatusCreated:
				made++
			case http.StatusTooManyRequests:
				refused++
				retry = r.header.Get("Retry-After")
			default:
				return fmt.Errorf("a link of a client that asks too often: the answer is %d: %s", r.status, r.Error)
			}
		}
		fmt.Fprintf(out, "%d links wanted at once: %d × 201, %d × 429, Retry-After: %s s\n", tries, made, refused, retry)
		admitted += made
		if minute == 0 {
			w.sleep(time.Minute)
		}
	}

	// What one client does is nothing to another.
	if err := checkAdmitted(admitted, time.Duration(w.at.Load()-from)); err != nil {
		return err
	}
	r, err := w.client.post(ctx, address(2), request{URL: "https://example.com/"})
	if err != nil {
		return err
	}
	if r.status != http.StatusCreated {
		return fmt.Errorf("a client suffers from another: the answer is %d", r.status)
	}
	_, err = fmt.Fprintf(out, "law holds: a client makes %d links and %d more a minute, and others their own\n\n", linksPerClient, linksPerClient)
	return err
}

// checkAdmitted checks that a client got no more than its bucket held, and was
// given meanwhile, and no less: it has asked for more.
func checkAdmitted(links int, in time.Duration) error {
	most := linksPerClient + int(linksPerClient*in/time.Minute)
	if links != most {
		return fmt.Errorf("a client has made %d links in %v, want %d", links, in, most)
	}
	return nil
}
