// SPDX-License-Identifier: MIT

package lsm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
	"go.etcd.io/bbolt"

	"github.com/ashlar-go/ashlar/lsm"
)

const badg = "badger"

// A budget is what every store may use: so much memory for what was not written
// yet, and so much for blocks. All have filters of 10 bits a key, and none
// compresses.
type budget struct {
	memTable, cache int64
}

// A store is an open store of any kind.
type store struct {
	put    func(k, v []byte) error // not synced
	get    func(dst, k []byte) (v []byte, ok bool, err error)
	cursor func() cursor
	settle func() error      // merges all
	amp    func() float64    // bytes written for one that was put; nil if it does not say
	close  func() error      // cleanly
	load   func(n int) error // nil, or a fast way to put the first n keys
}

// A cursor moves over all keys.
type cursor struct {
	seek  func(k []byte) bool
	next  func() bool
	prev  func() bool // nil if it goes one way
	entry func() (k, v []byte)
	close func()
}

// An engine opens stores of one kind.
type engine struct {
	name string
	open func(dir string, b budget) store
	note string // why it is shown and not judged
}

var engines = []engine{
	{ours, func(dir string, b budget) store { return openOurs(dir, b, lsm.Async) }, ""}, // as pebble
	{peb, openWholePebble, ""},
	{level, openWholeLevel, ""},
	{badg, openBadger, ""},
	{bolt, openWholeBolt, "a B+tree in a mapped file: what it is better at is printed, and no aim"},
}

// size returns the bytes of the files in dir.
func size(dir string) (n int64) {
	must(filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	}))
	return n
}

// safer is ours with commits that a kill does not lose, as those of goleveldb.
var safer = engine{ours, func(dir string, b budget) store { return openOurs(dir, b, lsm.NoSync) }, ""}

func openOurs(dir string, b budget, d lsm.Durability) store {
	db, err := lsm.Open(dir, &lsm.Options{
		Durability: d, Memory: 8 * b.memTable, Cache: lsm.NewCache(b.cache), LogSize: min(4<<20, b.memTable),
	})
	must(err)

	return store{
		put: db.Set,
		get: func(dst, k []byte) ([]byte, bool, error) {
			v, err := db.AppendGet(dst, k)
			if errors.Is(err, lsm.ErrNotFound) {
				return dst, false, nil
			}
			return v, err == nil, err
		},
		cursor: func() cursor {
			it := db.Scan(nil, nil)
			return cursor{
				seek: it.SeekGE, next: it.Next, prev: it.Prev,
				entry: func() (k, v []byte) { return it.Key(), it.Value() },
				close: func() { must(it.Close()) },
			}
		},
		settle: func() error { return db.Compact(background, nil, nil) },
		amp:    func() float64 { return db.Stats().WriteAmplification() },
		close:  db.Close,
	}
}

func openWholePebble(dir string, b budget) store {
	cache := pebble.NewCache(b.cache)
	o := &pebble.Options{MemTableSize: uint64(b.memTable), MemTableStopWritesThreshold: 4, Cache: cache, Logger: silent{}}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	db, err := pebble.Open(dir, o)
	must(err)

	return store{
		// The nearest to NoSync of the others: the bytes are in its buffer.
		put: func(k, v []byte) error { return db.Set(k, v, pebble.NoSync) },
		get: func(dst, k []byte) ([]byte, bool, error) {
			v, closer, err := db.Get(k)
			if errors.Is(err, pebble.ErrNotFound) {
				return dst, false, nil
			}
			if err != nil {
				return dst, false, err
			}
			dst = append(dst, v...)
			return dst, true, closer.Close()
		},
		cursor: func() cursor {
			it, err := db.NewIter(nil)
			must(err)
			return cursor{
				seek: it.SeekGE, next: it.Next, prev: it.Prev,
				entry: func() (k, v []byte) { return it.Key(), it.Value() },
				close: func() { must(it.Close()) },
			}
		},
		settle: func() error { return db.Compact(background, []byte{0}, bytes.Repeat([]byte{0xff}, 32), false) },
		amp: func() float64 {
			m := db.Metrics()
			total := m.Total()
			return total.WriteAmp()
		},
		close: func() error {
			err := db.Close()
			cache.Unref()
			return err
		},
	}
}

func openWholeLevel(dir string, b budget) store {
	db, err := leveldb.OpenFile(dir, &opt.Options{
		WriteBuffer: int(b.memTable), BlockCacheCapacity: int(b.cache), Filter: filter.NewBloomFilter(10), Compression: opt.NoCompression,
	})
	must(err)
	return store{
		put: func(k, v []byte) error { return db.Put(k, v, nil) },
		get: func(dst, k []byte) ([]byte, bool, error) {
			v, err := db.Get(k, nil)
			if errors.Is(err, leveldb.ErrNotFound) {
				return dst, false, nil
			}
			return append(dst, v...), err == nil, err
		},
		cursor: func() cursor {
			it := db.NewIterator(nil, nil)
			return cursor{
				seek: it.Seek, next: it.Next, prev: it.Prev,
				entry: func() (k, v []byte) { return it.Key(), it.Value() },
				close: it.Release,
			}
		},
		settle: func() error { return db.CompactRange(util.Range{}) },
		close:  db.Close,
	}
}

func openBadger(dir string, b budget) store {
	o := badger.DefaultOptions(dir).WithLogger(nil).WithCompression(options.None).WithMemTableSize(b.memTable).
		WithBlockCacheSize(b.cache).WithBloomFalsePositive(0.01).WithMetricsEnabled(false)
	db, err := badger.Open(o)
	must(err)

	return store{
		put: func(k, v []byte) error {
			txn := db.NewTransaction(true)
			if err := txn.Set(bytes.Clone(k), v); err != nil { // it keeps the slice
				return err
			}
			return txn.Commit()
		},
		get: func(dst, k []byte) (_ []byte, ok bool, err error) {
			err = db.View(func(txn *badger.Txn) error {
				item, err := txn.Get(k)
				if err != nil {
					return err
				}
				dst, err = item.ValueCopy(dst)
				return err
			})
			if errors.Is(err, badger.ErrKeyNotFound) {
				return dst, false, nil
			}
			return dst, err == nil, err
		},
		cursor: func() cursor {
			txn := db.NewTransaction(false)
			it := txn.NewIterator(badger.DefaultIteratorOptions)
			var value []byte
			return cursor{
				seek: func(k []byte) bool { it.Seek(k); return it.Valid() },
				next: func() bool { it.Next(); return it.Valid() },
				entry: func() (k, v []byte) {
					var err error
					value, err = it.Item().ValueCopy(value)
					must(err)
					return it.Item().Key(), value
				},
				close: func() { it.Close(); txn.Discard() },
			}
		},
		settle: func() error { return db.Flatten(1) },
		close:  db.Close,
	}
}

func openWholeBolt(dir string, _ budget) store {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{NoSync: true})
	must(err)
	must(db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	}))
	return store{
		put: func(k, v []byte) error {
			return db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(bytes.Clone(k), v) })
		},
		get: func(dst, k []byte) (_ []byte, ok bool, err error) {
			err = db.View(func(tx *bbolt.Tx) error {
				v := tx.Bucket(bucket).Get(k)
				ok = v != nil
				dst = append(dst, v...)
				return nil
			})
			return dst, ok, err
		},
		cursor: func() cursor {
			tx, err := db.Begin(false)
			must(err)
			c := tx.Bucket(bucket).Cursor()
			var key, value []byte
			at := func(k, v []byte) bool { key, value = k, v; return k != nil }
			return cursor{
				seek:  func(k []byte) bool { return at(c.Seek(k)) },
				next:  func() bool { return at(c.Next()) },
				prev:  func() bool { return at(c.Prev()) },
				entry: func() (k, v []byte) { return key, value },
				close: func() { must(tx.Rollback()) },
			}
		},
		settle: func() error { return nil },
		close:  db.Close,

		// A transaction for each key would take minutes.
		load: func(n int) error {
			for i := 0; i < n; {
				err := db.Update(func(tx *bbolt.Tx) error {
					for end := min(n, i+100_000); i < end; i++ {
						if err := tx.Bucket(bucket).Put(manyKey(nil, i), value); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// copyDir copies the files of a store that is open: what a process that is
// killed now leaves. Names and lengths are the same before and after, so that
// the copy is of one moment, whatever the store does in the background.
func copyDir(from, to string) {
	for {
		before := listDir(from)
		must(os.RemoveAll(to))
		err := os.CopyFS(to, os.DirFS(from))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a file was removed meanwhile
		}
		must(err)
		if listDir(from) == before {
			return
		}
	}
}

// listDir returns the names and lengths of the files in a directory.
func listDir(dir string) string {
	var list strings.Builder
	must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it was removed meanwhile: the next list lacks it
		case err == nil && !d.IsDir():
			fmt.Fprintln(&list, path, info.Size())
		}
		return err
	}))
	return list.String()
}
