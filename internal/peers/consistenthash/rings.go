// SPDX-License-Identifier: MIT

package consistenthash

import (
	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
	"github.com/golang/groupcache/consistenthash"
	lafikl "github.com/lafikl/consistent"
	"github.com/serialx/hashring"
	stathat "stathat.com/c/consistent"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// The rings of other people. Where the number of points of a node can be chosen
// it is 150, as ours is; who wants another default pays for it in balance,
// which a row shows.

const (
	groupcache = "groupcache"
	stat       = "stathat"
	serialx    = "serialx"
	burak      = "buraksezer"
	laf        = "lafikl"
	points     = 150
)

// get is the loop over a lookup of a peer; a call through a function value adds
// about a nanosecond to each, of at least thirty.
func get(name string, make func(n int) func(string) string, n int) bench.Impl {
	return bench.Impl{Name: name, Setup: func(func(func())) bench.Op {
		lookup, all := make(n), keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if lookup(key(all, i)) != "" {
					found++
				}
			}
			return found
		}
	}}
}

// newGroupcache returns a ring of CRC-32, in a sorted slice and a map. It is
// read without a lock and has no Remove.
func newGroupcache(n int) *consistenthash.Map {
	m := consistenthash.New(points, nil)
	m.Add(names(n)...)
	return m
}

func groupcacheLookup(n int) func(string) string { return newGroupcache(n).Get }

func newStathat(n int) *stathat.Consistent {
	c := stathat.New()
	c.NumberOfReplicas = points
	c.Set(names(n))
	return c
}

func stathatLookup(n int) func(string) string {
	c := newStathat(n)
	return func(k string) string {
		owner, _ := c.Get(k)
		return owner
	}
}

func stathatGetN(n, replicas int) bench.Impl {
	return bench.Impl{Name: stat, Setup: func(func(func())) bench.Op {
		c, all := newStathat(n), keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if list, err := c.GetN(key(all, i), replicas); err == nil && len(list) == replicas {
					found++
				}
			}
			return found
		}
	}}
}

func stathatAdd(n int) bench.Impl {
	return bench.Impl{Name: stat, Setup: func(func(func())) bench.Op {
		c := newStathat(n)
		return func(_, n int) (added int) {
			for range n {
				c.Add("new")
				c.Remove("new")
				added++
			}
			return added
		}
	}}
}

func stathatBuild(n int) bench.Impl {
	return bench.Impl{Name: stat, Setup: func(func(func())) bench.Op {
		all := names(n)
		return func(_, n int) int {
			for range n {
				c := stathat.New()
				c.NumberOfReplicas = points
				c.Set(all)
			}
			return n
		}
	}}
}

func groupcacheBuild(n int) bench.Impl {
	return bench.Impl{Name: groupcache, Setup: func(func(func())) bench.Op {
		all := names(n)
		return func(_, n int) int {
			for range n {
				consistenthash.New(points, nil).Add(all...)
			}
			return n
		}
	}}
}

// newSerialx returns a ring of MD5. Its points are a weight, and its default is
// one.
func newSerialx(n int) *hashring.HashRing {
	weights := make(map[string]int, n)
	for _, name := range names(n) {
		weights[name] = points
	}
	return hashring.NewWithWeights(weights)
}

func serialxLookup(n int) func(string) string {
	r := newSerialx(n)
	return func(k string) string {
		owner, _ := r.GetNode(k)
		return owner
	}
}

func serialxGetN(n, replicas int) bench.Impl {
	return bench.Impl{Name: serialx, Setup: func(func(func())) bench.Op {
		r, all := newSerialx(n), keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if list, ok := r.GetNodes(key(all, i), replicas); ok && len(list) == replicas {
					found++
				}
			}
			return found
		}
	}}
}

func serialxAdd(n int) bench.Impl {
	return bench.Impl{Name: serialx, Setup: func(func(func())) bench.Op {
		r := newSerialx(n)
		return func(_, n int) int {
			for range n {
				r.AddWeightedNode("new", points).RemoveNode("new")
			}
			return n
		}
	}}
}

type member string

func (m member) String() string { return string(m) }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// newBuraksezer returns a ring of fixed partitions, 27 a node, each of which
// belongs to a node; the hash is ours.
func newBuraksezer(n int) *consistent.Consistent {
	members := make([]consistent.Member, n)
	for i, name := range names(n) {
		members[i] = member(name)
	}
	return consistent.New(members, consistent.Config{
		Hasher: hasher{}, PartitionCount: 27*n + 1, ReplicationFactor: 20, Load: 1.25,
	})
}

func buraksezerLookup(n int) func(string) string {
	c := newBuraksezer(n)
	return func(k string) string { return c.LocateKey([]byte(k)).String() }
}

func buraksezerGetN(n, replicas int) bench.Impl {
	return bench.Impl{Name: burak, Setup: func(func(func())) bench.Op {
		c, all := newBuraksezer(n), keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if list, err := c.GetClosestN([]byte(key(all, i)), replicas); err == nil && len(list) == replicas {
					found++
				}
			}
			return found
		}
	}}
}

// newLafikl returns a ring of BLAKE2b with ten points a node, which cannot be
// changed.
func newLafikl(n int) *lafikl.Consistent {
	c := lafikl.New()
	for _, name := range names(n) {
		c.Add(name)
	}
	return c
}

func lafiklLookup(n int) func(string) string {
	c := newLafikl(n)
	return func(k string) string {
		owner, _ := c.Get(k)
		return owner
	}
}

// lafiklAcquire is what its documentation does for a bounded load. Finding and
// counting are two steps, so the bound does not hold with more than one
// goroutine.
func lafiklAcquire(n int) bench.Impl {
	return bench.Impl{Name: laf, Setup: func(func(func())) bench.Op {
		c, all := newLafikl(n), keys()
		return func(start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if host, err := c.GetLeast(key(all, i)); err == nil {
					c.Inc(host)
					c.Done(host)
					found++
				}
			}
			return found
		}
	}}
}
