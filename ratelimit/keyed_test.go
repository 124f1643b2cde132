// SPDX-License-Identifier: MIT

package ratelimit

import (
	"flag"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var floodKeys = flag.Int("flood", 1_000_000, "distinct keys in TestKeyedFlood, such as 10000000")

// TestModelKeyed checks that a Keyed decides for each key as a Limiter of its
// own for each tier would, for any mix of calls, while the table grows, forgets
// full buckets, and changes limits.
func TestModelKeyed(t *testing.T) { rapid.Check(t, modelKeyed) }

// FuzzModelKeyed is TestModelKeyed for the fuzzer.
func FuzzModelKeyed(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelKeyed)) }

func modelKeyed(t *rapid.T) {
	var clock fakeClock

	// Tokens of 2^14 to 2^22 ns, at times that are multiples of 2^20 ns, make
	// all tokens multiples of a quarter, so that nothing is ever rounded and
	// decisions are equal.
	draw := func(label string) Limit {
		return Limit{
			Every(time.Duration(1) << rapid.IntRange(14, 22).Draw(t, label+".token")),
			rapid.IntRange(1, 8).Draw(t, label+".burst"),
		}
	}

	plans := [][]Limit{{draw("a"), draw("b")}, {draw("c"), draw("d")}, {draw("e"), draw("f")}}
	opts := &KeyedOptions{MaxKeys: 1024, Now: clock.now}
	k := NewKeyed[int](plans[0], opts)
	shared := plans[0]
	models := map[int][]*Limiter{}
	own := map[int]bool{}
	model := func(key int, limits []Limit, change bool) []*Limiter {
		ls := models[key]
		if ls == nil {
			for _, l := range shared {
				ls = append(ls, New(l.Rate, l.Burst, &Options{Now: clock.now}))
			}
			models[key] = ls
		}
		for i, l := range limits {
			if change && ls[i].Limit() != l {
				ls[i].SetLimit(l.Rate, l.Burst)
			}
		}
		return ls
	}

	take := func(ls []*Limiter, n int) (Decision, bool) {
		gates := make([]Gate, len(ls))
		for i := range ls {
			gates[i] = ls[i]
		}
		d := All(gates...).Take(n)
		d.Tier = d.Gate // the tiers of one key
		d.Gate = 0
		return d, d.OK
	}

	key := func(t *rapid.T) int { return rapid.IntRange(0, 40).Draw(t, "key") }
	n := func(t *rapid.T) int { return rapid.IntRange(0, 9).Draw(t, "n") }

	t.Repeat(map[string]func(*rapid.T){
		"pass": func(t *rapid.T) { clock.t += rapid.Int64Range(0, 20).Draw(t, "d") << 20 },
		"Take": func(t *rapid.T) {
			key, n := key(t), n(t)
			var peek Decision
			if !own[key] {
				peek = k.Peek(key, n)
			}
			got := k.Take(key, n)
			if !own[key] && got != peek {
				t.Fatalf("Take(%d, %d) = %+v, Peek said %+v", key, n, got, peek)
			}
			own[key] = false
			want, _ := take(model(key, shared, true), n)
			check(t, got.OK, want.OK, "OK of Take(%d, %d)", key, n)
			if got.OK {
				check(t, got, want, "Take(%d, %d)", key, n)
			}
		},

		"AllowN": func(t *rapid.T) {
			key, n := key(t), n(t)
			own[key] = false
			got := k.AllowN(key, n)
			if _, want := take(model(key, shared, true), n); got != want {
				t.Fatalf("AllowN(%d, %d) = %v", key, n, got)
			}
		},

		"TakeReserving": func(t *rapid.T) {
			key, n, keep := key(t), n(t), rapid.IntRange(0, 3).Draw(t, "keep")
			own[key] = false
			ls, want := model(key, shared, true), true
			for _, l := range ls {
				d := l.Peek(n + keep)
				want = want && d.OK
			}
			want = want || n == 0 && keep == 0
			if got := k.TakeReserving(key, n, keep); got != want {
				t.Fatalf("TakeReserving(%d, %d, %d) = %v", key, n, keep, got)
			}
			if want {
				take(ls, n)
			}
		},

		"TakeLimits": func(t *rapid.T) {
			key, n, p := key(t), n(t), plans[rapid.IntRange(1, 2).Draw(t, "plan")]
			got := k.TakeLimits(key, n, p...)
			want, ok := take(model(key, p, true), n)
			if ok && n > 0 || k.hasOwn(key) {
				own[key] = true
			} else {
				model(key, shared, true) // nothing to remember
			}
			if got.OK != ok {
				t.Fatalf("TakeLimits(%d, %d, %v) = %+v, want %+v", key, n, p, got, want)
			}
		},

		"TakeUpTo": func(t *rapid.T) {
			key, n := key(t), n(t)
			got, want := k.TakeUpTo(key, n), n
			for _, l := range model(key, nil, false) {
				want = min(want, l.Peek(0).Remaining)
			}
			if got != want {
				t.Fatalf("TakeUpTo(%d, %d) = %d, want %d", key, n, got, want)
			}
			take(model(key, nil, false), want)
		},

		"Charge": func(t *rapid.T) {
			key, n := key(t), n(t)
			k.Charge(key, n)
			for _, l := range model(key, nil, false) {
				l.Charge(n)
			}
		},

		"Return": func(t *rapid.T) {
			key, n := key(t), n(t)
			k.Return(key, n)
			for _, l := range model(key, nil, false) {
				l.Return(n)
			}
		},

		"Drain": func(t *rapid.T) {
			key := key(t)
			k.Drain(key)
			for _, l := range model(key, nil, false) {
				l.Drain()
			}
		},

		"Fill": func(t *rapid.T) {
			key := key(t)
			k.Delete(key)
			delete(models, key)
			own[key] = false
		},

		"SetLimits": func(t *rapid.T) {
			shared = []Limit{draw("g"), draw("h")}
			k.SetLimits(shared...)
			for key := range models {
				if !own[key] {
					model(key, shared, true)
				}
			}
		},

		"": func(t *rapid.T) {
			s := k.Stats()
			if s.Keys > 41 {
				t.Errorf("%d keys are held, want at most 41", s.Keys)
			}
			check(t, s.Evicted, 0, "Evicted with room for 1024")
			check(t, k.Len(), s.Keys, "Len")
			for i := range k.table.shards {
				k.table.shards[i].checkLocked(&k.table)
			}
			// A key whose bucket is full may be forgotten, and its own plan
			// with it.
			for key := range models {
				if own[key] && !k.hasOwn(key) {
					own[key] = false
					model(key, shared, true)
				}
			}
		},
	})
}

// hasOwn reports whether key is held under a plan of its own.
func (k *Keyed[K]) hasOwn(key K) bool {
	s, h, _ := k.enter(key, k.read())
	defer s.mu.Unlock()
	return s.ownPlan(s.find(key, h)) != nil
}

// TestKeyedBound checks that tables of many sizes, full of keys that stay in
// debt, never hold more than MaxKeys, that they hold nearly all once there are
// more, and that few are forgotten (and all of them counted) while there are
// only nine tenths as many.
func TestKeyedBound(t *testing.T) {
	for _, size := range []int{16, 17, 100, 1000, 4096, 65536} {
		if size > 1000 && (raceEnabled || invariants) {
			break // minutes
		}
		var clock fakeClock
		k := NewKeyed[int]([]Limit{{PerHour(1), 1}}, &KeyedOptions{MaxKeys: size, Now: clock.now})

		for i := range 2 * size {
			if !k.Allow(i) {
				t.Fatalf("size %d: new key %d denied", size, i)
			}
			if i%97 == 0 && k.Len() > size {
				t.Fatalf("size %d: %d keys", size, k.Len())
			}
			if i == size*9/10 && size >= 1000 {
				if s := k.Stats(); s.Evicted > uint64(size/50) {
					t.Errorf("size %d at nine tenths: %+v", size, s)
				}
			}
		}

		s := k.Stats()
		if s.Keys < size-size/8-8 || s.Keys > size {
			t.Errorf("size %d: %d keys, want %d to %d", size, s.Keys, size-size/8-8, size)
		}
		check(t, s.Evicted, uint64(2*size-s.Keys), "size %d: Evicted", size)
		check(t, s.Forgiven, s.Evicted, "size %d: Forgiven", size)
	}
}

// TestKeyedRounding checks by how much MaxKeys is rounded down.
func TestKeyedRounding(t *testing.T) {
	for size := 2 * ways; size < 1<<21; size += 1 + size/50 {
		k := NewKeyed[int]([]Limit{{PerHour(1), 1}}, &KeyedOptions{MaxKeys: size})
		room := 0
		for i := range k.table.shards {
			room += k.table.shards[i].maxSets * ways
		}
		least := size &^ (ways - 1)
		if size > 1024 {
			least = size - size/100
		}
		if room < least || room > size {
			t.Errorf("MaxKeys %d: room for %d, want %d to %d", size, room, least, size)
		}
	}
}

// TestKeyedFlood checks a flood of keys used once, far more than the table
// holds, while an abuser and clients within their limits go on: the abuser gets
// nothing from it, and memory stays flat.
func TestKeyedFlood(t *testing.T) {
	n := *floodKeys
	if testing.Short() {
		n /= 10
	}

	if raceEnabled || invariants {
		n /= 20
	}
	var clock fakeClock
	const maxKeys = 4096
	limit := Limit{PerSecond(10), 20}
	k := NewKeyed[uint64]([]Limit{limit}, &KeyedOptions{MaxKeys: maxKeys, Now: clock.now})
	const abuser = 1 << 63
	var abuses []admission
	var before, after runtime.MemStats

	for i := range n {
		if i == n/2 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		clock.t += int64(10 * time.Microsecond)
		if !k.Allow(uint64(i)) {
			t.Fatalf("one-shot key %d denied", i)
		}

		if i%8 == 0 && k.Allow(abuser) {
			abuses = append(abuses, admission{clock.t, 1})
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	checkEnvelope(t, limit, 2, abuses)
	s := k.Stats()
	if s.Keys > maxKeys {
		t.Errorf("%d keys are held, want at most %d", s.Keys, maxKeys)
	}
	if s.Evicted == 0 {
		t.Error("Evicted = 0, want more")
	}
	if s.Forgiven < s.Evicted {
		t.Errorf("%d tokens forgiven with %d keys, want one of each or more", s.Forgiven, s.Evicted)
	}

	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	runtime.KeepAlive(k)
}

// TestTrapForgottenThenBack checks that a bucket that was full, and so
// forgotten, is not found full again by readings from before: the clock of a
// table stands still while it goes back.
func TestTrapForgottenThenBack(t *testing.T) {
	for _, start := range []time.Duration{0, century} {
		var clock fakeClock
		k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 1024, Now: clock.now})
		admitted := 0
		for i := range 512 {
			clock.t = int64(start + 10*time.Second)
			if k.Allow(-1) {
				admitted++
			}
			clock.t = int64(start + 20*time.Second)
			k.Charge(i, 100) // the table grows, without full buckets
		}
		if admitted > 2 { // one at 10 s, one at 20 s
			t.Errorf("%d admitted after %v, want at most 2", admitted, start)
		}
		check(t, k.Stats().Forgiven, 0, "Forgiven")
	}
}

// century is so long that a table moves its base.
const century = 100 * 365 * 24 * time.Hour

// TestForgottenInGrowth checks the same of a key that is left behind when the
// table grows, whose set has room for others.
func TestForgottenInGrowth(t *testing.T) {
	for _, start := range []time.Duration{0, century} {
		var clock fakeClock
		k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 1024, Now: clock.now})
		clock.t = int64(start + 20*time.Second)
		for i := range 9 { // the table has two sets
			k.Charge(i, 100)
		}
		s := &k.table.shards[0]
		check(t, len(s.tags), 2, "sets")

		// A key of the emptier set, and keys that fill the other.
		emptier := b2i(bits.OnesCount64(empty(s.tags[0])) < bits.OnesCount64(empty(s.tags[1])))
		next := 1000
		keyOf := func(set int) int {
			for {
				next++
				if a, b := s.setsOf(maphash.Comparable(k.table.seed, next)); a == set && b == set {
					return next
				}
			}
		}
		key := keyOf(emptier)
		clock.t = int64(start + 10*time.Second)
		check(t, k.Allow(key), true, "Allow after %v", start)
		clock.t = int64(start + 20*time.Second)
		for len(s.tags) == 2 {
			k.Charge(keyOf(1-emptier), 100)
		}
		check(t, k.Allow(key), true, "Allow of a full bucket")
		k.Delete(key)
		clock.t = int64(start + 10*time.Second)
		check(t, k.Allow(key), true, "Allow as of when the table grew")
		clock.t = int64(start + 20*time.Second)
		check(t, k.Allow(key), false, "Allow again after %v", start)
		check(t, k.Stats().Forgiven, 0, "Forgiven")
	}
}

// TestKeyedZeroRate checks that a rule without a refill forgets a key which
// returned its token, and none that owes one, whether or not some keys have
// limits of their own.
func TestKeyedZeroRate(t *testing.T) {
	limit := Limit{Rate{}, 5}
	for _, own := range []bool{false, true} {
		k := NewKeyed[int]([]Limit{limit}, &KeyedOptions{MaxKeys: 16, DenyNew: true})
		var held []int
		admit := func(from int) {
			for i := range 100 {
				if k.Allow(from + i) {
					held = append(held, from+i)
				}
			}
		}
		admit(0)
		check(t, k.Len(), len(held), "own %v: keys that owe a token", own)
		if own {
			k.TakeLimits(held[0], 0, limit)
		}

		// Each that is full makes room for one.
		for i, key := range slices.Clone(held) {
			k.Return(key, 1)
			before := len(held)
			admit(1000 * (i + 1))
			check(t, len(held)-before, 1, "own %v: keys in the place of key %d", own, key)
		}
	}
}

// TestSetLimitsAtItsTime checks that a change counts from when it was made, not
// from when a key is next used.
func TestSetLimitsAtItsTime(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerSecond(10), 10}}, &KeyedOptions{Now: clock.now})
	k.AllowN(1, 10)
	clock.t += int64(100 * time.Millisecond)
	k.SetLimits(Limit{PerMinute(6), 10})
	k.SetLimits(Limit{PerMinute(60), 10})
	clock.t += int64(2 * time.Second)
	if d := k.Peek(1, 0); d.Remaining != 3 {
		t.Errorf("%+v, want 1 refilled before and 2 after", d)
	}
}

// TestKeyedGrows checks that memory follows the keys held, up to the bound.
func TestKeyedGrows(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerHour(1), 1}}, &KeyedOptions{MaxKeys: 65536, Now: clock.now})
	for _, n := range []int{0, 1, 100, 10_000} {
		for i := range n {
			k.Allow(i)
		}
		slots := 0
		for i := range k.table.shards {
			slots += len(k.table.shards[i].keys)
		}
		most := 8*n + len(k.table.shards)*2*ways
		if n == 0 {
			most = 0
		}
		if slots > most {
			t.Errorf("%d keys take %d slots, want at most %d", n, slots, most)
		}
	}
}

// TestKeyedDenyNew checks the other policy: nothing is forgiven, new keys wait
// for room.
func TestKeyedDenyNew(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 16, DenyNew: true, Now: clock.now})
	check(t, k.Peek(1000, 1).OK, true, "OK of Peek with room")
	admitted := 0

	for i := range 100 {
		if k.Allow(i) {
			admitted++
		}
	}

	d := k.Take(1000, 1)
	if admitted > 16 || admitted < 9 {
		t.Errorf("%d admitted, want 9 to 16", admitted)
	}
	check(t, k.Stats().Evicted, 0, "Evicted")
	check(t, d.OK, false, "OK of Take(1000)")
	check(t, d.RetryAfter, time.Second, "RetryAfter")
	check(t, k.Peek(1000, 1), d, "Peek(1000)")

	k.Charge(1000, 5)
	check(t, k.TakeUpTo(1000, 5), 0, "TakeUpTo without room")
	if got := k.Len(); got > 16 {
		t.Errorf("%d keys are held, want at most 16", got)
	}
	clock.t += int64(d.RetryAfter)
	if !k.Allow(1000) {
		t.Error("after RetryAfter there is no room")
	}

	forever := NewKeyed[int]([]Limit{{Rate{}, 1}}, &KeyedOptions{MaxKeys: 16, DenyNew: true, Now: clock.now})

	for i := range 100 {
		forever.Allow(i)
	}

	checkNever(t, forever.Take(1000, 1), "Take without room forever")

	none := NewKeyed[int]([]Limit{{Rate{}, 1}}, &KeyedOptions{MaxKeys: 16, Now: clock.now})

	for i := range 100 {
		none.Allow(i)
	}

	if s := none.Stats(); s.Forgiven != uint64(100-s.Keys) {
		t.Errorf("%+v", s)
	}
}

// TestTrapTiersAllOrNothing checks that a request that a short tier denies does
// not spend the long one, in a Keyed and in All (trap 12).
func TestTrapTiersAllOrNothing(t *testing.T) {
	var clock fakeClock
	short, long := Limit{PerSecond(1), 1}, Limit{PerDay(100), 100}
	k := NewKeyed[string]([]Limit{short, long}, &KeyedOptions{Now: clock.now})
	a, b := New(long.Rate, long.Burst, &Options{Now: clock.now}), New(short.Rate, short.Burst, &Options{Now: clock.now})
	all := All(a, b)

	for range 50 {
		k.Take("x", 1)
		all.Take(1)
	}

	if left := a.Peek(0).Remaining; left != 99 {
		t.Errorf("All spent the long quota: %d left, want 99", left)
	}
	clock.t += int64(time.Second)
	check(t, k.Take("x", 1), Decision{OK: true, Limit: 1, ResetAfter: time.Second, Window: time.Second}, "Take")

	if got := k.TakeUpTo("y", 500); got != 1 {
		t.Errorf("TakeUpTo = %d, want 1", got)
	}

	k.Drain("x")
	d := k.Take("x", 1)
	check(t, d.OK, false, "OK of an empty key")
	check(t, d.Tier, 1, "tier of the longest refusal")
	if d.RetryAfter <= time.Second {
		t.Errorf("RetryAfter = %v, want that of the day, more than 1s", d.RetryAfter)
	}
}

// TestTrapPlanChange checks that a client whose plan changes does not start
// with a full bucket (trap 11), and that going back and forth is no loss and no
// gain.
func TestTrapPlanChange(t *testing.T) {
	var clock fakeClock
	small, large := Limit{PerHour(10), 10}, Limit{PerHour(1000), 1000}
	k := NewKeyed[string]([]Limit{small}, &KeyedOptions{Now: clock.now})
	if got := k.TakeUpTo("x", 10); got != 10 {
		t.Fatalf("TakeUpTo = %d, want 10", got)
	}

	check(t, k.TakeLimits("x", 1, large).Remaining, 989, "tokens left by the larger plan")

	if d := k.Take("x", 1); d.OK {
		t.Errorf("the smaller plan forgot: %+v", d)
	}

	check(t, k.TakeLimits("x", 1, large).Remaining, 988, "tokens left by the larger plan")

	k.SetLimits(Limit{PerHour(20), 20})
	check(t, k.Take("x", 1).Remaining, 7, "tokens left by the new limit")

	if got := k.Limits(); !slices.Equal(got, []Limit{{PerHour(20), 20}}) {
		t.Errorf("Limits() = %v", got)
	}
}

// TestKeyedFar checks readings that move the base of a shard, at a rate where
// that is a matter of days.
func TestKeyedFar(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{perSecond(1e12), mostBurst}, {PerSecond(1), 1000}}, &KeyedOptions{Now: clock.now})
	for range 40 {
		k.Charge(1, 10)
		k.TakeLimits(2, 10, Limit{PerSecond(1), 1000}, Limit{PerSecond(2), 1000})
		clock.t += int64(10 * time.Second)
		if d := k.Take(1, 0); d.Remaining != 1000 {
			t.Fatalf("at %d: %+v", clock.t, d)
		}
		k.Charge(1, 5)
		clock.t += int64(100 * 24 * time.Hour)
	}
	clock.t = 0
	if k.AllowAt(1, clock.now(), 1000) {
		t.Error("a clock that went back gave tokens")
	}
}

// TestKeyedConcurrent checks that the tokens many goroutines take of few keys
// at a standing clock add up exactly.
func TestKeyedConcurrent(t *testing.T) {
	var clock fakeClock
	const burst = 1000
	k := NewKeyed[int]([]Limit{{PerSecond(1), burst}, {PerHour(1), 2 * burst}}, &KeyedOptions{MaxKeys: 1024, Now: clock.now})
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := map[int]int{}

	for g := range 8 {
		wg.Go(func() {
			rng, mine := rand.New(rand.NewPCG(1, uint64(g))), map[int]int{}
			for i := range 4000 {
				key, n := rng.IntN(10), rng.IntN(3)+1
				switch i % 4 {
				case 0:
					mine[key] += k.TakeUpTo(key, n)
				case 1:
					if k.AllowN(key, n) {
						mine[key] += n
					}
				default:
					if k.Take(key, n).OK {
						mine[key] += n
					}
				}
				if i%1000 == 0 {
					for range k.All() {
						k.Len()
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for key, n := range mine {
				taken[key] += n
			}
		})
	}
	wg.Wait()

	for key, n := range taken {
		if n != burst {
			t.Errorf("key %d: %d taken of %d", key, n, burst)
		}
	}

	held := map[int]bool{}

	for key, d := range k.All() {
		held[key] = true
		if d.Remaining != 0 {
			t.Errorf("All: key %d: %+v", key, d)
		}
		if len(held) == 5 {
			break
		}
	}

	s := k.Stats()
	check(t, s.Sub(KeyedStats{Allowed: 1}).Allowed, s.Allowed-1, "Allowed less 1")
	if s.Allowed == 0 {
		t.Error("Allowed = 0, want more")
	}
	if s.Denied == 0 {
		t.Error("Denied = 0, want more")
	}
}

// TestEmptyBits checks the bit trick that finds free slots, for which a wrong
// answer would overwrite a key.
func TestEmptyBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		tags, want := uint64(0), uint64(0)
		for i := range ways {
			b := uint64(0)
			if rng.IntN(2) > 0 {
				b = rng.Uint64() & 0xff
			}
			tags |= b << (8 * i)
			if b == 0 {
				want |= 0x80 << (8 * i)
			}
		}
		if got := empty(tags); got != want {
			t.Fatalf("empty(%x) = %x, want %x", tags, got, want)
		}
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestMaskAddr checks the networks of addresses of either kind, mapped, with a
// zone, and invalid.
func TestMaskAddr(t *testing.T) {
	for _, tt := range []struct{ in, want netip.Addr }{
		{addr("192.0.2.7"), addr("192.0.2.7")},
		{addr("::ffff:192.0.2.7"), addr("192.0.2.7")},
		{addr("2001:db8:1:2:3:4:5:6"), addr("2001:db8:1:2::")},
		{addr("fe80::1%eth0"), addr("fe80::")},
		{netip.Addr{}, netip.Addr{}},
	} {
		if got := MaskAddr(tt.in, 32, 64); got != tt.want {
			t.Errorf("MaskAddr(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}

	for _, tt := range []struct {
		in, want string
		v4, v6   int
	}{
		{"192.0.2.7", "192.0.2.0", 24, 48},
		{"192.0.2.7", "0.0.0.0", 0, 0},
		{"192.0.2.7", "192.0.2.7", 32, 128},
		{"2001:db8::7", "::", 0, 0},
		{"2001:db8::7", "2001:db8::7", 32, 128},
	} {
		if got := MaskAddr(addr(tt.in), tt.v4, tt.v6); got != addr(tt.want) {
			t.Errorf("MaskAddr(%s, %d, %d) = %v, want %s", tt.in, tt.v4, tt.v6, got, tt.want)
		}
	}
}

// TestKeyedRealClock checks that keys are refilled by the system's clock, whose
// readings count from when the table was made.
func TestKeyedRealClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, nil)
		w := NewKeyedSlidingLog[int](1, time.Second, nil)
		q := NewKeyedQuota[int](1, Daily(nil), nil)
		for i := range 3 {
			for name, allow := range map[string]func(int) bool{"Keyed": k.Allow, "log": w.Allow, "quota": q.Allow} {
				if got := allow(1); !got {
					t.Errorf("%s, step %d: Allow = %v, want true", name, i, got)
				}
				if got := allow(1); got {
					t.Errorf("%s, step %d: Allow = %v again, want false", name, i, got)
				}
			}
			time.Sleep(24 * time.Hour)
		}
	})
}

// TestTrapReadingsOfOthers checks that a key decides as a Limiter of its own
// whatever the readings of other keys: one that is far ahead does not take the
// refill of the others.
func TestTrapReadingsOfOthers(t *testing.T) {
	start := time.Unix(0, 0)
	for range 20 { // of other seeds, in one shard
		k := NewKeyed[string]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 1024, Now: func() time.Time { return start }})
		w := NewKeyedSlidingLog[string](1, time.Second, &KeyedOptions{MaxKeys: 1024, Now: func() time.Time { return start }})
		k.AllowAt("a", start.Add(time.Hour), 1)
		w.AllowAt("a", start.Add(time.Hour), 1)
		for i := range 100 {
			at := start.Add(time.Duration(i) * time.Second)
			if got := k.AllowAt("b", at, 1); !got {
				t.Fatalf("Keyed: AllowAt(%v) = %v, want true as of a Limiter", at, got)
			}
			if got := w.AllowAt("b", at, 1); !got {
				t.Fatalf("KeyedWindow: AllowAt(%v) = %v, want true as of a Window", at, got)
			}
		}
	}
}

// TestSetLimitsCount checks that the number of limits may change: they are
// matched by position, a new one begins full, and keys of TakeLimits keep
// theirs.
func TestSetLimitsCount(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[string]([]Limit{{PerHour(1), 10}}, &KeyedOptions{Now: clock.now})
	k.AllowN("a", 4)
	k.TakeLimits("own", 2, Limit{PerHour(1), 20}, Limit{PerHour(1), 7}, Limit{PerHour(1), 9})
	k.SetLimits(Limit{PerHour(1), 12}, Limit{PerHour(1), 5})
	for i, tt := range []struct {
		key       string
		remaining []int
	}{{"a", []int{8, 5}}, {"own", []int{18, 5, 7}}, {"new", []int{12, 5}}} {
		var got []int
		for _, d := range k.Tiers(tt.key) {
			got = append(got, d.Remaining)
		}
		if !slices.Equal(got, tt.remaining) {
			t.Errorf("step %d: key %s has %v left, want %v", i, tt.key, got, tt.remaining)
		}
	}

	k.AllowN("a", 2)
	k.SetLimits(Limit{PerHour(1), 10})
	if got := k.Peek("a", 0).Remaining; got != 4 {
		t.Errorf("%d left under one limit again, want 4", got)
	}
	k.SetLimits(Limit{PerHour(1), 10}, Limit{PerHour(1), 3})
	if got := k.Peek("a", 0).Remaining; got != 3 {
		t.Errorf("%d left under a second limit that begins full, want 3", got)
	}
	if got := k.Allow("own"); !got {
		t.Errorf("Allow = %v for a key back from three limits of its own", got)
	}
}

// TestZeroTokensPlaceNoKey checks that requests of zero events hold no key.
func TestZeroTokensPlaceNoKey(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, nil)
	w := NewKeyedSlidingLog[int](1, time.Second, nil)
	k.AllowN(1, 0)
	k.Charge(1, 0)
	k.TakeUpTo(1, 0)
	k.TakeReserving(1, 0, 1)
	w.AllowN(1, 0)
	if got := k.Len() + w.Len(); got != 0 {
		t.Errorf("%d keys are held after zero events, want 0", got)
	}
}

// TestKeyedAll checks that All shows the keys whose buckets are not full, all
// of them, and stops when it is told to.
func TestKeyedAll(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerSecond(1), 3}}, &KeyedOptions{Now: clock.now})
	for key := range 50 {
		k.AllowN(key, 1+key%2)
	}
	clock.sleep(time.Second) // half of them are full again
	seen := map[int]int{}
	for key, d := range k.All() {
		seen[key] = d.Remaining
	}
	check(t, len(seen), 25, "keys that All shows")
	check(t, seen[1], 2, "tokens left to key 1")
	check(t, seen[49], 2, "tokens left to key 49")
	n := 0
	for range k.All() {
		if n++; n == 7 {
			break
		}
	}
	if n != 7 {
		t.Errorf("All yields %d after a break at 7, want 7", n)
	}
}

// TestKeyedClear checks that Clear and Delete forget keys, and nothing else.
func TestKeyedClear(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerHour(1), 3}}, nil)
	w := NewKeyedQuota[int](3, Daily(nil), nil)
	for key := range 100 {
		k.AllowN(key, 3)
		w.AllowN(key, 3)
	}
	k.Delete(7)
	w.Delete(7)
	for i, g := range []interface {
		Allow(key int) bool
		Len() int
	}{k, w} {
		check(t, g.Len(), 99, "table %d: Len after Delete", i)
		check(t, g.Allow(7), true, "table %d: Allow(7) after Delete(7)", i)
		check(t, g.Allow(8), false, "table %d: Allow(8) after Delete(7)", i)
	}
	k.Clear()
	w.Clear()
	check(t, k.Len(), 0, "Len of the Keyed after Clear")
	check(t, w.Len(), 0, "Len of the KeyedWindow after Clear")
	for key := range 100 {
		check(t, k.TakeUpTo(key, 5), 3, "tokens of key %d after Clear", key)
		check(t, w.AllowN(key, 3), true, "AllowN(%d, 3) after Clear", key)
	}
}

// TestTrapGrownThenBack checks that a full bucket that is left out when the
// table grows is not found full again by readings from before.
func TestTrapGrownThenBack(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 1024, Now: clock.now})
	k.Allow(-1)
	clock.sleep(10 * time.Second)
	s := &k.table.shards[0]
	s.grow(&k.table, clock.t)
	clock.t = int64(time.Second) / 2
	if got := k.Allow(-1); !got {
		t.Errorf("Allow = %v as of 10 s, when it was left out, want true", got)
	}
	if got := k.Allow(-1); got {
		t.Errorf("Allow = %v again at half a second", got)
	}
	if s.forgot != int64(10*time.Second) {
		t.Errorf("the shard forgot until %v, want 10s", time.Duration(s.forgot))
	}
}

// TestKeyedOwnRule checks that a slot is free when its own limits say so, not
// those of the table.
func TestKeyedOwnRule(t *testing.T) {
	var clock fakeClock
	k := NewKeyed[int]([]Limit{{Per(3, time.Nanosecond), 1}}, &KeyedOptions{MaxKeys: 16, DenyNew: true, Now: clock.now})
	own := Limit{PerSecond(1), 1}
	for key := 0; k.Len() < 16; key++ {
		k.TakeLimits(key, 1, own)
	}
	clock.sleep(time.Second - 1)
	if k.Allow(-1) {
		t.Error("a new key is allowed while all slots are owed")
	}
	clock.sleep(1)
	if !k.Allow(-1) {
		t.Error("a new key is refused when all slots are free")
	}
}

// TestKeyedVictimAmongEndless checks that a new key takes a place where it is
// found again, even if all others owe something forever.
func TestKeyedVictimAmongEndless(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 256})
	endless := Limit{Rate{}, 5}
	for key := range 1000 {
		k.TakeLimits(key, 5, endless)
		if got := k.Peek(key, 0).Remaining; got != 0 {
			t.Fatalf("key %d has %d tokens left, want none", key, got)
		}
	}
}

// TestShardNear checks that readings of a shard are within the span of its
// limits, however far they lie from its base, and that they tell the time.
func TestShardNear(t *testing.T) {
	for _, limit := range []Limit{{PerSecond(1), 1}, {perSecond(1e12), 1}, {Rate{}, 1}} {
		for _, factor := range []int64{-3, -2, -1, 0, 1, 2, 3} {
			for off := int64(-1); off <= 1; off++ {
				k := NewKeyed[int]([]Limit{limit}, nil)
				s := &k.table.shards[0]
				s.place(&k.table, 1, 0, 0, nil, true)
				at := min(max(factor*min(s.span, maxReading/3)+off, -maxReading), maxReading)
				d := s.near(at)
				if d < -s.span || d > s.span {
					t.Errorf("%v: near(%d) = %d, want at most %d", limit, at, d, s.span)
				}
				if want := max(at, -s.span); s.base+d != want {
					t.Errorf("%v: near(%d) = %d from %d, want the reading %d", limit, at, d, s.base, want)
				}
			}
		}
	}
}

// TestGrowthWithoutRoom checks a table that grows by less than two, all of
// whose keys share one set then: those that find no room are forgotten and
// counted, even with DenyNew.
func TestGrowthWithoutRoom(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{MaxKeys: 5 * ways, DenyNew: true})
	two, five := shard[int]{tags: make([]uint64, 2)}, shard[int]{tags: make([]uint64, 5)}
	next := 0
	charge := func(set int) { // a key of the set of two, and of the middle one of five
		for {
			next++
			h := maphash.Comparable(k.table.seed, next)
			a, b := two.setsOf(h)
			if c, d := five.setsOf(h); a == set && b == set && c == 2 && d == 2 {
				k.Charge(next, 100)
				return
			}
		}
	}

	// Nine keys or more make it two sets, and fill them.
	s := &k.table.shards[0]
	for range 2 * ways {
		charge(b2i(s.used >= ways))
	}
	check(t, len(s.tags), 2, "sets")
	check(t, s.used, 2*ways, "keys")
	charge(0)
	check(t, len(s.tags), 5, "sets after growth")
	check(t, k.Stats().Evicted, ways, "keys forgotten")
	check(t, k.Stats().Forgiven, 100*ways, "tokens forgiven")
}
