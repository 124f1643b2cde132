// SPDX-License-Identifier: MIT

package main

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// observe shows the Stats that read returns to OpenTelemetry, whenever the
// exporter asks.
func observe[S any](meter metric.Meter, kind, name string, read func() S) error {
	var instruments []metric.Observable
	for _, f := range fields(read()) {
		var in metric.Observable
		var err error
		if f.counter {
			in, err = meter.Float64ObservableCounter(kind + "." + f.name)
		} else {
			in, err = meter.Float64ObservableGauge(kind + "." + f.name)
		}
		if err != nil {
			return err
		}
		instruments = append(instruments, in)
	}

	with := metric.WithAttributes(attribute.String("name", name))
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i, f := range fields(read()) {
			o.ObserveFloat64(instruments[i].(metric.Float64Observable), f.value, with)
		}
		return nil
	}, instruments...)
	return err
}
