// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// shortLen is the length of codes of which all are looked at.
const shortLen = 3

// guesses is how many codes a scanner tries in a second.
const guesses = 100

// reportCodes shows what codes look like, and what they are worth.
func reportCodes(_ context.Context, c *config, w io.Writer) error {
	p, err := newPermutation(keyOf(c.seed), codeLen)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "codes: six digits of base 62, by a counter and by a keyed permutation of it")
	fmt.Fprintf(w, "%-10s", "number")
	for n := range uint64(8) {
		fmt.Fprintf(w, "%8d", n)
	}
	fmt.Fprintf(w, "\n%-10s", "counter")
	for n := range uint64(8) {
		fmt.Fprintf(w, "%8s", encode(n, codeLen))
	}
	fmt.Fprintf(w, "\n%-10s", "permuted")
	for n := range uint64(8) {
		fmt.Fprintf(w, "%8s", p.code(n))
	}
	fmt.Fprintf(w, "\n\n%12s%26s%38s\n", "links", "a guess finds", "the first is found, at 100 guesses/s")
	for links := uint64(1000); links <= 1_000_000_000; links *= 1000 {
		tries := p.size / links
		after := time.Duration(float64(tries) / guesses * float64(time.Second))
		fmt.Fprintf(w, "%12d%17s%9d%38s\n", links, "1 of", tries, about(after))
	}
	fmt.Fprintln(w, "of a counter the next one is known: a code is no password, and this one no list")

	short, err := newPermutation(keyOf(c.seed), shortLen)
	if err != nil {
		return err
	}
	if err := checkCodes(short.size, short.code, short.number); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "law holds: the %d codes of %d digits are given once each, and lead back\n\n", short.size, shortLen)
	return err
}

// about returns d in one unit.
func about(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	case d >= time.Minute:
		return fmt.Sprintf("%.1f minutes", d.Minutes())
	}
	return fmt.Sprintf("%.1f seconds", d.Seconds())
}

// checkCodes checks that codes of the numbers below size are a bijection.
func checkCodes(size uint64, code func(uint64) string, number func(string) (uint64, bool)) error {
	seen := make(map[string]bool, size)
	for n := range size {
		s := code(n)
		if seen[s] {
			return fmt.Errorf("%s is given twice", s)
		}
		seen[s] = true
		if back, ok := number(s); !ok || back != n {
			return fmt.Errorf("%s is the code of %d, and leads back to %d", s, n, back)
		}
	}
	return nil
}
