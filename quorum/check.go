// SPDX-License-Identifier: MIT

package quorum

import "fmt"

// checkLocked panics if an invariant of the implementation notes does not hold.
// It runs only under the tag invariants.
func (o *op[K, S]) checkLocked() {
	if both := o.ok & o.failed; both != 0 {
		panic(fmt.Sprintf("quorum: I1 violated: %v have answered and failed", both))
	}
	if !(o.sent | o.ok).covers(o.failed) || !o.c.topo.all.covers(o.sent|o.ok) {
		panic(fmt.Sprintf("quorum: I2 violated: %v failed of %v asked", o.failed, o.sent))
	}
	if o.system.node != nil && o.vote != o.system.Vote(o.ok, o.failed) {
		panic(fmt.Sprintf("quorum: I3 violated: %v with %v of %v", o.vote, o.ok, o.system))
	}
}
