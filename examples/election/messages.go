// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ashlar-go/ashlar/quorum"
)

// An algorithm elects one of n nodes, and counts messages.
type algorithm struct {
	name  string
	order string // what is said of it
	bound func(n float64) float64
	// elect elects among ids, which are 1 to n in the order of the ring. Nodes
	// of different sides do not reach each other. It returns the ids of those
	// who lead at the end.
	elect func(ids []int, side func(id int) int) (leaders []int, messages int)
}

// algorithms are those of the table.
var algorithms = []algorithm{
	{"lcr", "N²", func(n float64) float64 { return n*(n+1)/2 + n }, lcr},
	{"hs", "N log N", func(n float64) float64 { return 8*n*(1+math.Ceil(math.Log2(n))) + n }, hs},
	{"bully", "N²", func(n float64) float64 { return n * n }, bully},
	{"lease", "N", func(n float64) float64 { return 4 * min(n, 5) * n }, lease}, // two rounds, there and back
}

func algorithmNames() (names []string) {
	for _, a := range algorithms {
		names = append(names, a.name)
	}
	return names
}

// one is the side of all nodes while nothing is cut.
func one(int) int { return 0 }

// lcr is the algorithm of Le Lann, Chang and Roberts: each sends its id around
// the ring, and passes on what is greater than its own. Ids that descend along
// the ring are the worst order.
func lcr(ids []int, side func(int) int) (leaders []int, messages int) {
	n := len(ids)
	for i, id := range ids {
		at := i
		for {
			to := (at + 1) % n
			messages++
			if side(ids[at]) != side(ids[to]) {
				break // it is lost, and nobody waits for it
			}
			at = to
			if ids[at] == id {
				leaders = append(leaders, id)
			}
			if ids[at] >= id {
				break
			}
		}
	}
	if len(leaders) > 0 {
		messages += n // the leader tells the others
	}
	return leaders, messages
}

// hs is the algorithm of Hirschberg and Sinclair: a candidate asks 1, 2, 4...
// neighbors on both sides, and goes on as long as none is greater.
func hs(ids []int, side func(int) int) (leaders []int, messages int) {
	n := len(ids)
	active := make([]bool, n)
	for i := range active {
		active[i] = true
	}

	// ask asks up to reach neighbors on one side, and reports whether none is
	// greater. all says that it came around the ring.
	ask := func(i, step, reach int) (ok, all bool) {
		at := i
		for range reach {
			to := (at + step) % n
			messages++
			if side(ids[at]) != side(ids[to]) || ids[to] > ids[i] {
				return false, false
			}
			at = to
			if at == i {
				return true, true
			}
		}
		messages += reach // the answer of the last one
		return true, false
	}

	for reach := 1; ; reach *= 2 {
		left := 0
		for i, id := range ids {
			if !active[i] {
				continue
			}
			before, around := ask(i, 1, reach)
			if around {
				return []int{id}, messages + n // it tells the others
			}
			behind, _ := ask(i, n-1, reach)
			active[i] = before && behind
			if active[i] {
				left++
			}
		}
		if left == 0 {
			return nil, messages
		}
	}
}

// bully lets everybody ask all who have a greater id. Who gets no answer leads,
// and tells those below. It is told that the leader is dead by the one with the
// least id, which is the worst case.
func bully(ids []int, side func(int) int) (leaders []int, messages int) {
	started := make([]bool, len(ids)+1)
	var start func(id int)
	start = func(id int) {
		if started[id] {
			return
		}
		started[id] = true
		answered := false
		var above []int
		for to := id + 1; to <= len(ids); to++ {
			messages++
			if side(id) == side(to) {
				messages++ // "I am alive"
				answered = true
				above = append(above, to)
			}
		}
		if !answered {
			leaders = append(leaders, id)
			messages += id - 1
		}
		for _, to := range above {
			start(to)
		}
	}

	// On each side somebody notices.
	for id := range len(ids) {
		start(id + 1)
	}
	return leaders, messages
}

// lease lets all try for a lease once, on acceptors on at most five of them.
func lease(ids []int, side func(int) int) (leaders []int, messages int) {
	net := newNetwork(min(len(ids), 5))
	for i := range net.apart {
		net.apart[i] = side(i+1) != side(len(ids))
	}
	now := time.Unix(0, 0)
	opts := &quorum.LeaseOptions{TTL: ttl, Now: func() time.Time { return now }}
	disks := newDisks(len(net.down))
	for i := range ids {
		l := newLease(net, i%len(disks), disks, opts)
		_, ok, _ := l.TryAcquire(context.Background())
		net.settle()
		if ok {
			leaders = append(leaders, i+1)
		}
	}
	return leaders, 2 * net.requests // and an answer each
}

// ringOrder returns the ids 1 to n along the ring: descending, which is the
// worst for lcr, or shuffled.
func ringOrder(n int, rng *rand.Rand) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = n - i
	}
	if rng != nil {
		rng.Shuffle(n, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	}
	return ids
}

// reportMessages prints what an election costs, and whom it elects if the
// network is divided.
func reportMessages(_ context.Context, c *config, w io.Writer) error {
	sizes := []int{4, 8, 16, 32, 64}
	fmt.Fprintf(w, "messages of an election; ids in the worst order for rings, and 64 shuffled\n%-7s%-9s", "", "order")
	for _, n := range sizes {
		fmt.Fprintf(w, "%6s", fmt.Sprintf("N=%d", n))
	}
	fmt.Fprintf(w, "%10s   %s\n", "shuffled", "{1 2} without {3 4 5}")

	divided := func(id int) int {
		if id <= 2 {
			return 1
		}
		return 0
	}
	for _, a := range algorithms {
		if c.algo != "all" && c.algo != a.name {
			continue
		}
		fmt.Fprintf(w, "%-7s%-9s", a.name, a.order)
		for _, n := range sizes {
			m, err := a.count(ringOrder(n, nil))
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%6d", m)
		}

		// Another order, and a network in two parts.
		m, err := a.count(ringOrder(64, rand.New(rand.NewPCG(c.seed, 4))))
		if err != nil {
			return err
		}
		leaders, _ := a.elect(ringOrder(5, nil), divided)
		fmt.Fprintf(w, "%10d   %s\n", m, ofLeaders(leaders))
		if a.name == "lease" && len(leaders) != 1 {
			return fmt.Errorf("lease: %d leaders in a divided network", len(leaders))
		}
	}
	_, err := fmt.Fprint(w, "law holds: one leader each, by no more messages than the algorithm's bound\n\n")
	return err
}

// count runs an election, and returns its messages.
func (a *algorithm) count(ids []int) (messages int, err error) {
	leaders, messages := a.elect(ids, one)
	n := float64(len(ids))
	if len(leaders) != 1 {
		return 0, fmt.Errorf("%s: %d leaders of %d nodes, want one", a.name, len(leaders), len(ids))
	}
	if float64(messages) > a.bound(n) {
		return 0, fmt.Errorf("%s: %d messages of %d nodes, want at most %.0f", a.name, messages, len(ids), a.bound(n))
	}
	return messages, nil
}

// ofLeaders says who leads.
func ofLeaders(ids []int) string {
	switch len(ids) {
	case 0:
		return "nobody leads"
	case 1:
		return fmt.Sprintf("node %d leads", ids[0])
	}
	return fmt.Sprintf("nodes %d and %d lead", ids[0], ids[1])
}
