// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// all returns the refs of m in order, by the leaves.
func (m *memtable) all() []uint32 { return leavesFrom(m.leftmost()) }

// leavesFrom returns the refs of the leaf n and those to the right.
func leavesFrom(n *node) (refs []uint32) {
	for ; n != nil; n = n.next.Load() {
		p := perm(n.perm.Load())
		for i := range p.len() {
			refs = append(refs, n.refs[p.at(i)])
		}
	}
	return refs
}

// TestPerm checks the order of items against a slice.
func TestPerm(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var p perm
		var want []int
		for n := range fanout {
			i := rng.IntN(n + 1)
			p, want = p.insert(i), slices.Insert(want, i, n)
			got := make([]int, p.len())
			for j := range got {
				got[j] = p.at(j)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("order %v, want %v", got, want)
			}

			p := inOrder(n + 1)
			for j := range n + 1 {
				equal(t, fmt.Sprintf("of %d items in order, the slot of number %d", n+1, j), p.at(j), j)
			}
			equal(t, "items in order", p.len(), n+1)
		}
	}
}

// TestMemtableOrders checks trees with small nodes into which versions are
// inserted in every order. After every store that a reader can see, readers
// look for every version that was complete by then: from the root, and from
// every leaf that any reader could have held since its sequence was current.
func TestMemtableOrders(t *testing.T) {
	n := 5
	switch {
	case *all:
		n = 6
	case raceEnabled:
		n = 4 // one goroutine has no races
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	trees := 0
	permute(order, 0, func(order []int) {
		for nodes := 3; nodes <= 4; nodes++ {
			checkOrder(t, order, nodes, trees%2 == 0)
			trees++
		}
	})
	t.Logf("%d trees", trees)
}

// TestMemtableOrdersLong checks the same in trees of four and more levels, in
// random order.
func TestMemtableOrdersLong(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	rounds, keys := 5, 24
	if testing.Short() || raceEnabled {
		rounds, keys = 2, 16
	}
	for i := range rounds {
		checkOrder(t, rng.Perm(keys), 3+i%2, i%2 == 0)
	}
}

func permute(s []int, i int, f func([]int)) {
	if i == len(s) {
		f(s)
		return
	}
	for j := i; j < len(s); j++ {
		s[i], s[j] = s[j], s[i]
		permute(s, i+1, f)
		s[i], s[j] = s[j], s[i]
	}
}

// A heldNode is where a reader of versions up to seq has come on the way to
// what belongs into [lo, hi), before it was interrupted.
type heldNode struct {
	n      *node
	p      perm // as the reader has loaded it, if it has
	seq    uint64
	lo, hi []byte // hi is nil if there is no end
}

// checkOrder inserts key order[0], order[1], … . If twice, keys 2i and 2i+1 are
// two versions of key i.
func checkOrder(t *testing.T, order []int, nodes int, twice bool) {
	t.Helper()
	m := newMemtable()
	m.order = nodes
	name := func(k int) []byte {
		if twice {
			k /= 2
		}
		return fmt.Appendf(nil, "shared%02d", k)
	}

	var done []int // keys that are complete: their sequences are 1, 2, …
	var held []heldNode
	m.step = func() {
		seq := uint64(len(done))
		for i, k := range done {
			v, _, ok := m.get(name(k), uint64(i+1))
			if want := []byte{byte(k)}; !ok || !bytes.Equal(v, want) {
				t.Fatalf("order %v: version %d of %q: got %v, %t, want %v, true", order, i+1, name(k), v, ok, want)
			}
		}
		for _, h := range held {
			for i, k := range done[:h.seq] {
				key := name(k)
				if bytes.Compare(key, h.lo) < 0 || h.hi != nil && bytes.Compare(key, h.hi) >= 0 {
					continue
				}
				if ref := reach(m, h.n, h.p, key, uint64(i+1)); ref == 0 || m.seq(ref) != uint64(i+1) {
					t.Fatalf("order %v: a reader at %d gets entry %d, want version %d of %q", order, h.seq, ref, i+1, key)
				}
			}
		}
		held = append(held, heldNodes(m, m.root.Load(), seq, nil, nil)...)
	}

	for i, k := range order {
		m.insert(name(k), []byte{byte(k)}, uint64(i+1), kindSet)
		done = append(done, k)
		m.step()
		m.check()
		if len(held) > 48 { // some old ones stay
			held = slices.Delete(held, 16, len(held)-16)
		}
	}
}

// heldNodes returns the nodes that can be reached from n, with the keys that
// belong to each.
func heldNodes(m *memtable, n *node, seq uint64, lo, hi []byte) (held []heldNode) {
	p := perm(n.perm.Load())
	held = append(held, heldNode{n, 0, seq, lo, hi}, heldNode{n, p, seq, lo, hi})
	if n.kids == nil {
		return held
	}
	for i := range p.len() {
		l, h := lo, hi
		if i > 0 {
			l = append(m.key(n.refs[p.at(i)]), 0) // a version of the key itself may be to the left
		}
		if i+1 < p.len() {
			h = m.key(n.refs[p.at(i+1)])
		}
		held = append(held, heldNodes(m, n.kids[p.at(i)].Load(), seq, l, h)...)
	}
	return held
}

// reach returns what a reader finds that goes on from n to (key, seq).
func reach(m *memtable, n *node, p perm, key []byte, seq uint64) uint32 {
	if p == 0 {
		p = perm(n.perm.Load())
	}
	for n.kids != nil {
		n = m.child(n, p, key, seq)
		p = perm(n.perm.Load())
	}
	i := m.search(n, p, 0, key, seq)
	if i < p.len() {
		return n.refs[p.at(i)]
	}
	if n = n.next.Load(); n == nil {
		return 0
	}
	return n.refs[perm(n.perm.Load()).at(0)]
}

// TestModelMemtable checks a memtable against a sorted slice, for keys of all
// shapes.
func TestModelMemtable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMemtable()
		m.order = rapid.IntRange(3, fanout).Draw(t, "order")
		type version struct {
			key, value []byte
			kind       byte
		}

		var log []version
		base := rapid.SampledFrom([]uint64{0, 1<<24 - 100, 1 << 40, maxSeq - 1000}).Draw(t, "sequences from")
		keys := rapid.OneOf(
			rapid.SliceOfN(rapid.ByteRange(0, 2), 0, 4),
			rapid.Map(rapid.IntRange(0, 50), func(i int) []byte { return fmt.Appendf(nil, "a-long-common-prefix/%d", i) }),
			rapid.SliceOfN(rapid.Byte(), 0, 20),
		)

		for range rapid.IntRange(1, 200).Draw(t, "n") {
			v := version{keys.Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value"), byte(rapid.IntRange(0, 1).Draw(t, "kind"))}
			log = append(log, v)
			m.insert(v.key, v.value, base+uint64(len(log)), v.kind)
		}

		m.check()

		for range 50 {
			key, seq := keys.Draw(t, "key"), rapid.IntRange(0, len(log)+1).Draw(t, "seq")
			value, kind, ok := m.get(key, base+uint64(seq))
			var want *version
			for i := range min(seq, len(log)) {
				if bytes.Equal(log[i].key, key) {
					want = &log[i]
				}
			}
			if ok != (want != nil) {
				t.Fatalf("get(%q, %d): found %t, want %t", key, seq, ok, want != nil)
			}
			if ok && kind != want.kind {
				t.Fatalf("get(%q, %d): got kind %d, want %d", key, seq, kind, want.kind)
			}
			if ok && !bytes.Equal(value, want.value) {
				t.Fatalf("get(%q, %d): got %q, want %q", key, seq, value, want.value)
			}
		}

		if n := len(m.all()); n != len(log) {
			t.Fatalf("%d entries, want %d", n, len(log))
		}
	})
}

// TestMemtableConcurrent checks reads while one goroutine writes: all versions
// that were published are there.
func TestMemtableConcurrent(t *testing.T) {
	n := 60_000
	if raceEnabled || testing.Short() {
		n /= 10
	}

	m := newMemtable()
	var visible atomic.Uint64
	key := func(i uint64) []byte { // 8 to 10 versions of each key, in scattered order
		return binary.BigEndian.AppendUint64([]byte("prefix"), i%uint64(n/8)*0x9e3779b97f4a7c15)
	}

	var wg sync.WaitGroup

	for range 2 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(3, 4))
			for seq := uint64(0); seq < uint64(n); {
				if seq = visible.Load(); seq == 0 {
					continue
				}
				i := rng.Uint64N(seq) + 1
				_, _, ok := m.get(key(i), i)
				if !ok {
					t.Errorf("version %d is missing at %d", i, seq)
					return
				}
			}
		})
	}

	for i := uint64(1); i <= uint64(n); i++ {
		m.insert(key(i), nil, i, kindSet)
		visible.Store(i)
	}

	wg.Wait()
	m.check()
}

// TestArena checks entries of the lengths at which chunks change, and that they
// add no more memory than was said before.
func TestArena(t *testing.T) {
	a := newArena()
	type entry struct {
		ref        uint32
		key, value []byte
	}

	var list []entry
	lengths := []int{
		0, 1, 100, 40_000, 40_000, 127, 128, minChunkLen/3 - maxEntryExtra - 3, minChunkLen/3 - maxEntryExtra - 2,
		16383, 16384, 3 << 20, 5, 1 << 18, 1 << 18, 1 << 18, 3, 9 << 20, 4_000_000, 2, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 7,
	}

	for i, n := range lengths {
		e := entry{key: bytes.Repeat([]byte{byte(i)}, 3), value: bytes.Repeat([]byte{byte(i)}, n)}
		before := a.size
		bound := a.growth(int64(n + 3 + maxEntryExtra + refUnit))
		if most := int64(n+3+maxEntryExtra+refUnit)*3/2 + int64(a.chunkLen()); bound > most {
			t.Errorf("an entry of %d bytes may take %d bytes, want a bound of at most %d", n, bound, most)
		}
		e.ref = a.put(e.key, e.value, uint64(i))
		if got := a.size - before; got > bound {
			t.Errorf("an entry of %d bytes took %d bytes, want at most %d", n, got, bound)
		}
		list = append(list, e)
	}

	for i, e := range list {
		k, v, trailer := a.get(e.ref)
		if !bytes.Equal(k, e.key) {
			t.Errorf("entry %d at %d: got the key %q, want %q", i, e.ref, k, e.key)
		}
		if !bytes.Equal(v, e.value) {
			t.Errorf("entry %d at %d: got %d bytes %.9q, want %d bytes %.9q", i, e.ref, len(v), v, len(e.value), e.value)
		}
		equal(t, fmt.Sprintf("entry %d: the trailer", i), trailer, uint64(i))
		equal(t, fmt.Sprintf("entry %d: has ref 0", i), e.ref == 0, false)
	}
}

// TestArenaExact checks that an entry which may take all that is free goes
// there, and that one which may take a byte more does not: as was said before.
func TestArenaExact(t *testing.T) {
	for more, want := range []int64{0, minChunkLen} {
		a := newArena()
		for free := minChunkLen - refUnit; free > 1000; free -= 1000 {
			a.put(nil, make([]byte, 1000-10-1), 0) // its lengths take 3 bytes
		}
		free := minChunkLen - a.used
		before := a.size
		n := int64(free + more)
		equal(t, fmt.Sprint("more: ", more, ": it is said to grow"), a.growth(n) > 0, want > 0)
		a.put(nil, make([]byte, int(n)-maxEntryExtra), 0)
		equal(t, fmt.Sprint("more: ", more, ": it grows by"), a.size-before, want)
	}
}

// TestMemtableGrowth checks that operations take no more memory than was said
// before, also while the arena has room, so that only nodes are added.
func TestMemtableGrowth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := newMemtable()
	seq := uint64(0)
	for _, n := range []int{100, 1000, 1000, 3000, 10_000} {
		size := 0
		keys := make([][]byte, n)
		for i := range keys {
			keys[i] = fmt.Append(nil, rng.Uint32())
			size += len(keys[i]) + 1
		}

		before := m.bytes()
		bound := m.growth(int64(size), int64(n))
		for _, key := range keys {
			seq++
			m.insert(key, []byte{1}, seq, kindSet)
		}
		if got := m.bytes() - before; got > bound {
			t.Errorf("%d operations took %d bytes, want at most %d", n, got, bound)
		}
	}

	// One operation never takes more, also if it splits nodes or adds a chunk.
	m = newMemtable()
	for range 20_000 {
		key := fmt.Append(nil, rng.Uint32())
		before := m.bytes()
		bound := m.growth(int64(len(key)), 1)
		seq++
		m.insert(key, nil, seq, kindSet)
		if got := m.bytes() - before; got > bound {
			t.Fatalf("an operation took %d bytes, want at most %d", got, bound)
		}
	}

	// Entries take memory also if keys and values have none.
	m = newMemtable()
	const n = 200_000
	before := m.bytes()
	bound := m.growth(0, n)
	for i := range uint64(n) {
		m.insert(nil, nil, i+1, kindSet)
	}
	if got := m.bytes() - before; got > bound {
		t.Errorf("%d empty operations took %d bytes, want at most %d", n, got, bound)
	}
}

// TestArenaChunks checks that 4 GiB of entries of the worst length find chunks.
func TestArenaChunks(t *testing.T) {
	for _, n := range []int{minChunkLen / 3, 300_000, maxChunkLen/3 + 1, maxChunkLen/3 - 50} {
		chunks, size := 1, int64(minChunkLen)
		for free := minChunkLen; size < maxMemory; { // as put does, without the memory
			c := int(min(maxChunkLen, max(minChunkLen, size/16&^(refUnit-1))))
			switch {
			case n <= free:
				free -= n
				continue
			case n > c/3:
				size += int64(n)
			default:
				size += int64(c)
				free = c - n
			}
			chunks++
		}
		if chunks > maxChunks {
			t.Errorf("entries of %d bytes: %d chunks, want at most %d", n, chunks, maxChunks)
		}
	}
}
