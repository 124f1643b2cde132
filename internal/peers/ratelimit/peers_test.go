// SPDX-License-Identifier: MIT

package ratelimit

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// few is a limit that does not refill while a test runs.
var few = limit{8, time.Hour, 8}

// admitted runs n operations of an implementation and returns how many were
// admitted.
func admitted(t *testing.T, impl bench.Impl, n int) int {
	t.Helper()
	return impl.Setup(t.Cleanup)(0, n)
}

// TestBurst checks that each adapter admits its burst and then refuses.
func TestBurst(t *testing.T) {
	one := func() keyset { return keyset{stream: []string{"a"}} }
	for _, impl := range []bench.Impl{
		oursAllow(few), oursTake(few), oursKeyed(one, 16, few), oursKeyed(one, 16, perKey, few), oursKeyedTake(one, 16, few),
		xtimeAllow(few), xtimeKeyed(one, few), xtimeTiers(one, perKey, few), xtimeLRU(one, 16, few),
		jujuAllow(few),
		throttledKeyed(one, 0, few), throttledKeyed(one, 16, few),
		sethvargoKeyed(one, few),
		ululeKeyed(one, few),
		tollboothKeyed(one, few),
	} {
		if got := admitted(t, impl, 50); got != few.burst {
			t.Errorf("%s admitted %d of 50, want %d", impl.Name, got, few.burst)
		}
	}
}

// Each keyed adapter has a bucket for every key, those seen beforehand
// included.
func TestKeys(t *testing.T) {
	keys := bench.Names(4)
	source := func() keyset { return keyset{all: keys, stream: keys} }
	want := len(keys) * (few.burst - 1)
	for _, impl := range []bench.Impl{
		oursKeyed(source, 64, few), oursKeyedTake(source, 64, few), xtimeKeyed(source, few), xtimeTiers(source, few, perKey),
		throttledKeyed(source, 0, few), sethvargoKeyed(source, few), ululeKeyed(source, few), tollboothKeyed(source, few),
	} {
		if got := admitted(t, impl, 100); got != want {
			t.Errorf("%s admitted %d of 100, want %d", impl.Name, got, want)
		}
	}
}

func TestWaitAndReserve(t *testing.T) {
	for _, impl := range []bench.Impl{oursWait(unreached), xtimeWait(unreached), oursReserve(never), xtimeReserve(never)} {
		if got := admitted(t, impl, 100); got != 100 {
			t.Errorf("%s admitted %d of 100, want all", impl.Name, got)
		}
	}
}

// TestUberSpaces checks that uber sleeps instead of refusing: with no slack
// left, an event each 100 ms.
func TestUberSpaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op := uberTake(limit{10, time.Second, 1}).Setup(t.Cleanup)
		op(0, 1)
		start := time.Now()
		if got := op(0, 10); got != 10 {
			t.Errorf("%d of 10 admitted", got)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("10 events took %v, want 1s", got)
		}
	})
}

// TestMeasures checks figures that are measured over time, here in the time of
// a bubble.
func TestMeasures(t *testing.T) {
	lim := limit{1000, time.Second, 10}
	for _, impl := range []bench.Impl{
		grants(ours, 5, time.Second, oursWaiter(lim)), grants(xtime, 5, time.Second, xtimeWaiter(lim)),
	} {
		synctest.Test(t, func(t *testing.T) {
			got, n := impl.Measure()
			if got < 980e3 || got > 1000e3 || n < 1000 {
				t.Errorf("%s: %v ns a grant, %d in all, want about 990,000 ns", impl.Name, got, n)
			}
		})
	}
}

func TestAccuracy(t *testing.T) {
	got, n := accuracy(ours, limit{1000, time.Second, 10}, 4, 20*time.Millisecond, oursAllower(limit{1000, time.Second, 10})).Measure()
	if got > 1 || n < 10 {
		t.Errorf("admitted %d, %v of the limit, want at least the burst and at most 1", n, got)
	}
}

func TestMemory(t *testing.T) {
	const n = 1 << 12
	impls := append(memoryPeers(n, name), memoryOurs(n, 2*n, name), memoryXtime(n, name))
	impls = append(impls, memoryOurs(n, 2*n, number), memoryXtime(n, number))
	for _, impl := range append(impls, memoryPeers(n, packed)...) {
		if got, keys := impl.Measure(); got < 8 || got > 1000 || keys != n {
			t.Errorf("%s: %d keys of %.1f bytes, want %d of 8..1000", impl.Name, keys, got, n)
		}
	}
}

// The window of a fixed-window limiter gives it the rate of the others.
func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		l    limit
		want time.Duration
	}{{few, time.Hour}, {limit{10, time.Second, 20}, 2 * time.Second}, {unreached, time.Second}} {
		if got := tt.l.window(); got != tt.want {
			t.Errorf("%+v: window %v, want %v", tt.l, got, tt.want)
		}
	}
}

func TestWorkloads(t *testing.T) {
	var names []string
	for _, w := range Workloads() {
		names = append(names, w.Name)
		if w.Why == "" || len(w.Peers) == 0 {
			t.Errorf("%s lacks a reason or a peer", w.Name)
		}
		if w.Ours.Name != ours {
			t.Errorf("%s compares %s", w.Name, w.Ours.Name)
		}
	}
	slices.Sort(names)
	if got := len(slices.Compact(names)); got != len(Workloads()) {
		t.Errorf("%d names for %d workloads", got, len(Workloads()))
	}
}
