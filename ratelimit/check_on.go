//go:build invariants

// SPDX-License-Identifier: MIT

package ratelimit

// invariants reports whether check methods run after each change.
const invariants = true
