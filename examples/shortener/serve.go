// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ashlar-go/ashlar/lsm"
)

// Of a service that is not that of the report: how many links are in memory,
// and how many codes its filter begins with.
const (
	hotLinks   = 100_000
	knownCodes = 10_000
)

// stopGrace is how long a server may take to finish what it is doing.
const stopGrace = 3 * time.Second

// loopback is a free port that nobody outside of this machine reaches.
const loopback = "127.0.0.1:0"

// serveLinks is the program with -serve: it runs until ctx is done.
func (c *config) serveLinks(ctx context.Context, stdout io.Writer) (err error) {
	db, err := lsm.Open(c.dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	l, err := openLinks(ctx, db, options{now: time.Now, hot: hotLinks, known: knownCodes})
	if err != nil {
		return err
	}
	s := newService(l, c.limit)
	s.base, s.forwarded, s.moved = c.base, c.forwarded, c.moved

	g, ctx := errgroup.WithContext(ctx)
	at, err := serveHTTP(ctx, g, c.serve, s.handler())
	if err != nil {
		return badInput("-serve: %w", err)
	}
	g.Go(func() error { return l.maintain(ctx) })
	_, err = fmt.Fprintf(stdout, "http://%s serves the links of %s\n", at, c.dir)
	err = errors.Join(err, g.Wait())

	// What came last is written, although ctx is done.
	return errors.Join(err, l.FlushClicks(context.WithoutCancel(ctx)))
}

// maintain writes clicks every second and sweeps every hour, until ctx is done.
func (l *Links) maintain(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	hour := time.NewTicker(time.Hour)
	defer hour.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-second.C:
			err = l.FlushClicks(ctx)
		case <-hour.C:
			_, err = l.Sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// serveHTTP serves h at an address until ctx is done, and returns the address.
// Its goroutines belong to g.
func serveHTTP(ctx context.Context, g *errgroup.Group, addr string, h http.Handler) (net.Addr, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
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
			_ = srv.Close() // a connection that is open and says nothing
		}
		return nil
	})
	return ln.Addr(), nil
}
