// SPDX-License-Identifier: MIT

package consistenthash

import (
	"testing"
	"unsafe"
)

// TestAllocs checks that no operation of a hot path allocates.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}

	var ring Ring
	nodes := numbered(100)

	for i := range nodes {
		nodes[i].Zone = string(rune('a' + i%3))
	}
	if err := ring.Set(nodes...); err != nil {
		t.Fatal(err)
	}

	dst, key, b := make([]string, 0, 100), []byte("user:42"), NewBalancer(&ring, 1.25)
	r, _ := NewRendezvous(nil, nodes...)

	for name, f := range map[string]func(){
		"Get":                func() { ring.Get("user:42") },
		"GetBytes":           func() { ring.GetBytes(key) },
		"AppendN 3":          func() { ring.AppendN(dst, "user:42", 3) },
		"AppendN 20":         func() { ring.AppendN(dst, "user:42", 20) },
		"AppendShard":        func() { ring.AppendShard(dst, "user:42", 5) },
		"Acquire, Release":   func() { l, _ := b.Acquire("user:42"); l.Release() },
		"Rendezvous.AppendN": func() { r.AppendN(dst, "user:42", 3) },
	} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, f); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}

// TestSizes pins the memory that doc.go promises.
func TestSizes(t *testing.T) {
	if st := mustSnapshot(t, nil, numbered(100)...).Stats(); st.Bytes > 25*st.Points {
		t.Errorf("%d bytes for %d points, want at most 25 a point", st.Bytes, st.Points)
	}
	if n := unsafe.Sizeof(counter{}); n > 64 {
		t.Errorf("a counter takes %d bytes, want at most 64", n)
	}
}
