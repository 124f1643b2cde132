// SPDX-License-Identifier: MIT

package main

import (
	"net/http"
	"sync"
	"sync/atomic"
)

// A call earns a tenth of a second try, and at most retryMax are saved up.
// While a few calls fail, each of them is tried again; when all fail, the
// servers get a tenth more than without second tries, not twice as much.
const (
	retryShare = 10 // calls that earn one
	retryMax   = 10
)

// A budget is the second tries that a service may make. It is safe for
// concurrent use by multiple goroutines.
type budget struct {
	mu     sync.Mutex // protects tenths
	tenths int

	calls, taken, saved, refused atomic.Int64 // calls, second tries, those that went well, those there were no means for
}

// newBudget returns a budget that is full.
func newBudget() *budget { return &budget{tenths: retryMax * retryShare} }

func (b *budget) earn() {
	b.calls.Add(1)
	b.add(1)
}

func (b *budget) add(tenths int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenths = min(b.tenths+tenths, retryMax*retryShare)
}

// take reports whether there may be a second try.
func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tenths < retryShare {
		b.refused.Add(1)
		return false
	}
	b.tenths -= retryShare
	b.taken.Add(1)
	return true
}

// giveBack returns what take has taken for a try that was not made.
func (b *budget) giveBack() {
	b.taken.Add(-1)
	b.add(retryShare)
}

// repeatable reports whether a request may be sent twice: it changes nothing,
// and has no body, of which a part is gone.
func repeatable(r *http.Request) bool {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	return safe && (r.Body == nil || r.Body == http.NoBody)
}
