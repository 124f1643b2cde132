// SPDX-License-Identifier: MIT

package lsm

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestManifestRotates checks that a manifest which would become longer than
// Open reads is replaced by one with the state alone, though its edits are few.
func TestManifestRotates(t *testing.T) {
	const limit = 1000
	m := NewMemFS()
	lim := limits{versions: 2, edits: 1 << 20, manifest: limit}
	open := func() *DB {
		db, err := openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), lim)
		must(t, err)
		return db
	}
	db := open()
	for i := range 100 {
		// A table of nothing takes no room, and its edit does.
		must(t, db.Set([]byte{byte(i)}, nil))
		must(t, db.Delete([]byte{byte(i)}))
		db.idle()
		if got := len(m.bytes(m.manifest(t))); got > limit {
			t.Fatalf("%d bytes of a manifest, want at most %d", got, limit)
		}
	}
	if got := m.manifests(t)[0]; got < 4 || got > 20 {
		t.Errorf("manifest %d is the last, want some, and not one for each edit", got)
	}
	closeDB(t, db)
	closeDB(t, open())
}

// TestManifestFull checks that tables which a manifest has no room for are not
// written: commits wait, as for space, and nothing is lost. A process for which
// manifests may be longer goes on.
func TestManifestFull(t *testing.T) {
	synctest.Test(t, manifestFullRound)
}

func manifestFullRound(t *testing.T) {
	const limit = 500 << 10 // three tables whose keys are as long as can be, and not four
	m := NewMemFS()
	open := func(limit int64) *DB {
		o := Options{FS: m, Memory: minMemory, Durability: NoSync, LogSize: minLogSize, StallTimeout: time.Minute}
		db, err := openWith("db", &o, testNonce(1), limits{versions: 2, edits: 1 << 20, manifest: limit})
		must(t, err)
		return db
	}
	key := func(i int) []byte { return fmt.Appendf(make([]byte, MaxKeyLen-3), "%03d", i) }
	check := func(what string, db *DB, n int) {
		t.Helper()
		for i := range n {
			wantHas(t, what, db, string(key(i)), true)
		}
		equal(t, what+": tables", db.Stats().Tables, 3)
		if got := len(m.bytes(m.manifest(t))); got > limit {
			t.Errorf("%s: %d bytes of a manifest, want at most %d", what, got, limit)
		}
	}

	db := open(limit)
	n := 0
	err := error(nil)
	for ; err == nil && n < 100; n++ {
		err = db.Set(key(n), nil)
		synctest.Wait()
	}
	isError(t, "a commit", err, ErrStalled, ErrTooLarge)
	n--
	check("when there is no room", db, n)
	closeDB(t, db)

	db = open(limit)
	check("after a reopen", db, n)
	closeDB(t, db)

	// Open does not write what would be too long, and has not lost it.
	lim := limits{versions: 1000, edits: 1 << 20, manifest: 300 << 10}
	_, err = openWith("db", &Options{FS: m, LogSize: minLogSize}, testNonce(1), lim)
	isError(t, "Open when even the tables that are there are too many", err, ErrTooLarge)

	db = open(0)
	for i := range n {
		must(t, db.Set(key(i), nil))
	}
	synctest.Wait()
	if got := db.Stats().Tables; got < n/2 {
		t.Errorf("%d tables when there is room, want %d at least", got, n/2)
	}
	closeDB(t, db)
}

// TestManifestBound checks that a snapshot is not longer than its bound,
// whatever its numbers are.
func TestManifestBound(t *testing.T) {
	const most = 1<<64 - 1
	m := manifest{oldest: logRef{most, most}, flushed: most, nextFile: most}
	if got := len(m.encode()); got > snapshotLen {
		t.Errorf("a snapshot without tables has %d bytes, want at most %d", got, snapshotLen)
	}
	for _, n := range []int{0, 1, 127, 128, MaxKeyLen} {
		key := make([]byte, n)
		meta := tableMeta{most, most, most, most, most, most, most, key, key}
		got := int64(len(appendField(nil, tagAdd, meta.appendTo(nil, numLevels-1))))
		if want := meta.fieldBound(); got > want || got < want-8 {
			t.Errorf("keys of %d bytes: a field of %d bytes, want a little less than %d", n, got, want)
		}
	}
}
