// SPDX-License-Identifier: MIT

package quorum

import (
	"math"
	"slices"
	"testing"
)

// TestSet checks the members, the number and the text of sets.
func TestSet(t *testing.T) {
	for _, tt := range []struct {
		set     Set
		members []int
		text    string
	}{
		{0, nil, "{}"},
		{First(0), nil, "{}"},
		{SetOf(3, 0, 3), []int{0, 3}, "{0 3}"},
		{First(3), []int{0, 1, 2}, "{0 1 2}"},
		{SetOf(63), []int{63}, "{63}"},
		{First(64) &^ First(62), []int{62, 63}, "{62 63}"},
	} {
		if got := slices.Collect(tt.set.All()); !slices.Equal(got, tt.members) {
			t.Errorf("members of %v = %v, want %v", tt.set, got, tt.members)
		}
		if got := tt.set.Len(); got != len(tt.members) {
			t.Errorf("Len of %v = %d, want %d", tt.set, got, len(tt.members))
		}
		if got := tt.set.String(); got != tt.text {
			t.Errorf("String = %q, want %q", got, tt.text)
		}

		text, _ := tt.set.MarshalText()
		var back Set
		if err := back.UnmarshalText(text); err != nil || back != tt.set {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", text, back, err, tt.set)
		}
		for i := -1; i <= maxReplicas; i++ {
			if got, want := tt.set.Has(i), slices.Contains(tt.members, i); got != want {
				t.Errorf("%v has %d = %v, want %v", tt.set, i, got, want)
			}
		}
	}

	for range First(3).All() {
		break // an early end is no fault
	}
	for _, text := range []string{"", "0", "{0", "0}", "{x}", "{-1}", "{64}", "{0,1}"} {
		kept := First(3)
		if err := kept.UnmarshalText([]byte(text)); err == nil || kept != First(3) {
			t.Errorf("UnmarshalText(%q) = %v, and the set is %v, want an error, and as before", text, err, kept)
		}
	}
}

// TestSystemPanics checks that arguments that make no system panic.
func TestSystemPanics(t *testing.T) {
	one := Majority(First(1))
	for _, tt := range []struct {
		want string
		f    func()
	}{
		{"replica must be between 0 and 63, got -1", func() { SetOf(-1) }},
		{"replica must be between 0 and 63, got 64", func() { SetOf(64) }},
		{"number of replicas must be between 0 and 64, got 65", func() { First(65) }},
		{"number of replicas must be between 0 and 64, got -1", func() { First(-1) }},
		{"threshold must be between 1 and 0, got 1", func() { Majority(0) }},
		{"threshold must be between 1 and 3, got 0", func() { Threshold(0, First(3)) }},
		{"threshold must be between 1 and 3, got 4", func() { Threshold(4, First(3)) }},
		{"number of weights must be at most 64, got 65", func() { Weighted(1, make([]int, 65)...) }},
		{"weight must not be negative", func() { Weighted(1, 2, -1) }},
		{"too large to add", func() { Weighted(1, math.MaxInt, 1) }},
		{"needed weight must be between 1 and 3, got 0", func() { Weighted(0, 1, 2) }},
		{"needed weight must be between 1 and 3, got 4", func() { Weighted(4, 1, 2) }},
		{"number of systems needed must be between 1 and 1, got 0", func() { Of(0, one) }},
		{"number of systems needed must be between 1 and 1, got 2", func() { Of(2, one) }},
		{"must not be the zero System", func() { Of(1, one, System{}) }},
		{"quorums of at most 16 replicas are enumerated, got 17", func() { Of(1, Majority(First(17))).Minimal() }},
	} {
		mustPanic(t, tt.want, tt.f)
	}
}

// TestSystemZero checks that the zero System has no quorum.
func TestSystemZero(t *testing.T) {
	var s System
	if got := s.Has(First(64)); got {
		t.Errorf("Has = %v, want false", got)
	}
	if got := s.Vote(First(64), 0); got != Lost {
		t.Errorf("Vote = %v, want lost", got)
	}
	if got := slices.Collect(s.Minimal()); len(got) != 0 {
		t.Errorf("Minimal = %v, want none", got)
	}
	if got := s.Resilience(); got != -1 {
		t.Errorf("Resilience = %d, want -1", got)
	}

	if got := s.Dual(); got != s {
		t.Errorf("Dual = %v, want none", got)
	}
	if got := s.Replicas(); got != 0 {
		t.Errorf("Replicas = %v, want {}", got)
	}
	if got := s.String(); got != "none" {
		t.Errorf("String = %q, want none", got)
	}
	one := Majority(First(1))
	if got := Intersect(s, s) && Intersect(s, one) && Intersect(one, s); !got {
		t.Errorf("Intersect = %v, want true", got)
	}
}

// TestSystemString checks the words for each kind of system.
func TestSystemString(t *testing.T) {
	for want, s := range map[string]System{
		"2 of {0 1 2}":              Majority(First(3)),
		"3 of weights [1 2 1]":      Weighted(3, 1, 2, 1),
		"1 of (1 of {0}, 1 of {1})": Of(1, Majority(SetOf(0)), Majority(SetOf(1))),
	} {
		if got := s.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}
}

// TestIntersectNotes checks the systems that textbooks work by hand.
func TestIntersectNotes(t *testing.T) {
	grid := func(groups ...Set) System { // all of one group
		subs := make([]System, len(groups))
		for i, g := range groups {
			subs[i] = Threshold(g.Len(), g)
		}
		return Of(1, subs...)
	}
	zones := func(k, n int) System { // majorities of k of n zones of 7
		subs := make([]System, n)
		for i := range subs {
			subs[i] = Majority(First(7) << (7 * i))
		}
		return Of(k, subs...)
	}

	for _, tt := range []struct {
		name string
		r, w System
		want bool
	}{
		{"N=3 R=W=2", Majority(First(3)), Majority(First(3)), true},
		{"N=4 W=3 R=2", Threshold(2, First(4)), Threshold(3, First(4)), true},
		{"N=4 W=2 R=2", Threshold(2, First(4)), Threshold(2, First(4)), false},
		{"N=5 {1,2,3} and {2,4,5}", Threshold(3, SetOf(2, 4, 5)), Threshold(3, SetOf(1, 2, 3)), true},
		{"N=5 {1,3} and {2,4,5}", Threshold(3, SetOf(2, 4, 5)), Threshold(2, SetOf(1, 3)), false},
		{"two of {1,2,3} and two of {2,3,4}", Threshold(2, SetOf(1, 2, 3)), Threshold(2, SetOf(2, 3, 4)), false},
		{"three of {1,2,3} and two of {2,3,4}", Threshold(3, SetOf(1, 2, 3)), Threshold(2, SetOf(2, 3, 4)), true},
		{"rows and columns", grid(SetOf(0, 1, 2), SetOf(3, 4, 5)), grid(SetOf(0, 1, 2), SetOf(3, 4, 5)).Dual(), true},
		{"rows and rows", grid(SetOf(0, 1, 2), SetOf(3, 4, 5)), grid(SetOf(0, 1, 2), SetOf(3, 4, 5)), false},
		{"21 replicas, each zone", zones(1, 3), zones(3, 3), true},
		{"21 replicas, two zones of three", zones(2, 3), zones(2, 3), true},
		{"21 replicas, one zone", zones(1, 3), zones(2, 3), false},
	} {
		if got := Intersect(tt.r, tt.w); got != tt.want {
			t.Errorf("%s: Intersect = %v, want %v", tt.name, got, tt.want)
		}
		if got := Intersect(tt.w, tt.r); got != tt.want {
			t.Errorf("%s: Intersect the other way = %v, want %v", tt.name, got, tt.want)
		}
	}

	// A grid of 2x3: a read survives one failure, a write two.
	reads := grid(SetOf(0, 1, 2), SetOf(3, 4, 5))
	if got := reads.Resilience(); got != 1 {
		t.Errorf("resilience of the rows = %d, want 1", got)
	}
	if got := reads.Dual().Resilience(); got != 2 {
		t.Errorf("resilience of their dual = %d, want 2", got)
	}
}

// TestWeights checks that a replica without weight is none of the system, and
// that weights may add up to all that an int holds.
func TestWeights(t *testing.T) {
	if got, want := Weighted(2, 1, 0, 1).Replicas(), SetOf(0, 2); got != want {
		t.Errorf("Replicas = %v, want %v", got, want)
	}
	s := Weighted(math.MaxInt, math.MaxInt-1, 1)
	if got := s.Has(First(2)); !got {
		t.Error("all the weight is no quorum")
	}
	if got := s.Has(First(1)); got {
		t.Error("all the weight but one is a quorum")
	}
	if got := s.Dual().Has(SetOf(1)); !got {
		t.Error("the dual of all has no quorum of one")
	}
}

// TestResilienceOfMany checks that thresholds of many replicas are not tried.
func TestResilienceOfMany(t *testing.T) {
	if got, want := Majority(First(64)).Resilience(), 31; got != want {
		t.Errorf("Resilience = %d, want %d", got, want)
	}
}

// TestMinimalStops checks that a caller may stop early, and that a threshold of
// many replicas is enumerated lazily.
func TestMinimalStops(t *testing.T) {
	for _, s := range []System{Majority(First(64)), Of(1, Majority(First(3))), Weighted(2, 1, 1, 1)} {
		n := 0
		for range s.Minimal() {
			n++
			if n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("%v: %d quorums before the break, want 2", s, n)
		}
	}
}

// TestVoteText checks the names of votes.
func TestVoteText(t *testing.T) {
	for v, want := range map[Vote]string{Pending: "pending", Won: "won", Lost: "lost"} {
		text, err := v.MarshalText()
		if string(text) != want || err != nil {
			t.Errorf("MarshalText = %q, %v, want %q", text, err, want)
		}
		var back Vote
		if err := back.UnmarshalText(text); back != v || err != nil {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", text, back, err, v)
		}
		if got := v.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}

	if got := Vote(9).String(); got != "vote(9)" {
		t.Errorf("String = %q, want vote(9)", got)
	}
	if _, err := Vote(9).MarshalText(); err == nil {
		t.Error("MarshalText of 9 = nil, want an error")
	}
	kept := Lost
	if err := kept.UnmarshalText([]byte("maybe")); err == nil || kept != Lost {
		t.Errorf("UnmarshalText of maybe = %v, and the vote is %v, want an error, and as before", err, kept)
	}
}
