// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/lru"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// runProgram runs the program and returns what it prints to stdout.
func runProgram(ctx context.Context, args ...string) (string, error) {
	var stdout bytes.Buffer
	err := run(ctx, args, &stdout, io.Discard)
	return stdout.String(), err
}

// checkWidths reports lines that are wider than a terminal.
func checkWidths(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestGolden pins the report of the default input. The line of the policy that
// flips coins may differ by some points.
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
	gotRest, gotCoins := cutCoins(got)
	wantRest, wantCoins := cutCoins(string(want))
	if gotRest != wantRest {
		t.Errorf("report differs from %s; run with -update and look at the difference. Got:\n%s", golden, got)
	}
	if len(gotCoins) != len(wantCoins) || len(gotCoins) != len(sizes)+2 {
		t.Fatalf("the line of TinyLFU has %d numbers, want %d", len(gotCoins), len(sizes)+2)
	}
	for i, n := range gotCoins {
		most := 3.0
		if i == len(gotCoins)-1 {
			most = wantCoins[i] / 8 // megabytes
		}
		if math.Abs(n-wantCoins[i]) > most {
			t.Errorf("number %d of TinyLFU is %v, want about %v", i+1, n, wantCoins[i])
		}
	}
	checkWidths(t, got)
}

var number = regexp.MustCompile(`\d+`)

// cutCoins returns a report without the line of the policy that flips coins,
// and the numbers of that line.
func cutCoins(report string) (rest string, numbers []float64) {
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, "TinyLFU *") {
			rest += line
			continue
		}
		for _, s := range number.FindAllString(line, -1) {
			n, _ := strconv.ParseFloat(s, 64) // of digits
			numbers = append(numbers, n)
		}
	}
	return rest, numbers
}

// TestLaws runs the program, which judges itself, on other traffic.
func TestLaws(t *testing.T) {
	for _, flags := range []string{
		"-n 1",
		"-n 50 -nodes 2",
		"-n 2000 -seed 2 -nodes 2 -mem 1",
		"-n 1000 -seed 3 -nodes 30 -policy LFU",
		"-n 2000 -seed 4 -policy TinyLFU -mem 4",
		"-n 2000 -seed 5 -policy FIFO -mem 1024",
		"-in testdata/small.log",
		"-in testdata/oltp.txt",
		"-in testdata/sizes.csv",
	} {
		t.Run(flags, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), strings.Fields(flags), &stdout, &stderr)
			out := stdout.String()
			if err != nil || stderr.Len() > 0 {
				t.Fatalf("%v, %q\n%s", err, &stderr, out)
			}

			// Each part of the report has one, but for the first and the last.
			if n := strings.Count(out, "law holds"); n != 4 {
				t.Errorf("%d verdicts, want 4, in:\n%s", n, out)
			}
			checkWidths(t, out)
		})
	}
}

// TestPropEdge lets any few requests and changes through clusters with too
// little room.
func TestPropEdge(t *testing.T) {
	paths := []string{"/a.css", "/stories/1", "/posts/1", "/img/1.jpg", "/img/2.jpg", "/x", "/y", "/z"}
	controls := []string{"", "max-age=1", "max-age=70", "max-age=86400", "public, max-age=600", "no-store", "max-age=x"}
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		c := &config{
			nodes:  rapid.IntRange(2, 4).Draw(t, "nodes"),
			mem:    1,
			policy: rapid.SampledFrom([]lru.Policy{lru.PolicyLRU, lru.PolicyLFU, lru.PolicyFIFO, lru.PolicyTinyLFU}).Draw(t, "policy"),
		}
		tr := &traffic{config: c}
		for i := range 2 * len(paths) {
			tr.object(paths[i%len(paths)]+strings.Repeat("?", i/len(paths)), func() object {
				return object{
					size:    1 + rng.IntN(1<<20/c.nodes/4),
					control: controls[rng.IntN(len(controls))],
					missing: rng.IntN(8) == 0,
					tags:    []string{"a", "b", "c"}[:rng.IntN(2)],
				}
			})
		}

		// Some requests come close together, others when all is old.
		at := time.Duration(0)
		for range 1 + rng.IntN(300) {
			at += time.Duration(rng.Int64N(int64([]time.Duration{miss, time.Minute, time.Hour}[rng.IntN(3)])))
			r := request{at: at, key: rng.IntN(len(tr.objects)), again: rng.IntN(2) == 0}
			tr.requests = append(tr.requests, r)
			if rng.IntN(5) == 0 {
				tr.changes = append(tr.changes, change{at: at + time.Duration(rng.Int64N(int64(miss))), key: r.key, purge: purge(rng.IntN(3))})
			}
		}
		for range 2 {
			d := &day{edge: newEdge(tr)}
			if err := d.run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(checkEnvelope(d.origin.times), checkPins(d.pins)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// someTraffic returns generated traffic.
func someTraffic(t *testing.T, flags string) *traffic {
	t.Helper()
	c, err := parseFlags(strings.Fields(flags), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := c.traffic()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	// Clusters with a fault: each breaks a law, and the one without breaks
	// none.
	tr := someTraffic(t, "-n 36000 -mem 256")
	for name, fault := range map[string]struct {
		set  func(e *edge)
		want string
	}{
		"none":                     {func(*edge) {}, ""},
		"get, fetch, set":          {func(e *edge) { e.aside = true }, "all were purged"},
		"purges reach one node":    {func(e *edge) { e.ownerOnly = true }, "all were purged"},
		"times from the arrival":   {func(e *edge) { e.lateClock = true }, "old, and may be"},
		"the word of the origin":   {func(e *edge) { e.unclamped = true }, "old, and may be"},
		"a wrong clamp of the law": {func(e *edge) { e.objects = halved(e.objects) }, "old, and may be"},
	} {
		d := &day{edge: newEdge(tr)}
		own := *tr
		d.traffic = &own
		fault.set(d.edge)
		d.law = newLaw(d.traffic)
		err := d.run(t.Context())
		if fault.want == "" && err != nil || fault.want != "" && (err == nil || !strings.Contains(err.Error(), fault.want)) {
			t.Errorf("%s: %v, want %q", name, err, fault.want)
		}
	}

	// A pin that is forgotten.
	small := someTraffic(t, "-n 6000 -mem 1")
	modest := map[int]bool{}
	for key, o := range small.objects {
		if o.size < 10_000 && strings.HasPrefix(o.path, "/posts/") {
			modest[key] = true // there are few, and others drive them out
		}
	}
	for _, forgotten := range []bool{false, true} {
		d := &day{edge: newEdge(small)}
		d.noPins = forgotten
		d.pinned = modest
		if err := d.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := checkPins(d.pins); (err != nil) != forgotten {
			t.Errorf("pins forgotten: %t, %v", forgotten, err)
		}
	}
}

// TestJudges checks that the laws of numbers see what is too much, and nothing
// else.
func TestJudges(t *testing.T) {
	// Keys that move too much, or to nodes that were there.
	tr := someTraffic(t, "-n 6000")
	before, err := consistenthash.NewSnapshot(nil, consistenthash.Node{Name: "a"}, consistenthash.Node{Name: "b"}, consistenthash.Node{Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	all, elsewhere := moved(before, before.Without("c"), "d", tr.objects)
	if checkMoved(len(tr.objects), all, elsewhere, 4) == nil || checkMoved(len(tr.objects), 0, 1, 4) == nil {
		t.Error("keys that move to old nodes: no error")
	}
	if checkMoved(10_000, 10_000/4*3/2, 0, 4) == nil || checkMoved(10_000, 10_000/4, 0, 4) != nil {
		t.Error("keys that move needlessly: no error, or one without reason")
	}

	// Loads and requests that are too many.
	if checkBound(7, 20, 4, 1.25) != nil || checkBound(8, 20, 4, 1.25) == nil {
		t.Error("7 of 20 are the most that a node of four may have")
	}
	var times []time.Time
	for i := range originBurst + 5 {
		times = append(times, time.Unix(0, 0).Add(time.Duration(i)*time.Second/(2*originRate)))
	}
	if checkEnvelope(times) != nil {
		t.Error("twice the rate, within the burst: an error")
	}
	for range originBurst {
		times = append(times, times[len(times)-1])
	}
	if checkEnvelope(times) == nil {
		t.Error("more than the burst: no error")
	}

	// Answers that are none, or whose version was purged.
	l := newLaw(tr)
	at := time.Unix(1e9, 0)
	if l.observe(at, 1, &answer{key: 2, date: at}, fetched, 0) == nil {
		t.Error("an answer of another object: no error")
	}
	if l.observe(at, 1, &answer{key: 1, version: 1, date: at}, fetched, 2) == nil || l.observe(at, 1, &answer{key: 1, version: 2, date: at}, fetched, 2) != nil {
		t.Error("a version that was purged: no error, or one without reason")
	}
}

// TestRegions checks that the laws of regions see what breaks them.
func TestRegions(t *testing.T) {
	tr := someTraffic(t, "-n 6000 -mem 16")
	ran := func(p plan) (*world, error) {
		w := newWorld(tr, p)
		return w, w.run(t.Context())
	}

	// By path alone, two of three regions get what the first one asked for.
	w, err := ran(plan{byPath: true})
	if err != nil || w.wrong == 0 {
		t.Errorf("by path: %v, %d answers for another region, want some", err, w.wrong)
	}
	w.byPath = false
	if w.check() == nil {
		t.Error("answers for another region: no error")
	}

	// The shield asks the origin once for all regions, and gives old answers
	// the age that they have.
	w, err = ran(plan{near: true, shield: true})
	alone, errAlone := ran(plan{near: true})
	if err != nil || errAlone != nil || w.asked >= alone.asked {
		t.Errorf("with a shield: %v, %d requests; without: %v, %d", err, w.asked, errAlone, alone.asked)
	}
	if w, err := ran(plan{near: true, shield: true, newAge: true}); err == nil || w.old == 0 {
		t.Errorf("a new life for old answers: %v, %d were too old", err, w.old)
	}

	// What a region keeps for another one.
	w.caches[0].Set(variant{key: 1, region: 1}, local{date: w.at})
	if w.check() == nil {
		t.Error("an answer in the wrong region's cache: no error")
	}
}

// TestDraw checks the shares of the regions, within five standard deviations.
func TestDraw(t *testing.T) {
	const n = 10_000
	rng := rand.New(rand.NewPCG(1, 2))
	count := make([]int, len(regions))
	for range n {
		count[draw(rng)]++
	}
	for i, r := range regions {
		p := float64(r.share) / 100
		if off := math.Abs(float64(count[i]) - n*p); off > 5*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%s has %d of %d, want %d %%", r.name, count[i], n, r.share)
		}
	}
}

// halved returns objects of which the origin says half the time.
func halved(objects []object) []object {
	list := append([]object(nil), objects...)
	for i := range list {
		if list[i].control == "public, max-age=600" {
			list[i].control = "public, max-age=60"
		}
	}
	return list
}

// TestClamp checks the times to live against what a person reads.
func TestClamp(t *testing.T) {
	for _, tt := range []struct {
		path, control string
		want          time.Duration // 0: not to be kept
	}{
		{"/stories/3", "", 90 * time.Second},
		{"/stories/3", "max-age=10", time.Minute},
		{"/stories/3", "max-age=100", 100 * time.Second},
		{"/stories/3", "max-age=86400", 2 * time.Minute},
		{"/posts/3", "Max-Age=86400, public", time.Hour},
		{"/posts/3", "max-age=-1", time.Hour},
		{"/img/3.jpg", "max-age=0", time.Hour},
		{"/images/3.png?v=2", "", 24 * time.Hour},
		{"/static/site.css", "public, max-age=600", 10 * time.Minute},
		{"/posts/site.js?v=7", "", time.Hour},
		{"/", "max-age=0", 0},
		{"/", "", time.Hour},
		{"/posts/3", "private", 0},
		{"/posts/3", "max-age=60, no-store", 0},
	} {
		fresh, ok := behaviors[behaviorOf(tt.path)].clamp(tt.control)
		if fresh != tt.want || ok != (tt.want > 0 || tt.control == "max-age=0") {
			t.Errorf("%s, %q: fresh for %v, %t, want %v", tt.path, tt.control, fresh, ok, tt.want)
		}
	}
}

// TestAnswers follows one object through its life on a cluster of two nodes.
func TestAnswers(t *testing.T) {
	tr := &traffic{config: &config{nodes: 2, mem: 1}}
	story := tr.object("/stories/1", func() object { return object{size: 100, control: "max-age=10"} })
	gone := tr.object("/gone", func() object { return object{size: 1, missing: true} })
	mine := tr.object("/mine", func() object { return object{size: 1, control: "private"} })
	picture := tr.object("/img/1.jpg", func() object { return object{size: 1} })
	other := tr.object("/img/2.jpg", func() object { return object{size: 1} })
	large := tr.object("/large", func() object { return object{size: 1 << 17} })
	never := tr.object("/never", func() object { return object{size: 1} })
	type step struct {
		at   time.Duration
		key  int
		want outcome
	}
	var steps []step
	for _, s := range []step{
		{0, story, fetched},
		{100 * time.Millisecond, story, joined}, // it is on its way
		{time.Second, story, fromCache},
		{61 * time.Second, story, whileFresh}, // old, and the origin says 304
		{62 * time.Second, story, fromCache},
		{200 * time.Second, story, fetched},
		{200 * time.Second, gone, fetched},
		{201 * time.Second, gone, notThere},
		{231 * time.Second, gone, fetched},
		{232 * time.Second, mine, passed},
		{233 * time.Second, mine, passed},
		{234 * time.Second, picture, fetched}, // it is pinned: its first request counts
		{235 * time.Second, picture, fromCache},
		{236 * time.Second, other, fetched}, // not kept
		{237 * time.Second, other, fetched}, // kept
		{238 * time.Second, other, fromCache},
		{239 * time.Second, large, fetched},
		{240 * time.Second, large, fetched},
		{700 * time.Second, gone, ifError}, // the origin is down
		{710 * time.Second, story, ifError},
		{720 * time.Second, never, refused},
		{1000 * time.Second, mine, passed},
	} {
		steps = append(steps, s)
		tr.requests = append(tr.requests, request{at: s.at, key: s.key})
	}

	// Both nodes are asked by turns for nothing else, so that one has all.
	e := newEdge(tr)
	e.pinned = map[int]bool{picture: true}
	for e.ring.Snapshot().Len() > 1 {
		e.ring.Remove("edge-2")
	}
	for i, s := range steps {
		before := e.counts[s.want]
		if err := e.serve(t.Context(), tr.requests[i]); err != nil {
			t.Fatal(err)
		}
		if e.counts[s.want] != before+1 {
			t.Errorf("at %v, %s: counts %v, want one more of %d", s.at, tr.objects[s.key].path, e.counts, s.want)
		}
	}
	if got := fmt.Sprint(e.latency[:5]); got != "[300ms 200ms 20ms 20ms 20ms]" {
		t.Errorf("the first answers took %s", got)
	}
	if e.origin.unchanged != 1 || e.origin.failed != 3 {
		t.Errorf("%d answers of 304 and %d failures, want 1 and 3", e.origin.unchanged, e.origin.failed)
	}
}

// TestOrigin checks that requests which the breaker keeps away leave the
// limiter as it is, and that those which the limiter keeps away are no
// failures.
func TestOrigin(t *testing.T) {
	at := time.Unix(1e9, 0)
	down := true
	o := newOrigin(make([]object, 1), func() time.Time { return at }, func() bool { return down })
	for range 3 * originBurst {
		if _, err := o.fetch(t.Context(), 0, nil); err == nil || errors.Is(err, errLimited) {
			t.Fatalf("the origin is down: %v", err)
		}
	}
	if o.failed != 5 || o.open != 3*originBurst-5 || o.refused != 0 {
		t.Errorf("%d failures, %d kept away by the breaker, %d by the limiter", o.failed, o.open, o.refused)
	}

	// Later it is up, and is asked as often as it can take.
	at = at.Add(time.Minute)
	down = false
	for range 2 * originBurst {
		if _, err := o.fetch(t.Context(), 0, nil); err != nil && !errors.Is(err, errLimited) {
			t.Fatal(err)
		}
	}
	if o.full != originBurst || o.refused != originBurst {
		t.Errorf("%d answers, and %d kept away by the limiter", o.full, o.refused)
	}
}

// TestTraces checks what is read from each kind of file, compressed or not.
func TestTraces(t *testing.T) {
	for name, want := range map[string]string{
		"small.log": "0 /img/a\\\"b.png?x 12000 false, 1 /a.css 2326 false, 6 /a.css 2326 true, 3610 /none 1 false, 7210 /a.css 2326 false",
		"oltp.txt":  "0 /block/1 4096 false, 0 /block/2 4096 false, 0 /block/3 4096 false, 0 /block/2 4096 false",
		"sizes.csv": "0 /block/17 500 false, 0 /block/18 1 false, 0 /block/17 500 false",
	} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}

		for _, in := range [][]byte{text, packed.Bytes()} {
			tr := &traffic{config: new(config)}
			if err := tr.read(bytes.NewReader(in)); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range tr.requests {
				o := tr.objects[r.key]
				got = append(got, fmt.Sprintf("%d %s %d %t", int(r.at.Seconds()), o.path, o.size, r.again))
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("%s: requests %q, want %q", name, got, want)
			}
			if name == "small.log" && (!strings.Contains(tr.title, "5 malformed") || !tr.objects[tr.number["/none"]].missing) {
				t.Errorf("%s: %s", name, tr.title)
			}
		}
	}
}

// TestInput checks that bad flags and bad files are errors of the input, in one
// line.
func TestInput(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, args := range [][]string{
		{"-n", "0"},
		{"-n", "5000001"},
		{"-nodes", "1"},
		{"-nodes", "65"},
		{"-mem", "0"},
		{"-mem", "1025"},
		{"-policy", "best"},
		{"-bad"},
		{"more"},
		{"-in", filepath.Join(dir, "missing")},
		{"-in", dir},
		{"-in", file("empty", "\n# nothing\n*\n")},
		{"-in", file("words", "one\n")},
		{"-in", file("count", "1 x 0 0\n")},
		{"-in", file("csv", "1,2,x\n")},
		{"-in", file("gz", "\x1f\x8bno")},
		{"-in", file("log", "a \"quote\"\n")},
	} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}

	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-policy") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runProgram(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	tr := someTraffic(t, "-n 10")
	for i, report := range []func(context.Context, *traffic, io.Writer) error{reportDay, reportPurges, reportPolicies} {
		if err := report(ctx, tr, io.Discard); !errors.Is(err, context.Canceled) {
			t.Errorf("report %d after Ctrl-C: %v", i, err)
		}
	}
	if err := run(t.Context(), []string{"-n", "10"}, brokenWriter{}, io.Discard); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("with nobody to read the report: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
