// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/tls"
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

// loopback is a free port that nobody outside of this machine reaches.
const loopback = "127.0.0.1:0"

// serve runs h on an address until ctx is done, with TLS if secure is not nil.
// Its goroutines belong to g.
func serve(ctx context.Context, g *errgroup.Group, addr string, h http.Handler, secure *tls.Config) (*url.URL, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}

	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		TLSConfig:         secure,
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections are part of the show
	}

	g.Go(func() error {
		run := srv.Serve
		if secure != nil {
			run = func(ln net.Listener) error { return srv.ServeTLS(ln, "", "") }
		}
		if err := run(ln); !errors.Is(err, http.ErrServerClosed) {
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

	at := &url.URL{Scheme: "http", Host: ln.Addr().String()}
	if secure != nil {
		at.Scheme = "https"
	}
	return at, nil
}

// newTransport returns a client side that talks to nothing but the addresses it
// is given, and believes the certificates of trust alone, if that is not nil.
func newTransport(trust *tls.Config) *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 16,
		DisableCompression:  true,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:     trust,
		ForceAttemptHTTP2:   trust != nil,
		IdleConnTimeout:     time.Minute,
	}
}
