// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/lsm"
)

// partitions of the topic.
const partitions = 4

// A record is what producers append. N numbers the records of a producer.
type record struct {
	Key   string
	Value string
	N     int
	At    time.Duration
}

// partitionOf returns the partition of a key: records of one key keep their
// order.
func partitionOf(key string) int { return int(xxhash.Sum64String(key) % partitions) }

// regionOf returns the partition of the region of a key: what is in one region
// keeps its order, and stays together.
func regionOf(key string) int {
	region, _, _ := strings.Cut(key, "/")
	return partitionOf(region)
}

// spread returns how many records each partition gets.
func spread(records []record, of func(key string) int) (n [partitions]int) {
	for _, r := range records {
		n[of(r.Key)]++
	}
	return n
}

// produce returns records of some keys, of three regions.
func produce(c *config) []record {
	rng := rand.New(rand.NewPCG(c.seed, 1))
	list := make([]record, c.records)
	for i := range list {
		list[i] = record{
			Key:   fmt.Sprintf("%s/user%02d", []string{"eu", "us", "asia"}[rng.IntN(3)], rng.IntN(20)),
			Value: fmt.Sprint("value ", rng.IntN(1000)),
			N:     i + 1,
			At:    time.Duration(i) * 10 * time.Millisecond,
		}
	}
	return list
}

// A partitionLog is one partition on one disk: a key for each record, in the
// order of offsets.
type partitionLog struct {
	db   *lsm.DB
	p    int
	next int // offset
}

// offsetKey returns the key of an offset.
func offsetKey(p, offset int) []byte { return fmt.Appendf(nil, "log/%02d/%012d", p, offset) }

// openLog returns a partition in a database.
func openLog(db *lsm.DB, p int) (*partitionLog, error) {
	l := &partitionLog{db: db, p: p}
	it := db.Prefix(fmt.Appendf(nil, "log/%02d/", p))
	if it.Last() {
		if _, err := fmt.Sscanf(string(it.Key()[len("log/00/"):]), "%d", &l.next); err != nil {
			return nil, errors.Join(err, it.Close())
		}
		l.next++
	}
	return l, it.Close()
}

// append appends records, all or none.
func (l *partitionLog) append(ctx context.Context, list ...record) error {
	var b lsm.Batch
	for i, r := range list {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		b.Set(offsetKey(l.p, l.next+i), text)
	}
	if err := l.db.Apply(ctx, &b); err != nil {
		return err
	}
	l.next += len(list)
	return nil
}

// A stored record is one with its offset.
type stored struct {
	record
	offset int
	bytes  int
}

// read returns the records from an offset on, at most limit of them; after
// compaction and retention there may be gaps.
func (l *partitionLog) read(from, limit int) (list []stored, err error) {
	it := l.db.Scan(offsetKey(l.p, from), offsetKey(l.p+1, 0))
	for key, text := range it.All() {
		if len(list) == limit {
			break
		}
		s := stored{bytes: len(key) + len(text)}
		if _, err := fmt.Sscanf(string(key[len("log/00/"):]), "%d", &s.offset); err != nil {
			return nil, errors.Join(err, it.Close())
		}
		if err := json.Unmarshal(text, &s.record); err != nil {
			return nil, errors.Join(err, it.Close())
		}
		list = append(list, s)
	}
	return list, it.Close()
}

// checkOrder checks that records of a partition are in the order in which they
// were produced, and belong there.
func checkOrder(p int, list []stored) error {
	for i, s := range list {
		if partitionOf(s.Key) != p {
			return fmt.Errorf("record %d of %s is in partition %d", s.N, s.Key, p)
		}
		if i > 0 && (s.N <= list[i-1].N || s.offset <= list[i-1].offset) {
			return fmt.Errorf("partition %d has record %d at %d after %d at %d", p, s.N, s.offset, list[i-1].N, list[i-1].offset)
		}
	}
	return nil
}

// openMem opens a database on a disk in memory.
func openMem(fs lsm.FS) (*lsm.DB, error) {
	return lsm.Open("stream", &lsm.Options{FS: fs, LogSize: 64 << 10, Memory: 1 << 20})
}
