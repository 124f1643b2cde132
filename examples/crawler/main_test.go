// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// TestGolden pins the report of the default input.
func TestGolden(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), nil, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("report differs from %s; run with -update and look at the difference. Got:\n%s", golden, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestPropWebs crawls other webs, which may be small, with filters that err a
// lot, and any number of crawlers: the laws hold.
func TestPropWebs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		if testing.Short() && rapid.IntRange(0, 9).Draw(rt, "left out") > 0 {
			return
		}
		c := &config{
			pages:    rapid.IntRange(100, 400).Draw(rt, "pages"),
			p:        rapid.SampledFrom([]float64{0.0001, 0.01, 0.3}).Draw(rt, "p"),
			crawlers: rapid.IntRange(2, 8).Draw(rt, "crawlers"),
			seed:     rapid.Uint64().Draw(rt, "seed"),
		}
		if err := c.execute(t.Context(), io.Discard); err != nil {
			rt.Error(err)
		}
	})
}

// TestFaults crawls with crawlers that do something wrong: a law sees each.
func TestFaults(t *testing.T) {
	for name, c := range map[string]*config{
		"requests":         {rude: true},
		"was not fetched":  {forgetful: true},
		"was fetched":      {careless: true},
		"of calendar.exam": {greedy: true},
	} {
		c.pages, c.crawlers, c.p, c.seed = 2000, 4, 0.001, 1
		if err := c.execute(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// What a crawler could do to the other laws.
	for name, change := range map[string]func(*crawling){
		"was asked for":    func(cr *crawling) { cr.web.hits = append(cr.web.hits, hit{url: "http://a" + private + "1", ok: true}) },
		"before robots":    func(cr *crawling) { cr.web.hits = append(cr.web.hits, hit{url: "http://new/", host: "new", ok: true}) },
		"predicted":        func(cr *crawling) { cr.crawlers[0].errs += 30 },
		"while it was dow": func(cr *crawling) { cr.web.hits = append(cr.web.hits, make([]hit, 30)...); cr.blame(30) },
		"which lives":      func(cr *crawling) { cr.moved["a"] = [2]string{"c1", "c2"} },
		"does not begin":   func(cr *crawling) { cr.crawlers[0].roots[2].root[0]++ },
		"links to":         func(cr *crawling) { clear(cr.missed); cr.web.hits = cr.web.hits[:100] },
	} {
		cr, err := (&config{pages: 300, crawlers: 3, p: 0.01, seed: 1}).crawl(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		change(cr)
		err = nil
		for _, law := range []func() (string, error){cr.lawRobots, cr.lawFilter, cr.lawDown, cr.lawMoved, cr.lawLog, cr.lawFound} {
			if _, broken := law(); broken != nil && err == nil {
				err = broken
			}
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// blame makes the last n requests those of the host that is down.
func (cr *crawling) blame(n int) {
	for i := range n {
		cr.web.hits[len(cr.web.hits)-1-i] = hit{url: "http://x/", host: cr.web.names[down]}
	}
}

// TestCheckpoint checks that a log which was changed is found out.
func TestCheckpoint(t *testing.T) {
	cr, err := (&config{pages: 300, crawlers: 3, p: 0.01, seed: 1}).crawl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cp := *cr.crawlers[0].saved
	if _, err := cp.restore(); err != nil || len(cp.log) == 0 {
		t.Fatalf("a checkpoint of %d pages: %v", len(cp.log), err)
	}
	cp.log = append([][]byte{[]byte("http://a/ 00")}, cp.log[1:]...)
	if _, err := cp.restore(); err == nil {
		t.Error("a page was changed: no error")
	}
}

// TestNormalize checks the ways in which one address is written.
func TestNormalize(t *testing.T) {
	base := &url.URL{Scheme: "http", Host: "a.example", Path: "/dir/page"}

	for link, want := range map[string]string{
		"http://a.example/x":       "http://a.example/x",
		"HTTP://A.Example/x":       "http://a.example/x",
		"http://a.example:80/x":    "http://a.example/x",
		"http://a.example:8080/x":  "http://a.example:8080/x",
		"http://a.example/x#top":   "http://a.example/x",
		"http://a.example/x?":      "http://a.example/x",
		"http://a.example/x?q=1":   "http://a.example/x?q=1",
		"http://a.example/y/../x":  "http://a.example/x",
		"http://a.example":         "http://a.example/",
		"x":                        "http://a.example/dir/x",
		"/x":                       "http://a.example/x",
		"//b.example/x":            "http://b.example/x",
		"mailto:someone@a.example": "",
		"ftp://a.example/x":        "",
		"http://[::1":              "",
	} {
		u, err := normalize(link, base)
		if want == "" {
			if err == nil {
				t.Errorf("%s: %v, want an error", link, u)
			}
			continue
		}
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v, want %s", link, u, err, want)
		}
	}
}

// TestTooMany checks the windows of the law by hand.
func TestTooMany(t *testing.T) {
	s := time.Second
	for _, tt := range []struct {
		at  []time.Duration
		bad bool
	}{
		{[]time.Duration{0, 0, 0, 0, s, s}, false},
		{[]time.Duration{0, 0, 0, 0, 0}, true},
		{[]time.Duration{0, 0, 0, 0, s, s, s}, true},
		{[]time.Duration{0, 10 * s, 10 * s, 10 * s, 10 * s, 10 * s}, true},
	} {
		if _, _, bad := tooMany(tt.at, 4, 2); bad != tt.bad {
			t.Errorf("%v: %t", tt.at, bad)
		}
	}
}

// TestInput checks that a wrong flag is an error of the input.
func TestInput(t *testing.T) {
	for _, args := range []string{"-pages 5", "-pages x", "-p 0", "-p NaN", "-crawlers 1", "-crawlers 99", "-nosuch", "stray"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestEnds checks that the program ends when it is interrupted, or when nothing
// can be printed.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if err := run(t.Context(), []string{"-pages", "100"}, fullDisk{}, io.Discard); err == nil {
		t.Error("no error although nothing could be printed")
	}
}
