// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// longest is how long a link with an end may last.
const longest = 10 * 365 * 24 * time.Hour

// maxBody is the length of the longest request for a link.
const maxBody = 8 << 10

// keepMoved is how long a browser may keep the answer of a link that has moved
// for good.
const keepMoved = 24 * time.Hour

// A service answers HTTP for Links.
//
//	POST /api/links        {"url": ..., "alias": ..., "ttl": "24h"}
//	                       201, or 200 if there is one; 400, 409, 429
//	GET  /api/links/CODE   what is known about a link; 404, 410
//	GET  /api/stats        counters
//	GET  /CODE             302 or 301; 404, 410
//	GET  /CODE+            a page that shows where a link leads
//	GET  /, POST /         a page with a form
type service struct {
	*Links
	base      string // of short URLs, without a slash at the end; empty: as the request says
	limit     *ratelimit.Keyed[netip.Addr]
	forwarded bool // the last address of X-Forwarded-For is the client
	moved     bool // for good: 301
}

// newService returns a service that lets each client make as many links as the
// limit says.
func newService(l *Links, limit ratelimit.Limit) *service {
	return &service{
		Links: l,
		limit: ratelimit.NewKeyed[netip.Addr]([]ratelimit.Limit{limit}, &ratelimit.KeyedOptions{Now: l.now}),
	}
}

// handler returns the routes. Requests for links from pages of other sites are
// refused, or these could make links in the name of their readers.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/links", s.postLink)
	mux.HandleFunc("GET /api/links/{code}", s.getLink)
	mux.HandleFunc("GET /api/stats", s.getStats)
	mux.HandleFunc("GET /{code}", s.follow)
	mux.HandleFunc("GET /{$}", s.getPage)
	mux.HandleFunc("POST /{$}", s.postPage)
	return http.NewCrossOriginProtection().Handler(mux)
}

// A request for a link.
type request struct {
	URL   string `json:"url"`
	Alias string `json:"alias"`
	TTL   string `json:"ttl"`
}

// An answer about a link.
type answer struct {
	Code   string  `json:"code"`
	Short  string  `json:"short"`
	URL    string  `json:"url"`
	Ends   string  `json:"ends,omitempty"`
	Clicks *uint64 `json:"clicks,omitempty"`
}

// shorten makes the link of a request, and returns the status of its answer. A
// request that the limit refuses costs nothing but that; one that is wrong
// costs as much as any other.
func (s *service) shorten(w http.ResponseWriter, r *http.Request, q request) (*answer, int, error) {
	d := s.limit.Take(s.client(r), 1)
	for field, value := range d.Headers("links") {
		w.Header().Set(field, value)
	}
	if !d.OK {
		return nil, http.StatusTooManyRequests, errors.New("too many links, wait a little")
	}

	want, err := s.wish(r, q)
	if err != nil {
		return nil, http.StatusBadRequest, err
	}
	code, v, fresh, err := s.Create(r.Context(), want)
	switch {
	case errors.Is(err, errTaken):
		return nil, http.StatusConflict, err
	case err != nil:
		return nil, http.StatusInternalServerError, err
	case fresh:
		return s.about(r, code, v), http.StatusCreated, nil
	}
	return s.about(r, code, v), http.StatusOK, nil
}

// wish checks a request.
func (s *service) wish(r *http.Request, q request) (w wish, err error) {
	_, self, _ := strings.Cut(s.site(r), "://")
	if w.url, err = normalize(q.URL, self); err != nil {
		return w, err
	}
	if w.alias = strings.TrimSpace(q.Alias); w.alias != "" {
		if err := checkAlias(w.alias); err != nil {
			return w, err
		}
	}
	if ttl := strings.TrimSpace(q.TTL); ttl != "" {
		w.ttl, err = time.ParseDuration(ttl)
		if err != nil || w.ttl <= 0 || w.ttl > longest {
			return w, fmt.Errorf("a ttl is a time such as 90m or 24h, up to %v", longest)
		}
	}
	return w, nil
}

func (s *service) about(r *http.Request, code string, v link) *answer {
	a := &answer{Code: code, Short: s.site(r) + "/" + code, URL: v.URL}
	if v.Ends != 0 {
		a.Ends = time.Unix(v.Ends, 0).UTC().Format(time.RFC3339)
	}
	return a
}

// site is where short URLs lead.
func (s *service) site(r *http.Request) string {
	switch {
	case s.base != "":
		return s.base
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// client returns whom a request counts against. What a client says itself about
// its address is nothing to rely on, unless a proxy has added it.
func (s *service) client(r *http.Request) netip.Addr {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	if all := r.Header.Values("X-Forwarded-For"); s.forwarded && len(all) > 0 {
		last := all[len(all)-1]
		host = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	}
	addr, _ := netip.ParseAddr(host) // the invalid address is a client, too
	return ratelimit.MaskAddr(addr, 32, 64)
}

func (s *service) postLink(w http.ResponseWriter, r *http.Request) {
	var q request
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		writeError(w, http.StatusBadRequest, errors.New("want a JSON object with url, alias, ttl"))
		return
	}
	a, status, err := s.shorten(w, r, q)
	if err != nil {
		writeError(w, status, err)
		return
	}
	writeJSON(w, status, a)
}

func (s *service) getLink(w http.ResponseWriter, r *http.Request) {
	code := r.PathValue("code")
	v, err := s.Lookup(r.Context(), code)
	if err != nil {
		writeError(w, statusOf(err), err)
		return
	}
	n, err := s.Clicks(code)
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	a := s.about(r, code, v)
	a.Clicks = &n
	writeJSON(w, http.StatusOK, a)
}

// follow sends a browser to where a link leads.
func (s *service) follow(w http.ResponseWriter, r *http.Request) {
	code, preview := strings.CutSuffix(r.PathValue("code"), "+")
	v, err := s.Lookup(r.Context(), code)
	if err != nil {
		s.showError(w, statusOf(err), err)
		return
	}
	if preview {
		s.showLink(w, r, code, v)
		return
	}
	if r.Method == http.MethodGet {
		if err := s.Click(r.Context(), code); err != nil {
			s.showError(w, http.StatusInternalServerError, err)
			return
		}
	}

	// A 302 is not kept unless we say so, and browsers ask again each time. A
	// 301 may be kept forever, and then nobody learns of an end or of a click.
	status := http.StatusFound
	w.Header().Set("Cache-Control", "no-store")
	if s.moved {
		keep := keepMoved
		if v.Ends != 0 {
			keep = min(keep, time.Unix(v.Ends, 0).Sub(s.now()))
		}
		status = http.StatusMovedPermanently
		w.Header().Set("Cache-Control", "private, max-age="+strconv.Itoa(int(keep/time.Second)))
	}
	w.Header().Set("Location", v.URL)
	w.WriteHeader(status)
}

// getStats shows counters.
func (s *service) getStats(w http.ResponseWriter, _ *http.Request) {
	s.filter.RLock()
	known, rate := s.known.Len(), s.known.Rate()
	s.filter.RUnlock()
	hot, disk := s.hot.Stats(), s.db.Stats()
	writeJSON(w, http.StatusOK, map[string]any{
		"lookups":           s.asked.Load(),
		"refused by filter": s.refused.Load(),
		"filter was wrong":  s.wrong.Load(),
		"filter predicts":   rate,
		"codes in filter":   known,
		"hits of cache":     hot.Hits,
		"misses of cache":   hot.Misses,
		"commits":           disk.Commits,
		"syncs":             disk.Syncs,
	})
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, errUnknown):
		return http.StatusNotFound
	case errors.Is(err, errGone):
		return http.StatusGone
	case errors.Is(err, context.Canceled):
		return 499 // nobody reads it
	}
	return http.StatusInternalServerError
}

func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": words(status, err)})
}

// writeJSON writes v. An error is one of the connection.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
}
