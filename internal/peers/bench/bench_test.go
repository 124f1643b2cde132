// SPDX-License-Identifier: MIT

package bench

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// fixed returns an Impl whose samples are values, one a round, and which
// appends its name to log.
func fixed(name string, log *[]string, values ...float64) Impl {
	i := 0
	return Impl{Name: name, Measure: func() (float64, int) {
		if log != nil {
			*log = append(*log, name)
		}
		v := values[i%len(values)]
		i++
		return v, 1
	}}
}

func measure(t *testing.T, w *Workload, rounds int) *Result {
	t.Helper()
	w.Why = "fake"
	r, err := Run(t.Context(), w, Config{Rounds: rounds, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A disturbance that slows a whole round must not move the ratio.
func TestRatioIsWithinRounds(t *testing.T) {
	r := measure(t, &Workload{
		Name:  "x",
		Ours:  fixed("ours", nil, 10, 50, 20, 1000),
		Peers: []Impl{fixed("slow", nil, 30, 150, 60, 3000), fixed("fast", nil, 20, 100, 40, 2000)},
	}, 4)
	best := r.Best()
	if best.Name != "fast" {
		t.Fatalf("best peer is %s, want fast", best.Name)
	}
	if got, want := r.RatioTo(best), (Spread{0.5, 0.5, 0.5}); got != want {
		t.Errorf("ratio = %v, want %v", got, want)
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{7}, Spread{7, 7, 7}},
		{[]float64{2, 1}, Spread{1, 1.5, 2}},
		{[]float64{5, 1, 4, 2, 3}, Spread{1, 3, 5}},
		{[]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, Spread{2, 5.5, 9}}, // 1-22/1024 = 97.9 %
	}
	for _, tt := range tests {
		if got := spread(tt.values); got != tt.want {
			t.Errorf("spread(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	peer := []Impl{fixed("peer", nil, 100)}
	noted := Impl{Name: "noted", Note: "does less", Measure: func() (float64, int) { return 1, 1 }}
	tests := []struct {
		name string
		w    Workload
		want Verdict
	}{
		{"ratio met", Workload{Target: Ratio(0.5), Ours: fixed("ours", nil, 50), Peers: peer}, Pass},
		{"ratio barely met", Workload{Target: Ratio(0.5), Ours: fixed("ours", nil, 50.0), Peers: peer}, Pass},
		{"ratio missed", Workload{Target: Ratio(0.5), Ours: fixed("ours", nil, 53), Peers: peer}, Miss},
		{"interval decides", Workload{Target: Ratio(0.5), Ours: fixed("ours", nil, 50, 50, 900), Peers: peer}, Unsure},
		{"noted peer does not count", Workload{Target: Ratio(0.5), Ours: fixed("ours", nil, 50), Peers: append(peer, noted)}, Pass},
		{"named peer counts", Workload{Target: Ratio(0.5), Versus: "noted", Ours: fixed("ours", nil, 50), Peers: append(peer, noted)}, Miss},
		{"named peer is absent", Workload{Target: Ratio(0.5), Versus: "nobody", Ours: fixed("ours", nil, 50), Peers: peer}, Invalid},
		{"bound met", Workload{Target: AtMost(25), Ours: fixed("ours", nil, 25)}, Pass},
		{"bound missed", Workload{Target: AtMost(25), Ours: fixed("ours", nil, 27)}, Miss},
		{"law holds", Workload{Target: Within(0.98, 1), Ours: fixed("ours", nil, 0.99, 1, 0.98)}, Pass},
		{"law broken once", Workload{Target: Within(0.98, 1), Ours: fixed("ours", nil, 0.99, 1.001, 0.99)}, Miss},
		{"disturbed once", Workload{Target: Within(0.98, 1), Ours: fixed("ours", nil, 0.99, 0.5, 0.99)}, Pass},
		{"always below", Workload{Target: Within(0.98, 1), Ours: fixed("ours", nil, 0.97, 0.5, 0.96)}, Miss},
		{"no target", Workload{Ours: fixed("ours", nil, 1e9), Peers: peer}, Info},
		{"half of the answers", Workload{Expect: Half, Ours: fixed("ours", nil, 1), Peers: peer}, Invalid},
		{"the same answers", Workload{Expect: Same, Ours: fixed("ours", nil, 1), Peers: peer}, Info},
		{"other answers than expected", Workload{Expect: Denied, Ours: fixed("ours", nil, 1), Peers: peer}, Invalid},
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, reason := measure(t, &tt.w, 3).Judge()
			if got != tt.want {
				t.Errorf("verdict = %s (%s), want %s", got, reason, tt.want)
			}

			if got.Failed() != (tt.want == Miss || tt.want == Invalid) {
				t.Errorf("%s.Failed() = %t", got, got.Failed())
			}
		})
	}
}

func TestRoundsAreInterleaved(t *testing.T) {
	const rounds = 20
	order := func(seed uint64) []string {
		var log []string
		w := &Workload{
			Name: "x", Why: "fake",
			Ours:   fixed("a", &log, 1),
			Peers:  []Impl{fixed("b", &log, 1), fixed("c", &log, 1)},
			Floors: []Impl{fixed("d", &log, 1)},
		}
		if _, err := Run(t.Context(), w, Config{Rounds: rounds, Seed: seed}); err != nil {
			t.Fatal(err)
		}
		return log
	}

	log := order(1)
	if len(log) != rounds*4 {
		t.Fatalf("%d samples, want %d", len(log), rounds*4)
	}

	orders := map[string]bool{}

	for round := range slices.Chunk(log, 4) {
		orders[strings.Join(round, "")] = true
		slices.Sort(round)
		if got := strings.Join(round, ""); got != "abcd" {
			t.Errorf("a round sampled %s, want each once", got)
		}
	}

	if len(orders) < rounds/2 {
		t.Errorf("%d orders in %d rounds, want a fresh one each round", len(orders), rounds)
	}

	if !slices.Equal(order(2), order(2)) {
		t.Error("the same seed gives different orders")
	}
}

// Each goroutine does its n operations, continuing where the sample before
// ended.
func TestTimedOps(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		ended := false
		next := 0 // of the goroutine that starts first, when there is one
		op := func(start, n int) int {
			if parallel == 1 {
				if start != next {
					t.Errorf("operations start at %d, want %d", start, next)
				}
				next += n
			}
			return n / 2
		}

		w := &Workload{Name: "x", Why: "fake", Parallel: parallel, Expect: Half, Ours: Impl{Name: "ours", Setup: func(atEnd func(func())) Op {
			atEnd(func() { ended = true })
			return op
		}}}
		r, err := Run(t.Context(), w, Config{Rounds: 3, Sample: time.Microsecond})
		if err != nil {
			t.Fatal(err)
		}

		if !ended {
			t.Error("atEnd was not called")
		}

		s := r.Ours.Samples
		if len(s) != 3 || s[0].Ops%parallel != 0 || s[0].Value <= 0 {
			t.Errorf("samples = %+v, want 3 with time in them", s)
		}
	}
}

func TestPerOp(t *testing.T) {
	s := Series{Samples: []Sample{{Ops: 10, Admitted: 5, Allocs: 20, Memory: 320}, {Ops: 30, Admitted: 5, Allocs: 60, Memory: 960}}}
	allocs, size, admitted := s.PerOp()
	if allocs != 2 || size != 32 || admitted != 0.25 {
		t.Errorf("PerOp = %v, %v, %v, want 2, 32, 0.25", allocs, size, admitted)
	}
}

func TestRunRefuses(t *testing.T) {
	ok := fixed("ours", nil, 1)
	for name, w := range map[string]*Workload{
		"no reason":        {Name: "x", Ours: ok},
		"ratio, no peer":   {Name: "x", Why: "fake", Ours: ok, Target: Ratio(1)},
		"nothing expected": {Name: "x", Why: "fake", Ours: Impl{Name: "ours", Setup: func(func(func())) Op { return nil }}},
		"nothing to do":    {Name: "x", Why: "fake", Ours: Impl{Name: "ours"}},
		"peer has nothing": {Name: "x", Why: "fake", Ours: ok, Peers: []Impl{{Name: "p"}}},
	} {
		if _, err := Run(t.Context(), w, Config{Rounds: 1}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &Workload{Name: "x", Why: "fake", Ours: ok}
	if _, err := Run(ctx, w, Config{Rounds: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled", err)
	}
}

func TestReport(t *testing.T) {
	var raw, out bytes.Buffer
	w := &Workload{
		Name: "Allow/case=granted", Why: "because", Target: Ratio(0.5),
		Ours:   fixed("ours", nil, 10),
		Peers:  []Impl{fixed("a peer", nil, 40)},
		Floors: []Impl{fixed("clock", nil, 8)},
	}
	w.Ours.Beside = "a timer"
	r, err := Run(t.Context(), w, Config{Rounds: 2, Raw: &raw})
	if err != nil {
		t.Fatal(err)
	}
	r.Write(&out)
	Summary(&out, []*Result{r})
	for _, want := range []string{"because", "PASS", "* a peer", "0.250", "part: clock", "1.25", "at most 0.5 (our aim); floor 8 (clock)", "beside  ours: a timer"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
	if got, want := strings.Count(raw.String(), "BenchmarkAllow/case=granted/impl=a_peer\t1\t40 ns/op"), 2; got != want {
		t.Errorf("%d raw lines of the peer, want %d:\n%s", got, want, &raw)
	}
}

// TestSummaryOrder checks that failures come first, then rows in which a peer
// is ahead.
func TestSummaryOrder(t *testing.T) {
	row := func(name string, ours float64, target Target) *Result {
		return measure(t, &Workload{Name: name, Target: target, Ours: fixed("ours", nil, ours), Peers: []Impl{fixed("peer", nil, 100)}}, 10)
	}
	var out bytes.Buffer
	Summary(&out, []*Result{
		row("good", 10, Ratio(0.5)), row("behind", 110, Ratio(1.2)), row("missed", 60, Ratio(0.5)), row("other", 10, Target{}),
	})
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Fields(line)[0])
	}
	if want := []string{"workload", "missed", "behind", "good", "other"}; !slices.Equal(got, want) {
		t.Errorf("order = %q, want %q", got, want)
	}
}

func TestFloors(t *testing.T) {
	names := func() []string { return Names(8) }
	for _, f := range []Impl{Since(), CAS(), Mutex(), Call(), Hash(names)} {
		if got := f.Setup(nil)(3, 100); got != 100 {
			t.Errorf("%s did %d operations, want 100", f.Name, got)
		}
	}
}

func TestZipf(t *testing.T) {
	const draws = 1 << 16
	keys := make([]int, 1000)
	for i := range keys {
		keys[i] = i
	}
	counts := make([]int, len(keys))
	for _, k := range Zipf(keys, draws, 0.99) {
		counts[k]++
	}
	zeta := 0.0
	for i := range keys {
		zeta += math.Pow(float64(i+1), -0.99)
	}
	// The method is exact for the first two ranks; the seed is fixed. Six
	// standard deviations.
	for rank := range 2 {
		want := draws * math.Pow(float64(rank+1), -0.99) / zeta
		if got := float64(counts[rank]); math.Abs(got-want) > 6*math.Sqrt(want) {
			t.Errorf("rank %d was drawn %v times, want about %.0f", rank, got, want)
		}
	}
	if counts[999] == 0 && counts[998] == 0 && counts[997] == 0 {
		t.Error("the last ranks were never drawn")
	}
}

func TestHeapPerKey(t *testing.T) {
	ended := false
	const n = 1 << 16
	got, keys := HeapPerKey(func(atEnd func(func())) (any, int) {
		atEnd(func() { ended = true })
		return make([]uint64, n), n
	})
	if keys != n || got < 8 || got > 8.5 {
		t.Errorf("%d keys of %.2f bytes, want %d of 8", keys, got, n)
	}
	if !ended {
		t.Error("atEnd was not called")
	}
}
