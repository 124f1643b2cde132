// SPDX-License-Identifier: MIT

package lsm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// A peerScript is what a test of another database does and finds, in steps
// that are separated by semicolons or lines:
//
//	set KEY VALUE, del KEY           a commit
//	batch KEY=VALUE -KEY …           a commit of several operations
//	fill KEY N VALUE, unfill KEY N   a commit of N keys, with a number for # in KEY
//	flush, compact [LO [HI]]         the methods of DB
//	reopen, kill                     Close or a loss of power, then Open
//	snap NAME, drop NAME             begin and end of a snapshot
//	get [@NAME] KEY VALUE            what the database has, or a snapshot
//	all [@NAME] KEY=VALUE …          all that it has, in both directions
//	count N                          how many keys there are
//	versions KEY N                   how often tables have a key
//	iter [@NAME] [LO [HI]]           begins an iterator in place of the last one
//	first, last, next, prev WANT     moves it: WANT is KEY=VALUE or none
//	ge KEY WANT, lt KEY WANT         seeks
//	times N STEP                     a step several times
//
// In a word, x*9 stands for nine x, two quotes for nothing, and + joins parts.
type peerScript struct {
	name  string // of the peer, and of its test
	steps string
}

// peerModes are what follows each commit of a script. The answers do not
// depend on it.
var peerModes = []struct {
	name  string
	lim   limits
	after func(*peerRun)
}{
	{"in memory", limits{}, nil},
	{"in a table each", limits{}, func(r *peerRun) { r.flush(nil) }},
	{"merged", limits{}, func(r *peerRun) { r.compact(nil) }},
	{"merged in the background", limits{trigger: 2, base: 100}, func(r *peerRun) { r.flush(nil) }},
	{"reopened", limits{closing: 1}, func(r *peerRun) { r.reopen(nil) }},
	{"after a loss of power", limits{}, func(r *peerRun) { r.kill(nil) }},
}

// TestPeerScripts runs what others test their databases with.
func TestPeerScripts(t *testing.T) {
	for _, s := range peerScripts {
		for _, mode := range peerModes {
			lim := mode.lim
			lim.versions = 1 << 20
			lim.edits = 500
			lim.table = 300
			r := &peerRun{t: t, what: s.name + ", " + mode.name, lim: checkedLimits(t, lim), m: NewMemFS(), after: mode.after}
			r.run(s.steps)
		}
	}
}

// A peerRun runs a script.
type peerRun struct {
	t     *testing.T
	what  string
	m     *MemFS
	lim   limits
	after func(*peerRun) // if not nil, called after each commit
	db    *DB
	snaps map[string]*Snapshot
	it    *Iterator
}

func (r *peerRun) run(steps string) {
	r.t.Helper()
	r.snaps = map[string]*Snapshot{}
	r.open()
	for _, step := range strings.FieldsFunc(steps, func(c rune) bool { return c == ';' || c == '\n' }) {
		if words := strings.Fields(step); len(words) > 0 {
			r.step(words)
		}
	}

	// What is left is closed, and right.
	r.iter(nil)
	must(r.t, r.it.Close(), r.db.Verify(r.t.Context()))
	for _, s := range r.snaps {
		must(r.t, s.Close())
	}
	closeDB(r.t, r.db)
	must(r.t, r.m.leaks())
}

func (r *peerRun) step(words []string) {
	r.t.Helper()
	do := map[string]func([]string){
		"set": r.set, "del": r.del, "batch": r.batch, "fill": r.fill, "unfill": r.unfill,
		"flush": r.flush, "compact": r.compact, "reopen": r.reopen, "kill": r.kill, "snap": r.snap, "drop": r.drop,
		"get": r.get, "all": r.all, "count": r.count, "versions": r.versions, "iter": r.iter, "times": r.times,
	}[words[0]]
	m, isMove := map[string]move{
		"first": moveFirst, "last": moveLast, "next": moveNext, "prev": movePrev, "ge": moveGE, "lt": moveLT,
	}[words[0]]

	switch {
	case do != nil:
		do(words[1:])
	case isMove && len(words) == 2:
		r.same(words, doMove(r.it, m, ""), pair(words[1]))
	case isMove && len(words) == 3:
		r.same(words, doMove(r.it, m, word(words[1])), pair(words[2]))
	default:
		r.t.Fatalf("%s: no step %q", r.what, words)
	}
}

// same checks what a step has found.
func (r *peerRun) same(step []string, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: %.60q: got %.60q, want %.60q", r.what, step, got, want)
	}
}

// word returns what a word of a script stands for.
func word(s string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(s, "+") {
		text, count, ok := strings.Cut(part, "*")
		n, err := strconv.Atoi(count)
		if !ok || err != nil {
			text = strings.Trim(part, "'")
			n = 1
		}
		b.WriteString(strings.Repeat(text, n))
	}
	return b.String()
}

// pair returns what a pair of words stands for.
func pair(s string) string {
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return s
	}
	return word(key) + "=" + word(value)
}

func (r *peerRun) open() {
	r.t.Helper()
	db, err := openWith("db", &Options{FS: r.m, LogSize: minLogSize}, rand.Uint64, r.lim)
	must(r.t, err)
	r.db = db
}

// commit commits b, and does what the mode says. A database with open readers
// is not closed.
func (r *peerRun) commit(b *Batch) {
	r.t.Helper()
	must(r.t, r.db.Apply(context.Background(), b))
	if r.after != nil {
		r.after(r)
	}
}

func (r *peerRun) set(args []string) { r.batch([]string{args[0] + "=" + args[1]}) }
func (r *peerRun) del(args []string) { r.batch([]string{"-" + args[0]}) }

func (r *peerRun) batch(args []string) {
	r.t.Helper()
	b := new(Batch)
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if ok {
			b.Set([]byte(word(key)), []byte(word(value)))
		} else {
			b.Delete([]byte(word(strings.TrimPrefix(key, "-"))))
		}
	}
	r.commit(b)
}

func (r *peerRun) fill(args []string) {
	r.t.Helper()
	b := new(Batch)
	for i := range r.number(args[1]) {
		b.Set([]byte(numbered(args[0], i)), []byte(word(args[2])))
	}
	r.commit(b)
}

func (r *peerRun) unfill(args []string) {
	r.t.Helper()
	b := new(Batch)
	for i := range r.number(args[1]) {
		b.Delete([]byte(numbered(args[0], i)))
	}
	r.commit(b)
}

func (r *peerRun) number(s string) int {
	r.t.Helper()
	n, err := strconv.Atoi(s)
	must(r.t, err)
	return n
}

// numbered returns the key with a number.
func numbered(key string, i int) string {
	return strings.ReplaceAll(word(key), "#", strconv.Itoa(i))
}

func (r *peerRun) flush([]string) { must(r.t, r.db.Flush(r.t.Context())) }

func (r *peerRun) compact(args []string) {
	r.t.Helper()
	lo, hi := bounds(args)
	must(r.t, r.db.Compact(r.t.Context(), lo, hi))
}

// bounds returns the bounds that words say.
func bounds(args []string) (lo, hi []byte) {
	if len(args) > 0 {
		lo = []byte(word(args[0]))
	}
	if len(args) > 1 {
		hi = []byte(word(args[1]))
	}
	return lo, hi
}

func (r *peerRun) reopen([]string) {
	r.t.Helper()
	if r.it == nil && len(r.snaps) == 0 {
		closeDB(r.t, r.db)
		r.open()
	}
}

func (r *peerRun) kill([]string) {
	r.t.Helper()
	if r.it == nil && len(r.snaps) == 0 {
		lost := r.m.CrashClone(CrashConfig{})
		closeDB(r.t, r.db)
		r.m = lost
		r.open()
	}
}

func (r *peerRun) snap(args []string) { r.snaps[args[0]] = r.db.Snapshot() }

func (r *peerRun) drop(args []string) {
	r.t.Helper()
	must(r.t, r.snaps[args[0]].Close())
	delete(r.snaps, args[0])
}

// reader returns how to read from what the words name, and the other words.
func (r *peerRun) reader(args []string) (get func([]byte) ([]byte, error), scan func(lo, hi []byte) *Iterator, rest []string) {
	if len(args) > 0 && strings.HasPrefix(args[0], "@") {
		s := r.snaps[args[0][1:]]
		return s.Get, s.Scan, args[1:]
	}
	return r.db.Get, r.db.Scan, args
}

func (r *peerRun) get(args []string) {
	r.t.Helper()
	get, _, rest := r.reader(args)
	value, err := get([]byte(word(rest[0])))
	got := string(value)
	if errors.Is(err, ErrNotFound) {
		err = nil
		got = "none"
	}
	must(r.t, err)
	r.same(args, got, word(rest[1]))
}

func (r *peerRun) all(args []string) {
	r.t.Helper()
	_, scan, rest := r.reader(args)
	model := map[string]string{}
	for _, arg := range rest {
		key, value, _ := strings.Cut(arg, "=")
		model[word(key)] = word(value)
	}
	wantScan(r.t, r.what, scan, model, nil, nil)
}

func (r *peerRun) count(args []string) {
	r.t.Helper()
	for _, back := range []bool{false, true} {
		found, err := collect(r.db.Scan(nil, nil), back)
		must(r.t, err)
		r.same(args, fmt.Sprint(len(found)), args[0])
	}
}

func (r *peerRun) versions(args []string) {
	r.t.Helper()
	n := 0
	key := []byte(word(args[0]))
	for _, tables := range r.db.state.Load().tables.levels {
		for _, table := range tables {
			c := levelCursor{tables: []*dbTable{table}, seq: maxSeq, raw: true}
			for c.seekGE(key); c.ok && string(c.key) == string(key); c.next() {
				n++
			}
			must(r.t, c.err)
		}
	}
	r.same(args, fmt.Sprint(n), args[1])
}

func (r *peerRun) iter(args []string) {
	r.t.Helper()
	if r.it != nil {
		must(r.t, r.it.Close())
	}
	_, scan, rest := r.reader(args)
	r.it = scan(bounds(rest))
}

func (r *peerRun) times(args []string) {
	r.t.Helper()
	for range r.number(args[0]) {
		r.step(args[1:])
	}
}
