// SPDX-License-Identifier: MIT

package main

import "log/slog"

// logged returns a Stats as an attribute of log/slog. Of two readings log the
// difference, stats.Sub(before): a line of a log is about the time since the
// last one.
func logged[S any](name string, stats S) slog.Attr {
	var attrs []any
	for _, f := range fields(stats) {
		attrs = append(attrs, slog.Float64(f.name, f.value))
	}
	return slog.Group(name, attrs...)
}
