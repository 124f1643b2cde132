//go:build invariants

// SPDX-License-Identifier: MIT

package consistenthash

// invariants reports whether check methods run after each change.
const invariants = true
