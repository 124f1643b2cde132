// SPDX-License-Identifier: MIT

package consistenthash

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Stats describe a [Snapshot]. The load of a node is its share of the ring
// divided by its share of the weights, so that 1 is its due.
type Stats struct {
	Nodes      int     // members
	Zones      int     // distinct zones of those that have a share
	Points     int     // of all nodes
	Bytes      int     // of points, owners and table; names are not counted
	PeakToMean float64 // load of the busiest node, relative to its fair share (1 is perfect)
	MinToMean  float64 // load of the least busy node
	StdDev     float64 // the standard deviation of the load
}

// Stats returns the statistics of s. The complexity is O(V) where V is the
// number of points.
func (s *Snapshot) Stats() Stats {
	st := Stats{Nodes: len(s.nodes), Zones: s.zones, Bytes: 8*len(s.points) + 4*len(s.owners) + 4*len(s.table)}
	if s.live == 0 {
		return st
	}

	st.Points = len(s.points) - 1
	st.MinToMean = math.Inf(1)
	total := s.totalWeight()
	squares := 0.0
	for i, share := range s.shares() {
		if s.counts[i] == 0 {
			continue
		}

		// A load of 1 is the share that the weight asks for.
		load := share * total / s.nodes[i].Weight
		st.PeakToMean = max(st.PeakToMean, load)
		st.MinToMean = min(st.MinToMean, load)
		squares += (load - 1) * (load - 1)
	}
	st.StdDev = math.Sqrt(squares / float64(s.live))
	return st
}

// Sub returns the difference of two statistics, such as after and before a
// change of membership.
func (s Stats) Sub(prev Stats) Stats {
	return Stats{
		Nodes:      s.Nodes - prev.Nodes,
		Zones:      s.Zones - prev.Zones,
		Points:     s.Points - prev.Points,
		Bytes:      s.Bytes - prev.Bytes,
		PeakToMean: s.PeakToMean - prev.PeakToMean,
		MinToMean:  s.MinToMean - prev.MinToMean,
		StdDev:     s.StdDev - prev.StdDev,
	}
}

// BalancerStats are the counters of a [Balancer]. Each counter is exact, but
// they are read one after another, so two of them may differ by what happened
// in between.
type BalancerStats struct {
	Total    int    // leases, and requests being admitted
	Busiest  int    // leases of the node that has most
	Admitted uint64 // requests
	Away     uint64 // requests admitted to another node than the owner of their key
}

// Sub returns the counters of s less those of prev. Total and Busiest are those
// of s.
func (s BalancerStats) Sub(prev BalancerStats) BalancerStats {
	s.Admitted -= prev.Admitted
	s.Away -= prev.Away
	return s
}

// AwayRatio returns the share of the requests that were admitted to another
// node than the owner of their key, or 0 if there were no requests. It is the
// cost of the bound: those nodes do not have the key in their caches.
func (s BalancerStats) AwayRatio() float64 {
	if s.Admitted == 0 {
		return 0
	}
	return float64(s.Away) / float64(s.Admitted)
}

// totalWeight returns the sum of the weights of the nodes that have a share.
func (s *Snapshot) totalWeight() float64 {
	total := 0.0
	for i, n := range s.nodes {
		if s.counts[i] > 0 {
			total += n.Weight
		}
	}
	return total
}

// shares returns the part of the ring that each node owns.
func (s *Snapshot) shares() []float64 {
	share := make([]float64, len(s.nodes))
	if s.live == 0 {
		return share
	}
	for r, at := range s.segments(&Snapshot{}) {
		share[s.owners[at[0]]] += r.Fraction()
	}
	return share
}

// algorithm names the placement: how names become points and keys positions.
const algorithm = "ashlar-ring/1"

// Fingerprint returns a number that two snapshots share if they place all keys
// alike, preference lists included. If they do not, their numbers differ,
// except for collisions of 64 bits and for Options.Hash functions that agree on
// all names. Processes that compare their numbers learn whether one of them has
// other members. The complexity is O(n) where n is the number of nodes.
func (s *Snapshot) Fingerprint() uint64 {
	buf := append([]byte(nil), algorithm...)
	buf = binary.LittleEndian.AppendUint64(buf, s.Hash(algorithm))
	for i, n := range s.nodes {
		if s.counts[i] == 0 {
			continue
		}
		buf = binary.LittleEndian.AppendUint64(buf, uint64(s.counts[i]))
		buf = binary.LittleEndian.AppendUint64(buf, s.Hash(n.Name))
		buf = appendString(buf, n.Name)
		buf = appendString(buf, n.Zone)
	}
	return xxhash.Sum64(buf)
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(s))), s...)
}

// String returns a picture of s: a line for each of the first 32 nodes, with
// its share of the ring as a bar.
func (s *Snapshot) String() string {
	const lines, columns = 32, 40
	var b strings.Builder
	fmt.Fprintf(&b, "%d nodes, %d points, fingerprint %016x\n", len(s.nodes), max(len(s.points)-1, 0), s.Fingerprint())

	// The longest name and the largest share set the columns.
	shares := s.shares()
	width := 0
	most := math.SmallestNonzeroFloat64
	for i, n := range s.nodes[:min(lines, len(s.nodes))] {
		width = max(width, len(n.Name))
		most = max(most, shares[i])
	}

	// One line a node.
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
