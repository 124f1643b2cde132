// SPDX-License-Identifier: MIT

package consistenthash

// Implementation notes.
//
// A Ring is a pointer to an immutable Snapshot. Writers build the next one and
// swap the pointer; readers load it once and need no lock:
//
//	Ring (mutex, options, pointer) ──▶ Snapshot
//	                                     names   a  b  c               sorted: an index is a rank
//	                                     points  03 17 2a 5c 90 .. ff  sorted, 8 bytes each
//	                                     owners   1  0  0  2  1 ..  1  4 bytes each
//	                                     table   ~0  0  0 ~3 ..        4 bytes, three a point
//
// Point i of a node is mix(base + i·φ), where base is the hash of its name:
// names and numbers are never concatenated, and a node's points depend on no
// other node. A key belongs to the first point at or after its hash. The entry
// after the last is a sentinel at 2^64-1 that belongs to the owner of the
// first, so that no search wraps.
//
// The table cuts the ring in equal buckets, bucket(h) = high word of
// h·len(table). An entry that is not negative is the owner of every hash in the
// bucket. A negative one, ~i, says that the first point at or after the start
// of the bucket is i, from where a scan is short. With three buckets a point,
// about three lookups in four are answered by the one load.
//
// A node without a share is a member that has no points. Lookups, lists and
// plans read points, and so never meet it.
//
// Invariants, checked under the tag invariants after each build:
//
//	I1 names are sorted and distinct; a node has a point unless its weight is
//	   NoShare.
//	I2 points are sorted by (hash, owner), all of a node's are there, and the
//	   sentinel is last.
//	I3 the table answers as a binary search does, at both ends of every bucket.
//	I4 zones of nodes with points are numbered in the order of their names, and
//	   larger[r] counts those with more than r such nodes.
//
// Lock order: Ring.mu and Balancer.mu are never held together; Options.Hash may
// run under the first.
//
// Why not a map from hash to node, as most rings: two nodes with a point in
// common overwrite each other, so the placement depends on the order of joins,
// and removing one removes the other's point (stathat/consistent#5,
// lafikl/consistent#10). Why not a binary search: it is ten times slower than
// the table at 100 nodes, since each step waits for memory. Why not CRC-32:
// with 150 points and 100 nodes named by address the largest share is 1.64 of
// the mean, where a good hash gives 1.22.

import (
	"sync"
	"sync/atomic"
)

// A Ring assigns keys to nodes so that a change of membership moves as few keys
// as it can. The zero value is an empty ring with the default options, ready to
// use; [New] sets others. It is safe for concurrent use by multiple goroutines
// and must not be copied.
//
// Reads take no lock: each acts on the [Snapshot] of one instant. To make
// several reads of one membership, or to see what a change will move, use
// [Ring.Snapshot].
type Ring struct {
	current atomic.Pointer[Snapshot]
	empty   Snapshot // has the options; the snapshot of an empty ring

	mu sync.Mutex // held by writers, from reading current to replacing it
}

// New returns an empty Ring. If opts is nil, the defaults are used.
// It panics if opts is not valid.
func New(opts *Options) *Ring {
	if err := opts.Validate(); err != nil {
		panic(err)
	}
	return &Ring{empty: Snapshot{opts: opts.resolve()}}
}

// Get returns the node that key belongs to; ok is false if no node has a share.
// The complexity is O(1) expected.
func (r *Ring) Get(key string) (node string, ok bool) { return r.Snapshot().Get(key) }

// GetBytes is [Ring.Get] for a key in bytes. It does not allocate unless
// Options.Hash is set.
func (r *Ring) GetBytes(key []byte) (node string, ok bool) { return r.Snapshot().GetBytes(key) }

// AppendN appends to dst the first n nodes of key's preference list; see
// [Snapshot.AppendN].
func (r *Ring) AppendN(dst []string, key string, n int) []string {
	return r.Snapshot().AppendN(dst, key, n)
}

// AppendShard appends to dst the shard of k nodes of a tenant; see
// [Snapshot.AppendShard].
func (r *Ring) AppendShard(dst []string, tenant string, k int) []string {
	return r.Snapshot().AppendShard(dst, tenant, k)
}

// Add adds nodes, and gives those that are members already the weight and zone
// given. All are added or, if there is an error, none. The errors wrap
// [ErrName], [ErrWeight] and [ErrTooLarge]. The complexity is O(V) where V is
// the number of points.
func (r *Ring) Add(nodes ...Node) error {
	return r.change(func(s *Snapshot) (*Snapshot, error) { return s.With(nodes...) })
}

// Remove removes the nodes named and returns how many of them were members.
// The complexity is O(V) where V is the number of points.
func (r *Ring) Remove(names ...string) (removed int) {
	_ = r.change(func(s *Snapshot) (*Snapshot, error) { // never fails
		next := s.Without(names...)
		removed = len(s.given()) - len(next.given())
		return next, nil
	})
	return removed
}

// Set makes nodes the members, in one step: no reader sees a ring in between.
// The errors are those of [Ring.Add], and leave the ring as it was.
func (r *Ring) Set(nodes ...Node) error {
	return r.change(func(s *Snapshot) (*Snapshot, error) { return s.build(nodes) })
}

// SetSnapshot makes s the ring's snapshot, and the options of s its options: a
// snapshot that was read from bytes becomes a ring, and one that was kept comes
// back.
func (r *Ring) SetSnapshot(s *Snapshot) {
	_ = r.change(func(*Snapshot) (*Snapshot, error) { return s, nil }) // never fails
}

// change replaces the snapshot by the one that next makes of it, unless next
// returns an error.
func (r *Ring) change(next func(*Snapshot) (*Snapshot, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := next(r.Snapshot())
	if err == nil {
		r.current.Store(s)
	}
	return err
}

// Snapshot returns the ring as it is now. It never changes and may be kept.
func (r *Ring) Snapshot() *Snapshot {
	if s := r.current.Load(); s != nil {
		return s
	}
	return &r.empty
}

// MarshalJSON returns the JSON form of the ring's [Snapshot].
func (r *Ring) MarshalJSON() ([]byte, error) { return r.Snapshot().MarshalJSON() }

// UnmarshalJSON makes the ring the one in data; see [Snapshot.UnmarshalJSON].
func (r *Ring) UnmarshalJSON(data []byte) error {
	return r.change(func(old *Snapshot) (*Snapshot, error) {
		if string(data) == "null" {
			return old, nil
		}
		s := &Snapshot{opts: Options{MaxPoints: old.opts.MaxPoints}}
		return s, s.UnmarshalJSON(data)
	})
}
