// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A session that lives in the memory of one server is lost on all others. With
// -sticky a cookie tells the gateway which server a client was at before, so
// that it comes back there, whatever the policy, as long as the server is
// usable. The cookie has the number of the server, and nothing of its address.
// It is the gateway's alone: services do not see it, and it keeps no answer out
// of the cache.

type homeKey struct{}

// forAll is the home of requests whose answers many clients get: they have
// none, and leave no cookie.
const forAll = -2

// homePrefix begins the names of the cookies of the gateway.
const homePrefix = "gateway-home-"

// homeCookie returns the name of the cookie of a service.
func homeCookie(service string) string { return homePrefix + service }

// takeHome returns req without the cookies of the gateway, and with the server
// in its context that the one of the service called name stands for.
func takeHome(req *http.Request, name string) *http.Request {
	cookies := req.Cookies()
	if !slices.ContainsFunc(cookies, func(c *http.Cookie) bool { return strings.HasPrefix(c.Name, homePrefix) }) {
		return req
	}

	req.Header.Del("Cookie")
	home := -1
	for _, c := range cookies {
		if !strings.HasPrefix(c.Name, homePrefix) {
			req.AddCookie(c)
		} else if n, err := strconv.Atoi(c.Value); err == nil && n > 0 && c.Name == homeCookie(name) {
			home = n - 1
		}
	}
	return req.WithContext(withHome(req.Context(), home))
}

func withHome(ctx context.Context, index int) context.Context {
	return context.WithValue(ctx, homeKey{}, index)
}

// home returns the index of the server that req belongs to, or a negative
// number.
func (s *service) home(req *http.Request) int {
	if index, ok := req.Context().Value(homeKey{}).(int); ok && index < len(s.servers) {
		return index
	}
	return -1
}

// keepHome sets the cookie in resp, of the server of that index, unless the
// client has a home that is usable: one answer of another server does not move
// a session.
func (s *service) keepHome(index int, req *http.Request, resp *http.Response) {
	home := s.home(req)
	if !s.sticky || home == forAll || home >= 0 && s.usable(home) {
		return
	}
	cookie := &http.Cookie{
		Name: homeCookie(s.name), Value: strconv.Itoa(index + 1), Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	resp.Header.Add("Set-Cookie", cookie.String())
}
