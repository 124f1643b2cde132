// SPDX-License-Identifier: MIT

package lsm

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A tableProps holds the properties of a table.
type tableProps struct {
	smallest, largest []byte
	numbers           [propKnown]uint64 // by tag; nothing at those of the keys
}

const (
	propEntries    = 1
	propDeletes    = 2
	propSmallest   = 3
	propLargest    = 4
	propMinSeq     = 5
	propMaxSeq     = 6
	propKeyBytes   = 7
	propValueBytes = 8
	propLargestRaw = 9
	propBlocks     = 10
	propCodec      = 11 // only if a block has it
	propKnown      = 12 // tags from here up to tagMayGo are a later version's
)

// appendTo appends the payload of the properties.
func (p *tableProps) appendTo(b []byte) []byte {
	if p.numbers[propEntries] > 0 {
		b = appendField(b, propSmallest, p.smallest)
		b = appendField(b, propLargest, p.largest)
	}
	for tag := uint64(propEntries); tag < propKnown; tag++ {
		if tag != propSmallest && tag != propLargest && (tag != propCodec || p.numbers[tag] != 0) {
			b = appendField(b, tag, binary.AppendUvarint(nil, p.numbers[tag]))
		}
	}
	return b
}

// parseProps decodes the payload of the properties.
func parseProps(b []byte) (p tableProps, err error) {
	var seen [tagMayGo]bool
	for len(b) > 0 {
		tag, rest, ok := cutUvarint(b, math.MaxUint64)
		if !ok {
			return p, errDamaged
		}
		value, rest, ok := decodeBytes(rest)
		if !ok {
			return p, errDamaged
		}
		b = rest
		if tag >= tagMayGo {
			continue
		}
		if tag == 0 || tag >= propKnown {
			return p, errUnknown
		}
		if seen[tag] {
			return p, errDamaged
		}
		seen[tag] = true

		switch tag {
		case propSmallest:
			p.smallest = value
		case propLargest:
			p.largest = value
		default:
			x, more, ok := cutUvarint(value, math.MaxUint64)
			if !ok || len(more) > 0 {
				return p, errDamaged
			}
			p.numbers[tag] = x
		}
	}
	switch codec := p.numbers[propCodec]; {
	case codec > math.MaxUint8:
		return p, errUnknown
	case seen[propCodec] != (codec > 0):
		return p, errDamaged
	}

	// The keys are missing if there is none.
	for tag := propEntries; tag <= propBlocks; tag++ {
		key := tag == propSmallest || tag == propLargest
		if seen[tag] != (!key || p.numbers[propEntries] > 0) {
			return p, errDamaged
		}
	}
	return p, nil
}

// readProps reads the properties. The codec must be the one that was given.
func (t *tableFile) readProps(tail []byte) error {
	b, err := t.section(tail, t.foot.props, t.foot.at, maxPropsLen)
	if err != nil {
		return err
	}
	t.props, err = parseProps(b)
	if err != nil {
		return t.blame(t.foot.props, err)
	}
	if id := byte(t.props.numbers[propCodec]); id != 0 && (t.codec == nil || t.codec.ID() != id) {
		return &versionError{t.name, fmt.Sprintf("blocks of codec %d, which was not given", id)}
	}
	return nil
}

// meta returns what a manifest says of a table with a number.
func (t *tableFile) meta(no uint64) tableMeta {
	n := &t.props.numbers
	return tableMeta{
		no: no, size: uint64(t.size), nonce: t.foot.nonce,
		entries: n[propEntries], deletes: n[propDeletes],
		minSeq: n[propMinSeq], maxSeq: n[propMaxSeq],
		smallest: t.props.smallest, largest: t.props.largest,
	}
}
