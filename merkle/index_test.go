// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

var secret = []byte("sixteen bytes it")

// digestOf returns a digest that stands for v.
func digestOf(v uint64) (d Digest) {
	binary.LittleEndian.PutUint64(d[:], v)
	return d
}

// indexOf returns an index of m.
func indexOf(m map[string]Digest, opts *IndexOptions) *Index {
	x := NewIndex(secret, opts)
	for k, d := range m {
		x.Set(k, d)
	}
	return x
}

// A local is a peer in this process, which counts.
type local struct {
	x                *Index
	exchanges, bytes int
	largest          int
}

func (p *local) Exchange(_ context.Context, msg []byte) ([]byte, error) {
	reply, err := p.x.Respond(msg)
	p.exchanges++
	p.bytes += len(msg) + len(reply)
	p.largest = max(p.largest, len(msg), len(reply))
	return reply, err
}

// collect returns what Diff yields.
func collect(x *Index, p Peer) (map[string]Delta, error) {
	got := map[string]Delta{}
	for d, err := range x.Diff(context.Background(), p) {
		if err != nil {
			return got, err
		}
		if _, ok := got[d.Key]; ok {
			return got, fmt.Errorf("%q is yielded twice", d.Key)
		}
		got[d.Key] = d
	}
	return got, nil
}

// mapDiff is Diff of two maps.
func mapDiff(a, b map[string]Digest) map[string]Delta {
	want := map[string]Delta{}
	for k, d := range a {
		if e, ok := b[k]; !ok || d != e {
			want[k] = Delta{Key: k, Local: d, Remote: e, HasLocal: true, HasRemote: ok}
		}
	}
	for k, e := range b {
		if _, ok := a[k]; !ok {
			want[k] = Delta{Key: k, Remote: e, HasRemote: true}
		}
	}
	return want
}

// TestModelIndex drives an index and a map side by side.
func TestModelIndex(t *testing.T) { rapid.Check(t, modelIndex) }

func FuzzModelIndex(f *testing.F) { f.Fuzz(rapid.MakeFuzz(modelIndex)) }

func modelIndex(t *rapid.T) {
	x := NewIndex(secret, nil)
	m := map[string]Digest{}
	drawKey := func(t *rapid.T) string {
		return rapid.OneOf(rapid.StringN(0, 3, -1), rapid.Map(rapid.IntRange(0, 500), func(i int) string { return fmt.Sprintf("key%03d", i) })).Draw(t, "key")
	}

	t.Repeat(map[string]func(*rapid.T){
		"Set": func(t *rapid.T) {
			k, d := drawKey(t), digestOf(rapid.Uint64Range(0, 2).Draw(t, "d"))
			x.Set(k, d)
			m[k] = d
		},
		"SetMany": func(t *rapid.T) {
			from := rapid.IntRange(0, 400).Draw(t, "from")
			for i := range 100 {
				k := fmt.Sprintf("key%03d", from+i)
				x.Set(k, digestOf(7))
				m[k] = digestOf(7)
			}
		},
		"Delete": func(t *rapid.T) {
			k := drawKey(t)
			_, want := m[k]
			if got := x.Delete(k); got != want {
				t.Fatalf("Delete(%q) = %t, want %t", k, got, want)
			}
			delete(m, k)
		},
		"DeleteMany": func(t *rapid.T) {
			from := rapid.IntRange(0, 400).Draw(t, "from")
			for i := range 100 {
				k := fmt.Sprintf("key%03d", from+i)
				x.Delete(k)
				delete(m, k)
			}
		},
		"Get": func(t *rapid.T) {
			k := drawKey(t)
			want, has := m[k]
			if got, ok := x.Get(k); got != want || ok != has {
				t.Fatalf("Get(%q) = %v, %t, want %v, %t", k, got, ok, want, has)
			}
		},
		"Within": func(t *rapid.T) { withinModel(t, x, m, drawKey(t), bound{drawKey(t), rapid.Bool().Draw(t, "open")}) },
		"": func(t *rapid.T) {
			if got := x.Len(); got != len(m) {
				t.Fatalf("Len = %d, want %d", got, len(m))
			}
			if got := maps.Collect(x.All()); !maps.Equal(got, m) {
				t.Fatalf("All = %v, want %v", got, m)
			}
		},
	})
}

// withinModel checks the tally of a range, and a separator, against the
// definitions.
func withinModel(t *rapid.T, x *Index, m map[string]Digest, lo string, hi bound) {
	if hi.after(lo) && !hi.open {
		hi.key = lo + hi.key
	}
	w := SHA256.worker()
	defer w.release()
	var want tally
	for k, d := range m {
		if k >= lo && !hi.after(k) {
			one := x.items.weigh(w, k, d)
			want.add(&one)
		}
	}
	if _, got := x.items.within(w, lo, hi); got != want {
		t.Fatalf("tally of [%q, %+v) = %v, want %v", lo, hi, got, want)
	}
	keys := slices.Sorted(maps.Keys(m))
	if len(keys) < 2 {
		return
	}
	rank := rapid.IntRange(1, len(keys)-1).Draw(t, "rank")
	s := x.items.separator(uint64(rank))
	if s <= keys[rank-1] || s > keys[rank] || s[:len(s)-1] > keys[rank-1] {
		t.Fatalf("separator of %q and %q = %q", keys[rank-1], keys[rank], s)
	}
}

// TestTrapHistory checks that the fingerprint is a function of the set,
// whatever was set, changed and deleted before, in whatever order. A hash tree
// of basho/riak_core#830 depended on how it came about.
func TestTrapHistory(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := map[string]Digest{}
	for i := range 500 {
		m[fmt.Sprint(i)] = digestOf(uint64(i))
	}
	w := SHA256.worker()
	defer w.release()
	want := indexOf(m, nil).items.total

	for range 5 {
		x := NewIndex(secret, nil)
		for range 3000 {
			k := fmt.Sprint(rng.IntN(1500))
			if rng.IntN(3) == 0 {
				x.Delete(k)
			} else {
				x.Set(k, digestOf(rng.Uint64()))
			}
		}

		for i := range 1500 {
			k := fmt.Sprint(i)
			if d, ok := m[k]; ok {
				x.Set(k, d)
			} else {
				x.Delete(k)
			}
		}
		if x.items.total != want {
			t.Fatalf("tally = %v, want %v", x.items.total, want)
		}
	}
}

// TestTrapCancel checks that hashes do not cancel: sums are modulo 2^256, with
// the count. Hashes that are combined by xor cancel where two are equal
// (Cassandra's trees, ferrosadb#339), and sums of 32-bit words without a carry
// are weak too (nbd-wtf/go-nostr).
func TestTrapCancel(t *testing.T) {
	all := [4]uint64{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}
	a := tally{1, all}
	a.add(&tally{1, all})
	if want := (tally{2, [4]uint64{1<<64 - 2, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}}); a != want {
		t.Errorf("(2^256-1)·2 = %x, want %x", a, want)
	}
	a.sub(&tally{1, all})
	if want := (tally{1, all}); a != want {
		t.Errorf("and less 2^256-1 = %x, want %x", a, want)
	}
	b := tally{0, [4]uint64{}}
	b.sub(&tally{0, [4]uint64{1}})
	if want := (tally{0, all}); b != want {
		t.Errorf("0 - 1 = %x, want %x", b, want)
	}

	w := SHA256.worker()
	defer w.release()
	zero := tally{}
	if one := (tally{count: 1}); one.fingerprint(w) == zero.fingerprint(w) {
		t.Error("a tally of one item has the fingerprint of none, want another")
	}
}

// TestIndexShrinks checks sums and pages while tens of thousands of keys come
// and go, in order or not, so that pages of all heights are split and merged.
func TestIndexShrinks(t *testing.T) {
	n := 20_000
	if raceEnabled || invariants || testing.Short() {
		n = 4000
	}
	w := SHA256.worker()
	defer w.release()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, order := range [][2][]int{{rng.Perm(n), rng.Perm(n)}, {ordered(n), ordered(n)}, {rng.Perm(n), ordered(n)}} {
		x := NewIndex(secret, nil)
		for _, i := range order[0] {
			x.Set(fmt.Sprintf("%05d", i), digestOf(uint64(i)))
		}

		full := x.items.total
		for left, i := range order[1] {
			if left%(n/7) == 0 {
				if got := x.items.weighPage(w, x.items.root); got != x.items.total || got.count != uint64(n-left) {
					t.Fatalf("%d items in the pages, and %d counted, want %d", got.count, x.items.total.count, n-left)
				}
				if got, most := pages(x.items.root); got > 2+2*(n-left)/8 || most >= pageKeys {
					t.Errorf("%d items lie in %d pages, of which one has %d keys", n-left, got, most)
				}
			}
			if !x.Delete(fmt.Sprintf("%05d", i)) {
				t.Fatalf("%d is not there", i)
			}
		}

		if got, _ := pages(x.items.root); x.items.total != (tally{}) || got != 1 {
			t.Errorf("%v is left, in %d pages, want nothing in one", x.items.total, got)
		}
		for _, i := range order[1] {
			x.Set(fmt.Sprintf("%05d", i), digestOf(uint64(i)))
		}
		if x.items.total != full {
			t.Error("the tally is another one in another order, want the same")
		}
	}
}

// ordered returns the numbers below n.
func ordered(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// pages returns the number of pages of p, and the largest number of keys in
// one.
func pages(p *page) (n, most int) {
	n, most = 1, p.len()
	for _, kid := range p.kids {
		k, m := pages(kid)
		n += k
		most = max(most, m)
	}
	return n, most
}

// TestRespondRoom checks that an answer without room for all asks refuses some,
// but never the first, and stays within the limit.
func TestRespondRoom(t *testing.T) {
	x := NewIndex(secret, &IndexOptions{MaxFrame: minFrame})
	for i := range 6400 {
		x.Set(fmt.Sprintf("%04d", i), Digest{})
	}
	for _, m := range []mode{modePrint, modeWant, modeMarks} {
		msg := writer{b: appendHead(nil, kindAsk, x.id)}
		asks := make([]ask, 64)
		at := ""
		for i := range asks {
			hi := bound{key: fmt.Sprintf("%02d", i+1)}
			asks[i] = ask{lo: at, hi: hi, have: make([]item, listKeys)}
			at = hi.key
			switch m {
			case modePrint:
				msg.print(hi, fingerprint{})
			case modeMarks:
				msg.marks(hi, nil)
			default:
				msg.piece(m, hi)
			}
		}

		reply, err := x.Respond(appendSum(msg.b, 0))
		if err != nil || len(reply) > minFrame {
			t.Fatalf("mode %d: %d bytes, %v, want at most %d", m, len(reply), err, minFrame)
		}
		body, err := splitMessage(reply, kindAnswer, x.id)
		if err != nil {
			t.Fatal(err)
		}
		answers, err := parseAnswer(body, asks)
		if err != nil {
			t.Fatal(err)
		}
		answered := 0
		for _, pieces := range answers {
			if pieces[0].mode != modeAgain {
				answered++
			}
		}
		if answers[0][0].mode == modeAgain || answered == len(asks) || len(reply) < minFrame*2/3 {
			t.Errorf("mode %d: %d of %d answered in %d bytes, the first %t", m, answered, len(asks), len(reply), answers[0][0].mode != modeAgain)
		}
	}
}

// TestPropDiff checks that Diff yields exactly the keys in which two maps
// differ, whatever they are and however small the messages, and that messages
// stay within the limit.
func TestPropDiff(t *testing.T) {
	most := 3000
	if raceEnabled || testing.Short() {
		most = 400
	}
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		n := rapid.IntRange(0, most).Draw(t, "n")
		gap := rapid.SampledFrom([]int{1, 2, 10, 1000, 1 << 30}).Draw(t, "gap") // one key in so many differs
		a, b := map[string]Digest{}, map[string]Digest{}

		for i := range n {
			k, d := fmt.Sprintf("%x", rng.Uint64()>>40), digestOf(uint64(i))
			a[k] = d
			b[k] = d
			if rng.IntN(gap) == 0 {
				switch rng.IntN(3) {
				case 0:
					delete(a, k)
				case 1:
					delete(b, k)
				case 2:
					b[k] = digestOf(rng.Uint64())
				}
			}
		}

		opts := &IndexOptions{MaxFrame: rapid.SampledFrom([]int{0, 1 << 10, 4 << 10}).Draw(t, "frame")}
		p := &local{x: indexOf(b, opts)}
		got, err := collect(indexOf(a, opts), p)
		if err != nil {
			t.Fatal(err)
		}
		if want := mapDiff(a, b); !maps.Equal(got, want) {
			t.Fatalf("%d differences, want %d", len(got), len(want))
		}
		if limit := opts.resolve().MaxFrame; p.largest > limit {
			t.Fatalf("a message of %d bytes, want at most %d", p.largest, limit)
		}
	})
}

// TestDiffBytes checks that what is exchanged is in proportion to the
// differences: of 100,000 keys.
func TestDiffBytes(t *testing.T) {
	// What it takes in exchanges and bytes, and an eighth: a tenth of the keys
	// save a division.
	type limit struct{ differ, exchanges, bytes int }
	n := 100_000
	limits := []limit{{0, 1, 80}, {1, 3, 2000}, {10, 3, 12_800}, {100, 3, 90_000}, {1000, 4, 580_000}}
	if raceEnabled || invariants || testing.Short() {
		n = 10_000
		limits = []limit{{0, 1, 80}, {1, 3, 1500}, {10, 3, 7800}, {100, 3, 43_000}, {1000, 4, 160_000}}
	}
	a := map[string]Digest{}
	for i := range n {
		a[fmt.Sprintf("user:%08d", i*7919%n)] = digestOf(uint64(i))
	}
	x := indexOf(a, nil)

	for _, c := range limits {
		b := maps.Clone(a)
		rng := rand.New(rand.NewPCG(1, uint64(c.differ)))
		keys := slices.Sorted(maps.Keys(a))
		for _, i := range rng.Perm(n)[:c.differ] {
			b[keys[i]] = Digest{}
		}

		p := &local{x: indexOf(b, nil)}
		got, err := collect(x, p)
		if err != nil || len(got) != c.differ {
			t.Fatalf("%d differences, %v, want %d", len(got), err, c.differ)
		}
		if p.bytes > c.bytes || p.exchanges > c.exchanges {
			t.Errorf("%d differences took %d bytes in %d exchanges, want at most %d in %d", c.differ, p.bytes, p.exchanges, c.bytes, c.exchanges)
		}
		t.Logf("%d differences: %d exchanges, %d bytes, %d each", c.differ, p.exchanges, p.bytes, p.bytes/max(c.differ, 1))
	}
}

// TestDiffWindow checks how many asks follow what became of the last ones.
func TestDiffWindow(t *testing.T) {
	for _, c := range []struct{ window, vain, asked, refused, want int }{
		{8, 0, 8, 3, 5},
		{8, 20, 8, 7, 1},
		{8, 0, 8, 0, 16},
		{maxAsks, 0, 9, 0, maxAsks},
		{8, 1, 8, 0, 8},
		{8, maxVain / 8, 8, 0, 8},
		{8, maxVain/8 + 1, 8, 0, 4},
		{1, 60, 1, 0, 1},
	} {
		d := differ{window: c.window, vain: c.vain}
		if d.adapt(c.asked, c.refused); d.window != c.want {
			t.Errorf("window %d after %d vain exchanges, %d of %d refused = %d, want %d", c.window, c.vain, c.refused, c.asked, d.window, c.want)
		}
	}
}

// TestFingerprint checks the fingerprint of two items, one of them long,
// against the words of FORMAT.md.
func TestFingerprint(t *testing.T) {
	k := sha256.Sum256(append([]byte("ashlar merkle index\x00"), secret...))
	x := NewIndex(secret, nil)
	sum := new(big.Int)
	for _, key := range []string{"a", strings.Repeat("long", 100)} {
		x.Set(key, digestOf(5))
		d := digestOf(5)
		h := sha256.Sum256(slices.Concat(k[:], []byte(key), d[:]))
		slices.Reverse(h[:])
		sum.Add(sum, new(big.Int).SetBytes(h[:]))
	}
	low := sum.FillBytes(make([]byte, 33))[1:]
	slices.Reverse(low)
	want := sha256.Sum256(append([]byte{2, 0, 0, 0, 0, 0, 0, 0}, low...))

	w := SHA256.worker()
	defer w.release()
	w.buf[0] = 99 // it must not matter what was hashed before
	if got := x.items.total.fingerprint(w); string(got[:]) != string(want[:16]) {
		t.Errorf("fingerprint = %x, want %x", got, want[:16])
	}
	id := sha256.Sum256(append([]byte("ashlar merkle peer\x00"), secret...))
	if got := appendHead(nil, kindAsk, x.id)[11:]; string(got) != string(id[:8]) {
		t.Errorf("identity = %x, want %x", got, id[:8])
	}
}

// TestRespondRoomForKeys checks that a list of long keys that have nothing in
// common stays within the limit, with the key at which it ends.
func TestRespondRoomForKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		x := NewIndex(secret, &IndexOptions{MaxFrame: minFrame})
		for range 50 {
			key := make([]byte, 20+rng.IntN(400))
			for i := range key {
				key[i] = byte(rng.Uint32())
			}
			x.Set(string(key), Digest{})
		}
		msg := writer{b: appendHead(nil, kindAsk, x.id)}
		msg.piece(modeWant, bound{open: true})
		reply, err := x.Respond(appendSum(msg.b, 0))
		if err != nil || len(reply) > minFrame {
			t.Errorf("%d bytes, %v, want at most %d", len(reply), err, minFrame)
		}
	}
}

// TestDiffMessageRoom checks that a message of asks stays within the limit, and
// leaves the others for later.
func TestDiffMessageRoom(t *testing.T) {
	for _, length := range []int{4, 40, 400, 4000} {
		d := differ{x: NewIndex(secret, &IndexOptions{MaxFrame: minFrame}), window: 1000}
		for i := range 100 {
			key := func(i int) string { return fmt.Sprintf("%05d", 10_000-i) + strings.Repeat("x", length) }
			d.todo = append(d.todo, ask{lo: key(2*i + 1), hi: bound{key: key(2 * i)}})
		}
		msg, asks := d.message()
		if len(asks) == 0 || len(asks)+len(d.todo) != 100 {
			t.Errorf("keys of %d: %d asks and %d left, want 100 together", length, len(asks), len(d.todo))
		}
		if limit := max(minFrame, 3*length); len(msg) > limit {
			t.Errorf("keys of %d: %d asks in %d bytes, want at most %d", length, len(asks), len(msg), limit)
		}
		if length < 100 && len(msg) < minFrame/2 {
			t.Errorf("keys of %d: %d asks in %d bytes: there is more room", length, len(asks), len(msg))
		}
	}
}

// TestDiffLongKeys checks keys that are longer than a message may be.
func TestDiffLongKeys(t *testing.T) {
	a := map[string]Digest{"": digestOf(1)}
	for i := range 100 {
		a[strings.Repeat("long", 500)+fmt.Sprint(i)] = digestOf(uint64(i))
	}
	opts := &IndexOptions{MaxFrame: minFrame}
	for _, b := range []map[string]Digest{{}, {"x": {}}, {strings.Repeat("long", 500) + "7": {}}} {
		for _, pair := range [][2]map[string]Digest{{a, b}, {b, a}} {
			got, err := collect(indexOf(pair[0], opts), &local{x: indexOf(pair[1], opts)})
			if err != nil {
				t.Fatal(err)
			}
			if want := mapDiff(pair[0], pair[1]); !maps.Equal(got, want) {
				t.Fatalf("%d differences, want %d", len(got), len(want))
			}
		}
	}
}

// A badPeer answers with what its function makes of the honest answer.
type badPeer struct {
	local
	change func(reply []byte) []byte
}

func (p *badPeer) Exchange(ctx context.Context, msg []byte) ([]byte, error) {
	reply, err := p.local.Exchange(ctx, msg)
	if err != nil {
		return nil, err
	}
	return p.change(reply), nil
}

// answerOf returns an answer with this body.
func answerOf(x *Index, body ...byte) []byte {
	return appendSum(append(appendHead(nil, kindAnswer, x.id), body...), 0)
}

// TestDiffHostile checks that a peer of any answers ends in an error, soon.
func TestDiffHostile(t *testing.T) {
	m := map[string]Digest{}
	for i := range 1000 {
		m[fmt.Sprint(i)] = digestOf(uint64(i))
	}
	x := indexOf(m, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte { return contents(rng.IntN(n)) }

	for name, c := range map[string]struct {
		change func(reply []byte) []byte
		want   error
	}{
		"random bytes":   {func([]byte) []byte { return noise(1000) }, ErrCorrupt},
		"nothing":        {func([]byte) []byte { return nil }, ErrCorrupt},
		"no pieces":      {func([]byte) []byte { return answerOf(x) }, ErrCorrupt},
		"no count":       {func([]byte) []byte { return answerOf(x, byte(modeList)|ends) }, ErrCorrupt},
		"random body":    {func([]byte) []byte { return answerOf(x, noise(100)...) }, ErrCorrupt},
		"cut":            {func(b []byte) []byte { return b[:len(b)-1] }, ErrCorrupt},
		"bit flipped":    {func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, ErrCorrupt},
		"version":        {func(b []byte) []byte { b[8]++; return b }, ErrVersion},
		"an ask":         {func([]byte) []byte { return appendSum(appendHead(nil, kindAsk, x.id), 0) }, ErrVersion},
		"another secret": {func([]byte) []byte { return appendSum(appendHead(nil, kindAnswer, x.id+1), 0) }, ErrMismatch},
		"again forever":  {func([]byte) []byte { return answerOf(x, byte(modeAgain)|ends) }, ErrPeer},
		"a wish":         {func([]byte) []byte { return answerOf(x, byte(modeWant)|ends) }, ErrCorrupt},
		"marks":          {func([]byte) []byte { return answerOf(x, byte(modeMarks)|ends, 0) }, ErrCorrupt},
		"no marks asked": {func([]byte) []byte { return answerOf(x, byte(modeDelta)|ends, 0, 0) }, ErrCorrupt},
		"a wish again":   {func([]byte) []byte { return answerOf(x, byte(modeWant)|ends) }, ErrCorrupt},
		"unknown mode":   {func([]byte) []byte { return answerOf(x, 9|ends) }, ErrCorrupt},
		"too much":       {func(b []byte) []byte { return answerOf(x, append(b[messageHead:len(b)-sumBytes], 0)...) }, ErrCorrupt},
		"list backwards": {func([]byte) []byte { return answerOf(x, listOf("b", "a")...) }, ErrCorrupt},
		"key twice":      {func([]byte) []byte { return answerOf(x, listOf("a", "a")...) }, ErrCorrupt},
		"2^60 items":     {func([]byte) []byte { return answerOf(x, binary.AppendUvarint([]byte{byte(modeList) | ends}, 1<<60)...) }, ErrCorrupt},
		"2^64-1 letters": {func([]byte) []byte {
			return answerOf(x, binary.AppendUvarint([]byte{byte(modePrint), 0x0F}, 1<<64-1)...)
		}, ErrCorrupt},
		"17 pieces": {func([]byte) []byte {
			var w writer
			for i := range 16 {
				w.print(bound{key: string(rune('a' + i))}, fingerprint{})
			}
			w.print(openEnd, fingerprint{})
			return answerOf(x, w.b...)
		}, ErrCorrupt},
		"bounds backwards": {func([]byte) []byte {
			return answerOf(x, byte(modeSkip), 0x01, 'b', byte(modeSkip), 0x01, 'a', byte(modeSkip)|ends)
		}, ErrCorrupt},
		"long one": {func([]byte) []byte { return answerOf(x, byte(modeSkip), 0x0F, 0x80, 0, 'a', byte(modeSkip)|ends) }, ErrCorrupt},
		"item of nothing": {func([]byte) []byte {
			return answerOf(x, byte(modeList)|ends, 1, 0x10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
		}, ErrCorrupt},
		"shares nothing": {func([]byte) []byte { return answerOf(x, byte(modeSkip), 0x11, 'a', byte(modeSkip)|ends) }, ErrCorrupt},
	} {
		p := &badPeer{local{x: indexOf(nil, nil)}, c.change}
		if _, err := collect(x, p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if p.exchanges > 64 {
			t.Errorf("%s: %d exchanges, want at most 64", name, p.exchanges)
		}
	}
}

// listOf returns a piece that lists keys.
func listOf(keys ...string) []byte {
	var w writer
	var items []item
	for _, k := range keys {
		items = append(items, item{key: k})
	}
	w.list(openEnd, items)
	return w.b
}

// TestTrapFingerprintForever checks that a Diff ends although the peer answers
// each fingerprint with a fingerprint, by which a negentropy peer can go on
// forever, or divides each range, wherever it does.
func TestTrapFingerprintForever(t *testing.T) {
	m := map[string]Digest{}
	for i := range 1000 {
		m[fmt.Sprint(i)] = digestOf(uint64(i))
	}
	for _, set := range []map[string]Digest{m, {}} {
		x := indexOf(set, nil)
		for name, pieces := range map[string]int{"the range": 1, "16 parts": 16} {
			p := &forever{x: x, pieces: pieces}
			if _, err := collect(x, p); !errors.Is(err, ErrPeer) {
				t.Errorf("%s of %d keys: %v, want ErrPeer", name, len(set), err)
			}
			if p.exchanges > 64 {
				t.Errorf("%s of %d keys: %d exchanges, want at most 64", name, len(set), p.exchanges)
			}
		}
	}
}

// A forever answers each ask with fingerprints that differ, of so many parts.
type forever struct {
	x         *Index
	pieces    int
	exchanges int
}

func (p *forever) Exchange(_ context.Context, msg []byte) ([]byte, error) {
	p.exchanges++
	asks, err := p.x.asks(msg)
	if err != nil {
		return nil, err
	}
	out := writer{b: appendHead(nil, kindAnswer, p.x.id)}
	for _, a := range asks {
		for i := 1; i < p.pieces; i++ {
			if hi := (bound{key: a.lo + "\x00" + string(rune(i))}); !a.hi.after(hi.key) {
				out.print(hi, fingerprint{})
			}
		}
		out.print(openEnd, fingerprint{})
	}
	return appendSum(out.b, 0), nil
}

// TestRespondHostile checks that any message gets an answer or an error, and
// that asks of another secret, version or kind are told apart.
func TestRespondHostile(t *testing.T) {
	x := indexOf(map[string]Digest{"a": {}, "b": {}}, nil)
	head := func(kind byte, id uint64) []byte { return appendHead(nil, kind, id) }
	ask := func(write func(w *writer)) []byte {
		w := writer{b: head(kindAsk, x.id)}
		write(&w)
		return appendSum(w.b, 0)
	}
	later := head(kindAsk, x.id)
	later[8]++

	for name, c := range map[string]struct {
		msg  []byte
		want error
	}{
		"nothing":        {nil, ErrCorrupt},
		"short":          {make([]byte, messageHead+sumBytes-1), ErrCorrupt},
		"zeros":          {make([]byte, 100), ErrCorrupt},
		"version":        {appendSum(later, 0), ErrVersion},
		"an answer":      {appendSum(head(kindAnswer, x.id), 0), ErrVersion},
		"another secret": {appendSum(head(kindAsk, x.id^1), 0), ErrMismatch},
		"checksum":       {append(head(kindAsk, x.id), make([]byte, 8)...), ErrCorrupt},
		"a list":         {ask(func(w *writer) { w.list(openEnd, nil) }), ErrCorrupt},
		"after the end":  {ask(func(w *writer) { w.piece(modeWant, openEnd); w.piece(modeWant, openEnd) }), ErrCorrupt},
		"backwards":      {ask(func(w *writer) { w.piece(modeWant, bound{key: "b"}); w.piece(modeWant, bound{key: "a"}) }), ErrCorrupt},
		"half a print":   {ask(func(w *writer) { w.print(openEnd, fingerprint{}); w.b = w.b[:len(w.b)-1] }), ErrCorrupt},
		"half a key":     {ask(func(w *writer) { w.piece(modeWant, bound{key: "b"}); w.b = w.b[:len(w.b)-1] }), ErrCorrupt},
		"too many": {ask(func(w *writer) {
			for i := range maxAsks + 1 {
				w.piece(modeWant, bound{key: fmt.Sprintf("%05d", i)})
			}
		}), ErrCorrupt},
		"no asks": {ask(func(*writer) {}), nil},
		"a skip":  {ask(func(w *writer) { w.piece(modeSkip, bound{key: "b"}) }), nil},
	} {
		if _, err := x.Respond(c.msg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestDiffStops checks that a loop that ends, a context that ends, and a peer
// that fails end the exchange.
func TestDiffStops(t *testing.T) {
	m := map[string]Digest{}
	for i := range 100 {
		m[fmt.Sprint(i)] = digestOf(uint64(i))
	}
	empty := NewIndex(secret, nil)
	for _, pair := range [][2]*Index{{indexOf(m, nil), empty}, {empty, indexOf(m, nil)}, {indexOf(m, nil), indexOf(map[string]Digest{"50": {}, "zz": {}}, nil)}} {
		for stop := range 3 {
			n := 0
			for _, err := range pair[0].Diff(t.Context(), &local{x: pair[1]}) {
				if err != nil {
					t.Fatal(err)
				}
				if n == stop {
					break
				}
				n++
			}
			if n != stop {
				t.Errorf("%d differences, want %d before the loop ends", n, stop)
			}
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range empty.Diff(ctx, &local{x: empty}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v, want context.Canceled", err)
		}
	}
	other := NewIndex([]byte("another sixteen bytes"), nil)
	if _, err := collect(empty, &local{x: other}); !errors.Is(err, ErrMismatch) {
		t.Errorf("a peer that fails: %v, want its error", err)
	}
}

// TestIndexMisuse checks that mistakes of a program panic.
func TestIndexMisuse(t *testing.T) {
	mustPanic(t, "at least 16 bytes, got 15", func() { NewIndex(secret[1:], nil) })
	mustPanic(t, "at least 1 KiB", func() { NewIndex(secret, &IndexOptions{MaxFrame: 100}) })
	mustPanic(t, "at least 1 KiB", func() { NewIndex(secret, &IndexOptions{MaxFrame: -1}) })
	var x Index
	for name, f := range map[string]func(){
		"Set":     func() { x.Set("", Digest{}) },
		"Delete":  func() { x.Delete("") },
		"Get":     func() { x.Get("") },
		"Len":     func() { x.Len() },
		"All":     func() { x.All() },
		"Respond": func() { _, _ = x.Respond(nil) },
		"Diff":    func() { x.Diff(t.Context(), nil) },
	} {
		t.Run(name, func(t *testing.T) { mustPanic(t, "use NewIndex", f) })
	}
}

// TestIndexConcurrent checks that keys that do not change are compared rightly
// while others are set and deleted on both sides.
func TestIndexConcurrent(t *testing.T) {
	m := map[string]Digest{}
	for i := range 2000 {
		m[fmt.Sprintf("still:%d", i)] = digestOf(uint64(i))
	}
	a, b := indexOf(m, nil), indexOf(m, nil)
	a.Set("still:here", Digest{})
	b.Set("still:there", Digest{})
	b.Set("still:5", Digest{})
	done := make(chan struct{})
	var wg sync.WaitGroup
	for g, x := range []*Index{a, b} {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(g)))
			for {
				select {
				case <-done:
					return
				default:
				}
				k := fmt.Sprintf("moving:%d", rng.IntN(500))
				x.Set(k, digestOf(rng.Uint64N(3)))
				x.Delete(fmt.Sprintf("moving:%d", rng.IntN(500)))
			}
		})
	}

	for range 20 {
		got, err := collect(a, &local{x: b})
		if err != nil {
			t.Error(err)
		}
		maps.DeleteFunc(got, func(k string, _ Delta) bool { return strings.HasPrefix(k, "moving:") })
		keys := slices.Sorted(maps.Keys(got))
		if want := []string{"still:5", "still:here", "still:there"}; !slices.Equal(keys, want) {
			t.Errorf("%v differ, want %v", keys, want)
		}
		for range a.All() {
			break
		}
		n := 0
		for k := range a.All() {
			if strings.HasPrefix(k, "still:") {
				n++
			}
		}
		if n != 2001 {
			t.Errorf("All yields %d keys that do not change, want 2001", n)
		}
	}
	close(done)
	wg.Wait()
}

// TestMessageKeys checks the bytes of keys in messages at the bounds of their
// two numbers, and that no other bytes mean the same.
func TestMessageKeys(t *testing.T) {
	z := func(n int) string { return strings.Repeat("z", n) }
	for _, tt := range []struct {
		before, key string
		head        string // what comes before the rest
	}{
		{"", "", "\x00"},
		{"a", "ab", "\x11"},
		{"", z(14), "\x0e"},
		{"", z(15), "\x0f\x00"},
		{"", z(15 + 127), "\x0f\x7f"},
		{"", z(15 + 128), "\x0f\x80\x01"},
		{z(14), z(14) + "a", "\xe1"},
		{z(15), z(15) + "a", "\xf1\x00"},
		{z(270), z(270) + "a", "\xf1\xff"},
		{z(300), z(300) + "a", "\xff\xff\x10"},
	} {
		w := writer{last: tt.before}
		w.key(tt.key)
		if got := string(w.b[:len(tt.head)]); got != tt.head {
			t.Errorf("%.20q after %.20q begins with %x, want %x", tt.key, tt.before, got, tt.head)
		}
		p := parser{b: w.b, last: tt.before}
		if got := p.key(); got != tt.key || p.bad || len(p.b) > 0 {
			t.Errorf("%.20q after %.20q is read as %.20q", tt.key, tt.before, got)
		}
		for n := range len(w.b) {
			if p := (parser{b: w.b[:n], last: tt.before}); p.key() != "" || !p.bad {
				t.Errorf("%.20q: the first %d of %d bytes are taken for a key", tt.key, n, len(w.b))
			}
		}
	}

	// The sum of a half and its rest wraps around, or is more than there is.
	for _, rest := range []uint64{1, 1 << 32, 1<<64 - 15, 1<<64 - 1} {
		p := parser{b: binary.AppendUvarint([]byte{0x0f}, rest)}
		p.b = append(p.b, z(15)...)
		if got := p.key(); got != "" || !p.bad {
			t.Errorf("a key of 15+%d bytes is read as %q", rest, got)
		}
	}
}
