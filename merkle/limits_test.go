// SPDX-License-Identifier: MIT

package merkle

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// allocated returns the number of bytes that f allocates, and others meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestDecodeMemory checks that a form takes memory in proportion to its bytes:
// that of its hashes, and of the nodes of a tree.
func TestDecodeMemory(t *testing.T) {
	if raceEnabled || invariants {
		t.Skip("the race detector and the checks allocate")
	}
	tree := treeOf(numbers(20_000))
	stored := mustMarshal(t, tree)
	proof := mustMarshal(t, Proof(leafHashes(numbers(20_000))))
	for name, c := range map[string]struct {
		decode func() error
		times  int // as many bytes as the form
	}{
		"Proof":         {func() error { return new(Proof).UnmarshalBinary(proof) }, 1},
		"Tree":          {func() error { return new(Tree).UnmarshalBinary(stored) }, 4},
		"Tree.ReadFrom": {func() error { _, err := new(Tree).ReadFrom(bytes.NewReader(stored)); return err }, 4},
	} {
		var err error
		got := allocated(func() { err = c.decode() })
		if limit := uint64(c.times*len(stored) + 1<<18); err != nil || got > limit {
			t.Errorf("%s: %d bytes are allocated, %v, want at most %d", name, got, err, limit)
		}
	}
}

// askOf returns an ask of n pieces of a mode whose keys have much in common.
func askOf(x *Index, m mode, n int) []byte {
	msg := writer{b: appendHead(nil, kindAsk, x.id)}
	start := strings.Repeat("a", maxShared-4)
	for i := range n {
		msg.piece(m, bound{key: start + string(binary.BigEndian.AppendUint32(nil, uint32(i)))})
	}
	return appendSum(msg.b, 0)
}

// TestRespondMemory checks that a message about too many ranges is refused
// before they take memory, of which each needs hundreds of bytes.
func TestRespondMemory(t *testing.T) {
	x := NewIndex(secret, nil)
	for _, m := range []mode{modeSkip, modeWant} {
		if _, err := x.Respond(askOf(x, m, maxAsks)); err != nil {
			t.Errorf("mode %d: %d pieces: %v, want an answer", m, maxAsks, err)
		}
		if _, err := x.Respond(askOf(x, m, maxAsks+1)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("mode %d: %d pieces: %v, want ErrCorrupt", m, maxAsks+1, err)
		}

		msg := askOf(x, m, 200_000)
		got := allocated(func() { _, _ = x.Respond(msg) })
		if limit := uint64(8 << 20); got > limit {
			t.Errorf("mode %d: %d bytes are allocated for a message of %d, want at most %d", m, got, len(msg), limit)
		}
	}
}

// TestRespondManyAsks checks the limit of an answer to more asks than it has
// room to refuse.
func TestRespondManyAsks(t *testing.T) {
	x := NewIndex(secret, &IndexOptions{MaxFrame: minFrame})
	for i := range 1000 {
		x.Set(fmt.Sprintf("%04d", i), Digest{})
	}
	msg := writer{b: appendHead(nil, kindAsk, x.id)}
	for i := range maxAsks {
		msg.piece(modeWant, bound{key: fmt.Sprintf("%04d", i)})
	}
	reply, err := x.Respond(appendSum(msg.b, 0))
	if limit := minFrame + maxAsks; err != nil || len(reply) > limit {
		t.Errorf("%d bytes, %v, want at most %d", len(reply), err, limit)
	}
}

// TestDiffWideFrame checks that no message asks about more ranges than an index
// answers, however long messages may be.
func TestDiffWideFrame(t *testing.T) {
	peer := NewIndex(secret, nil)
	for _, frame := range []int{4 << 20, math.MaxInt32} {
		d := NewIndex(secret, &IndexOptions{MaxFrame: frame}).differ(nil)
		for i := range 3 * maxAsks {
			d.todo = append(d.todo, ask{lo: fmt.Sprint(99_999 - i), hi: bound{key: fmt.Sprint(99_999-i) + "x"}})
		}
		msg, asks := d.message()
		if _, err := peer.Respond(msg); err != nil || len(asks) != maxAsks {
			t.Errorf("%d asks in a frame of %d: %v, want an answer to %d", len(asks), frame, err, maxAsks)
		}
	}
}

// TestDiffAsks checks the asks about a range that differs: for all items if
// there are none here, with marks if there are a few, and else about its parts.
func TestDiffAsks(t *testing.T) {
	for n, want := range map[int]mode{0: modeWant, 1: modeMarks, listKeys: modeMarks, listKeys + 1: modePrint} {
		d := NewIndex(secret, nil).differ(nil)
		for i := range n {
			d.x.Set(fmt.Sprint(i), Digest{})
		}
		d.todo = []ask{{hi: openEnd, differs: true}}
		msg, _ := d.message()
		asks, err := d.x.asks(msg)
		parts := map[mode]int{modeWant: 1, modeMarks: 1, modePrint: fanout}[want]
		if err != nil || len(asks) != parts || asks[0].mode != want {
			t.Errorf("%d keys: %d asks, %v, want %d of mode %d", n, len(asks), err, parts, want)
		}
	}
}

// TestDiffRefused checks that a peer that answers nothing is asked once.
func TestDiffRefused(t *testing.T) {
	p := &badPeer{local{x: NewIndex(secret, nil)}, nil}
	p.change = func([]byte) []byte { return answerOf(p.x, byte(modeAgain)|ends) }
	if _, err := collect(NewIndex(secret, nil), p); !errors.Is(err, ErrPeer) || p.exchanges != 1 {
		t.Errorf("%v after %d exchanges, want ErrPeer after 1", err, p.exchanges)
	}
}

// A frugal is a peer that lists a key at a time.
type frugal struct{ local }

func (p *frugal) Exchange(_ context.Context, msg []byte) ([]byte, error) {
	p.exchanges++
	asks, err := p.x.asks(msg)
	if err != nil {
		return nil, err
	}
	out := writer{b: appendHead(nil, kindAnswer, p.x.id)}
	for _, a := range asks {
		list := slices.Collect(p.x.between(a.lo, a.hi))
		if len(list) < 2 {
			out.list(openEnd, list)
			continue
		}
		out.list(bound{key: list[1].key}, list[:1])
		out.piece(modeAgain, openEnd)
	}
	return appendSum(out.b, 0), nil
}

// TestDiffOneByOne checks that an exchange is not in vain if it shows that a
// key is equal: a peer with room for one key in a message is not taken for one
// that goes on forever.
func TestDiffOneByOne(t *testing.T) {
	a := map[string]Digest{}
	for i := range 4 * maxVain {
		a[fmt.Sprintf("%04d", i)] = digestOf(uint64(i))
	}
	b := maps.Clone(a)
	b["9"] = Digest{}
	p := &frugal{local{x: indexOf(b, nil)}}
	got, err := collect(indexOf(a, nil), p)
	if err != nil || !maps.Equal(got, mapDiff(a, b)) {
		t.Errorf("%d differences after %d exchanges, %v, want 1", len(got), p.exchanges, err)
	}
}

// TestDiffEmptyKey checks a list of the shortest item there is.
func TestDiffEmptyKey(t *testing.T) {
	got, err := collect(NewIndex(secret, nil), &local{x: indexOf(map[string]Digest{"": digestOf(1)}, nil)})
	if err != nil || len(got) != 1 || got[""].Remote != digestOf(1) {
		t.Errorf("Diff = %v, %v, want the empty key", got, err)
	}
}

// TestMessageNumbers checks that each number has one encoding: of all of up to
// two bytes, and of those that are too long.
func TestMessageNumbers(t *testing.T) {
	check := func(b ...byte) {
		t.Helper()
		p := parser{b: b}
		v := p.number()
		want, n := binary.Uvarint(b)
		whole := n > 0 && slices.Equal(binary.AppendUvarint(nil, want), b[:n])
		if p.bad == whole || whole && (v != want || len(p.b) != len(b)-n) {
			t.Errorf("% x is %d, with %d bytes left, bad %t", b, v, len(p.b), p.bad)
		}
	}

	check()
	for i := range 256 {
		check(byte(i))
		for j := range 256 {
			check(byte(i), byte(j))
		}
	}
	for _, last := range []byte{0, 1, 2, 0x80} { // 2^64 and more, from 2 on
		check(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, last)
	}
}

// TestIndexInOrder checks that keys that come in order leave full pages behind,
// at all heights but at the right edge.
func TestIndexInOrder(t *testing.T) {
	x := NewIndex(secret, nil)
	for i := range 3 * pageKeys * pageKeys {
		x.Set(fmt.Sprintf("%08d", i), Digest{})
	}
	var walk func(p *page, edge bool)
	walk = func(p *page, edge bool) {
		if got := p.len(); got != pageKeys-1 && !edge {
			t.Errorf("a page of %d keys or kids, want %d", got, pageKeys-1)
		}
		for i, kid := range p.kids {
			walk(kid, edge && i == len(p.kids)-1)
		}
	}
	walk(x.items.root, true)
}
