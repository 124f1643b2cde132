// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/*.bloom")

// TestGolden checks that the bytes of a few filters are those that were
// committed: filters written by any version on any machine can be read, and be
// united with others.
func TestGolden(t *testing.T) {
	for name, o := range map[string]struct {
		n    int
		p    float64
		opts *Options
	}{
		"one-line":  {100, 0.01, nil},
		"two-lines": {100, 1e-6, nil},
		"seeded":    {50, 1e-9, &Options{Seed: 1 << 40, Lines: 2, Foldable: true}},
		"dense":     {60, 1e-8, &Options{Lines: 1}},
	} {
		f := New(o.n, o.p, o.opts)

		for i := range o.n / 2 {
			f.AddString("user:" + strconv.Itoa(i))
			f.AddUint64(uint64(i))
		}

		got, err := f.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}

		file := filepath.Join("testdata", name+".bloom")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}

		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		if !bytes.Equal(got, want) {
			t.Errorf("%s: the bytes differ from those of %s", name, file)
		}
	}
}

// TestHashVectors pins the hashes. Those of the four words under seed 0 are
// XXH64, as published with the Bloom filter of the Apache Parquet test data.
func TestHashVectors(t *testing.T) {
	for key, want := range map[string]uint64{
		"hello": 0x26c7827d889f6da3, "parquet": 0x3c9d29275c52e429, "bloom": 0x50c8fb9e62dbc53c, "filter": 0x2a5736cdfcd7a9a1,
	} {
		if got, same := HashString(key, 0), Hash([]byte(key), 0); got != want || same != want {
			t.Errorf("HashString, Hash(%q, 0) = %#x, %#x, want %#x", key, got, same, want)
		}
		want = mix64(want ^ 1)
		if got, same := HashString(key, 1), Hash([]byte(key), 1); got != want || same != want {
			t.Errorf("HashString, Hash(%q, 1) = %#x, %#x, want %#x", key, got, same, want)
		}
	}
	// The first outputs of SplitMix64 from state 0, whose states are multiples
	// of the golden ratio.
	for i, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f} {
		state := uint64(i + 1)
		state *= spread1
		if got := HashUint64(state, 0); got != want {
			t.Errorf("HashUint64(%#x, 0) = %#x, want %#x", state, got, want)
		}
	}
}
