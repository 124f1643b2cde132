// SPDX-License-Identifier: MIT

package consistenthash

import "errors"

var (
	// ErrName is returned by [Ring.Add] and everything else that takes nodes
	// if a name is empty, longer than 65535 bytes, or given twice in one call.
	ErrName = errors.New("consistenthash: bad node name")

	// ErrWeight is returned by [Ring.Add] and everything else that takes nodes
	// if a weight is negative, infinite or not a number.
	ErrWeight = errors.New("consistenthash: bad weight")

	// ErrTooLarge is returned by [Ring.Add], and by all that make or read a
	// [Snapshot], if the nodes need more than Options.MaxPoints points.
	ErrTooLarge = errors.New("consistenthash: too many points")

	// ErrCorrupt is returned by [Snapshot.UnmarshalBinary] and
	// [Snapshot.UnmarshalJSON] for bytes that are damaged or no snapshot.
	ErrCorrupt = errors.New("consistenthash: not a snapshot, or a damaged one")

	// ErrVersion is returned by [Snapshot.UnmarshalBinary] and
	// [Snapshot.UnmarshalJSON] for a snapshot of a version that this package
	// does not know.
	ErrVersion = errors.New("consistenthash: unknown version of a snapshot")
)
