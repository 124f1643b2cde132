// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/examples/scaleout/servers"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// dropEvery is how many answers of the server come for one that is lost.
const dropEvery = 50

// An outcome is what happened.
type outcome struct {
	*config
	events    [processes][]event
	summaries [processes]summary
	lost      int  // answers
	back      bool // who came back after the life of its bucket was served
}

// execute starts the server and the processes, and waits for their end.
func (c *config) execute(ctx context.Context) (out *outcome, err error) {
	dir, err := os.MkdirTemp("", "limits-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := servers.Start(ctx, c.kind, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := c.prepare(ctx, server.Addr); err != nil {
		return nil, err
	}

	out = &outcome{config: c}
	addr := server.Addr
	if c.drop {
		proxy, err := servers.NewProxy(ctx, addr, dropEvery)
		if err != nil {
			return nil, err
		}
		defer func() {
			err = errors.Join(err, proxy.Close())
			out.lost = proxy.Lost()
		}()
		addr = proxy.Addr
	}

	// The processes, and what befalls the server meanwhile.
	wait, err := out.start(ctx, addr)
	if err == nil && c.kill {
		err = out.crash(ctx, server)
	}
	if err = errors.Join(err, wait()); err != nil {
		return nil, err
	}
	out.back, err = comesBack(ctx, c.kind, server.Addr)
	return out, err
}

// prepare makes what the store needs.
func (c *config) prepare(ctx context.Context, addr string) error {
	st, err := open(ctx, c.kind.String(), addr)
	if err != nil {
		return err
	}
	defer st.close()
	if pg, ok := st.Store.(*postgresStore); ok {
		return pg.makeTable(ctx)
	}
	return nil
}

// start starts the processes, and returns what waits for them.
func (out *outcome) start(ctx context.Context, addr string) (wait func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return func() error { return nil }, err
	}
	var cmds []*exec.Cmd
	var outputs []*bytes.Buffer
	wait = func() (err error) {
		for i, cmd := range cmds {
			if e := cmd.Wait(); e != nil {
				err = errors.Join(err, fmt.Errorf("process %d: %w", i+1, e))
				continue
			}
			err = errors.Join(err, out.read(i, outputs[i]))
		}
		return err
	}

	for i := range processes {
		o := orders{Kind: out.kind.String(), Addr: addr, Limit: out.limit.String(), Time: out.time}
		if out.skew > 0 {
			o.Skewed = true
			o.Ahead = out.skew * time.Duration(i) / (processes - 1)
		}
		text, err := json.Marshal(o)
		if err != nil {
			return wait, err
		}
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), childEnv+"="+string(text))
		buf := new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr = buf, os.Stderr
		if err := cmd.Start(); err != nil {
			return wait, err
		}
		cmds = append(cmds, cmd)
		outputs = append(outputs, buf)
	}
	return wait, nil
}

// read reads what process i has written.
func (out *outcome) read(i int, r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return err
		}
		switch {
		case l.Event != nil:
			out.events[i] = append(out.events[i], *l.Event)
		case l.Summary != nil:
			out.summaries[i] = *l.Summary
		}
	}
	return lines.Err()
}

// crash kills the server after a third of the time, and starts it again after a
// half.
func (out *outcome) crash(ctx context.Context, server *servers.Server) error {
	pause(ctx, out.time/3)
	if err := server.Kill(); err != nil {
		return err
	}
	pause(ctx, out.time/6)
	return server.Restart(ctx)
}

// comesBack reports whether somebody who spends a bucket, and comes back when
// the store may have forgotten it, is served as at first.
func comesBack(ctx context.Context, kind *servers.Kind, addr string) (bool, error) {
	st, err := open(ctx, kind.String(), addr)
	if err != nil {
		return false, err
	}
	defer st.close()
	shared := ratelimit.NewShared(st, []ratelimit.Limit{{Rate: ratelimit.PerSecond(20), Burst: 10}}, &ratelimit.SharedOptions{Now: st.now})
	for _, want := range []bool{true, false, true} {
		d, err := shared.Take(ctx, "late", 10)
		if err != nil || d.OK != want {
			return false, err
		}
		if !want {
			pause(ctx, 600*time.Millisecond)
		}
	}
	return true, nil
}

// print writes what happened. All figures differ from run to run.
func (out *outcome) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d processes, %s for %v", out.kind, processes, out.limit, out.time)
	if out.skew > 0 {
		fmt.Fprintf(w, ", clocks %v apart", out.skew)
	}
	if out.kill {
		fmt.Fprint(w, ", the server is killed and comes back")
	}
	if out.drop {
		fmt.Fprintf(w, ", %d answers lost", out.lost)
	}

	fmt.Fprintf(w, "\n\n%-8s %9s %9s %9s %9s %9s %9s\n", "process", "asked", "admitted", "local", "returned", "failures", "trips")
	for i, events := range out.events {
		var admitted, local, back int
		for _, e := range events {
			switch {
			case e.Back:
				back++
			case e.Local:
				local++
			default:
				admitted++
			}
		}
		s := out.summaries[i]
		fmt.Fprintf(w, "%-8d %9d %9d %9d %9d %9d %9d\n", i+1, s.Asked, admitted, local, back, s.Failed, s.Tripped)
	}
	fmt.Fprintln(w)
}

// judge checks the laws, and prints which hold.
func (out *outcome) judge(w io.Writer) error {
	burst, perSecond, err := numbers(out.limit)
	if err != nil {
		return err
	}
	var shared, local []event
	for _, events := range out.events {
		for _, e := range events {
			if e.Local {
				local = append(local, e)
			} else {
				shared = append(shared, e)
			}
		}
	}

	// Every window, by what was surely in it.
	losses := float64(out.losses())
	most := burst*(1+losses) + perSecond*out.skew.Seconds()
	if err := windows(shared, most, perSecond); err != nil {
		return fmt.Errorf("law broken: by the store, %w", err)
	}
	if err := windows(local, float64(processes)*float64(int(burst/processes)), perSecond); err != nil {
		return fmt.Errorf("law broken: by the processes alone, %w", err)
	}
	admitted, back := 0, 0
	for _, e := range shared {
		if e.Back {
			back++
		} else {
			admitted++
		}
	}
	fmt.Fprintf(w, "law holds: in every window the store let through at most burst + rate ×\n"+
		"           (window + %v), and %v bursts for losses (%d, %d of them given back);\n"+
		"           the processes alone, no more than that (%d)\n", out.skew, losses, admitted, back, len(local))

	if !out.kill && !out.drop {
		if least := 0.5 * perSecond * out.time.Seconds(); float64(admitted-back) < least {
			return fmt.Errorf("law broken: %d were let through, at least %.0f", admitted-back, least)
		}
		fmt.Fprintln(w, "law holds: the limit is used")
	}
	if out.kill && len(local) == 0 {
		return errors.New("law broken: nobody was served while the store was down")
	}
	if out.kill {
		for i, s := range out.summaries {
			if most := s.Tripped*(tripAfter+workers) + s.HalfOpen + workers + int64(4*out.lost); s.Failed > most {
				return fmt.Errorf("law broken: process %d asked a dead store %d times, at most %d", i+1, s.Failed, most)
			}
		}
		fmt.Fprintln(w, "law holds: a dead store was asked no more than its breakers permit")
	}
	if !out.back {
		return errors.New("law broken: who comes back later is not served")
	}
	fmt.Fprintln(w, "law holds: who comes back later finds a full bucket")
	return nil
}

// windows returns an error if more events were surely in a window than burst +
// rate × window, but for those that were given back in it.
func windows(events []event, burst, perSecond float64) error {
	byFrom := slices.Clone(events)
	slices.SortFunc(byFrom, func(a, b event) int { return int(a.From - b.From) })
	for i, first := range byFrom {
		if first.Back {
			continue
		}
		// Ends of the events that began since, in order: each ends a window.
		var ends, backs []int64
		for _, e := range byFrom[i:] {
			if e.Back {
				backs = append(backs, e.From) // the earliest
			} else {
				ends = append(ends, e.To)
			}
		}

		slices.Sort(ends)
		slices.Sort(backs)
		given := 0
		for n, to := range ends {
			for given < len(backs) && backs[given] <= to {
				given++
			}
			window := time.Duration(to - first.From).Seconds()
			if float64(n+1) > burst+perSecond*window+float64(given)+1e-6 {
				return fmt.Errorf("%d were admitted in %.3f s and %d given back, with a burst of %v and %v a second", n+1, window, given, burst, perSecond)
			}
		}
	}
	return nil
}
