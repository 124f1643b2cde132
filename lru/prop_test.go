// SPDX-License-Identifier: MIT

package lru

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// repeat is t.Repeat, twenty times as long: to set an entry, use it, replace it
// and have it evicted takes many steps.
func repeat(t *rapid.T, actions map[string]func(*rapid.T)) {
	t.Helper()
	for range 20 {
		t.Repeat(actions)
	}
}

// TestModelPolicies runs a cache of one shard and the textbook of its policy
// side by side: the victims are the same, one by one. Of PolicyRandom, any
// victim is right.
func TestModelPolicies(t *testing.T) {
	for p := range PolicyRandom + 1 {
		t.Run(p.String(), func(t *testing.T) { rapid.Check(t, modelPolicy(p)) })
	}
}

func modelPolicy(p Policy) func(*rapid.T) {
	return func(t *rapid.T) {
		capacity := rapid.IntRange(1, 40).Draw(t, "capacity")
		var victims []uint64
		c := New(capacity, &Options[uint64, int]{
			Policy: p, Shards: 1, Hash: func(k uint64) uint64 { return k },
			OnRemove: func(k uint64, _ int, cause Cause) {
				if cause == Evicted {
					victims = append(victims, k)
				}
			},
		})

		c.salt, c.shards[0].rng = 7, 1
		kind := map[Policy]byte{PolicyLRU: 'l', PolicyLFU: 'f', PolicyFIFO: 'q', PolicyRandom: 'q', PolicyTinyLFU: 'q'}[p]
		exact := &slowExact{kind: kind, capacity: capacity}
		tiny := newSlowTiny(c, capacity)
		if p == PolicyRandom {
			exact.capacity = 0
		}

		key := rapid.Custom(func(t *rapid.T) uint64 {
			if rapid.Bool().Draw(t, "popular") {
				return rapid.Uint64Range(0, 7).Draw(t, "key")
			}
			return rapid.Uint64Range(0, 80).Draw(t, "key")
		})

		repeat(t, map[string]func(*rapid.T){
			"Get": func(t *rapid.T) {
				k := key.Draw(t, "k")
				_, got := c.Get(k)
				_, want := exact.get(int(k))
				if p == PolicyTinyLFU {
					want = tiny.get(k)
				}
				if got != want {
					t.Fatalf("Get(%d) found it: %v, want %v", k, got, want)
				}
			},
			"Set": func(t *rapid.T) {
				k := key.Draw(t, "k")
				victims = nil
				c.Set(k, 0)
				var want []uint64
				switch p {
				case PolicyTinyLFU:
					if v, ok := tiny.set(k); ok {
						want = append(want, v)
					}
					tiny.follow(&c.shards[0].queues)
				case PolicyRandom:
					exact.set(int(k), 0)
					if len(exact.items) > capacity {
						if len(victims) != 1 || victims[0] == k || exact.index(int(victims[0])) < 0 {
							t.Fatalf("Set(%d) evicted %v, want one other key", k, victims)
						}
						exact.remove(int(victims[0]))
						want = victims
					}

				default:
					if out, ok := exact.set(int(k), 0); ok {
						want = append(want, uint64(out.Key))
					}
				}

				if !slices.Equal(victims, want) {
					t.Fatalf("Set(%d) evicted %v, want %v", k, victims, want)
				}
			},
			"Delete": func(t *rapid.T) {
				k := key.Draw(t, "k")
				c.Delete(k)
				exact.remove(int(k))
				tiny.remove(k)
			},
			"": func(t *rapid.T) { c.checkCost() },
		})
	}
}

func newSlowTiny[V any](c *Cache[uint64, V], capacity int) *slowTiny {
	rng := queues{rng: 1}
	return &slowTiny{
		capacity: capacity, ref: map[uint64]int{}, random: rng.random,
		hash: func(k uint64) uint32 { return uint32(c.hash(k)) },
	}
}

// TestTextbook checks the default policy against its textbook on long loads,
// victim by victim: skewed ones, loops, scans, and bursts that return.
func TestTextbook(t *testing.T) {
	for _, capacity := range []int{3, 20, 64, 200} {
		var victims []uint64
		c := fixedCache(capacity, PolicyTinyLFU)
		c.opts.OnRemove = func(k uint64, _ struct{}, _ Cause) { victims = append(victims, k) }
		m := newSlowTiny(c, capacity)
		rng := rand.New(rand.NewPCG(7, uint64(capacity)))
		next := zipf(rng, 0.9, 10*capacity)
		for i := range 12_000 {
			k := next()
			switch i / 1000 % 4 {
			case 1:
				k = 1_000_000 + uint64(i%(capacity+capacity/3+1)) // a loop a third larger
			case 2:
				k = 2_000_000 + uint64(i/3)%1000 // bursts
			case 3:
				if i%2 == 0 {
					k = 3_000_000 + uint64(i) // a scan among popular keys
				}
			}

			victims = victims[:0]
			_, hit := c.Get(k)
			if want := m.get(k); hit != want {
				t.Fatalf("capacity %d, request %d: Get(%d) = %v, want %v", capacity, i, k, hit, want)
			}
			if hit {
				continue
			}
			c.Set(k, struct{}{})
			v, ok := m.set(k)
			m.follow(&c.shards[0].queues)
			if ok != (len(victims) == 1) || ok && victims[0] != v {
				t.Fatalf("capacity %d, request %d: Set(%d) evicted %v, want %d, %v", capacity, i, k, victims, v, ok)
			}
		}
		if c.shards[0].share != m.share {
			t.Errorf("capacity %d: share %v, want %v", capacity, c.shards[0].share, m.share)
		}
	}
}

// follow replaces the sketch and the ghost when the cache has done so.
func (m *slowTiny) follow(q *queues) {
	if q.sketch.n == m.sketch.n {
		return
	}
	m.sketch = q.sketch
	m.sketch.words = slices.Clone(q.sketch.words)
	m.ghost = newGhost(m.sketch.n + m.sketch.n/4)
	if m.share == 0 {
		m.share = 1.0 / 32
	}
}

// A cacheMachine drives a cache with all that an entry can have. The model is
// told who was evicted and checks that this was right: afterwards the contents
// must be equal, entry by entry.
type cacheMachine struct {
	c     *Cache[int, int]
	opts  Options[int, int]
	cap   int
	now   int64
	model map[int]*slowEntry
	value int

	events []removal[int, int]
	coming *slowEntry // what is being set, if it is to be stored
	key    int        // under this key
}

// A slowEntry is an entry of the model.
type slowEntry struct {
	value     int
	cost      int
	hard, end int64 // deadlines by TTL, and by TTL and idle time
	tags      []string
	priority  int
	pinned    bool

	givenTTL, givenCost bool     // by SetTTL, SetAttr or Touch
	givenTags           []string // by SetAttr
}

// TestModelCache drives a Cache against a map with deadlines, costs and loads,
// and compares every answer and event.
func TestModelCache(t *testing.T) { rapid.Check(t, modelCache) }

// FuzzModelCache is TestModelCache for the fuzzer.
func FuzzModelCache(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelCache)) }

func newCacheMachine(t *rapid.T) *cacheMachine {
	m := &cacheMachine{model: map[int]*slowEntry{}, cap: rapid.IntRange(1, 30).Draw(t, "cap")}
	m.opts = Options[int, int]{
		Policy: Policy(rapid.IntRange(0, int(PolicyRandom)).Draw(t, "policy")),
		Shards: 1 << rapid.IntRange(0, 2).Draw(t, "shards"),
		Now:    func() time.Time { return time.Unix(0, m.now) },
		OnRemove: func(k, v int, cause Cause) {
			m.events = append(m.events, removal[int, int]{key: k, value: v, cause: cause})
		},
		TTL:      time.Duration(rapid.SampledFrom([]int64{0, 0, 50, 200}).Draw(t, "ttl")),
		Idle:     time.Duration(rapid.SampledFrom([]int64{0, 0, 60}).Draw(t, "idle")),
		TrackAge: rapid.Bool().Draw(t, "age"),
	}

	if rapid.Bool().Draw(t, "costs") {
		m.opts.Cost = func(_, v int) int { return v%7 - 1 }
	}
	if rapid.Bool().Draw(t, "expire") {
		m.opts.TTLOf = func(_, v int) time.Duration { return time.Duration(v%5) * 30 }
	}
	if rapid.Bool().Draw(t, "tags") {
		m.opts.Tags = func(k, v int) []string { return []string{"even" + strconv.Itoa(k%2), "v" + strconv.Itoa(v%3)} }
	}

	m.now = rapid.Int64Range(-1000, 1000).Draw(t, "start")
	m.c = New(m.cap, &m.opts)
	return m
}

// entry returns what the model expects of value under key with attributes a, or
// nil if it is not to be stored.
func (m *cacheMachine) entry(key, value int, a *Attr, ttl time.Duration) *slowEntry {
	e := &slowEntry{value: value, cost: 1, hard: never, end: never}
	if old := m.find(key); old != nil && a == nil {
		e.priority, e.pinned = old.priority, old.pinned
	}
	if m.opts.Cost != nil {
		e.cost = max(m.opts.Cost(key, value), 1)
	}
	if m.opts.Tags != nil {
		e.tags = m.opts.Tags(key, value)
	}
	if a != nil {
		e.priority, e.pinned = a.Priority, a.Pinned
		e.givenTags = a.Tags
		e.tags = append(e.tags, a.Tags...)
		if a.Cost != 0 {
			e.cost = a.Cost
			e.givenCost = true
		}
		if a.TTL != 0 {
			ttl = a.TTL
		}
	}

	e.givenTTL = ttl != 0
	if ttl == 0 {
		ttl = m.opts.TTL
		if m.opts.TTL == 0 {
			ttl = Forever
		}
		if m.opts.TTLOf != nil {
			ttl = m.opts.TTLOf(key, value)
		}
	}

	if ttl <= 0 || e.cost > m.cap {
		return nil
	}
	e.live(m.now, ttl, m.opts.Idle)
	return e
}

// inherited returns n, which replaces e by Update, with all that was given to
// e. It is nil if n is not to be stored.
func (m *cacheMachine) inherited(key int, e, n *slowEntry) *slowEntry {
	if n == nil {
		// The options found the value too old or too large: unless the TTL and
		// the cost were given.
		if !e.givenTTL && !e.givenCost {
			return nil
		}
		n = m.entry(key, m.value, &Attr{TTL: Forever, Cost: 1, Priority: e.priority, Pinned: e.pinned}, 0)
		if m.opts.Cost != nil && !e.givenCost {
			n.cost = max(m.opts.Cost(key, m.value), 1)
		}
		if !e.givenTTL && m.opts.TTLOf != nil {
			ttl := m.opts.TTLOf(key, m.value)
			if ttl <= 0 {
				return nil
			}
			n.live(m.now, ttl, m.opts.Idle)
		} else if !e.givenTTL && m.opts.TTL > 0 {
			n.live(m.now, m.opts.TTL, m.opts.Idle)
		}

		n.givenTTL = false
		n.givenCost = false
	}

	if e.givenTTL {
		n.hard = e.hard
		n.end = e.end
		n.givenTTL = true
		if t := min(m.now+int64(m.opts.Idle), e.hard); m.opts.Idle > 0 && t-e.end > int64(m.opts.Idle/16) {
			n.end = t
		}
	}

	if e.givenCost {
		n.cost = e.cost
		n.givenCost = true
	}
	if n.cost > m.cap {
		return nil
	}

	n.givenTags = e.givenTags
	n.tags = append(n.tags, e.givenTags...)
	return n
}

// live gives e a time to live.
func (e *slowEntry) live(now int64, ttl, idle time.Duration) {
	e.hard, e.end = never, never
	if ttl != Forever {
		e.hard = now + int64(ttl)
		e.end = e.hard
	}
	if idle > 0 {
		e.end = min(e.hard, now+int64(idle))
	}
}

// used counts a use of key.
func (m *cacheMachine) used(key int) {
	if e := m.model[key]; m.opts.Idle > 0 {
		if t := min(m.now+int64(m.opts.Idle), e.hard); t-e.end > int64(m.opts.Idle/16) {
			e.end = t
		}
	}
}

// find returns the entry of key unless it has expired.
func (m *cacheMachine) find(key int) *slowEntry {
	if e := m.model[key]; e != nil && e.end > m.now {
		return e
	}
	return nil
}

func (m *cacheMachine) cost() (sum int) {
	for _, e := range m.model {
		sum += e.cost
	}
	return sum
}

// settle applies the removals that were reported: each must be right, given
// those before it.
func (m *cacheMachine) settle(t *rapid.T, allowed ...Cause) {
	m.needed(t)
	for _, ev := range m.events {
		e := m.model[ev.key]
		if ev.cause == Rejected || ev.cause == Expired && (e == nil || e.value != ev.value) {
			if ev.key != m.key || ev.value != m.value {
				t.Fatalf("%v of %d = %d, which was not set", ev.cause, ev.key, ev.value)
			}
			continue
		}

		if e == nil || e.value != ev.value {
			t.Fatalf("%v of %d = %d, which the model does not have", ev.cause, ev.key, ev.value)
		}
		switch ev.cause {
		case Expired:
			if e.end > m.now && !slices.Contains(allowed, Expired) {
				t.Fatalf("%d expired %d early", ev.key, e.end-m.now)
			}
		case Evicted:
			m.evicted(t, ev.key, e)
		default:
			if !slices.Contains(allowed, ev.cause) {
				t.Fatalf("%d = %d was %v", ev.key, ev.value, ev.cause)
			}
		}

		delete(m.model, ev.key)
	}

	m.events = m.events[:0]
}

// needed checks that no eviction was one too many: the last one was needed,
// which may have been any of them, since shards report one after the other.
func (m *cacheMachine) needed(t *rapid.T) {
	rest, largest := m.cost(), 0
	for _, ev := range m.events {
		e := m.model[ev.key]
		if e != nil && e.value == ev.value && ev.cause == Evicted {
			rest -= e.cost // others may have expired later
			largest = max(largest, e.cost)
		}
	}

	need := 0 // by Resize
	if m.coming != nil {
		need = m.coming.cost
		if old := m.find(m.key); old != nil {
			need -= old.cost
		}
	}
	if largest > 0 && rest+largest+need <= m.cap {
		t.Fatalf("evicted though there was room: cost %d and %d, need %d, capacity %d", rest, largest, need, m.cap)
	}
}

// evicted checks that it was right to evict key.
func (m *cacheMachine) evicted(t *rapid.T, key int, e *slowEntry) {
	n := m.coming
	if n == nil {
		return // by Resize
	}
	if e.pinned || e.priority > n.priority || key == m.key {
		t.Fatalf("%d evicted for %d: %+v for %+v", key, m.key, *e, *n)
	}

	home := m.c.shardOf(m.c.hash(key))
	for k, other := range m.model {
		if k != m.key && other.priority < e.priority && !other.pinned && m.c.shardOf(m.c.hash(k)) == home {
			t.Fatalf("%d evicted before %d: %+v before %+v", key, k, *e, *other)
		}
	}
}

// set runs a call that stores e under key, if e is not nil, and applies what it
// did.
func (m *cacheMachine) set(t *rapid.T, key int, e *slowEntry, call func() (stored bool)) {
	m.key, m.coming = key, e
	stored := call()
	m.settle(t, Replaced)
	m.coming = nil
	if !stored && e != nil {
		// Only what must not be evicted may be in the way.
		rest := 0
		for k, other := range m.model {
			if k != key && (other.pinned || other.priority > e.priority) {
				rest += other.cost
			}
		}
		if rest+e.cost <= m.cap {
			t.Fatalf("Set(%d) refused: cost %d, and %d that must stay, capacity %d", key, e.cost, rest, m.cap)
		}
	}

	if stored != m.c.Has(key) || stored && e == nil {
		t.Fatalf("Set(%d) = %v, want %v", key, stored, e != nil && m.c.Has(key))
	}
	if old := m.model[key]; old != nil {
		t.Fatalf("Set(%d): the old value %d was not reported", key, old.value)
	}
	if stored {
		m.model[key] = e
	}
}

func (m *cacheMachine) attr(t *rapid.T) Attr {
	a := Attr{
		TTL:      time.Duration(rapid.SampledFrom([]int64{0, 0, 10, 100, int64(Forever), -1}).Draw(t, "ttl")),
		Cost:     rapid.SampledFrom([]int{0, 1, 3, 9, 31}).Draw(t, "cost"),
		Priority: rapid.IntRange(-1, 1).Draw(t, "priority"),
		Pinned:   rapid.IntRange(0, 5).Draw(t, "pin") < 2,
	}
	for range rapid.IntRange(0, 2).Draw(t, "tags") {
		a.Tags = append(a.Tags, rapid.SampledFrom([]string{"even0", "v1", "x"}).Draw(t, "tag"))
	}
	return a
}

func modelCache(t *rapid.T) {
	m := newCacheMachine(t)
	key := rapid.IntRange(0, 25)
	actions := map[string]func(*rapid.T){
		"Get": func(t *rapid.T) {
			k := key.Draw(t, "key")
			v, ok := m.c.Get(k)
			m.found(t, k, v, ok)
			if ok {
				m.used(k)
			}
		},
		"Peek": func(t *rapid.T) {
			k := key.Draw(t, "key")
			v, ok := m.c.Peek(k)
			m.found(t, k, v, ok)
		},
		"Set": func(t *rapid.T) {
			k := key.Draw(t, "key")
			m.value++
			m.set(t, k, m.entry(k, m.value, nil, 0), func() bool { return m.c.Set(k, m.value) })
		},
		"SetTTL": func(t *rapid.T) {
			k, ttl := key.Draw(t, "key"), time.Duration(rapid.Int64Range(-1, 100).Draw(t, "ttl"))
			m.value++
			e := m.entry(k, m.value, nil, max(ttl, 1))
			if ttl <= 0 {
				e = nil
			}
			m.set(t, k, e, func() bool { return m.c.SetTTL(k, m.value, ttl) })
		},
		"SetAttr": func(t *rapid.T) {
			k, a := key.Draw(t, "key"), m.attr(t)
			m.value++
			m.set(t, k, m.entry(k, m.value, &a, 0), func() bool { return m.c.SetAttr(k, m.value, a) })
		},
		"GetOrSet": func(t *rapid.T) { m.getOrSet(t, key.Draw(t, "key")) },
		"Swap": func(t *rapid.T) {
			k := key.Draw(t, "key")
			m.value++
			old := m.find(k)
			m.set(t, k, m.entry(k, m.value, nil, 0), func() bool {
				v, had := m.c.Swap(k, m.value)
				if had != (old != nil) || had && v != old.value {
					t.Fatalf("Swap(%d) = %d, %v, want %+v", k, v, had, old)
				}
				return m.c.Has(k)
			})
		},
		"Update": func(t *rapid.T) { m.update(t, key.Draw(t, "key")) },
		"Take": func(t *rapid.T) {
			k := key.Draw(t, "key")
			v, ok := m.c.Take(k)
			m.found(t, k, v, ok)
			m.settle(t, Deleted)
			if m.model[k] != nil {
				t.Fatalf("Take(%d) was not reported", k)
			}
		},
		"Touch": func(t *rapid.T) {
			k, ttl := key.Draw(t, "key"), time.Duration(rapid.SampledFrom([]int64{0, 10, 100, int64(Forever)}).Draw(t, "ttl"))
			e := m.find(k)
			if ok := m.c.Touch(k, ttl); ok != (e != nil && ttl > 0) {
				t.Fatalf("Touch(%d, %v) = %v, have %+v", k, ttl, ok, e)
			}
			if e != nil && ttl > 0 {
				e.live(m.now, ttl, m.opts.Idle)
				e.givenTTL = true
			}
			m.settle(t, Expired)
		},
		"Pin": func(t *rapid.T) {
			k, pin := key.Draw(t, "key"), rapid.Bool().Draw(t, "pin")
			e, f := m.find(k), m.c.Pin
			if !pin {
				f = m.c.Unpin
			}
			if ok := f(k); ok != (e != nil) {
				t.Fatalf("Pin(%d) = %v, have %+v", k, ok, e)
			}
			if e != nil {
				e.pinned = pin
			}
		},
		"time": func(t *rapid.T) { m.now += rapid.Int64Range(0, 40).Draw(t, "d") },
		"back": func(t *rapid.T) { // the clock stands still for the cache
			now := m.now
			m.now -= rapid.Int64Range(0, 40).Draw(t, "d")
			k := key.Draw(t, "key")
			v, ok := m.c.Peek(k)
			m.now = now
			if ok && (m.model[k] == nil || m.model[k].value != v) {
				t.Fatalf("Peek(%d) = %d while the clock is behind, want %+v", k, v, m.model[k])
			}
		},
	}

	maps.Copy(actions, m.bulk())
	repeat(t, actions)
}

// found checks the result of a lookup.
func (m *cacheMachine) found(t *rapid.T, k, v int, ok bool) {
	if e := m.find(k); ok != (e != nil) || ok && v != e.value {
		t.Fatalf("%d is %d, %v, want %+v", k, v, ok, e)
	}
}

func (m *cacheMachine) getOrSet(t *rapid.T, k int) {
	m.value++
	e := m.find(k)
	if e != nil {
		v, loaded := m.c.GetOrSet(k, m.value)
		if !loaded || v != e.value {
			t.Fatalf("GetOrSet(%d) = %d, %v, want %d, true", k, v, loaded, e.value)
		}
		m.used(k)
		return
	}

	m.dropExpired(k)
	m.set(t, k, m.entry(k, m.value, nil, 0), func() bool {
		v, loaded := m.c.GetOrSet(k, m.value)
		if loaded || v != m.value {
			t.Fatalf("GetOrSet(%d) = %d, %v, want %d, false", k, v, loaded, m.value)
		}
		return m.c.Has(k)
	})
}

// dropExpired makes the cache report that k has expired, if it has: a new entry
// does not inherit from it.
func (m *cacheMachine) dropExpired(k int) { m.c.Get(k) }

func (m *cacheMachine) update(t *rapid.T, k int) {
	m.value++
	e, keep := m.find(k), rapid.Bool().Draw(t, "keep")
	fn := func(old int, ok bool) (int, bool) {
		if ok != (e != nil) || ok && old != e.value {
			t.Fatalf("Update(%d) was given %d, %v, want %+v", k, old, ok, e)
		}
		return m.value, keep
	}

	if !keep {
		if v, ok := m.c.Update(k, fn); ok || v != 0 {
			t.Fatalf("Update(%d) = %d, %v after removal, want 0, false", k, v, ok)
		}
		m.settle(t, Deleted)
		return
	}

	n := m.entry(k, m.value, nil, 0)
	if e != nil {
		n = m.inherited(k, e, n)
	}
	m.set(t, k, n, func() bool {
		v, ok := m.c.Update(k, fn)
		if ok && v != m.value {
			t.Fatalf("Update(%d) = %d, %v", k, v, ok)
		}
		return ok
	})
}

// bulk returns the actions on many keys, and the check after each action.
func (m *cacheMachine) bulk() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"DeleteFunc": func(t *rapid.T) {
			d, want := rapid.IntRange(2, 5).Draw(t, "d"), 0
			for _, e := range m.model {
				if e.end > m.now && e.value%d == 0 {
					want++
				}
			}
			if n := m.c.DeleteFunc(func(_, v int) bool { return v%d == 0 }); n != want {
				t.Fatalf("DeleteFunc removed %d, want %d", n, want)
			}
			m.settle(t, Invalidated)
		},
		"DeleteTag": func(t *rapid.T) {
			tag, want := rapid.SampledFrom([]string{"even0", "even1", "v0", "v1", "x"}).Draw(t, "tag"), 0
			for _, e := range m.model {
				if e.end > m.now && slices.Contains(e.tags, tag) {
					want++
				}
			}

			if n := m.c.DeleteTag(tag); n != want {
				t.Fatalf("DeleteTag removed %d, want %d", n, want)
			}
			m.settle(t, Invalidated)
			for k, e := range m.model {
				if e.end > m.now && slices.Contains(e.tags, tag) {
					t.Fatalf("DeleteTag(%q) left %d", tag, k)
				}
			}
		},
		"Clear": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "often") == 0 {
				m.c.Clear()
				m.settle(t, Invalidated)
				if len(m.model) > 0 {
					t.Fatalf("Clear left %v", m.model)
				}
			}
		},
		"Resize": func(t *rapid.T) {
			m.cap = rapid.IntRange(1, 30).Draw(t, "cap")
			before := len(m.model)
			n := m.c.Resize(m.cap)
			expired := 0
			for _, ev := range m.events {
				if ev.cause == Expired {
					expired++
				}
			}

			m.settle(t)
			if before-len(m.model) != n+expired {
				t.Fatalf("Resize evicted %d, reported %d", n, before-len(m.model)-expired)
			}
		},
		"iterate": func(t *rapid.T) {
			seen := map[int]bool{}
			for k, v := range m.c.All() {
				m.found(t, k, v, true)
				seen[k] = true
			}

			hot := 0
			for k, v := range m.c.Hottest() {
				m.found(t, k, v, true)
				hot++
			}

			for k, e := range m.model {
				if e.end > m.now && !seen[k] {
					t.Fatalf("All left out %d", k)
				}
			}

			checkAnswers(t,
				answer{"Hottest", hot, len(seen)},
				answer{"Len", m.c.Len(), len(seen)},
				answer{"Keys", len(slices.Collect(m.c.Keys())), len(seen)},
				answer{"Values", len(slices.Collect(m.c.Values())), len(seen)},
			)
		},
		"": func(t *rapid.T) { m.same(t) },
	}
}

// same checks the contents, the cost, and the invariants.
func (m *cacheMachine) same(t *rapid.T) {
	m.settle(t)
	m.c.checkCost()
	for k := range 26 {
		v, ok := m.c.Peek(k)
		m.found(t, k, v, ok)
	}

	if m.value%3 > 0 {
		return // what has expired stays, for the next action to find
	}
	want := m.cap
	if m.opts.TTL == 0 && m.opts.Idle == 0 {
		want = min(want, m.cost())
	}
	if got := m.c.Cost(); got > want {
		t.Fatalf("Cost = %d, want at most %d", got, want)
	}
	checkAnswers(t, answer{"Cap", m.c.Cap(), m.cap})

	m.settle(t)
	for k, e := range m.model {
		if e.end <= m.now {
			t.Fatalf("%d has expired, and Cost did not remove it", k)
		}
	}

	if got, want := m.c.Cost(), m.cost(); got != want {
		t.Fatalf("Cost %d, want %d", got, want)
	}
}
