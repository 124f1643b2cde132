// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A law is one that reads obey.
type law int

// The laws.
const (
	withinLease law = iota
	afterMessage
	whileDown
	ownWrites
	neverBack
	settled
	numLaws
)

// lawTexts are the laws in words.
var lawTexts = [numLaws]string{
	withinLease:  "nothing older is read than what was acknowledged a lease before",
	afterMessage: "after a node has seen a message, it reads nothing older",
	whileDown:    "without a subscription, reads are as fresh as those of Redis",
	ownWrites:    "a node reads its own writes",
	neverBack:    "no node reads an older version after a newer one",
	settled:      "when writes end, all nodes read what Redis has",
}

// A judge knows what was acknowledged when, and checks what is read.
type judge struct {
	lease time.Duration
	base  time.Time
	keys  []history

	mu     sync.Mutex // protects broken
	broken [numLaws]string
}

// A history is that of a key: which version was known to be there at what time.
// Both go up.
type history struct {
	mu   sync.RWMutex // protects acks
	acks []ack
}

// An ack is when a version was known to be there.
type ack struct{ at, version int64 }

func newJudge(keys int, lease time.Duration) *judge {
	return &judge{lease: lease, base: time.Now(), keys: make([]history, keys)}
}

// now is the time since the beginning.
func (j *judge) now() int64 { return int64(time.Since(j.base)) }

// acked notes that a version of key is there.
func (j *judge) acked(key int, version int64) {
	h := &j.keys[key]
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.acks); n == 0 || version > h.acks[n-1].version {
		h.acks = append(h.acks, ack{j.now(), version})
	}
}

// before returns the version of key that was acknowledged before a time.
func (j *judge) before(key int, at int64) int64 {
	h := &j.keys[key]
	h.mu.RLock()
	defer h.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(h.acks, at, func(a ack, at int64) int { return int(a.at - at) })
	if i == 0 {
		return 0
	}
	return h.acks[i-1].version
}

// overtaken returns when a version newer than that one was acknowledged.
func (j *judge) overtaken(key int, version int64) int64 {
	h := &j.keys[key]
	h.mu.RLock()
	defer h.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(h.acks, version+1, func(a ack, v int64) int { return int(a.version - v) })
	if i == len(h.acks) {
		return j.now()
	}
	return h.acks[i].at
}

// violated notes that a law is broken, the first time.
func (j *judge) violated(l law, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken[l] == "" {
		j.broken[l] = fmt.Sprintf(format, args...)
	}
}

// An observer watches one node.
type observer struct {
	judge  *judge
	name   string
	down   atomic.Bool // it has no subscription
	floors []floor     // by key

	// Of the goroutine of the subscription.
	tagKeys map[string][]int
	asked   []int64 // versions that were there when the subscription was asked for
	base    []int64 // the same, of the subscription that there is
	count   []int64 // messages since
}

// A floor is below what a node may read of a key.
type floor struct{ message, own, read atomic.Int64 }

// raise makes a floor at least v.
func raise(f *atomic.Int64, v int64) {
	for old := f.Load(); old < v && !f.CompareAndSwap(old, v); old = f.Load() {
	}
}

// event is what a Near tells. Each change increases a version, so after n
// messages a key has at least n more than when the subscription was asked for.
func (o *observer) event(e Event, name string) {
	switch e {
	case Subscribing:
		now := o.judge.now()
		for key := range o.asked {
			o.asked[key] = o.judge.before(key, now)
		}
	case Subscribed:
		copy(o.base, o.asked)
		clear(o.count)
		for key := range o.base {
			raise(&o.floors[key].message, o.base[key])
		}
		o.down.Store(false)
	case Lost:
		o.down.Store(true)
	case Key:
		if key, ok := numberOf(name); ok {
			o.changed(key)
		}
	case Tag:
		for _, key := range o.tagKeys[name] {
			o.changed(key)
		}
	}
}

func (o *observer) changed(key int) {
	o.count[key]++
	raise(&o.floors[key].message, o.base[key]+o.count[key])
}

// wrote notes a write of the node itself.
func (o *observer) wrote(key int, version int64) {
	raise(&o.floors[key].own, version)
	o.judge.acked(key, version)
}

// A reading is what was known before a read.
type reading struct {
	key                   int
	start                 int64
	down                  bool
	message, own, earlier int64
}

// begin notes what is known before a read of key.
func (o *observer) begin(key int) reading {
	f := &o.floors[key]
	return reading{
		key: key, down: o.down.Load(),
		message: f.message.Load(), own: f.own.Load(), earlier: f.read.Load(),
		start: o.judge.now(),
	}
}

// end checks what was read, and returns by how much it was too old.
func (o *observer) end(r *reading, version int64) (age time.Duration) {
	j := o.judge
	fresh := j.before(r.key, r.start)
	check := func(l law, least int64) {
		if version < least {
			j.violated(l, "%s read version %d of key %d at %v, and not %d", o.name, version, r.key, time.Duration(r.start), least)
		}
	}
	check(withinLease, j.before(r.key, r.start-int64(j.lease)))
	check(afterMessage, r.message)
	check(ownWrites, r.own)
	check(neverBack, r.earlier)
	if r.down {
		check(whileDown, fresh)
	}

	raise(&o.floors[r.key].read, version)
	if version >= fresh {
		return 0
	}
	return time.Duration(r.start - j.overtaken(r.key, version))
}
