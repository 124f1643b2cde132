// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ashlar-go/ashlar/internal/peers/lru"
	"github.com/ashlar-go/ashlar/quorum"
)

var update = flag.Bool("update", false, "write testdata")

const (
	hitFile  = "testdata/lru.txt"
	readFile = "testdata/quorum.txt"
)

// TestMeasureHits checks that hit ratios are those of testdata, but for what
// the seeds of caches change, which nobody can set: of 40 runs with 2048
// entries, ours were within 0.001 of the median, and those of otter within
// 0.009. What is written is the median of some runs.
func TestMeasureHits(t *testing.T) {
	const maxOff, maxPeerOff = 0.005, 0.03
	if *update {
		measureHits(t)
	}
	table, err := readTable(hitFile, 4)
	if err != nil {
		t.Fatal(err)
	}
	hits, err := table.points()
	if err != nil {
		t.Fatal(err)
	}
	for _, workload := range hitWorkloads {
		for _, c := range contestants {
			off := maxOff
			if c.shape != nil {
				off = maxPeerOff
			}
			got := lru.HitRatio(workload, c.name, hitTold)
			if want := at(hits[series{workload, c.name}], hitTold); math.Abs(got-want) > off {
				t.Errorf("%s of %s: hit ratio %.4f, want %.4f ± %g", c.name, workload, got, want, off)
			}
		}
	}
}

// measureHits writes the hit ratios.
func measureHits(t *testing.T) {
	t.Helper()
	const runs = 5
	var b strings.Builder
	b.WriteString("# workload, cache, capacity, hit ratio\n")
	for _, workload := range hitWorkloads {
		for _, c := range contestants {
			for _, capacity := range hitCapacities {
				var ratios []float64
				for range runs {
					ratios = append(ratios, lru.HitRatio(workload, c.name, capacity))
				}
				slices.Sort(ratios)
				fmt.Fprintf(&b, "%s\t%s\t%d\t%.4f\n", workload, c.name, capacity, ratios[runs/2])
			}
		}
	}
	write(t, hitFile, b.String())
}

// A late replica takes some time to answer.
type late struct {
	quorum.Memory[string, quorum.LWW[int]]
	kind string // slow, pauses, or neither

	mu  sync.Mutex // protects rng
	rng *rand.Rand
}

// takes returns how long the next answer takes.
func (l *late) takes() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := time.Millisecond + time.Duration(l.rng.ExpFloat64()*float64(time.Millisecond))
	switch {
	case l.kind == "slow":
		d *= 10
	case l.kind == "pauses" && l.rng.IntN(20) == 0:
		d += 100 * time.Millisecond
	}
	return d
}

// Load waits, and then loads.
func (l *late) Load(ctx context.Context, key string) (s quorum.LWW[int], err error) {
	select {
	case <-time.After(l.takes()):
		return l.Memory.Load(ctx, key)
	case <-ctx.Done():
		return s, ctx.Err()
	}
}

// TestMeasureReads checks that the latencies of reads are those of testdata.
func TestMeasureReads(t *testing.T) {
	var b strings.Builder
	b.WriteString("# replica, hedging, quantile, milliseconds; extra, replica, number of the hedging, requests a read\n")
	for _, kind := range lateKinds {
		for i, hedge := range hedges {
			synctest.Test(t, func(t *testing.T) {
				took, extra := reads(t, kind, hedge)
				for _, q := range readQuantiles {
					fmt.Fprintf(&b, "%s\t%s\t%g\t%.3f\n", kind, hedge, q, took[int(q*float64(len(took)))].Seconds()*1000)
				}
				fmt.Fprintf(&b, "%s\t%s\t%d\t%.4f\n", extraPart, kind, i, extra)
			})
		}
	}
	if *update {
		write(t, readFile, b.String())
	}
	want, err := os.ReadFile(readFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("%s has other figures; now they are\n%s", readFile, got)
	}
}

// reads returns how long each read took, in order, and how many requests more
// than two it made on the mean. It runs in a bubble.
func reads(t *testing.T, kind, hedge string) (took []time.Duration, extra float64) {
	t.Helper()
	opts := &quorum.Options{Hedge: map[string]time.Duration{"none": -1, "default": 0, "5ms": 5 * time.Millisecond}[hedge]}
	var replicas []quorum.Replica[string, quorum.LWW[int]]
	for i := range uint64(3) {
		r := &late{rng: rand.New(rand.NewPCG(1, i))}
		if i == 2 {
			r.kind = kind
		}
		replicas = append(replicas, r)
	}
	c, err := quorum.New(replicas, opts)
	if err != nil {
		t.Fatal(err)
	}

	for range readCount {
		begin := time.Now()
		if _, err := c.Load(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
		time.Sleep(time.Second) // the late answers are there
	}
	extra = float64(c.Stats().Extra) / readCount
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	slices.Sort(took)
	return took, extra
}

// write writes a file of figures.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
