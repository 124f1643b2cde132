// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// brokenPath is an endpoint whose backend hangs up without an answer.
const brokenPath = "/api/orders/export"

// newBackend returns the handler of one server of the named service. The answers are small:
// what matters here is that they are real.
func newBackend(service string, number int, missing map[string]bool) http.Handler {
	name := fmt.Sprintf("%s-%d", service, number)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == brokenPath:
			panic(http.ErrAbortHandler) // net/http closes the connection
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

// missingPaths returns the static paths that the log never answered but with 404.
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

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // fails only if the client is gone
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

// A picker chooses the backend for the next request: here, each in turn.
// It is safe for concurrent use by multiple goroutines.
type picker struct {
	backends []*url.URL
	turn     atomic.Uint64
}

func (p *picker) pick() *url.URL {
	return p.backends[(p.turn.Add(1)-1)%uint64(len(p.backends))]
}

// stopGrace is how long a server may take to finish what it is doing.
const stopGrace = time.Second

// serve runs h on a free port of the loopback interface until ctx is done.
// Its goroutines belong to g.
func serve(ctx context.Context, g *errgroup.Group, h http.Handler) (*url.URL, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections are part of the show
	}
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close() // a connection was opened ahead of need, and nobody will ever use it
		}
		return nil
	})
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}, nil
}

// newTransport returns a client side that talks to nothing but the addresses it is given.
func newTransport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 16,
		DisableCompression:  true,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}
}
