// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"iter"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// A Decision is the answer to a request for tokens, with the figures of the
// limit at that instant.
type Decision struct {
	// OK reports whether the events may happen; their tokens are taken.
	OK bool

	// Limit is the burst: the most tokens there can be. It is the largest int
	// if the rate is Inf.
	Limit int

	// Remaining is the number of whole tokens left, never negative.
	Remaining int

	// RetryAfter is 0 if OK. Otherwise the same request succeeds after this
	// time, unless others take the tokens first; it is rounded up to the
	// nanosecond. Negative: it never will.
	RetryAfter time.Duration

	// ResetAfter is the time until the bucket is full. Negative: it never will
	// be.
	ResetAfter time.Duration

	// Window is the time in which Limit events may happen again and again: the
	// length of a window or of a period (30 days for a month), or the time in
	// which an empty bucket fills. It is 0 if there is no limit, and negative
	// if nothing comes back.
	Window time.Duration

	// Tier is the index of the limit described, where a key has several: of
	// those that refused the one with the longest RetryAfter, else the one with
	// the fewest tokens left.
	Tier int

	// Gate is the index of the gate described, if the decision is of All: the
	// first of several that are alike.
	Gate int
}

// tighter reports whether a limits more than b.
func tighter(a, b Decision) bool {
	switch {
	case a.OK != b.OK:
		return !a.OK
	case a.OK:
		return a.Remaining < b.Remaining
	case a.RetryAfter < 0 || b.RetryAfter < 0:
		return a.RetryAfter < 0 && b.RetryAfter >= 0
	}
	return a.RetryAfter > b.RetryAfter
}

// Headers returns the header fields that tell an HTTP client about d under the
// policy name: RateLimit-Policy and RateLimit as in
// draft-ietf-httpapi-ratelimit-headers-10, and Retry-After (RFC 9110) if d is a
// refusal that time lifts. The fields of other policies, if there are any, are
// joined to them.
//
// Times are in whole seconds, rounded up. The quota of a policy is the number
// of events that its rate admits in that time: 100 a second with a burst of 20
// is told as q=100;w=1. Headers panics if name is not printable ASCII.
//
//	for field, value := range d.Headers("api") {
//		w.Header().Set(field, value)
//	}
func (d Decision) Headers(name string, others ...iter.Seq2[string, string]) iter.Seq2[string, string] {
	policies := []string{quoted(name) + d.policy()}
	states := []string{quoted(name) + d.state()}
	retry := ""
	if !d.OK && d.RetryAfter >= 0 {
		retry = structured(seconds(d.RetryAfter))
	}

	// Lists are joined; a client comes back when the last policy lets it.
	for _, fields := range others {
		for field, value := range fields {
			switch field {
			case "RateLimit-Policy":
				policies = append(policies, value)
			case "RateLimit":
				states = append(states, value)
			case "Retry-After":
				if len(value) > len(retry) || len(value) == len(retry) && value > retry {
					retry = value
				}
			}
		}
	}

	// The fields are made once, however often they are read.
	policy := strings.Join(policies, ", ")
	state := strings.Join(states, ", ")
	return func(yield func(string, string) bool) {
		if yield("RateLimit-Policy", policy) && yield("RateLimit", state) && retry != "" {
			yield("Retry-After", retry)
		}
	}
}

// policy returns the parameters of the policy that d describes.
func (d Decision) policy() string {
	if d.Window <= 0 {
		return ";q=" + structured(int64(d.Limit))
	}

	// The quota of whole seconds is Limit times their part of the window.
	w := seconds(d.Window)
	hi, lo := bits.Mul64(uint64(d.Limit), uint64(w)*uint64(time.Second))
	q := uint64(math.MaxInt64)
	if hi < uint64(d.Window) {
		var rem uint64
		q, rem = bits.Div64(hi, lo, uint64(d.Window))
		if rem > 0 && rem+q >= uint64(d.Window) {
			q++ // the window was rounded up, by less than 1 ns
		}
	}
	return ";q=" + structured(int64(min(q, math.MaxInt64))) + ";w=" + structured(w)
}

// state returns the parameters of the tokens left.
func (d Decision) state() string {
	s := ";r=" + structured(int64(d.Remaining))
	if d.ResetAfter >= 0 {
		s += ";t=" + structured(seconds(d.ResetAfter))
	}
	return s
}

// quoted returns name as a string of RFC 9651.
func quoted(name string) string {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			panic(fmt.Sprintf("ratelimit: name of a policy must be printable ASCII, got %q", name))
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
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
