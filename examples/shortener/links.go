// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lru"
	"github.com/ashlar-go/ashlar/lsm"
)

// Rows of the database. A link, what finds it, and when it ends are changed in
// one batch.
const (
	keyRow   = "k"  // the key of the permutation
	countRow = "n"  // numbers below this one may have been given
	codeRow  = "c/" // and a code: a link
	urlRow   = "u/" // and a URL: its code, which is no alias
	endRow   = "x/" // and a time of 8 bytes, and a code: when a link ends
	clickRow = "t/" // and a code: a count of clicks
)

// block is how many numbers are reserved at a time, by a write that is on the
// disk before the first of them is given. A crash wastes what is left of it,
// and no number is given twice, whatever became of the links.
const block = 100

// grace is how long the code of a link that has ended is answered by 410, and
// belongs to nobody else.
const grace = 30 * 24 * time.Hour

// falseRate is the rate of errors that the filter is made for.
const falseRate = 0.01

// Errors of a lookup and of a new link.
var (
	errUnknown = errors.New("no such link")
	errGone    = errors.New("this link has ended")
	errTaken   = errors.New("this alias is taken")
)

// A link is where a code leads.
type link struct {
	URL     string `json:"url"`
	Created int64  `json:"created"`         // in seconds since 1970
	Ends    int64  `json:"ends,omitempty"`  // 0: it does not
	Alias   bool   `json:"alias,omitempty"` // somebody has chosen the code
}

// ended reports whether l has ended by now.
func (l link) ended(now time.Time) bool { return l.Ends != 0 && now.Unix() >= l.Ends }

// A wish is a request for a link.
type wish struct {
	url   string // normalized
	alias string // if not empty, the code
	ttl   time.Duration
}

// Links are the links of a database. They are safe for concurrent use.
type Links struct {
	db   *lsm.DB
	now  func() time.Time
	perm *permutation
	hot  *lru.Cache[string, link]

	// Who makes or changes a link holds the lock of its URL, unless it has an
	// alias, and then the lock of its code. Commits are made with both held,
	// those of different links together.
	urls, codes stripes

	filter  sync.RWMutex // protects known
	known   *bloom.Scalable
	asked   atomic.Uint64 // lookups
	refused atomic.Uint64 // of these, codes that the filter does not know
	wrong   atomic.Uint64 // of these, codes that it knows and that do not exist

	numbers  gate // protects next and reserved
	next     uint64
	reserved uint64

	upkeep gate // one at a time: a sweep, or a flush of clicks
	clicks *clicks
	bad    faults
}

// faults are what tests break.
type faults struct {
	twoBatches  bool // a link and what finds it are written apart
	noSync      bool // a link is acknowledged before it is on the disk
	lazyNumbers bool // numbers are given that are not reserved
	emptyFilter bool // the filter is not filled when the database is opened
	keepHot     bool // a link that changes stays in the cache as it was
	takeOver    bool // an alias is given to whoever asks last
}

// options of Links.
type options struct {
	now    func() time.Time
	key    []byte     // of a new database; nil: at random
	policy lru.Policy // and a cache of one shard, if not zero
	hot    int        // links in the cache
	known  int        // codes that the filter is made for; it grows
	bad    faults
}

// openLinks opens those of a database, and makes the filter again.
func openLinks(ctx context.Context, db *lsm.DB, o options) (*Links, error) {
	l := &Links{
		db:      db,
		now:     o.now,
		known:   bloom.NewScalable(o.known, falseRate, nil),
		urls:    newStripes(),
		codes:   newStripes(),
		numbers: newGate(),
		upkeep:  newGate(),
		clicks:  newClicks(),
		bad:     o.bad,
	}
	opts := &lru.Options[string, link]{Load: l.load, Policy: o.policy}
	if o.policy != 0 {
		opts.Shards = 1
	}
	l.hot = lru.New(o.hot, opts)

	// The key and the first number are there before any link.
	key, err := db.Get([]byte(keyRow))
	if errors.Is(err, lsm.ErrNotFound) {
		key = o.key
		if key == nil {
			key = make([]byte, keyLen)
			_, _ = rand.Read(key) // never fails
		}
		err = db.Set([]byte(keyRow), key)
	}
	if err != nil {
		return nil, err
	}
	if l.perm, err = newPermutation(key, codeLen); err != nil {
		return nil, err
	}
	if l.reserved, err = getUint(db, countRow); err != nil {
		return nil, err
	}
	l.next = l.reserved

	it := db.Prefix([]byte(codeRow))
	for k := range it.All() {
		if ctx.Err() != nil {
			break
		}
		if !o.bad.emptyFilter {
			l.known.Add(k[len(codeRow):])
		}
	}
	return l, errors.Join(it.Close(), ctx.Err())
}

// Lookup returns the link of a code.
func (l *Links) Lookup(ctx context.Context, code string) (link, error) {
	l.asked.Add(1)
	if !l.mayKnow(code) {
		l.refused.Add(1)
		return link{}, errUnknown
	}
	v, err := l.hot.Load(ctx, code)
	switch {
	case errors.Is(err, lru.ErrNotFound):
		l.wrong.Add(1)
		return link{}, errUnknown
	case err != nil:
		return link{}, err
	case v.ended(l.now()):
		return link{}, errGone
	}
	return v, nil
}

// mayKnow reports whether there may be a link of the code.
func (l *Links) mayKnow(code string) bool {
	l.filter.RLock()
	defer l.filter.RUnlock()
	return l.known.HasString(code)
}

// load reads a link for the cache.
func (l *Links) load(_ context.Context, code string) (link, error) {
	v, ok, err := l.read(code)
	if err == nil && !ok {
		err = lru.ErrNotFound
	}
	return v, err
}

// read reads a link from the database.
func (l *Links) read(code string) (v link, ok bool, err error) {
	b, err := l.db.Get([]byte(codeRow + code))
	if errors.Is(err, lsm.ErrNotFound) {
		return link{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	return v, err == nil, err
}

// Create makes a link, or finds the one that the URL has. When it returns, the
// link is on the disk. It lasts at least as long as each of those who asked for
// it was told.
func (l *Links) Create(ctx context.Context, w wish) (code string, v link, fresh bool, err error) {
	now := l.now()
	v = link{URL: w.url, Created: now.Unix(), Alias: w.alias != ""}
	if w.ttl > 0 {
		v.Ends = now.Add(w.ttl + time.Second - 1).Unix() // rounded up
	}
	if v.Alias {
		code = w.alias
		v, fresh, err = l.claim(ctx, code, v)
		return code, v, fresh, err
	}

	unlock, err := l.urls.lock(ctx, w.url)
	if err != nil {
		return "", link{}, false, err
	}
	defer unlock()
	b, err := l.db.Get([]byte(urlRow + w.url))
	if errors.Is(err, lsm.ErrNotFound) {
		code, err = l.number(ctx, v)
		return code, v, true, err
	}
	if err != nil {
		return "", link{}, false, err
	}
	code = string(b)
	old, ok, err := l.read(code)
	if err == nil && !ok {
		err = fmt.Errorf("%s has the code %s, which does not exist", w.url, code)
	}
	if err != nil {
		return "", link{}, false, err
	}
	v, err = l.extend(ctx, code, old, v)
	return code, v, false, err
}

// number gives v a code that nobody has. The caller holds the lock of its URL.
func (l *Links) number(ctx context.Context, v link) (string, error) {
	for {
		n, err := l.take(ctx)
		if err != nil {
			return "", err
		}
		code := l.perm.code(n)
		done, err := l.tryNumber(ctx, code, v)
		if done || err != nil {
			return code, err
		}
	}
}

// tryNumber gives v a code, unless that is an alias already.
func (l *Links) tryNumber(ctx context.Context, code string, v link) (done bool, err error) {
	unlock, err := l.codes.lock(ctx, code)
	if err != nil {
		return false, err
	}
	defer unlock()
	if l.mayKnow(code) {
		if _, ok, err := l.read(code); ok || err != nil {
			return false, err
		}
	}
	return true, l.put(ctx, code, link{}, v)
}

// claim gives v a code that somebody has chosen.
func (l *Links) claim(ctx context.Context, code string, v link) (_ link, fresh bool, err error) {
	unlock, err := l.codes.lock(ctx, code)
	if err != nil {
		return link{}, false, err
	}
	defer unlock()
	old, ok, err := l.read(code)
	switch {
	case err != nil:
		return link{}, false, err
	case !ok:
		return v, true, l.put(ctx, code, link{}, v)
	case !l.bad.takeOver && (!old.Alias || old.URL != v.URL):
		return link{}, false, errTaken
	}
	v, err = l.extend(ctx, code, old, v)
	return v, false, err
}

// extend makes old last as long as v, if that is longer.
func (l *Links) extend(ctx context.Context, code string, old, v link) (link, error) {
	if v.URL == old.URL && (old.Ends == 0 || v.Ends != 0 && v.Ends <= old.Ends) {
		return old, nil
	}
	v.Created = old.Created
	if err := l.put(ctx, code, old, v); err != nil {
		return link{}, err
	}
	if !l.bad.keepHot {
		l.hot.Delete(code) // a load that is on its way does not undo that
	}
	return v, nil
}

// put writes v in the place of old. The filter knows the code before anybody
// else does; if the write fails, it is wrong about one code more.
func (l *Links) put(ctx context.Context, code string, old, v link) error {
	l.filter.Lock()
	l.known.AddString(code)
	l.filter.Unlock()

	row, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var b lsm.Batch
	if l.bad.noSync {
		b.SetDurability(lsm.NoSync)
	}
	b.Set([]byte(codeRow+code), row)
	if l.bad.twoBatches {
		if err := l.db.Apply(ctx, &b); err != nil {
			return err
		}
		b.Reset()
	}
	if !v.Alias {
		b.Set([]byte(urlRow+v.URL), []byte(code))
	}
	if old.Ends != 0 {
		b.Delete(endKey(old.Ends, code))
	}
	if v.Ends != 0 {
		b.Set(endKey(v.Ends, code), nil)
	}
	return l.db.Apply(ctx, &b)
}

// endKey is the key of the row that says when a link ends, in order of time.
func endKey(ends int64, code string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(endRow), uint64(ends)), code...)
}

// take returns a number that was never given.
func (l *Links) take(ctx context.Context) (uint64, error) {
	if err := l.numbers.lock(ctx); err != nil {
		return 0, err
	}
	defer l.numbers.unlock()
	if l.next == l.reserved && !l.bad.lazyNumbers {
		var b lsm.Batch
		b.Set([]byte(countRow), binary.BigEndian.AppendUint64(nil, l.reserved+block))
		if err := l.db.Apply(ctx, &b); err != nil {
			return 0, err
		}
		l.reserved += block
	}
	if l.next == l.perm.size {
		return 0, errors.New("all codes are given")
	}
	l.next++
	return l.next - 1, nil
}

// Sweep removes the links that have ended longer than grace ago. Their codes
// are not given again, but for aliases.
func (l *Links) Sweep(ctx context.Context) (n int, err error) {
	if err := l.upkeep.lock(ctx); err != nil {
		return 0, err
	}
	defer l.upkeep.unlock()
	last := l.now().Add(-grace).Unix()
	it := l.db.Scan([]byte(endRow), endKey(last+1, ""))
	defer func() { err = errors.Join(err, it.Close()) }()
	for k := range it.All() {
		ends := int64(binary.BigEndian.Uint64(k[len(endRow):]))
		removed, err := l.remove(ctx, string(k[len(endRow)+8:]), ends)
		if err != nil {
			return n, err
		}
		if removed {
			n++
		}
	}
	return n, nil
}

// remove removes a link, unless it has been made to end later.
func (l *Links) remove(ctx context.Context, code string, ends int64) (bool, error) {
	v, ok, err := l.read(code)
	if !ok || err != nil {
		return false, err
	}
	unlockURL, err := l.urls.lock(ctx, v.URL)
	if err != nil {
		return false, err
	}
	defer unlockURL()
	unlock, err := l.codes.lock(ctx, code)
	if err != nil {
		return false, err
	}
	defer unlock()
	if v, ok, err = l.read(code); !ok || err != nil || v.Ends != ends {
		return false, err
	}

	var b lsm.Batch
	b.Delete([]byte(codeRow + code))
	b.Delete([]byte(clickRow + code))
	b.Delete(endKey(ends, code))
	if !v.Alias {
		b.Delete([]byte(urlRow + v.URL))
	}
	if err := l.db.Apply(ctx, &b); err != nil {
		return false, err
	}
	l.hot.Delete(code)
	l.clicks.drop(code)
	return true, nil
}

// getUint returns the number of a row, or 0.
func getUint(db *lsm.DB, key string) (uint64, error) {
	b, err := db.Get([]byte(key))
	if errors.Is(err, lsm.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("row %q has %d bytes, want 8", key, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}
