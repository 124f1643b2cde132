// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// childEnv has the orders of a machine that is lost, in JSON.
const childEnv = "ASHLAR_BACKUP_CHILD"

// Orders are what a machine is to do.
type orders struct {
	Dir, URL string
	Seed     uint64
}

// machine makes one commit after the other, and tells which were acknowledged,
// and which are surely in the store.
func machine(ctx context.Context, text string, stdout io.Writer) (err error) {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	a, err := newArchive(ctx, lsm.OSFS{}, o.Dir, fakeClient(o.URL), archiveOptions{})
	if err != nil {
		return err
	}
	defer a.close()
	db, err := lsm.Open(o.Dir, dbOptions(a))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	first, err := commitsOf(db)
	if err != nil {
		return err
	}

	var done atomic.Int64
	done.Store(int64(first))
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { // ends with ctx
		for ctx.Err() == nil {
			n := done.Load()
			if a.flush(ctx) == nil {
				fmt.Fprintf(stdout, "shipped %d\n", n)
			}
			time.Sleep(time.Millisecond)
		}
	})
	h := history{seed: o.Seed}
	for n := first + 1; ; n++ {
		if err := h.apply(ctx, db, n); err != nil {
			return err
		}
		done.Store(int64(n))
		if _, err := fmt.Fprintf(stdout, "committed %d %d\n", n, time.Now().UnixNano()); err != nil {
			return err
		}
	}
}

// A loss is how a machine is lost.
type loss struct {
	name   string
	object string // in the middle of the upload of such a one, or at any time
}

var losses = []loss{
	{"at any time", ""},
	{"as a segment is uploaded", segmentsPrefix},
	{"as a table is uploaded", tablesPrefix},
}

// leastCommits are those of a machine before it is lost.
const leastCommits = 150

// told is what a machine has told.
type told struct {
	acked, shipped int
	at             map[int]time.Time // when a commit was acknowledged
	killed         time.Time
}

// startMachine starts a machine, and returns what it tells.
func startMachine(ctx context.Context, o orders) (*exec.Cmd, io.Reader, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return cmd, out, cmd.Start()
}

// run starts a machine, and kills it.
func (l loss) run(ctx context.Context, f *fake, o orders) (*told, error) {
	cmd, out, err := startMachine(ctx, o)
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	var killed atomic.Int64
	kill := func() {
		killed.CompareAndSwap(0, time.Now().UnixNano())
		_ = cmd.Process.Kill() // it may have ended
	}

	t := &told{at: map[int]time.Time{}}
	lines := bufio.NewScanner(out)
	for armed := false; lines.Scan(); {
		var n int
		var at int64
		if k, _ := fmt.Sscanf(lines.Text(), "committed %d %d", &n, &at); k == 2 {
			t.acked = n
			t.at[n] = time.Unix(0, at)
		} else if k, _ := fmt.Sscanf(lines.Text(), "shipped %d", &n); k == 1 {
			t.shipped = n
		}
		if len(t.at) < leastCommits || armed {
			continue
		}
		armed = true
		if l.object == "" {
			kill()
			continue
		}
		f.set(func(f *fake) {
			f.half = func(name string) (cut bool) {
				if !strings.HasPrefix(name, l.object) {
					return false
				}
				kill()
				<-ended
				return true
			}
		})
	}
	_ = cmd.Wait() // it was killed
	close(ended)
	f.set(func(f *fake) { f.half = nil })
	if killed.Load() == 0 {
		return nil, errors.Join(ctx.Err(), lines.Err(), errors.New("the machine has ended by itself"))
	}
	t.killed = time.Unix(0, killed.Load())
	return t, errors.Join(ctx.Err(), lines.Err())
}

// reportLost loses machines one after the other. Each goes on where the store
// has the one before.
func reportLost(ctx context.Context, c *config, w io.Writer) (err error) {
	f, err := newFake(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	f.set(func(f *fake) {
		f.failEvery, f.loseEvery = 23, 31
	})
	root, err := os.MkdirTemp("", "backup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()

	fmt.Fprintf(w, "lost machines; of the requests to the store one in 23 fails, and the answer\nto one in 31 is lost\n")
	for i, l := range losses {
		dir := filepath.Join(root, fmt.Sprint(i))
		next := filepath.Join(root, fmt.Sprint(i+1))
		t, err := l.run(ctx, f, orders{dir, f.client.endpoint, c.seed})
		if err == nil {
			err = errors.Join(os.RemoveAll(dir), t.replace(ctx, c, f.client, next, l.name, w))
		}
		if err != nil {
			return fmt.Errorf("lost %s: %w", l.name, err)
		}
	}
	_, err = fmt.Fprintf(w, "law holds: what was shipped is there, and of what was acknowledged the last\n           RPO commits are missing\n\n")
	return err
}

// replace restores what a lost machine had, and checks it.
func (t *told) replace(ctx context.Context, c *config, st store, dir, name string, w io.Writer) error {
	start := time.Now()
	r, err := restore(ctx, st, lsm.OSFS{}, dir, start, c.f)
	if err != nil {
		return err
	}
	db, err := lsm.Open(dir, dbOptions(lsm.OSFS{}))
	if err != nil {
		return err
	}
	_, err = commitsOf(db)
	rto := time.Since(start)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}

	n, err := history{seed: c.seed}.check(ctx, lsm.OSFS{}, dir)
	if err != nil {
		return err
	}
	if n < t.shipped || n > t.acked+1 || t.shipped == 0 {
		return fmt.Errorf("%d commits, of %d that were shipped and %d acknowledged", n, t.shipped, t.acked)
	}
	rpo := time.Duration(0)
	if at, ok := t.at[n+1]; ok { // the first that is missing
		rpo = t.killed.Sub(at)
	}
	_, err = fmt.Fprintf(w, "  %s: %d acknowledged, %d restored\n    RPO %d commits, %v; RTO %v, %d tables and %d segments\n", name, t.acked, n,
		max(t.acked-n, 0), rpo.Round(time.Millisecond/10), rto.Round(time.Millisecond/10), r.tables, r.segments)
	return err
}

// reportAway takes the store away for a while.
func reportAway(ctx context.Context, c *config, w io.Writer) (err error) {
	f, err := newFake(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	a, err := newArchive(ctx, lsm.NewMemFS(), "db", f.client, archiveOptions{f: c.f})
	if err != nil {
		return err
	}
	defer a.close()
	db, err := lsm.Open("db", dbOptions(a))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	// 100 commits, 300 more while the store is away, and it comes back.
	h := history{seed: c.seed}
	const first, all = 100, 400
	for n := 1; n <= all; n++ {
		if err := h.apply(ctx, db, n); err != nil {
			return err
		}
		if n == first {
			if err := a.flush(ctx); err != nil {
				return err
			}
			f.set(func(f *fake) { f.down = true })
		}
	}
	behind := a.behind()
	n, err := h.restored(ctx, f.objects, c.f)
	if err == nil && (n != first || behind <= 0) {
		err = fmt.Errorf("it has %d commits, want %d, and is behind by %v", n, first, behind)
	}
	if err != nil {
		return fmt.Errorf("the store is away: %w", err)
	}
	f.set(func(f *fake) { f.down = false })
	if err := a.flush(ctx); err != nil {
		return err
	}
	if n, err = h.restored(ctx, f.objects, c.f); err == nil && n != all {
		err = fmt.Errorf("it has %d commits, want %d", n, all)
	}
	if err != nil {
		return fmt.Errorf("the store is back: %w", err)
	}
	fmt.Fprintf(w, "the store is away for %d commits, which wait on the disk\n", all-first)
	_, err = fmt.Fprintf(w, "law holds: it has the first %d meanwhile, and all when it is back\n", first)
	return err
}

// restored returns how many commits a store has.
func (h history) restored(ctx context.Context, st store, f *faults) (int, error) {
	fsys := lsm.NewMemFS()
	if _, err := restore(ctx, st, fsys, "db", time.Now(), f); err != nil {
		return 0, err
	}
	return h.check(ctx, fsys, "db")
}
