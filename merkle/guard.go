// SPDX-License-Identifier: MIT

package merkle

// guard calls f, and then ended, however f ends: returned is false if f
// panicked or called [runtime.Goexit], and p is the value of the panic, nil
// after Goexit. A panic ends here; the caller decides the fate of p.
func guard(f func(), ended func(p any, returned bool)) {
	returned := false
	defer func() {
		if returned {
			return
		}
		ended(recover(), false)
	}()
	f()
	returned = true
	ended(nil, true)
}
