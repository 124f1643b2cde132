// SPDX-License-Identifier: MIT

package bloom

import (
	"bytes"
	"testing"
)

// FuzzDecode gives all readers the same bytes. None may panic; they must agree,
// and bytes that they accept must be written back as they were. The header's
// sum is repaired in half of the cases, to get past it.
func FuzzDecode(f *testing.F) {
	_, b := sampleBytes(f)
	f.Add(b, false)
	f.Add(b[:headerBytes], true)
	f.Add(header{shape: shape{perKey: 1, perLane: 2}, kind: kindFilter, lines: 1 << 60}.append(nil), true)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair && len(b) >= headerBytes {
			copy(b[56:], sumOf(b[:56]))
			if body := len(b) - sumBytes; body > headerBytes {
				copy(b[body:], sumOf(b[headerBytes:body]))
			}
		}

		var g Filter
		err := g.UnmarshalBinary(b)

		for name, decode := range decoders {
			if got := decode(b); (got == nil) != (err == nil) {
				t.Fatalf("%s: %v, UnmarshalBinary: %v", name, got, err)
			}
		}

		v, viewErr := View(b)
		if p, probeErr := OpenProbe(bytes.NewReader(b)); probeErr == nil {
			_, _ = p.HasUint64(1)
		} else if viewErr == nil {
			t.Fatalf("View accepts what OpenProbe does not: %v", probeErr)
		}
		if err != nil {
			return
		}

		if viewErr != nil {
			t.Fatalf("View = %v of what UnmarshalBinary reads", viewErr)
		}
		if !v.Equal(&g) {
			t.Fatal("View and UnmarshalBinary read other bits")
		}

		if out, err := g.MarshalBinary(); err != nil || !bytes.Equal(out, b) {
			t.Fatalf("MarshalBinary = %x, %v, want %x", out, err, b)
		}

		_, _, _ = g.Rate(), g.Len(), g.HasUint64(1)
	})
}
