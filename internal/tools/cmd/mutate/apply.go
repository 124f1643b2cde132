// SPDX-License-Identifier: MIT

package main

import (
	"strconv"
	"strings"
)

// apply returns src with the mutants of list in it, which are in the order of
// compareMutants: outer ones before those within them.
func apply(src []byte, list []*mutant) []byte {
	r := &renderer{src: string(src)}
	return []byte(r.render(0, len(src), list))
}

// A renderer writes a file with its mutants.
type renderer struct{ src string }

// render returns the source from start to end, with the mutants of list, which
// all lie there.
func (r *renderer) render(start, end int, list []*mutant) string {
	var b strings.Builder
	at := start
	for len(list) > 0 {
		// Those that lie within the first follow it. One of the same place is
		// within it, too.
		first := list[0]
		n := 1
		for n < len(list) && list[n].start < first.end {
			n++
		}
		b.WriteString(r.src[at:first.start])
		b.WriteString(r.mutate(first, list[1:n]))
		at = first.end
		list = list[n:]
	}
	b.WriteString(r.src[at:end])
	return b.String()
}

// mutate returns the code that does what is there, or what m makes of it. The
// code stays on as many lines as it had, so that the compiler's complaints
// lead to the mutants.
func (r *renderer) mutate(m *mutant, within []*mutant) string {
	on := "mutateOn(" + strconv.Itoa(m.id) + ")"
	from := r.render(m.start, m.end, within)
	return strings.NewReplacer("ON", on, "FROM", from, "TO", m.to).Replace(m.template)
}
