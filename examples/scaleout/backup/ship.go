// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// What a store has:
//
//	tables/000002-91b0c5aa01020304.sst   a table: its number and nonce
//	segments/00000003/00000000           segment 0 of generation 3
//
// A segment is one line of JSON, a header, and the bytes of its operations. A
// generation begins with all files that there were, so that it needs none
// before, but for tables: each is there once, for all generations.
const (
	tablesPrefix   = "tables/"
	segmentsPrefix = "segments/"
)

func segmentName(generation, number int) string {
	return fmt.Sprintf("%s%08d/%08d", segmentsPrefix, generation, number)
}

// A header begins a segment.
type header struct {
	Generation, Number int
	Previous           string // sum of the last segment of this writer, in hex
	Writer             uint64 // a number that each archive draws
	Ops                []op
}

// A shipper is the goroutine of an archive.
type shipper struct {
	*archive
	tables map[string]bool // that the store has
	head   header          // of the next segment
}

// ship ships what is written down until ctx ends, or until that makes no sense
// any more.
func (a *archive) ship(ctx context.Context) {
	defer close(a.done)
	s := &shipper{archive: a, head: header{Generation: 0, Writer: rand.Uint64()}}
	err := s.begin(ctx)
	for err == nil {
		var ops []op
		if ops, err = s.take(ctx); err == nil {
			err = s.send(ctx, ops)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = err
	a.wakeLocked()
}

// begin finds out what the store has.
func (s *shipper) begin(ctx context.Context) error {
	return s.again(ctx, func() error {
		tables, err := s.st.list(ctx, tablesPrefix)
		if err != nil {
			return err
		}
		s.tables = map[string]bool{}
		for _, name := range tables {
			s.tables[name] = true
		}
		list, err := generations(ctx, s.st)
		if err == nil && len(list) > 0 {
			s.head.Generation = list[len(list)-1].no
		}
		return err
	})
}

// again calls f until it succeeds, or ctx ends.
func (s *shipper) again(ctx context.Context, f func() error) error {
	pause := firstPause
	for {
		err := f()
		if err == nil || errors.Is(err, errFatal) {
			return err
		}
		s.mu.Lock()
		s.stats.Failures++
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, mostPause)
	}
}

// errFatal is the error of a store or disk that will not get better.
var errFatal = errors.New("nothing is shipped any more")

// take returns the operations of the next segment, and waits for one.
func (s *shipper) take(ctx context.Context) ([]op, error) {
	for {
		s.mu.Lock()
		n := 0
		for size := int64(0); n < len(s.queue) && size < s.opts.segment; n++ {
			if s.queue[n].Kind == opBegin && n > 0 {
				break
			}
			if s.queue[n].Kind == opBytes {
				size += s.queue[n].Len
			}
		}
		ops := slices.Clone(s.queue[:n])
		changed := s.changed
		s.mu.Unlock()
		if n > 0 {
			return ops, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// send ships a segment: first the tables that it names, then the segment, and
// only then files go from the disk that it says have gone.
func (s *shipper) send(ctx context.Context, ops []op) error {
	if ops[0].Kind == opBegin {
		s.head.Generation++
		s.head.Number = 0
	}
	s.head.Ops = slices.Clone(ops)
	if err := s.nameTables(); err != nil {
		return err
	}
	steps := []func(context.Context) error{s.sendTables, s.sendSegment}
	if s.f.tablesLate {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, o := range ops {
		if o.Kind == opGone {
			_ = s.FS.Remove(filepath.Join(s.dir, o.Name)) // one that stays is removed by the next Open
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append([]op(nil), s.queue[len(ops):]...)
	s.shipped += int64(len(ops))
	s.stats.Segments++
	if s.head.Number == 0 {
		s.stats.Generations++
	}
	s.head.Number++
	s.wakeLocked()
	return nil
}

// sendSegment ships the segment of s.head.
func (s *shipper) sendSegment(ctx context.Context) error {
	var data []byte
	for _, o := range s.head.Ops {
		if o.Kind != opBytes || o.Len == 0 {
			continue
		}
		b, err := s.read(o)
		if err != nil {
			return fmt.Errorf("%w: %w", errFatal, err)
		}
		data = append(data, b...)
	}

	// The generation may change, if another has begun one of that number.
	return s.again(ctx, func() error {
		line, err := json.Marshal(s.head)
		if err != nil {
			return fmt.Errorf("%w: %w", errFatal, err)
		}
		content := slices.Concat(line, []byte("\n"), data)
		name := segmentName(s.head.Generation, s.head.Number)
		sum, err := putSealed(ctx, s.st, name, int64(len(content)), func() io.Reader { return bytes.NewReader(content) })
		if errors.Is(err, fs.ErrExist) {
			sum, err = s.taken(ctx, name, content)
		}
		if err != nil {
			return err
		}
		s.head.Previous = hex.EncodeToString(sum)
		s.mu.Lock()
		s.stats.SegmentBytes += int64(len(content))
		s.mu.Unlock()
		return nil
	})
}

// taken looks at a segment that is there: it is ours if the answer to an
// earlier request got lost.
func (s *shipper) taken(ctx context.Context, name string, content []byte) ([]byte, error) {
	var buf bytes.Buffer
	sum, err := getSealed(ctx, s.st, name, &buf, s.f)
	switch {
	case err != nil:
		return nil, err
	case bytes.Equal(buf.Bytes(), content):
		return sum, nil
	case s.head.Number == 0: // another has begun this generation
		s.head.Generation++
		return nil, fs.ErrExist
	}
	return nil, fmt.Errorf("%w: another ships to %s", errFatal, name)
}

// read returns the bytes of an operation. Bytes that were cut off since then
// were free space.
func (a *archive) read(o op) ([]byte, error) {
	f, err := a.FS.Open(filepath.Join(a.dir, o.Name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, o.Len)
	n, err := f.ReadAt(b, o.Off)
	if errors.Is(err, io.EOF) {
		clear(b[n:])
		err = nil
	}
	return b, err
}

// nameTables gives the tables of s.head the names of their objects: the nonce
// of a table is in its footer, and no other has the same.
func (s *shipper) nameTables() error {
	for i := range s.head.Ops {
		o := &s.head.Ops[i]
		if o.Kind != opTable {
			continue
		}
		footer, err := s.read(op{Name: o.Name, Off: o.Len - footerLen, Len: footerLen})
		if err != nil {
			return fmt.Errorf("%w: %w", errFatal, err)
		}
		nonce := binary.LittleEndian.Uint64(footer[nonceAt:])
		o.Object = fmt.Sprintf("%s%s-%016x.sst", tablesPrefix, strings.TrimSuffix(o.Name, ".sst"), nonce)
	}
	return nil
}

// sendTables ships the tables of s.head that the store has not.
func (s *shipper) sendTables(ctx context.Context) error {
	for _, o := range s.head.Ops {
		if o.Kind != opTable || s.tables[o.Object] {
			continue
		}
		f, err := s.FS.Open(filepath.Join(s.dir, o.Name))
		if err != nil {
			return fmt.Errorf("%w: %w", errFatal, err)
		}
		err = s.sendTable(ctx, o.Object, f, o.Len)
		_ = f.Close() // it was only read
		if err != nil {
			return err
		}
		s.tables[o.Object] = true
	}
	return nil
}

func (s *shipper) sendTable(ctx context.Context, name string, f lsm.File, size int64) error {
	return s.again(ctx, func() error {
		_, err := putSealed(ctx, s.st, name, size, func() io.Reader { return io.NewSectionReader(f, 0, size) })
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.Tables++
		s.stats.TableBytes += size
		return nil
	})
}

// flush waits until the store has all that was durable when it was called.
func (a *archive) flush(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for target := a.counted; a.shipped < target; {
		if a.failed != nil {
			return a.failed
		}
		changed := a.changed
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			a.mu.Lock()
			return ctx.Err()
		case <-changed:
		}
		a.mu.Lock()
	}
	return nil
}

// behind returns since when something waits to be shipped: what would be lost
// now. It is 0 if nothing does.
func (a *archive) behind() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return 0
	}
	return a.opts.now().Sub(time.Unix(0, a.queue[0].At))
}

// close ends the archive at once. What was not shipped stays on the disk, for
// the next one.
func (a *archive) close() stats {
	a.stop()
	<-a.done
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}
