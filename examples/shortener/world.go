// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ashlar-go/ashlar/lru"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// site is the one of the report.
const site = "https://s.example"

// began is when the report begins, by its own clock.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// knownAtFirst is how many codes the filters of the report begin with, so that
// they have to grow.
const knownAtFirst = 100

// linksPerClient is the limit of the report: a bucket of that many links, which
// a minute fills.
const linksPerClient = 10

// A world is a service with a disk in memory and a clock of its own, and a
// client that talks to it over loopback.
type world struct {
	*service
	client *client
	at     atomic.Int64 // since began
	stop   func() error
}

// newWorld starts one. A cache in a world has an exact order, so that counts
// are the same each time.
func newWorld(ctx context.Context, seed uint64, hot int) (*world, error) {
	w := new(world)
	db, err := lsm.Open("links", &lsm.Options{FS: lsm.NewMemFS()})
	if err != nil {
		return nil, err
	}
	l, err := openLinks(ctx, db, options{
		now:    func() time.Time { return began.Add(time.Duration(w.at.Load())) },
		key:    keyOf(seed),
		policy: lru.PolicyLRU,
		hot:    hot,
		known:  knownAtFirst,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	w.service = newService(l, ratelimit.Limit{Rate: ratelimit.PerMinute(linksPerClient)})
	w.base, w.forwarded = site, true

	served, end := context.WithCancel(ctx)
	g, served := errgroup.WithContext(served)
	at, err := serveHTTP(served, g, loopback, w.handler())
	if err != nil {
		end()
		return nil, errors.Join(err, db.Close())
	}
	w.client = newClient("http://" + at.String())
	w.stop = func() error {
		w.client.http.CloseIdleConnections()
		end()
		return errors.Join(g.Wait(), db.Close())
	}
	return w, nil
}

// keyOf is the key of a seed. A real one is secret.
func keyOf(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	key := make([]byte, keyLen)
	for i := range key {
		key[i] = byte(r.Uint32())
	}
	return key
}

// sleep lets the time of the world pass.
func (w *world) sleep(d time.Duration) { w.at.Add(int64(d)) }

// A client talks to a service, and follows no redirects.
type client struct {
	http *http.Client
	base string
}

func newClient(base string) *client {
	return &client{
		base: base,
		http: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// A reply is what a service has answered.
type reply struct {
	status int
	header http.Header
	answer
	Error string `json:"error"`
}

// do sends a request of the client with the address from.
func (c *client) do(ctx context.Context, method, path, from string, body any) (*reply, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Forwarded-For", from)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	r := &reply{status: resp.StatusCode, header: resp.Header}
	b, err = io.ReadAll(resp.Body)
	if err == nil && resp.Header.Get("Content-Type") == "application/json" {
		err = json.Unmarshal(b, r)
	}
	return r, err
}

// post asks for a link.
func (c *client) post(ctx context.Context, from string, q request) (*reply, error) {
	return c.do(ctx, http.MethodPost, "/api/links", from, q)
}

// get follows a code.
func (c *client) get(ctx context.Context, code string) (*reply, error) {
	return c.do(ctx, http.MethodGet, "/"+code, reader, nil)
}

// reader is the address of those who make no links.
const reader = "198.51.100.7"

// address returns the one of client i.
func address(i int) string { return fmt.Sprintf("203.0.%d.%d", 113+i>>8, i&255) }
