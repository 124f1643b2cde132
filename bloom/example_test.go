// SPDX-License-Identifier: MIT

package bloom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/bloom"
)

// Skip the database for keys that are certainly not in it.
func Example() {
	users := bloom.New(1_000_000, 0.01, nil) // 1 % of wrong maybes: 1.3 MB
	users.AddString("alice")
	fmt.Println(users.HasString("alice")) // true: ask the database
	fmt.Println(users.HasString("bob"))   // false: certain, it need not be asked
	// Output:
	// true
	// false
}

func ExampleFilter() {
	// region quickstart
	users := map[string]int{"alice": 30, "bob": 25} // the database
	f := bloom.New(1_000_000, 0.01, nil)            // 1.3 MB for a million users
	for name := range users {
		f.AddString(name)
	}
	queries := 0
	lookup := func(name string) (age int, ok bool) {
		if !f.HasString(name) {
			return 0, false // certain
		}
		queries++
		age, ok = users[name]
		return age, ok
	}
	// endregion quickstart
	fmt.Println(lookup("alice"))
	fmt.Println(lookup("mallory"))
	fmt.Println("queries:", queries)
	// Output:
	// 30 true
	// 0 false
	// queries: 1
}

// Spell check: a word that is not in the dictionary is nearly always found out,
// and one that is never is. That was the use of the filter in the 1970s.
func ExampleFilter_HasString() {
	dictionary := strings.Fields("a never one says spelling the to word wrong yes")
	f := bloom.New(len(dictionary), 1e-4, nil)
	for _, w := range dictionary {
		f.AddString(w)
	}
	for w := range strings.FieldsSeq("the speling never says wrnog to a word") {
		if !f.HasString(w) {
			fmt.Println("misspelled:", w)
		}
	}
	// Output:
	// misspelled: speling
	// misspelled: wrnog
}

// Duplicate registration: Add says whether an address is certainly new. Only if
// not has the slow index to be asked.
func ExampleFilter_AddString() {
	f := bloom.New(1000, 1e-3, nil)
	for _, email := range []string{"a@example.org", "b@example.org", "a@example.org"} {
		if f.AddString(email) {
			fmt.Println(email, "is new")
		} else {
			fmt.Println(email, "may be registered: ask the index")
		}
	}
	// Output:
	// a@example.org is new
	// b@example.org is new
	// a@example.org may be registered: ask the index
}

func ExampleNew() {
	for _, p := range []float64{0.1, 0.01, 1e-4, 1e-6} {
		f := bloom.New(1_000_000, p, nil)
		fmt.Printf("p = %-5g  %.1f bits a key\n", p, float64(f.Bits())/1e6)
	}
	// Output:
	// p = 0.1    4.9 bits a key
	// p = 0.01   10.1 bits a key
	// p = 0.0001  20.2 bits a key
	// p = 1e-06  31.6 bits a key
}

func ExampleOptions_Validate() {
	fmt.Println((&bloom.Options{Lines: 3}).Validate())
	// Output:
	// bloom: Options.Lines must be between 0 and 2, got 3
}

func ExampleFilter_Add() {
	f := bloom.New(10, 0.01, nil)
	fmt.Println(f.Add([]byte("key")), f.Add([]byte("key")), f.Has([]byte("key")))
	// Output:
	// true false true
}

func ExampleFilter_AddUint64() {
	f := bloom.New(10, 0.01, nil)
	f.AddUint64(42)
	fmt.Println(f.HasUint64(42), f.HasUint64(43), f.HasString("42"))
	// Output:
	// true false false
}

// Against keys that an adversary chooses: a secret seed of hash/maphash, in a
// filter that does not leave the process.
func ExampleFilter_AddHash() {
	seed := maphash.MakeSeed()
	f := bloom.New(1000, 0.01, nil)
	f.AddHash(maphash.String(seed, "key"))
	fmt.Println(f.HasHash(maphash.String(seed, "key")))
	// Output:
	// true
}

func ExampleFilter_AddHashes() {
	f := bloom.New(1000, 1e-6, nil)
	hashes := make([]uint64, 1000)
	for i := range hashes {
		hashes[i] = bloom.HashUint64(uint64(i), 0)
	}
	fmt.Println(f.AddHashes(hashes), f.AddHashes(hashes))
	// Output:
	// 1000 0
}

func ExampleFilter_HasHashes() {
	f := bloom.New(1000, 1e-6, nil)
	f.AddString("b")
	hashes := []uint64{bloom.HashString("a", 0), bloom.HashString("b", 0), bloom.Hash([]byte("c"), 0)}
	fmt.Println(f.HasHashes(nil, hashes))
	// Output:
	// [false true false]
}

func ExampleHash() {
	fmt.Printf("%x\n", bloom.Hash([]byte("hello"), 0))
	// Output:
	// 26c7827d889f6da3
}

func ExampleHashString() {
	fmt.Println(bloom.HashString("hello", 1) == bloom.Hash([]byte("hello"), 1))
	// Output:
	// true
}

func ExampleHashUint64() {
	f := bloom.New(10, 0.01, nil)
	f.AddUint64(7)
	fmt.Println(f.HasHash(bloom.HashUint64(7, 0)))
	// Output:
	// true
}

// Crawlers that worked apart put together what they have seen.
func ExampleFilter_Union() {
	a, b := bloom.New(1000, 0.01, nil), bloom.New(1000, 0.01, nil)
	a.AddString("example.org/1")
	b.AddString("example.org/2")
	err := a.Union(b)
	fmt.Println(a.HasString("example.org/2"), err)

	err = a.Union(bloom.New(1000, 1e-6, nil))
	fmt.Println(errors.Is(err, bloom.ErrMismatch))
	// Output:
	// true <nil>
	// true
}

func ExampleFilter_Intersect() {
	a, b := bloom.New(1000, 1e-6, nil), bloom.New(1000, 1e-6, nil)
	a.AddHashes([]uint64{bloom.HashString("only a", 0), bloom.HashString("both", 0)})
	b.AddHashes([]uint64{bloom.HashString("only b", 0), bloom.HashString("both", 0)})
	err := a.Intersect(b)
	fmt.Println(a.HasString("both"), a.HasString("only a"), err)
	// Output:
	// true false <nil>
}

func ExampleFilter_Equal() {
	a := bloom.New(1000, 0.01, nil)
	a.AddString("x")
	b := a.Clone()
	fmt.Println(a.Equal(b))
	b.Clear()
	fmt.Println(a.Equal(b))
	// Output:
	// true
	// false
}

func ExampleFilter_Clone() {
	a := bloom.New(1000, 0.01, nil)
	b := a.Clone()
	b.AddString("x")
	fmt.Println(a.HasString("x"), b.HasString("x"))
	// Output:
	// false true
}

func ExampleFilter_Clear() {
	f := bloom.New(1000, 0.01, nil)
	f.AddString("x")
	f.Clear()
	fmt.Println(f.HasString("x"), f.Len())
	// Output:
	// false 0
}

// A filter made for a million keys, of which ten thousand came, is folded until
// it errs as often as was meant.
func ExampleFilter_Fold() {
	const p = 0.01
	f := bloom.New(1_000_000, p, &bloom.Options{Foldable: true})
	for i := range uint64(10_000) {
		f.AddUint64(i)
	}
	before := f.Bits()
	for {
		g := f.Clone()
		if err := g.Fold(2); err != nil || g.Rate() > p {
			break
		}
		f = g
	}
	fmt.Println("smaller by", before/f.Bits(), f.Rate() <= p, f.HasUint64(9999))
	// Output:
	// smaller by 64 true true
}

func ExampleFilter_Rate() {
	f := bloom.New(10_000, 0.01, nil)
	for _, n := range []int{5000, 10_000, 20_000} {
		for i := range n {
			f.AddUint64(uint64(i))
		}
		fmt.Printf("%d keys: Len %d, %.0f %% of the bits are set, %.2g %% of absent keys are reported\n",
			n, (f.Len()+50)/100*100, 100*f.FillRatio(), 100*f.Rate())
	}
	// Output:
	// 5000 keys: Len 5000, 32 % of the bits are set, 0.027 % of absent keys are reported
	// 10000 keys: Len 10000, 54 % of the bits are set, 1 % of absent keys are reported
	// 20000 keys: Len 20000, 79 % of the bits are set, 16 % of absent keys are reported
}

// Many goroutines add what they see; one of them is told that it came first.
func ExampleConcurrent() {
	c := bloom.NewConcurrent(1000, 1e-6, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range uint64(100) {
				c.AddUint64(i)
			}
		})
	}
	wg.Wait()
	fmt.Println(c.HasUint64(99), c.HasUint64(100))
	// Output:
	// true false
}

func ExampleNewConcurrent() {
	c := bloom.NewConcurrent(1000, 1e-6, nil)
	fmt.Println(c.AddString("x"), c.AddString("x"))
	// Output:
	// true false
}

// A filter that was stored goes on as one that many goroutines add to, and
// back.
func ExampleConcurrent_Union() {
	stored := bloom.New(1000, 1e-6, nil)
	stored.AddString("old")
	c := bloom.NewConcurrent(1000, 1e-6, nil)
	err := c.Union(stored)
	c.AddString("new")
	snapshot := c.Snapshot()
	fmt.Println(snapshot.HasString("old"), snapshot.HasString("new"), err)
	// Output:
	// true true <nil>
}

func ExampleFilter_MarshalBinary() {
	f := bloom.New(1000, 0.01, nil)
	f.AddString("alice")
	b, err := f.MarshalBinary()
	fmt.Println(len(b), err)

	var g bloom.Filter
	err = g.UnmarshalBinary(b)
	fmt.Println(g.HasString("alice"), err)

	b[100] ^= 1
	fmt.Println(g.UnmarshalBinary(b))
	// Output:
	// 1352 <nil>
	// true <nil>
	// bloom: corrupt filter: checksum of the lines
}

func ExampleFilter_WriteTo() {
	f := bloom.New(1000, 0.01, nil)
	f.AddString("alice")
	var file bytes.Buffer
	n, err := f.WriteTo(&file)
	fmt.Println(n, err)

	var g bloom.Filter
	n, err = g.ReadFrom(&file)
	fmt.Println(n, err, g.Equal(f))
	// Output:
	// 1352 <nil>
	// 1352 <nil> true
}

// A file mapped into memory is a filter at once, whatever its size.
func ExampleView() {
	f := bloom.New(1000, 0.01, nil)
	f.AddString("alice")
	mapped, err := f.AppendBinary(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(bloom.Verify(mapped))
	v, err := bloom.View(mapped)
	fmt.Println(v.HasString("alice"), err)
	// Output:
	// <nil>
	// true <nil>
}

func ExampleVerify() {
	b, _ := bloom.New(1000, 0.01, nil).MarshalBinary()
	b[len(b)-1]++
	fmt.Println(errors.Is(bloom.Verify(b), bloom.ErrCorrupt))
	// Output:
	// true
}

// A filter in an object store is asked with one or two small reads, and never
// loaded.
func ExampleProbe() {
	f := bloom.New(100_000, 0.01, nil)
	f.AddString("alice")
	b, _ := f.MarshalBinary()

	p, err := bloom.OpenProbe(bytes.NewReader(b)) // a file, or ranges of an object
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.HasString("alice"))
	fmt.Println(p.HasString("bob"))
	// Output:
	// true <nil>
	// false <nil>
}

// Users who are signed in: they come and go.
func ExampleCounting() {
	c := bloom.NewCounting(1000, 1e-4, nil)
	c.AddString("user 1")
	c.AddString("user 2")
	fmt.Println(c.RemoveString("user 1"), c.HasString("user 1"), c.HasString("user 2"))
	fmt.Println(c.RemoveString("user 3"))
	// Output:
	// true false true
	// false
}

func ExampleNewCounting() {
	c, f := bloom.NewCounting(1_000_000, 0.01, nil), bloom.New(1_000_000, 0.01, nil)
	fmt.Printf("%.1f times the memory\n", float64(c.Bits())/float64(f.Bits()))
	// Output:
	// 4.5 times the memory
}

func ExampleCounting_Remove() {
	c := bloom.NewCounting(1000, 1e-4, nil)
	c.Add([]byte("x"))
	c.Add([]byte("x"))
	fmt.Println(c.Remove([]byte("x")), c.Remove([]byte("x")), c.Remove([]byte("x")))
	// Output:
	// true true false
}

// A crawler that does not know how large the web is.
func ExampleScalable() {
	s := bloom.NewScalable(1000, 0.01, nil)
	for i := range uint64(50_000) {
		s.AddUint64(i)
	}
	fmt.Println(s.HasUint64(49_999), s.Rate() <= 0.01)
	// Output:
	// true true
}

func ExampleNewScalable() {
	s := bloom.NewScalable(1000, 1e-6, nil)
	fmt.Println(s.AddString("x"), s.AddString("x"))
	// Output:
	// true false
}

// Duplicate requests within ten minutes are refused.
func ExampleWindow() {
	now := time.Unix(0, 0)
	w := bloom.NewWindow(100_000, 1e-6, 10*time.Minute, &bloom.WindowOptions{Now: func() time.Time { return now }})
	fmt.Println("first:  ", w.SeenString("request 1"))
	now = now.Add(9 * time.Minute)
	fmt.Println("again:  ", w.SeenString("request 1"))
	now = now.Add(15 * time.Minute)
	fmt.Println("much later:", w.SeenString("request 1"))
	// Output:
	// first:   false
	// again:   true
	// much later: false
}

// A window of the last hundred keys rather than of time.
func ExampleNewWindow() {
	w := bloom.NewWindow(100, 1e-6, 0, nil)
	for i := range uint64(1000) {
		w.AddUint64(i)
	}
	fmt.Println(w.HasUint64(999), w.HasUint64(900), w.HasUint64(500))
	// Output:
	// true true false
}

// A crawl of unknown size that survives a restart: the filter grows with the
// pages, is stored in a file, and goes on from there.
func ExampleScalable_MarshalBinary() {
	seen := bloom.NewScalable(1000, 0.001, nil)
	for page := range 50_000 {
		seen.AddString(fmt.Sprint("https://example.com/", page))
	}
	file, err := seen.MarshalBinary() // write it next to the frontier
	if err != nil {
		panic(err)
	}

	var after bloom.Scalable
	if err := after.UnmarshalBinary(file); err != nil {
		panic(err)
	}
	fmt.Println("seen:", after.HasString("https://example.com/49999"))
	fmt.Println("new: ", after.AddString("https://example.com/50000"))
	// Output:
	// seen: true
	// new:  true
}

// In JSON a filter is text, like the bytes of any other value.
func ExampleFilter_MarshalText() {
	type shard struct {
		Name string
		Keys *bloom.Filter
	}
	s := shard{"eu-1", bloom.New(10, 0.1, nil)}
	s.Keys.AddString("alice")
	text, _ := json.Marshal(s)
	var back shard
	fmt.Println(json.Unmarshal(text, &back), back.Keys.HasString("alice"))
	// Output: <nil> true
}

func ExampleWindow_Seen() {
	w := bloom.NewWindow(100, 1e-6, time.Hour, nil)
	fmt.Println(w.Seen([]byte("x")), w.Seen([]byte("x")))
	// Output:
	// false true
}

// A window that the caller turns: at the end of each batch, say.
func ExampleWindow_Rotate() {
	w := bloom.NewWindow(100, 1e-6, 0, &bloom.WindowOptions{Generations: 2})
	w.AddString("x")
	w.Rotate()
	fmt.Println(w.HasString("x"))
	w.Rotate()
	fmt.Println(w.HasString("x"))
	// Output:
	// true
	// false
}

func ExampleWindowOptions_Validate() {
	fmt.Println((&bloom.WindowOptions{Generations: 1}).Validate())
	// Output:
	// bloom: WindowOptions.Generations must be between 2 and 64, got 1
}

// The filter of a column chunk in a Parquet file.
func ExampleSplitBlock() {
	s := bloom.NewSplitBlock(1000, 0.01, nil)
	s.AddString("hello")
	column := s.AppendParquet(nil)

	r, rest, err := bloom.ParseParquet(column)
	fmt.Println(r.HasString("hello"), r.HasString("bye"), len(rest), err)
	// Output:
	// true false 0 <nil>
}

// The size is a power of two, which all readers take.
func ExampleNewSplitBlock() {
	s := bloom.NewSplitBlock(1_000_000, 0.01, nil)
	fmt.Printf("%.1f bits a key\n", float64(s.Bits())/1e6)
	// Output:
	// 16.8 bits a key
}

// A row group is asked for the keys of a join at once.
func ExampleSplitBlock_HasHashes() {
	s := bloom.NewSplitBlock(1000, 0.01, nil)
	s.AddString("hello")
	fmt.Println(s.HasHashes(nil, []uint64{bloom.HashString("hello", 0), bloom.HashString("bye", 0)}))
	// Output: [true false]
}

func ExampleParseParquet() {
	_, _, err := bloom.ParseParquet([]byte("PAR1"))
	fmt.Println(errors.Is(err, bloom.ErrCorrupt))
	// Output:
	// true
}
