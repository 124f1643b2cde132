// SPDX-License-Identifier: MIT

package quorum

import (
	etcd "go.etcd.io/raft/v3/quorum"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/quorum"
)

// numVotes is the number of different votes, a power of two.
const numVotes = 1 << 10

// votes returns, for n replicas, which said yes and which no. Half of the
// outcomes are won, as far as that is possible.
func votes(n int) (ok, failed []quorum.Set) {
	ok, failed = make([]quorum.Set, numVotes), make([]quorum.Set, numVotes)
	all := quorum.First(n)
	x := uint64(1)
	for i := range ok {
		x = x*6364136223846793005 + 1442695040888963407
		yes := quorum.Set(x>>40) & all
		ok[i] = yes
		failed[i] = all &^ yes
	}
	return ok, failed
}

// oursVote counts the votes that are won by a majority, or by two joint ones.
func oursVote(n int, joint bool) bench.Op {
	system := quorum.Majority(quorum.First(n))
	if joint {
		system = quorum.Of(2, system, quorum.Majority(quorum.First(n)&^1))
	}
	ok, failed := votes(n)
	return func(start, n int) (won int) {
		for i := start; i < start+n; i++ {
			if system.Vote(ok[i&(numVotes-1)], failed[i&(numVotes-1)]) == quorum.Won {
				won++
			}
		}
		return won
	}
}

// oursHas counts the sets that contain a majority.
func oursHas(n int) bench.Op {
	system := quorum.Majority(quorum.First(n))
	ok, _ := votes(n)
	return func(start, n int) (won int) {
		for i := start; i < start+n; i++ {
			if system.Has(ok[i&(numVotes-1)]) {
				won++
			}
		}
		return won
	}
}

// etcdHas does the same with maps of those that have answered.
func etcdHas(n int) bench.Op {
	config := etcd.MajorityConfig{}
	for i := range n {
		config[uint64(i)] = struct{}{}
	}
	ok, _ := votes(n)
	list := make([]map[uint64]bool, numVotes)
	for i := range list {
		list[i] = map[uint64]bool{}
		for j := range ok[i].All() {
			list[i][uint64(j)] = true
		}
	}
	return func(start, n int) (won int) {
		for i := start; i < start+n; i++ {
			if config.VoteResult(list[i&(numVotes-1)]) == etcd.VoteWon {
				won++
			}
		}
		return won
	}
}

// etcdVote does the same with votes that are maps, as Raft keeps them, made
// beforehand.
func etcdVote(n int, joint bool) bench.Op {
	config := etcd.JointConfig{etcd.MajorityConfig{}}
	for i := range n {
		config[0][uint64(i)] = struct{}{}
	}
	if joint {
		config[1] = etcd.MajorityConfig{}
		for i := 1; i < n; i++ {
			config[1][uint64(i)] = struct{}{}
		}
	}

	ok, failed := votes(n)
	list := make([]map[uint64]bool, numVotes)
	for i := range list {
		list[i] = map[uint64]bool{}
		for j := range ok[i].All() {
			list[i][uint64(j)] = true
		}
		for j := range failed[i].All() {
			list[i][uint64(j)] = false
		}
	}
	return func(start, n int) (won int) {
		for i := start; i < start+n; i++ {
			vote := list[i&(numVotes-1)]
			if joint && config.VoteResult(vote) == etcd.VoteWon || !joint && config[0].VoteResult(vote) == etcd.VoteWon {
				won++
			}
		}
		return won
	}
}
