// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// A generation is what the store has of one.
type generation struct {
	no       int
	segments []int // their numbers, ascending
}

// generations lists them, ascending.
func generations(ctx context.Context, st store) (list []generation, err error) {
	names, err := listAll(ctx, st, segmentsPrefix)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var g, n int
		if _, err := fmt.Sscanf(name, segmentsPrefix+"%d/%d", &g, &n); err != nil || segmentName(g, n) != name {
			return nil, fmt.Errorf("%s is no segment: %w", name, errDamaged)
		}
		if len(list) == 0 || list[len(list)-1].no != g {
			list = append(list, generation{no: g})
		}
		last := &list[len(list)-1]
		last.segments = append(last.segments, n)
	}
	return list, nil
}

// readSegment returns a segment and the bytes of its operations.
func readSegment(ctx context.Context, st store, generation, number int, f *faults) (h header, data, sum []byte, err error) {
	name := segmentName(generation, number)
	content, sum, err := getAll(ctx, st, name, f)
	if err != nil {
		return h, nil, nil, err
	}
	line, data, _ := bytes.Cut(content, []byte("\n"))
	if err := json.Unmarshal(line, &h); err != nil {
		return h, nil, nil, fmt.Errorf("%s: %w: %w", name, errDamaged, err)
	}
	return h, data, sum, nil
}

// errNoPoint is the error of a time of which nothing is there.
var errNoPoint = errors.New("the store has nothing of that time")

// A disk is what a generation says of files at a point of time.
type disk struct {
	files  map[string][]byte // logs and manifests
	tables map[string]op
	based  bool      // all files that there were are among them
	at     time.Time // of its last operation
	count  int       // of segments that were read

	first header // of segment 0
	last  string // sum of the last segment that was read
	ended bool   // no operation is after the point of time
}

// replay reads a generation up to a point of time.
func replay(ctx context.Context, st store, g generation, at time.Time, f *faults) (*disk, error) {
	d := &disk{files: map[string][]byte{}, tables: map[string]op{}}
	for i, n := range g.segments {
		if n != i {
			return nil, fmt.Errorf("%s is missing: %w", segmentName(g.no, i), errDamaged)
		}
		h, data, sum, err := readSegment(ctx, st, g.no, n, f)
		if err != nil {
			return nil, err
		}

		// A segment names the one before, so that none is missing in between.
		if i == 0 {
			d.first = h
		} else if h.Previous != d.last && !f.noSums {
			return nil, fmt.Errorf("%s does not follow: %w", segmentName(g.no, n), errDamaged)
		}
		d.last = hex.EncodeToString(sum)
		d.count++
		for _, o := range h.Ops {
			if o.At > at.UnixNano() {
				return d, nil
			}
			if data, err = d.apply(o, data); err != nil {
				return nil, fmt.Errorf("%s: %w", segmentName(g.no, n), err)
			}
		}
	}
	d.ended = true
	return d, nil
}

// apply does an operation again. data begins with its bytes, and what follows
// them is returned.
func (d *disk) apply(o op, data []byte) ([]byte, error) {
	d.at = time.Unix(0, o.At)
	switch o.Kind {
	case opBytes:
		if o.Off < 0 || o.Len < 0 || o.Len > int64(len(data)) || o.Off > 1<<31 {
			return nil, fmt.Errorf("%d bytes at %d are not there: %w", o.Len, o.Off, errDamaged)
		}
		b := d.files[o.Name]
		if n := o.Off + o.Len - int64(len(b)); n > 0 {
			b = append(b, make([]byte, n)...)
		}
		copy(b[o.Off:], data[:o.Len])
		d.files[o.Name] = b
		return data[o.Len:], nil
	case opTable:
		d.tables[o.Name] = o
	case opGone:
		delete(d.files, o.Name)
		delete(d.tables, o.Name)
	case opBase:
		d.based = true
	}
	return data, nil
}

// find returns the disk at the last point of time that the store has and that
// is not after at, and its generation: the last one that was complete by then.
func find(ctx context.Context, st store, at time.Time, f *faults) (*disk, generation, error) {
	list, err := generations(ctx, st)
	if err != nil {
		return nil, generation{}, err
	}
	var next header // of the generation after, if there is one
	for i, g := range slices.Backward(list) {
		if i == 0 && g.segments[0] != 0 {
			break // it is being removed
		}
		d, err := replay(ctx, st, g, at, f)
		if err != nil {
			return nil, generation{}, err
		}
		if d.ended && next.Writer == d.first.Writer && next.Previous != d.last {
			return nil, generation{}, fmt.Errorf("the end of generation %d is missing: %w", g.no, errDamaged)
		}
		if d.based || f.anyBase && len(d.files) > 0 {
			return d, g, nil
		}
		next = d.first
	}
	return nil, generation{}, fmt.Errorf("%w: %v", errNoPoint, at)
}

// A restored database.
type restored struct {
	at         time.Time // of the last operation that it has
	generation int
	segments   int // that were read
	tables     int
	bytes      int64 // that were written
}

// restore makes dir, which must be empty, the database as it was at the last
// point that the store has and that is not after at. The manifest is written
// last: what a restore has left that was cut off does not open.
func restore(ctx context.Context, st store, fsys lsm.FS, dir string, at time.Time, f *faults) (*restored, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, err
	}
	if names, err := fsys.List(dir); err != nil || len(names) > 0 {
		return nil, errors.Join(err, fmt.Errorf("%s must be empty, has %d files", dir, len(names)))
	}
	d, g, err := find(ctx, st, at, f)
	if err != nil {
		return nil, err
	}
	r := &restored{at: d.at, generation: g.no, segments: d.count, tables: len(d.tables)}

	// Of manifests that with the highest number counts.
	manifest := ""
	for name := range d.files {
		if kindOf(name) == kindManifest {
			if cmp.Or(cmp.Compare(len(name), len(manifest)), cmp.Compare(name, manifest)) > 0 {
				manifest = name
			}
			continue
		}
		if err := r.write(fsys, filepath.Join(dir, name), bytes.NewReader(d.files[name])); err != nil {
			return nil, err
		}
	}
	for name, o := range d.tables {
		if err := r.fetch(ctx, st, fsys, filepath.Join(dir, name), o, f); err != nil {
			return nil, err
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, err
	}
	if manifest == "" {
		return r, nil // the database was not made yet
	}
	if err := r.write(fsys, filepath.Join(dir, manifest), bytes.NewReader(d.files[manifest])); err != nil {
		return nil, err
	}
	return r, fsys.SyncDir(dir)
}

// fetch writes a table.
func (r *restored) fetch(ctx context.Context, st store, fsys lsm.FS, name string, o op, f *faults) error {
	return retry(ctx, func() error {
		pr, pw := io.Pipe()
		got := make(chan error, 1)
		go func() { // ends with the object, or when write does not read on
			_, err := getSealed(ctx, st, o.Object, pw, f)
			_ = pw.CloseWithError(err) // it returns nil
			got <- err
		}()
		err := r.write(fsys, name, pr)
		_ = pr.Close() // it returns nil
		if err = errors.Join(<-got, err); err != nil {
			return errors.Join(err, fsys.Remove(name))
		}
		return nil
	})
}

// write makes a file.
func (r *restored) write(fsys lsm.FS, name string, content io.Reader) (err error) {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(io.NewOffsetWriter(f, 0), 64<<10)
	n, err := io.Copy(w, content)
	r.bytes += n
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

// prune removes what no point of time from keep on needs, and returns how many
// objects. An archive may ship meanwhile.
//
// The generation that keep is in stays, and all after it. Of those before,
// tables go first that no other names, and then segments in order: after a
// crash in between, a restore of what was not to be kept fails, and prune goes
// on.
func prune(ctx context.Context, st store, keep time.Time, f *faults) (removed int, err error) {
	_, kept, err := find(ctx, st, keep, f)
	if errors.Is(err, errNoPoint) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	list, err := generations(ctx, st)
	if err != nil {
		return 0, err
	}

	// Tables of those that go and of those that stay. A table that no segment
	// names is about to be named.
	var gone []string
	tables := map[string]bool{}
	for _, g := range list {
		for _, n := range g.segments {
			h, _, _, err := readSegment(ctx, st, g.no, n, f)
			if err != nil {
				return 0, err
			}
			for _, o := range h.Ops {
				if o.Kind == opTable && (g.no < kept.no || !f.pruneAll) {
					tables[o.Object] = g.no >= kept.no // ascending: the last one counts
				}
			}
			if g.no < kept.no {
				gone = append(gone, segmentName(g.no, n))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if !tables[name] {
			gone = append([]string{name}, gone...)
		}
	}
	for _, name := range gone {
		if err := retry(ctx, func() error { return st.remove(ctx, name) }); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}
