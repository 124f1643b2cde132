//go:build invariants

// SPDX-License-Identifier: MIT

package quorum

// invariants reports whether check methods run after each change.
const invariants = true
