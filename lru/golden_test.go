// SPDX-License-Identifier: MIT

package lru

import "testing"

// TestGoldenPublished counts hits on traces that others have counted: of OLTP,
// LRU's hit ratios are those of the ARC paper (Megiddo and Modha, FAST 2003,
// table II) at 1000, 5000 and 15000; the LRU counts of all traces are also
// those of hashicorp/golang-lru 2.0.7. The one count of the optimum ('o') is
// our own.
func TestGoldenPublished(t *testing.T) {
	for _, g := range []struct {
		trace    string
		requests int
		kind     byte // as of newExact
		capacity int
		hits     int
	}{
		{"lirs-cpp", 9047, 'l', 100, 6307},
		{"lirs-cpp", 9047, 'l', 300, 7553},
		{"lirs-loop", 505500, 'l', 1000, 0},
		{"lirs-loop", 505500, 'l', 1011, 504489},
		{"lirs-multi1", 15858, 'l', 500, 7375},
		{"lirs-multi1", 15858, 'q', 500, 6457},
		{"lirs-multi3", 30241, 'l', 1000, 11401},
		{"lirs-sprite", 133996, 'l', 500, 104922},
		{"lirs-sprite", 133996, 'l', 1000, 121452},
		{"lirs-sprite", 133996, 'q', 500, 98632},
		{"arc-oltp", 914145, 'l', 1000, 300122},
		{"arc-oltp", 914145, 'l', 5000, 490443},
		{"arc-oltp", 914145, 'l', 15000, 590851},
		{"arc-oltp", 914145, 'o', 5000, 624085},
	} {
		t.Run(g.trace, func(t *testing.T) {
			if testing.Short() && g.requests > 100_000 {
				t.Skip("long")
			}
			keys := loadTrace(t, g.trace)
			if len(keys) != g.requests {
				t.Fatalf("%d requests, want %d", len(keys), g.requests)
			}
			if g.kind == 'o' {
				if hits := optimal(keys, g.capacity); hits != g.hits {
					t.Errorf("optimal at %d: %d hits, want %d", g.capacity, hits, g.hits)
				}
				return
			}

			if hits := replayExact(newExactOf[uint64, struct{}](g.kind, g.capacity), keys); hits != g.hits {
				t.Errorf("%c at %d: %d hits, want %d", g.kind, g.capacity, hits, g.hits)
			}
			policy := map[byte]Policy{'l': PolicyLRU, 'q': PolicyFIFO}[g.kind]
			if hits := replay(fixedCache(g.capacity, policy), keys); hits != g.hits {
				t.Errorf("%v at %d: %d hits, want %d", policy, g.capacity, hits, g.hits)
			}
		})
	}
}

// goldens are the hits of the policies that involve chance, or have no
// published figures, with the hash and the seed of fixedCache. They pin what
// the policies do: a change of one is a change of behavior, to be judged by the
// whole table that TestHitTable prints.
var goldens = []struct {
	trace                      string
	capacity                   int
	tiny, lru, lfu, fifo, rand int
}{
	{"zipf0.8", 969, 90225, 67693, 86068, 60429, 60289},
	{"zipf0.8", 1938, 107336, 87984, 102978, 79838, 80129},
	{"zipf1.0", 840, 135447, 118230, 132748, 109310, 109387},
	{"zipf1.0", 1681, 147336, 134650, 145123, 126180, 126198},
	{"zipf1.2", 555, 168372, 158419, 166897, 151264, 151277},
	{"zipf1.2", 1111, 175271, 168419, 174221, 162357, 162522},
	{"loop", 275, 24303, 0, 0, 0, 1957},
	{"scan", 5249, 187719, 167137, 184330, 155980, 156113},
	{"scan", 10499, 191451, 180500, 190617, 169890, 170343},
	{"phase", 899, 72729, 72048, 47174, 68150, 73106},
	{"phase", 1798, 91678, 80380, 52055, 77768, 99059},
	{"arc-oltp", 9344, 570615, 549207, 307036, 517448, 505526},
	{"arc-oltp", 46720, 669967, 669763, 587173, 646253, 645972},
	{"lirs-2_pools", 496, 51931, 51008, 51840, 42607, 42756},
	{"lirs-2_pools", 993, 54398, 54378, 54320, 49894, 49985},
	{"lirs-cpp", 61, 5793, 1751, 4789, 1781, 3076},
	{"lirs-cpp", 122, 7119, 6850, 6644, 5685, 5769},
	{"lirs-cs", 70, 270, 124, 124, 124, 124},
	{"lirs-cs", 140, 626, 124, 124, 124, 124},
	{"lirs-loop", 252, 123899, 0, 0, 0, 9962},
	{"lirs-multi1", 130, 7190, 3781, 4750, 3150, 3804},
	{"lirs-multi1", 260, 7872, 6886, 7434, 5369, 5391},
	{"lirs-multi2", 284, 11295, 7076, 7418, 5066, 5688},
	{"lirs-multi2", 568, 13560, 9715, 9515, 7838, 8355},
	{"lirs-multi3", 372, 12379, 8048, 8796, 5921, 6556},
	{"lirs-multi3", 745, 14427, 10734, 11294, 8825, 9167},
	{"lirs-ps", 154, 4011, 1274, 1755, 1274, 1519},
	{"lirs-ps", 308, 5561, 1706, 1755, 1274, 2851},
	{"lirs-sprite", 353, 90191, 87935, 30883, 82798, 79639},
	{"lirs-sprite", 1768, 123675, 124948, 104990, 122499, 121132},
}

// TestGoldenPolicies replays traces, and always the generated ones.
func TestGoldenPolicies(t *testing.T) {
	for i, g := range goldens {
		t.Run(g.trace, func(t *testing.T) {
			if raceEnabled || invariants || testing.Short() && (i%2 > 0 || g.trace == "arc-oltp") {
				t.Skip("long")
			}
			keys := loadTrace(t, g.trace)
			for p, want := range []int{g.tiny, g.lru, g.lfu, g.fifo, g.rand} {
				if hits := replay(fixedCache(g.capacity, Policy(p)), keys); hits != want {
					t.Errorf("%v at %d: %d hits, want %d", Policy(p), g.capacity, hits, want)
				}
			}
		})
	}
}

// TestPolicyGate compares the default with LRU on generated workloads: not
// worse by more than six points anywhere, and better by at least four on the
// mean.
func TestPolicyGate(t *testing.T) {
	capacities := []int{200, 1000, 4000}
	if testing.Short() || raceEnabled || invariants {
		capacities = capacities[1:2]
	}
	sum, n := 0.0, 0
	for _, name := range []string{"zipf0.8", "zipf1.0", "zipf1.2", "loop", "scan", "phase"} {
		keys := generate(name)
		for _, capacity := range capacities {
			tiny, lru := replay(fixedCache(capacity, PolicyTinyLFU), keys), replay(fixedCache(capacity, PolicyLRU), keys)
			gain := 100 * float64(tiny-lru) / float64(len(keys))
			if gain < -6 {
				t.Errorf("%s at %d: %.1f points, want at least -6", name, capacity, gain)
			}
			sum += gain
			n++
		}
	}

	if mean := sum / float64(n); mean < 4 {
		t.Errorf("mean gain %.1f points, want at least 4", mean)
	}
}

// TestShardedHits has several shards do as well as one, within half a point.
func TestShardedHits(t *testing.T) {
	keys := generate("zipf1.0")
	one := replay(fixedCache(4096, PolicyTinyLFU), keys)
	c := New(4096, &Options[uint64, struct{}]{Shards: 16, Hash: func(k uint64) uint64 { return k }})
	c.salt = 7 // chance does not decide
	for i := range c.shards {
		c.shards[i].rng = uint64(i) + 1
	}
	many := replay(c, keys)
	if d := float64(one-many) / float64(len(keys)); d > 0.005 {
		t.Errorf("%d hits with 16 shards, %d with one", many, one)
	}
}
