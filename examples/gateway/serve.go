// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"
)

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
			_ = srv.Close() // a connection was opened ahead of need, and nobody will ever use it
		}
		return nil
	})
	return &url.URL{Scheme: "http", Host: ln.Addr().String()}, nil
}

// newTransport returns a client side that talks to nothing but the addresses it
// is given.
func newTransport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 16,
		DisableCompression:  true,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}
}
