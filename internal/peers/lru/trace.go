// SPDX-License-Identifier: MIT

package lru

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// A trace is the keys that somebody asked for, in order.
type trace struct {
	name string
	real bool // of a machine, not of a generator
	keys []uint64
}

// footprint returns the number of distinct keys.
func (t *trace) footprint() int {
	seen := make(map[uint64]struct{})
	for _, k := range t.keys {
		seen[k] = struct{}{}
	}
	return len(seen)
}

// traces returns what is in the folder that ASHLAR_TRACES names, in the formats
// of the ARC and LIRS papers, and workloads that are generated, which need
// nothing.
func traces() []*trace {
	all := generated()
	files, _ := filepath.Glob(filepath.Join(os.Getenv("ASHLAR_TRACES"), "*.gz")) // the pattern is good
	for _, file := range files {
		keys, err := readTrace(file)
		if err != nil {
			panic(fmt.Sprintf("lru: %s: %v", file, err)) // the comparison would be of something else
		}
		all = append(all, &trace{strings.TrimSuffix(filepath.Base(file), ".gz"), true, keys})
	}
	return all
}

// readTrace reads "block" or "first count ignored request" from each line; "*"
// is a mark.
func readTrace(file string) (keys []uint64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}

	lines := bufio.NewScanner(z)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "*" {
			continue
		}
		first, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			return nil, err
		}

		count := uint64(1)
		if len(fields) > 1 {
			if count, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
				return nil, err
			}
		}

		for i := range count {
			keys = append(keys, first+i)
		}
	}

	return keys, lines.Err()
}

// generated returns workloads in which policies differ: popularity of two
// kinds, popularity with scans of keys that never come back, a loop, and
// popularity that moves on.
func generated() []*trace {
	const n, keys = 400_000, 1 << 16
	all := make([]uint64, keys)
	for i := range all {
		all[i] = uint64(i)
	}

	scan, rng := bench.Zipf(all, n, 0.9), rand.New(rand.NewPCG(1, 3))
	for i := range scan {
		if i%1000 < 300 {
			scan[i] = 1<<32 + uint64(i)
		}
	}

	loop := make([]uint64, n/4)
	for i := range loop {
		loop[i] = uint64(i % 5000)
	}

	drift := bench.Zipf(all, n, 0.9)
	for i := range drift {
		drift[i] += uint64(i/50_000) * uint64(rng.IntN(2)) * keys / 2
	}

	return []*trace{
		{"zipf0.8", false, bench.Zipf(all, n, 0.8)},
		{"zipf0.99", false, bench.Zipf(all, n, 0.99)},
		{"scan", false, scan},
		{"loop", false, loop},
		{"drift", false, drift},
	}
}
