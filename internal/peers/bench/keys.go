// SPDX-License-Identifier: MIT

package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
)

// Names returns n distinct strings of 16 bytes, each with memory of its own, in
// random order.
func Names(n int) []string {
	names := make([]string, n)
	for i, j := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		names[i] = fmt.Sprintf("client%010d", j)
	}
	return names
}

// Zipf returns n draws from keys, the i-th most frequent of them in proportion
// to i^-theta, for theta < 1. The method is that of J. Gray et al., "Quickly
// generating billion-record synthetic databases", SIGMOD 1994; [rand.Zipf]
// knows only exponents above 1.
func Zipf[K any](keys []K, n int, theta float64) []K {
	zeta := 0.0
	for i := range keys {
		zeta += math.Pow(float64(i+1), -theta)
	}
	size := float64(len(keys))
	alpha := 1 / (1 - theta)
	second := 1 + math.Pow(0.5, theta)
	eta := (1 - math.Pow(2/size, 1-theta)) / (1 - second/zeta)
	random := rand.New(rand.NewPCG(1, 2))
	draws := make([]K, n)
	for i := range draws {
		u := random.Float64()
		rank := 0
		switch {
		case u*zeta < 1:
		case u*zeta < second:
			rank = 1
		default:
			rank = min(int(size*math.Pow(eta*u-eta+1, alpha)), len(keys)-1)
		}
		draws[i] = keys[rank]
	}
	return draws
}

// HeapPerKey returns the bytes of heap a key takes in what fill returns, and
// the keys it holds. What fill makes and does not keep is not counted; strings
// made for keys are, if they are kept.
func HeapPerKey(fill func(atEnd func(func())) (kept any, keys int)) (float64, int) {
	var ends []func()
	before := liveHeap()
	kept, keys := fill(func(f func()) { ends = append(ends, f) })
	after := liveHeap()
	runtime.KeepAlive(kept)
	for _, f := range ends {
		f()
	}
	return (float64(after) - float64(before)) / float64(keys), keys
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // sync.Pool lets go only in the second
	return heapBytes()
}
