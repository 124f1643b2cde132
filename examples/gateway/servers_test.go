// SPDX-License-Identifier: MIT

package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
)

func all(int) bool { return true }

// TestPolicies works the orders that load balancers are explained with by hand.
func TestPolicies(t *testing.T) {
	names, weights := []string{"a", "b", "c"}, []int{1, 1, 2}
	for _, tt := range []struct {
		policy string
		want   []int
	}{
		{"roundrobin", []int{0, 1, 2, 0, 1, 2, 0, 1}},
		{"weighted", []int{2, 0, 1, 2, 2, 0, 1, 2}},
		{"leastconn", []int{0, 1, 2, 2, 0, 1, 2, 2}}, // nothing is released
	} {
		p, err := newPolicy(tt.policy, names, weights)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for range tt.want {
			i, _ := p.pick("client", -1, all)
			got = append(got, i)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s picks %v, want %v", tt.policy, got, tt.want)
		}
	}
}

// TestLeastConnReleases: what is done is not in flight.
func TestLeastConnReleases(t *testing.T) {
	p, err := newPolicy("leastconn", []string{"a", "b", "c"}, []int{1, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	p.pick("", -1, all)
	_, done := p.pick("", -1, all)
	p.pick("", -1, all)
	done()
	if i, _ := p.pick("", -1, all); i != 1 {
		t.Errorf("picked %d, want 1, which has nothing to do", i)
	}
}

// TestPoliciesSkip checks that no policy picks a server that is not usable, or
// that has failed the request, and that each picks one if there is any.
func TestPoliciesSkip(t *testing.T) {
	for _, name := range policies {
		p, err := newPolicy(name, []string{"a", "b", "c"}, []int{1, 1, 2})
		if err != nil {
			t.Fatal(err)
		}
		for k := range 8 * 4 * 20 {
			mask, failed := k/4%8, k%4-1
			usable := func(i int) bool { return mask>>i&1 == 1 }
			i, done := p.pick("client", failed, usable)

			wanted := mask
			if failed >= 0 {
				wanted &^= 1 << failed
			}
			if found := i >= 0; found != (wanted != 0) {
				t.Errorf("%s picks %d of the set %03b after %d failed", name, i, mask, failed)
			} else if found && (wanted>>i&1 == 0 || done == nil) {
				t.Errorf("%s picks %d of the set %03b after %d failed", name, i, mask, failed)
			}
			if done != nil {
				done()
			}
		}
	}
}

// TestCompareFindsViolations: a policy that is not what it is called is found
// out.
func TestCompareFindsViolations(t *testing.T) {
	weights := []int{1, 1, 2}
	alike := map[string]string{ // while nothing is released
		"weighted":  "leastconn",
		"leastconn": "weighted",
		"bounded":   "weighted leastconn",
	}

	for _, called := range policies {
		for _, is := range policies {
			p, err := newPolicy(is, []string{"a", "b", "c"}, weights)
			if err != nil {
				t.Fatal(err)
			}

			s := &simulation{
				balance: balance{policy: called, requests: make([]int, 3)}, weights: weights,
				open: make([]int, 3), where: make(map[string]int),
			}

			for i := 0; err == nil && i < 200; i++ {
				client := string(rune('a' + i%7%3)) // one of three is busier
				var server int
				server, _ = p.pick(client, -1, all)
				if err = s.judge(server, client); err == nil {
					s.requests[server]++
					s.open[server]++
					s.total++
				}
			}

			if ok := called == is || strings.Contains(alike[called], is); (err == nil) != ok {
				t.Errorf("%s called %s: %v", is, called, err)
			}
		}
	}
}

// TestCheckKilledFindsViolations feeds the law what no right breaker lets
// through.
func TestCheckKilledFindsViolations(t *testing.T) {
	closed, open, half := breaker.Closed, breaker.Open, breaker.HalfOpen
	arrivals := func(n int) []historyEvent { return slices.Repeat([]historyEvent{{kind: arrived}}, n) }
	state := func(s breaker.State) []historyEvent { return []historyEvent{{kind: changed, state: s}} }
	dead, alive := []historyEvent{{kind: failed}}, []historyEvent{{kind: mended}}
	for _, tt := range []struct {
		name   string
		events [][]historyEvent
		ok     bool
	}{
		{"alive", [][]historyEvent{arrivals(100)}, true},
		{"threshold and one in flight", [][]historyEvent{arrivals(9), dead, arrivals(tripAfter + 1), state(open)}, true},
		{"one more", [][]historyEvent{dead, arrivals(tripAfter + 2), state(open)}, false},
		{"while open", [][]historyEvent{dead, arrivals(tripAfter), state(open), arrivals(1)}, false},
		{"one probe", [][]historyEvent{dead, state(open), state(half), arrivals(1), state(open), state(half), arrivals(1)}, true},
		{"two probes", [][]historyEvent{dead, state(open), state(half), arrivals(2)}, false},
		{"back", [][]historyEvent{dead, state(open), alive, state(half), arrivals(1), state(closed), arrivals(50)}, true},
		{"dead again", [][]historyEvent{dead, state(open), alive, state(closed), arrivals(50), dead, arrivals(tripAfter + 2)}, false},
	} {
		srv := &server{history: &history{events: slices.Concat(tt.events...)}}
		srv.most.Store(1)
		if _, err := srv.checkFailed(); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %t", tt.name, err, tt.ok)
		}
	}
}

// TestSecondTry: a request that does no harm twice survives one dead server of
// two, any other does not; and after the trip nobody notices.
func TestSecondTry(t *testing.T) {
	g := startGateway(t, "1000/s")
	g.machines[0].state.Store(dead)
	failed := map[string]int{}
	for range 2 * tripAfter {
		for _, method := range []string{"GET", "POST", "POST"} { // each server gets some of both
			if resp, _ := g.get(method, "/api/users/1", "Authorization", token); resp.StatusCode == http.StatusBadGateway {
				failed[method]++
			}
		}
	}

	if got := failed["GET"]; got != 0 {
		t.Errorf("%d GET failed, want 0", got)
	}
	if got := failed["POST"]; got == 0 || got > tripAfter {
		t.Errorf("%d POST failed, want 1 to %d", got, tripAfter)
	}
	if got := g.services[0].servers[0].calls.Load(); got != tripAfter {
		t.Errorf("the dead server was called %d times, want %d", got, tripAfter)
	}
	g.machines[1].state.Store(dead)
	for range tripAfter {
		g.get("GET", "/api/users/1", "Authorization", token)
	}
	resp, _ := g.get("GET", "/api/users/1", "Authorization", token)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "30" {
		t.Errorf("with both breakers open: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
}

// TestHealth: checks take a server out and back, after healthRow in a row and
// not before.
func TestHealth(t *testing.T) {
	g := startGateway(t, "1000/s")
	g.checker.every = time.Minute
	h := &g.services[3].servers[1].health
	now := epoch
	round := func(state int32, want bool) {
		t.Helper()
		g.machines[1].state.Store(state)
		now = now.Add(time.Minute)
		g.checker.advance(t.Context(), now.Add(-time.Second)) // not due yet, but for the first
		g.checker.advance(t.Context(), now)
		if got := h.up.Load(); got != want {
			t.Errorf("at %v: up = %t, want %t", now.Sub(epoch), got, want)
		}
	}

	round(works, true)
	round(dead, true)
	round(works, true) // the row is broken
	round(dead, true)
	round(dead, false)

	for range 4 {
		if _, body := g.get("GET", "/"); !strings.Contains(body, "web-1") {
			t.Errorf("a server that is out answered: %s", body)
		}
	}

	round(works, false)
	round(works, true)
}

// TestStrips draws a history by hand.
func TestStrips(t *testing.T) {
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	srv := &server{history: &history{events: []historyEvent{
		{at: at(0), kind: arrived},
		{at: at(1), kind: arrived},
		{at: at(1), kind: arrived},
		{at: at(2), kind: changed, state: breaker.Open},
		{at: at(4), kind: changed, state: breaker.HalfOpen},
		{at: at(5), kind: arrived},
		{at: at(6), kind: changed, state: breaker.Closed},
		{at: at(7), kind: sick},
		{at: at(8), kind: well},
	}}}
	states, arrivals := srv.strips(epoch, time.Second, 10)
	if want := "··███▒▒××·"; states != want || !slices.Equal(arrivals, []int{1, 2, 0, 0, 0, 1, 0, 0, 0, 0}) {
		t.Errorf("strips: %s, %v; want %s", states, arrivals, want)
	}
}
