// SPDX-License-Identifier: MIT

package quorum

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// A [Multi] keeps a key within maxValues values and maxNodes nodes. Several at
// once can exceed these; Validate refuses a state of more than maxListed.
const (
	maxValues = 100
	maxNodes  = 500
	maxListed = 1000
)

// Siblings are the [State] of a register that keeps all values that were
// written at once. The zero Siblings is a key that was never written.
//
// They are also the context of a write: what its writer had seen, and wants to
// replace. [Siblings.Validate] checks those that come from elsewhere.
type Siblings[V any] struct {
	Values []V     // those that were not replaced
	Stamps []Stamp // of Values, which are in this order
	Seen   []Stamp // one a node, by its number: writes up to it are replaced, unless they are in Values
}

// bySeen orders Siblings.Seen.
func bySeen(s, t Stamp) int { return cmp.Compare(s.Node, t.Node) }

// alive reports whether the write at stamp is in Values.
func (s Siblings[V]) alive(stamp Stamp) bool {
	_, ok := slices.BinarySearchFunc(s.Stamps, stamp, Stamp.Compare)
	return ok
}

// knows reports whether the write at stamp is in Values or was replaced.
func (s Siblings[V]) knows(stamp Stamp) bool {
	i, ok := slices.BinarySearchFunc(s.Seen, stamp, bySeen)
	return ok && stamp.Compare(s.Seen[i]) <= 0 || s.alive(stamp)
}

// replaced reports whether the write at stamp was replaced.
func (s Siblings[V]) replaced(stamp Stamp) bool { return s.knows(stamp) && !s.alive(stamp) }

// Covers reports whether s contains all writes of o, and knows of all that o
// knows to be replaced.
func (s Siblings[V]) Covers(o Siblings[V]) bool {
	for _, t := range o.Seen {
		if i, ok := slices.BinarySearchFunc(s.Seen, t, bySeen); !ok || t.Compare(s.Seen[i]) > 0 {
			return false
		}
	}
	for _, t := range o.Stamps {
		if !s.knows(t) {
			return false
		}
	}
	return !slices.ContainsFunc(s.Stamps, o.replaced)
}

// Join returns the values of s and o that the other one does not know to be
// replaced. It knows of each write what either one knows.
func (s Siblings[V]) Join(o Siblings[V]) Siblings[V] {
	switch {
	case s.Covers(o):
		return s
	case o.Covers(s):
		return o
	}

	// Merge the values, which are in the order of their stamps.
	var j Siblings[V]
	for i, k := 0, 0; i < len(s.Stamps) || k < len(o.Stamps); {
		var next int // -1 if the value of s comes first, 1 if that of o, 0 if they are one
		switch {
		case i == len(s.Stamps):
			next = 1
		case k == len(o.Stamps):
			next = -1
		default:
			next = s.Stamps[i].Compare(o.Stamps[k])
		}

		if next <= 0 {
			if !o.replaced(s.Stamps[i]) {
				j.add(s.Stamps[i], s.Values[i])
			}
			i++
		}
		if next >= 0 {
			if next > 0 && !s.replaced(o.Stamps[k]) {
				j.add(o.Stamps[k], o.Values[k])
			}
			k++
		}
	}
	for _, t := range slices.Concat(s.Seen, o.Seen) {
		j.see(t)
	}
	return j
}

// add appends a value, whose stamp is the greatest.
func (s *Siblings[V]) add(stamp Stamp, v V) {
	s.Stamps = append(s.Stamps, stamp)
	s.Values = append(s.Values, v)
}

// see notes that writes up to stamp are replaced, unless they are in Values.
func (s *Siblings[V]) see(stamp Stamp) {
	i, ok := slices.BinarySearchFunc(s.Seen, stamp, bySeen)
	switch {
	case !ok:
		s.Seen = slices.Insert(s.Seen, i, stamp)
	case stamp.Compare(s.Seen[i]) > 0:
		s.Seen[i] = stamp
	}
}

// without returns s less the values of which seen knows: they are replaced. It
// notes as replaced only writes that s has, so that a context that somebody
// made up can replace nothing that is written later.
func (s Siblings[V]) without(seen Siblings[V]) Siblings[V] {
	rest := Siblings[V]{Seen: slices.Clone(s.Seen)}
	for i, t := range s.Stamps {
		if seen.knows(t) {
			rest.see(t)
		} else {
			rest.add(t, s.Values[i])
		}
	}
	return rest
}

// last returns the greatest stamp of node in s.
func (s Siblings[V]) last(node uint32) (last Stamp) {
	for _, t := range slices.Concat(s.Seen, s.Stamps) {
		if t.Node == node && t.Compare(last) > 0 {
			last = t
		}
	}
	return last
}

// fits reports whether there is room for s. The nodes of values count as well,
// since they are noted when these are replaced.
func (s Siblings[V]) fits() bool {
	nodes := make(map[uint32]bool)
	for _, t := range slices.Concat(s.Seen, s.Stamps) {
		nodes[t.Node] = true
	}
	return len(s.Values) <= maxValues && len(nodes) <= maxNodes
}

// Validate returns an error if s is not what a [Multi] has made: a server calls
// it before it merges what came from elsewhere. It bounds the number of values
// and of nodes, but not the size of a value.
func (s Siblings[V]) Validate() error {
	if len(s.Values) != len(s.Stamps) {
		return fmt.Errorf("quorum: Siblings with %d values and %d stamps", len(s.Values), len(s.Stamps))
	}
	if len(s.Values) > maxListed || len(s.Seen) > maxListed {
		return fmt.Errorf("quorum: Siblings of %d values and %d nodes, want at most %d", len(s.Values), len(s.Seen), maxListed)
	}
	if !ascend(s.Stamps, Stamp.Compare) || !ascend(s.Seen, bySeen) {
		return errors.New("quorum: Siblings whose stamps do not ascend")
	}
	return nil
}

// ascend reports whether each of list is greater than the one before it.
func ascend(list []Stamp, compare func(s, t Stamp) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}
