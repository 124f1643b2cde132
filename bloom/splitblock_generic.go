//go:build !amd64 || purego

// SPDX-License-Identifier: MIT

package bloom

// haveKernels is false: the methods of block do all the work.
const haveKernels = false

// hasBlock reports whether the bits of h are set in its block.
func hasBlock(blocks []block, h uint64) bool { return hasBlockPure(blocks, h) }

func addKernel(*block, uint64, uint64) bool               { panic("bloom: no kernel") }
func hasAllKernel(*block, uint64, *uint64, uint64, *bool) { panic("bloom: no kernel") }
