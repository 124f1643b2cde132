// SPDX-License-Identifier: MIT

package quorum

import (
	"reflect"
	"slices"
	"testing"
)

// checkSub checks that sub subtracts every counter of S, and keeps the gauges,
// which are the fields named. A field that is added to S has to be in one of
// the two.
func checkSub[S any](t *testing.T, sub func(cur, prev S) S, gauges ...string) {
	t.Helper()
	var cur, prev S
	for i := range reflect.TypeFor[S]().NumField() {
		setNumber(reflect.ValueOf(&cur).Elem().Field(i), 100+3*i) // fits into a byte
		setNumber(reflect.ValueOf(&prev).Elem().Field(i), 10+i)
	}

	diff := sub(cur, prev)
	for i := range reflect.TypeFor[S]().NumField() {
		name := reflect.TypeFor[S]().Field(i).Name
		want := 90 + 2*i
		if slices.Contains(gauges, name) {
			want = 100 + 3*i
		}
		if got := number(reflect.ValueOf(diff).Field(i)); got != want {
			t.Errorf("%s = %d after Sub, want %d", name, got, want)
		}
	}
}

// setNumber sets the number v, whatever its type.
func setNumber(v reflect.Value, n int) {
	v.Set(reflect.ValueOf(n).Convert(v.Type()))
}

// number returns the number v as an int.
func number(v reflect.Value) int {
	return int(v.Convert(reflect.TypeFor[int]()).Int())
}
