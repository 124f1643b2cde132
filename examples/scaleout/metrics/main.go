// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/lru"
	"github.com/ashlar-go/ashlar/ratelimit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "metrics:", err)
	os.Exit(2)
}

// run is the program. Without -addr it prints what Prometheus would get, once.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("metrics", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	addr := fs.String("addr", "", "serve /metrics and /debug/vars at `ADDR` until Ctrl-C")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fs.Usage()
		return err
	case err != nil:
		return err
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}

	// Something at work.
	users := lru.New[int, string](100, nil)
	limits := ratelimit.NewKeyed[int]([]ratelimit.Limit{{Rate: ratelimit.PerSecond(1), Burst: 5}}, nil)
	inventory := breaker.New(&breaker.Options{Count: true})
	step := func() {
		k := rand.IntN(200)
		if _, ok := users.Get(k); !ok {
			users.Set(k, "Ada")
		}
		limits.Allow(k % 10)
		_, _ = breaker.Do(ctx, inventory, func(context.Context) (int, error) { return k, nil })
	}
	for range 1000 {
		step()
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(
		newCollector("lru", "users", users.Stats),
		newCollector("ratelimit_keyed", "clients", limits.Stats),
		newCollector("breaker", "inventory", inventory.Stats),
	)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	if *addr == "" {
		return printOnce(ctx, handler, stdout)
	}

	if expvar.Get("users") == nil {
		expvar.Publish("users", published(users.Stats))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", handler)
	mux.Handle("GET /debug/vars", expvar.Handler())
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "http://%s/metrics and /debug/vars; Ctrl-C ends it\n", ln.Addr())
	return serve(ctx, ln, mux, func() slog.Attr {
		before := users.Stats()
		step()
		return logged("users", users.Stats().Sub(before))
	}, slog.New(slog.NewTextHandler(stderr, nil)))
}

// serve serves h until ctx ends, and logs what work tells, now and then.
func serve(ctx context.Context, ln net.Listener, h http.Handler, work func() slog.Attr, log *slog.Logger) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stopped()
	done := make(chan struct{})
	defer func() { <-done }()
	go func() { // ends with ctx
		defer close(done)
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				log.Info("since the last time", work())
			}
		}
	}()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// printOnce prints what a scrape gets.
func printOnce(ctx context.Context, h http.Handler, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	h.ServeHTTP(&bodyWriter{header: make(http.Header), w: w}, req)
	return nil
}

// A bodyWriter passes the body of an answer on.
type bodyWriter struct {
	header http.Header
	w      io.Writer
}

func (b *bodyWriter) Header() http.Header         { return b.header }
func (b *bodyWriter) WriteHeader(int)             {}
func (b *bodyWriter) Write(p []byte) (int, error) { return b.w.Write(p) }
