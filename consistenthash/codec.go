// SPDX-License-Identifier: MIT

package consistenthash

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// The binary form begins with the magic and the version.
const (
	magic   = "ashlarch"
	version = 1
)

const (
	headSize = len(magic) + 2 + 6 + 8 + 4 + 4 // magic, version, reserved, seed, virtual nodes, count
	tailSize = 8 + 8                          // fingerprint, checksum
	nodeSize = 8 + 2 + 1 + 2                  // of a node with a name of one byte and no zone
)

var errHash = errors.New("consistenthash: a snapshot with a hash of its own cannot be marshaled")

// AppendBinary appends the binary form of s, described in the documentation of
// the package. It returns an error if Options.Hash is set, which bytes cannot
// hold, or if s is from [NewKetama].
func (s Snapshot) AppendBinary(b []byte) ([]byte, error) {
	if s.opts.Hash != nil {
		return b, errHash
	}

	// Header.
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = append(b, 0, 0, 0, 0, 0, 0) // reserved
	b = binary.LittleEndian.AppendUint64(b, s.opts.Seed)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.opts.resolve().VirtualNodes))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.nodes)))

	// Members, in the order of their names.
	for _, n := range s.nodes {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n.Weight))
		b = appendString(b, n.Name)
		b = appendString(b, n.Zone)
	}
	b = binary.LittleEndian.AppendUint64(b, s.Fingerprint())
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b[start:])), nil
}

// MarshalBinary returns the binary form of s; see [Snapshot.AppendBinary].
func (s Snapshot) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary makes s the snapshot in data. Any bytes are safe: an error,
// which wraps [ErrCorrupt], [ErrVersion] or [ErrTooLarge], leaves s as it was.
// The members are checked before they are placed. The Options.MaxPoints of s
// bound their points: those that were given to [NewSnapshot], or the default
// for a zero Snapshot.
func (s *Snapshot) UnmarshalBinary(data []byte) error {
	if len(data) < headSize+tailSize || string(data[:len(magic)]) != magic {
		return fmt.Errorf("%w: no header", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint16(data[len(magic):]); v != version {
		return fmt.Errorf("%w: %d", ErrVersion, v)
	}

	// The rest counts only with its checksum.
	body := data[:len(data)-8]
	if xxhash.Sum64(body) != binary.LittleEndian.Uint64(data[len(body):]) {
		return fmt.Errorf("%w: the checksum is wrong", ErrCorrupt)
	}
	if reserved := data[len(magic)+2 : len(magic)+8]; string(reserved) != "\x00\x00\x00\x00\x00\x00" {
		return fmt.Errorf("%w: reserved bytes % x", ErrVersion, reserved)
	}

	// A node takes at least nodeSize bytes: the count is bounded by those that
	// are there.
	d := decoder{body[len(magic)+8:]}
	opts := Options{Seed: d.uint64(), VirtualNodes: int(d.uint32()), MaxPoints: s.opts.MaxPoints}
	count := d.uint32()
	if uint64(count) > uint64(len(d.rest)/nodeSize) {
		return fmt.Errorf("%w: %d nodes do not fit into the bytes", ErrCorrupt, count)
	}
	nodes := make([]Node, count)
	for i := range nodes {
		n := &nodes[i]
		n.Weight = math.Float64frombits(d.uint64())
		n.Name = d.string()
		n.Zone = d.string()
	}
	if len(d.rest) != 8 {
		return fmt.Errorf("%w: %d bytes where 8 are due", ErrCorrupt, len(d.rest))
	}
	fingerprint := d.uint64()
	return s.restore(opts, nodes, &fingerprint)
}

// restore makes s a snapshot of nodes. If a fingerprint is given, it must be
// that of the snapshot.
func (s *Snapshot) restore(opts Options, nodes []Node, fingerprint *uint64) error {
	if opts.VirtualNodes == 0 {
		opts.VirtualNodes = -1 // a stored number is never the default
	}
	if err := opts.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}

	// The fingerprint is that of the members, so it is checked before points
	// are made of them.
	next := &Snapshot{opts: opts.resolve(), nodes: nodes}
	if err := next.normalize(); err != nil {
		if errors.Is(err, ErrTooLarge) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if fingerprint != nil && next.Fingerprint() != *fingerprint {
		return fmt.Errorf("%w: the fingerprint is not that of the nodes", ErrCorrupt)
	}
	next.complete(&Snapshot{})
	*s = *next
	return nil
}

// A decoder reads the fields of a binary form. Missing ones read as zeros, and
// leave no byte for the fingerprint, by which UnmarshalBinary refuses them.
type decoder struct{ rest []byte }

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.rest = nil
		return make([]byte, min(n, 8))
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uint64() uint64 { return binary.LittleEndian.Uint64(d.take(8)) }
func (d *decoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.take(4)) }
func (d *decoder) string() string { return string(d.take(int(binary.LittleEndian.Uint16(d.take(2))))) }

// A document is the JSON form. Numbers of 64 bits are strings, which JavaScript
// does not round.
type document struct {
	Algorithm    string `json:"algorithm"`
	Seed         uint64 `json:"seed,string"`
	VirtualNodes int    `json:"virtualNodes"`
	Nodes        []Node `json:"nodes"`
	Fingerprint  string `json:"fingerprint"`
}

// MarshalJSON returns the JSON form of s, described in the documentation of the
// package. It returns an error if Options.Hash is set or a name or zone is not
// UTF-8, which JSON cannot hold, or if s is from [NewKetama].
func (s Snapshot) MarshalJSON() ([]byte, error) {
	if s.opts.Hash != nil {
		return nil, errHash
	}
	for _, n := range s.nodes {
		if !utf8.ValidString(n.Name) || !utf8.ValidString(n.Zone) {
			return nil, fmt.Errorf("consistenthash: the name or zone of node %q is not UTF-8", n.Name)
		}
	}
	return json.Marshal(document{
		algorithm, s.opts.Seed, s.opts.resolve().VirtualNodes,
		append([]Node{}, s.nodes...), fmt.Sprintf("%016x", s.Fingerprint()),
	})
}

// UnmarshalJSON makes s the snapshot in data; null changes nothing. A person
// can write a snapshot: a fingerprint that is missing is not checked, and
// virtualNodes that are missing are the default. It is as safe as
// [Snapshot.UnmarshalBinary], with the same errors.
func (s *Snapshot) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	d := document{VirtualNodes: defaultVirtualNodes}
	if err := json.Unmarshal(data, &d); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if d.Algorithm != algorithm {
		if strings.HasPrefix(d.Algorithm, strings.TrimSuffix(algorithm, "1")) {
			return fmt.Errorf("%w: the algorithm is %q", ErrVersion, d.Algorithm)
		}
		return fmt.Errorf("%w: the algorithm is %q, want %q", ErrCorrupt, d.Algorithm, algorithm)
	}

	// A file written by hand has no fingerprint.
	opts := Options{Seed: d.Seed, VirtualNodes: d.VirtualNodes, MaxPoints: s.opts.MaxPoints}
	if d.Fingerprint == "" {
		return s.restore(opts, d.Nodes, nil)
	}
	fingerprint, err := strconv.ParseUint(d.Fingerprint, 16, 64)
	if err != nil {
		return fmt.Errorf("%w: the fingerprint is %q", ErrCorrupt, d.Fingerprint)
	}
	return s.restore(opts, d.Nodes, &fingerprint)
}
