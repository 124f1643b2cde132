// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// victimDir names the variable that makes this program the process to be
// killed, and tells it where its links are.
const victimDir = "ASHLAR_SHORTENER_VICTIM"

// What is asked of the victim, and when it is killed.
const (
	killClicks  = 250 // of one link
	killURLs    = 400
	killWriters = 16
	killAfter   = 200 // links that were acknowledged
)

// victim serves links, tells where, and stops when its input ends: when the one
// who started it is no more.
func victim(ctx context.Context, dir string, stdin io.Reader, stdout io.Writer) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // it ends with the input, or with the process
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()
	c := &config{
		serve: loopback,
		dir:   dir,
		base:  site,
		limit: ratelimit.Limit{Rate: ratelimit.Inf, Burst: 1},
	}
	return c.serveLinks(ctx, stdout)
}

// A process is a victim.
type process struct {
	*client
	cmd *exec.Cmd
}

// start starts a victim and waits until it serves.
func start(ctx context.Context, dir string) (p *process, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p = &process{cmd: exec.CommandContext(ctx, self)}
	p.cmd.Env = append(os.Environ(), victimDir+"="+dir)
	p.cmd.Stderr = os.Stderr
	if _, err := p.cmd.StdinPipe(); err != nil { // it stops when the pipe does
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	base, _, ok := strings.Cut(line, " ")
	if err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("the other process says %q instead of its address", line), err, p.kill())
	}
	p.client = newClient(base)
	return p, nil
}

// kill kills the process, and waits until it is gone. Nothing of it runs any
// more: no deferred call, no Close.
func (p *process) kill() error {
	if p.client != nil {
		p.http.CloseIdleConnections()
	}
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed; this closes the pipes
	return err
}

// An account is what clients of the processes were told.
type account struct {
	mu       sync.Mutex // protects promises
	promises []promise
	killed   atomic.Bool
}

// told adds an acknowledgment, and returns how many there are.
func (a *account) told(r *reply) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.promises = append(a.promises, promise{code: r.Code, url: r.URL})
	return len(a.promises)
}

// reportKill kills a process that makes links, starts it again, kills it once
// more, and looks at what it has left.
func reportKill(ctx context.Context, _ *config, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "shortener-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	// One process is killed, and another goes on with its directory.
	a := new(account)
	clicked, err := a.interrupted(ctx, dir)
	if err != nil {
		return err
	}
	before := len(a.promises)
	if err := a.again(ctx, dir); err != nil {
		return err
	}
	if before < killAfter || before >= killURLs {
		return fmt.Errorf("%d links were acknowledged before the kill, want %d or more and not all", before, killAfter)
	}
	if err := a.inspect(ctx, dir, clicked); err != nil {
		return err
	}

	fmt.Fprintf(out, "kill -9 of another process, which serves %d clients, after %d links\n", killWriters, killAfter)
	fmt.Fprintf(out, "law holds: no acknowledged link was lost, and those %d URLs and their codes\n", killURLs)
	fmt.Fprintf(out, "           are a bijection, also after another kill\n")
	_, err = fmt.Fprintf(out, "law holds: of %d clicks fewer than %d were lost, and none was invented\n", killClicks, behind)
	return err
}

func killURL(i int) string { return fmt.Sprintf("https://example.com/kill/%d", i) }

// interrupted clicks on a link, has clients make links at the same time, and
// kills the process when enough are acknowledged. It returns the code of what
// was clicked.
func (a *account) interrupted(ctx context.Context, dir string) (clicked string, err error) {
	p, err := start(ctx, dir)
	if err != nil {
		return "", err
	}
	kill := sync.OnceValue(func() error {
		a.killed.Store(true)
		return p.kill()
	})
	defer func() { err = errors.Join(err, kill()) }()
	r, err := p.post(ctx, "", request{URL: killURL(0)})
	if err != nil {
		return "", err
	}
	a.told(r)
	for range killClicks {
		if _, err := p.get(ctx, r.Code); err != nil {
			return "", err
		}
	}

	// Each writer has URLs of its own, and stops when nobody answers any more.
	var g errgroup.Group
	for i := range killWriters {
		g.Go(func() error {
			for u := i + 1; u < killURLs; u += killWriters {
				r, err := p.post(ctx, "", request{URL: killURL(u)})
				if err != nil && a.killed.Load() {
					return nil
				}
				if err != nil {
					return err
				}
				if r.status != http.StatusCreated {
					return fmt.Errorf("%s: the answer is %d: %s", killURL(u), r.status, r.Error)
				}
				if a.told(r) == killAfter {
					if err := kill(); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return r.Code, g.Wait()
}

// again asks another process on the same directory for all links, and kills it
// as well.
func (a *account) again(ctx context.Context, dir string) (err error) {
	p, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.kill()) }()
	for _, old := range a.promises {
		r, err := p.get(ctx, old.code)
		if err != nil {
			return err
		}
		if to := r.header.Get("Location"); to != old.url {
			return fmt.Errorf("%s led to %s before the kill, and leads to %q after it: %d", old.code, old.url, to, r.status)
		}
	}

	// Those that were acknowledged have a code already, and the rest get one.
	for i := range killURLs {
		r, err := p.post(ctx, "", request{URL: killURL(i)})
		if err != nil {
			return err
		}
		if r.status != http.StatusCreated && r.status != http.StatusOK {
			return fmt.Errorf("%s: the answer is %d: %s", killURL(i), r.status, r.Error)
		}
		a.told(r)
	}
	return nil
}

// inspect opens the database in this process, and checks it.
func (a *account) inspect(ctx context.Context, dir, clicked string) (err error) {
	db, err := lsm.Open(dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	l, err := openLinks(ctx, db, options{now: time.Now, hot: 1, known: knownCodes})
	if err != nil {
		return err
	}
	links, aliases, err := l.check(a.promises)
	if err != nil {
		return err
	}
	if links != killURLs || aliases != 0 {
		return fmt.Errorf("there are %d links and %d aliases, want %d and 0", links, aliases, killURLs)
	}
	n, err := l.Clicks(clicked)
	if err != nil {
		return err
	}
	return checkLost(n)
}

// checkLost checks the clicks that are left of killClicks. Another one was that
// of the second process, which may be lost as well.
func checkLost(n uint64) error {
	if n+behind <= killClicks || n > killClicks+1 {
		return fmt.Errorf("%d clicks are left of %d, want more than %d", n, killClicks, killClicks-behind)
	}
	return nil
}
