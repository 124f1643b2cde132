// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newRecorder calls h as if peer had sent the request.
func newRecorder(h http.Handler, method, target, peer string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, http.NoBody)
	r.RemoteAddr = peer
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// service returns a service with a server at each of the addresses.
func (g *gatewayTest) service(name string, urls ...*url.URL) *service {
	g.t.Helper()
	var ends []endpoint
	var weights []int
	for _, u := range urls {
		ends = append(ends, endpoint{url: u})
		weights = append(weights, 1)
	}
	s, err := newService(name, "roundrobin", ends, weights, g.clock.now, g.transport, time.Minute)
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

// deadBackend returns an address at which nobody listens.
func (g *gatewayTest) deadBackend() *url.URL {
	g.t.Helper()
	ln, err := new(net.ListenConfig).Listen(g.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	defer ln.Close()
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}
}

func TestParseLine(t *testing.T) {
	at := time.Date(2015, time.May, 17, 10, 5, 3, 0, time.UTC)
	const head = `203.0.113.9 - - [17/May/2015:10:05:03 +0000] `
	get := request{"203.0.113.9", "", at, "GET", "/a", 200}
	with := func(change func(*request)) request {
		r := get
		change(&r)
		return r
	}

	for _, tt := range []struct {
		name, line string
		want       request
		err        error
	}{
		{"common", head + `"GET /a HTTP/1.1" 200 12`, get, nil},
		{"combined", head + `"GET /a HTTP/1.1" 200 12 "http://x/" "Mozilla/5.0 \"q\""`, get, nil},
		{"more fields", head + `"GET /a HTTP/1.1" 200 12 "-" "-" 0.003 "x`, get, nil},
		{"no size", head + `"GET /a HTTP/1.1" 200 -`, get, nil},
		{"HTTP/0.9", head + `"GET /a" 200 12`, get, nil},
		{"zone", `203.0.113.9 - - [17/May/2015:12:05:03 +0200] "GET /a HTTP/1.1" 200 12`, get, nil},
		{"user", `203.0.113.9 - al ice [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, with(func(r *request) { r.user = "al ice" }), nil},
		{"empty user", `203.0.113.9 - "" [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, get, nil},
		{"IPv6", `2001:db8::1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, with(func(r *request) { r.client = "2001:db8::1" }), nil},
		{"name", `a.example.com - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, with(func(r *request) { r.client = "a.example.com" }), nil},
		{"escaped", head + `"GET /\"\\\xc3\xa9 HTTP/1.1" 404 12`, with(func(r *request) { r.target, r.status = "/\"\\é", 404 }), nil},
		{"badly escaped", head + `"GET /\q HTTP/1.1" 200 12`, with(func(r *request) { r.target = `/\q` }), nil},
		{"spaces", head + `"GET /a b?c d HTTP/1.1" 200 12`, with(func(r *request) { r.target = "/a b?c d" }), nil},
		{"absolute", head + `"GET http://other.example/a?b HTTP/1.1" 200 12`, with(func(r *request) { r.target = "/a?b" }), nil},
		{"bare host", head + `"GET http://other.example HTTP/1.1" 200 12`, with(func(r *request) { r.target = "/" }), nil},
		{"asterisk", head + `"OPTIONS * HTTP/1.1" 200 12`, with(func(r *request) { r.method, r.target = "OPTIONS", "/" }), nil},
		{"empty", "", request{}, errClient},
		{"one word", "x", request{}, errClient},
		{"dash client", `- - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, request{}, errClient},
		{"two clients", `1.2.3.4,5.6.7.8 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, request{}, errClient},
		{"no ident", `203.0.113.9 - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, request{}, errTime},
		{"no bracket", `203.0.113.9 - - 17/May/2015:10:05:03 +0000 "GET /a HTTP/1.1" 200 12`, request{}, errTime},
		{"not a day", `203.0.113.9 - - [31/Feb/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, request{}, errTime},
		{"far future", `203.0.113.9 - - [17/May/9999:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`, request{}, errTime},
		{"no quote", head + `GET /a HTTP/1.1 200 12`, request{}, errRequest},
		{"open quote", head + `"GET /a HTTP/1.1 200 12`, request{}, errRequest},
		{"no request", head + `"-" 408 -`, request{}, errRequest},
		{"TLS bytes", head + `"\x16\x03\x01\x00" 400 226`, request{}, errRequest},
		{"CONNECT", head + `"CONNECT mail.example:25 HTTP/1.1" 405 -`, request{}, errRequest},
		{"lower case", head + `"get /a HTTP/1.1" 200 12`, request{}, errRequest},
		{"relative", head + `"GET a HTTP/1.1" 200 12`, request{}, errRequest},
		{"no status", head + `"GET /a HTTP/1.1"`, request{}, errStatus},
		{"status", head + `"GET /a HTTP/1.1" OK 12`, request{}, errStatus},
		{"size", head + `"GET /a HTTP/1.1" 200 -12`, request{}, errSize},
	} {
		got, err := parseLine(tt.line)
		if !errors.Is(err, tt.err) || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// TestReadLog checks what does not fit on a line of a table.
func TestReadLog(t *testing.T) {
	const line = `203.0.113.9 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12`
	long := line + strings.Repeat("x", 3*maxLine)
	requests, malformed, err := readLog(strings.NewReader(line + "\r\n\n  \n" + long + "\nnonsense\n\x00\xff\n" + line))
	if err != nil || len(requests) != 2 || malformed != 3 {
		t.Errorf("%d requests, %d malformed, %v; want 2, 3, nil", len(requests), malformed, err)
	}
	if requests, malformed, err := readLog(strings.NewReader(long)); err != nil || len(requests) != 0 || malformed != 1 {
		t.Errorf("long last line: %d requests, %d malformed, %v; want 0, 1, nil", len(requests), malformed, err)
	}
}

// FuzzParse checks that any line is either refused or a request that a server
// understands.
func FuzzParse(f *testing.F) {
	log, err := os.ReadFile(filepath.Join("testdata", "odd.log"))
	if err != nil {
		f.Fatal(err)
	}

	for line := range strings.Lines(string(log)) {
		f.Add(strings.TrimSpace(line))
	}

	f.Fuzz(func(t *testing.T, line string) {
		r, err := parseLine(line)
		if err != nil {
			return
		}
		req, err := http.NewRequest(r.method, r.url("127.0.0.1:1").String(), http.NoBody)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		req.Header.Set("X-Forwarded-For", r.client)
		var wire bytes.Buffer
		if err := req.Write(&wire); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatalf("%q: the server would say: %v", line, err)
		}
		if got.URL.Path != r.url("").Path || got.Method != r.method {
			t.Errorf("%q: sent %s %q, arrived as %s %q", line, r.method, r.url("").Path, got.Method, got.URL.Path)
		}
		seenAs(&r)
	})
}

// TestGenerate checks the published properties that a reader can count.
func TestGenerate(t *testing.T) {
	requests := generate(1, 5000)
	clients := map[string]int{}
	late := 0
	for i, r := range requests {
		clients[r.client]++
		if i > 0 && r.at.Before(requests[i-1].at) {
			late++
		}
	}
	if got := len(requests); got != 5000 {
		t.Errorf("%d requests, want 5000", got)
	}
	if late == 0 || late > 1000 {
		t.Errorf("%d requests are late, want 1 to 1000", late)
	}
	// About n·0.05·2.0/0.75 = 667 requests are expected of the abuser; 6
	// standard deviations are 155.
	if n := clients["203.0.113.66"]; n < 667-155 || n > 667+155 {
		t.Errorf("%d requests of the abuser", n)
	}
	if !slices.Equal(requests, generate(1, 5000)) || slices.Equal(requests, generate(2, 5000)) {
		t.Error("the traffic is not a function of the seed")
	}
}

func TestStrip(t *testing.T) {
	if got, want := strip([]int{0, 1, 4, 8, 799, 800}, 800), " ▁▁▁██"; got != want {
		t.Errorf("strip = %q, want %q", got, want)
	}
	if got, want := strip([]int{0, 0}, 0), "  "; got != want {
		t.Errorf("strip = %q, want %q", got, want)
	}
	for _, d := range []time.Duration{0, time.Second, time.Minute, 93 * time.Second, 83 * time.Hour, 40000 * time.Hour, 2_000_000 * time.Hour} {
		if step := stepFor(d); step <= 0 || d/step+2 > stripWidth+1 {
			t.Errorf("stepFor(%v) = %v", d, step)
		}
	}
}
