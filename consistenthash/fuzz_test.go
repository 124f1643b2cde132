// SPDX-License-Identifier: MIT

package consistenthash

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// FuzzDecode: any bytes are refused with ErrFormat or read as a snapshot that writes itself. The
// checksum is put right, so that the bytes behind it are reached.
func FuzzDecode(f *testing.F) {
	data, err := mustBuild(f, nil, Node{Name: "a", Zone: "z"}, Node{Name: "b"}).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-20])
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Snapshot
		if err := s.UnmarshalJSON(data); err != nil && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
		if len(data) >= 8 {
			body := data[:len(data)-8]
			data = binary.LittleEndian.AppendUint64(body[:len(body):len(body)], xxhash.Sum64(body))
		}
		if err := s.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, ErrFormat) {
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
