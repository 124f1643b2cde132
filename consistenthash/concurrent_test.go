// SPDX-License-Identifier: MIT

package consistenthash

import (
	"testing"
	"time"
)

// TestLinearizable checks that Add, Remove and Get of a Ring happen at one
// instant each.
func TestLinearizable(t *testing.T) {
	type result struct {
		n  int
		ok bool
	}
	for deadline := time.Now().Add(*linearTime); time.Now().Before(deadline); {
		ring := New(&Options{VirtualNodes: 2})
		h := record(3, 8, func(proc, op int) int { return (proc + op*op) % 3 }, func(in int) (r result) {
			switch in {
			case 0:
				_ = ring.Add(Node{Name: "a"})
			case 1:
				r.n = ring.Remove("a")
			default:
				_, r.ok = ring.Get("k")
			}
			return r
		})

		ok := linearizable(false, h, func(member bool, in int, out result) (bool, bool) {
			switch in {
			case 0:
				return true, true
			case 1:
				return false, (out.n == 1) == member
			}
			return member, out.ok == member
		})
		if !ok {
			t.Fatalf("not linearizable: %v", h)
		}
	}
}
