// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// ended reports whether the channel of ctx is closed.
func ended(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// TestDeadline checks a deadline against the context of the standard library
// that it stands in for, at each step and in either order of the questions.
func TestDeadline(t *testing.T) {
	for _, asked := range []bool{true, false} { // for Done, before the end
		for _, last := range []time.Duration{time.Second, time.Minute} { // before and after the deadline
			bubble(t, func(t *testing.T) {
				outer, cancelOuter := context.WithCancel(context.WithValue(ctx, simKey{}, 7))
				d := newDeadline(outer, 10*time.Second)
				std, cancel := context.WithTimeout(context.WithoutCancel(outer), 10*time.Second)
				defer cancel()
				compare := func() {
					t.Helper()
					if got, want := d.Err(), std.Err(); got != want {
						t.Errorf("Err = %v, want %v", got, want)
					}
					if got, want := context.Cause(d), context.Cause(std); got != want {
						t.Errorf("Cause = %v, want %v", got, want)
					}
				}

				// It has the values of the caller, and not the end.
				got, ok := d.Deadline()
				if want, _ := std.Deadline(); !got.Equal(want) || !ok {
					t.Errorf("Deadline = %v, %v, want %v", got, ok, want)
				}
				if got := d.Value(simKey{}); got != 7 {
					t.Errorf("Value = %v, want 7", got)
				}
				cancelOuter()
				compare()
				if asked && ended(d) {
					t.Error("Done is closed, want not yet")
				}

				time.Sleep(last)
				synctest.Wait()
				if asked && ended(d) != ended(std) {
					t.Errorf("Done is closed: %v, want %v", ended(d), ended(std))
				}
				compare()
				d.end(context.Canceled)
				cancel()
				compare()
				if !ended(d) {
					t.Error("Done is open after the end")
				}
			})
		}
	}
}

// TestDeadlineChild checks that a context made of a deadline ends with it.
func TestDeadlineChild(t *testing.T) {
	bubble(t, func(t *testing.T) {
		child, cancel := context.WithCancel(newDeadline(ctx, time.Second))
		defer cancel()
		time.Sleep(time.Second)
		synctest.Wait()
		if err := child.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Err of the child = %v, want deadline exceeded", err)
		}
	})
}
