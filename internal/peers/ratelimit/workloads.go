// SPDX-License-Identifier: MIT

package ratelimit

import (
	"fmt"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// Where targets come from.
const (
	prototype = "prototype"
	noSlower  = "no slower than the best peer"
)

// Workloads returns the rows of the comparison. Tables of keys are made when a
// row that needs them is set up, and shared by its implementations.
func Workloads() []*bench.Workload {
	var rows []*bench.Workload
	for _, goroutines := range []int{1, 2} {
		rows = append(rows, allowRows(goroutines)...)
	}
	rows = append(rows, waitRows()...)
	rows = append(rows, concurrencyRows()...)
	rows = append(rows, keyedRows()...)
	rows = append(rows, memoryRows()...)
	return append(rows, accuracyRow())
}

func allowRows(goroutines int) []*bench.Workload {
	striped := bench.Ratio(0.08)
	if goroutines > 1 {
		striped = bench.Ratio(0.045)
	}
	return []*bench.Workload{
		{
			Name:     fmt.Sprintf("Striped/case=granted/goroutines=%d", goroutines),
			Why:      "the same rate, burst and bound; most calls of ours take a token that is paid already and read no clock",
			Target:   striped,
			Versus:   xtime,
			Expect:   bench.Granted,
			Parallel: goroutines,
			Ours:     oursStriped(unreached),
			Peers:    []bench.Impl{xtimeAllow(unreached), uberTake(unreached)},
			Floors:   []bench.Impl{bench.CAS()},
		},

		// One word and a clock.
		{
			Name:     fmt.Sprintf("Allow/case=granted/goroutines=%d", goroutines),
			Why:      "one bucket of the same rate and burst, never empty; each call reads the clock and takes a token",
			Target:   bench.Ratio(0.45),
			Versus:   xtime,
			Expect:   bench.Granted,
			Parallel: goroutines,
			Ours:     oursAllow(unreached),
			Peers:    []bench.Impl{xtimeAllow(unreached), jujuAllow(unreached), uberTake(unreached)},
			Floors:   []bench.Impl{bench.Since(), bench.CAS()},
		},
		{
			Name:     fmt.Sprintf("Allow/case=denied/goroutines=%d", goroutines),
			Why:      "one bucket of 1000 a second, asked as fast as possible: nearly all calls are refused, by all alike",
			Target:   bench.Ratio(0.45),
			Versus:   xtime,
			Expect:   bench.Denied,
			Parallel: goroutines,
			Ours:     oursAllow(saturated),
			Peers:    []bench.Impl{xtimeAllow(saturated), jujuAllow(saturated)},
			Floors:   []bench.Impl{bench.Since()},
		},
	}
}

func waitRows() []*bench.Workload {
	crowded := limit{1e5, time.Second, 1}
	const waiters, during = 1000, 300 * time.Millisecond
	single := func() keyset { return keyset{stream: []string{"key"}} }
	return []*bench.Workload{
		{
			Name:   "Wait/case=free",
			Why:    "the same bucket, never empty, and a context that never ends: no call sleeps",
			Target: bench.Ratio(0.40),
			Expect: bench.Granted,
			Ours:   oursWait(unreached),
			Peers:  []bench.Impl{xtimeWait(unreached)},
			Floors: []bench.Impl{bench.Since(), bench.CAS()},
		},
		{
			Name:  "Wait/waiters=1000/rate=1e5",
			Why:   "1000 goroutines that do nothing but wait, with a burst of 1; at 10^5 a second there can be no less than 10,000 ns",
			Unit:  "ns/grant",
			Ours:  grants(ours, waiters, during, oursWaiter(crowded)),
			Peers: []bench.Impl{grants(xtime, waiters, during, xtimeWaiter(crowded))},
		},

		// Promises and whole decisions.
		{
			Name:   "Reserve+Cancel",
			Why:    "one token an hour and none left: each reservation lies ahead, and its cancellation gives it back",
			Target: bench.Ratio(0.45),
			Expect: bench.Granted,
			Ours:   oursReserve(never),
			Peers:  []bench.Impl{xtimeReserve(never)},
			Floors: []bench.Impl{bench.Since(), bench.Mutex(), bench.Since(), bench.Mutex()},
		},
		{
			Name:   "Take",
			Why:    "one bucket, and the whole decision from each call; throttled has no limiter without keys, so it gets one key, in the store its documentation uses",
			Target: bench.Ratio(0.15),
			Expect: bench.Granted,
			Ours:   oursTake(unreached),
			Peers:  []bench.Impl{throttledKeyed(single, 1<<16, unreached), noted(throttledKeyed(single, 0, unreached), unbounded)},
			Floors: []bench.Impl{bench.Since(), bench.CAS()},
		},
	}
}

func keyedRows() []*bench.Workload {
	const many, million = 1 << 16, 1 << 20
	names := sync.OnceValue(func() []string { return bench.Names(million) })
	uniform := func() keyset { return keyset{all: names()[:many], stream: names()[:many]} }
	zipf := sync.OnceValue(func() keyset { return keyset{all: names(), stream: bench.Zipf(names(), million, 0.99)} })
	flood := func() keyset { return keyset{stream: names()} }

	// A table is judged with little room to spare, where keys share their sets
	// and some are forgotten, and with much, where it takes twice the memory.
	var rows []*bench.Workload
	for _, room := range []struct {
		name string
		of   func(n int) int
	}{{"2n", func(n int) int { return 2 * n }}, {"1.05n", func(n int) int { return n + n/20 }}} {
		for _, goroutines := range []int{1, 2} {
			rows = append(rows, &bench.Workload{
				Name:     fmt.Sprintf("KeyedAllow/keys=string/n=64Ki/dist=uniform/room=%s/goroutines=%d", room.name, goroutines),
				Why:      "the same 16-byte keys in the same order, all known beforehand; each peer in its fastest form, none bounded but ours; goroutines start at different keys",
				Target:   bench.Ratio(0.50),
				Origin:   prototype,
				Expect:   bench.Granted,
				Keys:     many,
				Parallel: goroutines,
				Ours:     oursKeyed(uniform, room.of(many), perKey),
				Peers:    keyedPeers(uniform),
				Floors:   hashFloor(uniform),
			})
		}
		rows = append(rows, &bench.Workload{
			Name:   "KeyedAllow/keys=string/n=1Mi/dist=zipf0.99/room=" + room.name,
			Why:    "a million keys known beforehand, drawn as skewed as clients are; most tables no longer fit the caches",
			Target: bench.Ratio(0.50),
			Expect: bench.Granted,
			Keys:   million,
			Ours:   oursKeyed(zipf, room.of(million), perKey),
			Peers:  keyedPeers(zipf),
			Floors: hashFloor(zipf),
		})
	}

	return append(rows, []*bench.Workload{
		{
			Name:   "KeyedAllow/keys=string/case=flood",
			Why:    "a million keys in turn through limiters bounded to 65536: each key is new or long forgotten, and displaces another",
			Target: bench.Ratio(0.35),
			Expect: bench.Granted,
			Keys:   million,
			Ours:   oursKeyed(flood, many, onceKey),
			Peers: []bench.Impl{
				throttledKeyed(flood, many, onceKey),
				xtimeLRU(flood, many, onceKey),
			},
			Floors: hashFloor(flood),
		},
		{
			Name:   "KeyedTake/keys=string/n=64Ki/dist=uniform",
			Why:    "the whole decision from each call, on keys that are known, with a bound on keys on both sides",
			Target: bench.Ratio(0.35),
			Expect: bench.Granted,
			Keys:   many,
			Ours:   oursKeyedTake(uniform, 2*many, perKey),
			Peers:  []bench.Impl{throttledKeyed(uniform, many, perKey), noted(throttledKeyed(uniform, 0, perKey), unbounded)},
			Floors: hashFloor(uniform),
		},
		{
			Name:   "KeyedAllow/keys=string/n=64Ki/tiers=2",
			Why:    "two limits a key; the peer looks up once and asks both in turn, which is less: it does not give back the first",
			Target: bench.Ratio(0.35),
			Expect: bench.Granted,
			Keys:   many,
			Ours:   oursKeyed(uniform, 2*many, perKey, unreached),
			Peers:  []bench.Impl{xtimeTiers(uniform, perKey, unreached)},
			Floors: hashFloor(uniform),
		},
	}...)
}

// unbounded is why a peer without a bound on keys does not count where the
// others have one.
const unbounded = "its memory grows with every key that is ever seen; ours, and its own documented form, are bounded"

func noted(i bench.Impl, note string) bench.Impl {
	i.Note = note
	return i
}

func keyedPeers(keys func() keyset) []bench.Impl {
	return []bench.Impl{
		xtimeKeyed(keys, perKey),
		throttledKeyed(keys, 0, perKey),
		sethvargoKeyed(keys, perKey),
		ululeKeyed(keys, perKey),
		tollboothKeyed(keys, perKey),
	}
}

func hashFloor(keys func() keyset) []bench.Impl {
	return []bench.Impl{
		bench.Since(), bench.Mutex(),
		bench.Hash(func() []string { return keys().stream }),
	}
}

func memoryRows() (rows []*bench.Workload) {
	const n = 1e6
	for _, room := range []struct {
		name            string
		maxKeys         int
		number, letters float64
	}{{"1.05n", 1 << 20, 25, 50}, {"2n", 2 << 20, 50, 75}} {
		rows = append(rows,
			memoryRow("uint64/n=1e6/room="+room.name, "limiters of strings get the 8 bytes as a string", room.number,
				memoryOurs(n, room.maxKeys, number), append([]bench.Impl{memoryXtime(n, number)}, memoryPeers(n, packed)...)),
			memoryRow("string/n=1e6/room="+room.name, "strings of 16 bytes, whose bytes count for all alike", room.letters,
				memoryOurs(n, room.maxKeys, name), append([]bench.Impl{memoryXtime(n, name)}, memoryPeers(n, name)...)),
		)
	}
	return rows
}

// memoryRow measures the heap of a million keys. Between collections it does
// not vary from run to run.
func memoryRow(keys, why string, most float64, ours bench.Impl, peers []bench.Impl) *bench.Workload {
	return &bench.Workload{
		Name:   "Memory/keys=" + keys,
		Why:    "live heap a key after one event of each; ours divided by the keys held; " + why,
		Target: bench.AtMost(most),
		Unit:   "bytes/key",
		Rounds: 3,
		Keys:   1e6,
		Ours:   ours,
		Peers:  peers,
	}
}

func accuracyRow() *bench.Workload {
	hard := limit{1e6, time.Second, 1000}
	const goroutines, during = 1000, 700 * time.Millisecond
	return &bench.Workload{
		Name:   "Accuracy/goroutines=1000/rate=1e6/burst=1000",
		Why:    "admitted/(burst + rate*time), 1000 goroutines for 0.7 s: above 1 a limit is broken, far below 1 events are lost",
		Target: bench.Within(0.98, 1),
		Unit:   "of the limit",
		Ours:   accuracy(ours, hard, goroutines, during, oursAllower(hard)),
		Peers: []bench.Impl{
			accuracy(xtime, hard, goroutines, during, xtimeAllower(hard)),
			accuracy("juju", hard, goroutines, during, jujuAllower(hard)),
		},
	}
}
