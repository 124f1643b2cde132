// SPDX-License-Identifier: MIT

// Package otel shows how figures of the library reach OpenTelemetry, which its
// packages do not import.
package otel

import (
	"context"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/lru"
)

// Stats are read when the exporter asks for them: nothing is counted twice.
func Example() {
	users := lru.New[string, string](1000, nil)
	inventory := breaker.New(nil)
	users.Set("u42", "Ada")
	users.Get("u42")
	users.Get("u43")

	reader := sdk.NewManualReader()
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("shop")
	hits, _ := meter.Int64ObservableCounter("cache.hits")
	misses, _ := meter.Int64ObservableCounter("cache.misses")
	state, _ := meter.Int64ObservableGauge("breaker.state")
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := users.Stats()
		o.ObserveInt64(hits, int64(s.Hits))
		o.ObserveInt64(misses, int64(s.Misses))
		o.ObserveInt64(state, int64(inventory.State()))
		return nil
	}, hits, misses, state)

	fmt.Println(err)
	for _, line := range collect(reader) {
		fmt.Println(line)
	}
	// Output:
	// <nil>
	// breaker.state 0
	// cache.hits 1
	// cache.misses 1
}

// collect returns a line for each metric.
func collect(reader sdk.Reader) (lines []string) {
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &rm); err != nil {
		return []string{err.Error()}
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				lines = append(lines, fmt.Sprint(m.Name, " ", data.DataPoints[0].Value))
			case metricdata.Gauge[int64]:
				lines = append(lines, fmt.Sprint(m.Name, " ", data.DataPoints[0].Value))
			}
		}
	}
	slices.Sort(lines)
	return lines
}
