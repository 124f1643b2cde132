// SPDX-License-Identifier: MIT

package lru

// finish calls f, which calls user code several times and goes on where it
// stopped when it is called again. If user code panics, or calls
// [runtime.Goexit], that goes on when f has come to its end. Further panics end
// here: the stack does not grow with their number.
func finish(f func()) {
	done := false
	defer func() {
		if !done {
			finishQuietly(f)
		}
	}()
	f()
	done = true
}

// finishQuietly calls f until it returns.
func finishQuietly(f func()) {
	done := false
	defer func() {
		if !done {
			finishQuietly(f) // after Goexit, which guard does not stop
		}
	}()
	for !done {
		guard(f, func(_ any, returned bool) { done = returned })
	}
}
