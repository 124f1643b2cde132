// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm"
)

// A semantics is when a consumer notes how far it has come.
type semantics int

const (
	atMostOnce  semantics = iota // before it processes a record
	atLeastOnce                  // after that
	effectively                  // in one batch with the effect
)

func (s semantics) String() string {
	return [...]string{"at most once", "at least once", "effectively once"}[s]
}

// A consumer processes records of a partition, and has its offset and effects
// in a database of its own.
type consumer struct {
	db  *lsm.DB
	how semantics
}

// offset returns the offset of the next record.
func (c *consumer) offset() (int, error) { return c.number("offset") }

// number returns what is stored under key, 0 if nothing is.
func (c *consumer) number(key string) (int, error) {
	v, err := c.db.Get([]byte(key))
	if errors.Is(err, lsm.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(v))
}

// effect is what processing a record does: it counts.
func (c *consumer) effect(b *lsm.Batch, r record) error {
	key := fmt.Sprintf("effect/%06d", r.N)
	n, err := c.number(key)
	b.Set([]byte(key), []byte(strconv.Itoa(n+1)))
	return err
}

// process processes one record.
func (c *consumer) process(ctx context.Context, s stored) error {
	var effect, offset lsm.Batch
	if err := c.effect(&effect, s.record); err != nil {
		return err
	}
	next := []byte(strconv.Itoa(s.offset + 1))
	offset.Set([]byte("offset"), next)
	first, second := &effect, &offset
	switch c.how {
	case effectively:
		effect.Set([]byte("offset"), next)
		return c.db.Apply(ctx, &effect)
	case atMostOnce:
		first, second = &offset, &effect
	}
	if err := c.db.Apply(ctx, first); err != nil {
		return err
	}
	return c.db.Apply(ctx, second)
}

// consume processes all records from where the consumer on a disk has stopped.
func consume(ctx context.Context, fs lsm.FS, how semantics, list []stored) (err error) {
	db, err := lsm.Open("consumer", &lsm.Options{FS: fs, LogSize: 4 << 10, Memory: 1 << 20})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c := &consumer{db, how}
	from, err := c.offset()
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.offset < from {
			continue
		}
		if err := c.process(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// count returns how many records had no effect, and how many had it again.
func count(fs lsm.FS, list []stored) (lost, twice int, err error) {
	db, err := lsm.Open("consumer", &lsm.Options{FS: fs})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c := &consumer{db: db}
	for _, s := range list {
		n, err := c.number(fmt.Sprintf("effect/%06d", s.N))
		switch {
		case err != nil:
			return 0, 0, err
		case n == 0:
			lost++
		default:
			twice += n - 1
		}
	}
	return lost, twice, nil
}

// crashAt cuts the power of a consumer before operation n of its disk, and lets
// it go on with what was durable. It reports whether there was such an
// operation.
func crashAt(ctx context.Context, n int64, how semantics, list []stored) (lost, twice int, happened bool, err error) {
	fs := lsm.NewMemFS()
	var cut atomic.Bool
	alive, die := context.WithCancel(ctx)
	defer die()
	fs.Inject(func(op lsm.FSOp) error {
		if op.N < n {
			return nil
		}
		cut.Store(true)
		die() // nobody waits for a disk that may come back
		return errors.New("the power is cut")
	})
	if err := consume(alive, fs, how, list); !cut.Load() {
		return 0, 0, false, err
	}
	fs = fs.CrashClone(lsm.CrashConfig{Keep: 0.5, Seed: uint64(n)})
	if err := consume(ctx, fs, how, list); err != nil {
		return 0, 0, true, err
	}
	lost, twice, err = count(fs, list)
	return lost, twice, true, err
}

// A toll is what crashes have cost a consumer, over all of them.
type toll struct{ lost, twice int }

// enumerate cuts the power before each operation of the disk in turn.
func enumerate(ctx context.Context, how semantics, list []stored) (t toll, points int64, err error) {
	for n := int64(1); ; n++ {
		lost, twice, happened, err := crashAt(ctx, n, how, list)
		if err != nil {
			return t, n, fmt.Errorf("%v, power cut before operation %d: %w", how, n, err)
		}
		if !happened {
			return t, n - 1, ctx.Err()
		}
		t.lost += lost
		t.twice += twice
		if lost > 1 || twice > 1 {
			return t, n, fmt.Errorf("%v, power cut before operation %d: %d records lost, %d twice", how, n, lost, twice)
		}
	}
}

// check checks that a semantics is what it is called.
func (t toll) check(how semantics) error {
	if how != atMostOnce && t.lost > 0 || how != atLeastOnce && t.twice > 0 {
		return fmt.Errorf("%v: %d records lost, %d twice", how, t.lost, t.twice)
	}
	if how == atMostOnce && t.lost == 0 || how == atLeastOnce && t.twice == 0 {
		return fmt.Errorf("%v: no crash cost anything", how)
	}
	return nil
}

// someRecords returns records of one partition, with offsets.
func someRecords(n int) []stored {
	var list []stored
	for i := range n {
		list = append(list, stored{record: record{N: i + 1}, offset: i})
	}
	return list
}

// reportSemantics processes a few records with every crash.
func reportSemantics(ctx context.Context, _ *config, w io.Writer) error {
	list := someRecords(8)
	fmt.Fprintf(w, "a consumer of %d records loses power before each operation of its disk in turn\n", len(list))
	for _, how := range []semantics{atMostOnce, atLeastOnce, effectively} {
		t, _, err := enumerate(ctx, how, list)
		if err == nil {
			err = t.check(how)
		}
		if err != nil {
			return err
		}
		yes := func(n int) string {
			if n > 0 {
				return "some crashes"
			}
			return "no crash"
		}
		fmt.Fprintf(w, "  %-18s%13s loses a record,%13s does one twice\n", how.String()+":", yes(t.lost), yes(t.twice))
	}
	_, err := fmt.Fprint(w, "law holds: no crash costs more than one, and effectively once nothing\n\n")
	return err
}
