// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/consistenthash"
)

const columns = 54

// A day is a run of the traffic through a cluster, and what was seen.
type day struct {
	*edge
	came, hits, asked []float64 // by column
	states            []rune    // of the breaker
	moved, elsewhere  int       // keys, when the node came; of these, to nodes that were there
}

// run lets all requests through.
func (d *day) run(ctx context.Context) error {
	d.came = make([]float64, columns)
	d.hits = make([]float64, columns)
	d.asked = make([]float64, columns)
	d.states = []rune(strings.Repeat(" ", columns))
	quiet := context.WithoutCancel(ctx) // so that loads run in this goroutine
	total := d.requests[len(d.requests)-1].at + 1
	resized := false
	for i, r := range d.requests {
		if i%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !resized && float64(r.at) >= resizeAt*float64(total) {
			resized = true
			d.resize()
		}
		column := int(math.Floor(float64(r.at) / float64(total) * columns))
		near := d.nearby()
		asked := d.origin.asked
		if err := d.serve(quiet, r); err != nil {
			return err
		}

		// A column of the plot.
		d.came[column]++
		d.hits[column] += float64(d.nearby() - near)
		d.asked[column] += float64(d.origin.asked - asked)
		if s := d.origin.breaker.State(); s != breaker.Closed || d.states[column] == ' ' {
			d.states[column] = []rune("·×?")[s]
		}
	}
	return nil
}

// nearby returns how many requests were answered without the origin.
func (e *edge) nearby() int {
	return e.counts[fromCache] + e.counts[notThere] + e.counts[whileFresh] + e.counts[ifError]
}

// resize adds a node, and counts the keys that it takes over.
func (d *day) resize() {
	before := d.ring.Snapshot()
	d.add(1)
	after := d.ring.Snapshot()
	d.moved, d.elsewhere = moved(before, after, d.nodes[len(d.nodes)-1].name, d.objects)
}

// moved counts the objects whose owner changes, and those of them that do not
// go to the node that is new.
func moved(before, after *consistenthash.Snapshot, added string, objects []object) (all, elsewhere int) {
	for i := range objects {
		from, _ := before.Get(objects[i].path)
		to, _ := after.Get(objects[i].path)
		if from != to {
			all++
			if to != added {
				elsewhere++
			}
		}
	}
	return all, elsewhere
}

// reportDay runs the traffic, and prints what became of it.
func reportDay(ctx context.Context, t *traffic, w io.Writer) error {
	d := &day{edge: newEdge(t)}
	if err := d.run(ctx); err != nil {
		return err
	}
	d.printOutcomes(w)
	d.printPlot(w)
	d.printOrigin(w)
	for i, b := range behaviors {
		if d.law.most[i] > 0 {
			fmt.Fprintf(w, "the oldest answer of %-12s%10v, and may be%8s\n", b.name, d.law.most[i].Round(time.Second), short(d.law.limit[i]))
		}
	}
	if err := errors.Join(checkMoved(len(t.objects), d.moved, d.elsewhere, t.nodes+1), checkEnvelope(d.origin.times), checkPins(d.pins)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, `law holds: %d of %d keys (%.1f %%) moved when the node came, all to it;
           none of %d answers was older than its clamp and the time after;
           no request that came after one of %d purges got what was purged;
           the origin got at most %d + %d/s; nothing pinned was evicted

`, d.moved, len(t.objects), percent(d.moved, len(t.objects)), d.law.judged, d.law.purges, originBurst, originRate)
	return err
}

// checkPins checks that nothing pinned was evicted.
func checkPins(n int) error {
	if n > 0 {
		return fmt.Errorf("law broken: %d pinned answers were evicted", n)
	}
	return nil
}

// printOutcomes prints what became of the requests for each kind of path.
func (d *day) printOutcomes(w io.Writer) {
	const row = "%-11s%9s%8s%8s%7s%8s%8s%7s%7s%7s\n"
	printRow(w, row, "path", "requests", "hits", "is not", "old,", "old,", "waits", "misses", "passed", "503")
	printRow(w, row, "", "", "", "there", "fresh", "origin", "with", "", "", "")
	printRow(w, row, "", "", "", "", "soon", "is down", "another", "", "", "")
	print := func(name string, n [outcomes]int) {
		all := 0
		for _, x := range n {
			all += x
		}
		if all == 0 {
			return
		}
		fmt.Fprintf(w, "%-11s%9d%6.1f %%%8d%7d%8d%8d%7d%7d%7d\n", name, all, percent(n[fromCache], all),
			n[notThere], n[whileFresh], n[ifError], n[joined], n[fetched], n[passed], n[refused])
	}
	for i, b := range behaviors {
		print(b.name, d.byClass[i])
	}
	print("all", d.counts)
	fmt.Fprintln(w)
}

// printRow prints a row of a table, without spaces at its end.
func printRow(w io.Writer, format string, cells ...any) {
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(format, cells...), " \n"))
}

// printPlot prints the requests over time.
func (d *day) printPlot(w io.Writer) {
	ratio := make([]float64, columns)
	for i := range ratio {
		ratio[i] = d.hits[i] / max(d.came[i], 1)
	}
	fmt.Fprintf(w, "%-9s│%s│ a column %.0f\n", "requests", spark(d.came, slices.Max(d.came)), slices.Max(d.came))
	fmt.Fprintf(w, "%-9s│%s│ of them\n", "nearby", spark(ratio, 1))
	fmt.Fprintf(w, "%-9s│%s│ up to %.0f\n", "origin", spark(d.asked, slices.Max(d.asked)), slices.Max(d.asked))
	fmt.Fprintf(w, "%-9s│%s│ × is open\n", "breaker", string(d.states))
	fmt.Fprintf(w, "%-9s %s+ a node comes\n\n", "", strings.Repeat(" ", int(resizeAt*columns)))
}

// printOrigin prints what the origin has to do, and how long answers take.
func (d *day) printOrigin(w io.Writer) {
	var bytes int64
	for _, r := range d.requests {
		bytes += int64(d.objects[r.key].size)
	}
	var sum time.Duration
	for _, l := range d.latency {
		sum += l
	}
	sorted := slices.Sorted(slices.Values(d.latency))
	at := func(q float64) time.Duration { return sorted[int(q*float64(len(sorted)-1))] }
	const row = "%-16s%16s%14s%10s%10s%10s\n"
	fmt.Fprintf(w, row, "", "origin requests", "origin bytes", "mean", "median", "99 %")
	fmt.Fprintf(w, row, "without an edge", fmt.Sprint(len(d.requests)), megabytes(bytes), "300 ms", "300 ms", "300 ms")
	fmt.Fprintf(w, row, "with it", fmt.Sprint(d.origin.asked), megabytes(d.origin.bytes), ms(sum/time.Duration(len(sorted))), ms(at(0.5)), ms(at(0.99)))
	printRow(w, row, "saved", fmt.Sprintf("%.1f %%", 100-percent(d.origin.asked, len(d.requests))),
		fmt.Sprintf("%.1f %%", 100-100*float64(d.origin.bytes)/float64(max(bytes, 1))), "", "", "")
	fmt.Fprintf(w, "of the origin's answers %d were 304, an ETag that has not changed; of those to\nclients %d\n", d.origin.unchanged, d.saved)
	fmt.Fprintf(w, "down for a while, it failed %d times; kept away by the breaker: %d, by the\nlimiter: %d\n\n", d.origin.failed, d.origin.open, d.origin.refused)
}

func percent(n, all int) float64 { return 100 * float64(n) / float64(max(all, 1)) }

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// reportLoads compares the ring alone with bounded loads.
func reportLoads(_ context.Context, t *traffic, w io.Writer) error {
	plain, err := loads(t, math.MaxInt32>>12)
	if err != nil {
		return err
	}
	bounded, err := loads(t, boundFactor)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "what the busiest node of %d had of the last %d requests, at the worst moment\n", t.nodes, loadLen*t.nodes)
	fmt.Fprintf(w, "  the ring alone:   %d of %d, %.2f times the mean\n", plain.busiest, plain.total, plain.ratio())
	fmt.Fprintf(w, "  bounded by %.2f:  %d of %d, %.2f times the mean; %.1f %% of all do not go to\n                    the owner of their key\n",
		boundFactor, bounded.busiest, bounded.total, bounded.ratio(), percent(bounded.away, len(t.requests)))
	_, err = fmt.Fprintf(w, "law holds: no node was given more than %.2f times its share, rounded up\n\n", boundFactor)
	return err
}

// A peak is the worst moment of the loads.
type peak struct {
	nodes, busiest, total, away int
}

func (p peak) ratio() float64 {
	return float64(p.busiest) * float64(p.nodes) / float64(max(p.total, 1))
}

// loads sends all requests to nodes that do nothing.
func loads(t *traffic, factor float64) (worst peak, err error) {
	var nodes []consistenthash.Node
	for i := range t.nodes {
		nodes = append(nodes, consistenthash.Node{Name: fmt.Sprintf("edge-%d", i+1)})
	}
	ring := consistenthash.New(&consistenthash.Options{VirtualNodes: points})
	if err := ring.Add(nodes...); err != nil {
		return worst, err
	}
	b := consistenthash.NewBalancer(ring, factor)
	count := map[string]int{}
	var leases []consistenthash.Lease
	worst.nodes = t.nodes
	for _, r := range t.requests {
		if len(leases) == loadLen*t.nodes {
			count[leases[0].Node()]--
			leases[0].Release()
			leases = leases[1:]
		}
		l, ok := b.Acquire(t.objects[r.key].path)
		if !ok {
			return worst, errors.New("law broken: no node takes a request")
		}
		leases = append(leases, l)
		count[l.Node()]++
		if owner, _ := ring.Get(t.objects[r.key].path); owner != l.Node() {
			worst.away++
		}

		n, total := count[l.Node()], len(leases)
		if err := checkBound(n, total, t.nodes, factor); err != nil {
			return worst, err
		}
		if n > worst.busiest {
			worst.busiest, worst.total = n, total
		}
	}
	return worst, nil
}

// checkBound checks the load of a node that has just got a request.
func checkBound(n, total, nodes int, factor float64) error {
	if most := math.Ceil(float64(total) * factor / float64(nodes)); float64(n) > most {
		return fmt.Errorf("law broken: a node has %d of %d requests, want at most %.0f", n, total, most)
	}
	return nil
}

// reportPurges counts what a cache gives out after a purge, if it is used in
// the way of many programs.
func reportPurges(ctx context.Context, t *traffic, w io.Writer) error {
	fmt.Fprintf(w, "a path is purged while its answer is on its way; of %d requests, so many\ncame later, and got what was purged\n", len(t.requests))
	broken := map[bool]int{}
	for _, aside := range []bool{true, false} {
		d := &day{edge: newEdge(t)}
		d.aside = aside
		d.law.count = true
		if err := d.run(ctx); err != nil {
			return err
		}
		broken[aside] = d.law.broken
	}
	fmt.Fprintf(w, "  get, fetch, set:  %d\n  load:             %d\n", broken[true], broken[false])
	if broken[false] > 0 {
		return fmt.Errorf("law broken: by load %d requests got what was purged", broken[false])
	}
	_, err := fmt.Fprint(w, "law holds: what was purged on its way is not kept\n\n")
	return err
}
