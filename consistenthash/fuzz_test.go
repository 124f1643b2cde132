// SPDX-License-Identifier: MIT

package consistenthash

import (
	"errors"
	"testing"
)

// FuzzDecode checks that any bytes are refused with an error of the package, or
// read as a snapshot that writes itself. The checksum is put right, so that the
// bytes behind it are reached.
func FuzzDecode(f *testing.F) {
	data, err := mustSnapshot(f, nil, Node{Name: "a", Zone: "z"}, Node{Name: "b"}).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-20])
	f.Fuzz(func(t *testing.T, data []byte) {
		refused := func(err error) bool {
			return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) || errors.Is(err, ErrTooLarge)
		}
		var s Snapshot
		if err := s.UnmarshalJSON(data); err != nil && !refused(err) {
			t.Fatal(err)
		}
		if len(data) >= 8 {
			data = withChecksum(data)
		}
		if err := s.UnmarshalBinary(data); err != nil {
			if !refused(err) {
				t.Fatal(err)
			}
			return
		}

		again, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Snapshot
		if err := back.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
	})
}
