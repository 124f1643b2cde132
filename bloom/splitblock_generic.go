//go:build !amd64 || purego

// SPDX-License-Identifier: MIT

package bloom

// haveKernels is false: the methods of block do all the work.
const haveKernels = false

func hasKernel(*block, uint64, uint64) bool               { panic("bloom: no kernel") }
func addKernel(*block, uint64, uint64) bool               { panic("bloom: no kernel") }
func hasAllKernel(*block, uint64, *uint64, uint64, *bool) { panic("bloom: no kernel") }
