//go:build !purego

// SPDX-License-Identifier: MIT

package bloom

// The kernels of splitblock_amd64.s treat the 8 words of a block as one vector.
// They need AVX2, which nearly every amd64 processor since 2013 has. Without
// it, with the tag purego and on other processors, the methods of block do the
// same (TestKernels); they take up to three times as long.

// haveKernels reports whether the processor and the operating system have AVX2.
var haveKernels = detectAVX2()

//go:noescape
func detectAVX2() bool

// hasBlock reports whether the bits of h are set in its block. Without AVX2 it
// goes on as hasBlockPure: the choice is made there, so that HasHash is one
// call.
//
//go:noescape
func hasBlock(blocks []block, h uint64) bool

// addKernel is AddHash for n blocks, at least one.
//
//go:noescape
func addKernel(blocks *block, n, h uint64) bool

// hasAllKernel writes to out, for each of count hashes, what hasBlock returns.
//
//go:noescape
func hasAllKernel(blocks *block, n uint64, hs *uint64, count uint64, out *bool)
