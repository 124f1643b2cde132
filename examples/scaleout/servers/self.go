// SPDX-License-Identifier: MIT

package servers

import (
	"context"
	"os"
	"strconv"
	"syscall"
)

// Serve is the first argument of a program that is to be its own server. A
// directory and a port on the loopback interface follow.
const Serve = "serve"

// Self is a server that the program has in itself: it is started again as
//
//	program serve DIR PORT
//
// and is ready when it answers the line with what is wanted.
func Self(name, line, want string) *Kind {
	return &Kind{
		name: name, crash: syscall.SIGKILL,
		command: func(dir string, port int) (string, []string, error) {
			program, err := os.Executable()
			return program, []string{Serve, dir, strconv.Itoa(port)}, err
		},
		ready: func(ctx context.Context, addr string) error { return talk(ctx, addr, line, want) },
	}
}
