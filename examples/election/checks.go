// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/ashlar-go/ashlar/quorum"
)

// A day of health checks: three monitors check a primary every five seconds.
const (
	checks    = 24 * 60 * 60 / 5
	glitches  = 8    // a day, of the line of each monitor
	glitchFor = 6    // checks
	diesAt    = 9000 // the check at which the primary really dies
)

// A watch is what a rule made of a day.
type watch struct {
	rule     string
	system   quorum.System
	flaps    int // promotions while the primary was alive
	doubled  int // checks during which two wrote, if nothing fences
	detected int // checks from the death to the promotion
}

// day returns which monitors find the primary dead, by check: the line of one
// fails now and then, and then the primary dies.
func day(seed uint64) [checks]quorum.Set {
	var dead [checks]quorum.Set
	rng := rand.New(rand.NewPCG(seed, 5))
	for m := range 3 {
		// The day has as many parts as there are glitches of all monitors, so
		// that no two lines fail at once.
		for g := range glitches {
			part := checks / (3 * glitches)
			from := (3*g+m)*part + rng.IntN(part-glitchFor)
			for i := range glitchFor {
				dead[from+i] |= quorum.SetOf(m)
			}
		}
	}
	for i := diesAt; i < checks; i++ {
		dead[i] = quorum.First(3)
	}
	return dead
}

// run promotes a replica whenever the rule says that the primary is dead, and
// takes it back when the rule says that it is alive.
func (w *watch) run(dead [checks]quorum.Set) {
	promoted := false
	for i, set := range dead {
		was := promoted
		promoted = w.system.Vote(set, quorum.First(3)&^set) == quorum.Won
		switch {
		case promoted && !was && i < diesAt:
			w.flaps++
		case promoted && !was:
			w.detected = i - diesAt + 1
		}
		if promoted && i < diesAt {
			w.doubled++
		}
	}
}

// check checks that the rule never promoted in vain, and saw the death at once.
func (w *watch) check() error {
	if w.flaps > 0 || w.detected != 1 {
		return fmt.Errorf("%s: %d flaps, and a death is seen after %d checks", w.rule, w.flaps, w.detected)
	}
	return nil
}

// reportChecks compares promotion on one failed check with two of three.
func reportChecks(_ context.Context, c *config, w io.Writer) error {
	dead := day(c.seed)
	fmt.Fprintf(w, "a day of checks every 5 s by three monitors, each with %d bad half-minutes\n", glitches)
	fmt.Fprintf(w, "%-28s%10s%18s%22s\n", "promote a replica when", "flaps", "two primaries", "a death is seen in")
	watches := []*watch{
		{rule: "the one monitor says dead", system: quorum.Threshold(1, quorum.SetOf(0))},
		{rule: "any of three says dead", system: quorum.Threshold(1, quorum.First(3))},
		{rule: "two of three say dead", system: quorum.Threshold(2, quorum.First(3))},
	}
	for _, r := range watches {
		r.run(dead)
		fmt.Fprintf(w, "%-28s%10d%16d s%20d s\n", r.rule, r.flaps, 5*r.doubled, 5*r.detected)
	}
	if err := watches[2].check(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "law holds: two of three never promoted beside a living primary\n\n")
	return err
}
