// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/lsm"
)

// A history is all commits there are, numbered from 1. Which changes one has
// depends on its number alone, so that the right content after each is known.
type history struct {
	seed      uint64
	migration int // a commit that makes all addresses empty, by mistake; 0 if none
}

// A change is one of a commit.
type change struct {
	key, value string
	gone       bool
}

// users there are, of whom a commit changes some.
const (
	users     = 200
	perCommit = 4
)

// countKey has the number of the last commit.
const countKey = "commits"

// commit returns the changes of a commit.
func (h history) commit(n int) []change {
	list := []change{{key: countKey, value: strconv.Itoa(n)}}
	if n == h.migration {
		for u := range users {
			list = append(list, change{key: userKey(u), value: "email="})
		}
		return list
	}
	r := rand.New(rand.NewPCG(h.seed, uint64(n)))
	for range perCommit {
		u := r.IntN(users)
		text := fmt.Sprintf("email=user%d@example.com, as of commit %d, %0*x", u, n, 1+r.IntN(1000), r.Uint64())
		list = append(list, change{userKey(u), text, r.IntN(8) == 0})
	}
	return list
}

func userKey(u int) string { return fmt.Sprintf("user:%04d", u) }

// after returns the content after n commits.
func (h history) after(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		for _, c := range h.commit(i + 1) {
			if c.gone {
				delete(m, c.key)
			} else {
				m[c.key] = c.value
			}
		}
	}
	return m
}

// apply makes commit n.
func (h history) apply(ctx context.Context, db *lsm.DB, n int) error {
	var b lsm.Batch
	for _, c := range h.commit(n) {
		if c.gone {
			b.Delete([]byte(c.key))
		} else {
			b.Set([]byte(c.key), []byte(c.value))
		}
	}
	return db.Apply(ctx, &b)
}

// dbOptions are small, so that there are many tables, logs and merges.
func dbOptions(fsys lsm.FS) *lsm.Options {
	return &lsm.Options{FS: fsys, Memory: 1 << 20, LogSize: 64 << 10}
}

// check opens a restored database, verifies it, and returns how many commits it
// has: exactly those from the first on, with nothing else.
func (h history) check(ctx context.Context, fsys lsm.FS, dir string) (n int, err error) {
	db, err := lsm.Open(dir, dbOptions(fsys))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Verify(ctx); err != nil {
		return 0, err
	}
	if n, err = commitsOf(db); err != nil {
		return 0, err
	}

	want := h.after(n)
	seen := 0
	it := db.Scan(nil, nil)
	for k, v := range it.All() {
		seen++
		if w, ok := want[string(k)]; !ok || w != string(v) {
			return n, errors.Join(fmt.Errorf("after %d commits %s is %.40q, want %.40q", n, k, v, w), it.Close())
		}
	}
	if seen != len(want) && err == nil {
		err = fmt.Errorf("after %d commits there are %d keys, want %d", n, seen, len(want))
	}
	return n, errors.Join(err, it.Close())
}

// commitsOf returns how many commits a database has.
func commitsOf(db *lsm.DB) (int, error) {
	b, err := db.Get([]byte(countKey))
	if errors.Is(err, lsm.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}

// restoreCheck restores to a disk in memory, and returns how many commits the
// database has there.
func (h history) restoreCheck(ctx context.Context, st store, t moment, f *faults) (int, error) {
	fsys := lsm.NewMemFS()
	if _, err := restore(ctx, st, fsys, "db", t.time(), f); err != nil {
		return 0, err
	}
	return h.check(ctx, fsys, "db")
}

// withEmail returns how many users have an address.
func withEmail(m map[string]string) (n int) {
	for k, v := range m {
		if strings.HasPrefix(k, "user:") && !strings.HasPrefix(v, "email=,") && v != "email=" {
			n++
		}
	}
	return n
}
