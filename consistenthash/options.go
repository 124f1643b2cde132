// SPDX-License-Identifier: MIT

package consistenthash

import (
	"fmt"
	"strings"
)

// Options are the optional settings of a [Ring] and of a [Snapshot].
// All processes that share a placement must use the same ones.
type Options struct {
	// VirtualNodes is the number of points on the ring of a node of weight 1. If zero, 150,
	// at which the share of a node has a standard deviation of 8 % of the mean. It falls with the
	// square root: 1000 points give 3 %.
	VirtualNodes int

	// Seed makes the placement one that others cannot predict from the keys. If zero, the hash
	// is used as it is.
	Seed uint64

	// Hash hashes names and keys. If nil, xxHash64. It must be a pure function whose results
	// spread over all 64 bits: the position on the ring is the high bits. It must not call the
	// ring. A snapshot with a Hash cannot be marshaled.
	Hash func(string) uint64
}

const (
	defaultVirtualNodes = 150
	maxPoints           = 1 << 22 // of a snapshot, so that crafted bytes cannot ask for the memory of a machine
	maxName             = 1<<16 - 1
)

// Validate returns an error if o cannot be used.
func (o *Options) Validate() error {
	if o != nil && (o.VirtualNodes < 0 || o.VirtualNodes > maxPoints) {
		return fmt.Errorf("consistenthash: Options.VirtualNodes must be between 0 and %d, got %d", maxPoints, o.VirtualNodes)
	}
	return nil
}

// resolve returns o with its defaults.
func (o *Options) resolve() Options {
	var r Options
	if o != nil {
		r = *o
	}
	if r.VirtualNodes == 0 {
		r.VirtualNodes = defaultVirtualNodes
	}
	return r
}

// reason returns the text of err without the prefix, which a panic sets itself.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "consistenthash: ") }
