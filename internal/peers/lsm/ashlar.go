// SPDX-License-Identifier: MIT

// Package lsm compares the lsm package with other people's key-value stores.
package lsm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	gosync "sync"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
	"github.com/ashlar-go/ashlar/lsm"
)

const ours = "ours"

// folder makes a directory for a store, on the disk of the temporary directory,
// which must be a real one for the figures to mean anything: TMPDIR chooses it.
func folder(atEnd func(func())) string {
	dir, err := os.MkdirTemp("", "compare-lsm-")
	must(err)
	atEnd(func() { os.RemoveAll(dir) })
	return dir
}

func makeFolder(dir string) { must(os.MkdirAll(dir, 0o755)) }

func must(err error) {
	if err != nil {
		panic(err) // the machine cannot run the comparison
	}
}

const valueSize = 100

var value = func() []byte {
	v := make([]byte, valueSize)
	for i := range v {
		v[i] = byte(i * 7)
	}
	return v
}()

// key writes the 16 bytes of the i-th key, in a random order of 2^20.
func key(buf []byte, i int) []byte {
	x := uint64(i%(1<<20)) * 0x9E3779B97F4A7C15
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(buf[:0], x), x>>7)
}

// commits returns the loop that makes one commit of one key an operation. open
// returns the function that commits.
func commits(name, note string, open func(dir string, atEnd func(func())) func(k, v []byte) error) bench.Impl {
	return bench.Impl{Name: name, Note: note, Setup: func(atEnd func(func())) bench.Op {
		set := open(folder(atEnd), atEnd)
		return func(start, n int) (done int) {
			buf := make([]byte, 0, 16)
			for i := start; i < start+n; i++ {
				must(set(key(buf, i), value))
				done++
			}
			return done
		}
	}}
}

func oursCommit(d lsm.Durability) bench.Impl {
	impl := commits(ours, "", func(dir string, atEnd func(func())) func(k, v []byte) error {
		db, err := lsm.Open(dir, &lsm.Options{Durability: d, Memory: 4 << 30})
		must(err)
		atEnd(func() { must(db.Close()) })
		return db.Set
	})
	impl.Beside = "a goroutine that makes the next log"
	if d == lsm.Async {
		impl.Beside += ", and a timer that writes"
	}
	return impl
}

// storedKeys is how many keys a store has that is read.
const storedKeys = 100_000

type (
	set = func(k, v []byte) error
	get = func(dst, k []byte) ([]byte, error)
)

// reads returns the loop that reads one key an operation, of a store that open
// returns and that is filled before.
func reads(name, note string, open func(dir string, atEnd func(func())) (set, get)) bench.Impl {
	return bench.Impl{Name: name, Note: note, Setup: func(atEnd func(func())) bench.Op {
		put, read := open(folder(atEnd), atEnd)
		buf := make([]byte, 0, 16)
		for i := range storedKeys {
			must(put(key(buf, i), value))
		}

		return func(start, n int) (done int) {
			buf := make([]byte, 0, 16)
			dst := make([]byte, 0, valueSize)
			for i := start; i < start+n; i++ {
				v, err := read(dst[:0], key(buf, i*7919%storedKeys))
				must(err)
				if len(v) == valueSize {
					done++
				}
			}
			return done
		}
	}}
}

func oursGet() bench.Impl {
	return reads(ours, "AppendGet", func(dir string, atEnd func(func())) (set, get) {
		db, err := lsm.Open(dir, &lsm.Options{Durability: lsm.Async})
		must(err)
		atEnd(func() { must(db.Close()) })
		return db.Set, db.AppendGet
	})
}

// written is the part of a commit that the operating system does: the bytes of
// one, written at the end of a file of which the space is taken already, by one
// goroutine after the other.
func written() bench.Impl { return appended("write", func(*os.File) error { return nil }) }

// fdatasync is that part of a durable commit: the same, and forced to the disk.
func fdatasync() bench.Impl { return appended("write+sync", datasync) }

func appended(name string, sync func(*os.File) error) bench.Impl {
	return bench.Impl{Name: name, Setup: func(atEnd func(func())) bench.Op {
		f, err := os.Create(filepath.Join(folder(atEnd), "log"))
		must(err)
		atEnd(func() { f.Close() })
		const size = 64 << 20
		_, err = f.Write(make([]byte, size))
		must(err)
		must(f.Sync())
		var mu gosync.Mutex
		at, record := int64(0), make([]byte, 16+valueSize+20)
		return func(_, n int) int {
			for range n {
				mu.Lock()
				_, err := f.WriteAt(record, at%(size-1024))
				must(err)
				must(sync(f))
				at += int64(len(record))
				mu.Unlock()
			}
			return n
		}
	}}
}
