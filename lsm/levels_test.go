// SPDX-License-Identifier: MIT

package lsm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestFillLevels fills a database with random keys, and checks that its levels
// have as many bytes as ever whenever a memtable has become a table. The limits
// are a thousandth of the usual ones, so that 8 MiB do what 8 GiB do. The
// documentation has a picture of testdata/levels.txt.
func TestFillLevels(t *testing.T) {
	if testing.Short() || raceEnabled || invariants {
		t.Skip("takes long")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // one merge at a time
	lim := limits{versions: 32, edits: 64 << 10, trigger: defaultTables, table: 32 << 10, base: 64 << 10}
	db, err := openWith("db", &Options{FS: NewMemFS(), Durability: NoSync, LogSize: 64 << 10}, testNonce(1), lim)
	must(t, err)

	// A line for each table, when what it made due has been merged.
	var b strings.Builder
	b.WriteString("# committed, and written by merges, since the beginning, and stored in levels 0 to 6, in bytes\n")
	rng := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 496)
	flushes := uint64(0)
	for range 8 << 20 / 512 {
		must(t, db.Set(fmt.Appendf(nil, "%016x", rng.Uint64()), value))
		db.idle()
		s := db.Stats()
		if s.Flushes == flushes {
			continue
		}

		flushes = s.Flushes
		fmt.Fprintf(&b, "%d\t%d", s.BatchBytes, s.Merged)
		tables := db.state.Load().tables
		for level := range numLevels {
			fmt.Fprintf(&b, "\t%d", tables.size(level))
		}
		b.WriteByte('\n')
	}
	closeDB(t, db)

	const name = "testdata/levels.txt"
	if *update {
		must(t, os.WriteFile(name, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if b.String() != string(want) {
		t.Errorf("the levels are not those of %s: rewrite it with -update and look at the difference", name)
	}
}
