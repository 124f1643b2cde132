// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// fixed are figures as some machine had them, so that a report can be pinned.
var fixed = &figures{
	limit: 61, breaker: 11.5, hit: 24, bloom: 7.2, ring: 38, floor: 110, get: 910, set: 1450, leaf: 225,
	limiterEntry: 31.4, cacheEntry: 36.8, filterKey: 1.25, indexEntry: 5.9, recordDisk: 110, wrong: 0.0093,
}

// TestGolden pins the report of the default input.
func TestGolden(t *testing.T) {
	c, err := parseFlags(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report(t.Context(), &out, c, fixed); err != nil {
		t.Fatal(err)
	}

	golden := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("report differs from %s; run with -update and look at the difference. Got:\n%s", golden, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestMeasure checks that every figure is measured, and that what is measured
// passes the laws.
func TestMeasure(t *testing.T) {
	f, err := measure(t.Context(), 0.1)
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(*f)
	for i := range v.NumField() {
		if got := v.Field(i).Float(); !(got > 0 && got < 1e6) {
			t.Errorf("%s = %v", v.Type().Field(i).Name, got)
		}
	}
	c := &config{users: 1e8, posts: 1e9, seed: 1}
	if err := report(t.Context(), io.Discard, c, f); err != nil {
		t.Error(err)
	}
}

// TestPropLaws holds the laws over seeds, sizes of systems and machines.
func TestPropLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &config{
			users: rapid.Float64Range(1000, 1e12).Draw(t, "users"),
			posts: rapid.Float64Range(1000, 1e15).Draw(t, "posts"),
		}
		f := *fixed
		f.hit = rapid.Float64Range(1, 1e4).Draw(t, "hit")
		f.limiterEntry = rapid.Float64Range(1, 1000).Draw(t, "entry")
		for _, part := range []func(io.Writer, *config, *figures) error{printRates, printMemory, printLadder} {
			if err := part(io.Discard, c, &f); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestLawsOverSeeds simulates other arrivals and another popularity.
func TestLawsOverSeeds(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		c := &config{users: 1e8, posts: 1e9, seed: seed + 2}
		if err := errors.Join(printLittle(io.Discard, c, fixed), printHits(io.Discard, c, fixed)); err != nil {
			t.Errorf("seed %d: %v", c.seed, err)
		}
	}
}

// TestLawsFindViolations feeds each law what no right system gives.
func TestLawsFindViolations(t *testing.T) {
	good := flow{limit: 100, refused: 0.0757, mean: 92.43, most: 100}
	theory := erlang(100, 100)
	for _, tt := range []struct {
		name   string
		change func(*flow)
		ok     bool
	}{
		{"as it is", func(*flow) {}, true},
		{"too many in flight", func(f *flow) { f.mean *= 1.03 }, false},
		{"too few in flight", func(f *flow) { f.mean *= 0.97 }, false},
		{"too many refused", func(f *flow) { f.refused += 0.02; f.mean -= 2 }, false},
		{"too few refused", func(f *flow) { f.refused -= 0.02; f.mean += 2 }, false},
		{"one more than the limit", func(f *flow) { f.most++ }, false},
	} {
		f := good
		tt.change(&f)
		if err := judgeFlow(f, theory); (err == nil) != tt.ok {
			t.Errorf("flow %s: %v, want ok %t", tt.name, err, tt.ok)
		}
	}

	for _, tt := range []struct {
		s       share
		smaller float64
		ok      bool
	}{
		{share{hits: 0.6, best: 0.6}, 0.5, true},
		{share{hits: 0.5, best: 0.6}, 0.5, false},
		{share{hits: 0.62, best: 0.6}, 0.5, false},
	} {
		if err := judgeShare(tt.s, tt.smaller); (err == nil) != tt.ok {
			t.Errorf("%+v after %v: %v, want ok %t", tt.s, tt.smaller, err, tt.ok)
		}
	}

	for _, tt := range []struct {
		wrong, key float64
		ok         bool
	}{
		{0.0099, 1.25, true},
		{0.012, 1.25, false},
		{0.0099, 1.0, false},
		{0.0099, 2.0, false},
	} {
		f := *fixed
		f.wrong, f.filterKey = tt.wrong, tt.key
		if err := printMemory(io.Discard, &config{users: 1e8, posts: 1e9}, &f); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}

	for _, tt := range []struct {
		e  estimate
		ok bool
	}{
		{estimate{value: 104, notes: 100}, true},
		{estimate{value: 106, notes: 100}, false},
		{estimate{value: 94, notes: 100}, false},
		{estimate{value: 106, notes: 100, slip: true}, true},
		{estimate{value: 104, notes: 100, slip: true}, false},
	} {
		if err := printEstimates(io.Discard, "", []estimate{tt.e}, true); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.e, err)
		}
	}
}

// TestErlang compares the formula with values that are worked by hand.
func TestErlang(t *testing.T) {
	for _, tt := range []struct {
		servers int
		load    float64
		want    float64
	}{
		{0, 1, 1},
		{1, 1, 0.5},
		{2, 1, 0.2},
		{2, 2, 0.4},
	} {
		if got := erlang(tt.servers, tt.load); got < tt.want-1e-12 || got > tt.want+1e-12 {
			t.Errorf("erlang(%d, %v) = %v, want %v", tt.servers, tt.load, got, tt.want)
		}
	}
}

// TestNumber checks how numbers are written.
func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.0000123: "0.000012", 0.00123: "0.00123", 1.85: "1.85", 100: "100", 999.4: "999", 1000: "1,000", 11574: "11,600", 1e9: "1,000,000,000",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
	for ns, want := range map[float64]string{1.5: "1.5 ns", 999: "999 ns", 1500: "1.5 µs", 10e6: "10 ms"} {
		if got := duration(ns); got != want {
			t.Errorf("duration(%v) = %q, want %q", ns, got, want)
		}
	}
}

// TestBadInput checks that a wrong flag is an error of the input.
func TestBadInput(t *testing.T) {
	for _, args := range []string{"-users 1", "-users NaN", "-posts 0", "-posts -5", "-posts 1e16", "-seed x", "-nosuch", "stray"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); !errors.As(err, new(*inputError)) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Errorf("-h: %v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestEnds checks that the program ends when it is interrupted, or when nothing
// can be printed.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &config{users: 1e8, posts: 1e9, seed: 1}
	if err := report(ctx, io.Discard, c, fixed); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if err := report(t.Context(), fullDisk{}, c, fixed); err == nil {
		t.Error("no error although nothing could be printed")
	}
}
