// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// A stickyLaw is the law that the driver holds the cookies to: a client moves
// from one server to another only when the first fails, or is on its way back.
// It keeps the cookies of each client as a browser does, and takes the word of
// the machines, not of the gateway.
type stickyLaw struct {
	sys     *system
	cookies map[[2]string]int // by client and name of the cookie: number of the server
	clients int               // that have one
	moves   int
	broken  error // the first violation
}

func newStickyLaw(sys *system) *stickyLaw {
	return &stickyLaw{sys: sys, cookies: make(map[[2]string]int)}
}

// ask puts the cookies of client into req.
func (l *stickyLaw) ask(client string, req *http.Request) {
	for _, s := range l.sys.services {
		name := homeCookie(s.name)
		if n := l.cookies[[2]string{client, name}]; n > 0 {
			req.AddCookie(&http.Cookie{Name: name, Value: strconv.Itoa(n)})
		}
	}
}

// observe judges the cookies that client gets.
func (l *stickyLaw) observe(client string, resp *http.Response) {
	for _, cookie := range resp.Cookies() {
		n, err := strconv.Atoi(cookie.Value)
		if err != nil || n < 1 || n > len(l.sys.machines) {
			l.fail(fmt.Errorf("law broken: %s gets the cookie %v", client, cookie))
			continue
		}
		key := [2]string{client, cookie.Name}
		before := l.cookies[key]
		l.cookies[key] = n
		if before == 0 {
			l.clients++
			continue
		}
		l.moves++
		if before == n || !l.excused(before, cookie.Name) {
			l.fail(fmt.Errorf("law broken: %s moves from server %d to %d, and nothing was wrong", client, before, n))
		}
	}
}

// excused reports whether the server of that number of the service of the
// cookie fails, or has failed so lately that it is not back yet.
func (l *stickyLaw) excused(number int, cookie string) bool {
	for _, s := range l.sys.services {
		if homeCookie(s.name) != cookie {
			continue
		}
		srv := s.servers[number-1]
		return l.sys.machines[number-1].state.Load() != works || !srv.health.up.Load() || srv.breaker.Err() != nil
	}
	return false
}

func (l *stickyLaw) fail(err error) {
	if l.broken == nil {
		l.broken = err
	}
}

// printStickyVerdict judges the cookies, if there were any.
func (out *result) printStickyVerdict(w io.Writer) error {
	if out.homes.broken != nil || out.homes.clients == 0 {
		return out.homes.broken
	}
	fmt.Fprintf(w, "law holds: of %d sessions none moved but when its server failed\n           (%d moves)\n", out.homes.clients, out.homes.moves)
	return nil
}
