// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/ratelimit"
)

var update = flag.Bool("update", false, "write testdata/golden.txt")

// anyLimit limits nobody.
var anyLimit = ratelimit.Limit{Rate: ratelimit.Inf, Burst: 1}

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := victim(context.Background(), dir, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runProgram runs the program and returns what it prints to stdout.
func runProgram(ctx context.Context, args ...string) (string, error) {
	var stdout bytes.Buffer
	err := run(ctx, args, &stdout, io.Discard)
	return stdout.String(), err
}

// TestGolden pins the report of the default input.
func TestGolden(t *testing.T) {
	got, err := runProgram(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "golden.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("report differs from %s; run with -update and look at the difference. Got:\n%s", golden, got)
	}
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// TestPropReport checks the laws of the report, but for the kill, for other
// seeds and numbers of links.
func TestPropReport(t *testing.T) {
	checks, most := 0, 5 // each is a few thousand requests
	if testing.Short() {
		most = 1
	}
	rapid.Check(t, func(t *rapid.T) {
		if checks++; checks > most {
			return
		}
		c := &config{n: rapid.IntRange(leastLinks, 150).Draw(t, "n"), seed: rapid.Uint64().Draw(t, "seed")}
		for _, report := range []func(context.Context, *config, io.Writer) error{reportTalk, reportTraffic, reportMoved} {
			if err := report(context.Background(), c, io.Discard); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A disk is a database in memory that can lose power, and a clock.
type disk struct {
	fs *lsm.MemFS
	db *lsm.DB
	at time.Duration
}

// open opens the database, and the links in it.
func (d *disk) open(bad faults) (l *Links, err error) {
	if d.db, err = lsm.Open("links", &lsm.Options{FS: d.fs, LogSize: 16 << 10}); err != nil {
		return nil, err
	}
	return openLinks(context.Background(), d.db, options{
		now:   func() time.Time { return began.Add(d.at) },
		key:   keyOf(1),
		hot:   16,
		known: 16,
		bad:   bad,
	})
}

// crash cuts the power. What is not synced survives with the chance keep.
func (d *disk) crash(keep float64, seed uint64) error {
	next := d.fs.CrashClone(lsm.CrashConfig{Keep: keep, Seed: seed})
	err := d.db.Close() // of the past
	d.fs = next
	return err
}

// memLinks returns links in memory, and their disk.
func memLinks(t testing.TB, bad faults) (*Links, *disk) {
	t.Helper()
	d := &disk{fs: lsm.NewMemFS()}
	l, err := d.open(bad)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, d
}

// mustCreate makes a link and returns its promise.
func mustCreate(t testing.TB, l *Links, w wish) promise {
	t.Helper()
	code, v, _, err := l.Create(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return promise{code: code, url: v.URL, ends: v.Ends}
}

// A model is what clients know: which links they were promised, and which URL
// each code that is no alias has ever had.
type model struct {
	promises map[string]promise
	given    map[string]string
}

// kept returns the promises of links that may not have been swept.
func (m *model) kept(now time.Time) (all []promise) {
	for _, p := range m.promises {
		if p.ends == 0 || now.Add(-grace).Unix() < p.ends {
			all = append(all, p)
		}
	}
	return all
}

// TestPropLinks makes and follows links, lets time pass, sweeps, closes and
// loses power at any moment, and checks the laws after each step.
func TestPropLinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		d := &disk{fs: lsm.NewMemFS()}
		l, err := d.open(faults{})
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(err)
		defer func() { must(d.db.Close()) }()
		m := &model{promises: map[string]promise{}, given: map[string]string{}}
		clicked := map[string]uint64{}
		wanted := func() wish {
			return wish{
				url: fmt.Sprintf("https://example.com/%d", rapid.IntRange(0, 9).Draw(t, "url")),
				ttl: time.Duration(rapid.IntRange(0, 3).Draw(t, "days")) * 24 * time.Hour,
			}
		}
		create := func(w wish) {
			code, v, _, err := l.Create(ctx, w)
			if w.alias != "" && errors.Is(err, errTaken) {
				return
			}
			must(err)
			ends := int64(0)
			if w.ttl > 0 {
				ends = l.now().Add(w.ttl).Unix()
			}
			if w.alias == "" {
				if old := m.given[code]; old != "" && old != w.url {
					t.Fatalf("%s was given to %s, and to %s", code, old, w.url)
				}
				m.given[code] = w.url
			}
			if v.URL != w.url || v.Ends != 0 && (ends == 0 || v.Ends < ends) {
				t.Fatalf("link of %+v is %+v", w, v)
			}
			m.promises[code] = promise{code: code, url: w.url, ends: v.Ends}
		}
		reopen := func() {
			l, err = d.open(faults{})
			must(err)
		}

		t.Repeat(map[string]func(*rapid.T){
			"create": func(*rapid.T) { create(wanted()) },
			"alias": func(t *rapid.T) {
				w := wanted()
				// The code of a number to come, or a name.
				w.alias = rapid.SampledFrom([]string{"sale", l.perm.code(l.next), l.perm.code(l.next + 1)}).Draw(t, "alias")
				create(w)
			},
			"follow": func(t *rapid.T) {
				for code, p := range m.promises {
					v, err := l.Lookup(ctx, code)
					switch alive := p.ends == 0 || l.now().Unix() < p.ends; {
					case alive && (err != nil || v.URL != p.url):
						t.Fatalf("%+v leads to %+v, %v", p, v, err)
					case !alive && !errors.Is(err, errGone) && !errors.Is(err, errUnknown):
						t.Fatalf("after its end %+v leads to %+v, %v", p, v, err)
					}
				}
			},
			"click": func(t *rapid.T) {
				for code := range m.given {
					must(l.Click(ctx, code))
					clicked[code]++
				}
			},
			"flush": func(*rapid.T) { must(l.FlushClicks(ctx)) },
			"wait": func(t *rapid.T) {
				d.at += time.Duration(rapid.IntRange(1, 48).Draw(t, "hours")) * time.Hour
			},
			"sweep": func(t *rapid.T) {
				d.at += rapid.SampledFrom([]time.Duration{0, grace}).Draw(t, "later")
				_, err := l.Sweep(ctx)
				must(err)
				for code, p := range m.promises {
					if p.ends != 0 && p.ends <= l.now().Add(-grace).Unix() {
						if _, err := l.Lookup(ctx, code); !errors.Is(err, errUnknown) {
							t.Fatalf("%+v was not swept: %v", p, err)
						}
						delete(m.promises, code)
						delete(clicked, code)
					}
				}
			},
			"close": func(*rapid.T) {
				must(l.FlushClicks(ctx))
				must(d.db.Close())
				reopen()
			},
			"crash": func(t *rapid.T) {
				must(d.crash(rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "keep"), rapid.Uint64().Draw(t, "seed")))
				reopen()
				for code := range clicked { // what is lost is lost
					n, err := l.Clicks(code)
					must(err)
					if n > clicked[code] {
						t.Fatalf("%s has %d clicks of %d", code, n, clicked[code])
					}
					clicked[code] = n
				}
			},
			"": func(*rapid.T) {
				_, _, err := l.check(m.kept(l.now()))
				must(err)
				for code := range m.promises {
					n, err := l.Clicks(code)
					must(err)
					if n != clicked[code] {
						t.Fatalf("%s has %d clicks, want %d", code, n, clicked[code])
					}
				}
			},
		})
	})
}

// TestPowerCuts cuts the power before each operation of the disk while links
// are made, and checks that no acknowledged one is lost.
func TestPowerCuts(t *testing.T) {
	for n := int64(1); ; n++ {
		for _, after := range []float64{0, 0.5, 1} {
			happened, err := cutAt(t.Context(), n, after, faults{})
			if err != nil {
				t.Fatalf("before operation %d, %v of the rest survives: %v", n, after, err)
			}
			if !happened {
				if n < 20 {
					t.Errorf("only %d operations of the disk", n)
				}
				return
			}
		}
	}
}

// cutAt makes links, cuts the power before operation n of the disk, and checks
// what the next process finds. It reports whether there was such an operation.
func cutAt(ctx context.Context, n int64, keep float64, bad faults) (happened bool, err error) {
	d := &disk{fs: lsm.NewMemFS()}
	var cut atomic.Bool
	alive, die := context.WithCancel(ctx)
	defer die()
	d.fs.Inject(func(op lsm.FSOp) error {
		if op.N < n {
			return nil
		}
		cut.Store(true)
		die() // nobody waits for a disk that may come back
		return io.ErrUnexpectedEOF
	})
	promises, err := someLinks(alive, d, bad)
	if !cut.Load() {
		err = errors.Join(err, d.db.Close())
	}
	if !cut.Load() {
		return false, err
	}

	fs := d.fs.CrashClone(lsm.CrashConfig{Keep: keep, Seed: uint64(n)})
	if d.db != nil {
		_ = d.db.Close() // it fails, or is done
	}
	d = &disk{fs: fs}
	l, err := d.open(bad)
	if err != nil {
		return true, err
	}
	_, _, err = l.check(promises)
	return true, errors.Join(err, d.db.Close())
}

// someLinks makes links until the disk fails, and returns those that were
// acknowledged.
func someLinks(ctx context.Context, d *disk, bad faults) (promises []promise, err error) {
	l, err := d.open(bad)
	if err != nil {
		return nil, err
	}
	for i := range 8 {
		w := wish{url: fmt.Sprintf("https://example.com/%d", i/2), ttl: time.Duration(i) * time.Hour}
		if i == 5 {
			w.alias = "alias"
		}
		code, v, _, err := l.Create(ctx, w)
		if err != nil {
			return promises, err
		}
		promises = append(promises, promise{code: code, url: v.URL, ends: v.Ends})
	}
	return promises, nil
}

// TestGroupCommit checks that links of many clients share syncs of the disk. A
// sync takes a second of the bubble's time, which passes when all others wait.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := memLinks(t, faults{})
		d.fs.Inject(func(op lsm.FSOp) error {
			if op.Kind == "sync" || op.Kind == "syncrange" {
				time.Sleep(time.Second)
			}
			return nil
		})

		const clients = 40
		urls := make([]string, clients)
		codes := make([]string, clients)
		for i := range clients {
			urls[i] = fmt.Sprintf("https://example.com/%d", i)
			codes[i] = l.perm.code(l.next + uint64(i))
		}
		l.urls.spread(urls)
		l.codes.spread(codes)

		before := d.db.Stats()
		var g errgroup.Group
		for i := range clients {
			g.Go(func() error {
				_, _, _, err := l.Create(t.Context(), wish{url: urls[i]})
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}

		// One for the numbers, one for the first link, and one for the rest,
		// which come while that sync is at work.
		got := d.db.Stats().Sub(before)
		if got.Commits != clients+1 || got.Syncs < 2 || got.Syncs > 3 {
			t.Errorf("%d commits and %d syncs, want %d and 2 or 3", got.Commits, got.Syncs, clients+1)
		}
	})
}

// spread draws seeds until no two of the keys share a lock.
func (s *stripes) spread(keys []string) {
	for taken := map[uint64]bool{}; len(taken) < len(keys); {
		clear(taken)
		s.seed = maphash.MakeSeed()
		for _, k := range keys {
			taken[maphash.String(s.seed, k)%uint64(len(s.gates))] = true
		}
	}
}

// TestSameURL has many clients ask for one URL at once: it has one code.
func TestSameURL(t *testing.T) {
	l, _ := memLinks(t, faults{})
	codes := make([]string, 16)
	var g errgroup.Group
	for i := range codes {
		g.Go(func() (err error) {
			codes[i], _, _, err = l.Create(t.Context(), wish{url: "https://example.com/"})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, code := range codes {
		if code != codes[0] {
			t.Errorf("codes are %v", codes)
			break
		}
	}
	if links, _, err := l.check(nil); links != 1 || err != nil {
		t.Errorf("%d links, %v", links, err)
	}
}

// TestFaults checks that each law sees what breaks it.
func TestFaults(t *testing.T) {
	ctx := t.Context()

	// Power cuts find links in two steps, and links that are not on the disk.
	for name, bad := range map[string]faults{"two batches": {twoBatches: true}, "no sync": {noSync: true}} {
		found := false
		for n := int64(1); !found; n++ {
			happened, err := cutAt(ctx, n, 0, bad)
			found = err != nil
			if !happened {
				break
			}
		}
		if !found {
			t.Errorf("%s: no power cut breaks a law", name)
		}
	}

	// What one process does wrong.
	for name, c := range map[string]struct {
		bad faults
		do  func(l *Links, d *disk) []promise
	}{
		"numbers that are not reserved": {faults{lazyNumbers: true}, func(l *Links, _ *disk) []promise {
			return []promise{mustCreate(t, l, wish{url: "u"})}
		}},
		"an alias that is taken over": {faults{takeOver: true}, func(l *Links, _ *disk) []promise {
			p := mustCreate(t, l, wish{url: "u", alias: "sale"})
			mustCreate(t, l, wish{url: "v", alias: "sale"})
			return []promise{p}
		}},
		"a cache that keeps what changed": {faults{keepHot: true}, func(l *Links, _ *disk) []promise {
			p := mustCreate(t, l, wish{url: "u", ttl: time.Hour})
			if _, err := l.Lookup(ctx, p.code); err != nil {
				t.Fatal(err)
			}
			return []promise{mustCreate(t, l, wish{url: "u"})}
		}},
		"an end that was promised": {faults{}, func(l *Links, _ *disk) []promise {
			p := mustCreate(t, l, wish{url: "u", ttl: time.Hour})
			p.ends++
			return []promise{p}
		}},
		"an end that nothing finds": {faults{}, func(l *Links, d *disk) []promise {
			p := mustCreate(t, l, wish{url: "u", ttl: time.Hour})
			if err := d.db.Delete(endKey(p.ends, p.code)); err != nil {
				t.Fatal(err)
			}
			return nil
		}},
		"a URL without a code": {faults{}, func(_ *Links, d *disk) []promise {
			if err := d.db.Set([]byte(urlRow+"u"), []byte("aaaaaa")); err != nil {
				t.Fatal(err)
			}
			return nil
		}},
	} {
		l, d := memLinks(t, c.bad)
		promises := c.do(l, d)
		if _, _, err := l.check(promises); err == nil {
			t.Errorf("%s: no error", name)
		}
	}

	// A filter that is empty after a restart refuses links.
	l, d := memLinks(t, faults{})
	p := mustCreate(t, l, wish{url: "u"})
	if err := d.db.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := d.open(faults{emptyFilter: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.check([]promise{p}); err == nil {
		t.Error("a filter that is not filled: no error")
	}
}

// TestChecks checks that each law about figures sees wrong ones.
func TestChecks(t *testing.T) {
	twice := func(uint64) string { return "aaa" }
	zero := func(string) (uint64, bool) { return 0, true }
	p, err := newPermutation(keyOf(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := memLinks(t, faults{})
	code := mustCreate(t, l, wish{url: "u"}).code
	tally := &crowd{world: &world{service: newService(l, anyLimit)}, codes: []string{code}, clicks: map[string]int{code: 1}}

	good := ends{asked: 1000, refused: 990, wrong: 10}
	for name, err := range map[string]error{
		"a code twice":              checkCodes(2, twice, zero),
		"a code that leads nowhere": checkCodes(2, p.code, zero),
		"too many links":            checkAdmitted(12, time.Minute/linksPerClient),
		"too few links":             checkAdmitted(10, time.Minute/linksPerClient),
		"a link refused":            checkFilter(ends{refused: 1}, good, 0.01),
		"too many errors":           checkFilter(ends{}, ends{asked: 1000, refused: 960, wrong: 40}, 0.01),
		"too few errors":            checkFilter(ends{}, ends{asked: 1000, refused: 1000}, 0.1),
		"a code found":              checkFilter(ends{}, ends{asked: 1000, refused: 980, wrong: 10}, 0.01),
		"a click not counted":       tally.checkClicks(),
		"a link that outlives":      checkMoves(&moves{asked: 24, counted: 12, gone: 11, late: 1}, true),
		"a click that is not seen":  checkMoves(&moves{asked: 23, counted: 12, gone: 12}, false),
		"clicks lost":               checkLost(killClicks - behind),
		"clicks invented":           checkLost(killClicks + 2),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}

	// And that it does not see what is right.
	for name, err := range map[string]error{
		"codes":    checkCodes(62, p.code, p.number),
		"admitted": checkAdmitted(11, time.Minute/linksPerClient),
		"filter":   checkFilter(ends{asked: 5, hits: 5}, good, 0.01),
		"moves":    checkMoves(&moves{asked: 24, counted: 12, gone: 12}, false),
		"lost":     checkLost(killClicks - behind + 1),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPermutation checks codes of each length, and other codes.
func TestPermutation(t *testing.T) {
	for length := 1; length <= 2; length++ {
		for seed := range uint64(20) {
			p, err := newPermutation(keyOf(seed), length)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkCodes(p.size, p.code, p.number); err != nil {
				t.Errorf("length %d, seed %d: %v", length, seed, err)
			}
		}
	}

	rapid.Check(t, func(t *rapid.T) {
		length := rapid.IntRange(1, 10).Draw(t, "length")
		p, err := newPermutation(keyOf(rapid.Uint64().Draw(t, "seed")), length)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.Uint64Range(0, p.size-1).Draw(t, "n")
		code := p.code(n)
		if back, ok := p.number(code); !ok || back != n || len(code) != length {
			t.Fatalf("code of %d is %q, whose number is %d", n, code, back)
		}
	})

	p, err := newPermutation(keyOf(1), codeLen)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"", "abc", "abcdefg", "abc-ef", "abcde\xff"} {
		if n, ok := p.number(code); ok {
			t.Errorf("number of %q = %d", code, n)
		}
	}
}

// TestNormalize checks spellings of URLs.
func TestNormalize(t *testing.T) {
	for raw, want := range map[string]string{
		" HTTP://Example.com ":               "http://example.com/",
		"http://example.com:80":              "http://example.com/",
		"https://example.com:443/":           "https://example.com/",
		"https://example.com:80/":            "https://example.com:80/",
		"http://example.com:/":               "http://example.com/",
		"http://[::1]:80/a":                  "http://[::1]/a",
		"https://example.com/a/./b/../c":     "https://example.com/a/c",
		"https://example.com/a/b/..":         "https://example.com/a/",
		"https://example.com/../../a":        "https://example.com/a",
		"https://example.com/%2e%2e/a":       "https://example.com/a",
		"https://example.com/a%2fb":          "https://example.com/a%2Fb",
		"https://example.com/%7eme/%c3%a9":   "https://example.com/~me/%C3%A9",
		"https://example.com/é?é=é":          "https://example.com/%C3%A9?%C3%A9=%C3%A9",
		"https://example.com/a/":             "https://example.com/a/",
		"https://example.com/http://b/../c":  "https://example.com/http://b/../c",
		"https://example.com?b=1&a=2":        "https://example.com/?b=1&a=2",
		"https://example.com/#Top":           "https://example.com/#Top",
		"https://example.com/a?x=<b>\"&y=%":  "https://example.com/a?x=%3Cb%3E%22&y=%",
		"https://example.com/a b":            "https://example.com/a%20b",
		"https://xn--bcher-kva.example/":     "https://xn--bcher-kva.example/",
		"https://example.com/?u=javascript:": "https://example.com/?u=javascript:",
	} {
		got, err := normalize(raw, "s.example")
		if err != nil || got != want {
			t.Errorf("normalize(%q) = %q, %v, want %q", raw, got, err, want)
		}
		if again, err := normalize(got, "s.example"); err != nil || again != got {
			t.Errorf("normalize(%q) = %q, %v: not the same again", got, again, err)
		}
	}

	for _, raw := range []string{
		"", "example.com", "/a", "//example.com/", "ftp://example.com/", "javascript:alert(1)", "JavaScript://example.com/%0aalert(1)",
		"data:text/html,x", "file:///etc/passwd", "https:example.com", "https:///a", "https://:443/", "https://u@example.com/",
		"https://u:p@example.com/", "https://bücher.example/", "https://S.example/x", "https://example.com/\r\nSet-Cookie: a=b",
		"https://example.com/%zz", "https://example.com/" + strings.Repeat("a", maxURL), "https://example.com/" + strings.Repeat("é", maxURL/4),
	} {
		if got, err := normalize(raw, "s.example"); !errors.Is(err, errTarget) {
			t.Errorf("normalize(%.80q) = %.80q, %v, want an error", raw, got, err)
		}
	}
}

// TestPropNormalize checks that a spelling is its own, and fit for a header.
func TestPropNormalize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := "http://a.example" + rapid.StringOfN(rapid.SampledFrom([]rune("/.%2eEfF:?#&=a~ <é\"[]\\;")), 0, 20, -1).Draw(t, "rest")
		got, err := normalize(raw, "")
		if err != nil {
			return
		}
		if again, err := normalize(got, ""); err != nil || again != got {
			t.Fatalf("normalize(%q) = %q, and of that %q, %v", raw, got, again, err)
		}
		if !isASCII(got) {
			t.Fatalf("normalize(%q) = %q", raw, got)
		}
	})
}

// TestAlias checks what can be an alias.
func TestAlias(t *testing.T) {
	for _, s := range []string{"abc", "a-b_c", "mylink", strings.Repeat("a", maxAlias)} {
		if err := checkAlias(s); err != nil {
			t.Errorf("checkAlias(%q) = %v", s, err)
		}
	}
	for _, s := range []string{"", "ab", "api", "API", "a/b", "a.b", "a+b", "abé", "ab\u0161", strings.Repeat("a", maxAlias+1)} {
		if err := checkAlias(s); err == nil {
			t.Errorf("checkAlias(%q): no error", s)
		}
	}
}

// TestService checks answers that the report does not show.
func TestService(t *testing.T) {
	l, _ := memLinks(t, faults{})
	s := newService(l, anyLimit)
	s.base = site
	h := s.handler()
	ask := func(method, path, body string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		want               string
	}{
		{"GET", "/", "", nil, 200, "<form"},
		{"POST", "/", "url=https%3A%2F%2Fexample.com%2F%3Cscript%3E&alias=page", form, 201, "leads to <a id=\"target\" href=\"https://example.com/%3Cscript%3E\""},
		{"POST", "/", "url=javascript:alert(1)&alias=%22%3E%3Cscript%3E", form, 400, "value=\"&#34;&gt;&lt;script&gt;\""},
		{"POST", "/", "url=%zz", form, 400, "no form"},
		{"POST", "/", "url=https://example.com/", append([]string{"Sec-Fetch-Site", "cross-site"}, form...), 403, ""},
		{"GET", "/page+", "", nil, 200, "leads to"},
		{"GET", "/none+", "", nil, 404, "no such link"},
		{"GET", "/page", "", nil, 302, ""},
		{"HEAD", "/page", "", nil, 302, ""},
		{"GET", "/api/links/page", "", nil, 200, `"clicks":1}`},
		{"GET", "/api/links/none", "", nil, 404, "no such link"},
		{"GET", "/api/stats", "", nil, 200, `"lookups":`},
		{"GET", "/a/b", "", nil, 404, ""},
		{"DELETE", "/page", "", nil, 405, ""},
		{"POST", "/api/links", "{", nil, 400, "want a JSON object"},
		{"POST", "/api/links", `{"uri": "x"}`, nil, 400, "want a JSON object"},
		{"POST", "/api/links", `{"url": "` + strings.Repeat("a", maxBody) + `"}`, nil, 400, "want a JSON object"},
		{"POST", "/api/links", `{"url": "https://example.com/", "alias": "api"}`, nil, 400, "an alias has"},
		{"POST", "/api/links", `{"url": "https://example.com/", "ttl": "-1h"}`, nil, 400, "a ttl is"},
		{"POST", "/api/links", `{"url": "https://example.com/", "ttl": "1000000h"}`, nil, 400, "a ttl is"},
		{"POST", "/api/links", `{"url": "https://example.com/", "ttl": "1h"}`, nil, 201, `"ends":"2026-01-01T01:00:00Z"`},
	} {
		w := ask(c.method, c.path, c.body, c.header...)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %.60s: %d, want %d with %q:\n%.900s", c.method, c.path, c.body, w.Code, c.status, c.want, w.Body)
		}
	}

	// A client is its address, or what a proxy says that it is.
	for _, c := range []struct {
		remote, header string
		forwarded      bool
		want           string
	}{
		{"192.0.2.1:1234", "203.0.113.1", false, "192.0.2.1"},
		{"192.0.2.1:1234", "203.0.113.1, 203.0.113.2", true, "203.0.113.2"},
		{"192.0.2.1:1234", "", true, "192.0.2.1"},
		{"[2001:db8::1]:1234", "", false, "2001:db8::"},
		{"192.0.2.1:1234", "nobody", true, "invalid IP"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.header != "" {
			r.Header.Set("X-Forwarded-For", c.header)
		}
		s.forwarded = c.forwarded
		if got := s.client(r).String(); got != c.want {
			t.Errorf("client of %+v = %s", c, got)
		}
	}
}

// TestServe serves a directory until it is stopped, and again. The clicks of
// the first time are there the second time.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	var code string
	for i := range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		pr, pw := io.Pipe()
		done := make(chan error, 1)
		go func() {
			err := run(ctx, []string{"-serve", loopback, "-dir", dir, "-base", site + "/"}, pw, io.Discard)
			pw.CloseWithError(errors.Join(err, io.EOF))
			done <- err
		}()
		line := make([]byte, 200)
		n, err := pr.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		base, _, _ := strings.Cut(string(line[:n]), " ")

		// First the link is new, and the second time it is clicked again.
		c := newClient(base)
		r, err := c.post(ctx, "", request{URL: "https://example.com/"})
		if err != nil {
			t.Fatal(err)
		}
		if want := []int{http.StatusCreated, http.StatusOK}[i]; r.status != want || r.Short != site+"/"+r.Code || i > 0 && r.Code != code {
			t.Errorf("link %d: %d, %q, want %d", i, r.status, r.Short, want)
		}
		code = r.Code
		if r, err = c.get(ctx, code); err != nil || r.status != http.StatusFound {
			t.Errorf("follow: %+v, %v", r, err)
		}
		r, err = c.do(ctx, http.MethodGet, "/api/links/"+code, "", nil)
		if err != nil || r.Clicks == nil || *r.Clicks != uint64(i+1) {
			t.Errorf("clicks: %+v, %v, want %d", r, err, i+1)
		}

		c.http.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestInput checks that bad flags are errors of the input, in one line.
func TestInput(t *testing.T) {
	for _, args := range [][]string{
		{"-n", "99"},
		{"-n", "100001"},
		{"-n", "x"},
		{"-bad"},
		{"more"},
		{"-limit", "much"},
		{"-base", "example.com"},
		{"-base", "https://example.com/a"},
		{"-base", "ftp://example.com"},
		{"-serve", "nowhere:-1", "-dir", t.TempDir()},
	} {
		out, err := runProgram(t.Context(), args...)
		if !errors.As(err, new(*inputError)) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v: err = %v and %d bytes of a report, want one line about the input", args, err, len(out))
		}
	}

	var help bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-serve") {
		t.Errorf("-help: %v, and %q", err, &help)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runProgram(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
}
