// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A fence is what the lock protects: it takes writes, and refuses those with a
// token that is less than one it has seen.
type fence struct {
	url    string
	server *http.Server
	done   chan struct{} // closed when the server has ended

	mu      sync.Mutex // protects the fields below
	highest uint64
	writes  []written
	refused int
	open    bool          // in tests: it refuses nothing
	changed chan struct{} // closed and replaced when there is a write

	// stop is called for the next write before it is looked at, and returns
	// when that is to go on; nil if none is stopped. stopped gets what became
	// of that write.
	stop    func(name string, token uint64)
	stopped chan bool
}

// A written is a write that was taken.
type written struct {
	name  string
	token uint64
}

func newFence(ctx context.Context) (*fence, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &fence{url: "http://" + ln.Addr().String(), done: make(chan struct{}), stopped: make(chan bool, 1), changed: make(chan struct{})}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() { // ends with close
		_ = f.server.Serve(ln) // it says that it was closed
		close(f.done)
	}()
	return f, nil
}

func (f *fence) close() error {
	err := f.server.Close()
	<-f.done
	return err
}

// ServeHTTP takes a write.
func (f *fence) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	var token uint64
	if _, err := fmt.Sscanf(rest, "%d", &token); err != nil {
		http.Error(w, "no token", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	stop := f.stop
	f.stop = nil
	f.mu.Unlock()
	if stop != nil {
		stop(name, token)
	}
	taken := f.write(name, token)
	if stop != nil {
		f.stopped <- taken
	}
	if !taken {
		http.Error(w, "the token is old", http.StatusConflict)
	}
}

func (f *fence) write(name string, token uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if token < f.highest && !f.open {
		f.refused++
		return false
	}
	f.highest = max(f.highest, token)
	f.writes = append(f.writes, written{name, token})
	close(f.changed)
	f.changed = make(chan struct{})
	return true
}

// count returns how many writes were taken, and refused.
func (f *fence) count() (taken, refused int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.writes), f.refused
}

// taken returns the writes that were taken.
func (f *fence) taken() []written {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.writes)
}

// last returns the last write that was taken; there is one.
func (f *fence) last() written {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes[len(f.writes)-1]
}

// await waits until ok says so of the last write.
func (f *fence) await(ctx context.Context, ok func(last written) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		f.mu.Lock()
		n := len(f.writes)
		found := n > 0 && ok(f.writes[n-1])
		changed := f.changed
		f.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no other holder has written: %w", ctx.Err())
		case <-changed:
		}
	}
}
