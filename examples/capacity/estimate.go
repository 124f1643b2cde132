// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

const day = 86_400 // seconds

// An estimate is a line of the envelope.
type estimate struct {
	what, formula string
	value         float64
	unit          string
	notes         float64 // what is taught; 0 if nothing is
	slip          bool    // the notes are known to be wrong there
}

// printEstimates prints lines with what the notes say, and returns an error if
// the two differ by more than a twentieth, except where the notes slip: there
// they have to differ.
func printEstimates(w io.Writer, title string, lines []estimate, judge bool) error {
	fmt.Fprintf(w, "%-26s %-30s %12s %9s\n", title, "formula", "result", "notes")
	for _, e := range lines {
		notes := ""
		if e.notes != 0 && judge {
			notes = number(e.notes)
			differ := math.Abs(e.value-e.notes) > 0.05*e.notes
			if differ != e.slip {
				return fmt.Errorf("law broken: %s: %v here, %v in the notes", e.what, e.value, e.notes)
			}
			if e.slip {
				notes += "!"
			}
		}
		fmt.Fprintf(w, "%s\n", strings.TrimRight(fmt.Sprintf("%-26s %-30s %9s %-2s %9s", e.what, e.formula, number(e.value), e.unit, notes), " "))
	}
	fmt.Fprintln(w)
	return nil
}

// number writes v with three digits, and thousands apart; what is small, in
// millionths.
func number(v float64) string {
	if v > 0 && v < 0.001 {
		return fmt.Sprintf("%.6f", v)
	}
	if v < 1000 {
		return strings.TrimSuffix(fmt.Sprintf("%.3g", v), ".0")
	}
	scale := math.Pow(10, math.Floor(math.Log10(v))-2)
	text := fmt.Sprintf("%.0f", math.Round(v/scale)*scale)
	var b strings.Builder
	for i, r := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// printRates prints what a day is in seconds, servers and disks.
func printRates(w io.Writer, c *config, f *figures) error {
	perSecond := c.posts / day
	reads := 10 * perSecond
	servers := math.Ceil(reads / 1000)
	usual := c.posts == 1e9 // the notes are about that
	err := printEstimates(w, "a network of short posts", []estimate{
		{what: "writes", formula: number(c.posts) + " a day / 86,400", value: perSecond, unit: "/s", notes: 11_500},
		{what: "reads", formula: "10 for each write", value: reads, unit: "/s", notes: 115_000},
		{what: "servers", formula: "reads / 1,000 for each", value: servers, notes: 115},
		{what: "and with spares", formula: "times 3", value: 3 * servers, notes: 345},
		{what: "storage, posts", formula: "posts × 200 bytes", value: c.posts * 200 / 1e12, unit: "TB"},
		{what: "storage, pictures", formula: "posts / 5 × 1 MB", value: c.posts / 5 * 1e6 / 1e12, unit: "TB", notes: 1000, slip: true},
		{what: "and in five days", formula: "times 5 (the PB of the notes)", value: c.posts * 1e6 / 1e12, unit: "TB", notes: 1000},
	}, usual)
	if err != nil {
		return err
	}

	return printEstimates(w, "a network of pictures", []estimate{
		{what: "pictures", formula: "500 million a day", value: 5e8 / day, unit: "/s", notes: 6000},
		{what: "views", formula: "20 for each picture", value: 20 * 5e8 / day, unit: "/s", notes: 115_000},
		{what: "likes", formula: "10 for each picture", value: 10 * 5e8 / day, unit: "/s", notes: 58_000},
		{what: "a picture, three sizes", formula: "1,500 + 300 + 50 KB", value: 1.5 + 0.3 + 0.05, unit: "MB", notes: 1.5, slip: true},
	}, true)
}

// The workload that is taken through the steps: requests a second, of which
// some write, and a peak that is so many times as high. Each takes 10 ms of a
// core of a database.
const (
	stepReads  = 9000.0
	stepWrites = 1000.0
	stepHits   = 0.9
	replicas   = 3
	shards     = 4
	peak       = 3
)

// steps returns what one database server has to do, in busy cores at the peak,
// after each step.
func steps() []estimate {
	cores := func(perSecond float64) float64 { return perSecond * serviceTime.Seconds() }
	left := stepReads * (1 - stepHits)
	return []estimate{
		{what: "one server", formula: "3 × (9,000 + 1,000) × 10 ms", value: cores(peak * (stepReads + stepWrites))},
		{what: "a cache, 90 % hits", formula: "3 × (900 + 1,000) × 10 ms", value: cores(peak * (left + stepWrites))},
		{what: "three replicas", formula: "3 × (900/3 + 1,000) × 10 ms", value: cores(peak * (left/replicas + stepWrites))},
		{what: "four shards", formula: "3 × (300 + 1,000)/4 × 10 ms", value: cores(peak * (left/replicas + stepWrites) / shards)},
		{what: "a queue for the writes", formula: "(3 × 300 + 1,000)/4 × 10 ms", value: cores((peak*left/replicas + stepWrites) / shards)},
	}
}

// printSteps prints what each step takes off one server.
func printSteps(w io.Writer, _ *config, _ *figures) error {
	lines := steps()
	if err := printEstimates(w, "busy cores, step by step", lines, true); err != nil {
		return err
	}
	for i := range lines[1:] {
		if lines[i+1].value >= lines[i].value {
			return fmt.Errorf("law broken: %s gains nothing", lines[i+1].what)
		}
	}
	return nil
}

// printMemory prints what the entries of each kind take.
func printMemory(w io.Writer, c *config, f *figures) error {
	const gb = 1e9
	predicted := math.Log(100) / (math.Ln2 * math.Ln2) / 8 // bytes a key, of a plain filter at 1 %
	err := printEstimates(w, "memory and disk", []estimate{
		{what: "a limit for each user", formula: fmt.Sprintf("(8 + %.0f) bytes each", f.limiterEntry), value: c.users * (8 + f.limiterEntry) / gb, unit: "GB"},
		{what: "timelines of a tenth", formula: fmt.Sprintf("(8 + 100×8 + %.0f) bytes each", f.cacheEntry), value: c.users / 10 * (8 + 800 + f.cacheEntry) / gb, unit: "GB"},
		{what: "scores of all, in order", formula: fmt.Sprintf("(16 + %.0f) bytes each", f.indexEntry), value: c.users * (16 + f.indexEntry) / gb, unit: "GB"},
		{what: "what was seen, 1 % wrong", formula: fmt.Sprintf("posts × %.2f bytes, least %.2f", f.filterKey, predicted), value: c.posts * f.filterKey / gb, unit: "GB"},
		{what: "all users on disk", formula: fmt.Sprintf("%.0f bytes each, raw: 112", f.recordDisk), value: c.users * f.recordDisk / gb, unit: "GB"},
	}, false)
	if err != nil {
		return err
	}

	if f.wrong > 0.011 {
		return fmt.Errorf("law broken: the filter takes %.2f %% of new keys for known, at most 1 %%", 100*f.wrong)
	}
	if f.filterKey < 0.99*predicted || f.filterKey > 1.3*predicted {
		return fmt.Errorf("law broken: a key takes %.2f bytes of a filter, and theory says %.2f", f.filterKey, predicted)
	}
	fmt.Fprintf(w, "law holds: the filter took %.2f %% of new keys for known, at most 1 %%\n\n", 100*f.wrong)
	return nil
}

// printLadder prints how long things take, and how many lookups of ours fit in.
func printLadder(w io.Writer, _ *config, f *figures) error {
	fmt.Fprintf(w, "%-26s %9s  %s\n", "the ladder", "one", "in that time")
	for _, step := range []struct {
		what string
		ns   float64
		ours string
		cost float64
	}{
		{"memory", 100, "hits of a cache", f.hit},
		{"a flash disk", 100e3, "reads of a database, warm", f.get},
		{"a turning disk", 10e6, "commits, not synced", f.set},
		{"across the ocean", 150e6, "leaves of a Merkle tree", f.leaf},
	} {
		fmt.Fprintf(w, "%-26s %9s  %s %s of %s\n", step.what, duration(step.ns), number(step.ns/step.cost), step.ours, duration(step.cost))
	}
	fmt.Fprintln(w)
	return nil
}

// duration writes nanoseconds in the unit that people say.
func duration(ns float64) string {
	for _, unit := range []struct {
		name string
		ns   float64
	}{{"ms", 1e6}, {"µs", 1e3}} {
		if ns >= unit.ns {
			return number(ns/unit.ns) + " " + unit.name
		}
	}
	return number(ns) + " ns"
}
