// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// A bent is a peer that answers marks in its own way, and all else well.
type bent struct {
	local
	delta func(x *Index, out *writer, a *piece)
	marks int // asks of marks
	lists int // asks of lists
}

func (p *bent) Exchange(_ context.Context, msg []byte) ([]byte, error) {
	p.exchanges++
	asks, err := p.x.asks(msg)
	if err != nil {
		return nil, err
	}
	w := SHA256.worker()
	defer w.release()
	out := writer{b: appendHead(nil, kindAnswer, p.x.id)}
	for i := range asks {
		switch a := &asks[i]; a.mode {
		case modeMarks:
			p.marks++
			p.delta(p.x, &out, a)
		case modeWant:
			p.lists++
			fallthrough
		default:
			p.x.answer(w, &out, a, 1<<30, true)
		}
	}
	return appendSum(out.b, 0), nil
}

// some returns two sets that differ in a few of n keys.
func some(n int) (a, b map[string]Digest) {
	a, b = map[string]Digest{}, map[string]Digest{}
	for i := range n {
		key := fmt.Sprintf("%04d", i)
		a[key] = digestOf(uint64(i))
		b[key] = a[key]
	}
	delete(a, "0003")
	delete(b, "0005")
	b["0007"] = digestOf(1 << 40)
	return a, b
}

// TestDiffMarks checks that a range with few keys costs marks and what differs,
// and no list: in one exchange, and in fewer bytes than the list has.
func TestDiffMarks(t *testing.T) {
	a, b := some(listKeys - 1)
	a["more"] = Digest{} // the fingerprints of all, and then of few
	x, y := indexOf(a, nil), indexOf(b, nil)
	d := x.differ(nil)
	d.todo = []ask{{hi: openEnd, differs: true, print: y.prints([]piece{{hi: openEnd}})[0]}}
	found := 0
	d.yield = func(Delta, error) bool { found++; return true }
	p := &local{x: y}
	if err := d.exchange(t.Context(), p); err != nil || len(d.todo) > 0 || found != 4 {
		t.Errorf("%d differences, and %d ranges are left, %v, want 4 and none", found, len(d.todo), err)
	}
	if most := 2*(messageHead+sumBytes) + listKeys*len(mark{}) + 150; p.bytes > most {
		t.Errorf("%d bytes for 4 differences of %d keys, want at most %d", p.bytes, listKeys, most)
	}
}

// TestDiffWrongMarks checks that an answer to marks that is not true, as when
// two items have one mark or the peer has changed, is found: the peer has to
// list all, and the differences are those of the lists.
func TestDiffWrongMarks(t *testing.T) {
	a, b := some(20)
	answers := map[string]func(x *Index, out *writer, a *piece){
		"all is the same": func(_ *Index, out *writer, _ *piece) { out.delta(nil, nil) },
		"nothing is": func(_ *Index, out *writer, a *piece) {
			var gone []int
			for i := range a.marks {
				gone = append(gone, i)
			}
			out.delta(gone, nil)
		},
		"other items": func(_ *Index, out *writer, _ *piece) { out.delta(nil, []item{{key: "zzz"}}) },
		"a list of less": func(x *Index, out *writer, a *piece) {
			out.list(bound{key: "0004"}, slices.Collect(x.between(a.lo, bound{key: "0004"})))
			out.piece(modeAgain, openEnd)
		},
	}

	for name, delta := range answers {

		x := indexOf(a, nil)
		p := &bent{local: local{x: indexOf(b, nil)}, delta: delta}
		d := x.differ(nil)
		d.todo = []ask{{hi: openEnd, differs: true, print: p.x.prints([]piece{{hi: openEnd}})[0]}}
		got := map[string]Delta{}
		d.yield = func(one Delta, err error) bool {
			if err != nil {
				t.Errorf("%s: %v, want no error", name, err)
			}
			got[one.Key] = one
			return true
		}
		for len(d.todo) > 0 {
			if err := d.exchange(t.Context(), p); err != nil {
				t.Fatalf("%s: %v, want no error", name, err)
			}
		}

		want := mapDiff(a, b)
		if len(got) != len(want) {
			t.Errorf("%s: %d differences, want %d", name, len(got), len(want))
		}
		for key, one := range want {
			if got[key] != one {
				t.Errorf("%s: %q: %+v, want %+v", name, key, got[key], one)
			}
		}
		if p.marks != 1 || p.lists != 1 {
			t.Errorf("%s: asked for %d times by marks, and for %d lists, want 1 and 1", name, p.marks, p.lists)
		}
	}
}

// TestDiffKeyTwice checks that an answer to marks cannot have a key twice, even
// if the fingerprint is that of such a list.
func TestDiffKeyTwice(t *testing.T) {
	x := indexOf(map[string]Digest{"a": {}, "b": {}}, nil)
	p := &bent{local: local{x: indexOf(nil, nil)}, delta: func(_ *Index, out *writer, _ *piece) {
		out.delta(nil, []item{{key: "a", digest: Digest{1}}})
	}}
	d := x.differ(func(Delta, error) bool { return true })
	d.todo = []ask{{hi: openEnd, differs: true, print: d.fingerprint([]item{{key: "a", digest: Digest{1}}, {key: "a"}, {key: "b"}})}}
	if err := d.exchange(t.Context(), p); !errors.Is(err, ErrCorrupt) {
		t.Errorf("exchange = %v, want ErrCorrupt", err)
	}
}

// TestRespondMarks checks the answers to marks: a delta, or a list if there are
// many items, if two have one mark, or if a delta has no room.
func TestRespondMarks(t *testing.T) {
	w := SHA256.worker()
	defer w.release()
	for _, c := range []struct {
		items, room int
		twice       bool
		want        mode
	}{
		{0, 1000, false, modeDelta},
		{markedKeys, 1 << 20, false, modeDelta},
		{markedKeys + 1, 1 << 20, false, modeList},
		{20, 1 << 20, true, modeList},
		{20, 100, false, modeList},
	} {
		x := NewIndex(secret, nil)
		for i := range c.items {
			x.Set(fmt.Sprintf("%04d", i), digestOf(uint64(i)))
		}

		a := &piece{mode: modeMarks, hi: openEnd}
		if c.twice {
			x = sameMarks(t, a)
		}
		var out writer
		x.answer(w, &out, a, c.room, true)
		if got := mode(out.b[0] &^ ends); got != c.want {
			t.Errorf("%+v: mode %d", c, got)
		}
	}
}

// sameMarks returns an index in which two items have one mark, and lets a ask
// about it: the birthday of some 2^16 keys.
func sameMarks(t *testing.T, a *piece) *Index {
	t.Helper()
	x := NewIndex(secret, nil)
	w := SHA256.worker()
	defer w.release()
	seen := map[mark]string{}
	for i := range 1 << 20 {
		it := item{key: fmt.Sprint(i)}
		m := x.items.mark(w, &it)
		if other, ok := seen[m]; ok {
			x.Set(other, Digest{})
			x.Set(it.key, Digest{})
			a.marks = []mark{m}
			return x
		}
		seen[m] = it.key
	}
	t.Fatal("no two of a million items have one mark")
	return nil
}

// TestMarksHostile checks that asks and answers with marks are bounded, and
// that numbers out of range are damage.
func TestMarksHostile(t *testing.T) {
	x := indexOf(map[string]Digest{"a": {}, "b": {}}, nil)
	askOf := func(body ...byte) []byte { return appendSum(append(appendHead(nil, kindAsk, x.id), body...), 0) }
	marked := func(n uint64, bytes int) []byte {
		return askOf(append(binary.AppendUvarint([]byte{byte(modeMarks) | ends}, n), make([]byte, bytes)...)...)
	}
	for name, c := range map[string]struct {
		msg []byte
		ok  bool
	}{
		"none":           {marked(0, 0), true},
		"as many as are": {marked(listKeys, 4*listKeys), true},
		"more":           {marked(listKeys+1, 4*listKeys+4), false},
		"cut":            {marked(2, 7), false},
		"2^64-1":         {marked(1<<64-1, 100), false},
		"a delta":        {askOf(byte(modeDelta)|ends, 0, 0), false},
	} {
		if _, err := x.Respond(c.msg); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Respond = %v, want ok %t", name, err, c.ok)
		}
	}

	// Answers to two marks.
	have := []item{{key: "a"}, {key: "b"}}
	for name, c := range map[string]struct {
		body []byte
		have []item
		ok   bool
	}{
		"none gone":      {[]byte{byte(modeDelta) | ends, 0, 0}, have, true},
		"both gone":      {[]byte{byte(modeDelta) | ends, 2, 0, 0, 0}, have, true},
		"a third":        {[]byte{byte(modeDelta) | ends, 1, 2, 0}, have, false},
		"far":            {[]byte{byte(modeDelta) | ends, 1, 31, 0}, have, false},
		"farther":        {[]byte{byte(modeDelta) | ends, 1, 32, 0}, make([]item, listKeys), false},
		"many":           {[]byte{byte(modeDelta) | ends, 33, 0}, have, false},
		"no items":       {[]byte{byte(modeDelta) | ends, 0}, have, false},
		"not asked":      {[]byte{byte(modeDelta) | ends, 0, 0}, nil, false},
		"not all":        {[]byte{byte(modeDelta), 0x01, 'b', 0, 0, byte(modeSkip) | ends}, have, false},
		"after another":  {[]byte{byte(modeSkip), 0x01, 'b', byte(modeDelta) | ends, 0, 0}, have, false},
		"2^64-1 further": {append(append([]byte{byte(modeDelta) | ends, 2, 0}, binary.AppendUvarint(nil, 1<<64-1)...), 0), have, false},
	} {
		_, err := parseAnswer(c.body, []ask{{hi: openEnd, have: c.have}})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: parseAnswer = %v, want ok %t", name, err, c.ok)
		}
	}
}
