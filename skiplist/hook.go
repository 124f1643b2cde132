// SPDX-License-Identifier: MIT

package skiplist

import (
	"runtime"
	"sync"
)

// onStep is called before each access of a ConcurrentMap to what goroutines
// share, with blocked if the access is a lock that another goroutine has. It is
// alive under the tag invariants only, and is set while no operation runs: the
// tests choose by it who takes the next step.
var onStep func(blocked bool)

// step stands before each access to what goroutines share. Without the tag
// invariants it compiles to nothing.
func step() {
	if invariants && onStep != nil {
		onStep(false)
	}
}

// lock locks mu. Under a scheduler of the tests a goroutine must not block, so
// that it tries again when it is its turn.
func lock(mu *sync.Mutex) {
	if !invariants || onStep == nil {
		mu.Lock()
		return
	}
	for onStep(false); !mu.TryLock(); onStep(true) {
		runtime.Gosched()
	}
}

// tryLock locks mu if nobody has it, and reports whether it did.
func tryLock(mu *sync.Mutex) bool {
	step()
	return mu.TryLock()
}
