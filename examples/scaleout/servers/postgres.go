// SPDX-License-Identifier: MIT

package servers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// initdb makes the directory of a server that trusts everybody on this machine.
func initdb(ctx context.Context, dir string) error {
	program, err := find("initdb")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "-A", "trust", "-U", "postgres", "-N", "-D", filepath.Join(dir, "data"))
	cmd.Dir = dir
	cred, _ := ctx.Value(credentialKey{}).(*syscall.Credential)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// URL returns the address of a PostgreSQL server as its clients write it.
func (s *Server) URL() string { return "postgres://postgres@" + s.Addr + "/postgres?sslmode=disable" }

// readyPostgres asks the server something: it listens before it answers.
func readyPostgres(ctx context.Context, addr string) error {
	conn, err := pgx.Connect(ctx, (&Server{Addr: addr}).URL())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
