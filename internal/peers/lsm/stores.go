// SPDX-License-Identifier: MIT

package lsm

import (
	"errors"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"go.etcd.io/bbolt"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

const (
	peb   = "pebble"
	level = "goleveldb"
	bolt  = "bbolt"
)

// memTable is how much a store may hold in memory before it writes tables, and
// smallMemTable where tables are read. Then blockCache is what a store may keep
// of tables.
const (
	memTable      = 256 << 20
	smallMemTable = 4 << 20
	blockCache    = 16 << 20
	filterBits    = 10
)

func openPebble(dir string, atEnd func(func())) *pebble.DB {
	return openPebbleWith(dir, &pebble.Options{MemTableSize: memTable}, atEnd)
}

func openPebbleWith(dir string, o *pebble.Options, atEnd func(func())) *pebble.DB {
	o.Logger = silent{}
	db, err := pebble.Open(dir, o)
	must(err)
	atEnd(func() { must(db.Close()) })
	return db
}

// openSmallPebble opens a store that reads tables.
func openSmallPebble(dir string, atEnd func(func())) *pebble.DB {
	cache := pebble.NewCache(blockCache)
	atEnd(cache.Unref)
	o := &pebble.Options{MemTableSize: smallMemTable, Cache: cache}
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(filterBits)
	o.EnsureDefaults()
	return openPebbleWith(dir, o, atEnd)
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

func pebbleGet(from keys, open func(dir string, atEnd func(func())) *pebble.DB) bench.Impl {
	return reads(peb, "a value and what closes it", from, func(dir string, atEnd func(func())) (set, get) {
		db := open(dir, atEnd)
		put := func(k, v []byte) error { return db.Set(k, v, pebble.NoSync) }
		return put, func(dst, k []byte) ([]byte, error) {
			v, closer, err := db.Get(k)
			if errors.Is(err, pebble.ErrNotFound) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			dst = append(dst, v...)
			return dst, closer.Close()
		}
	})
}

func openLevel(dir string, atEnd func(func())) *leveldb.DB {
	return openLevelWith(dir, &opt.Options{WriteBuffer: memTable}, atEnd)
}

func openLevelWith(dir string, o *opt.Options, atEnd func(func())) *leveldb.DB {
	db, err := leveldb.OpenFile(dir, o)
	must(err)
	atEnd(func() { must(db.Close()) })
	return db
}

// openSmallLevel opens a store that reads tables.
func openSmallLevel(dir string, atEnd func(func())) *leveldb.DB {
	return openLevelWith(dir, &opt.Options{
		WriteBuffer: smallMemTable, BlockCacheCapacity: blockCache, Filter: filter.NewBloomFilter(filterBits),
	}, atEnd)
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

func levelGet(from keys, open func(dir string, atEnd func(func())) *leveldb.DB) bench.Impl {
	return reads(level, "it returns a copy of its own", from, func(dir string, atEnd func(func())) (set, get) {
		db := open(dir, atEnd)
		put := func(k, v []byte) error { return db.Put(k, v, nil) }
		return put, func(dst, k []byte) ([]byte, error) {
			v, err := db.Get(k, nil)
			if errors.Is(err, leveldb.ErrNotFound) {
				return nil, nil
			}
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

func boltGet(from keys) bench.Impl {
	return reads(bolt, "a transaction for each read", from, func(dir string, atEnd func(func())) (set, get) {
		db := openBolt(dir, false, atEnd)
		tx, err := db.Begin(true) // one for all keys: a commit copies pages
		must(err)
		b := tx.Bucket(bucket)
		n := 0
		put := func(k, v []byte) error {
			err := b.Put(append([]byte(nil), k...), v)
			if n++; err != nil || n < from.stored {
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
