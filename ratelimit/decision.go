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

	// Gate is the index of the gate described, if the decision is of All.
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

// A Policy is a decision and the name of the limit behind it, for [Headers].
type Policy struct {
	Name     string
	Decision Decision
}

// Headers returns the header fields that tell an HTTP client about d under the
// policy name: [Headers] of one policy. It panics if name is not printable
// ASCII.
//
//	for field, value := range d.Headers("api") {
//		w.Header().Set(field, value)
//	}
func (d Decision) Headers(name string) iter.Seq2[string, string] {
	return Headers(Policy{name, d})
}

// Headers returns the header fields that tell an HTTP client about policies:
// RateLimit-Policy and RateLimit as in draft-ietf-httpapi-ratelimit-headers-10,
// and Retry-After (RFC 9110) if one of them is a refusal that time lifts, and
// none a refusal for good.
//
// Times are in whole seconds, rounded up. The quota of a policy is what its
// rate admits in that time: 100 a second with a burst of 20 is told as
// q=100;w=1. Headers panics if a name is not printable ASCII.
func Headers(policies ...Policy) iter.Seq2[string, string] {
	var policy, state []string
	retry := time.Duration(0)
	for _, p := range policies {
		name := quoted(p.Name)
		policy = append(policy, name+p.Decision.policy())
		state = append(state, name+p.Decision.state())

		// A refusal for good is worse than any that time lifts.
		if after := p.Decision.RetryAfter; !p.Decision.OK && retry >= 0 && (after < 0 || after > retry) {
			retry = after
		}
	}

	return func(yield func(string, string) bool) {
		if len(policies) == 0 ||
			!yield("RateLimit-Policy", strings.Join(policy, ", ")) ||
			!yield("RateLimit", strings.Join(state, ", ")) {
			return
		}
		if retry > 0 {
			yield("Retry-After", structured(seconds(retry)))
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
		q, _ = bits.Div64(hi, lo, uint64(d.Window))
	}
	return ";q=" + structured(int64(min(q, math.MaxInt64))) + ";w=" + structured(w)
}

// state returns the parameters of what is left.
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
