// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// A Decision is the answer to a request for tokens, and what the requester may know
// about the limit at that instant.
type Decision struct {
	// OK reports whether the events may happen; their tokens are taken.
	OK bool

	// Limit is the burst: the most tokens there can be. It is 2^63-1 if the rate is Inf.
	Limit int64

	// Remaining is the number of whole tokens left, never negative.
	Remaining int64

	// RetryAfter is 0 if OK. Otherwise the same request succeeds after this time, unless others
	// take the tokens first; it is rounded up to the nanosecond. Negative: it never will.
	RetryAfter time.Duration

	// ResetAfter is the time until the bucket is full. Negative: it never will be.
	ResetAfter time.Duration

	// Tier is the index of the limit described, where several apply:
	// of those that refused the one with the longest RetryAfter, else the one with
	// the fewest tokens left.
	Tier int
}

// Headers returns the header fields that tell an HTTP client about d:
// RateLimit-Policy and RateLimit as in draft-ietf-httpapi-ratelimit-headers-10,
// and Retry-After (RFC 9110) if d is a refusal that time will lift. Seconds are rounded up.
// The policy is named name; window is the time that its quota, Limit, is meant for, such as
// burst/rate. It panics if name is not printable ASCII.
//
//	for field, value := range d.Headers("api", time.Minute) {
//		w.Header().Set(field, value)
//	}
func (d Decision) Headers(name string, window time.Duration) iter.Seq2[string, string] {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			panic(fmt.Sprintf("ratelimit: Headers: name must be printable ASCII, got %q", name))
		}
	}
	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	return func(yield func(string, string) bool) {
		policy := quoted + ";q=" + structured(d.Limit) + ";w=" + structured(seconds(window))
		if !yield("RateLimit-Policy", policy) {
			return
		}
		state := quoted + ";r=" + structured(d.Remaining)
		if d.ResetAfter >= 0 {
			state += ";t=" + structured(seconds(d.ResetAfter))
		}
		if !yield("RateLimit", state) || d.OK || d.RetryAfter < 0 {
			return
		}
		yield("Retry-After", structured(seconds(d.RetryAfter)))
	}
}

// structured returns n as an integer of RFC 9651, which has at most 15 digits.
func structured(n int64) string { return strconv.FormatInt(min(n, 999_999_999_999_999), 10) }

// seconds rounds d up.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
