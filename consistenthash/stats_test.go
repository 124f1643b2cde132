// SPDX-License-Identifier: MIT

package consistenthash

import "testing"

// TestStatsSub checks that Sub subtracts every figure.
func TestStatsSub(t *testing.T) { checkSub(t, Stats.Sub) }
