//go:build !invariants

// SPDX-License-Identifier: MIT

package skiplist

// invariants reports whether check methods run after each change.
const invariants = false
