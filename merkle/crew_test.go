// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"crypto/sha256"
	"hash"
	"runtime"
	"testing"
)

// A readerAtFunc is a reader of a file.
type readerAtFunc func(b []byte, off int64) (int, error)

func (f readerAtFunc) ReadAt(b []byte, off int64) (int, error) { return f(b, off) }

// onGoroutines are the calls that run user code on goroutines: each with code
// that calls fail at some point.
func onGoroutines(fail func()) map[string]func(ctx context.Context) error {
	tree := NewTree(NewHasher(func() hash.Hash {
		n := 0
		return hookHash{sha256.New(), func() {
			if n++; n == 3 {
				fail()
			}
		}}
	}))

	read := func(b []byte, off int64) (int, error) {
		if off == 3*testChunk {
			fail()
		}
		return len(b), nil
	}

	return map[string]func(ctx context.Context) error{
		"AppendAll": func(ctx context.Context) error {
			defer func() {
				if tree.Len() != 0 {
					panic("the tree changed")
				}
			}()
			return tree.AppendAll(ctx, numbers(5000))
		},
		"SumFile": func(ctx context.Context) error {
			_, _, err := SumFile(ctx, readerAtFunc(read), 100*testChunk, smallChunks)
			return err
		},
	}
}

// TestUserPanic checks that user code that panics on a goroutine panics where
// the call was made, where it can be recovered.
func TestUserPanic(t *testing.T) {
	for name, call := range onGoroutines(func() { panic(errBroken) }) {
		func() {
			defer func() {
				if got := recover(); got != errBroken {
					t.Errorf("%s: panic = %v, want %v", name, got, errBroken)
				}
			}()
			t.Errorf("%s returns %v, want a panic", name, call(t.Context()))
		}()
	}
}

// TestUserGoexit checks that user code that ends its goroutine, as t.FailNow
// does, ends the one that made the call: the work is not done.
func TestUserGoexit(t *testing.T) {
	for name, call := range onGoroutines(runtime.Goexit) {
		ended := make(chan struct{})
		go func() { // ends in the call
			defer close(ended)
			t.Errorf("%s returns %v, want none", name, call(t.Context()))
		}()
		<-ended
	}
}

// TestUserPanicStops checks that no part is begun after one has panicked.
func TestUserPanicStops(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one part after the other
	hashed := 0
	tree := NewTree(NewHasher(func() hash.Hash {
		return hookHash{sha256.New(), func() {
			hashed++
			panic(errBroken)
		}}
	}))
	mustPanic(t, errBroken.Error(), func() { _ = tree.AppendAll(t.Context(), numbers(5000)) })
	if hashed != 1 {
		t.Errorf("%d leaves are hashed, want 1", hashed)
	}
}

// A childless is a context that counts the contexts that were made of it, and
// have not ended.
type childless struct {
	context.Context
	done     chan struct{}
	children int
}

func (c *childless) Done() <-chan struct{} { return c.done }

// AfterFunc is how package context adds a child to a context of another type.
func (c *childless) AfterFunc(func()) (stop func() bool) {
	c.children++
	return func() bool { c.children--; return true }
}

// TestCrewContext checks that a call leaves nothing behind in its context.
func TestCrewContext(t *testing.T) {
	for name, call := range onGoroutines(func() {}) {
		if name == "AppendAll" {
			call = func(ctx context.Context) error { return new(Tree).AppendAll(ctx, numbers(10)) }
		}
		ctx := &childless{Context: t.Context(), done: make(chan struct{})}
		if err := call(ctx); err != nil {
			t.Error(err)
		}
		if ctx.children != 0 {
			t.Errorf("%s leaves %d contexts behind", name, ctx.children)
		}
	}
}
