// SPDX-License-Identifier: MIT

package consistenthash

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Ketama returns a [Snapshot] of memcached servers that places keys as libmemcached does with
// MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, so that clients in other languages find them: the hash is
// MD5, the ring has 32 bits, and a server of mean weight has 160 points. All else that a Snapshot
// can do it does for them too, such as replicas and plans; it cannot be marshaled.
//
// The name of a node is its address as libmemcached sees it, "host:port", where ":11211" may be left
// out. Weights are whole numbers from 1 to 2^32-1, and relative: points follow from the share of the
// total, so changing one weight moves points of other servers. A server of so little weight that it
// has no point is not a member, as libmemcached never asks it, but comes back when
// [Snapshot.With] or [Snapshot.Without] leave it enough. Where points of two servers are equal,
// ours belong to the lesser name, whereas libmemcached leaves it to its sort.
//
// The errors wrap [ErrName], [ErrWeight] and [ErrTooLarge]. Where the runtime allows nothing but
// FIPS 140, MD5 panics.
func Ketama(servers ...Node) (*Snapshot, error) {
	s := &Snapshot{opts: (&Options{Hash: ketamaHash}).resolve(), ketama: true}
	return s.build(servers)
}

// ketamaPort is the port that is not part of a server's name.
const ketamaPort = ":11211"

// ketamaHash returns the position of a key: 32 bits, at the high end of 64.
func ketamaHash(key string) uint64 {
	sum := md5.Sum([]byte(key))
	return uint64(binary.LittleEndian.Uint32(sum[:])) << 32
}

// ketamaPoint returns point i of a server. Each hash is good for four.
func ketamaPoint(name string, i int32) uint64 {
	text := strings.TrimSuffix(name, ketamaPort) + "-" + strconv.Itoa(int(i/4))
	sum := md5.Sum([]byte(text))
	return uint64(binary.LittleEndian.Uint32(sum[i%4*4:])) << 32
}

// countKetama counts the points of the nodes, which are sorted and checked, and takes those that have
// none out of the nodes and into the reserve.
func (s *Snapshot) countKetama() error {
	total, seen := 0.0, make(map[string]bool, len(s.nodes))
	for _, n := range s.nodes {
		if n.Weight != math.Trunc(n.Weight) || n.Weight > math.MaxUint32 {
			return fmt.Errorf("%w: %v of server %q: it must be a whole number below 2^32", ErrWeight, n.Weight, n.Name)
		}
		address := strings.TrimSuffix(n.Name, ketamaPort)
		if seen[address] {
			return fmt.Errorf("%w: server %q is given twice", ErrName, address)
		}
		seen[address] = true
		total += n.Weight
	}
	live := float32(len(s.nodes))
	points := 0
	kept := s.nodes[:0]
	s.counts = s.counts[:0]
	for _, n := range slices.Clone(s.nodes) {
		// The arithmetic of libmemcached, whose roundings are part of the placement. The conversions
		// keep the compiler from fusing two operations into one, which would round once less.
		share := float32(n.Weight) / float32(total)
		hashes := float32(float32(float32(share*160)/4)*live) + 1e-10
		count := 4 * math.Floor(float64(hashes))
		if points += int(count); points > maxPoints {
			return fmt.Errorf("%w: more than %d", ErrTooLarge, maxPoints)
		}
		if count == 0 {
			s.reserve = append(s.reserve, n)
			continue
		}
		kept = append(kept, n)
		s.counts = append(s.counts, int32(count))
	}
	s.nodes = kept
	return nil
}
