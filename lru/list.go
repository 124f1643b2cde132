// SPDX-License-Identifier: MIT

package lru

// A link holds the neighbors of a slot in the list that it is in. Slot 0 means none.
type link struct{ prev, next uint32 }

// A list is a doubly linked list of slots, whose links lie in a slice that all lists of a slab
// share. The zero list is empty.
type list struct {
	head, tail uint32
	n          int
}

func (l *list) pushFront(links []link, s uint32) {
	links[s] = link{next: l.head}
	if l.head != 0 {
		links[l.head].prev = s
	} else {
		l.tail = s
	}
	l.head = s
	l.n++
}

func (l *list) remove(links []link, s uint32) {
	k := links[s]
	if k.prev != 0 {
		links[k.prev].next = k.next
	} else {
		l.head = k.next
	}
	if k.next != 0 {
		links[k.next].prev = k.prev
	} else {
		l.tail = k.prev
	}
	links[s] = link{}
	l.n--
}

// toFront moves s, which is in l, to the front.
func (l *list) toFront(links []link, s uint32) {
	if l.head != s {
		l.remove(links, s)
		l.pushFront(links, s)
	}
}
