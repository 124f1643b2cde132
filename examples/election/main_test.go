// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the files in testdata")

// runProgram runs the program and returns what it prints to stdout.
func runProgram(ctx context.Context, args ...string) (string, error) {
	var stdout bytes.Buffer
	err := run(ctx, args, &stdout, io.Discard)
	return stdout.String(), err
}

// TestGolden pins the reports of the default schedule and of another one.
func TestGolden(t *testing.T) {
	for name, args := range map[string][]string{
		"golden.txt":  nil,
		"divided.txt": {"-schedule", "testdata/split.txt", "-replication", "async", "-algo", "bully"},
	} {
		got, err := runProgram(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}

		golden := filepath.Join("testdata", name)
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
}

// TestPropSchedule runs random faults: the laws hold whatever happens, as long
// as disks stay and clocks run equally fast.
func TestPropSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &config{nodes: rapid.IntRange(3, 7).Draw(t, "nodes")}
		node := rapid.IntRange(leader, c.nodes-1)
		at := time.Duration(0)
		for range rapid.IntRange(0, 6).Draw(t, "faults") {
			at += time.Duration(rapid.IntRange(1, 25).Draw(t, "after")) * tick
			f := fault{at: at, what: rapid.SampledFrom([]string{"kill", "restart", "cut", "heal", "pause"}).Draw(t, "what")}
			switch f.what {
			case "kill":
				f.nodes = []int{node.Draw(t, "node")}
			case "pause":
				f.nodes = []int{node.Draw(t, "node")}
				f.long = time.Duration(rapid.IntRange(1, 30).Draw(t, "long")) * tick
			case "cut":
				f.nodes = rapid.SliceOfN(node, 1, c.nodes-1).Draw(t, "nodes")
			}
			c.schedule = append(c.schedule, f)
		}
		s := newSimulation(c, rapid.SampledFrom(modes).Draw(t, "mode"))
		s.last = 100
		if err := s.run(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

// simulated returns a simulation that has run the usual schedule.
func simulated(t *testing.T, mode string) *simulation {
	t.Helper()
	s := newSimulation(&config{nodes: 5, schedule: usual(5)}, mode)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	bad := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}

	// Replicas that do not look at tokens, and a leader that sleeps.
	s := newSimulation(&config{nodes: 5, schedule: usual(5)}, "majority")
	for _, n := range s.nodes {
		n.replica.naive = true
	}
	bad("no fencing", s.run(t.Context()))

	// Acknowledged before anybody else has it.
	s = simulated(t, "async")
	s.mode = "majority"
	bad("acknowledged too soon", s.law.check(s))

	// Two leaders, and a token that does not grow.
	a, b := simulated(t, "majority"), simulated(t, "majority")
	bad("two leaders", a.law.alone(slices.Concat(a.nodes, b.nodes)))
	bad("an old token", a.law.leads(0, a.law.tokens[0]))
	a.nodes[1].replica.history = []uint64{9, 7}
	bad("a follower that forgets", a.law.check(a))

	// Chunks that are counted twice, or wrongly.
	for _, change := range []func(e *entry){
		func(e *entry) { e.chunk = 0 },
		func(e *entry) { e.count++ },
	} {
		s := simulated(t, "majority")
		log := s.best()
		for i := range log {
			if log[i].chunk > 0 {
				change(&log[i])
				break
			}
		}
		bad("a chunk", s.law.check(s))
	}

	// Elections of two, of nobody, and with too many messages.
	for _, elect := range []func([]int, func(int) int) ([]int, int){
		func([]int, func(int) int) ([]int, int) { return []int{1, 2}, 1 },
		func([]int, func(int) int) ([]int, int) { return nil, 1 },
		func([]int, func(int) int) ([]int, int) { return []int{1}, 9 },
	} {
		_, err := (&algorithm{name: "bent", bound: func(float64) float64 { return 8 }, elect: elect}).count([]int{1, 2, 3})
		bad("an election", err)
	}

	// A rule that flaps, and a system that is not what its formula says.
	w := watch{rule: "any", system: quorum.Threshold(1, quorum.First(3))}
	w.run(day(1))
	bad("a rule that flaps", w.check())
	v := votings()[1]
	v.theory = func(p float64) float64 { return p * p }
	_, err := v.measure(rand.New(rand.NewPCG(1, 1)))
	bad("a formula", err)
}

// TestAlgorithms checks what is known of the algorithms on paper.
func TestAlgorithms(t *testing.T) {
	// LCR sends n(n+1)/2 messages in the worst order, and n more at the end.
	if leaders, n := lcr(ringOrder(4, nil), one); !slices.Equal(leaders, []int{4}) || n != 10+4 {
		t.Errorf("lcr of 4 3 2 1 = %v with %d messages, want 4 with 14", leaders, n)
	}
	if leaders, n := lcr([]int{1, 2, 3, 4}, one); !slices.Equal(leaders, []int{4}) || n != 7+4 {
		t.Errorf("lcr of 1 2 3 4 = %v with %d messages, want 4 with 11", leaders, n)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= 20; n++ {
		ids := ringOrder(n, rng)
		for _, a := range algorithms[:3] {
			if leaders, _ := a.elect(ids, one); !slices.Equal(leaders, []int{n}) {
				t.Errorf("%s elects %v of %v, want the greatest", a.name, leaders, ids)
			}
		}
	}

	// The primes below 100 are 25.
	if got := countPrimes(0, 100); got != 25 || sieve(100) != 25 {
		t.Errorf("%d and %d primes below 100, want 25", got, sieve(100))
	}
}

// TestNarrative checks what the package comment says of the usual schedule.
func TestNarrative(t *testing.T) {
	for _, mode := range modes {
		s := simulated(t, mode)
		if lost := s.lost(); (lost > 0) != (mode == "async") {
			t.Errorf("%s: %d writes are lost", mode, lost)
		}
		if s.fenced == 0 && mode != "async" {
			t.Errorf("%s: nothing was refused", mode)
		}
		if s.primes != 78_498 {
			t.Errorf("%s: %d primes, want 78498", mode, s.primes)
		}
		kill := s.outages[0]
		if d := time.Duration(kill.to-kill.from) * tick; kill.open || (d > 3*time.Second) != (mode == "sync") {
			t.Errorf("%s: the next write comes %v after the kill", mode, d)
		}
	}
	if got := schedules(usual(5)); got != "8s kill leader|20s restart|28s cut leader 5|38s heal|46s pause leader 5s" {
		t.Errorf("the usual schedule is %s", got)
	}
}

// schedules returns the lines of a schedule.
func schedules(list []fault) string {
	var lines []string
	for _, f := range list {
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "|")
}

// TestInput checks that bad flags and bad files are errors of the input, in one
// line.
func TestInput(t *testing.T) {
	dir := t.TempDir()
	args := [][]string{
		{"-nodes", "2"},
		{"-nodes", "10"},
		{"-nodes", "x"},
		{"-replication", "raid"},
		{"-algo", "raft"},
		{"-bad"},
		{"more"},
		{"-schedule", filepath.Join(dir, "missing")},
		{"-schedule", dir},
	}
	for i, text := range []string{
		"5s", "soon kill 1", "-1s kill 1", "1m kill 1", "5s eat 1", "5s kill", "5s kill 6", "5s kill 0", "5s kill 1 2", "5s kill me",
		"5s restart 1", "5s heal 1", "5s cut", "5s pause 1", "5s pause 1 -1s", "5s pause 1 2 1s", "5s heal\n4s heal",
	} {
		name := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, []string{"-schedule", name})
	}
	for _, a := range args {
		out, err := runProgram(t.Context(), a...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", a, err, len(out))
		}
	}

	list, err := readSchedule(strings.NewReader("# nothing\n\n1.5s kill 3 # why not\n2s pause leader 4s\n"), 3)
	if got := schedules(list); err != nil || got != "1.5s kill 3|2s pause leader 4s" {
		t.Errorf("schedule = %s, %v", got, err)
	}
	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-schedule") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runProgram(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if err := run(t.Context(), nil, brokenWriter{}, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("with nobody to read the report: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
