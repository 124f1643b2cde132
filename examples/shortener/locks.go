// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"hash/maphash"
)

// A gate is a lock that is held while the disk works, so that those who wait
// for it may give up.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) lock(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) unlock() { <-g }

// stripes are locks of keys. Some keys share one.
type stripes struct {
	seed  maphash.Seed
	gates [256]gate
}

func newStripes() stripes {
	s := stripes{seed: maphash.MakeSeed()}
	for i := range s.gates {
		s.gates[i] = newGate()
	}
	return s
}

// lock locks the one of a key.
func (s *stripes) lock(ctx context.Context, key string) (unlock func(), err error) {
	g := s.gates[maphash.String(s.seed, key)%uint64(len(s.gates))]
	return g.unlock, g.lock(ctx)
}
