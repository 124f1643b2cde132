// SPDX-License-Identifier: MIT

package quorum

import "context"

// LWW is the [State] of a register whose last writer wins: of two values, the
// one with the greater stamp stays. The zero LWW is a key that was never
// written.
type LWW[V any] struct {
	Value   V     // the zero V if Deleted
	Stamp   Stamp // of the write or deletion
	Deleted bool  // the value was deleted at Stamp
}

// Join returns the one of l and o that was written last.
func (l LWW[V]) Join(o LWW[V]) LWW[V] {
	if o.Stamp.Compare(l.Stamp) > 0 {
		return o
	}
	return l
}

// Covers reports whether o was not written after l.
func (l LWW[V]) Covers(o LWW[V]) bool { return l.Stamp.Compare(o.Stamp) >= 0 }

// A KV is a replicated map whose last writer wins. It is safe for concurrent
// use by multiple goroutines.
//
// Without [Atomic], Put takes its stamp from the clock, so that of two writers
// the one whose clock is ahead wins. A clock that has read or written a value
// makes greater stamps than that one, unless that lies ahead of the time by
// more than ClockOptions.MaxOffset: then Put loses, and is refused with Atomic.
type KV[K comparable, V any] struct {
	c     *Cluster[K, LWW[V]]
	clock *Clock
}

// NewKV returns a map on replicas that stamps writes by clock. It returns the
// errors of [New]. It panics if clock is nil.
func NewKV[K comparable, V any](replicas []Replica[K, LWW[V]], clock *Clock, opts *Options) (*KV[K, V], error) {
	if clock == nil {
		panic("quorum: clock must not be nil")
	}
	c, err := New(replicas, opts)
	if err != nil {
		return nil, err
	}
	return &KV[K, V]{c: c, clock: clock}, nil
}

// Get returns the value of key and the stamp of its last write. It returns
// [ErrNotFound] if key was never written, with the zero Stamp, or was deleted,
// with the stamp of that, and else the errors of [Cluster.Load].
func (d *KV[K, V]) Get(ctx context.Context, key K, calls ...Call) (V, Stamp, error) {
	var zero V
	s, err := d.c.Load(ctx, key, calls...)
	if err != nil {
		return zero, Stamp{}, err
	}

	// A write with a stamp from too far ahead can be read nevertheless.
	_ = d.clock.Observe(s.Stamp)
	if s.Deleted || s.Stamp == (Stamp{}) {
		return zero, s.Stamp, ErrNotFound
	}
	return s.Value, s.Stamp, nil
}

// Put writes v, and returns its stamp. It returns the errors of
// [Cluster.Merge]; with [Atomic] also an [ErrUnavailable] if the stamps could
// not be read, or an [ErrDrift], and nothing is written then.
func (d *KV[K, V]) Put(ctx context.Context, key K, v V, calls ...Call) (Stamp, error) {
	return d.write(ctx, key, LWW[V]{Value: v}, calls)
}

// Delete is Put of no value. The stamp of the deletion is kept until [KV.Purge]
// forgets it, so that an older value does not come back from a replica that
// missed the deletion.
func (d *KV[K, V]) Delete(ctx context.Context, key K, calls ...Call) (Stamp, error) {
	return d.write(ctx, key, LWW[V]{Deleted: true}, calls)
}

// write writes l with a new stamp.
func (d *KV[K, V]) write(ctx context.Context, key K, l LWW[V], calls []Call) (Stamp, error) {
	d.c.mustUse()
	call := combine(calls)
	p, err := d.c.planMerge(call)
	if err != nil {
		return Stamp{}, err
	}

	// An atomic write surpasses each write that has ended, whatever clocks say.
	if call.atomic {
		seen, err := d.c.Load(ctx, key)
		if err != nil {
			return Stamp{}, err
		}
		if err := d.clock.Observe(seen.Stamp); err != nil {
			return Stamp{}, err
		}
	}
	l.Stamp = d.clock.Now()
	return l.Stamp, d.c.merge(ctx, key, l, p.system)
}

// Cluster returns the cluster below d, for [Cluster.Repair], [Cluster.Stats]
// and [Cluster.Close].
func (d *KV[K, V]) Cluster() *Cluster[K, LWW[V]] { return d.c }

// Close is [Cluster.Close].
func (d *KV[K, V]) Close(ctx context.Context) error { return d.c.Close(ctx) }
