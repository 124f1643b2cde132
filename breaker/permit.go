// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"sync"
	"sync/atomic"
)

// A Permit is the admission of one call by [Breaker.Allow]. Report its outcome
// once, by any of its methods, each of which says whether the report was
// counted: it is not if the breaker has changed state since.
//
// It is a value: copies stand for the same permit. Reporting again, by any
// copy, changes nothing and returns false, so that "defer p.Failure(errEnded)"
// goes together with p.Success() on the way. The zero Permit, which comes with
// a rejection, is used.
//
// A Permit that is never reported costs nothing unless it is a probe, whose
// place is taken until Options.ProbeTimeout.
type Permit struct {
	slot *slot
	turn uint64
}

// A slot is the state that all copies of a permit share. It is used again, by
// permits of later turns. The slot of a permit that is lost is garbage.
type slot struct {
	turn atomic.Uint64 // of the permit that was not reported yet
	b    *Breaker
	admission
}

// slots holds the slots that no permit uses.
var slots = sync.Pool{New: func() any { return new(slot) }}

// Allow asks for one call. It returns a [Permit], to which the outcome must be
// reported, or an [*OpenError] that is an [ErrOpen]. It does not block, and
// allocates only the timer of a first probe. The complexity is O(1), and O(n)
// where n = Options.Probes while half-open.
func (b *Breaker) Allow() (Permit, error) {
	a, err := b.admit()
	if err != nil {
		return Permit{}, err
	}
	s := slots.Get().(*slot)
	s.b = b
	s.admission = a
	return Permit{s, s.turn.Load()}, nil
}

// claim takes the right to report from all copies of p. ok is false if another
// report has it.
func (p Permit) claim() (b *Breaker, a admission, ok bool) {
	s := p.slot
	if s == nil || !s.turn.CompareAndSwap(p.turn, p.turn+1) {
		return nil, admission{}, false
	}

	// The slot is ours alone until it is back in the pool.
	b = s.b
	a = s.admission
	s.b = nil
	slots.Put(s)
	return b, a, true
}

// Done reports what Options.Classify makes of err, given the context of the
// caller. If Classify panics that is a failure.
func (p Permit) Done(ctx context.Context, err error) bool {
	b, a, ok := p.claim()
	if !ok {
		return false
	}

	done := false
	defer func() {
		if !done {
			b.report(a, Failure, err)
		}
	}()
	o := b.per.Load().cfg.Classify(ctx, err)
	done = true
	return b.report(a, o, err)
}

// Success reports that the call went well.
func (p Permit) Success() bool { return p.end(Success, nil) }

// Failure reports that the call failed; cause, which may be nil, is shown by
// errors and changes.
func (p Permit) Failure(cause error) bool { return p.end(Failure, cause) }

// Ignore reports that the call says nothing about the health of the backend.
func (p Permit) Ignore() bool { return p.end(Ignored, nil) }

func (p Permit) end(o Outcome, cause error) bool {
	b, a, ok := p.claim()
	return ok && b.report(a, o, cause)
}
