// SPDX-License-Identifier: MIT

package lru

import (
	"math"
	"slices"
)

// A tagSet is the slots that have a tag.
type tagSet struct {
	name  string
	slots []uint32
}

// A tagRef says that a slot has a tag, and where the set of the tag lists it.
type tagRef struct {
	set *tagSet
	at  int
}

// setTags gives s the tags of names, which are different. It has no others
// then.
func (sh *contents[K, V]) setTags(s uint32, names []string) {
	if sh.tags == nil {
		if len(names) == 0 {
			return
		}
		sh.tags = make([][]tagRef, len(sh.cells))
		sh.tagged = map[string]*tagSet{}
	}

	// Most values that replace another have the same tags.
	same := func(r tagRef, name string) bool { return r.set.name == name }
	if slices.EqualFunc(sh.tags[s], names, same) {
		return
	}

	for _, r := range sh.tags[s] {
		sh.untag(r)
	}
	sh.tags[s] = nil
	if len(names) == 0 {
		return
	}

	refs := make([]tagRef, len(names))
	for i, name := range names {
		set := sh.tagged[name]
		if set == nil {
			set = &tagSet{name: name}
			sh.tagged[name] = set
		}
		refs[i] = tagRef{set, len(set.slots)}
		set.slots = append(set.slots, s)
	}
	sh.tags[s] = refs
}

// untag takes the slot of r out of its set. The last one takes its place.
func (sh *contents[K, V]) untag(r tagRef) {
	last := len(r.set.slots) - 1
	if last == 0 {
		delete(sh.tagged, r.set.name)
		return
	}

	moved := r.set.slots[last]
	r.set.slots[r.at] = moved
	r.set.slots = r.set.slots[:last]
	for i := range sh.tags[moved] {
		if ref := &sh.tags[moved][i]; ref.set == r.set {
			ref.at = r.at
		}
	}
}

// tagsOf returns the names of the tags of s.
func (sh *contents[K, V]) tagsOf(s uint32) (names []string) {
	if sh.tags == nil {
		return nil
	}
	for _, r := range sh.tags[s] {
		names = append(names, r.set.name)
	}
	return names
}

// mergedTags returns the tags of both lists in order, each once.
func mergedTags(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// tagBatch bounds how many entries DeleteTag removes under one hold of a lock.
const tagBatch = 256

// DeleteTag removes the entries that have tag, and returns how many. An entry
// that is set meanwhile may stay. Locks are let go every few hundred entries.
// The complexity is O(shards + n) where n is the number of entries removed.
func (c *Cache[K, V]) DeleteTag(tag string) (n int) {
	left := 0 // entries of the set that are not removed yet, while begun
	begun := false
	c.sweep(func(o *op[K, V]) (more bool) {
		if !begun {
			begun = true
			left = math.MaxInt
			o.sh.noteDeletionLocked(tag)
		}

		// Entries are removed from the last of the set to the first. One that
		// is tagged meanwhile comes last, so those that had the tag at the
		// beginning keep places below left.
		for range tagBatch {
			set := o.sh.tagged[tag]
			if set == nil || left == 0 {
				begun = false
				return false
			}
			left = min(left, len(set.slots)) - 1
			n += o.invalidateLocked(set.slots[left])
		}
		return true
	})
	return n
}

// invalidateLocked removes s for DeleteTag, and returns 1 if it was there.
func (o *op[K, V]) invalidateLocked(s uint32) int {
	o.sh.detachLocked(o.sh.flights[o.sh.cells[s].key])
	if o.sh.gone(s, o.now) {
		o.removeLocked(s, Expired)
		return 0
	}
	o.removeLocked(s, Invalidated)
	return 1
}

// minPrune is the number of deleted tags from which on it is worth looking for
// those that can be forgotten.
const minPrune = 16

// noteDeletionLocked notes that tag is being deleted: values with that tag that
// loads under way bring are old. Tags are forgotten when no flight is older, at
// the latest when they have doubled.
func (sh *shard[K, V]) noteDeletionLocked(tag string) {
	if len(sh.flights) == 0 {
		return
	}

	// Forget the tags that were deleted before the oldest flight began.
	if len(sh.deletedTags) >= max(sh.pruneAt, minPrune) {
		oldest := sh.deletions
		for _, f := range sh.flights {
			oldest = min(oldest, f.since)
		}
		for t, at := range sh.deletedTags {
			if at <= oldest {
				delete(sh.deletedTags, t)
			}
		}
		sh.pruneAt = 2 * len(sh.deletedTags)
	}

	if sh.deletedTags == nil {
		sh.deletedTags = map[string]uint64{}
	}
	sh.deletions++
	sh.deletedTags[tag] = sh.deletions
}

// isOutdated reports whether the value of f may be older than a call that has
// joined it when the shard had seen that many deletions: DeleteTag does not
// know which flights it is about, and lets calls join them. The tags of a
// flight that was detached are not known: any deletion may be about it.
func (f *flight[K, V]) isOutdated(joinedAt uint64) bool {
	if f.err != nil || joinedAt == f.since {
		return false
	}
	return f.detached || f.deletedAt != 0 && joinedAt >= f.deletedAt
}
