// SPDX-License-Identifier: MIT

package skiplist

import (
	"github.com/bytedance/gopkg/collection/zset"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/skiplist"
)

const byted = "bytedance/zset"

// A ranking is one sorted set: it adds 1 to the score of members, and tells
// their ranks.
type ranking struct {
	incr func(members []string, start, n int) int
	rank func(members []string, start, n int) int
}

func oursRanking(members []string) ranking {
	s := skiplist.NewSortedSet[string, float64]()
	for i, m := range members {
		s.Set(m, float64(i))
	}
	return ranking{
		incr: func(members []string, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				skiplist.Incr(s, members[i&(numProbes-1)], 100)
				done++
			}
			return done
		},
		rank: func(members []string, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if s.Index(members[i&(numProbes-1)]) >= 0 {
					found++
				}
			}
			return found
		},
	}
}

func zsetRanking(members []string) ranking {
	s := zset.NewFloat64()
	for i, m := range members {
		s.Add(float64(i), m)
	}
	return ranking{
		incr: func(members []string, start, n int) (done int) {
			for i := start; i < start+n; i++ {
				s.IncrBy(100, members[i&(numProbes-1)])
				done++
			}
			return done
		},
		rank: func(members []string, start, n int) (found int) {
			for i := start; i < start+n; i++ {
				if s.Rank(members[i&(numProbes-1)]) >= 0 {
					found++
				}
			}
			return found
		},
	}
}

func rankImpl(name string, n int, make func(members []string) ranking, op func(r ranking) func(members []string, start, n int) int) bench.Impl {
	return bench.Impl{Name: name, Setup: func(func(func())) bench.Op {
		d := texts(n)
		f := op(make(d.keys))
		return func(start, n int) int { return f(d.probes, start, n) }
	}}
}
