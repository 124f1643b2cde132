// SPDX-License-Identifier: MIT

package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A kind of event.
type kind int

const (
	post     kind = iota // by user
	read                 // of the first page, by user
	readOn               // of the next page, by user
	follow               // of other, by user
	unfollow             // of other, by user
)

// An event is what a user does.
type event struct {
	kind        kind
	user, other int
}

// step is the time between two events.
const step = 5 * time.Second

// Ten pages are read for each post. Half of them are the next page of somebody
// who reads on, so there are five first pages for each post; and one of so many
// events besides is a follow or an unfollow.
const (
	firstPages = 5
	changeRate = 25
)

// happen returns n events. Users post as much as they are followed. A tenth of
// them reads nine tenths of the pages. Somebody who reads goes on to the next
// page every second time, a little later.
func happen(seed uint64, n, users int, edges []edge) []event {
	rng := rand.New(rand.NewPCG(seed, 2))

	// Tickets: each edge is one of those who is followed, and each user one of
	// their own.
	tickets := make([]int, 0, users+len(edges))
	following := make([][]int, users)
	for i := range users {
		tickets = append(tickets, i)
	}
	for _, e := range edges {
		tickets = append(tickets, e.to)
		following[e.from] = append(following[e.from], e.to)
	}

	active := rng.Perm(users)[:max(users/10, 1)]
	var events []event
	later := map[int][]int{} // by event: those who read on then
	for i := 0; len(events) < n; i++ {
		user := active[rng.IntN(len(active))]
		if rng.IntN(10) == 0 {
			user = rng.IntN(users)
		}
		switch x := rng.IntN(changeRate * (firstPages + 1)); {
		case len(later[i]) > 0:
			user = later[i][0]
			later[i+1] = append(later[i+1], later[i][1:]...)
			events = append(events, event{kind: readOn, user: user})
		case x < firstPages+1:
			events = append(events, change(rng, user, tickets, following))
			continue
		case x%(firstPages+1) == 0:
			events = append(events, event{kind: post, user: tickets[rng.IntN(len(tickets))]})
			continue
		default:
			events = append(events, event{kind: read, user: user})
		}

		// Those who have read may read on.
		if rng.IntN(2) == 0 {
			at := i + 1 + rng.IntN(60)
			later[at] = append(later[at], user)
		}
	}
	return events
}

// change returns a follow of somebody who is popular, or an unfollow.
func change(rng *rand.Rand, user int, tickets []int, following [][]int) event {
	other := tickets[rng.IntN(len(tickets))]
	if list := following[user]; rng.IntN(2) == 0 && len(list) > 0 {
		i := rng.IntN(len(list))
		other = list[i]
		following[user] = slices.Delete(list, i, i+1)
		return event{unfollow, user, other}
	}
	following[user] = append(following[user], other)
	return event{follow, user, other}
}
