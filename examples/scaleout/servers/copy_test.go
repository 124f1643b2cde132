// SPDX-License-Identifier: MIT

package servers

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// copies are the files to be copied into a program of one's own, those of a
// line together.
var copies = []string{
	"limits/redis.go",
	"limits/postgres.go",
	"limits/memcached.go",
	"nearcache/near.go",
	"shards/ring.go",
	"shards/selector.go",
	"shards/pool.go shards/stores.go",
	"writebehind/postgres.go",
	"lock/redis.go",
	"lock/postgres.go",
	"lock/etcd.go",
	"jobs/queue.go jobs/nats.go",
	"jobs/queue.go jobs/postgres.go",
	"backup/store.go backup/s3.go",
	"backup/store.go backup/archive.go backup/ship.go backup/restore.go",
	"metrics/fields.go metrics/prometheus.go metrics/otel.go metrics/expvar.go metrics/slog.go",
}

// TestCopies checks that files to be copied need nothing else of their program.
func TestCopies(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range copies {
		t.Run(line, func(t *testing.T) {
			replace := map[string]string{}
			dir := t.TempDir()
			for name := range strings.FieldsSeq(line) {
				text, err := os.ReadFile(filepath.Join(root, name))
				if err != nil {
					t.Fatal(err)
				}
				text = bytes.Replace(text, []byte("\npackage main\n"), []byte("\npackage copied\n"), 1)
				file := filepath.Join(dir, filepath.Base(name))
				if err := os.WriteFile(file, text, 0o600); err != nil {
					t.Fatal(err)
				}
				replace[filepath.Join(root, "copied", filepath.Base(name))] = file
			}

			// The directory is in the overlay alone.
			overlay := filepath.Join(dir, "overlay.json")
			text, err := json.Marshal(map[string]any{"Replace": replace})
			if err == nil {
				err = os.WriteFile(overlay, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "./copied")
			cmd.Dir = root
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}
