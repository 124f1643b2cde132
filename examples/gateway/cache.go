// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/lru"
)

// cached are the services whose answers are the same for everybody.
var cached = []string{"products", "web"}

// A freshness says how old an answer of the cache may be, in the time of the
// log.
type freshness struct {
	ttl   time.Duration // until then it is returned as it is
	swr   time.Duration // so much longer while a new one is fetched: stale while revalidate
	stale time.Duration // so much longer still while the service fails: stale if error
}

// maxAge bounds each time of a freshness, so that sums of them are times.
const maxAge = 1000 * 24 * time.Hour

func (f *freshness) validate() error {
	switch {
	case f.ttl <= 0 || f.ttl > maxAge:
		return fmt.Errorf("-ttl must be positive and at most %v, got %v", maxAge, f.ttl)
	case f.swr < 0 || f.swr > maxAge:
		return fmt.Errorf("-swr must be between 0 and %v, got %v", maxAge, f.swr)
	case f.stale < 0 || f.stale > maxAge:
		return fmt.Errorf("-stale must be between 0 and %v, got %v", maxAge, f.stale)
	}
	return nil
}

const (
	spread   = 0.1             // the part of its time by which an answer may live shorter
	retryIn  = 5 * time.Second // how long a service that failed is not asked for that answer again
	maxKept  = 64 << 10        // bytes of an answer; larger ones are passed on and not kept
	overhead = 512             // bytes that an answer takes besides its body, about

	staleIfError = "stale-if-error" // the mark of answers that are too old, but better than none
)

// A cache answers for a service with earlier answers of the service. It is an
// http.RoundTripper.
type cache struct {
	service *service
	freshness
	explicit bool // only answers that say how long they are fresh are kept
	answers  *lru.Cache[string, *answer]
	asked    atomic.Int64 // times that the service was, for an answer to keep
	passed   atomic.Int64 // times that it was, since there was nothing to keep
}

// newCache returns the cache of s that takes about capacity bytes.
func newCache(s *service, capacity int64, f freshness, now func() time.Time) *cache {
	c := &cache{service: s, freshness: f}
	c.answers = lru.New(int(capacity), &lru.Options[string, *answer]{
		Load:         c.load,
		TTLOf:        c.lifetime,
		RefreshAfter: f.ttl,
		StaleIfError: f.stale,
		ErrorTTL:     c.retry,
		Cost:         func(uri string, a *answer) int { return overhead + len(uri) + len(a.body) },
		TrackAge:     true,
		Shards:       1, // one gateway with one driver; the default is for many
		Now:          now,
	})
	return c
}

// lifetime returns how long an answer lives. Answers that came together must
// not go together, so each lives a little less than it may; how much less
// depends on its address. Options.Jitter would do, if the report could differ
// from run to run. A missing page is kept for a tenth of the time: someone is
// about to write it.
func (c *cache) lifetime(uri string, a *answer) time.Duration {
	whole := c.ttl + c.swr
	if a.status == http.StatusNotFound {
		whole /= 10
	}
	if a.dated {
		whole = min(whole, a.fresh-a.age)
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, uri) // never fails
	return whole - time.Duration(float64(whole)*spread*float64(h.Sum32())/(1<<32))
}

// retry returns how long an error is remembered.
func (c *cache) retry(_ string, err error) time.Duration {
	if errors.Is(err, errPersonal) {
		return c.ttl
	}
	return retryIn
}

// personal are the fields of a request for which an answer to somebody else
// will not do: they name the client, ask for a part of the answer, or for
// another protocol.
var personal = []string{"Authorization", "Cookie", "Range", "Upgrade"}

// forEverybody reports whether the answer to req may be one that others got.
func forEverybody(req *http.Request) bool {
	return req.Method == http.MethodGet && repeatable(req) &&
		!slices.ContainsFunc(personal, func(field string) bool { return req.Header.Get(field) != "" })
}

// RoundTrip returns an answer that is kept, or one from the service: of many
// requests for the same that come at once only one reaches it.
func (c *cache) RoundTrip(req *http.Request) (*http.Response, error) {
	if !forEverybody(req) {
		return c.service.RoundTrip(req)
	}

	e, err := c.answers.LoadEntry(req.Context(), req.URL.RequestURI())
	var failed *failedError
	switch {
	case errors.Is(err, errPersonal):
		c.passed.Add(1)
		return c.service.RoundTrip(req)
	case errors.As(err, &failed):
		return failed.answer.response(req), nil
	case err != nil:
		return nil, err
	}

	resp := e.Value.response(req)
	resp.Header.Set("Age", seconds(e.Age+e.Value.age))
	if e.Err != nil { // RFC 9211; a ttl below zero says for how long the answer has been stale
		resp.Header.Set("Cache-Status", "gateway; hit; ttl="+seconds(c.ttl-e.Age)+"; detail="+staleIfError)
	}
	return resp, nil
}

// load asks the service. The request has nothing from the one that caused it:
// the first client must not decide what all others see.
func (c *cache) load(ctx context.Context, uri string) (*answer, error) {
	req, err := http.NewRequestWithContext(withHome(ctx, forAll), http.MethodGet, anyServer.String()+uri, nil)
	if err != nil {
		return nil, err
	}

	c.asked.Add(1)
	resp, err := c.service.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()

	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxKept+1)); err != nil {
		return nil, err
	}

	a.fresh, a.dated = freshFor(a.header)
	if n, err := strconv.ParseInt(a.header.Get("Age"), 10, 32); err == nil && n > 0 { // in another cache
		a.age = time.Duration(n) * time.Second
	}
	switch {
	case len(a.body) > maxKept || !shareable(a.header):
		return nil, errPersonal
	case a.status >= http.StatusInternalServerError:
		return nil, &failedError{a}
	case c.explicit && (!a.dated || a.fresh <= a.age):
		return nil, errPersonal
	}
	return a, nil
}

// settle waits for answers that are fetched in the background, of which the
// clock of the log knows nothing: the next request would find them or not, as
// chance has it.
func (c *cache) settle(ctx context.Context) {
	for c.answers.Stats().Loading > 0 && ctx.Err() == nil {
		time.Sleep(10 * time.Microsecond)
	}
}

// errPersonal says that an answer is for one client, or too large: it is not
// kept.
var errPersonal = errors.New("not to be kept")

// A failedError is an answer that the service failed to give.
type failedError struct{ answer *answer }

func (e *failedError) Error() string { return http.StatusText(e.answer.status) }

// shareable reports whether an answer may be given to others than the one that
// asked, at some other time, and also when it is old. One that varies with the
// request is not: it is kept by its address alone. But the cache itself asks
// for no encoding, so it gets one answer of those that vary with that.
func shareable(h http.Header) bool {
	for directive := range directives(h) {
		if slices.Contains([]string{"private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate"}, directive) {
			return false
		}
	}
	for _, field := range h.Values("Vary") {
		for name := range strings.SplitSeq(field, ",") {
			if !strings.EqualFold(strings.TrimSpace(name), "Accept-Encoding") {
				return false
			}
		}
	}
	return len(h.Values("Set-Cookie")) == 0
}

// directives yields the directives of Cache-Control in h, in lower case, each
// with its argument or "".
func directives(h http.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, field := range h.Values("Cache-Control") {
			for part := range strings.SplitSeq(field, ",") {
				name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
				if !yield(strings.ToLower(name), strings.Trim(value, `"`)) {
					return
				}
			}
		}
	}
}

// freshFor returns how long the answer is fresh by its own word, and whether it
// says so. What it says to shared caches comes first.
func freshFor(h http.Header) (d time.Duration, said bool) {
	ages := maps.Collect(directives(h))
	for _, name := range []string{"s-maxage", "max-age"} {
		value, ok := ages[name]
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return 0, true // what cannot be read is old
		}
		return min(time.Duration(n)*time.Second, maxAge), true
	}
	return 0, false
}

// An answer is a response that can be given many times. It is not changed.
type answer struct {
	status int
	header http.Header
	body   []byte

	fresh time.Duration // by its own word, if it is dated
	dated bool
	age   time.Duration // when it came
}

func (a *answer) response(req *http.Request) *http.Response {
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        a.header.Clone(),
		Body:          io.NopCloser(bytes.NewReader(a.body)),
		ContentLength: int64(len(a.body)),
		Request:       req,
	}
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
