// SPDX-License-Identifier: MIT

package quorum

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawSystem draws a system of the replicas 0 to 5, at most depth levels deep,
// and its specification.
func drawSystem(t *rapid.T, depth int) (System, slowSystem) {
	kind := rapid.IntRange(0, min(depth+1, 2)).Draw(t, "kind") // a threshold alone if depth is -1
	switch kind {
	case 0:
		members := Set(rapid.IntRange(1, 1<<slowReplicas-1).Draw(t, "members"))
		k := rapid.IntRange(1, members.Len()).Draw(t, "k")
		return Threshold(k, members), slowThreshold(k, func(i int) int {
			if members.Has(i) {
				return 1
			}
			return 0
		})

	case 1:
		weights := rapid.SliceOfN(rapid.IntRange(0, 4), slowReplicas, slowReplicas).Draw(t, "weights")
		weights[rapid.IntRange(0, slowReplicas-1).Draw(t, "some")]++
		sum := 0
		for _, w := range weights {
			sum += w
		}
		need := rapid.IntRange(1, sum).Draw(t, "need")
		return Weighted(need, weights...), slowThreshold(need, func(i int) int { return weights[i] })
	}

	subs := make([]System, rapid.IntRange(1, 3).Draw(t, "subs"))
	slow := make([]slowSystem, len(subs))
	for i := range subs {
		subs[i], slow[i] = drawSystem(t, depth-1)
	}
	k := rapid.IntRange(1, len(subs)).Draw(t, "of")
	return Of(k, subs...), slowOf(k, slow)
}

// TestModelSystem checks each answer of a System against its truth table.
func TestModelSystem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, slow := drawSystem(t, 2)
		dual, slowDual := s.Dual(), slow.dual()
		twice := dual.Dual()
		for set, want := range slow {
			if got := s.Has(Set(set)); got != want {
				t.Fatalf("%v has %v = %v, want %v", s, Set(set), got, want)
			}
			if got := dual.Has(Set(set)); got != slowDual[set] {
				t.Fatalf("dual of %v has %v = %v, want %v", s, Set(set), got, slowDual[set])
			}
			if got := twice.Has(Set(set)); got != want {
				t.Fatalf("dual of the dual of %v has %v = %v, want %v", s, Set(set), got, want)
			}
		}
		if got, want := slices.Collect(s.Minimal()), slow.minimal(); !slices.Equal(got, want) {
			t.Fatalf("minimal quorums of %v = %v, want %v", s, got, want)
		}
		if got, want := s.Resilience(), slow.resilience(); got != want {
			t.Fatalf("resilience of %v = %d, want %d", s, got, want)
		}
	})
}

// TestPropVote checks that a vote is what the answers that are still possible
// make of it: decided at the first answer that decides it, and never pending
// when all have answered.
func TestPropVote(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, slow := drawSystem(t, 2)
		var ok, failed Set
		for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(t, "order") {
			if rapid.Bool().Draw(t, "ok") {
				ok |= SetOf(i)
			} else {
				failed |= SetOf(i)
			}
			if got, want := s.Vote(ok, failed), slow.vote(int(ok), int(failed)); got != want {
				t.Fatalf("%v: vote of %v, failed %v = %v, want %v", s, ok, failed, got, want)
			}
		}
		if got := s.Vote(ok, failed); got == Pending {
			t.Fatalf("%v: vote of %v, failed %v = %v, want a decision", s, ok, failed, got)
		}
	})
}

// TestPropIntersect checks Intersect by comparing each quorum with each. A
// system intersects its dual.
func TestPropIntersect(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		depth := rapid.SampledFrom([]int{-1, 1}).Draw(t, "depth")
		r, slowR := drawSystem(t, depth)
		w, slowW := drawSystem(t, depth)
		if got, want := Intersect(r, w), slowIntersect(&slowR, &slowW); got != want {
			t.Fatalf("Intersect(%v, %v) = %v, want %v", r, w, got, want)
		}
		if !Intersect(r, r.Dual()) {
			t.Fatalf("Intersect(%v, its dual) = false, want true", r)
		}
	})
}

// TestModelMerge checks when a merge returns and with what, for replicas that
// answer or fail at given times: with the first answer that decides, by trying
// how the rest could answer. All that do not fail hold the state in the end.
func TestModelMerge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, modelMerge) })
}

// modelMerge is TestModelMerge in a bubble.
func modelMerge(t *rapid.T) {
	system, slow := drawSystem(t, 2)
	defer time.Sleep(time.Hour) // all that is out ends, also after a failure
	list := stubs(slowReplicas)
	order := rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(t, "order")
	for at, i := range order {
		list[i].delay = time.Duration(at+1) * time.Millisecond
		if rapid.Bool().Draw(t, "fails") {
			list[i].err = errDown
		}
	}
	c, err := New(replicas(list), &Options{WriteSystem: system, ReadSystem: system.Dual()})
	if err != nil {
		t.Fatal(err)
	}

	// The specification, answer by answer.
	var ok, failed Set
	want := Pending
	var when time.Duration
	for _, i := range order {
		if want != Pending {
			break
		}
		when = list[i].delay
		if list[i].err == nil {
			ok |= SetOf(i)
		} else {
			failed |= SetOf(i)
		}
		want = slow.vote(int(ok), int(failed))
	}

	start := time.Now()
	err = c.Merge(ctx, "k", at(1))
	if got := time.Since(start); got != when || (err == nil) != (want == Won) {
		t.Fatalf("Merge at %v = %v after %v, want %v after %v", system, err, got, want, when)
	}
	var e *Error
	if errors.As(err, &e) && (e.OK != ok || e.Failed != failed || e.Pending != First(slowReplicas)&^(ok|failed)) {
		t.Fatalf("Merge = %+v, want ok %v, failed %v", e, ok, failed)
	}
	if err := c.Close(ctx); err != nil {
		t.Fatalf("Close = %v, want nil", err)
	}
	for i, s := range list {
		if got, want := s.holds() == 1, s.err == nil; got != want {
			t.Fatalf("replica %d holds the state: %v, want %v", i, got, want)
		}
	}
}

// A bitSet is a set that grows: the simplest State.
type bitSet uint16

func (s bitSet) Join(t bitSet) bitSet { return s | t }
func (s bitSet) Covers(t bitSet) bool { return t&^s == 0 }

// TestPropConverge checks that after Repair all replicas hold the join of all
// merges, wherever these arrived; and that an atomic load covers those before.
func TestPropConverge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "n")
		rs := make([]Replica[string, bitSet], n)
		stores := make([]*Memory[string, bitSet], n)
		for i := range rs {
			stores[i] = NewMemory[string, bitSet]()
			rs[i] = stores[i]
		}
		mode := RepairMode(rapid.IntRange(0, 2).Draw(t, "mode"))
		c, err := New(rs, &Options{Repair: mode})
		if err != nil {
			t.Fatal(err)
		}

		var all, seen bitSet
		for range rapid.IntRange(0, 8).Draw(t, "steps") {
			s := bitSet(rapid.Uint16().Draw(t, "s"))
			all |= s
			i := rapid.IntRange(0, n-1).Draw(t, "replica")
			_ = stores[i].Merge(ctx, "k", s)

			got, err := c.Load(ctx, "k", Atomic())
			if err != nil || !got.Covers(seen) {
				t.Fatalf("Load = %b, %v, want at least %b", got, err, seen)
			}
			seen |= got
		}

		if held, err := c.Repair(ctx, "k"); held != First(n) || err != nil {
			t.Fatalf("Repair = %v, %v, want all", held, err)
		}
		if err := c.Close(ctx); err != nil {
			t.Fatalf("Close = %v, want nil", err)
		}
		for i, m := range stores {
			if got, _ := m.Load(ctx, "k"); got != all {
				t.Fatalf("replica %d holds %b, want %b", i, got, all)
			}
		}
	})
}

// TestPropLWW checks that LWW is a join-semilattice: writes with one stamp are
// one write.
func TestPropLWW(t *testing.T) {
	t.Parallel()
	draw := func(t *rapid.T) LWW[int] {
		n := rapid.IntRange(0, 7).Draw(t, "stamp")
		if n == 0 {
			return LWW[int]{}
		}
		return LWW[int]{Value: n, Stamp: Stamp{int64(n / 4), uint32(n / 2 % 2), uint32(n % 2)}, Deleted: n%3 == 0}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw(t), draw(t), draw(t)
		var zero LWW[int]

		if got, want := a.Join(b), b.Join(a); got != want {
			t.Fatalf("%v joined with %v = %v, the other way %v", a, b, got, want)
		}
		if got, want := a.Join(b).Join(c), a.Join(b.Join(c)); got != want {
			t.Fatalf("%v, %v, %v joined = %v, or %v", a, b, c, got, want)
		}
		if got := a.Join(a); got != a {
			t.Fatalf("%v joined with itself = %v", a, got)
		}
		if got := zero.Join(a); got != a {
			t.Fatalf("the zero LWW joined with %v = %v", a, got)
		}
		if got, want := a.Covers(b), a.Join(b) == a; got != want {
			t.Fatalf("%v covers %v = %v, want %v", a, b, got, want)
		}
	})
}

// drawSiblings draws a state of writes of three nodes.
func drawSiblings(t *rapid.T) Siblings[int] {
	var alive, seen []Stamp
	for wall := range uint32(3) {
		for node := range uint32(3) {
			if rapid.Bool().Draw(t, "alive") {
				alive = append(alive, dots(node, wall+1)...)
			}
		}
	}
	for node := range uint32(3) {
		if wall := rapid.Uint32Range(0, 3).Draw(t, "seen"); wall > 0 {
			seen = append(seen, dots(node, wall)...)
		}
	}
	return sibs(alive, seen)
}

// TestPropSiblings checks that Siblings are a join-semilattice, by what is
// known of each write: nothing, its value, or that it was replaced. The join
// knows the greater one of these.
func TestPropSiblings(t *testing.T) {
	t.Parallel()
	same := func(a, b Siblings[int]) bool {
		return slices.Equal(a.Values, b.Values) && slices.Equal(a.Stamps, b.Stamps) && slices.Equal(a.Seen, b.Seen)
	}
	known := func(s Siblings[int], w Stamp) int {
		switch {
		case s.replaced(w):
			return 2
		case slices.Contains(s.Stamps, w):
			return 1
		}
		return 0
	}

	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawSiblings(t), drawSiblings(t), drawSiblings(t)
		ab := a.Join(b)
		for _, w := range dots(0, 1, 0, 2, 0, 3, 1, 1, 1, 2, 1, 3, 2, 1, 2, 2, 2, 3) {
			if got, want := known(ab, w), max(known(a, w), known(b, w)); got != want {
				t.Fatalf("%v joined with %v = %v: %v is %d, want %d", a, b, ab, w, got, want)
			}
		}

		if ba := b.Join(a); !same(ab, ba) {
			t.Fatalf("%v joined with %v = %v, the other way %v", a, b, ab, ba)
		}
		if got, want := ab.Join(c), a.Join(b.Join(c)); !same(got, want) {
			t.Fatalf("%v, %v, %v joined = %v, or %v", a, b, c, got, want)
		}
		if !same(a.Join(a), a) || !same(a.Join(Siblings[int]{}), a) {
			t.Fatalf("%v joined with itself = %v, with nothing %v", a, a.Join(a), a.Join(Siblings[int]{}))
		}
		if got, want := a.Covers(b), same(ab, a); got != want {
			t.Fatalf("%v covers %v = %v, want %v", a, b, got, want)
		}
	})
}

// TestPropClock checks that stamps grow, surpass all that was observed, and
// never lie ahead of the latest time by more than MaxOffset.
func TestPropClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const offset = 50
		now := int64(1000)
		c := NewClock(1, &ClockOptions{MaxOffset: offset, Now: func() time.Time { return time.Unix(0, now) }})
		latest := now
		var last Stamp
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now += rapid.Int64Range(-100, 100).Draw(t, "d")
			latest = max(latest, now)
			if rapid.Bool().Draw(t, "observe") {
				s := Stamp{now + rapid.Int64Range(-100, 100).Draw(t, "ahead"), rapid.Uint32().Draw(t, "count"), 2}
				err := c.Observe(s)
				if far := s.Compare(last) > 0 && s.Wall > now+offset; far != errors.Is(err, ErrDrift) {
					t.Fatalf("Observe of %v at %d = %v, want an error %v", s, now, err, far)
				}
				if err == nil && s.Compare(last) > 0 {
					last = s
				}
				continue
			}

			s := c.Now()
			if s.Compare(last) <= 0 || s.Wall < now || s.Wall > latest+offset+1 || s.Node != 1 {
				t.Fatalf("Now at %d = %v, after %v", now, s, last)
			}
			last = s
		}
	})
}
