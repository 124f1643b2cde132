// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// retainTime deletes records that are older than the time since.
func (l *partitionLog) retainTime(ctx context.Context, since time.Duration) (deleted int, err error) {
	return l.drop(ctx, func(s stored, _ int) bool { return s.At < since })
}

// retainSize deletes the first records until the rest has no more than size
// bytes.
func (l *partitionLog) retainSize(ctx context.Context, size int) (deleted int, err error) {
	return l.drop(ctx, func(_ stored, left int) bool { return left > size })
}

// drop deletes records from the front, as long as old says so. left is how many
// bytes there are from the record on.
func (l *partitionLog) drop(ctx context.Context, old func(s stored, left int) bool) (deleted int, err error) {
	list, err := l.read(0, 1<<30)
	if err != nil {
		return 0, err
	}
	left := 0
	for _, s := range list {
		left += s.bytes
	}
	var b lsm.Batch
	for _, s := range list {
		if !old(s, left) {
			break
		}
		b.Delete(offsetKey(l.p, s.offset))
		left -= s.bytes
		deleted++
	}
	return deleted, l.db.Apply(ctx, &b)
}

// compact deletes records whose key has a later one, and those whose value is
// empty, which say that the key is gone. Offsets stay.
func (l *partitionLog) compact(ctx context.Context) (deleted int, err error) {
	list, err := l.read(0, 1<<30)
	if err != nil {
		return 0, err
	}
	last := map[string]int{}
	for _, s := range list {
		last[s.Key] = s.offset
	}
	var b lsm.Batch
	for _, s := range list {
		if s.offset != last[s.Key] || s.Value == "" {
			b.Delete(offsetKey(l.p, s.offset))
			deleted++
		}
	}
	return deleted, l.db.Apply(ctx, &b)
}

// checkCompacted checks that compaction has left what it must.
func checkCompacted(before, after []stored) error {
	last := map[string]stored{}
	for _, s := range before {
		last[s.Key] = s
		if s.Value == "" {
			delete(last, s.Key)
		}
	}
	for _, s := range after {
		if want, ok := last[s.Key]; !ok || s != want {
			return fmt.Errorf("compaction leaves %+v of %s, want %+v", s, s.Key, want)
		}
	}
	if len(after) != len(last) {
		return fmt.Errorf("compaction leaves %d records of %d keys", len(after), len(last))
	}
	return nil
}

// reportRetention compacts one topic, and bounds another by time and size.
func reportRetention(ctx context.Context, c *config, w io.Writer) (err error) {
	records := produce(c)
	fmt.Fprintf(w, "%d records of %d keys\n", len(records), keysOf(records))
	end := records[len(records)-1].At
	for _, r := range []struct {
		name string
		do   func(l *partitionLog) (int, error)
	}{
		{"retention by time, the last half", func(l *partitionLog) (int, error) { return l.retainTime(ctx, end/2) }},
		{"retention by size, 8 KiB a partition", func(l *partitionLog) (int, error) { return l.retainSize(ctx, 8<<10) }},
		{"compaction, the last of each key", func(l *partitionLog) (int, error) { return l.compact(ctx) }},
	} {
		deleted, left, err := retain(ctx, records, r.do)
		if err != nil {
			return err
		}
		if deleted+left != len(records) {
			return fmt.Errorf("%s: %d deleted and %d left of %d", r.name, deleted, left, len(records))
		}
		fmt.Fprintf(w, "  %-38s leaves %d\n", r.name+":", left)
	}
	_, err = fmt.Fprint(w, "law holds: compaction keeps the last record of each key, at its offset;\n           what is left is in order\n")
	return err
}

func keysOf(records []record) int {
	keys := map[string]bool{}
	for _, r := range records {
		keys[r.Key] = true
	}
	return len(keys)
}

// retain fills a topic, and deletes from each of its partitions.
func retain(ctx context.Context, records []record, do func(l *partitionLog) (int, error)) (deleted, left int, err error) {
	db, logs, err := topic()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, r := range records {
		if err := logs[partitionOf(r.Key)].append(ctx, r); err != nil {
			return 0, 0, err
		}
	}

	for p, l := range logs {
		before, err := l.read(0, 1<<30)
		if err != nil {
			return 0, 0, err
		}
		n, err := do(l)
		if err != nil {
			return 0, 0, err
		}
		after, err := l.read(0, 1<<30)
		if err == nil {
			err = errors.Join(checkOrder(p, after), checkKept(before, after, n))
		}
		if err != nil {
			return 0, 0, err
		}
		deleted += n
		left += len(after)
	}
	return deleted, left, nil
}

// checkKept checks that what is left is a tail of what was there, or what
// compaction leaves.
func checkKept(before, after []stored, deleted int) error {
	tail := len(before)-deleted == len(after)
	for i, s := range after {
		tail = tail && s == before[deleted+i]
	}
	if tail {
		return nil
	}
	return checkCompacted(before, after)
}
