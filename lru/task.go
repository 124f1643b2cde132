// SPDX-License-Identifier: MIT

package lru

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A task is a call of a loader under way, with the flights that it loads. It is
// the context of the loader, with the values of the call that began it and not
// its end. So it is known for which load a loader waits: if that were the
// loader itself, in whatever ways, it would wait forever.
type task struct {
	values     context.Context // of the call that began it
	ctx        context.Context // of the loader: the task itself, or derived from it
	cancel     context.CancelFunc
	stop       func() bool // keeps the time from ending the task
	parent     *task       // the task from within which it began, and which waits for it
	first      any         // the first of its flights; others follow by next
	background bool        // no call has asked for it
	ended      atomic.Bool // its flights are being landed: the loader has returned, or its time is up

	wanted int           // flights that a call waits for; protected by tasks
	waits  map[*task]int // the tasks that it waits for, how often; protected by tasks
}

// tasks protects the waits of all tasks. Only loads within loads take it, and
// abandoned ones, and nothing else is locked with it held.
var tasks sync.Mutex

type taskKey struct{}

// Deadline, Done and Err are those of a context that does not end.
func (t *task) Deadline() (deadline time.Time, ok bool) { return deadline, false }
func (t *task) Done() <-chan struct{}                   { return nil }
func (t *task) Err() error                              { return nil }

// Value returns t for its own key, and else the value of the call that began
// it.
func (t *task) Value(key any) any {
	if key == (taskKey{}) {
		return t
	}
	return t.values.Value(key)
}

// taskOf returns the task in whose loader ctx is, or nil.
func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}

// blockOn notes that t, unless it is nil, waits for u. If u waits for t, it
// does not, and returns false.
func (t *task) blockOn(u *task) bool {
	if t == nil {
		return true
	}
	tasks.Lock()
	defer tasks.Unlock()
	if u.reaches(t) {
		return false
	}
	if t.waits == nil {
		t.waits = map[*task]int{}
	}
	t.waits[u]++
	return true
}

// unblock ends the wait that blockOn began.
func (t *task) unblock(u *task) {
	if t == nil {
		return
	}
	tasks.Lock()
	defer tasks.Unlock()
	t.waits[u]--
	if t.waits[u] == 0 {
		delete(t.waits, u)
	}
}

// reaches reports whether t is u or waits for it. There are no cycles, so this
// ends.
func (t *task) reaches(u *task) bool {
	if t == u {
		return true
	}
	for w := range t.waits {
		if w.reaches(u) {
			return true
		}
	}
	return false
}

// within reports whether a load of key in c is under way in t or in a task from
// within which t began.
func within[K comparable, V any](t *task, c *Cache[K, V], key K) bool {
	for ; t != nil; t = t.parent {
		for f, _ := t.first.(*flight[K, V]); f != nil; f = f.next {
			if f.c == c && f.key == key && !f.landed.Load() {
				return true
			}
		}
	}
	return false
}
