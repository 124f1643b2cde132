// SPDX-License-Identifier: MIT

// Package servers starts real servers on the loopback interface, each on a free
// port and with a directory of its own, kills them and starts them again.
package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrNotInstalled says that the machine lacks a server.
var ErrNotInstalled = errors.New("servers: not installed")

// A Kind is a server that can be started.
type Kind struct {
	name    string
	command func(dir string, port int) (program string, args []string, err error)
	prepare func(ctx context.Context, dir string) error // before the first start, or nil
	crash   syscall.Signal
	ready   func(ctx context.Context, addr string) error
}

// String returns the name of the server.
func (k *Kind) String() string { return k.name }

// The servers.
var (
	// Redis keeps what it has acknowledged: each write is synced.
	Redis = &Kind{
		name: "redis", crash: syscall.SIGKILL,
		command: func(dir string, port int) (string, []string, error) {
			program, err := find("redis-server")
			return program, []string{
				"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
				"--save", "", "--appendonly", "yes", "--appendfsync", "always",
			}, err
		},
		ready: func(ctx context.Context, addr string) error { return talk(ctx, addr, "PING\r\n", "+PONG") },
	}

	// Memcached keeps nothing: who kills it loses all.
	Memcached = &Kind{
		name: "memcached", crash: syscall.SIGKILL,
		command: func(_ string, port int) (string, []string, error) {
			program, err := find("memcached")
			args := []string{"-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-m", "32"}
			if os.Getuid() == 0 {
				args = append(args, "-u", "nobody")
			}
			return program, args, err
		},
		ready: func(ctx context.Context, addr string) error { return talk(ctx, addr, "version\r\n", "VERSION") },
	}

	// Postgres keeps what it has committed. SIGQUIT is a crash to it.
	Postgres = &Kind{
		name: "postgres", crash: syscall.SIGQUIT,
		command: func(dir string, port int) (string, []string, error) {
			program, err := find("postgres")
			return program, []string{
				"-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(port), "-k", dir,
				"-c", "listen_addresses=127.0.0.1", "-c", "logging_collector=off",
			}, err
		},
		prepare: initdb,
		ready:   readyPostgres,
	}
)

// find returns the path of a program: Debian keeps those of PostgreSQL in a
// directory of their version.
func find(program string) (string, error) {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	more, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.Reverse(more) // the newest first
	for _, dir := range append(more, dirs...) {
		p := filepath.Join(dir, program)
		if info, err := os.Stat(p); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrNotInstalled, program)
}

// A Server is one that was started.
type Server struct {
	Addr string
	kind *Kind
	dir  string
	cred *syscall.Credential // of the user that it runs as, if not ours

	mu   sync.Mutex // protects cmd and log
	cmd  *exec.Cmd
	log  *bytes.Buffer
	gone chan struct{} // closed when cmd has ended
}

// Start starts a server in dir, which is to exist and be empty, and waits until
// it answers.
func Start(ctx context.Context, k *Kind, dir string) (*Server, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	if _, _, err := k.command(dir, port); err != nil {
		return nil, err
	}

	s := &Server{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), kind: k, dir: dir}
	if k == Postgres && os.Getuid() == 0 { // it refuses to run as root
		if s.cred, err = credential("nobody"); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, err
		}
	}
	if k.prepare != nil {
		if err := k.prepare(withCredential(ctx, s.cred), dir); err != nil {
			return nil, err
		}
	}
	return s, s.Restart(ctx)
}

// Restart starts the server again where it was, and waits until it answers.
func (s *Server) Restart(ctx context.Context) error {
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	program, args, err := s.kind.command(s.dir, n)
	if err != nil {
		return err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = new(bytes.Buffer)
	s.cmd = exec.Command(program, args...)
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	s.gone = gone
	cmd := s.cmd
	go func() { // ends with the server
		_ = cmd.Wait() // how it ends is its own business
		close(gone)
	}()
	return s.await(ctx)
}

// await waits until the server answers.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := s.kind.ready(ctx, s.Addr)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", s.kind, err)
		case <-s.gone:
			return fmt.Errorf("%s has ended: %s", s.kind, s.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() error { return s.signal(s.kind.crash) }

// Pause stops the server until Continue: it accepts, and does not answer.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Continue lets a server go on.
func (s *Server) Continue() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	cmd, gone := s.cmd, s.gone
	s.mu.Unlock()
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if sig == s.kind.crash {
		<-gone
	}
	return nil
}

// Stop ends the server for good.
func (s *Server) Stop() error {
	s.mu.Lock()
	cmd, gone := s.cmd, s.gone
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	err := cmd.Process.Kill()
	<-gone
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// freePort returns a port that nobody listens at.
func freePort(ctx context.Context) (int, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// talk sends a line, and reports whether the answer begins with what is wanted.
func talk(ctx context.Context, addr, line, want string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(line)); err != nil {
		return err
	}
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(buf[:n], []byte(want)) {
		return fmt.Errorf("it says %q", buf[:n])
	}
	return nil
}

type credentialKey struct{}

func withCredential(ctx context.Context, c *syscall.Credential) context.Context {
	return context.WithValue(ctx, credentialKey{}, c)
}

// credential returns the user of that name.
func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
