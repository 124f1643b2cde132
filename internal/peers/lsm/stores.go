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

// memTable is how much a store may hold in memory before it writes tables.
const memTable = 256 << 20

func openPebble(dir string, atEnd func(func())) *pebble.DB {
	db, err := pebble.Open(dir, &pebble.Options{MemTableSize: memTable, Logger: silent{}})
	must(err)
	atEnd(func() { must(db.Close()) })
	return db
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, _ ...any) {
	panic(format)
}

func pebbleCommit(durable bool) bench.Impl {
	note := ""
	if !durable {
		note = "its bytes reach the operating system later"
	}
	impl := commits(peb, note, func(dir string, atEnd func(func())) func(k, v []byte) error {
		db := openPebble(dir, atEnd)
		o := pebble.NoSync
		if durable {
			o = pebble.Sync
		}
		return func(k, v []byte) error { return db.Set(k, v, o) }
	})
	impl.Beside = "a goroutine that writes and syncs the log; flushes and compactions"
	return impl
}

func pebbleGet() bench.Impl {
	return reads(peb, "a value and what closes it", func(dir string, atEnd func(func())) (set, get) {
		db := openPebble(dir, atEnd)
		put := func(k, v []byte) error { return db.Set(k, v, pebble.NoSync) }
		return put, func(dst, k []byte) ([]byte, error) {
			v, closer, err := db.Get(k)
			if err != nil {
				return nil, err
			}
			dst = append(dst, v...)
			return dst, closer.Close()
		}
	})
}

func openLevel(dir string, atEnd func(func())) *leveldb.DB {
	db, err := leveldb.OpenFile(dir, &opt.Options{WriteBuffer: memTable})
	must(err)
	atEnd(func() { must(db.Close()) })
	return db
}

func levelCommit(durable bool) bench.Impl {
	impl := commits(level, "", func(dir string, atEnd func(func())) func(k, v []byte) error {
		db := openLevel(dir, atEnd)
		o := &opt.WriteOptions{Sync: durable}
		return func(k, v []byte) error { return db.Put(k, v, o) }
	})
	impl.Beside = "flushes and compactions"
	return impl
}

func levelGet() bench.Impl {
	return reads(level, "it returns a copy of its own", func(dir string, atEnd func(func())) (set, get) {
		db := openLevel(dir, atEnd)
		put := func(k, v []byte) error { return db.Put(k, v, nil) }
		return put, func(dst, k []byte) ([]byte, error) {
			v, err := db.Get(k, nil)
			return append(dst, v...), err
		}
	})
}

var bucket = []byte("b")

func openBolt(dir string, durable bool, atEnd func(func())) *bbolt.DB {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{NoSync: !durable})
	must(err)
	atEnd(func() { must(db.Close()) })
	must(db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	}))
	return db
}

// boltCommit uses Batch, with which concurrent commits share a sync. A batch
// goes as soon as all writers are in it.
func boltCommit(writers int, durable bool) bench.Impl {
	impl := commits(bolt, "", func(dir string, atEnd func(func())) func(k, v []byte) error {
		db := openBolt(dir, durable, atEnd)
		db.MaxBatchSize = writers
		run := db.Update
		if writers > 1 {
			run = db.Batch
		}
		return func(k, v []byte) error {
			k = append([]byte(nil), k...) // it keeps the slice
			return run(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(k, v) })
		}
	})
	if writers > 1 {
		impl.Beside = "a goroutine and a timer for each batch"
	}
	return impl
}

func boltGet() bench.Impl {
	return reads(bolt, "a transaction for each read", func(dir string, atEnd func(func())) (set, get) {
		db := openBolt(dir, false, atEnd)
		tx, err := db.Begin(true) // one for all keys: a commit copies pages
		must(err)
		b := tx.Bucket(bucket)
		n := 0
		put := func(k, v []byte) error {
			err := b.Put(append([]byte(nil), k...), v)
			if n++; err != nil || n < storedKeys {
				return err
			}
			return tx.Commit()
		}

		return put, func(dst, k []byte) ([]byte, error) {
			err := db.View(func(tx *bbolt.Tx) error {
				dst = append(dst, tx.Bucket(bucket).Get(k)...)
				return nil
			})
			return dst, err
		}
	})
}
