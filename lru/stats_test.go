// SPDX-License-Identifier: MIT

package lru

import "testing"

// TestStatsSub checks that Sub of every Stats subtracts all counters, and keeps
// the gauges.
func TestStatsSub(t *testing.T) {
	checkSub(t, Stats.Sub, "Len", "Cost", "Cap", "Loading")
	checkSub(t, BehindStats.Sub, "Pending")
}

// TestNamesAsText checks that policies and causes are marshaled as their names,
// and read again.
func TestNamesAsText(t *testing.T) {
	for p := range PolicyRandom + 1 {
		text, err := p.MarshalText()
		var got Policy
		checkAnswers(t,
			answer{"MarshalText", err, nil},
			answer{"the text", string(text), p.String()},
			answer{"UnmarshalText", got.UnmarshalText(text), nil},
		)
		if got != p {
			t.Errorf("read %v, want %v", got, p)
		}
	}
	for c := Evicted; c < causes; c++ {
		text, err := c.MarshalText()
		var got Cause
		checkAnswers(t,
			answer{"MarshalText", err, nil},
			answer{"the text", string(text), c.String()},
			answer{"UnmarshalText", got.UnmarshalText(text), nil},
		)
		if got != c {
			t.Errorf("read %v, want %v", got, c)
		}
	}

	if _, err := Policy(5).MarshalText(); err == nil {
		t.Error("Policy(5) has a text")
	}
	if _, err := Cause(0).MarshalText(); err == nil {
		t.Error("Cause(0) has a text")
	}
	if err := new(Policy).UnmarshalText([]byte("MRU")); err == nil {
		t.Error("MRU is a policy")
	}
	if err := new(Cause).UnmarshalText(nil); err == nil {
		t.Error("an empty text is a cause")
	}
}
