// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"math"

	"github.com/ashlar-go/ashlar/skiplist"
)

// A timeline has the last 100 posts, which are read in pages of 20.
const (
	timelineLen = 100
	pageLen     = 20
)

// newest is the cursor of the first page: all posts are older.
const newest = math.MaxInt

// An entry of the index of posts: by author, the newest first. It is the index
// (user, created_at DESC) of a database.
type entry struct {
	author int
	post   int // a number; later posts have greater ones
}

func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.author, b.author), cmp.Compare(b.post, a.post))
}

// posts are all posts that were written.
type posts struct {
	index   *skiplist.Set[entry]
	authors []int // by post
}

func newPosts() *posts { return &posts{index: skiplist.NewSetFunc(compareEntries)} }

// add writes a post and returns its number.
func (p *posts) add(author int) int {
	n := len(p.authors)
	p.authors = append(p.authors, author)
	p.index.Add(entry{author, n})
	return n
}

// appendBy appends the newest posts of an author, at most so many.
func (p *posts) appendBy(list []int, author, most int) []int {
	for e := range p.index.From(entry{author, newest}).Below(entry{author + 1, newest}).All() {
		if most == 0 {
			break
		}
		most--
		list = append(list, e.post)
	}
	return list
}
