// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A kill is a machine that dies: the server of that number of each service.
type kill struct {
	number   int     // of the machine, from 1; 0 for none
	from, to float64 // parts of the requests between which it is dead
}

// parseKill reads "2@40%", for good, or "2@40%-70%".
func parseKill(s string, machines int) (kill, error) {
	number, when, ok := strings.Cut(s, "@")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || n > machines {
		return kill{}, fmt.Errorf("%q does not begin with a machine of 1 to %d and an @", s, machines)
	}
	k := kill{number: n, to: 2} // beyond the end
	from, to, back := strings.Cut(when, "-")
	if k.from, err = parsePercent(from); err != nil {
		return kill{}, err
	}
	if back {
		if k.to, err = parsePercent(to); err != nil {
			return kill{}, err
		}
	}
	if k.to <= k.from {
		return kill{}, fmt.Errorf("%q ends before it begins", s)
	}
	return k, nil
}

func parsePercent(s string) (float64, error) {
	number, ok := strings.CutSuffix(s, "%")
	p, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(p >= 0 && p <= 100) {
		return 0, fmt.Errorf("%q is not between 0%% and 100%%", s)
	}
	return p / 100, nil
}

// dead reports whether the machine is dead when part of the requests are done.
func (k kill) dead(part float64) bool { return k.number > 0 && part >= k.from && part < k.to }

// crash makes the machine that is to be killed dead or alive, after the given
// part of the requests.
func (sys *system) crash(part float64) {
	for i, m := range sys.machines {
		dead := sys.kill.number == i+1 && sys.kill.dead(part)
		if m.dead.Swap(dead) == dead {
			continue
		}
		for _, s := range sys.services {
			if dead {
				s.servers[i].history.add(killed)
			} else {
				s.servers[i].history.add(revived)
			}
		}
	}
}
