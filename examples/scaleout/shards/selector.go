// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ashlar-go/ashlar/consistenthash"
)

// A selector tells a [memcache.Client] the server of a key: give it to
// memcache.NewFromSelector. It chooses as libmemcached does with
// MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, so clients in other languages find what
// this one has stored. A server that cannot be reached leaves; it is for Set to
// bring it back, empty. Use newSelector.
type selector struct {
	ejectAfter int // attempts in a row that failed

	mu       sync.Mutex // protects failures, and changes of the view
	failures map[string]int
	view     atomic.Pointer[view]
}

// A view is the servers at an instant.
type view struct {
	ring  *consistenthash.Snapshot
	addrs []net.Addr // in the order of ring.Nodes
}

func newSelector(ejectAfter int, servers ...consistenthash.Node) (*selector, error) {
	s := &selector{ejectAfter: ejectAfter}
	return s, s.Set(servers...)
}

// Set makes servers the members. Their names are their addresses: host:port, or
// the path of a socket.
func (s *selector) Set(servers ...consistenthash.Node) error {
	ring, err := consistenthash.NewKetama(servers...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures = map[string]int{}
	s.showLocked(ring)
	return nil
}

// showLocked makes a ring the one that is used.
func (s *selector) showLocked(ring *consistenthash.Snapshot) {
	v := &view{ring: ring}
	for _, n := range ring.Nodes() {
		v.addrs = append(v.addrs, serverAddr(n.Name))
	}
	s.view.Store(v)
}

// A serverAddr is the address of a server. The client keeps connections in a
// map by it, for which a *net.TCPAddr is no good: two of one server differ.
type serverAddr string

// Network returns what String is an address of.
func (a serverAddr) Network() string {
	if strings.HasPrefix(string(a), "/") {
		return "unix"
	}
	return "tcp"
}

func (a serverAddr) String() string { return string(a) }

// PickServer returns the server of key.
func (s *selector) PickServer(key string) (net.Addr, error) {
	v := s.view.Load()
	i := v.ring.Owner(v.ring.Hash(key))
	if i < 0 {
		return nil, memcache.ErrNoServers
	}
	return v.addrs[i], nil
}

// Each calls f for each server, until it fails.
func (s *selector) Each(f func(net.Addr) error) error {
	for _, addr := range s.view.Load().addrs {
		if err := f(addr); err != nil {
			return err
		}
	}
	return nil
}

// Dial makes a server leave that cannot be reached: give it as DialContext of
// the client.
func (s *selector) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.failures, address)
		return conn, nil
	}
	if s.failures[address]++; s.failures[address] == s.ejectAfter {
		s.showLocked(s.view.Load().ring.Without(address))
	}
	return nil, err
}

var _ memcache.ServerSelector = (*selector)(nil)
