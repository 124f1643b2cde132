// SPDX-License-Identifier: MIT

package quorum

import (
	"fmt"
	"strings"
)

// mustPanic checks that f panics with a text that contains want.
func mustPanic(t interface {
	Helper()
	Errorf(format string, args ...any)
}, want string, f func(),
) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := recover(); got == nil || !strings.Contains(fmt.Sprint(got), want) {
			t.Errorf("panic = %v, want a text with %q", got, want)
		}
	}()
	f()
}
