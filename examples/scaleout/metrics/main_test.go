// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/lru"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/quorum"
	"github.com/ashlar-go/ashlar/ratelimit"
)

var update = flag.Bool("update", false, "write METRICS.md")

// all are the Stats of the library, by the kind of their metrics.
var all = map[string]any{
	"breaker":                 breaker.Stats{},
	"breaker_group":           breaker.GroupStats{},
	"breaker_throttle":        breaker.ThrottleStats{},
	"consistenthash":          consistenthash.Stats{},
	"consistenthash_balancer": consistenthash.BalancerStats{},
	"lru":                     lru.Stats{},
	"lru_behind":              lru.BehindStats{},
	"lsm":                     lsm.Stats{},
	"quorum":                  quorum.Stats{},
	"ratelimit_concurrency":   ratelimit.ConcurrencyStats{},
	"ratelimit_keyed":         ratelimit.KeyedStats{},
	"ratelimit_shared":        ratelimit.SharedStats{},
	"ratelimit_striped":       ratelimit.StripedStats{},
	"ratelimit_window":        ratelimit.WindowStats{},
}

// kinds returns the keys of all, in order.
func kinds() (list []string) {
	for kind := range all {
		list = append(list, kind)
	}
	slices.Sort(list)
	return list
}

// A declared field is one in the source of the library.
type declared struct{ name, comment string }

// source returns the fields of each Stats, as the packages of the library
// declare them.
func source(t *testing.T) map[string][]declared {
	t.Helper()
	found := make(map[string][]declared)
	files, err := filepath.Glob("../../../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}

		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() || !strings.HasSuffix(spec.Name.Name, "Stats") {
				return true
			}
			kind := f.Name.Name
			if of := strings.TrimSuffix(spec.Name.Name, "Stats"); of != "" {
				kind += "_" + snake(of)
			}
			for _, field := range spec.Type.(*ast.StructType).Fields.List {
				for _, id := range field.Names {
					found[kind] = append(found[kind], declared{id.Name, strings.TrimSpace(field.Comment.Text())})
				}
			}
			return true
		})
	}
	return found
}

// TestAll checks that no Stats of the library is left out, nor a field of one.
func TestAll(t *testing.T) {
	found := source(t)
	for kind, declared := range found {
		stats, ok := all[kind]
		if !ok {
			t.Errorf("%s is left out", kind)
			continue
		}
		got := fields(stats)
		if len(got) != len(declared) {
			t.Errorf("%s has %d fields, and %d are declared", kind, len(got), len(declared))
		}
	}
	if len(found) != len(all) {
		t.Errorf("%d Stats, and %d are declared", len(all), len(found))
	}
}

// filled returns a Stats each of whose fields has another value, and the values
// as metrics have them.
func filled(stats any) (any, []float64) {
	v := reflect.New(reflect.TypeOf(stats)).Elem()
	var want []float64
	for i := range v.NumField() {
		n := 3 * (i + 1)
		v.Field(i).Set(reflect.ValueOf(n).Convert(v.Field(i).Type()))
		want = append(want, number(v.Field(i)))
	}
	return v.Interface(), want
}

// TestExported checks that each system shows each field exactly once, with its
// value.
func TestExported(t *testing.T) {
	for _, kind := range kinds() {
		stats, want := filled(all[kind])
		read := func() any { return stats }
		for system, got := range map[string]map[string]float64{
			"prometheus": scrape(t, kind, read),
			"otel":       collect(t, kind, read),
			"expvar":     decode(t, []byte(published(read).String())),
			"slog":       decodeLog(t, kind, stats),
		} {
			if len(got) != len(want) {
				t.Errorf("%s shows %d of %d fields of %s", system, len(got), len(want), kind)
			}
			for i, f := range fields(stats) {
				if v, ok := got[f.name]; !ok || v != want[i] {
					t.Errorf("%s shows %s of %s as %v, want %v", system, f.name, kind, v, want[i])
				}
			}
		}
	}
}

// scrape returns what Prometheus gets, and fails if a field comes twice.
func scrape(t *testing.T, kind string, read func() any) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(kind, "a", read), newCollector(kind, "b", read)) // two of a kind
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		name := strings.TrimSuffix(strings.TrimPrefix(f.GetName(), kind+"_"), "_total")
		if len(f.GetMetric()) != 2 {
			t.Errorf("%s has %d metrics, want one of each", f.GetName(), len(f.GetMetric()))
		}
		m := f.GetMetric()[0]
		got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return got
}

// collect returns what OpenTelemetry gets.
func collect(t *testing.T, kind string, read func() any) map[string]float64 {
	t.Helper()
	reader := sdk.NewManualReader()
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("test")
	if err := observe(meter, kind, "a", read); err != nil {
		t.Fatal(err)
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, m := range rm.ScopeMetrics[0].Metrics {
		name := strings.TrimPrefix(m.Name, kind+".")
		switch data := m.Data.(type) {
		case metricdata.Sum[float64]:
			got[name] = data.DataPoints[0].Value
		case metricdata.Gauge[float64]:
			got[name] = data.DataPoints[0].Value
		}
	}
	return got
}

func decode(t *testing.T, b []byte) (values map[string]float64) {
	t.Helper()
	if err := json.Unmarshal(b, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

func decodeLog(t *testing.T, kind string, stats any) map[string]float64 {
	t.Helper()
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("", logged(kind, stats))
	var line map[string]json.RawMessage
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	return decode(t, line[kind])
}

// TestTable checks that METRICS.md has each metric, with what its field says.
func TestTable(t *testing.T) {
	var b strings.Builder
	fmt.Fprint(&b, "# Metrics\n\nEvery counter and gauge of the library, as Prometheus has it. The table is\nmade from the source: `go test ./metrics -update`.\n\n| metric | kind | what it is |\n|---|---|---|\n")
	found := source(t)
	for _, kind := range kinds() {
		for i, f := range fields(all[kind]) {
			name, what := kind+"_"+f.name, "gauge"
			if f.counter {
				name, what = name+"_total", "counter"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, what, found[kind][i].comment)
		}
	}

	if *update {
		if err := os.WriteFile("METRICS.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Error("METRICS.md is not up to date: run with -update")
	}
}

// TestCounters checks the kinds of a few fields by hand.
func TestCounters(t *testing.T) {
	for name, want := range map[string]bool{"hits": true, "load_time": true, "len": false, "cap": false, "loading": false} {
		for _, f := range fields(lru.Stats{}) {
			if f.name == name && f.counter != want {
				t.Errorf("%s is a counter: %t", name, f.counter)
			}
		}
	}
	if got := snake("EvictedAge"); got != "evicted_age" {
		t.Errorf("snake = %q", got)
	}
}

// TestProgram checks what the program prints, and its errors.
func TestProgram(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), nil, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`lru_cap{name="users"} 100`, `breaker_succeeded_total{name="inventory"} 1000`, "# TYPE lru_hits_total counter"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	for _, args := range [][]string{{"-nosuch"}, {"stray"}, {"-addr", "nowhere"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}

	// It serves until it is interrupted.
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, w, io.Discard) }() // ends with ctx
	line := make([]byte, 200)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url, _, _ := strings.Cut(string(line[:n]), " ")
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(body, []byte("lru_hits_total")) {
		t.Errorf("%s: %v\n%s", url, err, body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
