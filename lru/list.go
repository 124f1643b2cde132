// SPDX-License-Identifier: MIT

package lru

// A link holds the neighbors of a slot in its list. Slot 0 means none.
type link struct{ prev, next uint32 }

// A list is a doubly linked list of slots. Its links lie in a slice that all
// lists of a slab share. The zero list is empty.
type list struct {
	head, tail uint32
	n          int
}

// pushFront adds s, which is in no list.
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

// unlink removes s, which is in l.
func (l *list) unlink(links []link, s uint32) {
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
	if l.head == s {
		return
	}

	k := links[s]
	links[k.prev].next = k.next
	if k.next != 0 {
		links[k.next].prev = k.prev
	} else {
		l.tail = k.prev
	}

	links[s] = link{next: l.head}
	links[l.head].prev = s
	l.head = s
}
