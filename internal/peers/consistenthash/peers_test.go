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
	for (int i = 1; i + 2 < argc; i += 3)
		if (argv[i][0] == '/')
			memcached_server_add_unix_socket_with_weight(m, argv[i], atoi(argv[i+2]));
		else
			memcached_server_add_with_weight(m, argv[i], atoi(argv[i+1]), atoi(argv[i+2]));
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

	type server struct {
		host         string // as libmemcached has it
		port, weight int
		name         string // as ours is told
	}
	v4 := func(i, port, weight int) server {
		host := fmt.Sprintf("10.1.2.%d", i)
		return server{host, port, weight, fmt.Sprintf("%s:%d", host, port)}
	}
	for _, servers := range [][]server{
		{v4(1, 11211, 1)},
		{v4(1, 11211, 600), v4(2, 11211, 300), v4(3, 11211, 200), v4(4, 11211, 350), v4(5, 11211, 1000), v4(6, 11211, 800)},
		{v4(1, 11211, 1), v4(2, 11212, 1), v4(3, 22122, 1)},
		{v4(1, 11212, 3), v4(2, 11213, 7), v4(3, 11211, 11), v4(4, 1, 13), v4(5, 65535, 17)},
		{v4(1, 11211, 1000), v4(2, 11212, 1), v4(3, 11213, 999)}, // the second has no point
		{
			{"fe80::1", 11212, 1, "[fe80::1]:11212"},
			{"fe80::2", 11211, 2, "[fe80::2]"},
			{"/tmp/memcached.sock", 0, 1, "/tmp/memcached.sock"},
			{"cache.example", 11211, 1, "cache.example"},
		},
	} {
		var args []string
		var nodes []consistenthash.Node
		for _, s := range servers {
			args = append(args, s.host, strconv.Itoa(s.port), strconv.Itoa(s.weight))
			nodes = append(nodes, consistenthash.Node{Name: s.name, Weight: float64(s.weight)})
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
