// SPDX-License-Identifier: MIT

// Metrics shows the counters of the library to Prometheus, OpenTelemetry,
// expvar and log/slog, each by a file of its own that is there to be copied
// with fields.go.
//
// The problem: every type has its Stats, and every system of metrics its own
// words. To write a line for each field twice over is work, and a field that is
// added later is forgotten. So the fields are read by reflection, when somebody
// asks, and nothing is counted twice.
//
// A field is a counter if Sub subtracts it, and else a gauge: that is what Sub
// of each Stats promises. Times are in seconds, as Prometheus wants them, and
// names in the words of the fields: LoadFailures of the cache "users" is
//
//	lru_load_failures_total{name="users"} 3
//
// METRICS.md has all of them. The program serves them for a few types at work:
//
//	go run ./metrics -addr 127.0.0.1:9000
package main

import (
	"reflect"
	"strings"
	"time"
	"unicode"
)

// A field is a field of a Stats, as metrics have it.
type field struct {
	name    string // in small letters, with underscores
	counter bool   // it only grows
	value   float64
}

// fields returns the fields of a Stats, in their order.
func fields(stats any) (list []field) {
	v := reflect.ValueOf(stats)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		list = append(list, field{snake(f.Name), isCounter(v.Type(), i), number(v.Field(i))})
	}
	return list
}

// isCounter reports whether Sub of a Stats subtracts field i.
func isCounter(t reflect.Type, i int) bool {
	now, before := reflect.New(t).Elem(), reflect.New(t).Elem()
	if !now.Field(i).CanUint() && !now.Field(i).CanInt() {
		return false
	}
	one := reflect.ValueOf(1).Convert(t.Field(i).Type)
	now.Field(i).Set(one)
	before.Field(i).Set(one)
	sub := now.MethodByName("Sub")
	return sub.IsValid() && number(sub.Call([]reflect.Value{before})[0].Field(i)) == 0
}

// number returns v as a number; a time in seconds.
func number(v reflect.Value) float64 {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return time.Duration(v.Int()).Seconds()
	case v.CanUint():
		return float64(v.Uint())
	case v.CanInt():
		return float64(v.Int())
	default:
		return v.Float()
	}
}

// snake returns the name of a field as metrics have it: LoadTime is load_time.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
