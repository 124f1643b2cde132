// SPDX-License-Identifier: MIT

package quorum

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Options are the optional settings of a [Cluster], a [KV] or a [Multi].
type Options struct {
	// Read and Write are the levels of calls that do not say [At]. If zero,
	// [Quorum]. New returns an error if a read can miss a write.
	Read, Write Level

	// AllowStale permits levels at which a read can miss a write, here and with
	// At: a read may then return less than the last write.
	AllowStale bool

	// Repair is how a read mends replicas that it finds behind. If zero,
	// [RepairAsync].
	Repair RepairMode

	// Timeout ends the context of each request to a replica. If zero, that of a
	// read ends with the caller's only, and that of a write, which goes on
	// without the caller once a quorum has answered, after 10 * time.Second.
	Timeout time.Duration

	// Hedge is how long a read waits for a replica before it asks one more. If
	// zero, twice the median latency of that replica, or its 90th percentile if
	// that is more, and at least a millisecond; or 50 * time.Millisecond while
	// its latency is not known. If negative, a read asks more replicas only
	// when some fail.
	Hedge time.Duration

	// Zones are the zones of the replicas, in their order.
	Zones []string

	// Zone is the one of Zones that the caller is in: its replicas are asked
	// first. It is needed if Zones is set, and only then.
	Zone string

	// ReadSystem and WriteSystem are used instead of Read and Write, if set.
	ReadSystem, WriteSystem System
}

// A RepairMode is how a read mends replicas that it finds behind. It tells all
// replicas that are not known to have the result.
type RepairMode uint8

// Repair modes.
const (
	RepairAsync    RepairMode = iota // after the read has returned
	RepairBlocking                   // the read waits until a write quorum has its result, or cannot
	RepairOff                        // not at all
)

var repairNames = [...]string{"async", "blocking", "off"}

// String returns the name of m in lower case.
func (m RepairMode) String() string { return nameOf(repairNames[:], uint8(m), "repair") }

// MarshalText returns the name of m.
func (m RepairMode) MarshalText() ([]byte, error) {
	return marshalName(repairNames[:], uint8(m), "repair")
}

// UnmarshalText sets m to the mode that text names.
func (m *RepairMode) UnmarshalText(text []byte) error {
	i, err := unmarshalName(repairNames[:], text, "repair")
	if err == nil {
		*m = RepairMode(i)
	}
	return err
}

// Validate returns an error if o cannot be used, whatever the replicas are.
func (o *Options) Validate() error {
	switch {
	case o == nil:
		return nil
	case !o.Read.valid():
		return fmt.Errorf("quorum: Options.Read must be a level, got %d", int(o.Read))
	case !o.Write.valid():
		return fmt.Errorf("quorum: Options.Write must be a level, got %d", int(o.Write))
	case int(o.Repair) >= len(repairNames):
		return fmt.Errorf("quorum: Options.Repair must be a mode, got %d", o.Repair)
	case o.Timeout < 0:
		return fmt.Errorf("quorum: Options.Timeout must not be negative, got %v", o.Timeout)
	case len(o.Zones) > 0 && !slices.Contains(o.Zones, o.Zone):
		return fmt.Errorf("quorum: Options.Zone is %q, not one of Zones, %q", o.Zone, o.Zones)
	case len(o.Zones) == 0 && o.Zone != "":
		return fmt.Errorf("quorum: Options.Zone is %q without Zones", o.Zone)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *Options) resolve() Options {
	var r Options
	if o != nil {
		r = *o
	}
	r.Zones = slices.Clone(r.Zones)
	return r
}

// writeTimeout returns the time after which a request of a write ends.
func (o *Options) writeTimeout() time.Duration { return cmp.Or(o.Timeout, 10*time.Second) }

// HandoffOptions are the optional settings of a [Handoff].
type HandoffOptions struct {
	// Keys is the largest number of keys that have a hint. Beyond it, a merge
	// that fails leaves no hint. If zero, 1 << 16.
	Keys int

	// Down reports whether the target is believed to be down: then it is not
	// asked, and fails at once. It is called for each request, by several
	// goroutines at once: mostly it reads what a failure detector has found. It
	// may err. If nil, the target is always asked.
	Down func() bool

	// Sloppy lets a hint count as written. If the process ends, a write that
	// was confirmed by a hint can be lost.
	Sloppy bool
}

// Validate returns an error if o cannot be used.
func (o *HandoffOptions) Validate() error {
	if o != nil && o.Keys < 0 {
		return fmt.Errorf("quorum: HandoffOptions.Keys must not be negative, got %d", o.Keys)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *HandoffOptions) resolve() HandoffOptions {
	var r HandoffOptions
	if o != nil {
		r = *o
	}
	r.Keys = cmp.Or(r.Keys, 1<<16)
	return r
}

// DoOptions are the optional settings of [Do].
type DoOptions[T any] struct {
	// Hedge, if positive, asks only as many replicas as have a quorum, and one
	// more each time that Hedge passes or a replica fails. If negative, time
	// alone is no reason to ask more. If zero, all replicas are asked at once.
	Hedge time.Duration

	// Near are the replicas that are asked first, unless all are. If zero, all
	// are alike.
	Near Set

	// Timeout ends the context of a request so long after it began. If zero,
	// a request ends with the call only.
	Timeout time.Duration

	// Terminal reports whether an error ends the call, since the other replicas
	// would say the same: the request is not valid, say. If nil, none does.
	Terminal func(err error) bool

	// Discard is called with each value that Do does not return: one that came
	// late, or in vain. It runs in the goroutine that has the value, and may
	// run after Do returned. If nil, such values are dropped.
	Discard func(a Answer[T])
}

// Validate returns an error if o cannot be used.
func (o *DoOptions[T]) Validate() error {
	if o != nil && o.Timeout < 0 {
		return fmt.Errorf("quorum: DoOptions.Timeout must not be negative, got %v", o.Timeout)
	}
	return nil
}

// resolve returns a copy of o with its defaults, which are the zero values.
func (o *DoOptions[T]) resolve() DoOptions[T] {
	var r DoOptions[T]
	if o != nil {
		r = *o
	}
	return r
}

// CASOptions are the optional settings of a [CAS].
type CASOptions struct {
	// System says which acceptors are a quorum; any two quorums must have one
	// in common. If zero, the majority of all.
	System System

	// Timeout bounds each request. If zero, 10 * time.Second.
	Timeout time.Duration

	// Keys is the number of keys that the CAS remembers: an update of one takes
	// one round trip instead of two if no other CAS came between. If zero,
	// 4096.
	Keys int
}

// Validate returns an error if o cannot be used, whatever the acceptors are.
func (o *CASOptions) Validate() error {
	switch {
	case o == nil:
		return nil
	case o.Timeout < 0:
		return fmt.Errorf("quorum: CASOptions.Timeout must not be negative, got %v", o.Timeout)
	case o.Keys < 0:
		return fmt.Errorf("quorum: CASOptions.Keys must not be negative, got %d", o.Keys)
	}
	return nil
}

// resolve returns a copy of o with its defaults for n acceptors.
func (o *CASOptions) resolve(n int) CASOptions {
	var r CASOptions
	if o != nil {
		r = *o
	}
	if r.System.node == nil {
		r.System = Majority(First(n))
	}
	r.Timeout = cmp.Or(r.Timeout, 10*time.Second)
	r.Keys = cmp.Or(r.Keys, 4096)
	return r
}

// LeaseOptions are the optional settings of a [Lease].
type LeaseOptions struct {
	// TTL is how long the lease is held after it was acquired or renewed, and
	// so the least time that others wait after its holder has died. Those that
	// compete may have different ones. If zero, 10 * time.Second.
	TTL time.Duration

	// Retry is the time after which Acquire asks again whether the lease was
	// given back, and a holder tries again to renew it after a failure. If
	// zero, a tenth of TTL.
	Retry time.Duration

	// Name tells people who has the lease.
	Name string

	// Now is the clock by which the lease ends. If nil, the system's monotonic
	// clock. Its readings may stand still or go back, which makes a lease last
	// longer: only a simulation has such a clock. [Lease.Acquire] and
	// [Lease.Do] wait by the system's clock in any case.
	Now func() time.Time
}

// Validate returns an error if o cannot be used.
func (o *LeaseOptions) Validate() error {
	switch {
	case o == nil:
		return nil
	case o.TTL < 0:
		return fmt.Errorf("quorum: LeaseOptions.TTL must not be negative, got %v", o.TTL)
	case o.Retry < 0:
		return fmt.Errorf("quorum: LeaseOptions.Retry must not be negative, got %v", o.Retry)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *LeaseOptions) resolve() LeaseOptions {
	var r LeaseOptions
	if o != nil {
		r = *o
	}
	r.TTL = cmp.Or(r.TTL, 10*time.Second)
	r.Retry = cmp.Or(r.Retry, max(r.TTL/10, 1))
	return r
}

// ClockOptions are the optional settings of a [Clock].
type ClockOptions struct {
	// MaxOffset is how far ahead of the time a stamp of another node may lie.
	// If zero, 500 * time.Millisecond; if negative, stamps may lie anywhere.
	MaxOffset time.Duration

	// Now is the wall clock. If nil, [time.Now]. Its readings may stand still
	// or go back. Now must not call the Clock.
	Now func() time.Time
}

// Validate returns an error if o cannot be used. All settings can.
func (*ClockOptions) Validate() error { return nil }

// resolve returns a copy of o with its defaults.
func (o *ClockOptions) resolve() ClockOptions {
	var r ClockOptions
	if o != nil {
		r = *o
	}
	r.MaxOffset = cmp.Or(r.MaxOffset, 500*time.Millisecond)
	if r.Now == nil {
		r.Now = time.Now
	}
	return r
}
