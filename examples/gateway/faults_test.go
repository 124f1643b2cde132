// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestSilent checks that a server which accepts requests and does not answer
// costs its clients the timeout, a few times, and is then left alone; and that
// the health check finds it out as well.
func TestSilent(t *testing.T) {
	g := startGateway(t, "1000/s", "-timeout", "300ms")
	g.machines[0].state.Store(silent)
	late := 0
	for range 2 * tripAfter {
		start := time.Now()
		resp, body := g.get("POST", "/api/users/1", "Authorization", token)
		switch resp.StatusCode {
		case http.StatusGatewayTimeout:
			late++
			if took := time.Since(start); took < 300*time.Millisecond || !strings.Contains(body, "in time") {
				t.Errorf("an answer of a silent server after %v: %q", took, body)
			}
		case http.StatusOK:
		default:
			t.Errorf("%s %s", resp.Status, body)
		}
	}
	if late != tripAfter {
		t.Errorf("%d requests waited for the silent server, want %d", late, tripAfter)
	}

	// The check of health ends as well, and is not deceived.
	for range healthRow {
		g.checker.next = time.Time{}
		g.checker.advance(t.Context(), epoch)
	}
	for _, s := range g.services {
		if s.servers[0].health.up.Load() || !s.servers[1].health.up.Load() {
			t.Errorf("%s: up = %t and %t, want false and true", s.name, s.servers[0].health.up.Load(), s.servers[1].health.up.Load())
		}
	}
}

// TestSlow checks that answers which come late are passed on, and count as
// failures.
func TestSlow(t *testing.T) {
	g := startGateway(t, "1000/s", "-timeout", "100ms")
	g.machines[0].state.Store(slow)
	for range 2*tripAfter + 4 {
		if resp, body := g.get("GET", "/api/users/1", "Authorization", token); resp.StatusCode != http.StatusOK {
			t.Errorf("%s %s", resp.Status, body)
		}
	}
	srv := g.services[0].servers[0]
	if calls, opened := srv.calls.Load(), srv.breaker.Stats().Opened; calls != tripAfter || opened != 1 {
		t.Errorf("%d calls of a slow server, its breaker opened %d times; want %d and 1", calls, opened, tripAfter)
	}
}

// TestBudget checks that second tries run out when everything fails, come back
// with calls that need none, and are not saved up beyond the bound.
func TestBudget(t *testing.T) {
	b := newBudget()
	take := func(want int) {
		t.Helper()
		n := 0
		for b.take() {
			n++
		}
		if n != want {
			t.Errorf("%d second tries, want %d", n, want)
		}
	}
	earn := func(calls int) {
		for range calls {
			b.earn()
		}
	}

	take(retryMax)
	earn(retryShare - 1)
	take(0)
	earn(1)
	take(1)
	earn(1000)
	take(retryMax)
	b.giveBack()
	take(1)
	if b.taken.Load() != 2*retryMax+1 || b.refused.Load() != 5 || b.calls.Load() != 1000+retryShare {
		t.Errorf("%d taken, %d refused, %d calls", b.taken.Load(), b.refused.Load(), b.calls.Load())
	}
}

// TestRepeatable checks which requests may be sent twice.
func TestRepeatable(t *testing.T) {
	for _, tt := range []struct {
		method, body string
		want         bool
	}{
		{"GET", "", true},
		{"HEAD", "", true},
		{"OPTIONS", "", true},
		{"GET", "x", false},
		{"POST", "", false},
		{"PUT", "x", false},
		{"DELETE", "", false},
	} {
		if got := repeatable(httptest.NewRequest(tt.method, "/", strings.NewReader(tt.body))); got != tt.want && tt.body != "" {
			t.Errorf("%s with %q: %t", tt.method, tt.body, got)
		}
		if got := repeatable(&http.Request{Method: tt.method, Body: http.NoBody}); tt.body == "" && got != tt.want {
			t.Errorf("%s: %t", tt.method, got)
		}
	}
}

// TestRetryLawFindsViolations: a service that tries everything twice is found
// out.
func TestRetryLawFindsViolations(t *testing.T) {
	for arrivals, ok := range map[int]bool{100: true, 120: true, 121: false} {
		s := &service{name: "users", budget: newBudget(), servers: []*server{{history: &history{now: time.Now}}}}
		for range 100 {
			s.budget.earn()
		}
		for range arrivals {
			s.servers[0].history.add(arrived)
		}
		sys := &system{services: []*service{s}}
		if err := sys.printRetryVerdict(&strings.Builder{}); (err == nil) != ok {
			t.Errorf("%d calls for 100 requests: %v, want ok %t", arrivals, err, ok)
		}
	}
}

// TestSticky walks a client with a cookie through the death of its server.
func TestSticky(t *testing.T) {
	g := startGateway(t, "1000/s", "-sticky")
	ask := func(cookies ...string) (server, cookie string) {
		t.Helper()
		header := []string{"Authorization", token}
		for _, c := range cookies {
			header = append(header, "Cookie", c)
		}
		resp, body := g.get("GET", "/api/users/1", header...)
		for _, c := range resp.Cookies() {
			cookie += c.Name + "=" + c.Value
		}
		_, rest, _ := strings.Cut(body, `"backend":"`)
		server, _, _ = strings.Cut(rest, `"`)
		return server, cookie
	}
	want := func(name, server, cookie, wantServer, wantCookie string) {
		t.Helper()
		if server != wantServer || cookie != wantCookie {
			t.Errorf("%s: %s, cookie %q; want %s and %q", name, server, cookie, wantServer, wantCookie)
		}
	}

	server, cookie := ask()
	want("a new client", server, cookie, "users-1", "gateway-home-users=1")
	server, cookie = ask()
	want("another", server, cookie, "users-2", "gateway-home-users=2")
	for range 3 {
		server, cookie = ask("x=1; gateway-home-users=1")
		want("the first comes back", server, cookie, "users-1", "")
	}
	for _, nonsense := range []string{"0", "3", "-1", "x", "99999999999999999999"} {
		if _, cookie = ask("gateway-home-users=" + nonsense); !strings.HasPrefix(cookie, "gateway-home-users=") {
			t.Errorf("the cookie %q got no other", nonsense)
		}
	}

	// Its server dies: a second try does not move it, and the breaker does.
	g.machines[0].state.Store(dead)
	for range tripAfter - 1 {
		server, cookie = ask("gateway-home-users=1")
		want("one dead call", server, cookie, "users-2", "")
	}
	server, cookie = ask("gateway-home-users=1")
	want("the breaker opens", server, cookie, "users-2", "gateway-home-users=2")
	g.machines[0].state.Store(works)
	server, cookie = ask("gateway-home-users=2")
	want("it has moved", server, cookie, "users-2", "")
}

// TestStickyLawFindsViolations: a gateway that moves clients at will is found
// out.
func TestStickyLawFindsViolations(t *testing.T) {
	g := startGateway(t, "1000/s", "-sticky")
	cookie := func(value string) *http.Response {
		return &http.Response{Header: http.Header{"Set-Cookie": {homeCookie("users") + "=" + value}}}
	}
	for _, tt := range []struct {
		values string
		dead   bool
		ok     bool
	}{
		{"1", false, true},
		{"1 2", true, true},
		{"1 2", false, false},
		{"1 1", true, false},
		{"3", false, false},
		{"x", false, false},
	} {

		l := newStickyLaw(g.system)
		for value := range strings.FieldsSeq(tt.values) {
			l.observe("client", cookie(value))
			g.machines[0].state.Store(map[bool]int32{true: dead}[tt.dead])
		}
		g.machines[0].state.Store(works)
		if (l.broken == nil) != tt.ok {
			t.Errorf("%s, dead %t: %v, want ok %t", tt.values, tt.dead, l.broken, tt.ok)
		}
	}
}

// TestTLS checks that clients who trust the certificate are answered, and that
// others refuse the gateway.
func TestTLS(t *testing.T) {
	g := startGateway(t, "1000/s", "-tls")
	url := &url.URL{Scheme: "https", Host: g.front.Host, Path: "/"}
	for _, trusting := range []bool{true, false} {
		transport := newTransport(g.trust)
		if !trusting {
			transport = newTransport(nil)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if (err == nil) != trusting {
			t.Errorf("trusting %t: %v", trusting, err)
		}
		if err == nil {
			if resp.TLS == nil || resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
				t.Errorf("TLS %v, %s, %s", resp.TLS != nil, resp.Proto, resp.Status)
			}
			resp.Body.Close()
		}
		transport.CloseIdleConnections()
	}
}

// TestParseServers checks which addresses -to takes.
func TestParseServers(t *testing.T) {
	got, err := parseServers("http://a:1, https://b/")
	if err != nil || fmt.Sprint(got) != "[http://a:1 https://b]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "a:1", "ftp://a", "http://", "http://a/b", "http://a?b", "http://a,", "http://a b"} {
		if got, err := parseServers(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
	var input *inputError
	if _, err := runProgram(t, "-serve", ":0", "-to", "a"); !errors.As(err, &input) {
		t.Errorf("-to a: %v", err)
	}
}
