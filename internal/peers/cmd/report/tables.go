// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// A pkg is what the README says about a package, and the row of compare that
// stands for it.
type pkg struct {
	name    string
	problem string
	types   string
	row     string // the name of the workload
	does    string // what the row measures
}

// packages are the packages of the library, in the order of the README.
var packages = []pkg{
	{"ratelimit", "bound events per second, for one resource or for millions of clients", "Limiter, Keyed, Window, Concurrency, Shared", "Allow/case=granted/goroutines=1", "Allow"},
	{"breaker", "stop calling a dependency that is down", "Breaker, Do, Group, Throttle", "Do/rule=row/peer=gobreaker/goroutines=1", "a call that succeeds"},
	{"lru", "keep what is asked for most, load the rest once", "Cache, Exact, Through, Behind", "Get/keys=uint64/n=100000/dist=zipf0.99/hit=100/goroutines=1", "a hit"},
	{"bloom", "have I seen it? in 10 bits a key", "Filter, Concurrent, Scalable, Window", "Has/keys=hash/n=1000000/case=neg", "an absent key"},
	{"consistenthash", "choose a server for a key while servers come and go", "Ring, Balancer, Rendezvous, Maglev, Jump", "Get/peer=stathat/nodes=100", "a key among 100 servers"},
	{"merkle", "prove that a log holds a record; find what differs between replicas", "Tree, File, Index", "Build/leaf=32/n=65536/procs=1", "a leaf of a tree of 65,536"},
	{"skiplist", "keep keys in order: ranges, ranks, neighbors", "Map, Set, SortedSet", "Get/keys=int/n=100000", "Get of 100,000"},
	{"lsm", "state that survives a crash, in memory and in tables", "DB, Batch, MemFS", "Commit/durability=sync/writers=8", "a durable commit, 8 writers"},
	{"quorum", "read and write replicas of which some fail", "Cluster, KV, System, Do", "Load/replicas=5/goroutines=1", "a read of 5 replicas in memory"},
}

// packageTable returns the table of the README: a row a package, with one
// measured ratio each.
func packageTable(runs []*pkgRun) string {
	var b strings.Builder
	b.WriteString("| package | to | measured |\n|---|---|---|\n")
	for _, p := range packages {
		figure := "not yet"
		i := slices.IndexFunc(runs, func(r *pkgRun) bool { return r.p.name == p.name })
		if i >= 0 {
			if x := runs[i].row(p.row); x != nil && x.peer != "" {
				figure = fmt.Sprintf("%s: %s, **%s** of %s", p.does, duration(x.ours), short(x.ratio), x.peer)
			}
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s |\n", p.name, "https://pkg.go.dev/github.com/ashlar-go/ashlar/"+p.name, p.problem, figure)
	}
	return b.String()
}

// measured returns the line that says where the figures come from, and how
// many comparisons are lost.
func measured(runs []*pkgRun) string {
	rows := 0
	behind := 0
	for _, r := range runs {
		for _, x := range r.rows {
			if x.peer != "" {
				rows++
				if x.ratio > 1 {
					behind++
				}
			}
		}
	}
	h := runs[0].header
	var machines []string
	for _, r := range runs {
		if cpu := r.header["cpu"]; !slices.Contains(machines, cpu) {
			machines = append(machines, cpu)
		}
	}
	return bench.Wrap(fmt.Sprintf("Measured until %s on %s, %s processors, %s: ours over the best peer, interleaved in one process, "+
		"medians of the ratios within rounds. Of %d rows a peer is ahead in %d; [docs/performance.md](docs/performance.md) lists these first.",
		day(latest(runs)), strings.Join(machines, " and "), h["procs"], h["go"], rows, behind))
}

// latest returns the time of the latest of runs.
func latest(runs []*pkgRun) string {
	r := slices.MaxFunc(runs, func(a, b *pkgRun) int { return strings.Compare(a.header["date"], b.header["date"]) })
	return r.header["date"]
}

// duration returns a time in nanoseconds with the unit that suits it.
func duration(ns string) string {
	x, err := strconv.ParseFloat(ns, 64)
	if err != nil || x < 1000 {
		return ns + " ns"
	}
	return fmt.Sprintf("%.3g µs", x/1000)
}

// day returns the date of a time in the form of RFC 3339.
func day(s string) string {
	d, _, _ := strings.Cut(s, "T")
	return d
}

// short prints a ratio with two figures that count.
func short(x float64) string { return fmt.Sprintf("%.2g", x) }

// performance returns docs/performance.md: every row of every package.
func performance(runs []*pkgRun) []byte {
	var b strings.Builder
	b.WriteString(`# Performance

<!-- Written by internal/peers/cmd/report from internal/peers/results. -->

Each package against the libraries that people use instead, on one machine, in
one process. A round takes one sample of every implementation in a fresh random
order; a figure is a median over the rounds, and a ratio is the median of the
ratios within rounds, with the interval in which the true median lies with 95 %
confidence. Below 1 ours is faster, or smaller.

PASS means that the whole interval is at or below the target, MISS that it is
above, UNSURE that the target lies within it. The floor is what the parts of
ours that nothing can leave out take alone, such as reading the clock. Rows that
miss come first, then those in which a peer is ahead.
[internal/peers](../internal/peers/README.md) says what is compared, why it is
fair, and how to run it:

` + "```sh\ncd internal/peers && go run ./cmd/compare ratelimit\n```\n\n![All ratios, a dot each](plots/comparison.svg)\n")
	for _, r := range runs {
		fmt.Fprintf(&b, "\n## %s\n\n", r.p.name)
		b.WriteString(bench.Wrap(fmt.Sprintf("%s, %s, %s processors, %s; commit %s; %s rounds of %s.",
			day(r.header["date"]), r.header["cpu"], r.header["procs"], r.header["go"], r.header["commit"], r.header["rounds"], r.header["sample"])))
		b.WriteByte('\n')
		b.WriteString("| workload | ours | floor | peer | its | ratio | interval | verdict |\n|---|---|---|---|---|---|---|---|\n")
		for _, x := range r.rows {
			fmt.Fprintf(&b, "| %s | %s %s | %s | %s | %s | %s | %s | %s |\n", x.name, x.ours, x.unit, x.floor, x.peer, x.its, ratioCell(x), intervalCell(x), verdictCell(x))
		}
	}
	return []byte(b.String())
}

func ratioCell(x row) string {
	if x.peer == "" {
		return ""
	}
	return fmt.Sprintf("%.3g", x.ratio)
}

func intervalCell(x row) string {
	if x.peer == "" {
		return ""
	}
	return fmt.Sprintf("%.3g to %.3g", x.low, x.high)
}

// verdictCell returns the verdict with the target that it speaks of.
func verdictCell(x row) string {
	if x.verdict == "info" {
		return ""
	}
	return x.verdict + ", " + strings.ReplaceAll(x.reason, "|", "/")
}
