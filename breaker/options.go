// SPDX-License-Identifier: MIT

package breaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Options are the settings of a [Breaker]. Every zero field is its default. The
// fields are sorted by how often they are needed: most programs set some of the
// first eight.
type Options struct {
	// Name identifies the breaker in errors and changes.
	Name string

	// Timeout cancels the context of each call that goes through Do, with
	// [ErrTimeout] as the cause. It never abandons a call that does not obey.
	// The context ends with the call: see [Do] for results that outlive it.
	// If zero, there is none.
	Timeout time.Duration

	// FailureRatio trips when at least this part of the calls in the window
	// failed, of at least MinCalls. It is at most 1. If zero, the rule is off.
	FailureRatio float64

	// MinCalls is the number of calls that the window must hold before a ratio
	// trips. If zero, 20, or WindowCalls if that is less.
	MinCalls int

	// Failures trips after this many failures in a row, however far apart. If
	// zero, 5 if no other rule is set, else the rule is off. It is right for
	// calls that are rare; among thousands a second, five failures in a row
	// happen by chance.
	Failures int

	// OpenFor is how long the breaker stays open the first time.
	// If zero, 5 * time.Second.
	OpenFor time.Duration

	// OnChange is called after each change of state, one at a time and in
	// order, under no lock, by a goroutine that caused one or by the timer. It
	// may call the breaker. While it runs, up to 128 further changes wait;
	// after that the oldest are dropped, and Stats.Dropped counts them.
	OnChange func(Change)

	// Classify tells Do the meaning of an outcome, given the caller's context.
	// If nil, [Classify].
	Classify func(ctx context.Context, err error) Outcome

	// Further rules.

	// SlowRatio trips when at least this part of the calls in the window took
	// SlowCall or longer, of at least MinCalls. It is at most 1. If zero, the
	// rule is off; if set, a slow probe is a failed one.
	SlowRatio float64

	// SlowCall is the duration from which a call counts as slow. It is needed
	// if SlowRatio is set, and only then.
	SlowCall time.Duration

	// Window is the period over which FailureRatio and SlowRatio are computed.
	// If zero, 10 * time.Second.
	Window time.Duration

	// Buckets is the number of steps in which the window slides, at most 1024,
	// each of at least 1 ns. If zero, 10.
	Buckets int

	// WindowCalls makes the window the last so many calls instead, whenever
	// they were; at most 65536. The calls of a burst then weigh more.
	WindowCalls int

	// Trip is a rule of the caller's own, asked after each failed or slow call
	// that did not trip by another rule. It may call the breaker.
	Trip func(Stats) bool

	// How long it stays open.

	// OpenMax bounds the open time, before Jitter. If zero, time.Minute, or
	// OpenFor if that is more.
	OpenMax time.Duration

	// OpenFactor multiplies the open time after each failed attempt to close.
	// It is at least 1. If zero, 2.
	OpenFactor float64

	// Jitter spreads the open time evenly over 1-Jitter to 1+Jitter times
	// itself, so that a fleet does not return as one. It is less than 1. If
	// zero, 0.2; if negative, none.
	Jitter float64

	// StableFor is how long the breaker must be closed before an open time
	// starts from OpenFor again. If zero, Window, or OpenFor if that is more.
	StableFor time.Duration

	// How it closes.

	// Probes is the number of calls that may be outstanding while half-open, at
	// most 8191. If zero, 1.
	Probes int

	// Successes is the number of probes that must succeed to close the breaker,
	// one after another or at once; at most 8191. If zero, as many as Probes.
	Successes int

	// ProbeTimeout is how long a probe may go without a report before it counts
	// as failed. If zero, OpenFor, or Timeout if that is more; if negative,
	// forever, and a probe whose Permit is lost then keeps the breaker
	// half-open until Reset.
	ProbeTimeout time.Duration

	// Recovery is how long the admitted part of the calls grows after
	// half-open, until all are. If zero, the breaker closes at once.
	Recovery time.Duration

	// RecoveryStart is the part that is admitted at first; at most 1.
	// If zero, 0.1.
	RecoveryStart float64

	// Count makes Stats count every call, which costs an atomic addition for
	// each. By default only rare events are counted.
	Count bool

	// Now is the clock. If nil, the system's monotonic clock, and a timer makes
	// the changes that time brings. If set, there is no timer: changes happen
	// when the breaker is next used, as of the time that they were due. Its
	// readings may stand still or go back. Now must not call the breaker, nor
	// the group that holds it.
	Now func() time.Time

	rand func() float64 // in [0, 1); tests only
}

// GroupOptions are the settings of a [Group]. Every zero field is its default.
type GroupOptions[K comparable] struct {
	// Options returns the settings of the breaker of a key. If nil, or if it
	// returns nil, the defaults. It must not call the group. Get panics if the
	// settings are not valid. Keys for which it returns the same pointer share
	// one copy of the settings, so they must not be changed afterwards.
	Options func(key K) *Options

	// Max bounds the number of breakers held. If zero, 65536.
	Max int

	// Forget is how long a breaker that is not closed, or that has seen
	// failures, is kept after the last failure or change of state, even if its
	// place is needed for a new key. If zero, time.Hour; if negative, forever.
	Forget time.Duration
}

// ThrottleOptions are the settings of a [Throttle]. Every zero field is its
// default.
type ThrottleOptions struct {
	// Timeout cancels the context of each call that goes through Do, with
	// [ErrTimeout] as the cause, as Options.Timeout does. A backend that does
	// not answer is not throttled without it, since the callers' deadlines are
	// no refusals. If zero, there is none.
	Timeout time.Duration

	// K is the number of requests sent for each that is accepted; at least 1.
	// With more, a recovery is seen sooner, and the backend has more work with
	// refusing. If zero, 2.
	K float64

	// Window is the period over which requests are counted, in 40 steps.
	// If zero, 2 * time.Minute.
	Window time.Duration

	// MaxReject bounds the part that is rejected, so that some always ask; it
	// is less than 1. If zero, 0.95.
	MaxReject float64

	// Spare is the number of requests in the window that may be unanswered,
	// those in flight among them, before any is rejected. Each client has its
	// own: of 100 clients, each should have few. If zero, 10.
	Spare int

	// Classify tells Do the meaning of an outcome: a Success was accepted, a
	// Failure refused, and an Ignored call was no request. If nil, [Classify];
	// set it if the backend has errors that are not signs of overload.
	Classify func(ctx context.Context, err error) Outcome

	// Now is the clock. If nil, the system's monotonic clock. Now must not call
	// the throttle.
	Now func() time.Time

	rand func() float64 // in [0, 1); tests only
}

// Bounds of fields, by the bits that they have in the word of a Breaker or by
// the memory that they cost.
const (
	maxProbes      = 1<<13 - 1
	maxWindowCalls = 1 << 16
	maxBuckets     = 1 << 10
	maxFactor      = math.MaxInt32
)

// Validate returns an error if o cannot be used.
func (o *Options) Validate() error {
	if o == nil {
		return nil
	}

	// Counts.
	for _, f := range []struct {
		name string
		n    int
		most int
	}{
		{"MinCalls", o.MinCalls, math.MaxInt},
		{"Failures", o.Failures, math.MaxInt},
		{"Buckets", o.Buckets, maxBuckets},
		{"WindowCalls", o.WindowCalls, maxWindowCalls},
		{"Probes", o.Probes, maxProbes},
		{"Successes", o.Successes, maxProbes},
	} {
		if f.n < 0 || f.n > f.most {
			return fmt.Errorf("breaker: Options.%s must be between 0 and %d, got %d", f.name, f.most, f.n)
		}
	}

	// Lengths of time.
	for _, f := range []struct {
		name string
		d    time.Duration
	}{
		{"Timeout", o.Timeout},
		{"OpenFor", o.OpenFor},
		{"SlowCall", o.SlowCall},
		{"Window", o.Window},
		{"OpenMax", o.OpenMax},
		{"StableFor", o.StableFor},
		{"Recovery", o.Recovery},
	} {
		if f.d < 0 {
			return fmt.Errorf("breaker: Options.%s must not be negative, got %v", f.name, f.d)
		}
	}

	// Ratios. The condition is also false for NaN.
	for _, f := range []struct {
		name string
		x    float64
	}{
		{"FailureRatio", o.FailureRatio},
		{"SlowRatio", o.SlowRatio},
		{"RecoveryStart", o.RecoveryStart},
	} {
		if !(f.x >= 0 && f.x <= 1) {
			return fmt.Errorf("breaker: Options.%s must be between 0 and 1, got %v", f.name, f.x)
		}
	}
	return o.validateTogether()
}

// validateTogether returns an error if fields contradict each other.
func (o *Options) validateTogether() error {
	r := o.resolve()
	switch {
	case !(o.Jitter < 1):
		return fmt.Errorf("breaker: Options.Jitter must be less than 1, got %v", o.Jitter)
	case !(r.OpenFactor >= 1 && r.OpenFactor <= maxFactor):
		return fmt.Errorf("breaker: Options.OpenFactor must be between 1 and %d, got %v", maxFactor, o.OpenFactor)
	case r.OpenMax < r.OpenFor:
		return fmt.Errorf("breaker: Options.OpenMax must be at least OpenFor, %v, got %v", r.OpenFor, r.OpenMax)
	case (o.SlowRatio > 0) != (o.SlowCall > 0):
		return errors.New("breaker: Options.SlowRatio and SlowCall are needed together")
	case r.WindowCalls > 0 && r.MinCalls > r.WindowCalls:
		return fmt.Errorf("breaker: Options.MinCalls must be at most WindowCalls, %d, got %d", r.WindowCalls, r.MinCalls)
	case r.WindowCalls > 0 && (o.Window > 0 || o.Buckets > 0):
		return errors.New("breaker: Options.WindowCalls excludes Window and Buckets")
	case r.Window < time.Duration(r.Buckets):
		return fmt.Errorf("breaker: Options.Window must be at least 1ns a bucket, got %v for %d", r.Window, r.Buckets)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *Options) resolve() Options {
	var r Options
	if o != nil {
		r = *o
	}

	// When the breaker opens.
	if r.FailureRatio == 0 && r.SlowRatio == 0 && r.Trip == nil {
		r.Failures = cmp.Or(r.Failures, 5)
	}
	if r.WindowCalls > 0 {
		r.MinCalls = cmp.Or(r.MinCalls, min(20, r.WindowCalls))
	}
	r.MinCalls = cmp.Or(r.MinCalls, 20)
	r.Window = cmp.Or(r.Window, 10*time.Second)
	r.Buckets = cmp.Or(r.Buckets, 10)

	// How long it stays open.
	r.OpenFor = cmp.Or(r.OpenFor, 5*time.Second)
	r.OpenMax = cmp.Or(r.OpenMax, max(r.OpenFor, time.Minute))
	r.OpenFactor = cmp.Or(r.OpenFactor, 2)
	r.StableFor = cmp.Or(r.StableFor, max(r.Window, r.OpenFor))
	r.Jitter = max(cmp.Or(r.Jitter, 0.2), 0)

	// How it closes again.
	r.Probes = cmp.Or(r.Probes, 1)
	r.Successes = cmp.Or(r.Successes, r.Probes)
	r.ProbeTimeout = cmp.Or(r.ProbeTimeout, max(r.OpenFor, r.Timeout))
	r.RecoveryStart = cmp.Or(r.RecoveryStart, 0.1)

	if r.Classify == nil {
		r.Classify = Classify
	}
	if r.rand == nil {
		r.rand = rand.Float64
	}
	return r
}

// A config is Options with every default filled in. It never changes, and
// breakers share it.
type config struct {
	Options
	custom bool // Classify was set: it is asked about successes too
}

// defaults are the settings of all breakers that were given none.
var defaults = newConfig(nil)

// configOf returns the settings that opts say.
func configOf(opts *Options) *config {
	if opts == nil {
		return defaults
	}
	return newConfig(opts)
}

func newConfig(opts *Options) *config {
	return &config{Options: opts.resolve(), custom: opts != nil && opts.Classify != nil}
}

// counted reports whether a rule needs a window.
func (c *config) counted() bool {
	return c.FailureRatio > 0 || c.SlowRatio > 0 || c.Trip != nil
}

// delay returns how long to stay open after so many openings in a row before.
func (c *config) delay(before int) int64 {
	d := min(float64(c.OpenFor)*math.Pow(c.OpenFactor, float64(before)), float64(c.OpenMax))
	if c.Jitter > 0 {
		d *= 1 + c.Jitter*(2*c.rand()-1)
	}
	if d >= maxReading {
		return maxReading
	}
	return max(int64(d), 1)
}

// Validate returns an error if o cannot be used.
func (o *GroupOptions[K]) Validate() error {
	if o != nil && o.Max < 0 {
		return fmt.Errorf("breaker: GroupOptions.Max must not be negative, got %d", o.Max)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *GroupOptions[K]) resolve() GroupOptions[K] {
	var r GroupOptions[K]
	if o != nil {
		r = *o
	}

	r.Max = cmp.Or(r.Max, 1<<16)
	r.Forget = cmp.Or(r.Forget, time.Hour)
	if r.Options == nil {
		r.Options = func(K) *Options { return nil }
	}
	return r
}

// minThrottleWindow is one nanosecond for each recomputation.
const minThrottleWindow = throttleBuckets * throttleSteps

// Validate returns an error if o cannot be used.
func (o *ThrottleOptions) Validate() error {
	switch {
	case o == nil:
		return nil
	case o.Timeout < 0:
		return fmt.Errorf("breaker: ThrottleOptions.Timeout must not be negative, got %v", o.Timeout)
	case o.K != 0 && !(o.K >= 1 && o.K <= maxFactor):
		return fmt.Errorf("breaker: ThrottleOptions.K must be between 1 and %d, got %v", maxFactor, o.K)
	case o.Window < 0 || o.Window > 0 && o.Window < minThrottleWindow:
		return fmt.Errorf("breaker: ThrottleOptions.Window must be at least %d ns, got %v", minThrottleWindow, o.Window)
	case o.Spare < 0:
		return fmt.Errorf("breaker: ThrottleOptions.Spare must not be negative, got %d", o.Spare)
	case !(o.MaxReject >= 0 && o.MaxReject < 1):
		return fmt.Errorf("breaker: ThrottleOptions.MaxReject must be at least 0 and less than 1, got %v", o.MaxReject)
	}
	return nil
}

// resolve returns a copy of o with its defaults.
func (o *ThrottleOptions) resolve() ThrottleOptions {
	var r ThrottleOptions
	if o != nil {
		r = *o
	}

	r.K = cmp.Or(r.K, 2)
	r.Window = cmp.Or(r.Window, 2*time.Minute)
	r.MaxReject = cmp.Or(r.MaxReject, 0.95)
	r.Spare = cmp.Or(r.Spare, 10)
	if r.Classify == nil {
		r.Classify = Classify
	}
	if r.rand == nil {
		r.rand = rand.Float64
	}
	return r
}
