// SPDX-License-Identifier: MIT

package lsm

import (
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"go.etcd.io/bbolt"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const (
	peb   = "pebble"
	level = "goleveldb"
	bolt  = "bbolt"
)

// memTable is what a store may hold in memory before it writes tables: ours does not write any yet.
const memTable = 256 << 20

func pebbleCommit(durable bool) bench.Impl {
	note := ""
	if !durable {
		note = "its bytes reach the operating system later"
	}
	return commits(peb, note, func(dir string, atEnd func(func())) func(k, v []byte) error {
		db, err := pebble.Open(dir, &pebble.Options{MemTableSize: memTable, Logger: silent{}})
		must(err)
		atEnd(func() { must(db.Close()) })
		o := pebble.NoSync
		if durable {
			o = pebble.Sync
		}
		return func(k, v []byte) error { return db.Set(k, v, o) }
	})
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, _ ...any) {
	panic(format)
}

func levelCommit(durable bool) bench.Impl {
	return commits(level, "", func(dir string, atEnd func(func())) func(k, v []byte) error {
		db, err := leveldb.OpenFile(dir, &opt.Options{WriteBuffer: memTable})
		must(err)
		atEnd(func() { must(db.Close()) })
		o := &opt.WriteOptions{Sync: durable}
		return func(k, v []byte) error { return db.Put(k, v, o) }
	})
}

// boltCommit uses Batch, with which concurrent commits share a sync.
func boltCommit(writers int, durable bool) bench.Impl {
	return commits(bolt, "", func(dir string, atEnd func(func())) func(k, v []byte) error {
		db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{NoSync: !durable})
		must(err)
		atEnd(func() { must(db.Close()) })
		bucket := []byte("b")
		must(db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(bucket)
			return err
		}))
		run := db.Update
		if writers > 1 {
			run = db.Batch
		}
		return func(k, v []byte) error {
			k = append([]byte(nil), k...) // it keeps the slice
			return run(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(k, v) })
		}
	})
}
