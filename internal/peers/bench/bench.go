// SPDX-License-Identifier: MIT

// Package bench runs implementations of the same work side by side and judges
// the first of them.
//
// Two runs of a program, minutes apart, differ by more than most optimizations
// gain. So everything that is compared runs in one process, interleaved: a
// round takes one sample of every implementation, in a fresh random order, and
// what is judged is the ratio within rounds. A disturbance then hits both sides
// of a ratio, or one ratio of many.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// An Op performs n operations and returns how many were admitted, or succeeded.
// Operations are numbered so that inputs can be taken from a table: the first
// is number start. The loop belongs to the Op: a call through an interface for
// each operation would add the same cost to both sides and push every ratio
// towards 1.
type Op func(start, n int) (admitted int)

// An Impl is one way to do the work.
type Impl struct {
	Name string

	// Note, if not empty, says why the implementation is shown but never the
	// best peer.
	Note string

	// Beside names the goroutines that work beside the measured ones, if the
	// implementation has any: what they do is not in its time.
	Beside string

	// Setup makes the state and returns the operation, timed in ns/op. It is
	// called once for a workload; atEnd registers what is to be undone
	// afterwards.
	Setup func(atEnd func(func())) Op

	// Measure replaces Setup where the figure is not a time: it takes one
	// sample from a fresh state and returns its value, in Workload.Unit, and
	// the operations done.
	Measure func() (value float64, ops int)
}

// Expect says how the answers of a workload must come out for the times to be
// comparable. A timed workload has to say it.
type Expect int

// The expectations. A workload that does not meet its own is invalid, whatever
// its times.
const (
	Any     Expect = iota // nothing is said; only for figures that are not times
	Granted               // at least 99 of 100 are admitted
	Denied                // at most 1 of 100 is admitted
	Half                  // between 45 and 55 of 100 are admitted
	Same                  // all admit the same share, within 2 of 100
	Differ                // the answers differ, and Why says how far that is fair
)

// unmet returns what is wrong with the admitted shares of the series, or "".
func (e Expect) unmet(list []Series) string {
	low, high := 0.0, 1.0
	switch e {
	case Granted:
		low = 0.99
	case Denied:
		high = 0.01
	case Half:
		low, high = 0.45, 0.55
	}

	first := -1.0
	for _, s := range list {
		if s.Note != "" {
			continue // it does something else
		}
		_, _, share := s.PerOp()
		if first < 0 {
			first = share
		}
		if e == Same {
			low, high = first-0.02, first+0.02
		}
		if share < low || share > high {
			return fmt.Sprintf("%s admitted %.3f of the operations, want %.2f to %.2f", s.Name, share, low, high)
		}
	}
	return ""
}

// A Workload is one row of a comparison.
type Workload struct {
	Name string // Op/key=value/..., so that benchstat can group by it
	Why  string // one line: why the comparison is fair

	Target Target
	Origin string // where Target comes from; if empty, [OurAim]
	Versus string // the peer that Target speaks of; if empty, the one with the lowest median
	Unit   string // if empty, ns/op
	Expect Expect

	Parallel int // goroutines; if zero, 1
	Rounds   int // if positive, replaces Config.Rounds: for figures that do not vary
	Keys     int // distinct keys; quick runs leave out 10^7 and more

	Ours   Impl
	Peers  []Impl
	Floors []Impl // parts of ours, measured alone; no bound for others
}

// OurAim is the origin of a target that we chose before we measured.
const OurAim = "our aim"

func (w *Workload) origin() string {
	if w.Origin == "" {
		return OurAim
	}
	return w.Origin
}

func (w *Workload) unit() string {
	if w.Unit == "" {
		return "ns/op"
	}
	return w.Unit
}

// Large reports whether quick runs leave w out.
func (w *Workload) Large() bool { return w.Keys >= 1e7 }

// A Config says how to run workloads.
type Config struct {
	Rounds int           // rounds of one sample of each implementation
	Sample time.Duration // how long a timed sample takes
	Seed   uint64        // of the order within rounds
	Raw    io.Writer     // receives one line a sample, as go test -bench prints them; nil for none
}

// A Sample is one measurement.
type Sample struct {
	Value          float64
	Ops, Admitted  int
	Allocs, Memory uint64 // of all ops
}

// A Series is the samples of one implementation, one a round.
type Series struct {
	Name, Note, Beside string
	Samples            []Sample
}

// A Result is a workload with what was measured.
type Result struct {
	Workload *Workload
	Ours     Series
	Peers    []Series
	Floors   []Series
}

// A contestant is an Impl while its workload runs.
type contestant struct {
	impl   *Impl
	series *Series
	op     Op
	n      int // operations a goroutine does in one sample
	next   int // number of the first operation of the next sample
}

// Run measures w. It stops early, with the error of ctx, only between samples.
func Run(ctx context.Context, w *Workload, cfg Config) (_ *Result, err error) {
	var ends []func()
	defer func() {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i]()
		}
	}()
	if err := w.validate(); err != nil {
		return nil, err
	}

	r := &Result{Workload: w, Peers: make([]Series, len(w.Peers)), Floors: make([]Series, len(w.Floors))}
	all := []*contestant{{impl: &w.Ours, series: &r.Ours}}
	for i := range w.Peers {
		all = append(all, &contestant{impl: &w.Peers[i], series: &r.Peers[i]})
	}
	for i := range w.Floors {
		all = append(all, &contestant{impl: &w.Floors[i], series: &r.Floors[i]})
	}

	for _, c := range all {
		c.series.Name = c.impl.Name
		c.series.Note = c.impl.Note
		c.series.Beside = c.impl.Beside
		if c.impl.Setup != nil {
			c.op = c.impl.Setup(func(f func()) { ends = append(ends, f) })
			c.calibrate(w.Parallel, cfg.Sample)
		}
	}

	rounds := cfg.Rounds
	if w.Rounds > 0 {
		rounds = w.Rounds
	}

	order := rand.New(rand.NewPCG(cfg.Seed, 0))
	for range rounds {
		collect := true // a round begins with a clean heap
		for _, i := range order.Perm(len(all)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			c := all[i]
			s := c.sample(w.Parallel, collect)
			collect = heapBytes() < smallHeap
			c.series.Samples = append(c.series.Samples, s)
			if cfg.Raw != nil {
				writeRaw(cfg.Raw, w, c.series.Name, s)
			}
		}
	}
	return r, nil
}

// smallHeap is the size up to which the heap is collected before each sample,
// so that nobody pays for the garbage of the one before. Above, a collection
// costs more than the sample; the heap then also outgrows what a round can
// allocate.
const smallHeap = 64 << 20

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (w *Workload) validate() error {
	if w.Why == "" {
		return fmt.Errorf("bench: %s does not say why it is fair", w.Name)
	}
	for _, list := range [][]Impl{{w.Ours}, w.Peers, w.Floors} {
		for _, i := range list {
			if (i.Setup == nil) == (i.Measure == nil) {
				return fmt.Errorf("bench: %s: %s needs one of Setup and Measure", w.Name, i.Name)
			}
		}
	}
	if w.Ours.Setup != nil && w.Expect == Any {
		return fmt.Errorf("bench: %s does not say how the answers come out", w.Name)
	}
	if w.Target.kind == ratio && len(w.Peers) == 0 {
		return errors.New("bench: " + w.Name + ": a ratio needs a peer")
	}
	return nil
}

// calibrate finds the number of operations that takes about d. The runs it
// takes warm up caches, tables and branch predictors.
func (c *contestant) calibrate(parallel int, d time.Duration) {
	const most = 1 << 30 // an operation of no cost must not run forever
	c.n = 1
	for {
		took, _ := c.run(parallel)
		if took >= d/4 || c.n >= most {
			scale := float64(d) / float64(max(took, 1))
			c.n = min(max(int(float64(c.n)*scale), 1), most)
			return
		}
		c.n *= 2
	}
}

// run does n operations in each goroutine and returns the time from the first
// to the last.
func (c *contestant) run(parallel int) (took time.Duration, admitted int) {
	start := c.next
	c.next += c.n
	if parallel <= 1 {
		begin := time.Now()
		admitted = c.op(start, c.n)
		return time.Since(begin), admitted
	}

	// All goroutines start together; the time is that of the slowest.
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	counts := make([]int, parallel*16) // a cache line each
	for g := range parallel {
		ready.Add(1)
		// Ends when its operations are done.
		done.Go(func() {
			ready.Done()
			<-begin
			counts[g*16] = c.op(start+g*apart, c.n)
		})
	}
	ready.Wait()
	from := time.Now()
	close(begin)
	done.Wait()
	took = time.Since(from)
	for _, n := range counts {
		admitted += n
	}
	return took, admitted
}

// apart is how far apart goroutines start in a table of inputs: far, in tables
// of any size up to 2^30, since its low bits are mixed.
const apart = 0x2545F491

func (c *contestant) sample(parallel int, collect bool) Sample {
	if collect {
		runtime.GC()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)

	var s Sample
	if c.op != nil {
		took, admitted := c.run(parallel)
		s.Ops, s.Admitted = c.n*max(parallel, 1), admitted
		s.Value = float64(took) / float64(s.Ops)
	} else {
		s.Value, s.Ops = c.impl.Measure()
		s.Admitted = s.Ops
	}

	runtime.ReadMemStats(&after)
	s.Allocs, s.Memory = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return s
}
