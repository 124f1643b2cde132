// SPDX-License-Identifier: MIT

package main

import "github.com/prometheus/client_golang/prometheus"

// A collector shows the Stats of something to Prometheus, whenever it asks.
type collector struct {
	kind string // such as "lru"
	name string // of this one
	read func() any
}

// newCollector returns a [prometheus.Collector] of the Stats that read returns.
func newCollector[S any](kind, name string, read func() S) prometheus.Collector {
	return &collector{kind, name, func() any { return read() }}
}

// Describe describes what Collect sends.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect sends each field.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, f := range fields(c.read()) {
		name, kind := c.kind+"_"+f.name, prometheus.GaugeValue
		if f.counter {
			name, kind = name+"_total", prometheus.CounterValue
		}
		desc := prometheus.NewDesc(name, "", nil, prometheus.Labels{"name": c.name})
		ch <- prometheus.MustNewConstMetric(desc, kind, f.value)
	}
}
