// SPDX-License-Identifier: MIT

package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
)

// digits are those of codes, in the order of their values.
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// codeLen is the length of a code that is not an alias.
const codeLen = 6

// keyLen is the length of the secret of a permutation.
const keyLen = 16

// rounds of the network. With a round function that is as good as random, four
// are a permutation that nobody tells from a random one by a few queries; more
// make up for halves that are short.
const rounds = 10

// A permutation maps the numbers below a power of 62 to each other, so that
// nobody without its key knows which number follows which. It is a Feistel
// network: whatever its round function is, it can be undone.
//
//	left   right          left' = right
//	  │      │            right' = left xor f(round, right)
//	  └──xor─┤
//	      ╲ ╱
//	      ╱ ╲
//	     right │ ...
//
// The network permutes the numbers of an even count of bits, some of which are
// too large. Of these it takes the image again, until one fits: going along a
// cycle that way is a permutation of those that fit.
type permutation struct {
	block  cipher.Block
	length int    // of codes
	size   uint64 // 62^length
	half   int    // bits of a half
}

// newPermutation returns that of codes of length digits, at most 10.
func newPermutation(key []byte, length int) (*permutation, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of codes: %w", err)
	}
	p := &permutation{block: block, length: length, size: 1}
	for range length {
		p.size *= uint64(len(digits))
	}
	p.half = (bits.Len64(p.size-1) + 1) / 2
	return p, nil
}

// code returns the code of number n, which is less than p.size.
func (p *permutation) code(n uint64) string {
	for {
		n = p.network(n, false)
		if n < p.size {
			return encode(n, p.length)
		}
	}
}

// number returns the number of a code, and whether there is one.
func (p *permutation) number(code string) (uint64, bool) {
	n, ok := decode(code)
	if !ok || len(code) != p.length {
		return 0, false
	}
	for {
		n = p.network(n, true)
		if n < p.size {
			return n, true
		}
	}
}

// network sends n through the rounds, or back.
func (p *permutation) network(n uint64, back bool) uint64 {
	mask := uint64(1)<<p.half - 1
	left, right := n>>p.half, n&mask
	for i := range uint64(rounds) {
		if back {
			left, right = right^p.round(rounds-1-i, left)&mask, left
		} else {
			left, right = right, left^p.round(i, right)&mask
		}
	}
	return left<<p.half | right
}

// round is AES of the number of the round and of a half.
func (p *permutation) round(i, half uint64) uint64 {
	var b [aes.BlockSize]byte
	binary.LittleEndian.PutUint64(b[:], i)
	binary.LittleEndian.PutUint64(b[8:], half)
	p.block.Encrypt(b[:], b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// encode writes n in length digits.
func encode(n uint64, length int) string {
	b := make([]byte, length)
	for i := length - 1; i >= 0; i-- {
		b[i] = digits[n%uint64(len(digits))]
		n /= uint64(len(digits))
	}
	return string(b)
}

// decode reads what encode wrote.
func decode(code string) (n uint64, ok bool) {
	for i := range len(code) {
		d := strings.IndexByte(digits, code[i])
		if d < 0 {
			return 0, false
		}
		n = n*uint64(len(digits)) + uint64(d)
	}
	return n, true
}
