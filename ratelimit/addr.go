// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"net/netip"
)

// MaskAddr returns the network that a belongs to, as a key for [Keyed]: its
// first v4 bits if it is an IPv4 address, its first v6 if it is IPv6. One
// customer commonly has 32 bits of IPv4 but a /64 of IPv6, whose 2^64 addresses
// must not count as so many clients: use MaskAddr(a, 32, 64). An IPv4 address
// mapped into IPv6 counts as IPv4, and the zone is dropped; the invalid address
// stays as it is. It panics if v4 is not between 0 and 32 or v6 not between 0
// and 128.
func MaskAddr(a netip.Addr, v4, v6 int) netip.Addr {
	if v4 < 0 || v4 > 32 || v6 < 0 || v6 > 128 {
		panic(fmt.Sprintf("ratelimit: prefix lengths must be at most 32 and 128, got %d and %d", v4, v6))
	}
	if !a.IsValid() {
		return a
	}
	a = a.Unmap().WithZone("")
	n := v6
	if a.Is4() {
		n = v4
	}
	p, _ := a.Prefix(n) // cannot fail: n is in range
	return p.Addr()
}
