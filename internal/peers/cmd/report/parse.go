// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A pkgRun is one run of compare for one package.
type pkgRun struct {
	p      pkg
	header map[string]string // date, commit, cpu, ...
	rows   []row
}

// A row is one workload with its verdict.
type row struct {
	name, unit string
	ours, its  string // medians, as compare printed them
	verdict    string
	reason     string
	floor      string // what the parts of ours take alone, if that was measured
	peer       string // that the verdict speaks of, if any
	ratio      float64
	low, high  float64 // the interval of ratio
}

// The lines that compare writes below its samples: columns with two spaces or
// more between them.
var (
	gap   = regexp.MustCompile(` {2,}`)
	ratio = regexp.MustCompile(`^ours/(.+?) ([-+.\de]+) \[([-+.\de]+)\.\.([-+.\de]+)\], (.*)$`)
)

// read reads the file of one run.
func read(name string) (*pkgRun, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read

	r := &pkgRun{header: map[string]string{}}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "# workload "):
		case strings.HasPrefix(line, "# "):
			row, err := parseRow(line[2:])
			if err != nil {
				return nil, err
			}
			r.rows = append(r.rows, row)
		case !strings.HasPrefix(line, "Benchmark"):
			if key, value, ok := strings.Cut(line, ": "); ok && key != "with" {
				r.header[key] = value
			}
		}
	}
	return r, lines.Err()
}

// parseRow reads one line of the summary.
func parseRow(line string) (row, error) {
	cells := gap.Split(strings.TrimSpace(line), 6)
	if len(cells) < 5 {
		return row{}, fmt.Errorf("not a row of a summary: %q", line)
	}
	r := row{name: cells[0], ours: cells[1], its: cells[2], unit: cells[3], verdict: cells[4]}
	if len(cells) == 6 {
		r.reason, r.floor, _ = strings.Cut(cells[5], "; floor ")
	}

	m := ratio.FindStringSubmatch(r.reason)
	if m == nil {
		return r, nil
	}
	r.peer = m[1]
	r.reason = m[5]
	for i, to := range []*float64{&r.ratio, &r.low, &r.high} {
		v, err := strconv.ParseFloat(m[2+i], 64)
		if err != nil {
			return row{}, fmt.Errorf("not a ratio: %q", line)
		}
		*to = v
	}
	return r, nil
}

// row returns the row of that name, or nil.
func (r *pkgRun) row(name string) *row {
	i := slices.IndexFunc(r.rows, func(x row) bool { return x.name == name })
	if i < 0 {
		return nil
	}
	return &r.rows[i]
}
