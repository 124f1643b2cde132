// SPDX-License-Identifier: MIT

package main

import "expvar"

// published returns the Stats that read returns as a variable of expvar, for
// [expvar.Publish]: an object with each field.
func published[S any](read func() S) expvar.Func {
	return func() any {
		values := make(map[string]float64)
		for _, f := range fields(read()) {
			values[f.name] = f.value
		}
		return values
	}
}
