// SPDX-License-Identifier: MIT

package main

import "math"

// The workers count the primes below limit, a chunk at a time.
const (
	limit      = 1_000_000
	chunkSize  = 5_000
	chunkSteps = 4 // that a worker takes for a chunk
)

// countPrimes returns how many primes there are in [lo, hi), by trial division.
func countPrimes(lo, hi int) (n int) {
	for v := max(lo, 2); v < hi; v++ {
		prime := true
		for d := 2; d <= int(math.Sqrt(float64(v))); d++ {
			if v%d == 0 {
				prime = false
				break
			}
		}
		if prime {
			n++
		}
	}
	return n
}

// sieve returns how many primes there are below n, by the sieve of
// Eratosthenes: what one process finds, by another way.
func sieve(n int) (count int) {
	composite := make([]bool, n)
	for v := 2; v < n; v++ {
		if composite[v] {
			continue
		}
		count++
		for m := 2 * v; m < n; m += v { // v * v may be beyond 32 bits
			composite[m] = true
		}
	}
	return count
}

// count lets a worker go on with its chunk.
func (n *node) count(step int) {
	if n.chunk >= 0 && step >= n.busy {
		n.ready = &result{n.chunk, countPrimes(n.chunk*chunkSize, (n.chunk+1)*chunkSize)}
		n.chunk = -1
	}
}

// assign gives chunks to workers that have none: those that the log has not,
// and that nobody counts who answers.
func (s *simulation) assign(n *node) {
	known := map[int]bool{}
	for _, e := range n.replica.entries {
		known[e.chunk] = true
	}
	for chunk, at := range n.work {
		if w := s.nodes[at]; s.answers(n, w) && (w.chunk == chunk || w.ready != nil && w.ready.chunk == chunk) {
			known[chunk] = true
		}
	}

	chunk := 0
	for _, w := range s.nodes {
		if w == n || !s.answers(n, w) || w.chunk >= 0 || w.ready != nil {
			continue
		}
		for known[chunk] {
			chunk++
		}
		if chunk*chunkSize >= limit {
			return
		}
		known[chunk] = true
		n.work[chunk] = w.id
		w.chunk = chunk
		w.busy = s.step + chunkSteps
	}
}

// answers is the health check of w by n.
func (s *simulation) answers(n, w *node) bool { return s.net.reaches(n.id, w.id) && s.awake(w) }

// collect returns a result that a worker has ready, and that the log has not.
func (s *simulation) collect(n *node) (*result, *node) {
	for _, w := range s.nodes {
		if w == n || !s.answers(n, w) || w.ready == nil {
			continue
		}
		known := false
		for _, e := range n.replica.entries {
			known = known || e.chunk == w.ready.chunk
		}
		if !known {
			return w.ready, w
		}
		w.ready = nil // of an earlier leader, whose others have counted it again
	}
	return nil, nil
}

// total returns the number of primes that a log adds up to, and of chunks.
func total(log []entry) (primes, chunks int) {
	for _, e := range log {
		if e.chunk >= 0 {
			primes += e.count
			chunks++
		}
	}
	return primes, chunks
}
