// SPDX-License-Identifier: MIT

package merkle

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// keyDraw returns a generator of keys that are alike: prefixes of each other,
// zero bytes at the end, the first and last of all, and most with one start.
func keyDraw(t *rapid.T) *rapid.Generator[string] {
	return rapid.Custom(drawKey(strings.Repeat("user:", rapid.IntRange(0, 7).Draw(t, "starts"))))
}

func drawKey(usual string) func(t *rapid.T) string {
	return func(t *rapid.T) string {
		start := usual
		if rapid.IntRange(0, 9).Draw(t, "other") == 0 {
			start = rapid.SampledFrom([]string{"", "user", "user:\xff", "\xff"}).Draw(t, "start")
		}
		middle := rapid.SampledFrom([]string{"", "a", "ab", "abcdefg", "abcdefgh", "abcdefghi", "\xff", "\xff\xff"}).Draw(t, "middle")
		return start + middle + rapid.StringOfN(rapid.SampledFrom([]rune("\x00\x01ab")), 0, 9, -1).Draw(t, "end")
	}
}

// TestModelKeys checks the keys of a page against a sorted slice.
func TestModelKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := keyDraw(t)
		var k keys
		var model []string
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				one := key.Draw(t, "key")
				i, ok := slices.BinarySearch(model, one)
				if ok || len(model) == pageKeys {
					t.Skip("no room, or there already")
				}
				model = slices.Insert(model, i, one)
				k.insert(i, one)
			},
			"remove": func(t *rapid.T) {
				i := rapid.IntRange(0, len(model)).Draw(t, "from")
				j := rapid.IntRange(i, len(model)).Draw(t, "to")
				model = slices.Delete(model, i, j)
				k.remove(i, j)
			},
			"add": func(t *rapid.T) {
				more := rapid.SliceOfNDistinct(key, 0, pageKeys-len(model), rapid.ID).Draw(t, "more")
				slices.Sort(more)
				if len(model) > 0 {
					i, ok := slices.BinarySearch(more, model[len(model)-1])
					if ok {
						i++
					}
					more = more[i:]
				}
				model = append(model, more...)
				k.add(more...)
			},
			"renew": func(*rapid.T) { k.renew() },
			"": func(t *rapid.T) {
				if !slices.Equal(k.all(), model) {
					t.Fatalf("got %q, want %q", k.all(), model)
				}
				k.check()

				for _, one := range append(slices.Clone(model), key.Draw(t, "search")) {
					i, ok := k.search(one)
					if want, wantOK := slices.BinarySearch(model, one); i != want || ok != wantOK {
						t.Fatalf("search(%q) = %d, %v, want %d, %v among %q", one, i, ok, want, wantOK, model)
					}
				}

				for _, left := range k.text[k.n:] {
					if left != "" {
						t.Fatalf("%q was removed, and is still referred to", left)
					}
				}
			},
		})
	})
}

// TestKeysSkip checks that keys which begin alike are told apart by their
// numbers, not one string after the other.
func TestKeysSkip(t *testing.T) {
	var k keys
	for i, key := range []string{"a long start: 1", "a long start: 2", "a long start: 3"} {
		k.insert(i, key)
	}
	if want := len("a long start: "); k.skip != want || k.words[0] >= k.words[1] || k.words[1] >= k.words[2] {
		t.Errorf("%d bytes are skipped, numbers %x, want %d and numbers in order", k.skip, k.words[:3], want)
	}
	k.remove(0, 3)
	if i, ok := k.search("b"); i != 0 || ok {
		t.Errorf("search without keys = %d, %v, want 0, false", i, ok)
	}
}
