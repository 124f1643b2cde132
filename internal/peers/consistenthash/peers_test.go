// SPDX-License-Identifier: MIT

package consistenthash

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/dgryski/go-jump"

	"github.com/ashlar-go/ashlar/consistenthash"
	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

// TestAdapters: each finds an owner for every key, and the rows are complete.
func TestAdapters(t *testing.T) {
	for _, w := range Workloads() {
		if w.Why == "" || w.Expect == bench.Granted && w.Ours.Setup == nil {
			t.Errorf("%s is not complete", w.Name)
		}
		if strings.Contains(w.Name, "1000") {
			continue // the same adapters, larger
		}
		for _, impl := range append([]bench.Impl{w.Ours}, w.Peers...) {
			if impl.Setup == nil {
				continue
			}
			if got := impl.Setup(t.Cleanup)(0, 20); got != 20 {
				t.Errorf("%s: %s succeeded %d times of 20", w.Name, impl.Name, got)
			}
		}
	}
}

// TestJumpAgrees: two implementations of one function.
func TestJumpAgrees(t *testing.T) {
	for i, h := range hashes()[:10_000] {
		buckets := 1 + i%5000
		if got, want := consistenthash.Jump(h, buckets), int(jump.Hash(h, buckets)); got != want {
			t.Fatalf("Jump(%d, %d) = %d, want %d", h, buckets, got, want)
		}
	}
}

// asker is a program that asks libmemcached, in its own words, where keys
// belong: its arguments are host, port and weight of each server; of each line
// that it reads it prints the index of the server.
const asker = `
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
	memcached_st *m = memcached_create(NULL);
	memcached_behavior_set(m, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
	memcached_server_list_st list = NULL;
	memcached_return_t rc;
	for (int i = 1; i + 2 < argc; i += 3)
		list = memcached_server_list_append_with_weight(list, argv[i], atoi(argv[i+1]), atoi(argv[i+2]), &rc);
	memcached_server_push(m, list);
	char line[4096];
	while (fgets(line, sizeof line, stdin)) {
		size_t n = strcspn(line, "\n");
		printf("%u\n", memcached_generate_hash(m, line, n));
	}
	return 0;
}
`

// TestKetamaAgrees asks libmemcached itself, where it is installed with its
// headers.
func TestKetamaAgrees(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}

	dir := t.TempDir()
	source, program := filepath.Join(dir, "ask.c"), filepath.Join(dir, "ask")
	if err := os.WriteFile(source, []byte(asker), 0o600); err != nil {
		t.Fatal(err)
	}

	if out, err := exec.CommandContext(t.Context(), cc, "-o", program, source, "-lmemcached").CombinedOutput(); err != nil {
		t.Skipf("no libmemcached: %v\n%s", err, out)
	}

	for _, servers := range [][]struct{ port, weight int }{
		{{11211, 1}},
		{{11211, 600}, {11211, 300}, {11211, 200}, {11211, 350}, {11211, 1000}, {11211, 800}, {11211, 950}, {11211, 100}},
		{{11211, 1}, {11212, 1}, {22122, 1}},
		{{11212, 3}, {11213, 7}, {11211, 11}, {1, 13}, {65535, 17}},
		{{11211, 1000}, {11212, 1}, {11213, 999}}, // the second has no point
	} {
		var args []string
		var nodes []consistenthash.Node
		for i, s := range servers {
			host := fmt.Sprintf("10.1.2.%d", i+1)
			args = append(args, host, strconv.Itoa(s.port), strconv.Itoa(s.weight))
			nodes = append(nodes, consistenthash.Node{Name: fmt.Sprintf("%s:%d", host, s.port), Weight: float64(s.weight)})
		}
		ring, err := consistenthash.NewKetama(nodes...)
		if err != nil {
			t.Fatal(err)
		}
		ask := exec.CommandContext(t.Context(), program, args...)
		all := keys()[:20_000]
		ask.Stdin = strings.NewReader(strings.Join(all, "\n") + "\n")
		out, err := ask.Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(strings.NewReader(string(out)))
		for _, k := range all {
			lines.Scan()
			i, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := ring.Get(k); got != nodes[i].Name {
				t.Fatalf("%v: %q belongs to %s, and to libmemcached's server %s", servers, k, got, nodes[i].Name)
			}
		}
	}
}
