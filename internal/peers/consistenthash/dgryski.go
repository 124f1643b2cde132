// SPDX-License-Identifier: MIT

package consistenthash

import (
	"github.com/cespare/xxhash/v2"
	"github.com/dgryski/go-jump"
	"github.com/dgryski/go-maglev"
	"github.com/dgryski/go-rendezvous"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// Damian Gryski's packages take the hash from the caller; they get the one that
// ours has.

func goMaglev(n int) bench.Impl {
	return bench.Impl{Name: "go-maglev", Setup: func(func(func())) bench.Op {
		all, servers := keys(), names(n)
		t := maglev.New(servers, 65537)
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if servers[t.Lookup(xxhash.Sum64String(key(all, i)))] != "" {
					found++
				}
			}
			return found
		}
	}}
}

func goRendezvous(n int) bench.Impl {
	return bench.Impl{Name: "go-rendezvous", Setup: func(func(func())) bench.Op {
		all, r := keys(), rendezvous.New(names(n), xxhash.Sum64String)
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if r.Lookup(key(all, i)) != "" {
					found++
				}
			}
			return found
		}
	}}
}

func goJump(buckets int) bench.Impl {
	return bench.Impl{Name: "go-jump", Setup: func(func(func())) bench.Op {
		h := hashes()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if jump.Hash(h[i&(numKeys-1)], buckets) >= 0 {
					found++
				}
			}
			return found
		}
	}}
}
