// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The web: hosts of which some have many pages and most have few, each page
// with links to others of its host and to other hosts.
const (
	hosts       = 24
	linksOfPage = 8
	private     = "/private/" // what robots.txt forbids
	endless     = "calendar.example"
	delayed     = 3 // the host of this number wants a pause between requests
	down        = 1 // the host of this number is down for a while
)

// A web is what there is to crawl, and the log of its server.
type web struct {
	links map[string][]string // by normalized address, as they are written on the page
	names []string            // of hosts
	clock *clock
	c     *config

	mu   sync.Mutex // protects hits
	hits []hit
}

// A hit is a request that came to the server.
type hit struct {
	url  string
	host string
	at   time.Duration
	ok   bool // it was answered well
}

// A clock is moved by the program, and safe for concurrent use.
type clock struct {
	mu  sync.Mutex // protects now
	now time.Duration
}

func (c *clock) read() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(to time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = max(c.now, to)
}

// time returns the time for limits and breakers.
func (c *clock) time() time.Time { return time.Unix(0, 0).UTC().Add(c.read()) }

// newWeb returns the web that follows from the seed.
func newWeb(c *config) *web {
	rng := rand.New(rand.NewPCG(c.seed, 1))
	w := &web{links: make(map[string][]string), clock: new(clock), c: c}
	for i := range hosts {
		w.names = append(w.names, fmt.Sprintf("host%02d.example", i))
	}

	// Hosts get pages by Zipf's law; each page but the first hangs on an
	// earlier one, so that all can be reached.
	zipf := rand.NewZipf(rng, 1.1, 3, hosts-1)
	pages := make([][]string, hosts)
	for i := range hosts {
		pages[i] = []string{"http://" + w.names[i] + "/"}
	}
	for i := hosts; i < c.pages; i++ {
		h := int(zipf.Uint64())
		path := fmt.Sprintf("/p/%d", len(pages[h]))
		if rng.IntN(25) == 0 {
			path = private + path[3:]
		}
		url := "http://" + w.names[h] + path
		parent := pages[h][rng.IntN(len(pages[h]))]
		w.links[parent] = append(w.links[parent], spell(rng, url))
		pages[h] = append(pages[h], url)
	}

	for h := range pages {
		for _, url := range pages[h] {
			for range linksOfPage {
				to := h
				if rng.IntN(4) == 0 {
					to = int(zipf.Uint64())
				}
				w.links[url] = append(w.links[url], spell(rng, pages[to][rng.IntN(len(pages[to]))]))
			}
		}
	}
	first := pages[0][0]
	for h := range pages {
		w.links[first] = append(w.links[first], pages[h][0])
	}
	w.links[first] = append(w.links[first], "http://"+endless+"/day/0")
	return w
}

// spell writes an address in one of the ways in which people do.
func spell(rng *rand.Rand, url string) string {
	host, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	switch rng.IntN(6) {
	case 0:
		return "HTTP://" + strings.ToUpper(host) + "/" + path
	case 1:
		return "http://" + host + ":80/" + path
	case 2:
		return url + "#top"
	case 3:
		return "http://" + host + "/x/../" + path
	case 4:
		return url + "?"
	}
	return url
}

// serve answers requests for all hosts until ctx is done, and returns the
// address and what waits for the end.
func (w *web) serve(ctx context.Context) (addr string, wait func() error, err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }() // ends with Close
	return ln.Addr().String(), func() error {
		err := srv.Close()
		if ended := <-ended; !errors.Is(ended, http.ErrServerClosed) {
			err = ended
		}
		return err
	}, nil
}

// isDown reports whether the host that fails does so now.
func isDown(host string, names []string, at time.Duration) bool {
	return host == names[down] && at >= time.Minute && at < 3*time.Minute
}

// ServeHTTP answers for all hosts.
func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	at := w.clock.read()
	url := "http://" + r.Host + r.URL.Path
	ok := !isDown(r.Host, w.names, at)
	w.mu.Lock()
	w.hits = append(w.hits, hit{url: url, host: r.Host, at: at, ok: ok})
	w.mu.Unlock()

	links, found := w.links[url]
	switch {
	case !ok:
		http.Error(rw, "down", http.StatusServiceUnavailable)
	case r.URL.Path == "/robots.txt":
		fmt.Fprintf(rw, "User-agent: *\nDisallow: %s\n", private)
		if r.Host == w.names[delayed] {
			fmt.Fprintln(rw, "Crawl-delay: 5")
		}
	case r.Host == endless:
		n := 0
		if _, err := fmt.Sscanf(r.URL.Path, "/day/%d", &n); err == nil {
			fmt.Fprintf(rw, "<a href=\"/day/%d\">tomorrow</a> <a href=\"%d\">and after</a>\n", n+1, n+2)
		}
	case found || r.URL.Path == "/":
		for _, link := range links {
			fmt.Fprintf(rw, "<a href=\"%s\">\n", link)
		}
	default:
		// A leaf of the web: nobody is linked from it.
		fmt.Fprintln(rw, "the end")
	}
}
