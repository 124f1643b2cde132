// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
)

// A trial is servers that keep a lock, processes that want it, and what it
// protects.
type trial struct {
	c       *config
	w       io.Writer
	servers []*servers.Server
	fence   *fence

	mu        sync.Mutex // protects the fields below
	processes map[string]*os.Process
	looks     map[string][]look
	wg        sync.WaitGroup // of what reads them

	stale string // of a write of a former holder that was taken: who, after whom
}

// processes want the lock.
const processes = 4

// start starts all. stop is to be called also after an error.
func (c *config) start(ctx context.Context, w io.Writer) (*trial, func() error, error) {
	t := &trial{c: c, w: w, processes: map[string]*os.Process{}, looks: map[string][]look{}}
	root, err := os.MkdirTemp("", "lock-")
	if err != nil {
		return nil, func() error { return nil }, err
	}
	stop := func() error { return t.stop(root) }
	if err := os.Chmod(root, 0o755); err != nil { // for a server that runs as another user
		return nil, stop, err
	}

	var addrs []string
	for i := range c.n {
		dir := filepath.Join(root, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, stop, err
		}
		s, err := servers.Start(ctx, c.kind, dir)
		if s != nil {
			t.servers = append(t.servers, s)
		}
		if err != nil {
			return nil, stop, err
		}
		addrs = append(addrs, s.Addr)
	}
	if err := makeTables(ctx, c.store, addrs); err != nil {
		return nil, stop, err
	}
	if t.fence, err = newFence(ctx); err != nil {
		return nil, stop, err
	}
	t.fence.open = c.open
	for i := range processes {
		if err := t.startProcess(ctx, orders{c.store, addrs, t.fence.url, fmt.Sprintf("p%d", i+1), c.blind}); err != nil {
			return nil, stop, err
		}
	}
	return t, stop, nil
}

// startProcess starts a process, whose looks are kept.
func (t *trial) startProcess(ctx context.Context, o orders) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}

	// Its looks are what it writes.
	t.processes[o.Name] = cmd.Process
	t.wg.Go(func() { // ends with the process
		lines := json.NewDecoder(out)
		for {
			var l look
			if lines.Decode(&l) != nil {
				break // it has ended, perhaps in the middle of a line
			}
			t.mu.Lock()
			t.looks[o.Name] = append(t.looks[o.Name], l)
			t.mu.Unlock()
		}
		_ = cmd.Wait() // it was killed
	})
	return nil
}

// end ends the processes.
func (t *trial) end() {
	for _, p := range t.processes {
		_ = p.Kill() // it may have ended
	}
	t.wg.Wait()
}

func (t *trial) stop(root string) (err error) {
	t.end()
	if t.fence != nil {
		err = t.fence.close()
	}
	for _, s := range t.servers {
		err = errors.Join(err, s.Stop())
	}
	return errors.Join(err, os.RemoveAll(root))
}

// run has the faults of a trial, one after the other.
func (t *trial) run(ctx context.Context) error {
	if err := t.others(ctx, ""); err != nil {
		return err
	}
	steps := []func(context.Context) error{t.killServers, t.pauseServers, t.stopHolder, t.killHolder, t.tooFew}
	switch t.c.store {
	case "etcd":
		steps = steps[2:]
	case "single":
		steps = []func(context.Context) error{t.killHolder, t.forget, t.stopHolder}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	t.end()
	return nil
}

// others waits until another process than that of a name writes.
func (t *trial) others(ctx context.Context, name string) error {
	return t.fence.await(ctx, func(last written) bool { return last.name != name })
}

// minority is how many servers may fail.
func (t *trial) minority() int { return (t.c.n - 1) / 2 }

// killServers kills a minority of the servers, and starts them again.
func (t *trial) killServers(ctx context.Context) error {
	some := t.servers[:t.minority()]
	return t.without(ctx, "killed", some, (*servers.Server).Kill, func(s *servers.Server) error { return s.Restart(ctx) })
}

// pauseServers stops a minority of the servers, which do not answer, for a
// while.
func (t *trial) pauseServers(ctx context.Context) error {
	some := t.servers[t.c.n-t.minority():]
	return t.without(ctx, "paused", some, (*servers.Server).Pause, (*servers.Server).Continue)
}

// without checks that there are holders and writes while some servers are away.
func (t *trial) without(ctx context.Context, how string, some []*servers.Server, leave, back func(*servers.Server) error) error {
	for _, s := range some {
		if err := leave(s); err != nil {
			return err
		}
	}
	begin, _ := t.fence.count()
	last := t.fence.last().name
	pause(ctx, ttl)
	err := t.others(ctx, last)
	end, _ := t.fence.count()
	for _, s := range some {
		err = errors.Join(err, back(s))
	}
	if err != nil {
		return fmt.Errorf("%d servers are %s: %w", len(some), how, err)
	}
	_, err = fmt.Fprintf(t.w, "  %d of %d servers %s: %d writes meanwhile, the last by another holder\n", len(some), t.c.n, how, end-begin)
	return err
}

// stopHolder stops a holder in the middle of a write until another has written.
func (t *trial) stopHolder(ctx context.Context) error {
	failed := make(chan error, 1)
	who := ""
	t.fence.mu.Lock()
	t.fence.stop = func(name string, _ uint64) {
		p := t.processes[name]
		err := p.Signal(syscall.SIGSTOP)
		if err == nil {
			before, _ := t.fence.count() // it may be the first write of its turn
			err = t.fence.await(ctx, func(last written) bool { return last.name != name && len(t.fence.writes) > before })
			who = fmt.Sprintf("%s, after one of %s", name, t.fence.last().name)
		}
		failed <- errors.Join(err, p.Signal(syscall.SIGCONT))
	}
	t.fence.mu.Unlock()

	// It goes on when another has written.
	select {
	case err := <-failed:
		if err != nil {
			return fmt.Errorf("a holder is stopped: %w", err)
		}
	case <-ctx.Done(): // and perhaps nobody writes any more
		return ctx.Err()
	}
	verdict := "refused"
	if <-t.fence.stopped {
		verdict = "taken"
		t.stale = who
	}
	pause(ctx, ttl/2) // it goes on
	_, err := fmt.Fprintf(t.w, "  a holder stopped in a write until another has written: that write was %s\n", verdict)
	return err
}

// killHolder kills a holder.
func (t *trial) killHolder(ctx context.Context) error {
	name := t.fence.last().name
	if err := t.processes[name].Kill(); err != nil {
		return err
	}
	begin := time.Now()
	if err := t.others(ctx, name); err != nil {
		return fmt.Errorf("a holder is killed: %w", err)
	}
	_, err := fmt.Fprintf(t.w, "  a holder killed: the next one writes after %v\n", time.Since(begin).Round(time.Millisecond))
	return err
}

// tooFew kills so many servers that nobody can have the lock for longer.
func (t *trial) tooFew(ctx context.Context) error {
	some := t.servers[:t.minority()+1]
	for _, s := range some {
		if err := s.Kill(); err != nil {
			return err
		}
	}
	pause(ctx, 3*ttl/2) // the last holder may have renewed
	begin, _ := t.fence.count()
	pause(ctx, ttl)
	end, _ := t.fence.count()
	for _, s := range some {
		if err := s.Restart(ctx); err != nil {
			return err
		}
	}
	if begin != end {
		return fmt.Errorf("%d of %d servers are killed, and there are %d writes", len(some), t.c.n, end-begin)
	}
	if err := t.others(ctx, ""); err != nil {
		return fmt.Errorf("all servers are there again: %w", err)
	}
	_, err := fmt.Fprintf(t.w, "  %d of %d servers killed: nobody writes after %v\n", len(some), t.c.n, 3*ttl/2)
	return err
}

// forget kills the server, which forgets, until two have the lock at once.
func (t *trial) forget(ctx context.Context) error {
	for range 10 {
		// In the beginning of a turn.
		if err := t.others(ctx, t.fence.last().name); err != nil {
			return err
		}
		if err := errors.Join(t.servers[0].Kill(), t.servers[0].Restart(ctx)); err != nil {
			return err
		}
		pause(ctx, ttl)
		if both := t.together(); both > 0 {
			_, err := fmt.Fprintf(t.w, "  the server killed, without its data: two holders at once for %v\n", both.Round(time.Millisecond))
			return err
		}
	}
	return errors.New("the server has forgotten, and there are no two holders")
}

// together returns the longest time for which two had the lock at once.
func (t *trial) together() (longest time.Duration) {
	list := t.holdings()
	for i := range list {
		longest = max(longest, together(list[:i+1]))
	}
	return longest
}

func (t *trial) holdings() []holding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return holdings(t.looks)
}

// judge checks the laws, of what the processes and the fence have seen.
func (t *trial) judge() error {
	list := t.holdings()
	taken, refused := t.fence.count()
	fmt.Fprintf(t.w, "%d holders one after the other, %d writes taken, %d refused\n", len(list), taken, refused)
	if t.c.store == "single" {
		return t.judgeSingle(list)
	}
	if len(list) < 3 {
		return fmt.Errorf("there were %d holders, want more", len(list))
	}

	for _, law := range []struct {
		text string
		err  error
	}{
		{"two never had it at once", alone(list)},
		{"tokens grow from holder to holder", growing(list)},
		{"no write of a former holder was taken", fenced(t.fence.taken())},
	} {
		if law.err != nil {
			return law.err
		}
		if _, err := fmt.Fprintf(t.w, "law holds: %s\n", law.text); err != nil {
			return err
		}
	}
	return nil
}

// judgeSingle checks that the usual lock breaks both laws.
func (t *trial) judgeSingle(list []holding) error {
	two := alone(list)
	if two == nil || t.stale == "" {
		return errors.New("the usual lock breaks no law, which it should here")
	}
	_, err := fmt.Fprintf(t.w, "law broken, by a server that forgets:\n  %v\nlaw broken, without a token: a write was taken of %s\n", two, t.stale)
	return err
}

// kinds are the servers of each store.
var kinds = map[string]*servers.Kind{
	"redis": servers.Redis, "postgres": servers.Postgres, "etcd": servers.Etcd, "single": servers.RedisInMemory,
}

// names of stores, for messages.
func stores() []string {
	var list []string
	for name := range kinds {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
