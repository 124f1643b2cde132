// SPDX-License-Identifier: MIT

package ratelimit

import (
	"errors"
	"fmt"
)

// A reporter is a *testing.T or a *rapid.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// check reports got unless it equals want. The format names it.
func check[T comparable](t reporter, got, want T, format string, args ...any) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %+v, want %+v", fmt.Sprintf(format, args...), got, want)
	}
}

// checkErr reports err unless it wraps want, or both are nil. The format names
// the call.
func checkErr(t reporter, err, want error, format string, args ...any) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: err = %v, want %v", fmt.Sprintf(format, args...), err, want)
	}
}

// checkLater reports d unless it refuses for a time.
func checkLater(t reporter, d Decision, format string, args ...any) {
	t.Helper()
	if d.OK || d.RetryAfter <= 0 {
		t.Errorf("%s = %+v, want false and a positive RetryAfter", fmt.Sprintf(format, args...), d)
	}
}

// checkNever reports d unless it refuses for good.
func checkNever(t reporter, d Decision, format string, args ...any) {
	t.Helper()
	if d.OK || d.RetryAfter >= 0 {
		t.Errorf("%s = %+v, want false and a negative RetryAfter", fmt.Sprintf(format, args...), d)
	}
}
