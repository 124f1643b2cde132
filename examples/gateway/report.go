// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// An errWriter keeps the first error, so that a report is checked once.
type errWriter struct {
	w   io.Writer
	err error
}

func (w *errWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		_, w.err = w.w.Write(p)
	}
	return len(p), w.err
}

// print writes the report. Nothing in it depends on the machine or the hour.
func (out *result) print(w io.Writer, t *traffic, sys *system, top int) {
	l := sys.limiter
	first, last := out.events[0].at, out.events[len(out.events)-1].at
	fmt.Fprintf(w, "%d requests of %d clients in %v, %s", len(t.requests), len(out.law.clients), last.Sub(first), t.source)
	if t.malformed > 0 {
		fmt.Fprintf(w, "; %d malformed lines skipped", t.malformed)
	}
	fmt.Fprint(w, "\nlimits of each client:")
	for i, tier := range l.tiers {
		if i > 0 {
			fmt.Fprint(w, " and")
		}
		fmt.Fprintf(w, " %s", tier.text)
	}
	fmt.Fprint(w, "\n\n")

	out.printServices(w)
	fmt.Fprintln(w)
	out.printClients(w, top)
	fmt.Fprintln(w)
	out.printStrips(w, sys)
	fmt.Fprintln(w)
	if sys.caching() {
		sys.printCaches(w, out.ages)
		sys.printAlerts(w)
		fmt.Fprintln(w)
	}
	sys.printServers(w)
	sys.printRetries(w)
	fmt.Fprintln(w)
	out.printLimiter(w, l)
}

func (out *result) printServices(w io.Writer) {
	row := func(name string, t tally) {
		fmt.Fprintf(w, "%-10s %9d %7d %6d %6d %6d %6d %6d\n",
			name, t.requests, t.ok, t.unauthorized, t.notFound, t.limited, t.failed, t.other)
	}
	fmt.Fprintf(w, "%-10s %9s %7s %6s %6s %6s %6s %6s\n", "service", "requests", "2xx", "401", "404", "429", "5xx", "other")
	for _, name := range []string{"users", "products", "orders", toSummary, toNowhere, "web"} {
		if t := out.services[name]; t != nil {
			row(name, *t)
		}
	}
	row("all", out.sum())
}

func (out *result) printClients(w io.Writer, top int) {
	var all []*account
	limited := 0
	for _, a := range out.law.clients {
		all = append(all, a)
		if a.admitted < a.requests {
			limited++
		}
	}
	slices.SortFunc(all, func(a, b *account) int {
		return cmp.Or(cmp.Compare(b.requests, a.requests), cmp.Compare(a.key, b.key))
	})
	fmt.Fprintf(w, "%-24s %9s %9s %8s %9s\n", "busiest clients", "requests", "admitted", "refused", "bound")
	for _, a := range all[:min(max(top, 0), len(all))] {
		bound := "none"
		if n := out.law.bound(a); n < math.MaxInt64 {
			bound = fmt.Sprint(n)
		}
		fmt.Fprintf(w, "%-24s %9d %9d %8d %9s\n", a.key, a.requests, a.admitted, a.requests-a.admitted, bound)
	}
	fmt.Fprintf(w, "%d of %d clients were refused something\n", limited, len(all))
}

func (out *result) printLimiter(w io.Writer, l *limiter) {
	for _, t := range l.tiers {
		fmt.Fprintf(w, "refused by %-20s %6d\n", t.text, out.refusals[t.text])
	}
	held := 0
	for range l.keyed.All() {
		held++
	}
	stats := l.keyed.Stats()
	fmt.Fprintf(w, "limiter at the end: %d clients with tokens spent; evicted %d, forgave %d tokens\n",
		held, stats.Evicted, stats.Forgiven)
}

func (out *result) printVerdict(w io.Writer, forgiven uint64) {
	s := out.sum()
	fmt.Fprintf(w, "law holds: in every window each client was admitted at most\n           burst + rate × window (%d admissions);\n",
		s.requests-s.limited)
	if forgiven > 0 {
		fmt.Fprintf(w, "           but for at most %d that the limiter forgave, out of room;\n", forgiven)
	}
	fmt.Fprintf(w, "           every refusal was needed (%d)\n", s.limited)
}

// stripWidth is the most columns of a strip.
const stripWidth = 66

// steps are the times that a column of a strip may stand for: those that people
// count in, so that traffic with a daily or hourly rhythm is not made to beat
// against the columns.
var steps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// stepFor returns a step of which at most stripWidth cover d, wherever it
// begins.
func stepFor(d time.Duration) time.Duration {
	for _, step := range steps {
		if d/step+2 <= stripWidth {
			return step
		}
	}
	const day = 24 * time.Hour
	return (d/(stripWidth-2)/day + 1) * day
}

// printStrips draws admissions and refusals over the time of the log, on one
// scale, and what became of the servers.
func (out *result) printStrips(w io.Writer, sys *system) {
	first, last := out.events[0].at, out.events[len(out.events)-1].at
	step := stepFor(last.Sub(first))
	origin := first.Truncate(step)
	n := int(last.Sub(origin)/step) + 1
	admitted, refused := make([]int, n), make([]int, n)
	for _, e := range out.events {
		if i := int(e.at.Sub(origin) / step); e.admitted {
			admitted[i]++
		} else {
			refused[i]++
		}
	}
	most := max(slices.Max(admitted), slices.Max(refused))
	fmt.Fprintf(w, "over time: a column is %s, a full one %d requests\n", short(step), most)
	fmt.Fprintf(w, "admitted  │%s│\n", strip(admitted, most))
	fmt.Fprintf(w, "refused   │%s│\n", strip(refused, most))
	ticks, labels := axis(origin, step, n)
	fmt.Fprintf(w, "          └%s┘\n           %s\n", ticks, labels)
	sys.printTimelines(w, origin, step, n)
}

// short writes d without the zeros of time.Duration: "1h", not "1h0m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// strip draws counts as blocks of eight heights. Only zero is blank: one
// request among thousands still shows.
func strip(counts []int, most int) string {
	blocks := []rune(" ▁▂▃▄▅▆▇█")
	row := make([]rune, len(counts))
	most = max(most, 1)
	for i, c := range counts {
		row[i] = blocks[(c*8+most-1)/most]
	}
	return string(row)
}

// axis returns a line with a tick every 16 columns and a line with their times.
func axis(origin time.Time, step time.Duration, n int) (ticks, labels string) {
	const every = 16
	layout := "15:04:05"
	switch {
	case step >= 12*time.Hour:
		layout = "2 Jan 2006"
	case step >= 15*time.Minute:
		layout = "2 Jan 15:04"
	case step >= time.Minute:
		layout = "15:04"
	}
	for i := range n {
		if i%every != 0 {
			ticks += "─"
			continue
		}
		ticks += "┬"
		labels += fmt.Sprintf("%-*s", every, origin.Add(time.Duration(i)*step).Format(layout))
	}
	return ticks, strings.TrimRight(labels, " ")
}

// printTiming writes the figures that differ from run to run.
func (out *result) printTiming(w io.Writer) {
	slices.Sort(out.waits)
	at := func(p int) time.Duration { return out.waits[(len(out.waits)-1)*p/100].Round(time.Microsecond) }
	fmt.Fprintf(w, "wall clock: %d round trips in %v, %.0f a second; p50 %v, p99 %v\n", len(out.waits),
		out.elapsed.Round(time.Millisecond), float64(len(out.waits))/out.elapsed.Seconds(), at(50), at(99))
}

func (sys *system) printServers(w io.Writer) {
	weights := sys.weights
	fmt.Fprintf(w, "balance by %s over servers of weight %s\n", sys.lb, joinInts(weights, ":"))
	fmt.Fprintf(w, "%-10s %9s  %-24s %s\n", "service", "calls", "by server", "imbalance")
	for _, s := range sys.services {
		var calls []int
		for _, srv := range s.servers {
			calls = append(calls, int(srv.calls.Load()))
		}
		fmt.Fprintf(w, "%-10s %9d  %-24s %.2fx\n", s.name, sum(calls), joinInts(calls, " "), imbalance(calls, weights))
	}
}

// printTimelines draws the servers to which something happened, on the columns
// of the other strips.
func (sys *system) printTimelines(w io.Writer, origin time.Time, step time.Duration, n int) {
	header := false
	for _, s := range sys.services {
		for _, srv := range s.servers {
			times, eventful := srv.opened()
			if !eventful {
				continue
			}
			if !header {
				fmt.Fprintln(w, "breakers: · closed, █ open, ▒ half-open, × taken out by the health check;\n"+
					"below, the most requests in a column, the trips, and the requests that arrived")
				header = true
			}
			states, arrivals := srv.strips(origin, step, n)
			most := 0
			for _, a := range arrivals {
				most = max(most, a)
			}
			fmt.Fprintf(w, "%-10s│%s│\n", srv.name, states)
			fmt.Fprintf(w, "%4d %3d× │%s│\n", most, times, strip(arrivals, most))
		}
	}
	if !header {
		fmt.Fprintln(w, "breakers: all stayed closed")
	}
}

// printFailed judges what the breakers let through to servers that were dead,
// silent or slow.
func (sys *system) printFailed(w io.Writer) error {
	if len(sys.faults) == 0 {
		return nil
	}
	total := 0
	for _, s := range sys.services {
		for _, srv := range s.servers {
			reached, err := srv.checkFailed()
			if err != nil {
				return err
			}
			total += reached
		}
	}
	var names []string
	for _, f := range sys.faults {
		names = append(names, fmt.Sprintf("machine %d", f.number))
	}
	fmt.Fprintf(w, "law holds: of %s, while it failed, each server got at most %d\n"+
		"           requests and those in flight until its breaker opened, and then\n"+
		"           at most %d in each half-open period (%d in all)\n",
		strings.Join(names, " and "), tripAfter, probes, total)
	return nil
}

func (sys *system) caching() bool {
	return slices.ContainsFunc(sys.services, func(s *service) bool { return s.cache != nil })
}

func (sys *system) printCaches(w io.Writer, l *ageLaw) {
	fmt.Fprintf(w, "caches: an answer is fresh for %s, then returned for %s while another is\nfetched, then for %s while that fails\n",
		short(l.ttl), short(l.swr), short(l.freshness.stale))
	fmt.Fprintf(w, "%-10s %9s %9s %9s %9s %9s %9s\n", "service", "lookups", "hit ratio", "refreshed", "stale", "kept", "saved")
	for _, s := range sys.services {
		if s.cache == nil {
			continue
		}
		stats := s.cache.answers.Stats()
		lookups := int64(stats.Hits + stats.Misses)
		calls := s.cache.asked.Load() + s.cache.passed.Load()
		fmt.Fprintf(w, "%-10s %9d %7.1f %% %9d %9d %9d %9d\n", s.name, lookups, 100*stats.HitRatio(),
			stats.Replaced, stats.StaleHits, stats.Len, lookups-calls)
	}
}

func (l *ageLaw) printVerdict(w io.Writer) {
	fmt.Fprintf(w, "law holds: of %d answers that caches may keep, %d were from before;\n           none was older than %s + %s, the oldest %s",
		l.answers, l.reused, short(l.ttl), short(l.swr), short(l.oldest))
	if l.stale > 0 {
		fmt.Fprintf(w, ";\n           but for %d marked %s, at most %s old", l.stale, staleIfError, short(l.oldestWhenStale))
	}
	fmt.Fprintln(w)
}

func printBalance(w io.Writer, all []balance, weights []int) {
	fmt.Fprintf(w, "policies on the same requests, %d in flight on average, servers of weight %s\n",
		meanInFlight, joinInts(weights, ":"))
	fmt.Fprintf(w, "%-12s %9s %9s %8s  %s\n", "policy", "requests", "in flight", "sticky", "share of each server")
	for _, b := range all {
		fmt.Fprintf(w, "%-12s %8.2fx %8.2fx %6.0f %%  ", b.policy, imbalance(b.requests, weights), b.load,
			100*float64(b.stays)/float64(max(b.returns, 1)))
		for _, n := range b.requests {
			fmt.Fprintf(w, "%5.1f %%", 100*float64(n)/float64(sum(b.requests)))
		}
		fmt.Fprintln(w)
	}
}

func joinInts(a []int, sep string) string {
	var parts []string
	for _, x := range a {
		parts = append(parts, fmt.Sprint(x))
	}
	return strings.Join(parts, sep)
}

// printRetries prints the second tries, if there were any.
func (sys *system) printRetries(w io.Writer) {
	var taken, saved, refused int64
	for _, s := range sys.services {
		taken += s.budget.taken.Load()
		saved += s.budget.saved.Load()
		refused += s.budget.refused.Load()
	}
	fmt.Fprintf(w, "second tries: %d, of which %d went well; the budget refused %d\n", taken, saved, refused)
}

// printAlerts prints in how many intervals someone should have looked.
func (sys *system) printAlerts(w io.Writer) {
	var found []string
	for _, s := range sys.services {
		if s.cache == nil {
			continue
		}
		if n, of := sys.watch.of("hit ratio", s.name); n > 0 {
			found = append(found, fmt.Sprintf("%s hits below %.0f %% in %d of %d", s.name, math.Round(100*minHitRatio), n, of))
		}
		if n, _ := sys.watch.of("evictions", s.name); n > 0 {
			found = append(found, fmt.Sprintf("%s evicts in %d", s.name, n))
		}
	}
	fmt.Fprintf(w, "alerts of each %s: %s\n", short(sys.watch.every), cmp.Or(strings.Join(found, "\n                    "), "none"))
}
