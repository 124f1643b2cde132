// SPDX-License-Identifier: MIT

package breaker

import (
	"fmt"
	"strings"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// prototype is the origin of targets that a prototype of the design study
// reached.
const prototype = "a prototype"

// Workloads returns the rows of the comparison.
func Workloads() []*bench.Workload {
	var rows []*bench.Workload
	for i, goroutines := range []int{1, 2} {
		rows = append(rows, callRows(i, goroutines)...)
	}
	rows = append(rows, rejectRows()...)
	return append(rows, memoryRows()...)
}

// callRows returns the rows of calls that are admitted, of i+1 goroutines.
func callRows(i, goroutines int) []*bench.Workload {
	var rows []*bench.Workload
	one := func(name, why, versus string, target float64, ours bench.Impl, peers ...bench.Impl) *bench.Workload {
		w := &bench.Workload{
			Name: fmt.Sprintf("%s/goroutines=%d", name, goroutines), Why: why, Versus: versus, Target: bench.Ratio(target),
			Expect: bench.Granted, Parallel: goroutines, Ours: ours, Peers: peers,
		}
		switch {
		case strings.Contains(name, "rule=time"):
			w.Floors = []bench.Impl{bench.Since(), bench.CAS()} // when it happened, and one more of that time
		case strings.Contains(name, "rule=calls"):
			w.Floors = []bench.Impl{bench.CAS()}
		}
		if strings.HasPrefix(name, "Do/") {
			w.Floors = append(w.Floors, bench.Call())
		}
		rows = append(rows, w)
		return w
	}
	pick := func(targets ...float64) float64 { return targets[i] }

	one("Do/rule=row/peer=eapache", "calls that succeed while closed; a success does nothing in either", eap, 0.6,
		oursDo(row, 0), eapacheDo())
	one("Do/rule=row/peer=gobreaker", "calls that succeed while closed; it counts all of them, ours those that fail",
		gobr, pick(0.03, 0.02), oursDo(row, 0), gobreakerDo(row, 0))

	const windowed = "a ratio over 10 s in 10 steps; every call is counted"
	one("Do/rule=time/peer=gobreaker", windowed, gobr, pick(0.25, 0.17), oursDo(lastTime, 0), gobreakerDo(lastTime, 0))
	one("Do/rule=time/peer=failsafe", windowed+"; it is asked and told without its executor", fail, pick(0.45, 0.35),
		oursDo(lastTime, 0), failsafeDo(lastTime, 0)).Origin = prototype
	one("Do/rule=time/peer=executor", windowed, executor, 0.08, oursDo(lastTime, 0), failsafeExecutor(lastTime))
	one("Do/rule=time/peer=hystrix-go", "a ratio over 10 s; it counts in another goroutine", hyst, 0.006,
		oursDo(lastTime, 0), hystrixDo())
	one("Do/rule=calls", "a ratio over the last 100 calls", fail, 0.35,
		oursDo(lastHundred, 0), failsafeDo(lastHundred, 0)).Origin = prototype
	one("Do/rule=time/failing=1%", "one call in a hundred fails, which does not trip", "", 0.4,
		oursDo(lastTime, 100), gobreakerDo(lastTime, 100), failsafeDo(lastTime, 100))

	const twoSteps = "in two steps; a second report is seen by ours in every state, by it in none"
	one("Allow+Success/rule=row", twoSteps, gobr, 0.1, oursAllow(row), gobreakerAllow(row))
	one("Allow+Success/rule=time", twoSteps, gobr, 0.25, oursAllow(lastTime), gobreakerAllow(lastTime))

	one("Throttle/case=accepted", "2 minutes in 40 steps, and K = 2; of go-zero its constants, 10 s in 40 steps", "", 0.25,
		oursThrottle(false), aegisThrottle(false), zeroThrottle(false), failsafeThrottle(false)).Origin = prototype
	return rows
}

// rejectRows returns the rows of calls that are rejected, and of what decides
// about them.
func rejectRows() []*bench.Workload {
	storms := []bench.Impl{
		storm(gobr, gobreakerStorm), storm(fail, failsafeStorm), storm(eap, eapacheStorm), storm(hyst, hystrixStorm),
	}

	return []*bench.Workload{
		{
			Name: "Reject/peer=gobreaker", Why: "open for a day",
			Versus: gobr, Target: bench.Ratio(0.03), Expect: bench.Denied,
			Ours: oursReject(), Peers: []bench.Impl{gobreakerReject(), failsafeReject()},
		},
		{
			Name: "Reject/peer=eapache",
			Why: "open for an hour; its error says nothing, ours until when and why. Its Run is inlined, and the compiler " +
				"folds the loop around it: the aim is 2 ns a call",
			Target: bench.AtMost(2), Expect: bench.Denied,
			Ours: oursReject(), Peers: []bench.Impl{eapacheReject()},
		},
		{
			Name: "Throttle/case=refused",
			Why: "the backend refuses all: each sends a share of its own, ours 1 in 20, failsafe 1 in 20, go-zero and aegis " +
				"by their constants; sent and rejected calls cost ours the same",
			Target: bench.Ratio(0.6), Origin: prototype, Expect: bench.Differ,
			Ours: oursThrottle(true), Peers: []bench.Impl{aegisThrottle(true), zeroThrottle(true), failsafeThrottle(true)},
		},
		{
			Name: "Group.Get/n=10000", Why: "a breaker for each of 10000 hosts, all known; ours bounds their number",
			Versus: "sync.Map", Target: bench.Ratio(1.1), Expect: bench.Granted,
			Ours: oursGroup(), Peers: []bench.Impl{syncMap(), zeroGroup()},
		},
		{
			Name: "Storm/callers=1000",
			Why: "calls that run at once after the open time, of 1000 made before any ends, where one probe is asked for; " +
				"aegis and go-zero have no such state",
			Unit: "calls", Target: bench.AtMost(1), Ours: storm(ours, oursStorm), Peers: storms,
		},
	}
}

// memoryRows returns the rows of the memory of a breaker.
func memoryRows() []*bench.Workload {
	var rows []*bench.Workload
	for _, r := range []struct {
		name string
		rule rule
	}{
		{"row", row},
		{"time", lastTime},
	} {
		rows = append(rows, &bench.Workload{
			Name: "Memory/rule=" + r.name, Why: "10000 breakers, each with settings of its own", Unit: "bytes", Rounds: 3,
			Ours:  memory(ours, func() *breaker.Breaker { return breaker.New(options(r.rule)) }),
			Peers: []bench.Impl{memory(gobr, newGobreaker(r.rule)), memory(fail, newFailsafe(r.rule))},
		})
	}
	return append(rows, &bench.Workload{
		Name: "Memory/shared", Why: "10000 breakers with the default settings, which ours share", Unit: "bytes", Rounds: 3,
		Ours:  memory(ours, func() *breaker.Breaker { return breaker.New(nil) }),
		Peers: []bench.Impl{memory(gobr, newGobreaker(row)), memory(fail, newFailsafe(row))},
	})
}
