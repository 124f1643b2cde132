// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// childEnv has the orders of a process, in JSON.
const childEnv = "ASHLAR_LOCK_CHILD"

// Orders are what a process is to do.
type orders struct {
	Kind  string
	Addrs []string // of the servers
	Fence string   // URL of what the lock protects
	Name  string
	Blind bool // in tests: it does not look whether it has the lock still
}

// A look is one at a lock that was held: not before From, and still at To.
type look struct {
	From, To int64 // nanoseconds
	Token    uint64
}

// Times of a process.
const (
	turn    = 700 * time.Millisecond // it gives the lock back after so long
	between = 5 * time.Millisecond   // two writes, and two tries
)

// child is a process that wants the lock, writes while it has it, and tells
// when it had it.
func child(ctx context.Context, text string, stdout io.Writer) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	l, closeAll, err := openLock(ctx, o.Kind, o.Addrs)
	if err != nil {
		return err
	}
	defer closeAll()
	out := json.NewEncoder(stdout)
	for {
		token, ok, err := l.TryAcquire(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || !ok {
			pause(ctx, 10*between)
			continue
		}
		if err := hold(ctx, &o, l, token, out); err != nil {
			return err
		}
		pause(ctx, 20*between) // let others
	}
}

// hold writes while the lock is held, and gives it back after a turn.
func hold(ctx context.Context, o *orders, l lock, token uint64, out *json.Encoder) error {
	first := int64(0)
	begin := time.Now()
	renewed := begin
	for o.Blind || time.Since(begin) < turn {
		at := time.Now().UnixNano()
		now, ok := l.Held()
		if !o.Blind && (!ok || now != token) {
			return nil
		}
		if first == 0 {
			first = time.Now().UnixNano()
		}
		if err := out.Encode(look{first, max(at, first), token}); err != nil {
			return err
		}
		write(ctx, o, token)
		if time.Since(renewed) > ttl/4 {
			_ = l.Renew(ctx) // Held knows
			renewed = time.Now()
		}
		pause(ctx, between)
	}
	_ = l.Release(ctx) // else others wait
	return nil
}

// write writes to what the lock protects, and tells it the token.
func write(ctx context.Context, o *orders, token uint64) {
	ctx, cancel := context.WithTimeout(ctx, 10*ttl)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/%s/%d", o.Fence, o.Name, token), nil)
	if err != nil {
		return
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return // it may be written, or not
	}
	_ = answer.Body.Close() // it says nothing more
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
