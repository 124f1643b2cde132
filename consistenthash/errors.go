// SPDX-License-Identifier: MIT

package consistenthash

import "errors"

var (
	// ErrName is returned by [Ring.Add] and everything else that takes nodes if
	// a name is empty or given twice in one call, if a name or zone is longer
	// than 65535 bytes, or if a name is no address for [NewKetama].
	ErrName = errors.New("consistenthash: bad node name")

	// ErrWeight is returned by [Ring.Add] and everything else that takes nodes
	// if a weight is negative and not [NoShare], infinite or not a number, or
	// outside the bounds that [NewMaglev], [NewRendezvous] and [NewKetama] set.
	ErrWeight = errors.New("consistenthash: bad weight")

	// ErrTooLarge is returned by [Ring.Add], and by everything else that makes
	// or reads a [Snapshot], if the nodes need more than Options.MaxPoints
	// points, and by [NewMaglev] if there are more nodes than slots.
	ErrTooLarge = errors.New("consistenthash: too many points")

	// ErrCorrupt is returned by [Snapshot.UnmarshalBinary] and
	// [Snapshot.UnmarshalJSON] for bytes that are damaged or not a snapshot.
	ErrCorrupt = errors.New("consistenthash: not a snapshot, or a damaged one")

	// ErrVersion is returned by [Snapshot.UnmarshalBinary] and
	// [Snapshot.UnmarshalJSON] for a snapshot of a version that this package
	// does not know.
	ErrVersion = errors.New("consistenthash: unknown version of a snapshot")
)
