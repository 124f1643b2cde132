// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// A machine runs one server of each service, which share its fate.
type machine struct{ state atomic.Int32 }

// The states of a machine.
const (
	works  int32 = iota
	dead         // hangs up
	silent       // accepts requests, and never answers
	slow         // answers late
)

// stateNames are the flags that bring a machine into each state.
var stateNames = [...]string{dead: "kill", silent: "silent", slow: "slow"}

// A fault is a machine that is in another state for a while.
type fault struct {
	state    int32
	number   int     // of the machine, from 1
	from, to float64 // parts of the requests between which it is
}

// parseFault reads "2@40%", for good, or "2@40%-70%".
func parseFault(state int32, s string, machines int) (fault, error) {
	number, when, ok := strings.Cut(s, "@")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || n > machines {
		return fault{}, fmt.Errorf("%q does not begin with a machine of 1 to %d and an @", s, machines)
	}
	f := fault{state: state, number: n, to: 2} // beyond the end
	from, to, back := strings.Cut(when, "-")
	if f.from, err = parsePercent(from); err != nil {
		return fault{}, err
	}
	if back {
		if f.to, err = parsePercent(to); err != nil {
			return fault{}, err
		}
	}
	if f.to <= f.from {
		return fault{}, fmt.Errorf("%q ends before it begins", s)
	}
	return f, nil
}

func parsePercent(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	p, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(p >= 0 && p <= 100) {
		return 0, fmt.Errorf("%q is not between 0%% and 100%%", s)
	}
	return p / 100, nil
}

// stateOf returns the state of the machine of that number when part of the
// requests are done. Of several faults the first counts.
func stateOf(faults []fault, number int, part float64) int32 {
	for _, f := range faults {
		if f.number == number && part >= f.from && part < f.to {
			return f.state
		}
	}
	return works
}

// fail brings each machine into the state that it has after the given part of
// the requests.
func (sys *system) fail(part float64) {
	for i, m := range sys.machines {
		state := stateOf(sys.faults, i+1, part)
		before := m.state.Swap(state)
		if before == state {
			continue
		}
		for _, s := range sys.services {
			if before == works {
				s.servers[i].history.add(failed)
			} else if state == works {
				s.servers[i].history.add(mended)
			}
		}
	}
}
