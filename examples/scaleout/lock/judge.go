// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A holding is the time in which a process surely had the lock.
type holding struct {
	name     string
	token    uint64
	from, to int64 // nanoseconds
}

// holdings puts the looks of processes together, in order of their beginning.
func holdings(looks map[string][]look) (list []holding) {
	for name, all := range looks {
		byStart := map[[2]uint64]holding{}
		for _, l := range all {
			k := [2]uint64{l.Token, uint64(l.From)}
			h := byStart[k]
			byStart[k] = holding{name, l.Token, l.From, max(h.to, l.To)}
		}
		for _, h := range byStart {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b holding) int { return cmp.Compare(a.from, b.from) })
	return list
}

// alone returns an error if two had the lock at once.
func alone(list []holding) error {
	for i := range list {
		if both := together(list[:i+1]); both > 0 {
			return fmt.Errorf("%s with token %d and another had it at once for %v", list[i].name, list[i].token, both)
		}
	}
	return nil
}

// together returns the longest time for which the last of a list had the lock
// together with one before.
func together(list []holding) (longest time.Duration) {
	last := list[len(list)-1]
	for _, h := range list[:len(list)-1] {
		if h.name != last.name {
			longest = max(longest, time.Duration(min(h.to, last.to)-last.from))
		}
	}
	return longest
}

// growing returns an error if a holder had a token that is not greater than
// that of the one before.
func growing(list []holding) error {
	for i := 1; i < len(list); i++ {
		if a, b := list[i-1], list[i]; a.token >= b.token {
			return fmt.Errorf("%s had token %d, and then %s token %d", a.name, a.token, b.name, b.token)
		}
	}
	return nil
}

// fenced returns an error if a write of a former holder was taken: of another
// token that is less, or of another process with the same one.
func fenced(writes []written) error {
	for i := 1; i < len(writes); i++ {
		a, b := writes[i-1], writes[i]
		if b.token < a.token || b.token == a.token && b.name != a.name {
			return fmt.Errorf("after a write of %s with token %d one of %s with token %d was taken", a.name, a.token, b.name, b.token)
		}
	}
	return nil
}
