// SPDX-License-Identifier: MIT

// Compare measures packages of this module against other people's, interleaved
// in one process.
//
//	go run ./cmd/compare [-quick] [-rounds N] [-run REGEXP] PKG...
//
// It prints a table for each workload and a summary, keeps the raw samples in
// results/, and fails if a workload misses its target.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/internal/peers/bloom"
	"github.com/ashlar-go/ashlar/internal/peers/breaker"
	"github.com/ashlar-go/ashlar/internal/peers/consistenthash"
	"github.com/ashlar-go/ashlar/internal/peers/lru"
	"github.com/ashlar-go/ashlar/internal/peers/lsm"
	"github.com/ashlar-go/ashlar/internal/peers/merkle"
	"github.com/ashlar-go/ashlar/internal/peers/quorum"
	"github.com/ashlar-go/ashlar/internal/peers/ratelimit"
	"github.com/ashlar-go/ashlar/internal/peers/skiplist"
)

// packages are the comparisons, by the name of our package.
var packages = map[string]func() []*bench.Workload{
	"bloom":          bloom.Workloads,
	"breaker":        breaker.Workloads,
	"consistenthash": consistenthash.Workloads,
	"lru":            lru.Workloads,
	"lsm":            lsm.Workloads,
	"merkle":         merkle.Workloads,
	"quorum":         quorum.Workloads,
	"ratelimit":      ratelimit.Workloads,
	"skiplist":       skiplist.Workloads,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	stdout := os.Stdout
	stderr := os.Stderr
	end, err := quiet()
	if err == nil {
		err = run(ctx, os.Args[1:], stdout, stderr)
		end()
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// settings are the parsed flags.
type settings struct {
	quick  bool
	list   bool
	rounds int
	sample time.Duration
	seed   uint64
	out    string
	only   *regexp.Regexp
	names  []string
}

const minRounds = 10

func parse(args []string, stderr io.Writer) (*settings, error) {
	var s settings
	var only string
	known := strings.Join(slices.Sorted(maps.Keys(packages)), ", ")
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprintf(stderr, "usage: compare [flags] PKG...\npackages: %s\n", known)
		fs.PrintDefaults()
	}

	fs.BoolVar(&s.quick, "quick", false, "short samples, 10 rounds, no workload of 10^7 keys or more: at most 3 minutes a package")
	fs.BoolVar(&s.list, "list", false, "list the workloads and their targets, and stop")
	fs.IntVar(&s.rounds, "rounds", 0, "rounds of each workload, at least 10 (default 20, or 10 with -quick)")
	fs.DurationVar(&s.sample, "sample", 0, "time of one sample (default 50ms, or 20ms with -quick)")
	fs.Uint64Var(&s.seed, "seed", 0, "seed of the order within rounds (default from the time)")
	fs.StringVar(&s.out, "out", "results", "folder for the raw output; empty for none")
	fs.StringVar(&only, "run", "", "only workloads whose name matches this `regexp`")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}

	var err error
	if s.only, err = regexp.Compile(only); err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}

	if s.names = fs.Args(); len(s.names) == 0 {
		return nil, errors.New("name a package: " + known)
	}

	for _, name := range s.names {
		if packages[name] == nil {
			return nil, fmt.Errorf("no package %q: want one of %s", name, known)
		}
	}

	s.defaults()
	if s.rounds < minRounds {
		return nil, fmt.Errorf("-rounds must be at least %d, got %d", minRounds, s.rounds)
	}

	if s.sample <= 0 {
		return nil, fmt.Errorf("-sample must be positive, got %v", s.sample)
	}

	return &s, nil
}

func (s *settings) defaults() {
	rounds, sample := 20, 50*time.Millisecond
	if s.quick {
		rounds, sample = minRounds, 20*time.Millisecond
	}
	if s.rounds == 0 {
		s.rounds = rounds
	}
	if s.sample == 0 {
		s.sample = sample
	}
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	var failed []string
	for _, name := range s.names {
		missed, err := comparePackage(ctx, s, name, stdout, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		failed = append(failed, missed...)
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d targets missed: %s", len(failed), strings.Join(failed, ", "))
	}
	return nil
}

// comparePackage runs the workloads of one package and returns the names of
// those that failed.
func comparePackage(ctx context.Context, s *settings, name string, stdout, stderr io.Writer) (failed []string, err error) {
	rows := packages[name]()
	rows = slices.DeleteFunc(rows, func(w *bench.Workload) bool {
		return s.quick && w.Large() || !s.only.MatchString(w.Name)
	})
	if len(rows) == 0 {
		return nil, errors.New("no workload matches")
	}
	if s.list {
		for _, w := range rows {
			fmt.Fprintf(stdout, "%s\t%v\n", w.Name, w.Target)
		}
		return nil, nil
	}

	start := time.Now()
	raw, closeRaw, err := create(s.out, name, start)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeRaw()) }()
	header(io.MultiWriter(stdout, raw), name, s, start)

	var results []*bench.Result
	for i, w := range rows {
		start := time.Now()
		r, err := bench.Run(ctx, w, bench.Config{Rounds: s.rounds, Sample: s.sample, Seed: s.seed, Raw: raw})
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(stderr, "%d/%d %s %.1fs\n", i+1, len(rows), w.Name, time.Since(start).Seconds())
		r.Write(stdout)
		results = append(results, r)
		if v, _ := r.Judge(); v.Failed() {
			failed = append(failed, w.Name)
		}
		runtime.GC() // the next workload begins without the state of this one
	}

	// The verdicts stand below the samples, as lines that benchstat skips.
	var verdicts bytes.Buffer
	bench.Summary(&verdicts, results)
	for line := range strings.Lines(verdicts.String()) {
		fmt.Fprintf(raw, "# %s", line)
	}
	_, err = stdout.Write(verdicts.Bytes())
	return failed, err
}

// create opens a new file for the raw samples of a package; without a folder
// they go nowhere. Two runs of one day are two files.
func create(folder, name string, start time.Time) (io.Writer, func() error, error) {
	if folder == "" {
		return io.Discard, func() error { return nil }, nil
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(filepath.Join(folder, name+"-"+start.Format("2006-01-02-150405")+".txt"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, nil, err
	}
	return f, f.Close, nil
}

// header prints what a reader needs to judge the figures, in the form
// benchstat reads.
func header(out io.Writer, name string, s *settings, start time.Time) {
	fmt.Fprintf(out, "pkg: %s\ngoos: %s\ngoarch: %s\ncpu: %s\nprocs: %d\ngo: %s\ndate: %s\n", name, runtime.GOOS, runtime.GOARCH,
		cpu(), runtime.GOMAXPROCS(0), runtime.Version(), start.UTC().Format(time.RFC3339))
	fmt.Fprintf(out, "commit: %s\ntemp: %s\n", commit(), fileSystem(os.TempDir()))
	fmt.Fprintf(out, "seed: %d\nrounds: %d\nsample: %v\nquick: %t\n", s.seed, s.rounds, s.sample, s.quick)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Replace == nil { // ours is replaced by this checkout
				fmt.Fprintf(out, "with: %s %s\n", d.Path, d.Version)
			}
		}
	}
	fmt.Fprintln(out)
}

// commit returns the commit that is checked out, and whether files differ from
// it.
func commit() string {
	id, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(id))
	if changes, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(changes) > 0 {
		name += " with changes"
	}
	return name
}

// fileSystem returns the type of the file system that holds dir, where the
// system tells it: the figures of lsm depend on it.
func fileSystem(dir string) string {
	out, err := exec.Command("stat", "-f", "-c", "%T", dir).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// quiet keeps the libraries that are compared from writing into the report:
// they find nothing where the standard output and the log were. It returns the
// function that ends it.
func quiet() (end func(), err error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	stdout := os.Stdout
	stderr := os.Stderr
	os.Stdout = null
	os.Stderr = null
	log.SetOutput(io.Discard)
	return func() {
		os.Stdout = stdout
		os.Stderr = stderr
		log.SetOutput(stderr)
		null.Close()
	}, nil
}

// cpu returns the name of the processor where the system tells it in a file.
func cpu() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown"
}
