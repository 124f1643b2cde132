// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/merkle"
	"github.com/ashlar-go/ashlar/quorum"
)

// A cell is what a replica has of a key: the number of a write, and its stamp.
type cell = quorum.LWW[int]

// A store is the replica on one node: a database in a directory, and for each
// group of nodes an index of the keys that they share.
type store struct {
	fs      lsm.FS
	dir     string
	db      *lsm.DB
	groupOf func(key string) string

	mu      sync.Mutex // one merge at a time; guards indexes
	indexes map[string]*merkle.Index
}

// secret is what replicas hash their keys with. Nobody here is an attacker.
var secret = []byte("dynamo example 1")

// openStore opens the store in a directory, and indexes what it has.
func openStore(fs lsm.FS, dir string, groupOf func(string) string) (*store, error) {
	db, err := lsm.Open(dir, &lsm.Options{FS: fs, Durability: lsm.NoSync, Memory: 4 << 20, LogSize: 256 << 10})
	if err != nil {
		return nil, err
	}
	s := &store{fs: fs, dir: dir, db: db, groupOf: groupOf, indexes: map[string]*merkle.Index{}}
	it := db.Scan(nil, nil)
	for key, value := range it.All() {
		c, err := decode(value)
		if err != nil {
			return nil, errors.Join(err, it.Close(), db.Close())
		}
		s.note(string(key), c)
	}
	if err := it.Close(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// note tells the index of the group of key what the store has.
func (s *store) note(key string, c cell) {
	group := s.groupOf(key)
	x := s.indexes[group]
	if x == nil {
		x = merkle.NewIndex(secret, nil)
		s.indexes[group] = x
	}
	x.Set(key, digest(c))
}

// index returns the index of a group.
func (s *store) index(group string) *merkle.Index {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.indexes[group]
	if x == nil {
		x = merkle.NewIndex(secret, nil)
		s.indexes[group] = x
	}
	return x
}

// Load returns what the store has of key.
func (s *store) Load(_ context.Context, key string) (cell, error) {
	b, err := s.db.Get([]byte(key))
	if errors.Is(err, lsm.ErrNotFound) {
		return cell{}, nil
	}
	if err != nil {
		return cell{}, err
	}
	return decode(b)
}

// Merge makes what the store has of key the join of that and c.
func (s *store) Merge(ctx context.Context, key string, c cell) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.Load(ctx, key)
	if err != nil || old.Covers(c) {
		return err
	}
	if err := s.db.Set([]byte(key), encode(c)); err != nil {
		return err
	}
	s.note(key, c)
	return nil
}

// lose is the end of a disk.
func (s *store) lose() error {
	if err := s.db.Close(); err != nil {
		return err
	}
	if s.fs == nil {
		return os.RemoveAll(s.dir)
	}
	names, err := s.fs.List(s.dir)
	for _, name := range names {
		err = errors.Join(err, s.fs.Remove(filepath.Join(s.dir, name)))
	}
	return err
}

// cellLen is the length of an encoded cell.
const cellLen = 8 + 16

func encode(c cell) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(c.Value))
	d := digest(c)
	return append(b, d[:]...)
}

func decode(b []byte) (c cell, err error) {
	if len(b) != cellLen {
		return c, fmt.Errorf("a cell of %d bytes, want %d", len(b), cellLen)
	}
	c.Value = int(binary.LittleEndian.Uint64(b))
	c.Stamp.Wall = int64(binary.LittleEndian.Uint64(b[8:]))
	c.Stamp.Count = binary.LittleEndian.Uint32(b[16:])
	c.Stamp.Node = binary.LittleEndian.Uint32(b[20:])
	return c, nil
}

// digest returns the stamp of c, which no other write has.
func digest(c cell) (d merkle.Digest) {
	binary.LittleEndian.PutUint64(d[:], uint64(c.Stamp.Wall))
	binary.LittleEndian.PutUint32(d[8:], c.Stamp.Count)
	binary.LittleEndian.PutUint32(d[12:], c.Stamp.Node)
	return d
}
