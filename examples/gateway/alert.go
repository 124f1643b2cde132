// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/lru"
)

// A total since the start hides what happens now, so alerts look at the
// differences of two readings of the counters.
const (
	minHitRatio = 0.8 // of a cache, below which someone should look at it
	minLookups  = 20  // fewer say nothing about a ratio
	maxAlerts   = 100 // that are kept, the newest
)

// An alert is something in one interval that a person should know.
type alert struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	Kind string    `json:"kind"` // "hit ratio", "evictions" or "p99"
	Of   string    `json:"of"`   // the service, or "gateway"
}

// A watch looks at the counters once in an interval. Only one goroutine calls
// advance; alerts is safe for concurrent use.
type watch struct {
	services []*service
	meter    *meter
	slow     time.Duration // a p99 above it is an alert; 0 is none
	every    time.Duration
	log      *slog.Logger // is told of each alert, or nil

	next   time.Time
	before map[string]lru.Stats
	last   reading

	mu       sync.Mutex // protects what follows
	found    []alert
	counts   map[[2]string]int // by kind and service, since the start
	measured map[string]int    // intervals in which a cache had enough lookups
}

func newWatch(services []*service, m *meter, slow, every time.Duration, log *slog.Logger) *watch {
	return &watch{
		services: services, meter: m, slow: slow, every: every, log: log,
		before: make(map[string]lru.Stats), counts: make(map[[2]string]int), measured: make(map[string]int),
	}
}

// advance looks at the counters if an interval has ended at now. Intervals that
// nobody looked at count as one.
func (w *watch) advance(now time.Time) {
	if w.next.IsZero() {
		w.next = now.Add(w.every)
	}
	if now.Before(w.next) {
		return
	}
	w.next = now.Add(w.every)

	// The caches.
	for _, s := range w.services {
		if s.cache == nil {
			continue
		}
		stats := s.cache.answers.Stats()
		since := stats.Sub(w.before[s.name])
		w.before[s.name] = stats
		if since.Hits+since.Misses >= minLookups {
			w.count(s.name)
			if ratio := since.HitRatio(); ratio < minHitRatio {
				w.add(now, "hit ratio", s.name, fmt.Sprintf("hit ratio %.0f %% is below %.0f %%", 100*ratio, 100*minHitRatio))
			}
		}
		if since.Evicted > 0 {
			w.add(now, "evictions", s.name, fmt.Sprintf("%d answers were evicted to make room", since.Evicted))
		}
	}

	// The times.
	reading := w.meter.read()
	since := reading.Sub(w.last)
	w.last = reading
	if p99 := since.quantile(0.99); w.slow > 0 && p99 > w.slow {
		w.add(now, "p99", "gateway", fmt.Sprintf("one answer of a hundred took more than %v", w.slow))
	}
}

func (w *watch) count(service string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.measured[service]++
}

func (w *watch) add(at time.Time, kind, of, what string) {
	if w.log != nil {
		w.log.Warn("alert", "kind", kind, "of", of, "what", what, "at", at)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[[2]string{kind, of}]++
	w.found = append(w.found, alert{At: at, What: what, Kind: kind, Of: of})
	if extra := len(w.found) - maxAlerts; extra > 0 {
		w.found = slices.Delete(w.found, 0, extra)
	}
}

// alerts returns the newest alerts, in the order in which they came.
func (w *watch) alerts() []alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.found)
}

// of returns in how many intervals there was an alert of that kind, and in how
// many there was enough to judge.
func (w *watch) of(kind, service string) (alerts, intervals int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[[2]string{kind, service}], w.measured[service]
}
