// SPDX-License-Identifier: MIT

package bloom

import (
	"fmt"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// prototype is the origin of targets that a prototype reached.
const prototype = "a prototype"

// expect says how the questions of m are answered.
func (m mix) expect() bench.Expect {
	switch m {
	case positive:
		return bench.Granted
	case half:
		return bench.Half
	}
	return bench.Same // at most one wrong answer in a hundred, for each filter its own
}

// Workloads returns the rows of the comparison.
func Workloads() []*bench.Workload {
	var rows []*bench.Workload
	for _, n := range []int{100_000, 1_000_000, 100_000_000} {
		rows = append(rows, hashRows(size{n, 0.01})...)
	}
	rows = append(rows, stringRows()...)
	rows = append(rows, otherRows()...)
	rows = append(rows, splitBlockRows()...)
	return append(rows, rateRows()...)
}

func hashRows(s size) []*bench.Workload {
	large := s.n >= 1e7
	pick := func(cached, memory float64) float64 {
		if large {
			return memory
		}
		return cached
	}

	inMemory := func(x float64) bench.Target { // batches of such keys are for filters that no cache holds
		if large {
			return bench.Ratio(x)
		}
		return bench.Target{}
	}
	addBatch := 0.25
	switch {
	case s.n < 1e6:
		addBatch = 0.85
	case !large:
		addBatch = 0.6
	}

	var rows []*bench.Workload
	for _, r := range []struct {
		mix    mix
		scalar float64
		batch  bench.Target
	}{
		{negative, pick(0.36, 0.9), inMemory(0.5)},
		{positive, pick(0.8, 0.5), inMemory(0.3)},
		{half, pick(0.45, 0.65), bench.Ratio(pick(0.4, 0.35))},
	} {
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("Has/keys=hash/n=%d/case=%s", s.n, r.mix), Versus: blob, Expect: r.mix.expect(), Target: bench.Ratio(r.scalar), Keys: s.n,
			Why:  "the hash is given, filters of the same bits and full; the rates are in the rows of Rate",
			Ours: oursHas(s, r.mix), Peers: []bench.Impl{blobHas(s, r.mix), parquetHas(s, r.mix)}, Floors: []bench.Impl{load(s)},
		}, &bench.Workload{
			Name: fmt.Sprintf("HasHashes/keys=hash/n=%d/case=%s", s.n, r.mix), Versus: blob, Expect: r.mix.expect(), Target: r.batch, Keys: s.n,
			Why:  "ours is asked for 1024 keys at a time, which no peer can be",
			Ours: oursHasBatch(s, r.mix), Peers: []bench.Impl{blobHas(s, r.mix), parquetHas(s, r.mix)}, Floors: []bench.Impl{load(s)},
		})
	}

	return append(rows, &bench.Workload{
		Name: fmt.Sprintf("Add/keys=hash/n=%d", s.n), Versus: blob, Target: bench.Ratio(pick(0.95, 1)), Origin: prototype, Keys: s.n, Expect: bench.Granted,
		Why: "the hash is given; cleared when full", Ours: oursAdd(s), Peers: []bench.Impl{blobAdd(s)}, Floors: []bench.Impl{load(s)},
	}, &bench.Workload{
		Name: fmt.Sprintf("AddHashes/keys=hash/n=%d", s.n), Versus: blob, Target: bench.Ratio(addBatch), Keys: s.n, Expect: bench.Granted,
		Why: "1024 at a time; never cleared", Ours: oursAddBatch(s), Peers: []bench.Impl{blobAdd(s)}, Floors: []bench.Impl{load(s)},
	})
}

func stringRows() []*bench.Workload {
	s := size{1 << 19, 0.01}
	var rows []*bench.Workload
	for _, p := range []struct {
		name   string
		target float64
		impl   bench.Impl
	}{{bits, 0.4, bitsHasString(s)}, {boomf, 0.4, boomHasString(s)}, {holi, 0.4, holimanHasString(s)}} {
		rows = append(rows, &bench.Workload{
			Name: "Has/keys=string/n=512Ki/case=mix/peer=" + p.name, Expect: bench.Half, Target: bench.Ratio(p.target),
			Why:  "keys of 16 bytes with their hash, which is the peer's own but for holiman, whose caller brings it",
			Ours: oursHasString(s), Peers: []bench.Impl{p.impl}, Floors: []bench.Impl{load(s)},
		})
	}
	return append(rows, &bench.Workload{
		Name: "Add/keys=string/n=512Ki", Expect: bench.Granted, Target: bench.Ratio(0.4), Why: "keys of 16 bytes with their hash; cleared when full",
		Ours: oursAddString(s), Peers: []bench.Impl{bitsAddString(s)},
	})
}

func otherRows() []*bench.Workload {
	s := size{1_000_000, 0.01}
	rows := []*bench.Workload{
		{
			Name: "Counting/op=Add+Has+Remove", Why: "keys of 16 bytes, one in the filter at a time", Versus: boomf, Target: bench.Ratio(0.4),
			Expect: bench.Granted, Ours: oursCounting(s), Peers: []bench.Impl{boomCounting(s), cuckooCounting(s)},
		},
		{
			Name: "Window.Seen/n=1e6", Why: "a million new keys in each window, whose clock moves: ours forgets by generations, and errs once in 300", Versus: "map+mutex", Target: bench.Ratio(0.3), Expect: bench.Granted,
			Ours: oursSeen(size{1_000_000, 0.003}), Peers: []bench.Impl{mapSeen(s)},
		},
		{
			Name: "Scalable/what=time", Why: "from 10^4 keys to 10^6 at a rate of 1 %", Target: bench.Ratio(0.4),
			Ours: oursGrown("time"), Peers: []bench.Impl{boomGrown("time")}, Rounds: 3,
		},
		{
			Name: "Scalable/what=bits", Why: "bits a key at the end", Unit: "bits/key", Target: bench.AtMost(20), Rounds: 1,
			Ours: oursGrown("bits"), Peers: []bench.Impl{boomGrown("bits")},
		},
		{
			Name: "Scalable/what=rate", Why: "measured with 10^6 absent keys", Unit: "rate", Target: bench.AtMost(0.011), Rounds: 1,
			Ours: oursGrown("rate"), Peers: []bench.Impl{boomGrown("rate")},
		},
	}

	for _, repeated := range []bool{false, true} {
		for _, goroutines := range []int{1, 2} {
			rows = append(rows, &bench.Workload{
				Name: fmt.Sprintf("Concurrent.Add/repeated=%t/goroutines=%d", repeated, goroutines), Parallel: goroutines,
				Why:    "lock-free in both; keys are in a full filter, or new to one that is replaced when it is full",
				Target: bench.Ratio(0.55), Expect: bench.Granted, Ours: oursConcurrentAdd(s, repeated), Peers: []bench.Impl{blobSyncAdd(s, repeated)},
			})
		}
	}

	return rows
}

// splitBlockRows compares filters of the same bits in the same places.
func splitBlockRows() []*bench.Workload {
	const why = "the same bits in the same places; both are assembly with AVX2"
	s := size{1_000_000, 0.01}
	var rows []*bench.Workload
	for _, m := range []mix{negative, positive, half} {
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("SplitBlock.Has/n=1e6/case=%s", m), Why: why, Target: bench.Ratio(1.2), Expect: m.expect(),
			Ours: oursSplitBlockHas(s, m), Peers: []bench.Impl{parquetSplitBlockHas(s, m)},
		}, &bench.Workload{
			Name: fmt.Sprintf("SplitBlock.HasHashes/n=1e6/case=%s", m), Target: bench.Ratio(0.45), Expect: m.expect(),
			Why:  why + "; ours is asked for 1024 keys at a time, which the peer cannot be",
			Ours: oursSplitBlockBatch(s, m), Peers: []bench.Impl{parquetSplitBlockHas(s, m)},
		})
	}
	return append(rows, &bench.Workload{
		Name: "SplitBlock.Add/n=1e6", Why: why, Target: bench.Ratio(1.45), Expect: bench.Granted,
		Ours: oursSplitBlockAdd(s), Peers: []bench.Impl{parquetSplitBlockAdd(s)},
	})
}

func rateRows() []*bench.Workload {
	var rows []*bench.Workload
	for _, p := range []float64{1e-2, 1e-3, 1e-4, 1e-5, 1e-6} {
		s := size{300_000, p}
		rows = append(rows, &bench.Workload{
			Name: fmt.Sprintf("Rate/p=%g", p), Unit: "x target", Rounds: 1, Target: bench.AtMost(1.1),
			Why: fmt.Sprintf("filters of 300000 keys and %.1f bits a key, those that ours has for the rate; BoomFilters has its own %.1f",
				float64(s.bits())/float64(s.n), classicBits(p)),
			Ours: wrong(ours, s, oursRate),
			Peers: []bench.Impl{
				wrong(blob, s, blobRate), wrong(bits, s, bitsRate), wrong(holi, s, holimanRate), wrong(boomf, s, boomRate), wrong(parq, s, parquetRate),
			},
		})
	}
	return rows
}
