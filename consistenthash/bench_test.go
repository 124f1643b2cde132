// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"testing"
)

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		s := mustSnapshot(b, nil, numbered(n)...)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			keys := make([]string, 1<<12)
			for i := range keys {
				keys[i] = fmt.Sprintf("user:%012d", i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.Get(keys[i&(len(keys)-1)])
				i++
			}
		})
	}
}

func BenchmarkAppendN(b *testing.B) {
	s, dst := mustSnapshot(b, nil, numbered(100)...), make([]string, 0, 3)
	b.ReportAllocs()
	for b.Loop() {
		s.AppendN(dst, "user:42", 3)
	}
}

// BenchmarkAll takes all nodes of a list, which are in one zone.
func BenchmarkAll(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		s := mustSnapshot(b, &Options{VirtualNodes: 10}, numbered(n)...)
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range s.All("user:42") {
				}
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	s := mustSnapshot(b, nil, numbered(100)...)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.With(Node{Name: "x"})
	}
}

func BenchmarkAcquire(b *testing.B) {
	var ring Ring
	if err := ring.Set(numbered(100)...); err != nil {
		b.Fatal(err)
	}
	lb := NewBalancer(&ring, 1.25)
	b.ReportAllocs()
	for b.Loop() {
		l, _ := lb.Acquire("user:42")
		l.Release()
	}
}

func BenchmarkJumpBack(b *testing.B) {
	for i := uint64(1); b.Loop(); i++ {
		JumpBack(mix(i), 1000)
	}
}
