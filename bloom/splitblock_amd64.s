//go:build !purego

// SPDX-License-Identifier: MIT

#include "textflag.h"

// A word with bit 0 set, for each lane.
DATA ones<>+0(SB)/8, $0x0000000100000001
DATA ones<>+8(SB)/8, $0x0000000100000001
DATA ones<>+16(SB)/8, $0x0000000100000001
DATA ones<>+24(SB)/8, $0x0000000100000001
GLOBL ones<>(SB), RODATA|NOPTR, $32

// The salts of splitblock.go, one a lane.
DATA salts<>+0(SB)/4, $0x47b6137b
DATA salts<>+4(SB)/4, $0x44974d91
DATA salts<>+8(SB)/4, $0x8824ad5b
DATA salts<>+12(SB)/4, $0xa2b7289d
DATA salts<>+16(SB)/4, $0x705495c7
DATA salts<>+20(SB)/4, $0x2df1424b
DATA salts<>+24(SB)/4, $0x9efc4947
DATA salts<>+28(SB)/4, $0x5c6bfb31
GLOBL salts<>(SB), RODATA|NOPTR, $32

// BLOCK turns the hash in BX into the offset of its block of n blocks:
// (h>>32)·n >> 32, times 32 bytes.
#define BLOCK(n) \
	SHRQ  $32, BX \
	IMULQ n, BX   \
	SHRQ  $32, BX \
	SHLQ  $5, BX

// MASK turns the low half of the hash, in each lane of Y1, into the bits of the
// key in Y0: 1 << (x·salt >> 27).
#define MASK(salts, ones) \
	VPMULLD salts, Y1, Y1 \
	VPSRLD  $27, Y1, Y1   \
	VPSLLVD Y1, ones, Y0

// func hasBlock(blocks []block, h uint64) bool
TEXT ·hasBlock(SB), NOSPLIT, $0-33
	CMPB         ·haveKernels(SB), $0
	JEQ          pure
	MOVQ         blocks_len+8(FP), CX
	TESTQ        CX, CX
	JEQ          zero
	MOVQ         blocks_base+0(FP), AX
	MOVQ         h+24(FP), BX
	VPBROADCASTD h+24(FP), Y1
	BLOCK(CX)
	VMOVDQU      ones<>(SB), Y2
	MASK(salts<>(SB), Y2)
	VMOVDQU      (AX)(BX*1), Y1
	VPTEST       Y0, Y1              // carry: no bit of Y0 is missing in Y1
	SETCS        ret+32(FP)
	VZEROUPPER
	RET

zero:
	MOVB $0, ret+32(FP)
	RET

pure:
	JMP ·hasBlockPure(SB)

// func addKernel(blocks *block, n, h uint64) bool
TEXT ·addKernel(SB), NOSPLIT, $0-25
	MOVQ         blocks+0(FP), AX
	MOVQ         h+16(FP), BX
	MOVQ         BX, X1
	BLOCK(n+8(FP))
	VPBROADCASTD X1, Y1
	VMOVDQU      ones<>(SB), Y2
	MASK(salts<>(SB), Y2)
	VMOVDQU      (AX)(BX*1), Y1
	VPTEST       Y0, Y1
	SETCC        ret+24(FP)          // no carry: a bit was missing, so the key is new
	VPOR         Y0, Y1, Y1
	VMOVDQU      Y1, (AX)(BX*1)
	VZEROUPPER
	RET

// func hasAllKernel(blocks *block, n uint64, hs *uint64, count uint64, out *bool)
TEXT ·hasAllKernel(SB), NOSPLIT, $0-40
	MOVQ    blocks+0(FP), AX
	MOVQ    n+8(FP), R8
	MOVQ    hs+16(FP), SI
	MOVQ    count+24(FP), CX
	MOVQ    out+32(FP), DI
	VMOVDQU salts<>(SB), Y2
	VMOVDQU ones<>(SB), Y3
	TESTQ   CX, CX
	JE      done

loop:
	MOVQ         (SI), BX
	VPBROADCASTD (SI), Y1
	BLOCK(R8)
	MASK(Y2, Y3)
	VMOVDQU      (AX)(BX*1), Y1
	VPTEST       Y0, Y1
	SETCS        (DI)
	ADDQ         $8, SI
	INCQ         DI
	DECQ         CX
	JNE          loop

done:
	VZEROUPPER
	RET

// func detectAVX2() bool
TEXT ·detectAVX2(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)

	// Leaf 7 exists.
	MOVL $0, AX
	MOVL $0, CX
	CPUID
	CMPL AX, $7
	JB   no

	// The processor has AVX, and the operating system saves its registers.
	MOVL   $1, AX
	MOVL   $0, CX
	CPUID
	ANDL   $0x18000000, CX // OSXSAVE and AVX
	CMPL   CX, $0x18000000
	JNE    no
	MOVL   $0, CX
	XGETBV
	ANDL   $6, AX          // XMM and YMM
	CMPL   AX, $6
	JNE    no

	// It has AVX2.
	MOVL $7, AX
	MOVL $0, CX
	CPUID
	SHRL $5, BX
	ANDL $1, BX
	MOVB BX, ret+0(FP)

no:
	RET
