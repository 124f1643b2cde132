// SPDX-License-Identifier: MIT

package ratelimit

import (
	"cmp"
	"slices"
)

// A span is an interval [start, end) of units.
type span struct{ start, end int64 }

// spans are intervals that are sorted, disjoint, not empty and not adjacent.
// Methods that change them use their memory again, as append does.
type spans []span

// fit returns the earliest interval of cost units within one of h, at or after
// supply v and ending at or before end.
func (h spans) fit(v, cost, end int64) (span, bool) {
	for _, s := range h {
		start := max(s.start, v)
		if start > end-cost {
			break
		}
		if s.end-start >= cost && cost > 0 {
			return span{start, start + cost}, true
		}
	}
	return span{}, false
}

// cut returns h without s, which fit returned. The part of an interval in
// front of s goes too: it lies below the supply, where it is of no more use.
func (h spans) cut(s span) spans {
	for i := range h {
		if h[i].start > s.start || s.end > h[i].end {
			continue
		}
		h[i].start = s.end
		if s.end == h[i].end {
			h = slices.Delete(h, i, i+1)
		}
		break
	}
	return h
}

// add returns h with s, joined to its neighbors.
func (h spans) add(s span) spans {
	i, _ := slices.BinarySearchFunc(h, s.start, func(o span, start int64) int {
		return cmp.Compare(o.start, start)
	})
	h = slices.Insert(h, i, s)
	if i+1 < len(h) && h[i].end >= h[i+1].start {
		h[i].end = max(h[i].end, h[i+1].end)
		h = slices.Delete(h, i+1, i+2)
	}
	if i > 0 && h[i-1].end >= h[i].start {
		h[i-1].end = max(h[i-1].end, h[i].end)
		h = slices.Delete(h, i, i+1)
	}
	return h
}

// prune returns h without the intervals that end at or below v.
func (h spans) prune(v int64) spans {
	n := 0
	for n < len(h) && h[n].end <= v {
		n++
	}
	return slices.Delete(h, 0, n)
}

// trim returns the part of h below spent, after spent fell.
func (h spans) trim(spent int64) spans {
	for len(h) > 0 && h[len(h)-1].start >= spent {
		h = h[:len(h)-1]
	}
	if n := len(h); n > 0 {
		h[n-1].end = min(h[n-1].end, spent)
	}
	return h
}

// below returns the position that lies cost units below spent, not counting the
// intervals of h in between, which nobody holds.
func (h spans) below(spent, cost int64) int64 {
	for i := len(h) - 1; i >= 0 && spent-cost <= h[i].end; i-- {
		cost -= spent - h[i].end
		spent = h[i].start
	}
	return spent - cost
}

// carry returns h in the units of the bucket that replaced b.
func (h spans) carry(b *bucket) spans {
	carried := h[:0]
	for _, s := range h {
		if s = (span{b.carry(s.start), b.carry(s.end)}); s.start < s.end {
			carried = append(carried, s)
		}
	}
	return carried
}
