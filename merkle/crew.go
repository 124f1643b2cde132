// SPDX-License-Identifier: MIT

package merkle

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A crew does work on several goroutines. Hashes and readers are user code: if
// one of them panics or calls [runtime.Goexit], the other goroutines end as
// after an error, and then wait panics or calls Goexit. The group alone would
// end the program, or take the work for done.
type crew struct {
	group  *errgroup.Group
	cancel context.CancelFunc

	once  sync.Once
	lost  bool // user code did not return
	value any  // of its panic; nil after Goexit
}

// newCrew returns a crew of as many goroutines as GOMAXPROCS says, and the
// context that ends with the first failure.
func newCrew(ctx context.Context) (*crew, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	return &crew{group: g, cancel: cancel}, ctx
}

// run calls f on a goroutine, as soon as one is free.
func (c *crew) run(f func() error) {
	c.group.Go(func() (err error) { // ends with f
		guard(func() { err = f() }, func(p any, returned bool) {
			if returned {
				return
			}
			c.once.Do(func() {
				c.lost = true
				c.value = p
			})
			c.cancel()
		})
		return err
	})
}

// wait waits for all goroutines and returns the first error. It panics or calls
// Goexit if user code did.
func (c *crew) wait() error {
	err := c.group.Wait()
	c.cancel()
	if !c.lost {
		return err
	}
	if c.value == nil {
		runtime.Goexit()
	}
	panic(c.value)
}
