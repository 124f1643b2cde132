// SPDX-License-Identifier: MIT

package quorum

import (
	"encoding/json"
	"slices"
	"testing"
)

// FuzzSiblings checks that states from elsewhere that Validate lets pass can be
// joined, in any order, and that a context replaces no more than there is.
func FuzzSiblings(f *testing.F) {
	text := func(s Siblings[int]) []byte {
		b, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(text(sibs(dots(1, 1, 2, 2), dots(1, 3))), text(sibs(dots(1, 2), dots(1, 1, 2, 2))))
	f.Add([]byte(`{"Values": [1]}`), []byte(`{"Stamps": [{"Wall": 1}, {"Wall": 1}], "Values": [1, 2]}`))
	f.Add([]byte(`{"Seen": [{"Node": 2}, {"Node": 1}]}`), []byte(`null`))

	f.Fuzz(func(t *testing.T, x, y []byte) {
		var a, b Siblings[int]
		if json.Unmarshal(x, &a) != nil || json.Unmarshal(y, &b) != nil || a.Validate() != nil || b.Validate() != nil {
			return
		}
		ab, ba := a.Join(b), b.Join(a)
		if !slices.Equal(ab.Stamps, ba.Stamps) || !slices.Equal(ab.Seen, ba.Seen) {
			t.Fatalf("%v joined with %v = %v, the other way %v", a, b, ab, ba)
		}
		if err := ab.Validate(); err != nil && max(len(ab.Stamps), len(ab.Seen)) <= maxListed {
			t.Fatalf("%v joined with %v = %v: %v", a, b, ab, err)
		}
		if !ab.Covers(a) || !ab.Covers(b) {
			t.Fatalf("%v joined with %v = %v covers not both", a, b, ab)
		}

		rest := a.without(b)
		if !rest.Covers(a) || slices.ContainsFunc(rest.Stamps, b.knows) {
			t.Fatalf("%v without %v = %v", a, b, rest)
		}
		for _, s := range rest.Seen {
			if !slices.Contains(a.Seen, s) && !slices.Contains(a.Stamps, s) {
				t.Fatalf("%v without %v = %v claims %v", a, b, rest, s)
			}
		}
	})
}
