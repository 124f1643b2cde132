// SPDX-License-Identifier: MIT

package lru

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
)

var (
	// ErrCorrupt is that ReadFrom was given something other than a snapshot, or a damaged one.
	ErrCorrupt = errors.New("lru: corrupt snapshot")

	// ErrVersion is that ReadFrom was given a snapshot in a format that it does not know.
	ErrVersion = errors.New("lru: unknown version of snapshot")
)

// The layout of format 1; the package comment has the table.
const (
	magic       = "ashlarlr"
	version     = 1
	headerBytes = 24
	frameLen    = 256     // entries in a frame
	maxFrame    = 1 << 30 // bytes in a frame
)

// A frame is a batch of entries, by columns: a slice of gob keeps zeros, which a field does not.
type frame[K comparable, V any] struct {
	Keys       []K
	Values     []V
	Left       []time.Duration // what was left of the TTL; Forever if there was none
	Costs      []int64
	Tags       [][]string
	Priorities []int
	Pinned     []bool
	Uses       []uint64
}

// add appends the entry in slot s of sh at the reading now.
func (f *frame[K, V]) add(sh *shard[K, V], s uint32, now int64, uses uint64) {
	left := int64(never)
	if sh.deadlines.at != nil {
		left = sh.deadlines.at[s]
	}
	if sh.hard != nil {
		left = sh.hard[s]
	}
	if left != never {
		left -= now
	}
	var tags []string
	if sh.tags != nil {
		tags = sh.tags[s]
	}
	f.Keys, f.Values = append(f.Keys, sh.cells[s].key), append(f.Values, sh.cells[s].value)
	f.Left, f.Costs = append(f.Left, time.Duration(left)), append(f.Costs, sh.cost(s))
	f.Tags, f.Priorities = append(f.Tags, tags), append(f.Priorities, sh.meta[s].class()-1)
	f.Pinned, f.Uses = append(f.Pinned, sh.meta[s].flags&pinned != 0), append(f.Uses, uses)
}

// valid reports whether the columns of f are equally long and hold what WriteTo writes.
func (f *frame[K, V]) valid() bool {
	n := len(f.Keys)
	for _, m := range []int{
		len(f.Values), len(f.Left), len(f.Costs), len(f.Tags), len(f.Priorities), len(f.Pinned), len(f.Uses),
	} {
		if m != n {
			return false
		}
	}
	wrong := func(cost int64) bool { return cost < 1 }
	strange := func(p int) bool { return p < -1 || p > 1 }
	return !slices.ContainsFunc(f.Costs, wrong) && !slices.ContainsFunc(f.Priorities, strange)
}

// A sink writes and sums what it has written.
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

// WriteTo writes a snapshot of the entries, the hottest first, with what is left of their TTLs.
// Keys and values are encoded by [encoding/gob], whose rules hold: fields that are not exported are
// lost, and what an interface holds has to be registered; a pointer that is nil is an error. No
// lock is held while it writes; the snapshot is weakly consistent, as All. It returns the number of
// bytes written.
//
// To replace a file safely, write to another one next to it, sync, and rename.
func (c *Cache[K, V]) WriteTo(w io.Writer) (int64, error) {
	c.expireIfTimed()
	k := &sink{w: w, sum: xxhash.New()}
	head := binary.LittleEndian.AppendUint16([]byte(magic), version)
	head = binary.LittleEndian.AppendUint64(append(head, make([]byte, 6)...), uint64(c.clock().UnixNano()))
	err := k.write(head)
	for ranks := range slices.Chunk(c.ranked(), frameLen) {
		if err == nil {
			err = c.writeFrame(k, ranks)
		}
	}
	if err == nil {
		err = k.write(make([]byte, 4))
	}
	if err == nil {
		err = k.write(binary.LittleEndian.AppendUint64(nil, k.sum.Sum64()))
	}
	if err != nil {
		return k.n, fmt.Errorf("lru: WriteTo: %w", err)
	}
	return k.n, nil
}

// writeFrame writes the entries of ranks that are still there.
func (c *Cache[K, V]) writeFrame(k *sink, ranks []rank[K]) error {
	var f frame[K, V]
	for _, r := range ranks {
		h := c.hash(r.key)
		sh, now := c.shardOf(h), c.reading()
		sh.mu.Lock()
		now = sh.advance(now)
		if s := find(&sh.index, sh.cells, uint32(h), r.key); s != 0 && !sh.gone(s, now) {
			f.add(sh, s, now, r.uses)
		}
		sh.mu.Unlock()
	}
	b := bytes.NewBuffer(make([]byte, 4))
	if err := gob.NewEncoder(b).Encode(&f); err != nil {
		return err
	}
	if b.Len()-4 > maxFrame {
		return fmt.Errorf("%d entries take more than %d bytes", len(f.Keys), maxFrame)
	}
	binary.LittleEndian.PutUint32(b.Bytes(), uint32(b.Len()-4))
	return k.write(b.Bytes())
}

// A source reads and sums what it has read.
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

// ReadFrom adds the entries of a snapshot, and returns the number of bytes read, which is all of
// the snapshot and nothing after it. Nothing is evicted: the hottest are taken while there is room,
// and keys that are there keep their values. What expired since the snapshot was written, by the
// wall clock, is left out. On an error, which is [ErrCorrupt] or [ErrVersion] if the bytes are at
// fault, nothing has changed.
//
// A checksum finds damage, not malice: bytes from a stranger cannot make ReadFrom panic or allocate
// much more than their length times what gob takes for an entry, but they decide what the entries are.
func (c *Cache[K, V]) ReadFrom(r io.Reader) (int64, error) {
	k := &source{r: r, sum: xxhash.New()}
	written, raw, err := readFrames(k)
	if err != nil {
		return k.n, err
	}
	var frames []frame[K, V]
	for _, b := range raw {
		var f frame[K, V]
		from := bytes.NewReader(b)
		if err := gob.NewDecoder(from).Decode(&f); err != nil {
			return k.n, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if from.Len() > 0 || !f.valid() {
			return k.n, fmt.Errorf("%w: a frame holds what is not written", ErrCorrupt)
		}
		frames = append(frames, f)
	}
	c.restore(frames, max(c.clock().Sub(written), 0))
	return k.n, nil
}

// readFrames reads a snapshot, checks its sum, and returns when it was written and its frames.
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
	written = time.Unix(0, int64(binary.LittleEndian.Uint64(head[16:])))
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

// restore adds what fits of frames, which were written a time ago. The hottest come last, so
// that they are the newest for policies that go by time.
func (c *Cache[K, V]) restore(frames []frame[K, V], ago time.Duration) {
	var list []request[K, V]
	var uses []uint64
	budget := c.free.Load()
	for i := range frames {
		f := &frames[i]
		for j, key := range f.Keys {
			left := f.Left[j]
			if left != Forever {
				left -= min(ago, Forever-1)
				c.timed.Store(true)
			}
			r := request[K, V]{
				key: key, hash: c.hash(key), value: f.Values[j], cost: f.Costs[j], ttl: left,
				tags: f.Tags[j], attr: &Attr{Priority: f.Priorities[j], Pinned: f.Pinned[j]},
			}
			if c.costOf != nil {
				r.cost = max(c.costOf(key, r.value), 1)
			}
			if left > 0 && r.cost <= budget && isReflexive(key) && !c.Contains(key) {
				budget -= r.cost
				list, uses = append(list, r), append(uses, f.Uses[j])
			}
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		r := &list[i]
		slices.Sort(r.tags)
		r.tags = slices.Compact(r.tags)
		o := c.begin(r.hash)
		if o.find(r.key, r.hash) == 0 && o.covered(r.cost) {
			o.unhide(r.key, r.hash)
			o.store(r, 0)
			o.sh.restore(find(&o.sh.index, o.sh.cells, uint32(r.hash), r.key), uses[i])
		}
		o.end()
	}
}

// restore gives s the popularity that it had.
func (q *queues) restore(s uint32, uses uint64) {
	m := &q.meta[s]
	switch {
	case q.policy == PolicyTinyLFU:
		for range min(uses, 15) {
			q.sketch.add(m.hash)
		}
	case q.policy == PolicyLFU && m.flags&queued != 0 && uses > 1:
		q.classes[m.class()].groups.raise(q.links, s, min(uses, math.MaxInt64))
	}
}
