// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// brokenPath is an endpoint whose backend hangs up without an answer.
const brokenPath = "/api/orders/export"

// newBackend returns the handler of one server of the named service, which
// takes slowFor to answer when its machine is slow. The answers are small: what
// matters here is that they are real.
func newBackend(service string, number int, m *machine, slowFor time.Duration, h *history, missing map[string]bool) http.Handler {
	name := serverName(service, number)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != healthPath {
			h.add(arrived)
		}

		switch m.state.Load() {
		case silent:
			<-r.Context().Done()
			return
		case slow:
			time.Sleep(slowFor)
		}

		w.Header().Set("Date", h.now().UTC().Format(http.TimeFormat)) // of the log, as all times are
		if !slices.Contains(cached, service) {
			w.Header().Set("Cache-Control", "private")
		}

		switch {
		case m.state.Load() == dead || r.URL.Path == brokenPath:
			hangUp(w)
		case r.URL.Path == healthPath:
			fmt.Fprintln(w, name, "is well")
		case service != "web":
			writeJSON(w, http.StatusOK, map[string]string{
				"backend": name,
				"path":    r.URL.Path,
				"for":     r.Header.Get("X-Forwarded-For"),
			})
		case missing[r.URL.Path]:
			http.Error(w, "no such page", http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprintln(w, name, "serves", r.URL.Path)
		}
	})
}

// hangUp closes the connection in the middle of the answer. Had the answer not
// begun, the client side of net/http might ask again by itself, and the breaker
// would miss a failure.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 2") // fails only if the client is gone
}

// missingPaths returns the static paths that the log never answered but with
// 404.
func missingPaths(requests []request) map[string]bool {
	missing := make(map[string]bool)
	for _, r := range requests {
		path := r.url("").Path
		if gone, seen := missing[path]; !seen || gone {
			missing[path] = r.status == http.StatusNotFound
		}
	}
	return missing
}
