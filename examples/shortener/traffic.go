// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// clicksPerLink and scansPerLink say how much traffic there is.
const (
	clicksPerLink = 6
	scansPerLink  = 6
)

// inCache is the part of the links that the cache has room for: 1 of inCache.
const inCache = 10

// sigmas is how far a measured rate may be from the predicted one. A run in a
// billion is further away.
const sigmas = 6

// A crowd is the traffic of the report, as those who make it see it.
type crowd struct {
	*world
	codes  []string       // of links
	clicks map[string]int // by code
	scans  int            // of codes that do not exist
}

// reportTraffic has many make links, many click on some of them, and a scanner
// try codes.
func reportTraffic(ctx context.Context, c *config, out io.Writer) (err error) {
	w, err := newWorld(ctx, c.seed, c.n/inCache)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	t := &crowd{world: w, clicks: map[string]int{}}
	promises, err := t.make(ctx, c.n)
	if err != nil {
		return err
	}
	clicked, err := t.click(ctx, c)
	if err != nil {
		return err
	}
	scanned, err := t.scan(ctx, c)
	if err != nil {
		return err
	}
	if _, _, err := t.check(promises); err != nil {
		return err
	}

	fmt.Fprintf(out, "traffic: %d links, of which the cache holds %d; each row says where it ended\n", c.n, c.n/inCache)
	fmt.Fprintf(out, "%-26s%16s%16s\n", "", "clicks", "guessed codes")
	for _, row := range []struct {
		name string
		of   func(ends) uint64
	}{
		{"asked", func(e ends) uint64 { return e.asked }},
		{"refused by the filter", func(e ends) uint64 { return e.refused }},
		{"the filter was wrong", func(e ends) uint64 { return e.wrong }},
		{"answered by the cache", func(e ends) uint64 { return e.hits }},
		{"read from the database", func(e ends) uint64 { return e.asked - e.refused - e.hits }},
	} {
		fmt.Fprintf(out, "%-26s%16d%16d\n", row.name, row.of(clicked), row.of(scanned))
	}
	return t.judge(out, clicked, scanned)
}

// judge prints what was predicted, and the laws.
func (t *crowd) judge(out io.Writer, clicked, scanned ends) error {
	predicted := t.known.Rate()
	measured := float64(scanned.wrong) / float64(scanned.asked)
	fmt.Fprintf(out, "errors of the filter: %.2f %% predicted, %.2f %% measured, at most %.0f %% promised\n", 100*predicted, 100*measured, 100*falseRate)
	if err := checkFilter(clicked, scanned, predicted); err != nil {
		return err
	}
	fmt.Fprintln(out, "law holds: the filter refused no link, and was wrong as often as predicted")

	// Those that were clicked most, by the count of the service.
	top := slices.Clone(t.codes)
	slices.SortStableFunc(top, func(a, b string) int { return t.clicks[b] - t.clicks[a] })
	for _, code := range top[:5] {
		n, err := t.Clicks(code)
		if err != nil {
			return err
		}
		bar := strings.Repeat("█", int(math.Ceil(50*float64(n)/float64(t.clicks[top[0]]))))
		fmt.Fprintf(out, "%s %5d %s\n", code, n, bar)
	}
	if err := t.checkClicks(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "law holds: each of the %d clicks was counted once, %d at a time\n\n", clicked.asked, behind)
	return err
}

// make has each client make as many links as it may, and ask for one of them
// again.
func (t *crowd) make(ctx context.Context, n int) (promises []promise, err error) {
	for i := range n {
		q := request{URL: fmt.Sprintf("https://example.com/%d", i)}
		r, err := t.client.post(ctx, address(i/linksPerClient), q)
		if err != nil {
			return nil, err
		}
		if r.status != http.StatusCreated {
			return nil, fmt.Errorf("link %d: the answer is %d: %s", i, r.status, r.Error)
		}
		t.codes = append(t.codes, r.Code)
		promises = append(promises, promise{code: r.Code, url: r.URL})
	}
	return promises, nil
}

// ends counts where lookups ended.
type ends struct{ asked, refused, wrong, hits uint64 }

func (t *crowd) ends() ends {
	return ends{t.asked.Load(), t.refused.Load(), t.wrong.Load(), t.hot.Stats().Hits}
}

func (e ends) sub(b ends) ends {
	return ends{e.asked - b.asked, e.refused - b.refused, e.wrong - b.wrong, e.hits - b.hits}
}

// click clicks on links, some of which are much more popular than others.
func (t *crowd) click(ctx context.Context, c *config) (ends, error) {
	before := t.ends()
	z := rand.NewZipf(rand.New(rand.NewPCG(c.seed, 2)), 1.1, 8, uint64(c.n-1))
	for range clicksPerLink * c.n {
		code := t.codes[z.Uint64()]
		r, err := t.client.get(ctx, code)
		if err != nil {
			return ends{}, err
		}
		if r.status != http.StatusFound {
			return ends{}, fmt.Errorf("a click on %s: the answer is %d", code, r.status)
		}
		t.clicks[code]++
	}
	return t.ends().sub(before), nil
}

// scan tries codes at random. None of them exists, or the scanner was lucky and
// tries another.
func (t *crowd) scan(ctx context.Context, c *config) (ends, error) {
	before := t.ends()
	random := rand.New(rand.NewPCG(c.seed, 3))
	made := map[string]bool{}
	for _, code := range t.codes {
		made[code] = true
	}
	for t.scans < scansPerLink*c.n {
		code := encode(random.Uint64N(t.perm.size), codeLen)
		if made[code] {
			continue
		}
		t.scans++
		r, err := t.client.get(ctx, code)
		if err != nil {
			return ends{}, err
		}
		if r.status != http.StatusNotFound {
			return ends{}, fmt.Errorf("%s was guessed: the answer is %d", code, r.status)
		}
	}
	return t.ends().sub(before), nil
}

// checkFilter checks that the filter refused no code that exists, and about as
// many others as it predicts: their number is binomial, and so within sigmas
// deviations of its mean, with a little for means that are small.
func checkFilter(clicked, scanned ends, predicted float64) error {
	if clicked.refused != 0 || clicked.wrong != 0 {
		return fmt.Errorf("the filter has refused %d links, and knew %d that do not exist", clicked.refused, clicked.wrong)
	}
	n := float64(scanned.asked)
	mean := n * predicted
	if off := math.Abs(float64(scanned.wrong) - mean); off > sigmas*(math.Sqrt(mean*(1-predicted))+1) {
		return fmt.Errorf("the filter was wrong %d times of %.0f, and predicts %.1f", scanned.wrong, n, mean)
	}
	if scanned.asked != scanned.refused+scanned.wrong {
		return fmt.Errorf("of %d codes that do not exist %d were refused, and %d not found", scanned.asked, scanned.refused, scanned.wrong)
	}
	return nil
}

// checkClicks checks that each link was clicked as often as it is counted.
func (t *crowd) checkClicks() error {
	for _, code := range t.codes {
		n, err := t.Clicks(code)
		if err != nil {
			return err
		}
		if int(n) != t.clicks[code] {
			return fmt.Errorf("%s was clicked %d times, and %d are counted", code, t.clicks[code], n)
		}
	}
	return nil
}
