// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// runProgram runs the program and returns what it prints to stdout.
func runProgram(ctx context.Context, args ...string) (string, error) {
	var stdout bytes.Buffer
	err := run(ctx, args, &stdout, io.Discard)
	return stdout.String(), err
}

// TestGolden pins the report of the default input.
func TestGolden(t *testing.T) {
	got, err := runProgram(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("report differs from %s; run with -update and look at the difference. Got:\n%s", golden, got)
	}
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestPropStream produces any records in any way, loses any broker at any time,
// and retains any part: the laws hold.
func TestPropStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		c := &config{records: rapid.IntRange(1, 60).Draw(t, "records"), seed: rapid.Uint64().Draw(t, "seed")}
		records := produce(c)
		for i := range records {
			if rapid.IntRange(0, 9).Draw(t, "gone") == 0 {
				records[i].Value = ""
			}
		}

		// All acknowledge, and some broker dies.
		cl, err := newCluster("all")
		if err != nil {
			t.Fatal(err)
		}
		dies := rapid.IntRange(0, len(records)).Draw(t, "dies")
		for i, r := range records {
			if i == dies {
				cl.brokers[rapid.IntRange(0, brokers-1).Draw(t, "broker")].dead = true
			}
			if err := cl.send(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		if lost, err := cl.lost(); lost > 0 || err != nil {
			t.Fatalf("%d records are lost, %v", lost, err)
		}
		if err := cl.close(); err != nil {
			t.Fatal(err)
		}

		// What retention leaves is checked within.
		size := rapid.IntRange(0, 2000).Draw(t, "size")
		for _, do := range []func(l *partitionLog) (int, error){
			func(l *partitionLog) (int, error) { return l.retainSize(ctx, size) },
			func(l *partitionLog) (int, error) { return l.compact(ctx) },
		} {
			if deleted, left, err := retain(ctx, records, do); err != nil || deleted+left != len(records) {
				t.Fatalf("%d deleted and %d left of %d, %v", deleted, left, len(records), err)
			}
		}
	})
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	ctx := t.Context()
	list := someRecords(4)

	// Semantics that are not what they are called.
	for _, how := range []semantics{atMostOnce, atLeastOnce, effectively} {
		cost, points, err := enumerate(ctx, how, list)
		if err != nil || points < 10 {
			t.Fatalf("%v: %d points, %v", how, points, err)
		}
		for _, other := range []semantics{atMostOnce, atLeastOnce, effectively} {
			if err := cost.check(other); (err == nil) != (how == other) {
				t.Errorf("%v as %v: %v", how, other, err)
			}
		}
	}

	// Records out of order, in another partition, or not compacted.
	r := record{Key: "a", Value: "x"}
	p := partitionOf("a")
	first, second := stored{record: r, offset: 0}, stored{record: r, offset: 1}
	first.N, second.N = 1, 2
	for name, err := range map[string]error{
		"order":             checkOrder(p, []stored{second, first}),
		"another partition": checkOrder(p+1, []stored{first}),
		"the first is kept": checkCompacted([]stored{first, second}, []stored{first}),
		"both are kept":     checkCompacted([]stored{first, second}, []stored{first, second}),
		"none is kept":      checkCompacted([]stored{first, second}, nil),
		"a hole":            checkKept([]stored{first, second}, []stored{first}, 1),
		"a group":           (&group{seen: map[int]int{1: 2}}).check(1),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := checkOrder(p, []stored{first, second}); err != nil {
		t.Error(err)
	}

	// A leader that acknowledges alone loses some.
	for acks, want := range map[string]bool{"none": true, "leader": true, "all": false} {
		_, lost, err := lose(ctx, acks, produce(&config{records: 400, seed: 1}))
		if err != nil || (lost > 0) != want {
			t.Errorf("acks = %s: %d lost, %v, want some: %t", acks, lost, err, want)
		}
	}
}

// TestGroups checks who has which partition.
func TestGroups(t *testing.T) {
	for n, want := range map[int]int{1: 0, 3: 0, 4: 0, 5: 1, 6: 2} {
		if got := idle(consumers(n), byTurns(consumers(n))); got != want {
			t.Errorf("%d consumers: %d are idle, want %d", n, got, want)
		}
	}
	for n := 2; n < 8; n++ {
		before, err := byRing(consumers(n))
		if err != nil {
			t.Fatal(err)
		}
		for _, gone := range consumers(n) {
			after, err := byRing(slices.DeleteFunc(consumers(n), func(m string) bool { return m == gone }))
			if err != nil || movedFrom(before, after, gone) != 0 {
				t.Errorf("%s of %d leaves: %v becomes %v, %v", gone, n, before, after, err)
			}
		}
	}
	if _, err := byRing([]string{""}); err == nil {
		t.Error("a member without a name: no error")
	}
}

// TestLog checks that a partition goes on after a restart where it has ended.
func TestLog(t *testing.T) {
	db, logs, err := topic()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := logs[1].append(t.Context(), record{Key: "k", N: i}); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openLog(db, 1)
	if err != nil || again.next != 3 {
		t.Errorf("next = %d, %v, want 3", again.next, err)
	}
	list, err := again.read(1, 1)
	if err != nil || fmt.Sprint(len(list)) != "1" || list[0].offset != 1 || list[0].N != 1 {
		t.Errorf("read = %+v, %v, want the record at 1", list, err)
	}
}

// TestInput checks that bad flags are errors of the input, in one line.
func TestInput(t *testing.T) {
	for _, args := range [][]string{{"-records", "99"}, {"-records", "100001"}, {"-records", "x"}, {"-bad"}, {"more"}} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-records") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runProgram(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if _, err := runProgram(t.Context(), "-records", "3000", "-seed", "9"); err != nil {
		t.Error(err)
	}
}
