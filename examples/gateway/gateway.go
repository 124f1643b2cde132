// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// token is the secret that a client of the API must show.
const token = "Bearer demo"

// Where a path leads, apart from the services themselves.
const (
	toSummary = "summary" // the gateway itself answers, from several services
	toNowhere = "unknown" // no service has it
)

// route returns the name of the service for path. It is the only place that
// reads paths, and compares whole segments: /api/usersettings is not a user.
func route(path string) string {
	if !isAPI(path) {
		return "web"
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, "/api"), "/"), "/")
	switch name {
	case "users", "products", "orders", toSummary:
		return name
	}
	return toNowhere
}

func isAPI(path string) bool { return path == "/api" || strings.HasPrefix(path, "/api/") }

// newGateway returns the gateway without its limits: token, routes, proxies.
func newGateway(services []*service) http.Handler {
	handlers := map[string]http.Handler{toSummary: newSummary(services)}
	for _, s := range services {
		handlers[s.name] = newProxy(s, false)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAPI(r.URL.Path) && !authorized(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="api"`)
			writeError(w, http.StatusUnauthorized, "token wanted")
			return
		}
		h, ok := handlers[route(r.URL.Path)]
		if !ok {
			writeError(w, http.StatusNotFound, "no such service")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func authorized(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(token)) == 1
}

// newProxy returns the reverse proxy to one service, which picks the server
// itself. The service sees the Authorization of clients if it is the one to
// judge it.
func newProxy(s *service, authorization bool) http.Handler {
	return &httputil.ReverseProxy{
		Transport: s.front(),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(anyServer)
			// ReverseProxy has removed the forwarding headers: anybody can
			// write them. Those of a trusted peer are put back, and the address
			// of the peer is added.
			if peer, ok := peerOf(r.In); ok && trusted(peer) {
				r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			}
			r.SetXForwarded()
			if !authorization {
				r.Out.Header.Del("Authorization") // checked here; services need not see it
			}
			r.Out = takeHome(r.Out.WithContext(withClient(r.Out.Context(), clientOf(r.In))), s.name)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { writeFailure(w, err) },
	}
}

// anyServer stands for an address that the service fills in.
var anyServer = &url.URL{Scheme: "http", Host: "service"}

// writeFailure answers for a service that did not. What failed behind the
// gateway is nobody's business in front of it, except when it is worth while to
// come back.
func writeFailure(w http.ResponseWriter, err error) {
	var unavailable *unavailableError
	switch {
	case errors.Is(err, errLate):
		writeError(w, http.StatusGatewayTimeout, "the service did not answer in time")
		return
	case !errors.As(err, &unavailable):
		writeError(w, http.StatusBadGateway, "the service did not answer")
		return
	}
	if d := unavailable.retryAfter; d > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
	}
	writeError(w, http.StatusServiceUnavailable, "the service is not available now")
}

// newSummary returns the handler that asks several services at once and makes
// one answer of theirs. If one fails, so does the whole: a page with a silent
// hole is worse than an error.
func newSummary(services []*service) http.Handler {
	parts := slices.DeleteFunc(slices.Clone(services), func(s *service) bool { return s.name == "web" })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			writeError(w, http.StatusMethodNotAllowed, "GET only")
			return
		}
		bodies := make([]json.RawMessage, len(parts))
		// All are asked to the end, even when one has failed: a call that is
		// canceled says nothing about its server, and which were would depend
		// on who came first.
		var g errgroup.Group
		for i, s := range parts {
			g.Go(func() (err error) {
				url := anyServer.JoinPath("api", s.name, "summary").String()
				bodies[i], err = fetch(withClient(r.Context(), clientOf(r)), s, url)
				return err
			})
		}

		if err := g.Wait(); err != nil {
			writeFailure(w, err)
			return
		}
		answer := make(map[string]json.RawMessage)
		for i, s := range parts {
			answer[s.name] = bodies[i]
		}
		writeJSON(w, http.StatusOK, answer)
	})
}

// maxPart bounds the bytes of one service's answer that the gateway holds in
// memory.
const maxPart = 1 << 20

func fetch(ctx context.Context, transport http.RoundTripper, url string) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPart))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || !json.Valid(body) {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return body, nil
}

// clientOf returns the key that r's client is limited by.
//
// The peer of the connection is known for sure, but behind a load balancer it
// is always the load balancer, which names the client in X-Forwarded-For. The
// header is believed if the peer is trusted, and read from the right: each
// proxy appends the peer it saw. The client itself wrote everything to the left
// of the first address that is not one of our proxies, and may write anything.
func clientOf(r *http.Request) string {
	peer, ok := peerOf(r)
	if !ok {
		return r.RemoteAddr
	}
	if !trusted(peer) {
		return keyOf(peer.String())
	}

	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		if addr, err := netip.ParseAddr(hop); hop != "" && (err != nil || !trusted(addr.Unmap())) {
			return keyOf(hop)
		}
	}
	return keyOf(peer.String())
}

func peerOf(r *http.Request) (addr netip.Addr, ok bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr().Unmap(), err == nil
}

// trusted reports whether the peer may speak for others: the driver of this
// program, which stands for the load balancer, is on the loopback interface.
func trusted(peer netip.Addr) bool { return peer.IsLoopback() }

// keyOf returns the key of a client: an IPv4 address, the first 64 bits of an
// IPv6 address (a customer has all addresses that share them), or a host name.
func keyOf(client string) string {
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return strings.ToLower(client)
	}
	addr = addr.Unmap()
	masked := ratelimit.MaskAddr(addr, 32, 64).String()
	if addr.Is6() {
		masked += "/64"
	}
	return masked
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only if the client is gone
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}
