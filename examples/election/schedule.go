// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A fault happens at a time: a line of a schedule.
//
//	12s kill leader      the node stops; its disk stays
//	12s kill 3
//	20s restart          all nodes that were killed start again
//	25s cut 1 2          these nodes, and leader, reach only each other
//	35s heal             all reach all again
//	45s pause leader 4s  the node does nothing for so long, and does not know
//
// What follows # is a comment.
type fault struct {
	at    time.Duration
	what  string
	nodes []int // from 0; leader is whoever leads then
	long  time.Duration
}

// leader stands for the node that leads.
const leader = -1

// The run takes a minute, in steps.
const (
	runTime = time.Minute
	tick    = 100 * time.Millisecond
)

// usual returns the faults of the default schedule: the leader is killed, cut
// off with another, and stopped for longer than its lease lasts.
func usual(nodes int) []fault {
	return []fault{
		{at: 8 * time.Second, what: "kill", nodes: []int{leader}},
		{at: 20 * time.Second, what: "restart"},
		{at: 28 * time.Second, what: "cut", nodes: []int{leader, nodes - 1}},
		{at: 38 * time.Second, what: "heal"},
		{at: 46 * time.Second, what: "pause", nodes: []int{leader}, long: 5 * time.Second},
	}
}

// readSchedule reads a schedule.
func readSchedule(r io.Reader, nodes int) (list []fault, err error) {
	in := bufio.NewScanner(r)
	last := time.Duration(0)
	for n := 1; in.Scan(); n++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		f, err := parseFault(words, nodes)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case f.at < last:
			return nil, fmt.Errorf("line %d: %v is before the line above it", n, f.at)
		}
		last = f.at
		list = append(list, f)
	}
	return list, in.Err()
}

// parseFault returns the fault of a line.
func parseFault(words []string, nodes int) (f fault, err error) {
	if f.at, err = time.ParseDuration(words[0]); err != nil || f.at < 0 || f.at >= runTime {
		return f, fmt.Errorf("%q is no time from 0s to less than %v", words[0], runTime)
	}
	if len(words) == 1 {
		return f, errors.New("it says when, and not what")
	}
	f.what = words[1]
	words = words[2:]

	// The last word of a pause is its length.
	if f.what == "pause" && len(words) > 0 {
		last := len(words) - 1
		if f.long, err = time.ParseDuration(words[last]); err != nil || f.long <= 0 {
			return f, fmt.Errorf("%q is not how long a pause is", words[last])
		}
		words = words[:last]
	}
	for _, w := range words {
		n, err := strconv.Atoi(w)
		switch {
		case w == "leader":
			n = leader
		case err != nil || n < 1 || n > nodes:
			return f, fmt.Errorf("%q is no node from 1 to %d, and not leader", w, nodes)
		default:
			n--
		}
		f.nodes = append(f.nodes, n)
	}

	// How many nodes each fault has.
	ok := false
	switch f.what {
	case "kill", "pause":
		ok = len(f.nodes) == 1
	case "cut":
		ok = len(f.nodes) > 0
	case "restart", "heal":
		ok = len(f.nodes) == 0
	default:
		return f, fmt.Errorf("%q is no fault", f.what)
	}
	if !ok {
		return f, fmt.Errorf("%s of %d nodes", f.what, len(f.nodes))
	}
	return f, nil
}

// String returns the line of f.
func (f fault) String() string {
	words := []string{f.at.String(), f.what}
	for _, n := range f.nodes {
		name := "leader"
		if n != leader {
			name = strconv.Itoa(n + 1)
		}
		words = append(words, name)
	}
	if f.long > 0 {
		words = append(words, f.long.String())
	}
	return strings.Join(words, " ")
}
