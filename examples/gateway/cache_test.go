// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A cacheTest is a cache in front of a service with one server.
type cacheTest struct {
	*cache
	t      *testing.T
	clock  *logClock
	answer http.HandlerFunc
	calls  atomic.Int64
}

func startCache(t *testing.T) *cacheTest {
	t.Helper()
	g := &cacheTest{t: t, clock: new(logClock)}
	g.clock.advance(epoch)
	g.answer = func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.calls.Add(1)
		g.answer(w, r)
	}))
	transport := newTransport(nil)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService("web", "roundrobin", []endpoint{{url: u}}, []int{1}, g.clock.now, transport, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	g.cache = newCache(s, 1<<20, freshness{ttl: time.Minute, swr: time.Minute, stale: time.Hour}, g.clock.now)
	return g
}

// get makes a request, later by so much than the one before, and returns how
// often the service was asked because of it. It is safe for concurrent use if
// later is 0.
func (g *cacheTest) get(later time.Duration, method, target string, header ...string) (resp *http.Response, body string, calls int64) {
	g.t.Helper()
	if later > 0 {
		g.clock.advance(g.clock.now().Add(later))
	}
	before := g.calls.Load()
	req := httptest.NewRequestWithContext(g.t.Context(), method, target, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := g.RoundTrip(req)
	if err != nil {
		return nil, err.Error(), g.calls.Load() - before
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Error(err)
	}
	g.settle(g.t.Context())
	return resp, string(b), g.calls.Load() - before
}

// TestCacheZones follows one answer through its life: fresh, refreshed, stale,
// gone.
func TestCacheZones(t *testing.T) {
	g := startCache(t)
	var version atomic.Int64
	var down atomic.Bool
	g.answer = func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}

		fmt.Fprintf(w, "version %d", version.Load())
	}

	for _, tt := range []struct {
		name   string
		later  time.Duration
		down   bool
		body   string
		age    string
		calls  int64
		status string // Cache-Status
	}{
		{"absent", 0, false, "version 1", "0", 1, ""},
		{"fresh", 59 * time.Second, false, "version 1", "59", 0, ""},
		{"old: it is returned, and another is fetched", time.Second, false, "version 1", "60", 1, ""},
		{"the other", time.Second, false, "version 3", "1", 0, ""},
		{"the service fails", 70 * time.Second, true, "version 3", "71", 1, ""},
		{"and is left alone", time.Second, true, "version 3", "72", 0, ""},
		{"too old, but better than none", 60 * time.Second, true, "version 3", "132", 1, "gateway; hit; ttl=-72; detail=stale-if-error"},
		{"the service is left alone", 2 * time.Second, true, "version 3", "134", 0, "gateway; hit; ttl=-74; detail=stale-if-error"},
		{"it is back", 10 * time.Second, false, "version 9", "0", 1, ""},
		{"much too old", 3 * time.Hour, true, "version 10", "", 1, ""},
	} {
		version.Add(1)
		down.Store(tt.down)
		resp, body, calls := g.get(tt.later, "GET", "/")
		if body != tt.body || calls != tt.calls || resp.Header.Get("Age") != tt.age || resp.Header.Get("Cache-Status") != tt.status {
			t.Errorf("%s: %q, Age %q, Cache-Status %q after %d calls, want %q, %q, %q, %d",
				tt.name, body, resp.Header.Get("Age"), resp.Header.Get("Cache-Status"), calls, tt.body, tt.age, tt.status, tt.calls)
		}

		if failed := strings.HasPrefix(tt.name, "much"); failed != (resp.StatusCode == http.StatusInternalServerError) {
			t.Errorf("%s: %s", tt.name, resp.Status)
		}
	}
}

// TestCacheKeeps checks what is kept, by whether the same request reaches the
// service again.
func TestCacheKeeps(t *testing.T) {
	g := startCache(t)
	g.answer = func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), r.URL.Query())
		switch r.URL.Path {
		case "/gone":
			http.NotFound(w, r)
		case "/large":
			_, _ = w.Write(make([]byte, maxKept+1))
		case "/just":
			_, _ = w.Write(make([]byte, maxKept))
		}
	}

	for _, tt := range []struct {
		method, target string
		header         []string
		keeps          bool
	}{
		{"GET", "/a", nil, true},
		{"GET", "/a?", nil, true},
		{"GET", "/a?Cache-Control=max-age%3D9", nil, true},
		{"GET", "/a?Cache-Control=Private", nil, false},
		{"GET", "/a?Cache-Control=max-age%3D9&Cache-Control=no-store", nil, false},
		{"GET", "/a?Vary=*", nil, false},
		{"GET", "/a?Vary=Accept-Encoding", nil, true},
		{"GET", "/a?Vary=accept-encoding,+Accept-Language", nil, false},
		{"GET", "/a?Cache-Control=no-cache", nil, false},
		{"GET", "/a?Cache-Control=max-age%3D9%2C+must-revalidate", nil, false},
		{"GET", "/a?Cache-Control=x-private", nil, true},
		{"GET", "/c", []string{"Authorization", "Basic x"}, false},
		{"GET", "/c", []string{"Range", "bytes=0-1"}, false},
		{"GET", "/a?Set-Cookie=x%3D1", nil, false},
		{"GET", "/b", []string{"Cookie", "x=1"}, false},
		{"GET", "/gone", nil, true},
		{"GET", "/just", nil, true},
		{"GET", "/large", nil, false},
		{"POST", "/c", nil, false},
		{"HEAD", "/c", nil, false},
	} {
		_, first, calls := g.get(0, tt.method, tt.target, tt.header...)
		_, again, more := g.get(0, tt.method, tt.target, tt.header...)
		if calls == 0 {
			t.Errorf("%s %s %q: no call of the service, want one", tt.method, tt.target, tt.header)
		}
		if kept := more == 0; kept != tt.keeps {
			t.Errorf("%s %s %q: kept = %t, want %t", tt.method, tt.target, tt.header, kept, tt.keeps)
		}
		if again != first {
			t.Errorf("%s %s %q: the second answer is %q, want %q", tt.method, tt.target, tt.header, again, first)
		}
	}

	if _, body, _ := g.get(0, "GET", "/large"); len(body) != maxKept+1 {
		t.Errorf("a large answer has %d bytes of %d", len(body), maxKept+1)
	}
}

// TestCacheTellsNothing: the service sees nothing of who asked first, whose
// answer all get.
func TestCacheTellsNothing(t *testing.T) {
	g := startCache(t)
	g.answer = func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-For"), r.Header.Get("Accept-Language"))
	}
	if _, body, _ := g.get(0, "GET", "/", "X-Forwarded-For", "198.18.0.1", "Accept-Language", "cy"); body != "" {
		t.Errorf("the service saw %q", body)
	}
}

// TestCacheCoalesces: of many requests for one page only one reaches the
// service.
func TestCacheCoalesces(t *testing.T) {
	const n = 64
	g := startCache(t)
	g.answer = func(w http.ResponseWriter, _ *http.Request) {
		for g.answers.Stats().Joined < n-1 {
			runtime.Gosched()
		}
		fmt.Fprint(w, "one for all")
	}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, body, _ := g.get(0, "GET", "/"); body != "one for all" {
				t.Errorf("got %q", body)
			}
		})
	}
	wg.Wait()
	if calls := g.calls.Load(); calls != 1 {
		t.Errorf("the service was asked %d times", calls)
	}
}

// TestAgeLawFindsViolations feeds the law answers that no right cache gives.
func TestAgeLawFindsViolations(t *testing.T) {
	const minute, never = time.Minute, 1000 * time.Hour
	for _, tt := range []struct {
		name   string
		age    time.Duration
		said   string
		marked bool
		failed time.Duration // before now
		ok     bool
	}{
		{"from the service", 0, "", false, never, true},
		{"fresh", minute, "60", false, never, true},
		{"as old as may be", 3 * minute, "180", false, never, true},
		{"a second older", 3*minute + time.Second, "181", false, 0, false},
		{"marked", 13 * minute, "780", true, 0, true},
		{"marked, and a second older", 13*minute + time.Second, "781", true, 0, false},
		{"marked, and the service is well", 4 * minute, "240", true, retryIn + time.Second, false},
		{"marked, and the service failed just now", 4 * minute, "240", true, retryIn, true},
		{"a wrong age", minute, "59", false, never, false},
		{"no age", minute, "", false, never, false},
	} {
		l := &ageLaw{freshness: freshness{ttl: minute, swr: 2 * minute, stale: 10 * minute}}
		h := http.Header{"Date": {epoch.Add(-tt.age).Format(http.TimeFormat)}}
		if tt.said != "" {
			h.Set("Age", tt.said)
		}

		if tt.marked {
			h.Set("Cache-Status", "gateway; hit; detail="+staleIfError)
		}

		l.observe(epoch, epoch.Add(-tt.failed), &http.Response{StatusCode: http.StatusOK, Header: h})
		if (l.broken == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %t", tt.name, l.broken, tt.ok)
		}
	}

	l := new(ageLaw)
	l.observe(epoch, epoch, &http.Response{StatusCode: http.StatusOK})
	if l.broken == nil {
		t.Error("an answer without a date passes")
	}
}
