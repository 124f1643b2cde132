// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/lru"
)

// TestMeter checks quantiles at the bounds of the histogram.
func TestMeter(t *testing.T) {
	m := new(meter)
	if got := m.read().quantile(0.99); got != 0 {
		t.Errorf("p99 of nothing = %v", got)
	}
	for i := range 100 {
		m.observe(200+100*(i%2*3), time.Duration(i+1)*time.Millisecond)
	}
	m.observe(700, time.Minute)

	r := m.read()
	for part, want := range map[float64]time.Duration{
		0.001: time.Millisecond,
		0.01:  2500 * time.Microsecond, // the second of 101
		0.5:   100 * time.Millisecond,
		0.99:  100 * time.Millisecond,
		1:     20 * time.Second, // beyond the last bound
	} {
		if got := r.quantile(part); got != want {
			t.Errorf("quantile(%v) = %v, want %v", part, got, want)
		}
	}
	if want := [6]uint64{1, 0, 50, 0, 0, 50}; r.Classes != want {
		t.Errorf("classes = %v, want %v", r.Classes, want)
	}
	if since := m.read().Sub(r); since != (reading{}) {
		t.Errorf("nothing since = %+v", since)
	}
}

// TestWatch walks the counters of a cache past each rule, and back.
func TestWatch(t *testing.T) {
	answers := lru.New[string, *answer](2, nil)
	m := new(meter)
	s := &service{name: "web", cache: &cache{answers: answers}}
	w := newWatch([]*service{s, {name: "users"}}, m, time.Second, time.Minute, nil)
	now := epoch
	kinds := func() (kinds string) {
		before := len(w.alerts())
		now = now.Add(time.Minute)
		w.advance(now.Add(-time.Nanosecond)) // not due yet
		w.advance(now)
		for _, a := range w.alerts()[before:] {
			kinds += a.Kind + " of " + a.Of + ";"
		}
		return kinds
	}

	w.advance(now) // the first interval begins
	look := func(name string, hits, misses int) {
		answers.Set("a", nil)
		for range hits {
			answers.Get("a")
		}
		for range misses {
			answers.Get("none")
		}
		if got := kinds(); got != map[bool]string{true: "hit ratio of web;"}[name == "bad"] {
			t.Errorf("%s, %d hits and %d misses: %q", name, hits, misses, got)
		}
	}
	look("good", 800, 0)
	look("bad", 79, 21)
	look("good", 80, 20)
	look("few", 0, minLookups-1)
	look("bad", 0, minLookups)
	if n, of := w.of("hit ratio", "web"); n != 2 || of != 4 {
		t.Errorf("below in %d of %d, want 2 of 4", n, of)
	}

	for _, key := range []string{"b", "c", "d"} {
		answers.Set(key, nil)
	}
	m.observe(200, 500*time.Millisecond)
	if got := kinds(); got != "evictions of web;" {
		t.Errorf("evictions: %q", got)
	}
	m.observe(200, 1100*time.Millisecond)
	if got := kinds(); got != "p99 of gateway;" {
		t.Errorf("a late answer: %q", got)
	}
	if got := kinds(); got != "" {
		t.Errorf("nothing happened: %q", got)
	}

	for range 2 * maxAlerts {
		m.observe(200, 2*time.Second)
		kinds()
	}
	if got := len(w.alerts()); got != maxAlerts {
		t.Errorf("%d alerts are kept, want %d", got, maxAlerts)
	}
}

// get returns what is at path of h.
func get(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	rec := newRecorder(h, "GET", path, "127.0.0.1:1")
	if rec.Code != http.StatusOK {
		t.Errorf("%s: %d", path, rec.Code)
	}
	return rec.Body.String()
}

// TestAdmin checks that the admin address shows what happened, and that each
// line of the metrics is one that Prometheus reads.
func TestAdmin(t *testing.T) {
	g := startGateway(t, "2/h burst 2", "-cache", "100000")
	for range 3 {
		g.get("GET", "/")
	}
	g.watch.add(epoch, "p99", "gateway", "it is late")
	admin := newAdmin(g.system)

	metrics := make(map[string]float64)
	typed := make(map[string]bool)
	for line := range strings.Lines(get(t, admin, "/metrics")) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "# TYPE ") {
			typed[fields[2]] = true
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		name, _, _ := strings.Cut(fields[0], "{")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && typed[base] {
				name = base
			}
		}
		if _, twice := metrics[fields[0]]; err != nil || len(fields) != 2 || !typed[name] || twice {
			t.Errorf("metrics: %q", line)
		}
		metrics[fields[0]] = value
	}
	for name, want := range map[string]float64{
		`gateway_requests_total{code="2xx"}`:                            2,
		`gateway_requests_total{code="4xx"}`:                            1,
		`gateway_request_seconds_count`:                                 3,
		`gateway_request_seconds_bucket{le="+Inf"}`:                     3,
		`gateway_limited_total`:                                         1,
		`gateway_calls_total{service="web",server="web-1"}`:             1,
		`gateway_calls_total{service="web",server="web-2"}`:             0,
		`gateway_server_up{service="web",server="web-2"}`:               1,
		`gateway_breaker_opened_total{service="web",server="web-1"}`:    0,
		`gateway_cache_hits_total{service="web"}`:                       1,
		`gateway_cache_misses_total{service="web"}`:                     1,
		`gateway_call_failures_total{service="users",server="users-1"}`: 0,
	} {
		if got, ok := metrics[name]; !ok || got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}

	var alerts []alert
	if err := json.Unmarshal([]byte(get(t, admin, "/alerts")), &alerts); err != nil || len(alerts) != 1 || alerts[0].What != "it is late" {
		t.Errorf("alerts = %+v, %v", alerts, err)
	}
	var vars struct {
		Gateway struct {
			Answers  int
			Services map[string]struct{ Cache *lru.Stats }
		}
	}
	if err := json.Unmarshal([]byte(get(t, admin, "/debug/vars")), &vars); err != nil || vars.Gateway.Answers != 3 || vars.Gateway.Services["web"].Cache.Hits != 1 {
		t.Errorf("vars = %+v, %v", vars, err)
	}
	for path, want := range map[string]string{"/": "/metrics", "/debug/pprof/": "goroutine", "/debug/pprof/cmdline": "gateway"} {
		if got := get(t, admin, path); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q in it", path, got, want)
		}
	}
}

// TestAccessLog checks the lines of a replay: one a request, in the time of the
// log.
func TestAccessLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "access.json")
	if _, err := runProgram(t, "-n", "300", "-log", name); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}

	type line struct {
		Time                time.Time
		Client, Method, URI string
		Status              int
		Bytes               int64
		Took                time.Duration
		Server              string
	}
	var lines []line
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var l line
		err := decoder.Decode(&l)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	requests := generate(1, 300)
	if len(lines) != len(requests) {
		t.Fatalf("%d lines of %d requests", len(lines), len(requests))
	}
	servers := 0
	for i, l := range lines {
		r := requests[i]
		if l.Client != seenAs(&r) || l.Method != r.method || l.URI != r.target || l.Status < 200 || l.Took <= 0 || l.Bytes <= 0 {
			t.Errorf("line %d: %+v of %+v", i+1, l, r)
		}
		if l.Time.Before(r.at) || l.Time.Year() != r.at.Year() {
			t.Errorf("line %d: %v, want about %v", i+1, l.Time, r.at)
		}
		if l.Server != "" {
			servers++
		}
	}
	if servers < 50 {
		t.Errorf("%d lines name a server", servers)
	}
}

// A served is the gateway as a program in front of real servers.
type served struct {
	url    string
	client *http.Client
}

// A lineWriter hands on the first line, and swallows the rest.
type lineWriter struct {
	mu   sync.Mutex // protects text
	text []byte
	line chan string // of one; the first line goes there
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	had := bytes.ContainsRune(w.text, '\n')
	w.text = append(w.text, p...)
	if i := bytes.IndexByte(w.text, '\n'); i >= 0 && !had {
		w.line <- string(w.text[:i])
	}
	return len(p), nil
}

// startServing runs the program with -serve in front of the handlers.
func startServing(t *testing.T, backends []http.Handler, args ...string) *served {
	t.Helper()
	var urls []string
	for _, h := range backends {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}

	ctx, cancel := context.WithCancel(t.Context())
	out := &lineWriter{line: make(chan string, 1)}
	ended := make(chan error, 1)
	args = append([]string{"-serve", "127.0.0.1:0", "-to", strings.Join(urls, ",")}, args...)
	go func() { ended <- run(ctx, args, out, io.Discard) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case line := <-out.line:
		transport := newTransport(nil)
		t.Cleanup(transport.CloseIdleConnections)
		return &served{url: strings.Fields(line)[1], client: &http.Client{Transport: transport}}
	case err := <-ended:
		ended <- err
		t.Fatal(err)
		return nil
	}
}

// get makes a request, and returns the answer and its body.
func (s *served) get(t *testing.T, path string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// TestServe checks the real proxy: it keeps what may be kept and nothing else,
// passes on who asks and what is streamed, and limits.
func TestServe(t *testing.T) {
	var mu sync.Mutex // protects calls
	calls := make(map[string]int)
	stop := make(chan struct{})
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		calls[r.URL.Path]++
		n := calls[r.URL.Path]
		mu.Unlock()
		switch r.URL.Path {
		case "/kept":
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Set("Age", "7")
		case "/old":
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Age", "60")
		case "/stream":
			fmt.Fprintln(w, "first")
			_ = http.NewResponseController(w).Flush()
			<-stop
		}
		fmt.Fprintf(w, "%d %s %s %s", n, r.Header.Get("Authorization"), r.Header.Get("X-Forwarded-For"), r.Header.Get("Cookie"))
	})
	g := startServing(t, []http.Handler{origin}, "-limit", "1/h burst 12")

	for _, tt := range []struct {
		path, want string
		header     []string
	}{
		{"/kept", "1   ", nil}, // nothing of who asked first
		{"/kept", "1   ", nil},
		{"/kept", "2 Basic x 127.0.0.1 ", []string{"Authorization", "Basic x"}},
		{"/kept", "3  127.0.0.1 a=b", []string{"Cookie", "a=b"}},
		{"/plain", "2  127.0.0.1 ", nil}, // asked for the cache, and for the client
		{"/plain", "3  127.0.0.1 ", nil}, // it is known that it is not kept
		{"/old", "2  127.0.0.1 ", nil},
	} {
		resp, body := g.get(t, tt.path, tt.header...)
		if body != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.path, tt.header, body, tt.want)
		}
		if age := resp.Header.Get("Age"); tt.path == "/kept" && age != "7" {
			t.Errorf("%s: Age %q, want 7 in a second or so", tt.path, age)
		}
	}

	// A stream arrives while it is being written.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	if line, err := body.ReadString('\n'); err != nil || line != "first\n" {
		t.Errorf("stream: %q, %v", line, err)
	}
	close(stop)
	_, _ = io.Copy(io.Discard, body)
	resp.Body.Close()

	last := 0
	for range 12 {
		resp, _ := g.get(t, "/kept")
		last = resp.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("after the burst: %d, want 429", last)
	}
}

// TestServeUpgrade checks that a connection can change its protocol behind the
// gateway, as WebSocket does.
func TestServeUpgrade(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
	})

	// The client says what it wants, and talks when it has it.
	g := startServing(t, []http.Handler{echo})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	conn, ok := resp.Body.(io.ReadWriter)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("%s, a connection: %t", resp.Status, ok)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "echo hello\n" {
		t.Errorf("echo: %q, %v", line, err)
	}
}

// TestServeDead checks that a dead server of two is not noticed, and that with
// none left the gateway says when to come back.
func TestServeDead(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	down := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	g := startServing(t, []http.Handler{down, hello}, "-cache", "0")
	for i := range 3 * tripAfter {
		if resp, body := g.get(t, "/"); body != "hello" {
			t.Errorf("request %d: %s %q", i, resp.Status, body)
		}
	}

	g = startServing(t, []http.Handler{down}, "-cache", "0")
	for i := range tripAfter {
		if resp, _ := g.get(t, "/"); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("request %d: %s, want 502", i, resp.Status)
		}
	}
	if resp, _ := g.get(t, "/"); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "30" {
		t.Errorf("when the breaker is open: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
}
