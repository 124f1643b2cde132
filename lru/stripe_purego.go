//go:build purego

// SPDX-License-Identifier: MIT

package lru

import "math/rand/v2"

// stripeHash returns a random number: any stripe will do, and most are not in
// use just now.
func stripeHash() uint64 { return rand.Uint64() }
