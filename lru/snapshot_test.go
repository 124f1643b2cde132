// SPDX-License-Identifier: MIT

package lru

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// snapshotOf returns the bytes of c.
func snapshotOf[K comparable, V any](t testing.TB, c *Cache[K, V]) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := c.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo = %d, %v, want %d, nil", n, err, b.Len())
	}
	return b.Bytes()
}

// TestSnapshot brings back everything that an entry has.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string, []int](1000, nil)
		c.SetAttr("low", []int{0}, Attr{Priority: -1, Cost: 3, Tags: []string{"a", "b"}})
		c.SetAttr("high", nil, Attr{Priority: 1, Pinned: true, TTL: time.Hour})
		c.SetTTL("soon", []int{1, 2}, time.Minute)
		for i := range 600 {
			c.Set(fmt.Sprint(i), []int{i})
		}

		b := snapshotOf(t, c)
		time.Sleep(time.Minute) // what was left of a TTL goes on counting
		d := New[string, []int](1000, nil)
		from := io.MultiReader(bytes.NewReader(b), strings.NewReader("more"))
		if n, err := d.ReadFrom(iotest.OneByteReader(from)); err != nil || n != int64(len(b)) {
			t.Fatalf("ReadFrom = %d, %v, want %d", n, err, len(b))
		}
		if rest, _ := io.ReadAll(from); string(rest) != "more" {
			t.Errorf("ReadFrom left %q", rest)
		}
		checkAnswers(t,
			answer{"Len", d.Len(), 602},
			answer{"Cost", d.Cost(), 604},
			answer{"Has of what has expired", d.Has("soon"), false},
		)

		d.checkCost()
		for k, v := range d.All() {
			if w, ok := c.Peek(k); !ok || !slices.Equal(v, w) {
				t.Errorf("%s is %v, want %v", k, v, w)
			}
		}

		d.Resize(3)
		if !d.Has("high") {
			t.Error("the pin is lost")
		}
		time.Sleep(59*time.Minute - 1)
		if !d.Has("high") {
			t.Error("expired early")
		}

		time.Sleep(time.Nanosecond)
		if d.Has("high") {
			t.Error("expired late")
		}
	})
}

// TestSnapshotOrder keeps the order of the policies that have one, and the
// counts of those that count.
func TestSnapshotOrder(t *testing.T) {
	for _, p := range []Policy{PolicyTinyLFU, PolicyLRU, PolicyLFU, PolicyFIFO} {
		opts := &Options[int, int]{Policy: p, Shards: 1, Hash: func(k int) uint64 { return uint64(k) }}
		c := New(100, opts)
		c.salt = 23
		for i := range 20 {
			c.Set(i, i)
			for range i % 7 {
				c.Get(i)
			}
		}

		c.Get(5)
		d := New(100, opts)
		d.salt = 23
		if _, err := d.ReadFrom(bytes.NewReader(snapshotOf(t, c))); err != nil {
			t.Fatal(err)
		}

		d.checkCost()
		var hot, again []int
		for k := range c.Hottest() {
			hot = append(hot, k)
		}

		for k := range d.Hottest() {
			again = append(again, k)
		}
		if p == PolicyTinyLFU || p == PolicyLFU { // ties may fall otherwise
			level := func(k int) int {
				if p == PolicyTinyLFU || k == 5 {
					return min(k%7, 3) // it tells no more apart while the cache is not full
				}
				return k % 7
			}

			if !slices.IsSortedFunc(again, func(a, b int) int { return level(b) - level(a) }) && p == PolicyTinyLFU {
				t.Errorf("%v: order %v, was %v", p, again, hot)
			}
			if p == PolicyLFU && (again[0] != 13 && again[0] != 6 && again[0] != 5 || level(again[19]) > 0) {
				t.Errorf("%v: order %v, want 13, 6 or 5 first, and a multiple of 7 last, as in %v", p, again, hot)
			}
		} else if !slices.Equal(hot, again) {
			t.Errorf("%v: order %v, was %v", p, again, hot)
		}
	}
}

// TestSnapshotCost asks the options of the restoring cache about costs, and
// takes what fits.
func TestSnapshotCost(t *testing.T) {
	c := New[int, int](10, nil)
	for i := range 10 {
		c.Set(i, i)
	}

	d := New(10, &Options[int, int]{Cost: func(_, v int) int { return 4 }, Shards: 1})
	_, err := d.ReadFrom(bytes.NewReader(snapshotOf(t, c)))
	checkAnswers(t, answer{"ReadFrom", err, nil}, answer{"Len", d.Len(), 2}, answer{"Cost", d.Cost(), 8})

	// What is there already takes no room of the others.
	e := New[int, int](10, nil)
	for i := range 5 {
		e.Set(i, -1)
	}

	_, err = e.ReadFrom(bytes.NewReader(snapshotOf(t, c)))
	checkAnswers(t, answer{"ReadFrom", err, nil}, answer{"Len", e.Len(), 10})
	if v, _ := e.Get(0); v != -1 {
		t.Errorf("the value that was there is now %d, want -1", v)
	}
}

// TestSnapshotIdle saves what is left of the TTL, not of the idle time.
func TestSnapshotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(10, &Options[int, int]{TTL: time.Hour, Idle: time.Minute})
		c.Set(1, 1)
		d := New[int, int](10, nil)
		if _, err := d.ReadFrom(bytes.NewReader(snapshotOf(t, c))); err != nil {
			t.Fatal(err)
		}

		time.Sleep(time.Hour - time.Nanosecond)
		if !d.Has(1) {
			t.Error("expired before its TTL")
		}
		time.Sleep(time.Nanosecond)
		if d.Has(1) {
			t.Error("there after its TTL")
		}
	})
}

// seal returns a snapshot with frames, and a sum that is right.
func seal(written int64, frames ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(magic), version)
	b = binary.LittleEndian.AppendUint64(append(b, make([]byte, 6)...), uint64(written))
	for _, f := range frames {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// gobOf returns a frame, encoded.
func gobOf(t testing.TB, f frame[int, int]) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func oneFrame(left time.Duration, cost, priority int) frame[int, int] {
	return frame[int, int]{
		Keys: []int{1}, Values: []int{1}, Left: []time.Duration{left}, Ages: []time.Duration{-1},
		Costs: []int{cost}, Tags: [][]string{nil}, GivenTags: [][]string{nil}, Priorities: []int{priority},
		Pinned: []bool{false}, Given: []uint32{0}, Uses: []uint64{0},
	}
}

// TestSnapshotHostile has right sums over wrong contents.
func TestSnapshotHostile(t *testing.T) {
	good := gobOf(t, oneFrame(Forever, 1, 0))
	uneven := oneFrame(Forever, 1, 0)
	uneven.Tags = nil

	for name, test := range map[string]struct {
		bytes []byte
		want  error
		n     int
	}{
		"empty":         {nil, ErrCorrupt, 0},
		"no frames":     {seal(0), nil, 0},
		"good":          {seal(0, good), nil, 1},
		"twice":         {seal(0, good, good), nil, 1},
		"not gob":       {seal(0, []byte("hello")), ErrCorrupt, 0},
		"more":          {seal(0, append(slices.Clone(good), 1, 2, 3)), ErrCorrupt, 0},
		"uneven":        {seal(0, good, gobOf(t, uneven)), ErrCorrupt, 0},
		"cost 0":        {seal(0, gobOf(t, oneFrame(Forever, 0, 0))), ErrCorrupt, 0},
		"cost -1":       {seal(0, gobOf(t, oneFrame(Forever, -1, 0))), ErrCorrupt, 0},
		"cost large":    {seal(0, gobOf(t, oneFrame(Forever, math.MaxInt, 0))), nil, 0},
		"priority":      {seal(0, gobOf(t, oneFrame(Forever, 1, 2))), ErrCorrupt, 0},
		"old":           {seal(0, gobOf(t, oneFrame(time.Hour, 1, 0))), nil, 0},
		"older":         {seal(-1<<63, gobOf(t, oneFrame(Forever-1, 1, 0))), nil, 0},
		"future":        {seal(1<<63-1, gobOf(t, oneFrame(time.Hour, 1, 0))), nil, 1},
		"negative left": {seal(1<<63-1, gobOf(t, oneFrame(-1<<63, 1, 0))), ErrCorrupt, 0},
	} {
		c := New[int, int](10, nil)
		n, err := c.ReadFrom(bytes.NewReader(test.bytes))
		checkAnswers(t,
			answer{name + ": ReadFrom", err, test.want},
			answer{name + ": bytes", n, int64(len(test.bytes))},
			answer{name + ": Len", c.Len(), test.n},
		)
		c.checkCost()
	}
}

// TestSnapshotDamage cuts a snapshot and flips its bits: each damage is found,
// and nothing changes.
func TestSnapshotDamage(t *testing.T) {
	c := New[string, int](10, nil)
	c.Set("a", 1)
	c.SetAttr("b", 2, Attr{Tags: []string{"t"}})
	good := snapshotOf(t, c)
	d := New[string, int](10, nil)
	for i := range good {
		if _, err := d.ReadFrom(bytes.NewReader(good[:i])); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut after %d bytes: %v, want %v", i, err, ErrCorrupt)
		}
		bad := slices.Clone(good)
		for bit := range 8 {
			bad[i] = good[i] ^ 1<<bit
			if _, err := d.ReadFrom(bytes.NewReader(bad)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("bit %d of byte %d: %v, want %v or %v", bit, i, err, ErrCorrupt, ErrVersion)
			}
		}
	}

	if d.Len() != 0 {
		t.Errorf("%d entries of damaged snapshots, want 0", d.Len())
	}
	if _, err := d.ReadFrom(iotest.ErrReader(errLimit)); !errors.Is(err, errLimit) || errors.Is(err, ErrCorrupt) {
		t.Errorf("ReadFrom = %v, want %v alone", err, errLimit)
	}

	huge := append(slices.Clone(good[:headerBytes]), 0xff, 0xff, 0xff, 0xff)
	if _, err := d.ReadFrom(bytes.NewReader(huge)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a frame of 4 GB: %v, want %v", err, ErrCorrupt)
	}
	huge = append(slices.Clone(good[:headerBytes]), 0, 0, 0, 0x40)
	if _, err := d.ReadFrom(bytes.NewReader(huge)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a frame of 1 GB that is not there: %v, want %v", err, ErrCorrupt)
	}
}

var update = flag.Bool("update", false, "rewrite testdata/v1.snapshot")

// TestSnapshotGolden reads a snapshot of format 1 that was written once, by the
// first version.
func TestSnapshotGolden(t *testing.T) {
	const name = "testdata/v1.snapshot"
	if *update {
		c := New[string, int](100, nil)
		c.Set("a", 1)
		c.SetTTL("b", 2, 100*365*24*time.Hour)
		c.SetAttr("c", 3, Attr{Cost: 4, Priority: -1, Tags: []string{"t", "u"}})
		c.SetAttr("d", 0, Attr{Pinned: true})
		if err := os.WriteFile(name, snapshotOf(t, c), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c := New[string, int](100, nil)
	if _, err := c.ReadFrom(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if got := maps.Collect(c.All()); !maps.Equal(got, map[string]int{"a": 1, "b": 2, "c": 3, "d": 0}) {
		t.Errorf("read %v", got)
	}
	checkAnswers(t,
		answer{"Cost", c.Cost(), 7},
		answer{"DeleteTag", c.DeleteTag("t"), 1},
		answer{"Has", c.Has("c"), false},
	)
}

// TestPropSnapshot restores a random cache into another one: what is there is
// equal, and fits.
func TestPropSnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 50).Draw(t, "capacity")
		policy := Policy(rapid.IntRange(0, int(PolicyRandom)).Draw(t, "policy"))
		c := New(capacity, &Options[int, string]{Policy: policy, Shards: 2})
		for range rapid.IntRange(0, 80).Draw(t, "n") {
			k := rapid.IntRange(0, 60).Draw(t, "k")
			if _, ok := c.Get(k); !ok {
				c.SetAttr(k, fmt.Sprint(k), Attr{Cost: rapid.IntRange(0, 5).Draw(t, "cost")})
			}
		}

		var b bytes.Buffer
		if _, err := c.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		other := rapid.IntRange(1, 60).Draw(t, "other")
		d := New(other, &Options[int, string]{Policy: policy, Shards: 4})
		if _, err := d.ReadFrom(&b); err != nil {
			t.Fatal(err)
		}

		d.checkCost()
		for k, v := range d.All() {
			if w, ok := c.Peek(k); !ok || w != v {
				t.Fatalf("%d is %s, want %s", k, v, w)
			}
		}

		if other >= capacity && d.Len() != c.Len() {
			t.Fatalf("%d of %d entries restored", d.Len(), c.Len())
		}
	})
}

// FuzzReadFrom gives ReadFrom any bytes, and any frame under a sum that is
// right.
func FuzzReadFrom(f *testing.F) {
	f.Add([]byte(nil), false)
	f.Add(seal(0), false)
	f.Add(seal(5, gobOf(f, oneFrame(time.Hour, 1, 1))), false)
	f.Add(gobOf(f, oneFrame(time.Hour, 1, 1)), true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed && len(b) > 0 {
			b = seal(0, b)
		}
		c := New[int, int](10, nil)
		n, err := c.ReadFrom(bytes.NewReader(b))
		if n > int64(len(b)) {
			t.Fatalf("ReadFrom = %d bytes, want at most %d", n, len(b))
		}
		if err != nil && c.Len() > 0 {
			t.Fatalf("ReadFrom = %v, and left %d entries, want 0", err, c.Len())
		}
		if err == nil {
			again := snapshotOf(t, c)
			d := New[int, int](10, nil)
			if _, err := d.ReadFrom(bytes.NewReader(again)); err != nil || d.Len() != c.Len() {
				t.Fatalf("written again: %v, %d entries, want %d", err, d.Len(), c.Len())
			}
		}

		c.checkCost()
	})
}

// TestSnapshotFull writes to what takes fewer bytes, as many as there are of
// the snapshot: WriteTo tells each time, and how many it has written.
func TestSnapshotFull(t *testing.T) {
	c := New[int, int](10, nil)
	c.Set(1, 1)
	c.Set(2, 2)
	all := len(snapshotOf(t, c))
	for left := range all {
		w := limited{left: left}
		if n, err := c.WriteTo(&w); err == nil || n > int64(left) {
			t.Errorf("WriteTo = %d, %v where %d of %d bytes fit, want an error", n, err, left, all)
		}
	}
}

// TestSnapshotTags restores entries into a cache with tags of its own: they
// have these, and the ones that SetAttr gave.
func TestSnapshotTags(t *testing.T) {
	tags := func(name string) func(int, int) []string {
		return func(int, int) []string { return []string{name} }
	}
	c := New(10, &Options[int, int]{Tags: tags("old")})
	c.SetAttr(1, 1, Attr{Tags: []string{"given"}})
	b := snapshotOf(t, c)

	for _, tt := range []struct {
		opts *Options[int, int]
		want []string
	}{
		{nil, []string{"given", "old"}},
		{&Options[int, int]{Tags: tags("new")}, []string{"given", "new"}},
	} {
		d := New(10, tt.opts)
		if _, err := d.ReadFrom(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		a, _ := d.AttrOf(1)
		checkAnswers(t, answer{"Tags", a.Tags, tt.want})

		d.Update(1, func(int, bool) (int, bool) { return 2, true })
		a, _ = d.AttrOf(1)
		if tt.opts == nil {
			tt.want = []string{"given"}
		}
		checkAnswers(t, answer{"Tags after Update", a.Tags, tt.want})
	}
}

// TestSnapshotUses checks what is known of the uses of an entry: in a snapshot
// of an LFU how often it was used, and of the policies that do not count,
// nothing.
func TestSnapshotUses(t *testing.T) {
	for _, p := range []Policy{PolicyLRU, PolicyLFU, PolicyFIFO, PolicyRandom} {
		c := New(10, &Options[int, int]{Policy: p, Shards: 1})
		for i := range 4 {
			c.Set(i, i)
			for range i {
				c.Get(i)
			}
		}
		c.SetAttr(4, 4, Attr{Pinned: true})
		for _, r := range c.ranked() {
			want := uint64(0)
			if p == PolicyLFU && r.key < 4 {
				want = uint64(1 + r.key)
			}
			if r.uses != want {
				t.Errorf("%v: %d was used %d times, want %d", p, r.key, r.uses, want)
			}
		}

		d := New(10, &Options[int, int]{Policy: p, Shards: 1})
		if _, err := d.ReadFrom(bytes.NewReader(snapshotOf(t, c))); err != nil {
			t.Fatal(err)
		}
		uses := func(list []ranking[int]) map[int]uint64 {
			m := map[int]uint64{}
			for _, r := range list {
				m[r.key] = r.uses
			}
			return m
		}
		if got, want := uses(d.ranked()), uses(c.ranked()); !maps.Equal(got, want) {
			t.Errorf("%v: uses %v after ReadFrom, want %v", p, got, want)
		}
	}
}
