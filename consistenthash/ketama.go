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

// NewKetama returns a [Snapshot] of memcached servers that places keys as
// libmemcached does with MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, so that clients in
// other languages find them: the hash is MD5, the ring has 32 bits, and a
// server of mean weight has 160 points. It has all methods of a Snapshot, such
// as those for replicas and plans, but cannot be marshaled.
//
// The name of a node is the address of the server: "host:port",
// "[fe80::1]:port" for IPv6, where ":11211" may be left out, or the path of a
// Unix socket. Weights are whole numbers from 1 to 2^32-1, and relative: points
// follow from the share of the total, so changing one weight moves points of
// other servers. A server of so little weight that it has no point, or with
// [NoShare], is not a member, as libmemcached never asks it; it becomes one
// when [Snapshot.With] or [Snapshot.Without] leave its weight a point. A point
// that two servers have in common belongs to the lesser name here, and to
// either in libmemcached, whose sort is not stable.
//
// The errors wrap [ErrName], [ErrWeight] and [ErrTooLarge]. Where the runtime
// allows nothing but FIPS 140, MD5 panics. A selector to copy, for a client of
// memcached, is in [examples/scaleout/shards].
//
// [examples/scaleout/shards]: https://github.com/ashlar-go/ashlar/tree/main/examples/scaleout/shards
func NewKetama(servers ...Node) (*Snapshot, error) {
	s := &Snapshot{opts: (&Options{Hash: ketamaHash}).resolve(), ketama: true}
	return s.build(servers)
}

// ketamaAddress returns the address of a server as libmemcached writes it
// before the number of a point: without brackets, without the usual port, and
// with port 0 for a Unix socket.
func ketamaAddress(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return name + ":0", nil
	}

	// Split the port off. Colons are also part of an IPv6 address.
	host := name
	port := "11211"
	switch i := strings.LastIndexByte(name, ':'); {
	case strings.HasPrefix(name, "["):
		end := strings.IndexByte(name, ']')
		if end < 0 || end+1 < len(name) && name[end+1] != ':' {
			return "", fmt.Errorf("%w: %q is no address", ErrName, name)
		}
		host = name[1:end]
		if end+1 < len(name) {
			port = name[end+2:]
		}
	case i >= 0 && strings.IndexByte(name, ':') < i:
		return "", fmt.Errorf("%w: write the IPv6 address %q as [address]:port", ErrName, name)
	case i >= 0:
		host = name[:i]
		port = name[i+1:]
	}

	// libmemcached leaves the default port out of the text that it hashes.
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0 || host == "" || port[0] == '0' || port[0] == '+':
		return "", fmt.Errorf("%w: %q is no address", ErrName, name)
	case n == 11211:
		return host, nil
	}
	return host + ":" + port, nil
}

// ketamaHash returns the position of a key: 32 bits, at the high end of 64.
func ketamaHash(key string) uint64 {
	sum := md5.Sum([]byte(key))
	return uint64(binary.LittleEndian.Uint32(sum[:])) << 32
}

// ketamaPoint returns point i of the server with that address. Each hash has
// four points.
func ketamaPoint(address string, i int32) uint64 {
	sum := md5.Sum([]byte(address + "-" + strconv.Itoa(int(i/4))))
	return uint64(binary.LittleEndian.Uint32(sum[i%4*4:])) << 32
}

// countKetama counts the points of the nodes, which are sorted and checked, and
// moves those that have none from the nodes to the reserve.
func (s *Snapshot) countKetama() error {
	// Add up the weights of the servers that take part.
	total := 0.0
	live := float32(0)
	seen := make(map[string]bool, len(s.nodes))
	for _, n := range s.nodes {
		address, err := ketamaAddress(n.Name)
		if err != nil {
			return err
		}
		if seen[address] {
			return fmt.Errorf("%w: server %q is given twice", ErrName, address)
		}
		seen[address] = true
		if n.Weight == NoShare {
			continue
		}
		if n.Weight != math.Trunc(n.Weight) || n.Weight > math.MaxUint32 {
			return fmt.Errorf("%w: %v of server %q: it must be a whole number below 2^32", ErrWeight, n.Weight, n.Name)
		}
		total += n.Weight
		live++
	}

	// Servers whose share rounds to no point are kept in reserve: a change of
	// weights may bring them back.
	points := 0
	kept := s.nodes[:0]
	s.counts = s.counts[:0]
	for _, n := range slices.Clone(s.nodes) {
		count := 0.0
		if n.Weight != NoShare {
			// The arithmetic of libmemcached, whose roundings are part of the
			// placement. The conversions keep the compiler from fusing two
			// operations into one, which would round once less.
			share := float32(n.Weight) / float32(total)
			hashes := float32(float32(float32(share*160)/4)*live) + 1e-10
			count = 4 * math.Floor(float64(hashes))
		}
		if count == 0 {
			s.reserve = append(s.reserve, n)
			continue
		}

		points += int(count)
		if points > s.opts.MaxPoints {
			return fmt.Errorf("%w: more than %d", ErrTooLarge, s.opts.MaxPoints)
		}
		kept = append(kept, n)
		s.counts = append(s.counts, int32(count))
	}
	s.nodes = kept
	return nil
}
