// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ashlar-go/ashlar/ratelimit"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// runProgram runs the program and returns what it prints to stdout.
func runProgram(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stdout bytes.Buffer
	err := run(t.Context(), args, &stdout, io.Discard)
	return stdout.String(), err
}

// TestGolden pins the reports of the default input, as it is and when a machine
// dies for a while.
func TestGolden(t *testing.T) {
	for name, args := range map[string][]string{
		"golden.txt": nil,
		"killed.txt": {"-lb", "hash", "-kill", "2@40%-70%"},
		"sticky.txt": {"-sticky", "-tls", "-kill", "2@40%-70%", "-n", "2000"},
		"stale.txt":  {"-weights", "1", "-kill", "1@40%-70%", "-n", "2000"},
	} {
		got, err := runProgram(t, args...)
		if err != nil {
			t.Fatal(err)
		}

		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(got) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%s: a line of %d columns, want at most 80: %s", golden, n, line)
			}
		}
		if got != string(want) {
			t.Errorf("report differs from %s; run with -update and look at the difference. Got:\n%s", golden, got)
		}
	}
}

// TestLaw runs the program, which judges itself, on other traffic, under other
// limits, with too little room for its clients, and with machines that die.
func TestLaw(t *testing.T) {
	for _, flags := range []string{
		"-seed 2",
		"-seed 3 -limit 2/s_burst_10",
		"-seed 4 -limit 1/1m30s -limit 7/h_burst_9 -limit 1000/ms",
		"-seed 5 -limit 0/s_burst_5",
		"-seed 6 -limit inf",
		"-seed 7 -keys 16",
		"-seed 8 -keys 32 -limit 3/7m13s_burst_4 -limit 30/d",
		"-seed 9 -kill 1@0% -health 0",
		"-seed 10 -lb weighted -kill 2@30% -health 0 -weights 1,2,3",
		"-seed 11 -lb leastconn -kill 3@30%-60% -health 0",
		"-seed 12 -lb hash -kill 3@30%-31% -health 10s",
		"-seed 13 -lb bounded -kill 2@25%-80% -health 30s -weights 3,1",
		"-seed 14 -lb bounded -kill 1@10% -health 1m -weights 1",
		"-seed 15 -cache 0",
		"-seed 16 -cache 3000 -ttl 1m -kill 1@20%-60% -weights 1",
		"-seed 17 -ttl 1s -swr 0 -stale 10m -kill 1@20% -weights 1",
		"-seed 18 -ttl 10m -swr 24h -stale 0 -kill 2@50% -weights 1,1",
		"-seed 19 -silent 2@30%-60% -timeout 50ms -kill 1@50%-70%",
		"-seed 20 -slow 3@30%-60% -timeout 50ms -health 0",
		"-seed 21 -sticky -kill 3@30%-60%",
		"-seed 22 -sticky -tls -lb leastconn -kill 1@10%-40% -silent 2@80% -timeout 50ms",
	} {
		t.Run(flags, func(t *testing.T) {
			args := []string{"-n", "600"}

			for f := range strings.FieldsSeq(flags) {
				args = append(args, strings.ReplaceAll(f, "_", " "))
			}

			out, err := runProgram(t, args...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}

			if !strings.Contains(out, "law holds") {
				t.Errorf("no verdict in:\n%s", out)
			}
		})
	}
}

// TestLawFindsViolations feeds the law traffic that no right limiter produces.
func TestLawFindsViolations(t *testing.T) {
	b, err := parseBound("1/s burst 3")
	if err != nil {
		t.Fatal(err)
	}

	type step struct {
		after    time.Duration
		admitted bool
	}

	yes := func(after time.Duration) step { return step{after, true} }
	no := func(after time.Duration) step { return step{after, false} }

	for _, tt := range []struct {
		name     string
		steps    []step
		forgiven uint64
		ok       bool
	}{
		{"a burst", []step{yes(0), yes(0), yes(0)}, 0, true},
		{"a burst and one", []step{yes(0), yes(0), yes(0), yes(0)}, 0, false},
		{"one forgiven", []step{yes(0), yes(0), yes(0), yes(0)}, 1, true},
		{"the rate", []step{yes(0), yes(0), yes(0), yes(time.Second), yes(time.Second)}, 0, true},
		{"a little faster", []step{yes(0), yes(0), yes(0), yes(time.Second - time.Microsecond)}, 0, false},
		{"a window in the middle", []step{yes(0), yes(time.Hour), yes(0), yes(0), yes(0), yes(time.Hour)}, 0, false},
		{"time back", []step{yes(time.Hour), yes(-time.Minute), yes(time.Minute), yes(0)}, 0, false},
		{"a needed refusal", []step{yes(0), yes(0), yes(0), no(time.Second / 2)}, 0, true},
		{"a needless refusal", []step{yes(0), yes(0), no(time.Second / 2)}, 0, false},
	} {
		l := newLaw([]bound{b})
		at := epoch
		for _, s := range tt.steps {
			at = at.Add(s.after)
			l.observe("client", at, s.admitted)
		}
		if err := l.check(tt.forgiven); (err == nil) != tt.ok {
			t.Errorf("%s: check = %v, want ok %t", tt.name, err, tt.ok)
		}
	}
}

// TestLawIsEveryWindow compares the one number that the law keeps with a look
// at all windows.
func TestLawIsEveryWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := bound{count: rng.Int64N(4), per: time.Duration(1 + rng.Int64N(5)), burst: 1 + rng.Int64N(4)}
		l := newLaw([]bound{b})
		var times []int64
		var now, worst int64
		for range 1 + rng.IntN(20) {
			now += rng.Int64N(6)
			times = append(times, now)
			l.observe("client", time.Unix(0, now), true)
			for i, from := range times {
				permitted := b.burst*int64(b.per) + b.count*(now-from+slack)
				worst = max(worst, int64(len(times)-i)*int64(b.per)-permitted)
			}
		}
		want := (worst + int64(b.per) - 1) / int64(b.per)
		if got := l.clients["client"].tiers[0].excess(b).Int64(); got != want {
			t.Fatalf("%+v at %v: excess = %d, want %d", b, times, got, want)
		}
	}
}

// TestBoundReadsAsTheLimiter compares two readers of limits that share no code.
func TestBoundReadsAsTheLimiter(t *testing.T) {
	for _, text := range []string{"100/s", "2/s burst 10", "1000/h burst 50", "1/1m30s", "3/1.5s", "7/ms", "9/us burst 2", "5/ns", "6/m", "480/d burst 100", "0/s", "inf"} {
		l, err := ratelimit.ParseLimit(text)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseBound(l.String())
		if err != nil {
			t.Errorf("parseBound(%q): %v", l, err)
			continue
		}
		if d := ratelimit.NewKeyed[int]([]ratelimit.Limit{l}, nil).Peek(0, 0); !b.inf && int64(d.Limit) != b.burst {
			t.Errorf("%q: burst = %d, the limiter has %d", text, b.burst, d.Limit)
		}
		if !b.inf && b.count > 0 && ratelimit.Per(int(b.count), b.per) != l.Rate {
			t.Errorf("%q: rate = %d per %v, want %v", text, b.count, b.per, l.Rate)
		}
	}
}

// A gatewayTest is the servers, running, and a client of them.
type gatewayTest struct {
	*system
	t         *testing.T
	transport *http.Transport
}

func startGateway(t *testing.T, limit string, args ...string) *gatewayTest {
	t.Helper()
	c, err := parseFlags(append([]string{"-limit", limit, "-weights", "1,1", "-cache", "0"}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	in := &traffic{requests: []request{{at: epoch, target: "/gone", status: 404}}}
	sys, err := c.start(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	transport := newTransport(sys.trust)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := sys.stop(); err != nil {
			t.Error(err)
		}
	})
	return &gatewayTest{sys, t, transport}
}

// get makes a request; header is pairs of names and values.
func (g *gatewayTest) get(method, target string, header ...string) (*http.Response, string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.front.Host+target, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := g.transport.RoundTrip(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(body)
}

func TestRoutes(t *testing.T) {
	g := startGateway(t, "1000/s")
	for _, tt := range []struct {
		method, target, auth string
		status               int
		body                 string
	}{
		{"GET", "/", "", 200, "web-1 serves /"},
		{"GET", "/", "", 200, "web-2 serves /"}, // each in turn
		{"GET", "/a//b/../c%2Fd?q=1", "", 200, "serves /a//b/../c/d"},
		{"GET", "/gone", "", 404, "no such page"},
		{"GET", "/apiary", "", 200, "web-"},
		{"GET", "/api/users/7", token, 200, `"backend":"users-1"`},
		{"POST", "/api/products", token, 200, `"backend":"products-1"`},
		{"GET", "/api/orders/3", token, 200, `"backend":"orders-1"`},
		{"GET", "/api/users/7", "", 401, "token wanted"},
		{"GET", "/api/users/7", "Bearer dem", 401, "token wanted"},
		{"GET", "/api/carts", token, 404, "no such service"},
		{"GET", "/api/usersettings", token, 404, "no such service"},
		{"GET", "/api", token, 404, "no such service"},
		{"GET", "/api/carts", "", 401, "token wanted"},
		{"GET", brokenPath, token, 502, "did not answer"},
		{"POST", brokenPath, token, 502, "did not answer"},
		{"POST", "/api/summary", token, 405, "GET only"},
	} {
		resp, body := g.get(tt.method, tt.target, "Authorization", tt.auth)
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s %s: %d %q, want %d with %q", tt.method, tt.target, resp.StatusCode, body, tt.status, tt.body)
		}

		if resp.Header.Get("RateLimit") == "" {
			t.Errorf("%s %s: no RateLimit field", tt.method, tt.target)
		}
	}
}

func TestSummary(t *testing.T) {
	g := startGateway(t, "1000/s")
	resp, body := g.get("GET", "/api/summary", "Authorization", token)
	var answer map[string]struct{ Backend, Path string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %q: %v", resp.StatusCode, body, err)
	}
	for _, name := range []string{"users", "products", "orders"} {
		if got := answer[name]; got.Backend != name+"-1" || got.Path != "/api/"+name+"/summary" {
			t.Errorf("%s = %+v", name, got)
		}
	}

	services := []*service{g.service("users", g.deadBackend())}
	for range tripAfter {
		rec := newRecorder(newGateway(services), "GET", "/api/summary", "127.0.0.1:1", "Authorization", token)
		if rec.Code != http.StatusBadGateway {
			t.Errorf("summary of dead services: %d, want 502", rec.Code)
		}
	}
	rec := newRecorder(newGateway(services), "GET", "/api/users", "127.0.0.1:1", "Authorization", token)
	if want := fmt.Sprint(openFor.Seconds()); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") != want {
		t.Errorf("proxy to a service whose breaker is open: %d, Retry-After %q, want 503 and %s", rec.Code, rec.Header().Get("Retry-After"), want)
	}
}

// TestLimitHeaders walks a client into its limit and out again, by what the
// headers say.
func TestLimitHeaders(t *testing.T) {
	g := startGateway(t, "1/10s burst 2")
	field := func(resp *http.Response, name, want string) {
		t.Helper()
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}

	resp, _ := g.get("GET", "/")
	field(resp, "RateLimit-Policy", `"1/10s burst 2";q=2;w=20`)
	field(resp, "RateLimit", `"1/10s burst 2";r=1;t=10`)
	field(resp, "Retry-After", "")
	g.get("GET", "/")
	g.clock.advance(epoch.Add(3 * time.Second))
	resp, body := g.get("GET", "/")
	if resp.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "limit reached") {
		t.Fatalf("third request: %d %s", resp.StatusCode, body)
	}

	field(resp, "RateLimit", `"1/10s burst 2";r=0;t=17`)
	field(resp, "Retry-After", "7")
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil {
		t.Fatal(err)
	}

	g.clock.advance(epoch.Add(time.Duration(3+seconds) * time.Second))
	if resp, _ := g.get("GET", "/"); resp.StatusCode != http.StatusOK {
		t.Errorf("after Retry-After: %d, want 200", resp.StatusCode)
	}
}

// TestForwardedFor checks whom the gateway believes, and what it tells its
// services.
func TestForwardedFor(t *testing.T) {
	g := startGateway(t, "1000/s")
	for _, tt := range []struct{ header, want string }{
		{"", "127.0.0.1"},
		{"203.0.113.9", "203.0.113.9, 127.0.0.1"},
		{"10.0.0.1, 203.0.113.9", "10.0.0.1, 203.0.113.9, 127.0.0.1"},
	} {
		args := []string{"Authorization", token}
		if tt.header != "" {
			args = append(args, "X-Forwarded-For", tt.header)
		}
		if _, body := g.get("GET", "/api/users", args...); !strings.Contains(body, `"for":"`+tt.want+`"`) {
			t.Errorf("X-Forwarded-For %q: service saw %s, want %q", tt.header, body, tt.want)
		}
	}
	if got := forwarded(t, "203.0.113.5:1", "1.2.3.4"); got != "203.0.113.5" {
		t.Errorf("of a stranger's word the service saw %q", got)
	}
	if got := forwarded(t, "127.0.0.2:1", "1.2.3.4"); got != "1.2.3.4, 127.0.0.2" {
		t.Errorf("of a trusted proxy's word the service saw %q", got)
	}
}

// forwarded returns the X-Forwarded-For that a service gets if peer sends
// header.
func forwarded(t *testing.T, peer, header string) string {
	t.Helper()
	var got string
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("X-Forwarded-For")
		if r.Header.Get("Authorization") != "" {
			t.Error("the token was passed on")
		}
	}))
	defer service.Close()
	transport := newTransport(nil)
	defer transport.CloseIdleConnections()
	u, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}

	clock := new(logClock)
	s, err := newService("users", "roundrobin", []endpoint{{url: u}}, []int{1}, clock.now, transport, time.Minute)
	if err != nil {
		t.Fatal(err)
	}

	proxy := newProxy(s, false)
	if rec := newRecorder(proxy, "GET", "/a", peer, "X-Forwarded-For", header, "Authorization", token); rec.Code != http.StatusOK {
		t.Errorf("proxy: %d", rec.Code)
	}

	return got
}

func TestClientOf(t *testing.T) {
	for _, tt := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"203.0.113.5:99", nil, "203.0.113.5"},
		{"203.0.113.5:99", []string{"1.2.3.4"}, "203.0.113.5"}, // forged
		{"127.0.0.1:99", nil, "127.0.0.1"},
		{"127.0.0.1:99", []string{"1.2.3.4"}, "1.2.3.4"},
		{"[::1]:99", []string{"1.2.3.4"}, "1.2.3.4"},
		{"[::ffff:127.0.0.1]:99", []string{"1.2.3.4"}, "1.2.3.4"},
		{"127.0.0.1:99", []string{"9.9.9.9, 1.2.3.4"}, "1.2.3.4"}, // the client wrote 9.9.9.9
		{"127.0.0.1:99", []string{"9.9.9.9", "1.2.3.4"}, "1.2.3.4"},
		{"127.0.0.1:99", []string{"1.2.3.4, 127.0.0.7 ,, "}, "1.2.3.4"}, // through two proxies of ours

		{"127.0.0.1:99", []string{"::1"}, "127.0.0.1"},
		{"127.0.0.1:99", []string{"2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::/64"},
		{"127.0.0.1:99", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		{"127.0.0.1:99", []string{"Host7.Example.NET"}, "host7.example.net"},
		{"[2001:db8::7]:1", []string{"1.2.3.4"}, "2001:db8::/64"},
		{"pipe", []string{"1.2.3.4"}, "pipe"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
		if got := clientOf(r); got != tt.want {
			t.Errorf("clientOf(%s, %q) = %q, want %q", tt.peer, tt.forwarded, got, tt.want)
		}
	}
}

// TestReplayFile replays a log with everything in it that logs have.
func TestReplayFile(t *testing.T) {
	out, err := runProgram(t, "-in", filepath.Join("testdata", "odd.log"), "-limit", "1/s burst 2", "-top", "9")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"14 requests of 9 clients in 26h59m59s, from the log; 7 malformed lines skipped",
		"2001:db8:a:b::/64", "crawler.example.com",
		"law holds",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestBadInput(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.log")
	if err := os.WriteFile(empty, []byte("not a log\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, args := range [][]string{
		{"-in", filepath.Join(t.TempDir(), "absent")},
		{"-in", empty},
		{"-in", t.TempDir()},
		{"-limit", "fast"},
		{"-limit", "2/s burst 0"},
		{"-n", "0"},
		{"-keys", "0"},
		{"-keys", "3"},
		{"-keys", "-1"},
		{"stray"},
		{"-nosuch"},
		{"-lb", "random"},
		{"-weights", "1,0"},
		{"-weights", "1,,2"},
		{"-weights", strings.Repeat("1,", maxMachines) + "1"},
		{"-health", "-1s"},
		{"-cache", "-1"},
		{"-ttl", "0"},
		{"-swr", "-1s"},
		{"-stale", "200000h"},
		{"-kill", "2"},
		{"-kill", "0@40%"},
		{"-kill", "4@40%"},
		{"-kill", "2@40"},
		{"-kill", "2@140%"},
		{"-kill", "2@NaN%"},
		{"-kill", "2@40%-40%"},
		{"-kill", "2@40%-x"},
		{"-silent", "2"},
		{"-slow", "9@1%"},
		{"-timeout", "0"},
		{"-log", t.TempDir()},
		{"-to", "http://127.0.0.1:1"},
		{"-serve", "127.0.0.1:0"},
		{"-serve", "127.0.0.1:0", "-to", "127.0.0.1:1"},
		{"-serve", "127.0.0.1:0", "-to", "http://127.0.0.1:1/path"},
		{"-serve", "127.0.0.1:0", "-to", "http://127.0.0.1:1", "-weights", "1,2"},
		{"-serve", "127.0.0.1:0", "-to", "http://127.0.0.1:1", "-kill", "1@40%"},
		{"-serve", "nowhere", "-to", "http://127.0.0.1:1"},
		strings.Fields(strings.Repeat("-limit 1/s ", 9)),
	} {
		if _, err := runProgram(t, args...); !errors.As(err, new(*inputError)) {
			t.Errorf("run %q: %v, want an error of the input", args, err)
		}
	}

	if _, err := runProgram(t, "-h"); err != nil {
		t.Errorf("-h: %v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteError(t *testing.T) {
	if err := run(t.Context(), []string{"-n", "10"}, fullDisk{}, io.Discard); err == nil {
		t.Error("no error although nothing could be printed")
	}
}

// TestInterrupt cancels a replay halfway, as Ctrl-C does, and waits for all
// goroutines to end.
func TestInterrupt(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancelCause(t.Context())
	pressed := errors.New("interrupt")
	c, err := parseFlags(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}

	c.progress = func(done, total int) {
		if done == 100 {
			cancel(pressed)
		}
	}

	var stdout bytes.Buffer
	err = c.execute(ctx, &stdout, io.Discard)
	if !errors.Is(err, pressed) || !strings.Contains(err.Error(), "interrupted after 100 of 5000 requests") {
		t.Errorf("execute = %v", err)
	}

	if stdout.Len() > 0 {
		t.Errorf("a report of half a replay: %s", stdout.String())
	}

	deadline := time.Now().Add(5 * time.Second)

	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched() // connections notice that they are closed
	}

	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines are left of %d", n, before)
	}
}
