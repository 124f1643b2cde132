// SPDX-License-Identifier: MIT

package quorum

import (
	"fmt"
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// maxReplicas is the number of replicas that a [Set] has room for.
const maxReplicas = 64

// A Set is a set of replicas, numbered from 0 in the order in which they were
// given to [New]. It is a bit mask: sets are compared by ==, united by |, and
// intersected by &.
type Set uint64

// SetOf returns the set of the given replicas. It panics if one is not between
// 0 and 63.
func SetOf(replicas ...int) Set {
	var s Set
	for _, i := range replicas {
		if i < 0 || i >= maxReplicas {
			panic(fmt.Sprintf("quorum: replica must be between 0 and %d, got %d", maxReplicas-1, i))
		}
		s |= 1 << i
	}
	return s
}

// First returns the set of the replicas 0 to n-1. It panics if n is not between
// 0 and 64.
func First(n int) Set {
	if n < 0 || n > maxReplicas {
		panic(fmt.Sprintf("quorum: number of replicas must be between 0 and %d, got %d", maxReplicas, n))
	}
	return Set(1)<<n - 1
}

// Has reports whether replica i is in s.
func (s Set) Has(i int) bool { return i >= 0 && s>>i&1 == 1 }

// Len returns the number of replicas in s.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// All returns the replicas in s, in ascending order.
func (s Set) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for ; s != 0; s &= s - 1 {
			if !yield(s.lowest()) {
				return
			}
		}
	}
}

// covers reports whether t is a subset of s.
func (s Set) covers(t Set) bool { return t&^s == 0 }

// nth returns the member of s that has k members below it. The set has more
// than k.
func (s Set) nth(k int) int {
	for range k {
		s &= s - 1
	}
	return s.lowest()
}

// lowest returns the first replica in s, which is not empty.
func (s Set) lowest() int { return bits.TrailingZeros64(uint64(s)) }

// String returns the replicas in s, as {0 2 3}.
func (s Set) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range s.All() {
		if b.Len() > 1 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(i))
	}
	b.WriteByte('}')
	return b.String()
}

// MarshalText returns the replicas in s, as {0 2 3}.
func (s Set) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets s to the replicas that text lists, as {0 2 3}.
func (s *Set) UnmarshalText(text []byte) error {
	list, opened := strings.CutPrefix(string(text), "{")
	list, closed := strings.CutSuffix(list, "}")
	if !opened || !closed {
		return fmt.Errorf("quorum: not a set: %q", text)
	}

	var set Set
	for f := range strings.FieldsSeq(list) {
		i, err := strconv.Atoi(f)
		if err != nil || i < 0 || i >= maxReplicas {
			return fmt.Errorf("quorum: not a set: %q", text)
		}
		set |= 1 << i
	}
	*s = set
	return nil
}
