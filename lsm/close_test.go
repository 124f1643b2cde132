// SPDX-License-Identifier: MIT

package lsm

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFlushAtClose checks that Close makes a table of what is more than a
// quarter of a memtable, after which Open has nothing to replay, and leaves
// less than that to the logs.
func TestFlushAtClose(t *testing.T) {
	for _, size := range []int{1000, minMemory / 8, 3 * minMemory / 8} {
		much := size > minMemory/8/4
		m := NewMemFS()
		o := Options{FS: m, Memory: minMemory, LogSize: 64 << 10}
		model := map[string]string{}
		for round := range 3 {
			db := memDB(t, o)
			if got := db.Stats().Memory; much && got > newMemtable().bytes() {
				t.Errorf("values of %d bytes: %d bytes of memory after Open, want those of an empty tree", size, got)
			}
			for i := range 2 {
				key := fmt.Sprint(i, round/2)
				model[key] = string(fmt.Appendf(make([]byte, size/2), "%d", round))
				must(t, db.Set([]byte(key), []byte(model[key])))
			}
			closeDB(t, db)
		}
		tables := len(m.tableNames(t))
		equal(t, fmt.Sprintf("values of %d bytes: there are tables", size), tables > 0, much)
		if much {
			isError(t, "the logs are gone", checkLogs(m, 1), nil)
		}

		db := memDB(t, o)
		for key := range model {
			checkKey(t, "after sessions", db, model, key)
		}
		isError(t, "Verify", db.Verify(t.Context()), nil)
		closeDB(t, db)
	}
}

// TestFlushAtCloseFails checks that Close succeeds if it cannot make a table:
// the logs have all, and the next Open decides what the failure has left.
func TestFlushAtCloseFails(t *testing.T) {
	for n := 0; closeFailsRound(t, n); n++ {
	}
}

// closeFailsRound closes a database with a value, lets an operation fail, the
// n-th after the table was begun, and reports whether there was one.
func closeFailsRound(t *testing.T, n int) (more bool) {
	t.Helper()
	m := NewMemFS()
	db := memDB(t, Options{FS: m, Memory: minMemory, LogSize: 1 << 20})
	value := make([]byte, minMemory/16)
	must(t, db.Set([]byte("a"), value))
	begun, count := false, 0
	m.Inject(func(op FSOp) error {
		begun = begun || op.Kind == "create" && filepath.Ext(op.Name) == ".sst"
		if !begun || op.Kind == "close" {
			return nil
		}
		if count++; count == n+1 {
			more = true
			return syscall.ENOSPC
		}
		return nil
	})
	isError(t, fmt.Sprint("Close when operation ", n, " fails"), db.Close(), nil)
	m.Inject(nil)

	for _, m := range []*MemFS{m.CrashClone(CrashConfig{}), m} {
		db = memDB(t, Options{FS: m})
		wantValue(t, fmt.Sprint("operation ", n, " failed"), db, "a", string(value))
		closeDB(t, db)
	}
	return more
}
