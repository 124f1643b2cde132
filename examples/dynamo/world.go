// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/quorum"
)

// A choice is how many copies reads and writes wait for.
type choice struct {
	r, w   int
	sloppy bool          // a hint counts as a copy
	skew   time.Duration // by which clocks differ
}

// strict reports whether each read meets each write.
func (c choice) strict() bool { return c.r+c.w > copies && !c.sloppy }

// A world is some nodes, and what was written to them.
type world struct {
	choice
	fs     lsm.FS
	dir    string
	net    *network
	ring   *consistenthash.Snapshot
	stores []*store
	now    time.Time
	clocks []*quorum.Clock
	kvs    map[string]*quorum.KV[string, int]
	hints  map[[2]int]*quorum.Handoff[string, cell]
}

// newWorld returns nodes with empty stores below dir.
func newWorld(fs lsm.FS, dir string, nodes int, ch choice) (*world, error) {
	w := &world{
		choice: ch, fs: fs, dir: dir, net: newNetwork(nodes), now: time.Unix(1e9, 0),
		kvs: map[string]*quorum.KV[string, int]{}, hints: map[[2]int]*quorum.Handoff[string, cell]{},
	}
	var err error
	if w.ring, err = consistenthash.NewSnapshot(nil, members(nodes)...); err != nil {
		return nil, err
	}
	w.stores = make([]*store, nodes)
	for i := range nodes {
		if err := w.start(i); err != nil {
			return nil, errors.Join(err, w.close())
		}
		skew := time.Duration(i%3-1) * ch.skew
		w.clocks = append(w.clocks, quorum.NewClock(uint32(i+1), &quorum.ClockOptions{
			Now: func() time.Time { return w.now.Add(skew) }, MaxOffset: -1,
		}))
	}
	return w, nil
}

// members returns nodes of the ring: n1, n2...
func members(n int) []consistenthash.Node {
	list := make([]consistenthash.Node, n)
	for i := range list {
		list[i].Name = fmt.Sprintf("n%d", i+1)
	}
	return list
}

// start opens the store of a node.
func (w *world) start(node int) error {
	s, err := openStore(w.fs, filepath.Join(w.dir, fmt.Sprintf("n%d", node+1)), w.group)
	if err != nil {
		return err
	}
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	w.stores[node] = s
	w.net.down[node] = false
	return nil
}

// stop stops a node. Its directory stays.
func (w *world) stop(node int) error {
	w.net.set(w.net.down, node, true)
	return w.stores[node].db.Close()
}

// lose takes the disk of a node, which starts again with an empty one, and does
// not serve until it is repaired: it has forgotten what it has acknowledged.
func (w *world) lose(node int) error {
	w.net.set(w.net.out, node, true)
	if err := w.stores[node].lose(); err != nil {
		return err
	}
	return w.start(node)
}

// close closes all stores.
func (w *world) close() error {
	var errs []error
	for _, kv := range w.kvs {
		errs = append(errs, kv.Close(context.Background()))
	}
	for i, s := range w.stores {
		if s != nil && !w.net.down[i] {
			errs = append(errs, s.db.Close())
		}
	}
	return errors.Join(errs...)
}

// list returns the preference list of a key: the nodes that have it, in order.
func (w *world) list(key string) (nodes []int) {
	for _, name := range w.ring.AppendN(nil, key, copies) {
		n, _ := strconv.Atoi(name[1:]) // the names are our own
		nodes = append(nodes, n-1)
	}
	return nodes
}

// group returns the name of those nodes, whatever their order.
func (w *world) group(key string) string { return groupName(w.list(key)) }

func groupName(nodes []int) string {
	nodes = slices.Sorted(slices.Values(nodes))
	var b strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&b, "n%d", n+1)
	}
	return b.String()
}

// kv returns the client of a coordinator for the keys of a preference list.
func (w *world) kv(from int, list []int) (*quorum.KV[string, int], error) {
	name := fmt.Sprint(from, list)
	if kv := w.kvs[name]; kv != nil {
		return kv, nil
	}
	var replicas []quorum.Replica[string, cell]
	for _, to := range list {
		var r quorum.Replica[string, cell] = w.link(from, to)
		if w.sloppy {
			r = w.hint(from, to)
		}
		replicas = append(replicas, counted[cell]{w.net, from, to, r})
	}
	kv, err := quorum.NewKV(replicas, w.clocks[from], &quorum.Options{
		Read: quorum.Level(w.r), Write: quorum.Level(w.w), AllowStale: !w.strict(), Repair: quorum.RepairOff, Hedge: -1,
	})
	if err == nil {
		w.kvs[name] = kv
	}
	return kv, err
}

// link returns the way from a node to the store of another.
func (w *world) link(from, to int) link[cell] {
	return link[cell]{w.net, from, to, func() quorum.Replica[string, cell] {
		w.net.mu.Lock()
		defer w.net.mu.Unlock()
		return w.stores[to]
	}}
}

// hint returns the same with what the other has missed, which counts as
// written.
func (w *world) hint(from, to int) *quorum.Handoff[string, cell] {
	h := w.hints[[2]int{from, to}]
	if h == nil {
		h = quorum.NewHandoff(w.link(from, to), &quorum.HandoffOptions{Sloppy: true})
		w.hints[[2]int{from, to}] = h
	}
	return h
}

// handOver hands hints to those that are there again.
func (w *world) handOver(ctx context.Context) {
	for pair, h := range w.hints {
		if h.Len() > 0 && w.net.usable(pair[1]) {
			_ = h.Flush(ctx) // what does not arrive stays a hint
		}
	}
}

// put writes a value by way of a node, and returns how long that took.
func (w *world) put(ctx context.Context, from int, key string, v int) (time.Duration, error) {
	kv, err := w.kv(from, w.list(key))
	if err != nil {
		return 0, err
	}
	_, err = kv.Put(w.net.operation(ctx), key, v)
	w.net.settle(copies)
	return w.net.waited(w.w), err
}

// get reads a value by way of a node. A key that was never written is 0.
func (w *world) get(ctx context.Context, from int, key string) (int, time.Duration, error) {
	kv, err := w.kv(from, w.list(key))
	if err != nil {
		return 0, 0, err
	}
	v, _, err := kv.Get(w.net.operation(ctx), key)
	w.net.settle(copies)
	if errors.Is(err, quorum.ErrNotFound) {
		err = nil
	}
	return v, w.net.waited(w.r), err
}
