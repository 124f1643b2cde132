// SPDX-License-Identifier: MIT

package consistenthash

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Stats describe a [Snapshot]. The load of a node is its share of the ring divided by its share of
// the weights, so that 1 is what it should have.
type Stats struct {
	Nodes      int     // members
	Zones      int     // distinct zones of them
	Points     int     // of all nodes
	Bytes      int     // of points, owners and table; names are not counted
	PeakToMean float64 // the largest load
	MinToMean  float64 // the smallest load
	StdDev     float64 // the standard deviation of the load
}

// Stats returns the statistics of s. The complexity is O(V) where V is the number of points.
func (s *Snapshot) Stats() Stats {
	st := Stats{Nodes: len(s.nodes), Zones: s.zones, Bytes: 8*len(s.points) + 4*len(s.owners) + 4*len(s.table)}
	if len(s.nodes) == 0 {
		return st
	}
	st.Points = len(s.points) - 1
	total := 0.0
	for _, n := range s.nodes {
		total += n.Weight
	}
	st.MinToMean = math.Inf(1)
	squares := 0.0
	for i, share := range s.shares() {
		load := share * total / s.nodes[i].Weight
		st.PeakToMean, st.MinToMean = max(st.PeakToMean, load), min(st.MinToMean, load)
		squares += (load - 1) * (load - 1)
	}
	st.StdDev = math.Sqrt(squares / float64(len(s.nodes)))
	return st
}

// shares returns the part of the ring that each node owns.
func (s *Snapshot) shares() []float64 {
	share := make([]float64, len(s.nodes))
	for r, at := range s.segments(&Snapshot{}) {
		share[s.owners[at[0]]] += r.Fraction()
	}
	return share
}

// algorithm names the placement: how names become points and keys positions.
const algorithm = "ashlar-ring/1"

// Fingerprint returns a number that two snapshots share if and only if they place all keys alike,
// preference lists included, but for collisions of 64 bits. Members that compare
// theirs find out whether one of them has another view.
// The complexity is O(V) where V is the number of points.
func (s *Snapshot) Fingerprint() uint64 {
	d := xxhash.New()
	var buf []byte
	buf = append(buf, algorithm...)
	buf = binary.LittleEndian.AppendUint64(buf, s.Hash(algorithm))
	for i, n := range s.nodes {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(s.counts[i]))
		buf = appendString(appendString(buf, n.Name), n.Zone)
	}
	_, _ = d.Write(buf) // never fails
	for i, h := range s.points {
		buf = binary.LittleEndian.AppendUint64(buf[:0], h)
		buf = binary.LittleEndian.AppendUint32(buf, uint32(s.owners[i]))
		_, _ = d.Write(buf)
	}
	return d.Sum64()
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

// String returns a picture of s: a line for each of the first nodes, with its share as a bar.
func (s *Snapshot) String() string {
	const lines, columns = 32, 40
	var b strings.Builder
	fmt.Fprintf(&b, "%d nodes, %d points, fingerprint %016x\n", len(s.nodes), max(len(s.points)-1, 0), s.Fingerprint())
	shares := s.shares()
	width, most := 0, 0.0
	for i, n := range s.nodes[:min(lines, len(s.nodes))] {
		width, most = max(width, len(n.Name)), max(most, shares[i])
	}
	for i, n := range s.nodes {
		if i == lines {
			fmt.Fprintf(&b, "and %d more\n", len(s.nodes)-lines)
			break
		}
		bar := strings.Repeat("#", int(math.Ceil(columns*shares[i]/most)))
		fmt.Fprintf(&b, "%-*s %5.1f %% %s\n", width, n.Name, 100*shares[i], bar)
	}
	return b.String()
}
