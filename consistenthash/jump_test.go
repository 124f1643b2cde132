// SPDX-License-Identifier: MIT

package consistenthash

import (
	"math"
	"testing"
)

// TestJump checks the vectors of the authors' code and of Guava, as
// dgryski/go-jump and lithammer/go-jump-consistent-hash have them.
func TestJump(t *testing.T) {
	for i, want := range []int{0, 0, 0, 0, 0, 0, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 17, 17} {
		if got := Jump(1, i+1); got != want {
			t.Errorf("Jump(1, %d) = %d, want %d", i+1, got, want)
		}
	}

	for i, want := range []int{0, 1, 2, 3, 3, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 16, 16, 16} {
		if got := Jump(0xdeadbeef, i+1); got != want {
			t.Errorf("Jump(0xdeadbeef, %d) = %d, want %d", i+1, got, want)
		}
	}

	for i, want := range []int{0, 55, 62, 8, 45, 59, 86, 97, 82, 59, 73, 37, 17, 56, 86, 21, 90, 37, 38, 83} {
		if got := Jump(uint64(i), 100); got != want {
			t.Errorf("Jump(%d, 100) = %d, want %d", i, got, want)
		}
	}

	for _, v := range []struct {
		key           uint64
		buckets, want int
	}{
		{10863919174838991, 11, 6},
		{2016238256797177309, 11, 3},
		{1673758223894951030, 11, 5},
		{2, 100001, 80343},
		{2201, 100001, 22152},
		{2202, 100001, 15018},
		{42, 57, 43},
		{0xDEAD10CC, 666, 361},
		{256, 1024, 520},
	} {
		if got := Jump(v.key, v.buckets); got != v.want {
			t.Errorf("Jump(%d, %d) = %d, want %d", v.key, v.buckets, got, v.want)
		}
	}

	for key := range uint64(200) { // ends, also for more buckets than there are
		if b := Jump(mix(key), math.MaxInt); b < 0 {
			t.Fatalf("Jump(%d, MaxInt) = %d, want a bucket from 0 on", key, b)
		}
	}
}

// TestJumpBack checks vectors of a port of hash4j's
// ConsistentJumpBackBucketHasher with its Xorshift generator (L7R9).
func TestJumpBack(t *testing.T) {
	keys := []uint64{1, 0xdeadbeefcafebabe, 0x9E3779B97F4A7C15, math.MaxUint64}
	for n, want := range map[int][4]int{10: {1, 1, 5, 0}, 1000: {1, 111, 441, 0}, 1e6: {1, 178878, 609454, 0}} {
		for i, key := range keys {
			if got := JumpBack(key, n); got != want[i] {
				t.Errorf("JumpBack(%#x, %d) = %d, want %d", key, n, got, want[i])
			}
		}
	}
}

// TestJumpMonotone checks that a key stays where it is or goes to the new
// bucket.
func TestJumpMonotone(t *testing.T) {
	for name, f := range map[string]func(uint64, int) int{"Jump": Jump, "JumpBack": JumpBack} {
		for k := range uint64(200) {
			key, last := mix(k+1), 0
			for n := 1; n <= 600; n++ {
				b := f(key, n)
				if b != last && b != n-1 || b < 0 || b >= n {
					t.Fatalf("%s(%#x, %d) = %d, after %d", name, key, n, b, last)
				}
				last = b
			}
		}
	}
}

// TestJumpBalance checks that chi-square with n-1 degrees of freedom stays
// within 6 standard deviations of its mean: by chance it leaves them less than
// once in 10^7, and the keys are fixed.
func TestJumpBalance(t *testing.T) {
	for name, f := range map[string]func(uint64, int) int{"Jump": Jump, "JumpBack": JumpBack} {
		for _, n := range []int{2, 3, 10, 64, 100, 1000} {
			count := make([]int, n)
			draws := 50 * n
			draws = max(draws, 5000)
			for k := range draws {
				count[f(mix(uint64(k)+1), n)]++
			}
			checkUniform(t, name, count, draws)
		}
	}
}

func checkUniform(t *testing.T, name string, count []int, draws int) {
	t.Helper()
	mean, chi := float64(draws)/float64(len(count)), 0.0
	for _, c := range count {
		chi += (float64(c) - mean) * (float64(c) - mean) / mean
	}
	free := float64(len(count) - 1)
	if limit := free + 6*math.Sqrt(2*free) + 12; chi > limit {
		t.Errorf("%s on %d: chi-square %.1f, at most %.1f", name, len(count), chi, limit)
	}
}
