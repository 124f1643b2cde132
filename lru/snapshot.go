// SPDX-License-Identifier: MIT

package lru

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

// The layout of format 1; the package comment describes it.
const (
	magic       = "ashlarlr"
	version     = 1
	headerBytes = 24
	frameLen    = 256     // entries in a frame, at most
	frameBytes  = 1 << 20 // bytes in a frame, about: frames of larger values have fewer
	maxFrame    = 1 << 30 // bytes in a frame, at most
)

// A frame is some entries, by columns: a slice of gob keeps zeros, which a
// field does not.
type frame[K comparable, V any] struct {
	Keys       []K
	Values     []V
	Left       []time.Duration // the rest of the TTL; Forever if there is none
	Ages       []time.Duration // -1 if it is not known
	Costs      []int
	Tags       [][]string // all of them
	GivenTags  [][]string // those that SetAttr gave
	Priorities []int
	Pinned     []bool
	Given      []uint32 // givenTTL and givenCost
	Uses       []uint64
}

// addLocked appends the entry in slot s of sh at the reading now.
func (f *frame[K, V]) addLocked(sh *shard[K, V], s uint32, now int64, uses uint64) {
	age := time.Duration(-1)
	if sh.born != nil {
		age = time.Duration(now - sh.born[s])
	}
	flags := sh.meta[s].flags
	f.Keys = append(f.Keys, sh.cells[s].key)
	f.Values = append(f.Values, sh.cells[s].value)
	f.Left = append(f.Left, sh.ttlLeftLocked(s, now))
	f.Ages = append(f.Ages, age)
	f.Costs = append(f.Costs, int(sh.cost(s)))
	f.Tags = append(f.Tags, sh.tagsOf(s))
	f.GivenTags = append(f.GivenTags, sh.givenTags[s])
	f.Priorities = append(f.Priorities, sh.meta[s].class()-1)
	f.Pinned = append(f.Pinned, flags&pinned != 0)
	f.Given = append(f.Given, flags&(givenTTL|givenCost))
	f.Uses = append(f.Uses, uses)
}

// isValid reports whether the columns of f are equally long and hold values
// that WriteTo writes.
func (f *frame[K, V]) isValid() bool {
	n := len(f.Keys)
	for _, m := range []int{
		len(f.Values), len(f.Left), len(f.Ages), len(f.Costs), len(f.Tags), len(f.GivenTags),
		len(f.Priorities), len(f.Pinned), len(f.Given), len(f.Uses),
	} {
		if m != n {
			return false
		}
	}

	// Lengths agree: look at the values.
	for i := range n {
		switch {
		case f.Left[i] < 0, f.Ages[i] < -1, f.Costs[i] < 1, f.Priorities[i] < -1, f.Priorities[i] > 1,
			f.Given[i]&^(givenTTL|givenCost) != 0, !isComparable(f.Keys[i]):
			return false
		}
	}
	return true
}

// isComparable reports whether key can be a key: an interface can hold a value
// that cannot.
func isComparable[K comparable](key K) (ok bool) {
	guard(func() { isReflexive(key) }, func(_ any, returned bool) { ok = returned })
	return ok
}

// A sink writes and sums the bytes that it has written.
type sink struct {
	w   io.Writer
	sum *xxhash.Digest
	n   int64
}

func (k *sink) write(b []byte) error {
	n, err := k.w.Write(b)
	k.n += int64(n)
	_, _ = k.sum.Write(b) // never fails
	return err
}

// WriteTo writes a snapshot of the entries, the hottest first, with what is
// left of their TTLs. Keys and values are encoded by [encoding/gob], whose
// rules hold: fields that are not exported are lost, and a value in an
// interface has to be of a registered type; a nil pointer is an error. No lock
// is held while it writes; the snapshot is weakly consistent, as All. It
// returns the number of bytes written.
//
// To replace a file safely, write to another one next to it, sync, and rename.
func (c *Cache[K, V]) WriteTo(w io.Writer) (int64, error) {
	k := &sink{w: w, sum: xxhash.New()}
	if err := c.writeSnapshot(k); err != nil {
		return k.n, fmt.Errorf("lru: WriteTo: %w", err)
	}
	return k.n, nil
}

func (c *Cache[K, V]) writeSnapshot(k *sink) error {
	head := binary.LittleEndian.AppendUint16([]byte(magic), version)
	head = append(head, make([]byte, 6)...)
	head = binary.LittleEndian.AppendUint64(head, uint64(c.wallClock().UnixNano()))
	if err := k.write(head); err != nil {
		return err
	}

	// Frames begin small, and grow while their bytes permit.
	list := c.ranked()
	for n := 1; len(list) > 0; {
		n = min(n, len(list))
		size, err := c.writeFrame(k, list[:n])
		if err != nil {
			return err
		}
		list = list[n:]
		n = max(min(2*n, frameLen, n*frameBytes/size), 1)
	}

	// An empty frame is the last one.
	if err := k.write(make([]byte, 4)); err != nil {
		return err
	}
	return k.write(binary.LittleEndian.AppendUint64(nil, k.sum.Sum64()))
}

// wallClock returns the time of day.
func (c *Cache[K, V]) wallClock() time.Time {
	if c.opts.Now != nil {
		return c.opts.Now()
	}
	return time.Now()
}

// writeFrame writes the entries of list that are still there, and returns the
// number of bytes.
func (c *Cache[K, V]) writeFrame(k *sink, list []ranking[K]) (int, error) {
	var f frame[K, V]
	for _, r := range list {
		h := c.hash(r.key)
		sh := c.shardOf(h)
		now := c.reading()
		sh.mu.Lock()
		now = sh.advanceLocked(now)
		if s := sh.find(uint32(h), r.key); s != 0 && !sh.gone(s, now) {
			f.addLocked(sh, s, now, r.uses)
		}
		sh.mu.Unlock()
	}

	// The length comes before the frame, which has to be made first.
	b := bytes.NewBuffer(make([]byte, 4))
	if err := gob.NewEncoder(b).Encode(&f); err != nil {
		return 0, err
	}
	if b.Len()-4 > maxFrame {
		return 0, fmt.Errorf("%d entries take more than %d bytes", len(f.Keys), maxFrame)
	}
	binary.LittleEndian.PutUint32(b.Bytes(), uint32(b.Len()-4))
	return b.Len(), k.write(b.Bytes())
}

// A source reads and sums the bytes that it has read.
type source struct {
	r   io.Reader
	sum *xxhash.Digest
	n   int64
}

// read returns the next n bytes. It allocates as they arrive: n may be a lie.
func (k *source) read(n int64) ([]byte, error) {
	var b bytes.Buffer
	got, err := io.CopyN(&b, k.r, n)
	k.n += got
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("lru: ReadFrom: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it ends too early: %w", ErrCorrupt, io.ErrUnexpectedEOF)
	}
	_, _ = k.sum.Write(b.Bytes()) // never fails
	return b.Bytes(), nil
}

// ReadFrom adds the entries of a snapshot, and returns the number of bytes
// read, which is all of the snapshot and nothing after it. Nothing is evicted:
// the hottest are taken while there is room, and keys that are there keep their
// values. Entries that have expired since the snapshot was written, by the wall
// clock, are left out. On an error, which is [ErrCorrupt] or [ErrVersion] if
// the bytes are at fault, nothing has changed.
//
// Ages go on. An entry never lives longer than it would have where it was
// written; unless SetTTL, SetAttr or Touch gave it its TTL, nor longer than the
// options of c say. Costs and tags are also those of the options of c, if it
// has any, and the ones that SetAttr gave.
//
// A checksum finds damage, not malice: bytes from a stranger cannot make
// ReadFrom panic or allocate much more than their length times what gob takes
// for an entry, but they decide what the entries are.
func (c *Cache[K, V]) ReadFrom(r io.Reader) (int64, error) {
	k := &source{r: r, sum: xxhash.New()}
	written, raw, err := readFrames(k)
	if err != nil {
		return k.n, err
	}

	// The checksum holds: decode, and look at each value.
	var frames []frame[K, V]
	for _, b := range raw {
		var f frame[K, V]
		from := bytes.NewReader(b)
		if err := gob.NewDecoder(from).Decode(&f); err != nil {
			return k.n, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if from.Len() > 0 || !f.isValid() {
			return k.n, fmt.Errorf("%w: a frame holds what is not written", ErrCorrupt)
		}
		frames = append(frames, f)
	}
	c.restore(frames, max(c.wallClock().Sub(written), 0))
	return k.n, nil
}

// readFrames reads a snapshot, checks its sum, and returns when it was written
// and its frames.
func readFrames(k *source) (written time.Time, frames [][]byte, err error) {
	head, err := k.read(headerBytes)
	if err != nil {
		return written, nil, err
	}
	if string(head[:8]) != magic {
		return written, nil, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, magic)
	}
	if v := binary.LittleEndian.Uint16(head[8:]); v != version {
		return written, nil, fmt.Errorf("%w: %d", ErrVersion, v)
	}
	if reserved := head[10:16]; !bytes.Equal(reserved, make([]byte, 6)) {
		return written, nil, fmt.Errorf("%w: reserved bytes are %x", ErrVersion, reserved)
	}
	written = time.Unix(0, int64(binary.LittleEndian.Uint64(head[16:])))

	// Frames come with their length, which bounds the memory for each.
	for {
		size, err := k.read(4)
		if err != nil {
			return written, nil, err
		}
		n := binary.LittleEndian.Uint32(size)
		if n == 0 {
			break
		}
		if n > maxFrame {
			return written, nil, fmt.Errorf("%w: a frame of %d bytes", ErrCorrupt, n)
		}
		b, err := k.read(int64(n))
		if err != nil {
			return written, nil, err
		}
		frames = append(frames, b)
	}

	want := k.sum.Sum64()
	sum, err := k.read(8)
	if err != nil {
		return written, nil, err
	}
	if binary.LittleEndian.Uint64(sum) != want {
		return written, nil, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	return written, frames, nil
}

// A restored entry is a request, with its age and popularity.
type restored[K comparable, V any] struct {
	request[K, V]
	age  time.Duration
	uses uint64
}

// restore adds the entries of frames for which there is room. The frames were
// written a time ago. The hottest come last, so that they are the newest for
// policies that order by time.
func (c *Cache[K, V]) restore(frames []frame[K, V], ago time.Duration) {
	var list []restored[K, V]
	budget := c.free.Load()
	for i := range frames {
		for j := range frames[i].Keys {
			r := c.restoredEntry(&frames[i], j, ago)
			if r.ttl > 0 && r.cost <= budget && isReflexive(r.key) && !c.Has(r.key) {
				budget -= r.cost
				list = append(list, r)
			}
		}
	}

	// The most used come last, so that they are the newest.
	for i := range slices.Backward(list) {
		r := &list[i]
		if r.ttl != Forever {
			c.timed.Store(true)
		}
		o := c.begin(r.hash)
		if o.findLocked(r.key, r.hash) == 0 && o.coverLocked(r.cost) {
			o.dropHiddenLocked(r.key, r.hash)
			s := o.storeLocked(&r.request, 0)
			o.sh.restoreUses(s, r.uses)
			if o.sh.born != nil {
				o.sh.born[s] = max(saturated(o.now, -int64(r.age)), -maxReading)
			}
		}
		o.end()
	}
}

// restoredEntry returns entry j of f, as the options of c want it.
func (c *Cache[K, V]) restoredEntry(f *frame[K, V], j int, ago time.Duration) (r restored[K, V]) {
	r.key = f.Keys[j]
	r.hash = c.hash(r.key)
	r.attr = &Attr{Priority: f.Priorities[j], Pinned: f.Pinned[j]}
	r.uses = f.Uses[j]
	r.age = time.Duration(saturated(int64(max(f.Ages[j], 0)), int64(ago)))

	// The attributes that the options of c give, and those given before.
	c.fillRequest(&r.request, f.Values[j])
	r.given = f.Given[j]
	r.extra = f.GivenTags[j]
	if c.opts.Tags == nil {
		r.tags = mergedTags(f.Tags[j], nil)
	} else {
		r.tags = mergedTags(r.tags, r.extra)
	}
	if c.opts.Cost == nil || r.given&givenCost != 0 {
		r.cost = int64(f.Costs[j])
	}

	// The shorter of both times, since the value was set.
	left := f.Left[j]
	if left != Forever {
		left -= ago
	}
	switch {
	case r.given&givenTTL != 0 || r.ttl == Forever:
		r.ttl = left
	default:
		r.ttl = min(left, r.ttl-min(r.age, r.ttl))
	}
	return r
}
