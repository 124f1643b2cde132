// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/merkle"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// A crawler has some of the hosts, and all that is to be known of them.
type crawler struct {
	cr     *crawling
	name   string
	queues []*hostQueue
	filter *bloom.Filter
	free   time.Duration // from when on it has nothing else to do
	log    [][]byte      // the pages, in order: address and hash
	tree   *merkle.Tree  // of the log
	saved  *checkpoint
	roots  []checkpoint // all of them, for the judge

	asked, errs int     // new addresses that the filter was asked about; those it took for seen
	expected    float64 // errors that the filter predicted
	times       []time.Duration
	seen        []string   // all new addresses, in order, for the judge
	inbox       []*url.URL // links since the last checkpoint
}

// A hostQueue is a host and its pages that are still to be fetched.
type hostQueue struct {
	host  string
	pages []string
	ready time.Duration // from when on it may be asked
	known bool          // robots.txt is
	limit ratelimit.Limit
	took  int // pages that were ever queued
}

// newCrawler returns a crawler with a filter for half of the web, which is more
// than its share, if all is well. Filters of one size and seed can be united.
func newCrawler(cr *crawling, name string) *crawler {
	c := &crawler{cr: cr, name: name, filter: bloom.New(cr.config.pages/2, cr.p, nil), tree: merkle.NewTree(nil)}
	c.save()
	return c
}

// queue returns the queue of a host.
func (c *crawler) queue(host string) *hostQueue {
	for _, q := range c.queues {
		if q.host == host {
			return q
		}
	}
	q := &hostQueue{host: host, limit: usual}
	c.queues = append(c.queues, q)
	return q
}

// offer queues the page at u, if it was not seen before.
func (c *crawler) offer(u *url.URL) {
	cr, address := c.cr, u.String()
	seen := cr.audit[address]
	cr.audit[address] = true
	if !seen {
		c.seen = append(c.seen, address)
		c.asked++
		c.expected += c.filter.Rate()
	}
	if !c.filter.AddString(address) {
		if !seen {
			c.errs++
			cr.missed[address] = true
		}
		return
	}

	// A host that never ends gets its budget.
	q := c.queue(u.Host)
	if q.took >= cr.bound() && !cr.greedy || q.took >= 2*cr.bound() {
		return
	}
	q.took++
	q.pages = append(q.pages, address)
}

// bound returns the most pages of one host.
func (c *config) bound() int { return c.pages / 3 }

// next returns the host that may be asked first, and when.
func (c *crawler) next() (first *hostQueue, at time.Duration) {
	for _, q := range c.queues {
		if len(q.pages) == 0 {
			continue
		}
		if t := max(q.ready, c.free); first == nil || t < at {
			first, at = q, t
		}
	}
	return first, at
}

// visit fetches the next page of a host, if its limit and its breaker permit,
// and reports whether it has. Otherwise it notes when they will.
func (c *crawler) visit(ctx context.Context, q *hostQueue) (fetched bool, err error) {
	cr, now := c.cr, c.cr.web.clock.read()
	permit, err := cr.breakers.Get(q.host).Allow()
	var open *breaker.OpenError
	if errors.As(err, &open) {
		wait, _ := open.RetryAfter()
		q.ready = now + wait
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if d := cr.limits.TakeLimits(q.host, 1, q.limit); !d.OK && !cr.rude {
		permit.Ignore()
		q.ready = now + d.RetryAfter
		return false, nil
	}

	// First the rules of the host, then its pages.
	address := q.pages[0]
	if !q.known {
		address = "http://" + q.host + "/robots.txt"
	}
	text, err := cr.fetch(ctx, address)
	permit.Done(ctx, err)
	c.free = now + takes
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return false, nil // it stays in the queue
	}
	if !q.known {
		q.known = true
		if strings.Contains(text, "Crawl-delay: 5") {
			q.limit = slow
		}
		return false, nil
	}
	return true, c.take(q, address, text)
}

// take enters a page into the log, and offers its links.
func (c *crawler) take(q *hostQueue, address, text string) error {
	q.pages = q.pages[1:]
	sum := sha256.Sum256([]byte(text))
	c.log = append(c.log, fmt.Appendf(nil, "%s %x", address, sum))
	c.tree.Append(c.log[len(c.log)-1])
	c.times = append(c.times, c.cr.web.clock.read())

	base, err := url.Parse(address)
	if err != nil {
		return err
	}
	for part := range strings.SplitSeq(text, `<a href="`) {
		link, _, ok := strings.Cut(part, `">`)
		if !ok || !c.cr.permitted(link, base) {
			continue
		}
		if err := c.cr.found(link, base); err != nil {
			return err
		}
	}
	if len(c.log)%every == 0 {
		c.save()
	}
	return nil
}

// permitted reports whether robots.txt permits the page that a link leads to.
// All hosts of this web have the same rules.
func (cr *crawling) permitted(link string, base *url.URL) bool {
	u, err := normalize(link, base)
	return err != nil || !strings.HasPrefix(u.Path, private)
}

// A checkpoint is what outlives a crawler. The root says what the log was.
type checkpoint struct {
	queues []hostQueue
	filter []byte
	log    [][]byte
	root   merkle.Hash
	size   uint64
	seen   int // for the judge
}

// save writes a checkpoint.
func (c *crawler) save() {
	c.inbox = nil
	cp := &checkpoint{log: slices.Clip(c.log), root: c.tree.Root(), size: c.tree.Len(), seen: len(c.seen)}
	for _, q := range c.queues {
		saved := *q
		saved.pages = slices.Clone(q.pages)
		cp.queues = append(cp.queues, saved)
	}
	cp.filter, _ = c.filter.MarshalBinary() // fails for no filter of this size
	c.saved = cp
	c.roots = append(c.roots, checkpoint{root: cp.root, size: cp.size})
}

// A restored is what a checkpoint has.
type restored struct {
	queues []hostQueue
	filter *bloom.Filter
}

// restore reads a checkpoint, whose log has to be the one that its root is of.
func (cp *checkpoint) restore() (*restored, error) {
	tree := merkle.NewTree(nil)
	for _, page := range cp.log {
		tree.Append(page)
	}
	if tree.Root() != cp.root || tree.Len() != cp.size {
		return nil, errors.New("law broken: the log of a checkpoint is not the one that its root is of")
	}
	r := &restored{queues: cp.queues, filter: new(bloom.Filter)}
	return r, r.filter.UnmarshalBinary(cp.filter)
}

// adopt takes over the host of another crawler.
func (c *crawler) adopt(q hostQueue) {
	own := c.queue(q.host)
	own.pages = append(own.pages, q.pages...)
	own.ready = max(own.ready, q.ready)
	own.known = q.known
	own.limit = q.limit
	own.took += q.took
}
