// SPDX-License-Identifier: MIT

package servers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"
)

var (
	// Etcd keeps what it has acknowledged. It is a cluster of one.
	Etcd = &Kind{
		name: "etcd", crash: syscall.SIGKILL,
		command: func(dir string, port int) (string, []string, error) {
			program, err := find("etcd")
			url := "http://127.0.0.1:" + strconv.Itoa(port)
			return program, []string{
				"--data-dir", dir, "--listen-client-urls", url, "--advertise-client-urls", url,
				"--listen-peer-urls", "http://127.0.0.1:0", "--initial-advertise-peer-urls", "http://127.0.0.1:0",
				"--initial-cluster", "default=http://127.0.0.1:0", "--heartbeat-interval", "50", "--election-timeout", "250",
				"--logger", "zap", "--log-level", "error",
			}, err
		},
		ready: readyEtcd,
	}

	// RedisInMemory keeps nothing when it is killed, as Redis does that was
	// told so, or that has lost its disk.
	RedisInMemory = &Kind{
		name: "redis in memory", crash: syscall.SIGKILL,
		command: func(dir string, port int) (string, []string, error) {
			program, err := find("redis-server")
			return program, []string{
				"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
			}, err
		},
		ready: Redis.ready,
	}
)

// readyEtcd asks the server whether it is well: it listens before it has a
// leader.
func readyEtcd(ctx context.Context, addr string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/health", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("it says %s: %s", answer.Status, text)
	}
	return err
}
