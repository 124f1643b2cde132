// SPDX-License-Identifier: MIT

package ratelimit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

// TestPropKeyedSnapshot checks that a Keyed that is written and read, at any
// later time, decides as the one that went on, for keys with and without limits
// of their own.
func TestPropKeyedSnapshot(t *testing.T) { rapid.Check(t, propKeyedSnapshot) }

func propKeyedSnapshot(t *rapid.T) {
	// As in modelKeyed: nothing is ever rounded.
	draw := func(label string) Limit {
		return Limit{
			Every(time.Duration(1) << rapid.IntRange(14, 22).Draw(t, label+".token")),
			rapid.IntRange(1, 8).Draw(t, label+".burst"),
		}
	}
	clock := fakeClock{1 << 60}
	opts := &KeyedOptions{MaxKeys: 1024, Now: clock.now}
	limits, own := []Limit{draw("a"), draw("b")}, []Limit{draw("c"), draw("d")}
	k := NewKeyed[string](limits, opts)
	for range rapid.IntRange(0, 30).Draw(t, "steps") {
		clock.t += rapid.Int64Range(0, 4).Draw(t, "dt") << 20
		key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			k.Charge(key, rapid.IntRange(0, 9).Draw(t, "n"))
		case 1:
			k.Take(key, rapid.IntRange(0, 4).Draw(t, "n"))
		case 2:
			k.TakeLimits("own", rapid.IntRange(0, 4).Draw(t, "n"), own...)
		}
	}

	var b bytes.Buffer
	if _, err := k.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	clock.t += rapid.Int64Range(0, 20).Draw(t, "down") << 20
	restored := NewKeyed[string](limits, opts)
	if _, err := restored.ReadFrom(&b); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c", "new"} {
		if got, want := restored.Peek(key, 1), k.Peek(key, 1); got != want {
			t.Fatalf("%s: Peek = %+v after a restart, want %+v", key, got, want)
		}
	}
	if got, want := restored.TakeLimits("own", 1, own...), k.TakeLimits("own", 1, own...); got != want {
		t.Fatalf("own: TakeLimits = %+v after a restart, want %+v", got, want)
	}
}

// TestKeyedSnapshotLimits checks that tokens stay spent when the limits have
// changed between writing and reading, in number too, and that the receiver's
// own spending counts as well.
func TestKeyedSnapshotLimits(t *testing.T) {
	var clock fakeClock
	opts := &KeyedOptions{Now: clock.now}
	k := NewKeyed[int]([]Limit{{PerHour(1), 10}}, opts)
	k.AllowN(1, 4)
	var b bytes.Buffer
	if _, err := k.WriteTo(&b); err != nil {
		t.Fatal(err)
	}

	next := NewKeyed[int]([]Limit{{PerHour(60), 20}, {PerHour(1), 5}}, opts)
	next.AllowN(1, 3)
	clock.sleep(time.Hour) // of which the old limit refills one
	if _, err := next.ReadFrom(&b); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{20 - 3, 5 - 2} {
		if got := next.Tiers(1)[i].Remaining; got != want {
			t.Errorf("tier %d: %d left, want %d", i, got, want)
		}
	}
}

// A saver is a limit that can be written and read.
type saver interface {
	io.WriterTo
	io.ReaderFrom
}

// TestPropWindowSnapshot checks that windows that are written and read decide
// as those that went on: logs and quotas exactly, sliding windows not sooner.
func TestPropWindowSnapshot(t *testing.T) { rapid.Check(t, propWindowSnapshot) }

func propWindowSnapshot(t *rapid.T) {
	clock := fakeClock{1 << 60}
	opts, keyed := &Options{Now: clock.now}, &KeyedOptions{MaxKeys: 1024, Now: clock.now}
	n := rapid.IntRange(1, 8).Draw(t, "n")
	kind := rapid.IntRange(0, 8).Draw(t, "kind")
	day := Daily(time.FixedZone("", 5000))
	newSaver := func() (saver, Gate) {
		var w *Window
		var kw *KeyedWindow[string]
		switch kind {
		case 0:
			w = NewSlidingLog(n, 20*time.Hour, opts)
		case 1:
			w = NewQuota(n, day, opts)
		case 2:
			w = NewSlidingWindow(n, 20*time.Hour, 3, opts)
		case 3:
			w = NewFixedWindow(n, 20*time.Hour, opts)
		case 4:
			kw = NewKeyedSlidingLog[string](n, 20*time.Hour, keyed)
		case 5:
			kw = NewKeyedQuota[string](n, day, keyed)
		case 6:
			kw = NewKeyedSlidingWindow[string](n, 20*time.Hour, 3, keyed)
		case 7:
			w = NewSlidingWindow(n, 20*time.Hour, Weighted, opts)
		case 8:
			kw = NewKeyedSlidingWindow[string](n, 20*time.Hour, Weighted, keyed)
		}
		if kw != nil {
			return kw, kw.Gate("key")
		}
		return w, w
	}

	w, g := newSaver()
	for range rapid.IntRange(0, 20).Draw(t, "steps") {
		clock.sleep(time.Duration(rapid.IntRange(0, 9).Draw(t, "dt")) * time.Hour)
		g.Take(rapid.IntRange(0, 3).Draw(t, "k"))
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	clock.sleep(time.Duration(rapid.IntRange(0, 30).Draw(t, "down")) * time.Hour)
	restored, rg := newSaver()
	if _, err := restored.ReadFrom(&b); err != nil {
		t.Fatal(err)
	}

	for range 30 {
		got, want := rg.Peek(1), g.Peek(1)
		exact := kind == 0 || kind == 1 || kind == 4 || kind == 5
		if exact {
			check(t, got, want, "kind %d: Peek after a restart", kind)
		}
		if got.Remaining > want.Remaining {
			t.Fatalf("kind %d: Remaining = %d after a restart, want at most %d", kind, got.Remaining, want.Remaining)
		}
		clock.sleep(time.Hour)
	}
}

// TestSnapshotReaderFails checks that an error of the reader is returned as
// that, and not as damage of the bytes, wherever it comes.
func TestSnapshotReaderFails(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerHour(1), 10}}, nil)
	k.AllowN(1, 4)
	var b bytes.Buffer
	if _, err := k.WriteTo(&b); err != nil {
		t.Fatal(err)
	}

	boom := errors.New("boom")
	for _, n := range []int{0, 1, snapshotHeader, b.Len() - 1} {
		fresh := NewKeyed[int]([]Limit{{PerHour(1), 10}}, nil)
		read, err := fresh.ReadFrom(io.MultiReader(bytes.NewReader(b.Bytes()[:n]), iotest.ErrReader(boom)))
		checkErr(t, err, boom, "ReadFrom of %d bytes", n)
		check(t, errors.Is(err, ErrCorrupt), false, "ErrCorrupt after %d bytes", n)
		check(t, read, int64(n), "bytes read of %d", n)
		check(t, fresh.Len(), 0, "keys after %d bytes", n)
	}
}

// TestSnapshotErrors checks that bytes that are no snapshot of the type are
// errors, and change nothing.
func TestSnapshotErrors(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerHour(1), 10}}, nil)
	k.AllowN(1, 4)
	var b bytes.Buffer
	if _, err := k.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()

	// A sum that is right lets the content be judged.
	sealed := func(v any) []byte {
		var b bytes.Buffer
		if _, err := writeSnapshot(&b, kindKeyed, 0, v); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	changed := func(i int, to byte) []byte {
		c := bytes.Clone(good)
		c[i] = to
		return c
	}
	limit := []savedLimit{{1, int64(time.Hour), 10}}
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":        {nil, ErrCorrupt},
		"header":       {good[:31], ErrCorrupt},
		"short":        {good[:len(good)-1], ErrCorrupt},
		"magic":        {changed(0, 'x'), ErrCorrupt},
		"version":      {changed(8, 2), ErrVersion},
		"version 0":    {changed(8, 0), ErrVersion},
		"kind 0":       {changed(10, 0), ErrVersion},
		"kind 4":       {changed(10, 4), ErrVersion},
		"another":      {changed(10, kindWindow), ErrCorrupt},
		"checksum":     {changed(12, good[12]+1), ErrCorrupt},
		"time":         {changed(16, good[16]+1), ErrCorrupt},
		"length":       {changed(31, 1), ErrCorrupt},
		"content":      {changed(len(good)-1, good[len(good)-1]+1), ErrCorrupt},
		"no gob":       {sealed("text"), ErrCorrupt},
		"no plan":      {sealed(savedKeyed[int]{Keys: []int{1}, Plan: []int{0}, Debts: [][]int64{{1}}}), ErrCorrupt},
		"bad plan":     {sealed(savedKeyed[int]{Plans: [][]savedLimit{{{-1, 1, 1}}}}), ErrCorrupt},
		"plan number":  {sealed(savedKeyed[int]{Plans: [][]savedLimit{limit}, Keys: []int{1}, Plan: []int{1}, Debts: [][]int64{{1}}}), ErrCorrupt},
		"plan below 0": {sealed(savedKeyed[int]{Plans: [][]savedLimit{limit}, Keys: []int{1}, Plan: []int{-1}, Debts: [][]int64{{1}}}), ErrCorrupt},
		"tiers":        {sealed(savedKeyed[int]{Plans: [][]savedLimit{limit}, Keys: []int{1}, Plan: []int{0}, Debts: [][]int64{{1, 2}}}), ErrCorrupt},
		"columns":      {sealed(savedKeyed[int]{Plans: [][]savedLimit{limit}, Keys: []int{1, 2}, Plan: []int{0}, Debts: [][]int64{{1}}}), ErrCorrupt},
	} {
		fresh := NewKeyed[int]([]Limit{{PerHour(1), 10}}, nil)
		_, err := fresh.ReadFrom(bytes.NewReader(tt.in))
		checkErr(t, err, tt.want, "%s: ReadFrom", name)
		check(t, strings.Count(fmt.Sprint(err), "ratelimit: "), 1, "%s: prefixes of %v", name, err)
		check(t, fresh.Len(), 0, "%s: keys", name)
	}

	// Debts beyond all bounds saturate.
	huge := sealed(savedKeyed[int]{Plans: [][]savedLimit{limit}, Keys: []int{1}, Plan: []int{0}, Debts: [][]int64{{1 << 62}}})
	for range 3 {
		if _, err := k.ReadFrom(bytes.NewReader(huge)); err != nil {
			t.Fatal(err)
		}
	}
	if got := k.Allow(1); got {
		t.Errorf("Allow = %v with a debt beyond all bounds, want false", got)
	}
	for _, events := range [][]savedEvents{{{1, 0}}, {{2, 1}, {1, 1}}} {
		var b bytes.Buffer
		if _, err := writeSnapshot(&b, kindWindow, 0, savedWindows[int]{Events: [][]savedEvents{events}}); err != nil {
			t.Fatal(err)
		}
		if _, err := NewQuota(1, Daily(nil), nil).ReadFrom(&b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: err = %v, want ErrCorrupt", events, err)
		}
	}
	if _, err := k.WriteTo(brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("WriteTo: err = %v, want that of the writer", err)
	}
}

// A brokenWriter takes nothing.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// FuzzReadFrom checks that no bytes panic, whatever the type that reads them.
func FuzzReadFrom(f *testing.F) {
	k := NewKeyed[string]([]Limit{{PerHour(1), 10}, {PerDay(5), 7}}, nil)
	k.AllowN("a", 4)
	w := NewKeyedQuota[string](3, Daily(nil), nil)
	w.Allow("a")
	for i, s := range []saver{k, w, NewSlidingLog(3, time.Hour, nil)} {
		var b bytes.Buffer
		if _, err := s.WriteTo(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), byte(i))
	}

	f.Fuzz(func(t *testing.T, data []byte, _ byte) {
		if len(data) >= snapshotHeader {
			binary.LittleEndian.PutUint64(data[24:], uint64(len(data)-snapshotHeader))
			binary.LittleEndian.PutUint32(data[12:], checksum(data))
		}
		for _, s := range []saver{
			NewKeyed[string]([]Limit{{PerHour(1), 10}}, nil),
			NewKeyedQuota[string](3, Daily(nil), nil),
			NewKeyedSlidingLog[string](3, time.Hour, nil),
			NewKeyedSlidingWindow[string](3, time.Hour, 2, nil),
			NewSlidingLog(3, time.Hour, nil),
			NewFixedWindow(3, time.Hour, nil),
			NewSlidingWindow(3, time.Hour, Weighted, nil),
		} {
			if _, err := s.ReadFrom(bytes.NewReader(data)); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("%T: err = %v, want %v or %v", s, err, ErrCorrupt, ErrVersion)
			}
		}
	})
}

// TestSnapshotSaturates checks that debts that saturate are not erased by the
// sum of two.
func TestSnapshotSaturates(t *testing.T) {
	clock := fakeClock{}
	k := NewKeyed[string]([]Limit{{PerSecond(1), 1}}, &KeyedOptions{Now: clock.now})
	clock.sleep(time.Hour)
	k.Charge("key", math.MaxInt)
	k.Charge("key", math.MaxInt)
	k.Charge("key", math.MaxInt)
	var b bytes.Buffer
	if _, err := k.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	before := k.Peek("key", 0)
	if _, err := k.ReadFrom(&b); err != nil {
		t.Fatal(err)
	}
	got := k.Peek("key", 0)
	check(t, got.Remaining, 0, "Remaining")
	if got.ResetAfter < before.ResetAfter {
		t.Errorf("ResetAfter = %v, want %v or more", got.ResetAfter, before.ResetAfter)
	}
}

// TestSnapshotFarEnd checks that events that count until after the last year of
// the format count on.
func TestSnapshotFarEnd(t *testing.T) {
	save := func() saver { return NewSlidingLog(3, math.MaxInt64, nil) }
	from, to := save().(*Window), save().(*Window)
	from.AllowN(2)
	var b bytes.Buffer
	if _, err := from.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	at := binary.LittleEndian.Uint64(b.Bytes()[16:])
	if _, err := to.ReadFrom(&b); err != nil {
		t.Fatal(err)
	}
	if got := to.Peek(0).Remaining; got != 1 {
		t.Errorf("%d left, want 1; written at %d", got, at)
	}
	far := clock{base: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if got, want := far.wall(math.MaxInt64), int64(math.MaxInt64); got != want {
		t.Errorf("wall of the last reading = %d, want %d", got, want)
	}
}

// TestSnapshotHashable checks that keys that bytes claim and that cannot be
// keys are an error and no panic.
func TestSnapshotHashable(t *testing.T) {
	limits := []Limit{{PerHour(1), 10}}

	// The last key of each cannot be one.
	saved := [][]savedLimit{{{1, int64(time.Hour), 10}}}
	for name, tt := range map[string]struct {
		kind uint16
		v    any
		to   saver
	}{
		"Keyed": {
			kindKeyed,
			savedKeyed[any]{Plans: saved, Keys: []any{"a", []int{1}}, Plan: []int{0, 0}, Debts: [][]int64{{1}, {1}}},
			NewKeyed[any](limits, nil),
		},
		"KeyedWindow": {
			kindKeyedWindow,
			savedWindows[any]{Keys: []any{[]string{"a"}}, Events: [][]savedEvents{{{1 << 62, 1}}}},
			NewKeyedQuota[any](3, Daily(nil), nil),
		},
	} {
		var b bytes.Buffer
		if _, err := writeSnapshot(&b, tt.kind, 0, tt.v); err != nil {
			t.Fatal(err)
		}
		if _, err := tt.to.ReadFrom(&b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: err = %v, want ErrCorrupt", name, err)
		}
	}
}

// TestWindowReadFromLonger checks a log that takes over events which count
// longer than its own: those that come after them wait in line, and RetryAfter
// is the time at which the same call succeeds.
func TestWindowReadFromLonger(t *testing.T) {
	var clock fakeClock
	opts := &Options{Now: clock.now}
	var b bytes.Buffer
	long, short := NewSlidingLog(2, time.Hour, opts), NewSlidingLog(3, time.Minute, opts)
	long.AllowN(2)
	_, err := long.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	_, err = short.ReadFrom(&b)
	checkErr(t, err, nil, "ReadFrom")
	check(t, short.Allow(), true, "Allow of the third")
	for range 3 {
		d := short.Take(1)
		check(t, d.OK, false, "OK of the fourth")
		clock.sleep(d.RetryAfter)
		check(t, short.Take(3).OK, true, "OK of three after RetryAfter")
	}
}

// TestSnapshotOfNothing checks that a snapshot holds no keys of which nothing
// is spent or counts, and none that were deleted, but those that owe a
// nanosecond or have one event; and that limits which were just changed are
// those that it is written by.
func TestSnapshotOfNothing(t *testing.T) {
	clock := fakeClock{int64(time.Hour)}
	opts := &KeyedOptions{MaxKeys: 1024, Now: clock.now}
	k, again := NewKeyed[int]([]Limit{{Every(4), 2}}, opts), NewKeyed[int]([]Limit{{Every(8), 3}}, opts)
	w, then := NewKeyedSlidingLog[int](2, 8, opts), NewKeyedSlidingLog[int](2, 8, opts)
	for _, key := range []int{1, 2} {
		k.AllowN(key, 2)
		w.AllowN(key, 2)
	}
	clock.sleep(8)
	k.AllowN(3, 2)
	w.AllowN(3, 1)
	k.Charge(4, 2)
	w.AllowN(4, 2)
	k.Delete(4)
	w.Delete(4)
	clock.sleep(7) // key 3 owes a nanosecond

	k.SetLimits(Limit{Every(8), 3})
	var b, c bytes.Buffer
	_, err := k.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo of a Keyed")
	_, err = again.ReadFrom(&b)
	checkErr(t, err, nil, "ReadFrom of a Keyed")
	_, err = w.WriteTo(&c)
	checkErr(t, err, nil, "WriteTo of a KeyedWindow")
	_, err = then.ReadFrom(&c)
	checkErr(t, err, nil, "ReadFrom of a KeyedWindow")
	check(t, again.Len(), 1, "keys of a Keyed")
	check(t, then.Len(), 1, "keys of a KeyedWindow")
	check(t, again.Peek(3, 0), k.Peek(3, 0), "Peek of a Keyed")
	check(t, then.Peek(3, 0), w.Peek(3, 0), "Peek of a KeyedWindow")
}

// TestReadFromAfterForgotten checks that a debt which is read by a clock that
// went back, for a key that may have been forgotten since, counts as one that
// is charged then.
func TestReadFromAfterForgotten(t *testing.T) {
	clock := fakeClock{int64(time.Hour)}
	limits := []Limit{{PerSecond(1), 100}}
	opts := &KeyedOptions{MaxKeys: 1024, Now: clock.now}
	from, read, charged := NewKeyed[int](limits, opts), NewKeyed[int](limits, opts), NewKeyed[int](limits, opts)
	from.Charge(-1, 50)
	var b bytes.Buffer
	_, err := from.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")

	for _, k := range []*Keyed[int]{read, charged} {
		clock.t = int64(time.Hour)
		k.Allow(-1)
		clock.sleep(20 * time.Second)
		for i := range 8 { // the first set is full, and -1 is forgotten
			k.Charge(i, 100)
		}
		clock.sleep(-20 * time.Second)
	}
	_, err = read.ReadFrom(&b)
	checkErr(t, err, nil, "ReadFrom")
	charged.Charge(-1, 50)
	for range 30 {
		check(t, read.Peek(-1, 0), charged.Peek(-1, 0), "Peek")
		clock.sleep(time.Second)
	}
}

// TestReadFromFastLimit checks that a key is read whose own limit is so fast
// that its arithmetic spans less time than has passed.
func TestReadFromFastLimit(t *testing.T) {
	var clock fakeClock
	opts := &KeyedOptions{Now: clock.now}
	fast := Limit{perSecond(1e12), math.MaxInt32}
	from, to := NewKeyed[int]([]Limit{{PerSecond(1), 5}}, opts), NewKeyed[int]([]Limit{{PerSecond(1), 5}}, opts)
	to.Allow(2)
	clock.sleep(100 * 24 * time.Hour)
	from.TakeLimits(1, 1<<30, fast)
	var b bytes.Buffer
	_, err := from.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	_, err = to.ReadFrom(&b)
	checkErr(t, err, nil, "ReadFrom")
	check(t, to.Peek(1, 1), from.Peek(1, 1), "Peek")
	check(t, to.Peek(2, 1).Remaining, 4, "Remaining of another key")
}

// TestSnapshotErrorsOfAll checks that every type that reads snapshots refuses
// damaged ones, and those of the others.
func TestSnapshotErrorsOfAll(t *testing.T) {
	type full interface {
		io.ReaderFrom
		io.WriterTo
	}
	makes := map[string]func() full{
		"Keyed":       func() full { return NewKeyed[int]([]Limit{{PerHour(1), 3}}, nil) },
		"KeyedWindow": func() full { return NewKeyedSlidingLog[int](3, time.Hour, nil) },
		"Window":      func() full { return NewSlidingLog(3, time.Hour, nil) },
	}
	for name, of := range makes {
		var b bytes.Buffer
		n, err := of().WriteTo(&b)
		checkErr(t, err, nil, "%s: WriteTo", name)
		check(t, n, int64(b.Len()), "%s: bytes written", name)
		good := b.Bytes()
		for i := range good {
			bad := slices.Clone(good)
			bad[i] ^= 0x40
			if _, err := of().ReadFrom(bytes.NewReader(bad)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("%s: byte %d: err = %v, want ErrCorrupt or ErrVersion", name, i, err)
			}
			if _, err := of().ReadFrom(bytes.NewReader(bad)); i/2 == 4 {
				checkErr(t, err, ErrVersion, "%s: byte %d", name, i)
			}
			if n, err := of().ReadFrom(bytes.NewReader(good[:i])); !errors.Is(err, ErrCorrupt) || n != int64(i) {
				t.Errorf("%s: the first %d bytes: %d, %v, want as many and ErrCorrupt", name, i, n, err)
			}
		}

		n, err = of().ReadFrom(bytes.NewReader(append(good, 1, 2, 3)))
		checkErr(t, err, nil, "%s: ReadFrom", name)
		check(t, n, int64(len(good)), "%s: bytes read", name)
		for other, to := range makes {
			if _, err := to().ReadFrom(bytes.NewReader(good)); other != name && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s reads %s: err = %v, want ErrCorrupt", other, name, err)
			}
		}
	}
}

// TestRestoreWithoutRoom checks that a full table takes over what it can and
// panics for nothing, and that a new key finds nothing of the one it displaces.
func TestRestoreWithoutRoom(t *testing.T) {
	var clock fakeClock
	limits := []Limit{{PerHour(1), 100}}
	from := NewKeyed[int](limits, &KeyedOptions{Now: clock.now})
	for key := range 200 {
		from.TakeLimits(-1-key, 1, Limit{PerHour(1), 50}, Limit{PerDay(1), 60})
	}
	var b, events bytes.Buffer
	_, err := from.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	windows := NewKeyedSlidingLog[int](5, time.Hour, &KeyedOptions{Now: clock.now})
	for key := range 200 {
		windows.Allow(-1 - key)
	}
	_, err = windows.WriteTo(&events)
	checkErr(t, err, nil, "WriteTo of windows")

	for _, deny := range []bool{false, true} {
		opts := &KeyedOptions{MaxKeys: 16, DenyNew: deny, Now: clock.now}
		k := NewKeyed[int](limits, opts)
		w := NewKeyedSlidingLog[int](5, time.Hour, opts)
		for key := range 100 {
			k.Take(key, 40)
			w.AllowN(key, 4)
		}
		_, err = k.ReadFrom(bytes.NewReader(b.Bytes()))
		checkErr(t, err, nil, "ReadFrom with DenyNew %v", deny)
		_, err = w.ReadFrom(bytes.NewReader(events.Bytes()))
		checkErr(t, err, nil, "ReadFrom of windows with DenyNew %v", deny)
		held := 0
		for key, d := range k.All() {
			if key < 0 {
				held++
				check(t, d.Remaining, 49, "Remaining of %d with DenyNew %v", key, deny)
			}
		}
		if deny != (held == 0) {
			t.Errorf("%d keys were taken over with DenyNew %v", held, deny)
		}
		s := k.Stats()
		check(t, s.Evicted > 0, !deny, "evictions with DenyNew %v", deny)
	}
}

// TestReadFromOnTop checks that a log which has counted events takes over as
// many as its limit leaves, and that the others, which need no place for each,
// take over all.
func TestReadFromOnTop(t *testing.T) {
	var clock fakeClock
	for name, tt := range map[string]struct {
		make func(n int) *Window
		left int
	}{
		"log":      {func(n int) *Window { return NewSlidingLog(n, time.Hour, &Options{Now: clock.now}) }, 20 - 5},
		"sliding":  {func(n int) *Window { return NewSlidingWindow(n, time.Hour, 6, &Options{Now: clock.now}) }, 20 - 9 - 2},
		"weighted": {func(n int) *Window { return NewSlidingWindow(n, time.Hour, Weighted, &Options{Now: clock.now}) }, 20 - 9 - 2},
		"quota":    {func(n int) *Window { return NewQuota(n, Daily(nil), &Options{Now: clock.now}) }, 20 - 9 - 2},
	} {
		var b bytes.Buffer
		from, to := tt.make(9), tt.make(5)
		from.AllowN(9)
		to.AllowN(2)
		_, err := from.WriteTo(&b)
		checkErr(t, err, nil, "%s: WriteTo", name)
		_, err = to.ReadFrom(&b)
		checkErr(t, err, nil, "%s: ReadFrom", name)
		to.SetLimit(20)
		check(t, to.Peek(0).Remaining, tt.left, "%s: Remaining of 20", name)
	}
}

// TestAdoptNothing checks that a state which needs no entry needs none under
// another limit.
func TestAdoptNothing(t *testing.T) {
	check(t, Limit{PerSecond(1), 1}.Adopt(State{}, Limit{PerHour(1), 1}, 5), State{}, "Adopt of a full bucket")
}

// TestSnapshotOfAnother checks that bytes of something else are damage,
// whatever stands where a snapshot has its version, and although the checksum
// holds.
func TestSnapshotOfAnother(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerHour(1), 10}}, nil)
	var b bytes.Buffer
	_, err := k.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	data := b.Bytes()
	data[0] = 'x'
	for _, version := range []byte{snapshotVersion, snapshotVersion + 1} {
		data[8] = version
		binary.LittleEndian.PutUint32(data[12:], checksum(data))
		_, err := k.ReadFrom(bytes.NewReader(data))
		checkErr(t, err, ErrCorrupt, "ReadFrom of version %d", version)
	}
}

// TestReadFromUsualLimits checks that a key without limits of its own has none
// after a restart either: it follows SetLimits.
func TestReadFromUsualLimits(t *testing.T) {
	var clock fakeClock
	limits := []Limit{{PerHour(1), 10}}
	k := NewKeyed[string](limits, &KeyedOptions{Now: clock.now})
	k.AllowN("usual", 4)
	k.TakeLimits("own", 4, Limit{PerHour(1), 20})
	var b bytes.Buffer
	_, err := k.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")

	restored := NewKeyed[string](limits, &KeyedOptions{Now: clock.now})
	_, err = restored.ReadFrom(&b)
	checkErr(t, err, nil, "ReadFrom")
	restored.SetLimits(Limit{PerHour(1), 30})
	check(t, restored.Peek("usual", 0).Remaining, 26, "Remaining of a usual key")
	check(t, restored.Peek("own", 0).Remaining, 16, "Remaining of a key with limits of its own")
}

// TestSnapshotLength checks that a snapshot which says that it is longer than
// any is refused by its header, before anything after it is read.
func TestSnapshotLength(t *testing.T) {
	k := NewKeyed[int]([]Limit{{PerHour(1), 10}}, nil)
	var b bytes.Buffer
	_, err := k.WriteTo(&b)
	checkErr(t, err, nil, "WriteTo")
	binary.LittleEndian.PutUint64(b.Bytes()[24:], maxSnapshot+1)
	n, err := k.ReadFrom(&b)
	checkErr(t, err, ErrCorrupt, "ReadFrom")
	check(t, n, snapshotHeader, "bytes read")
}
