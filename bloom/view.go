// SPDX-License-Identifier: MIT

package bloom

// View returns a filter that reads its lines from b, which is in the format of
// FORMAT.md and must not change while the filter is in use: a file mapped into
// memory, or a part of a larger buffer. It takes the same time whatever the
// size, and checks the header and the length, not the lines; see [Verify].
// Methods that would change the filter panic; Clone returns one that can be
// changed.
//
// If the machine is big endian, or b does not begin at a multiple of 8 bytes in
// memory, the lines are copied.
func View(b []byte) (*Filter, error) {
	h, body, err := split(b, kindFilter)
	if err != nil {
		return nil, err
	}
	f := &Filter{shape: h.shape, readOnly: true}
	f.lines = alias(body, int(h.lines))
	if f.lines == nil {
		f.lines = parseLines(make([]line, 0, h.lines), body)
	}
	return f, nil
}
