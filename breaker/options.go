// SPDX-License-Identifier: MIT

package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Options are the settings of a [Breaker]. Every zero field is its default.
type Options struct {
	// Name identifies the breaker in errors and events.
	Name string

	// Failures trips after that many failures in a row, however far apart. If zero, 5 if no
	// other rule is set, else the rule is off. It is right for calls that are rare; where there
	// are thousands a second, five in a row happen by chance: use FailureRatio.
	Failures int

	// FailureRatio trips when at least that part of the calls in the window failed, of at
	// least MinCalls. It is at most 1. If zero, the rule is off.
	FailureRatio float64

	// SlowRatio trips when at least that part of the calls in the window took SlowCall or
	// longer, of at least MinCalls. It is at most 1. If zero, the rule is off; if set, a slow
	// probe is a failed one.
	SlowRatio float64

	// SlowCall is what slow is. It is needed if SlowRatio is set, and only then.
	SlowCall time.Duration

	// MinCalls is how many calls the window must hold before a ratio means anything.
	// If zero, 20, or WindowCalls if that is less.
	MinCalls int

	// Window is the time that ratios look back on. If zero, 10 * time.Second.
	Window time.Duration

	// Buckets is how many steps it moves on in, at most 1024. If zero, 10.
	Buckets int

	// WindowCalls makes the window the last so many calls instead, whenever they were;
	// at most 65536. Calls that a burst makes then weigh more.
	WindowCalls int

	// Trip is a rule of the caller's own, asked after each failed or slow call that did not
	// trip by another rule. It may call the breaker.
	Trip func(Stats) bool

	// OpenFor is how long the breaker stays open the first time. If zero, 5 * time.Second.
	OpenFor time.Duration

	// OpenMax bounds the open time, before Jitter. If zero, time.Minute, or OpenFor if that is more.
	OpenMax time.Duration

	// OpenFactor is by how much longer it is each time in a row; at least 1. If zero, 2.
	OpenFactor float64

	// StableFor ends the row: a breaker that was closed for so long opens for OpenFor again.
	// If zero, Window, or OpenFor if that is more.
	StableFor time.Duration

	// Jitter spreads the open time evenly over 1-Jitter to 1+Jitter times itself, so that a
	// fleet does not return as one. It is less than 1. If zero, 0.2; if negative, none.
	Jitter float64

	// Probes is how many calls may be outstanding while half-open, at most 8191. If zero, 1.
	Probes int

	// Successes is how many of them must succeed, one after another or at once, to close;
	// at most 8191. If zero, as many as Probes.
	Successes int

	// ProbeTimeout is how long a probe may go without a report before it counts as failed.
	// If zero, OpenFor, or Timeout if that is more; if negative, for ever, and a probe whose
	// Permit is lost then keeps the breaker half-open until Reset.
	ProbeTimeout time.Duration

	// Recovery is how long the admitted part of the calls grows after half-open, until it is all.
	// If zero, the breaker closes at once.
	Recovery time.Duration

	// RecoveryStart is the part that is admitted at first; at most 1. If zero, 0.1.
	RecoveryStart float64

	// Timeout cancels the context of each call that goes through Do, with [ErrTimeout] as the
	// cause. It never abandons a call that does not obey. If zero, there is none.
	Timeout time.Duration

	// Classify tells Do what an outcome means, given the caller's context. If nil, [Classify].
	Classify func(ctx context.Context, err error) Outcome

	// OnChange is called after each change of state, one at a time and in order, under no lock,
	// by a goroutine that caused one or by the timer. It may call the breaker.
	OnChange func(Change)

	// Count makes Stats count every call, which costs an atomic addition for each.
	// By default only what is rare is counted.
	Count bool

	// Now is the clock. If nil, the system's monotonic clock, and a timer makes the changes
	// that time brings. If set, there is no timer: changes happen when the breaker is next
	// used, as of the time that they were due. Its readings may stand still or go back.
	// Now must not call the breaker.
	Now func() time.Time

	rand func() float64 // in [0, 1); tests only
}

// GroupOptions are the settings of a [Group]. Every zero field is its default.
type GroupOptions[K comparable] struct {
	// Options returns the settings of the breaker of a key. If nil, or if it returns nil, the
	// defaults. It may not call the group. Settings that are not valid panic in Get.
	Options func(key K) *Options

	// Max bounds the number of breakers held. If zero, 65536.
	Max int
}

// Validate returns an error if o cannot be used.
func (o *GroupOptions[K]) Validate() error {
	if o != nil && o.Max < 0 {
		return fmt.Errorf("breaker: GroupOptions.Max must not be negative, got %d", o.Max)
	}
	return nil
}

// ThrottleOptions are the settings of a [Throttle]. Every zero field is its default.
type ThrottleOptions struct {
	// K is how many requests are sent for each that is accepted; at least 1. The more, the
	// sooner a recovery is seen, and the more work the backend has with refusing. If zero, 2.
	K float64

	// Window is the time looked back on, in 40 steps. If zero, 2 * time.Minute.
	Window time.Duration

	// MaxReject bounds the part that is rejected, so that some always ask; it is less than 1.
	// If zero, 0.95.
	MaxReject float64

	// Spare is how many requests in the window may be unanswered, those in flight among them,
	// before any is rejected. If zero, 10.
	Spare int

	// Classify tells Do which outcomes are refusals: those that are a Failure. If nil, [Classify];
	// set it if the backend has errors that are not signs of overload.
	Classify func(ctx context.Context, err error) Outcome

	// Now is the clock. If nil, the system's monotonic clock. Now must not call the throttle.
	Now func() time.Time

	rand func() float64 // in [0, 1); tests only
}

// Validate returns an error if o cannot be used.
func (o *ThrottleOptions) Validate() error {
	switch {
	case o == nil:
		return nil
	case o.K != 0 && !(o.K >= 1 && o.K <= math.MaxInt32):
		return fmt.Errorf("breaker: ThrottleOptions.K must be at least 1, got %v", o.K)
	case o.Window < 0 || o.Window > 0 && o.Window < throttleBuckets*throttleSteps:
		return fmt.Errorf("breaker: ThrottleOptions.Window must be at least %d ns, got %v", throttleBuckets*throttleSteps, o.Window)
	case o.Spare < 0:
		return fmt.Errorf("breaker: ThrottleOptions.Spare must not be negative, got %d", o.Spare)
	case !(o.MaxReject >= 0 && o.MaxReject < 1):
		return fmt.Errorf("breaker: ThrottleOptions.MaxReject must be at least 0 and less than 1, got %v", o.MaxReject)
	}
	return nil
}

const (
	maxProbes      = 1<<13 - 1
	maxWindowCalls = 1 << 16
	maxBuckets     = 1 << 10
)

// Validate returns an error if o cannot be used.
func (o *Options) Validate() error {
	if o == nil {
		return nil
	}
	for _, f := range []struct {
		name string
		n    int
		most int
	}{
		{"Failures", o.Failures, math.MaxInt},
		{"MinCalls", o.MinCalls, math.MaxInt},
		{"Buckets", o.Buckets, maxBuckets},
		{"WindowCalls", o.WindowCalls, maxWindowCalls},
		{"Probes", o.Probes, maxProbes},
		{"Successes", o.Successes, maxProbes},
	} {
		if f.n < 0 || f.n > f.most {
			return fmt.Errorf("breaker: Options.%s must be between 0 and %d, got %d", f.name, f.most, f.n)
		}
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{
		{"Window", o.Window},
		{"SlowCall", o.SlowCall},
		{"OpenFor", o.OpenFor},
		{"OpenMax", o.OpenMax},
		{"StableFor", o.StableFor},
		{"Recovery", o.Recovery},
		{"Timeout", o.Timeout},
	} {
		if f.d < 0 {
			return fmt.Errorf("breaker: Options.%s must not be negative, got %v", f.name, f.d)
		}
	}
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

// validateTogether reports what only fields together get wrong.
func (o *Options) validateTogether() error {
	c := resolve(o)
	switch {
	case !(o.Jitter < 1):
		return fmt.Errorf("breaker: Options.Jitter must be less than 1, got %v", o.Jitter)
	case !(c.OpenFactor >= 1 && c.OpenFactor <= math.MaxInt32):
		return fmt.Errorf("breaker: Options.OpenFactor must be at least 1, got %v", o.OpenFactor)
	case c.OpenMax < c.OpenFor:
		return fmt.Errorf("breaker: Options.OpenMax is %v, less than OpenFor, %v", c.OpenMax, c.OpenFor)
	case (o.SlowRatio > 0) != (o.SlowCall > 0):
		return errors.New("breaker: Options.SlowRatio and SlowCall are needed together")
	case c.WindowCalls > 0 && c.MinCalls > c.WindowCalls:
		return fmt.Errorf("breaker: Options.MinCalls is %d, more than the %d of WindowCalls", c.MinCalls, c.WindowCalls)
	case c.WindowCalls > 0 && (o.Window > 0 || o.Buckets > 0):
		return errors.New("breaker: Options.WindowCalls excludes Window and Buckets")
	case c.Window < time.Duration(c.Buckets):
		return fmt.Errorf("breaker: Options.Window must be at least 1ns a bucket, got %v for %d", c.Window, c.Buckets)
	}
	return nil
}

// A config is Options with every default filled in. It never changes.
type config struct {
	Options
	custom bool // Classify was set: it is asked about successes too
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// resolve returns a copy of o with its defaults.
func resolve(o *Options) *config {
	c := &config{}
	if o != nil {
		c.Options = *o
	}
	if c.FailureRatio == 0 && c.SlowRatio == 0 && c.Trip == nil {
		c.Failures = or(c.Failures, 5)
	}
	c.MinCalls = or(c.MinCalls, 20)
	if o != nil && o.MinCalls == 0 && c.WindowCalls > 0 {
		c.MinCalls = min(c.MinCalls, c.WindowCalls)
	}
	c.Window = or(c.Window, 10*time.Second)
	c.Buckets = or(c.Buckets, 10)
	c.OpenFor = or(c.OpenFor, 5*time.Second)
	c.OpenMax = or(c.OpenMax, max(c.OpenFor, time.Minute))
	c.OpenFactor = or(c.OpenFactor, 2)
	c.StableFor = or(c.StableFor, max(c.Window, c.OpenFor))
	c.Jitter = max(or(c.Jitter, 0.2), 0)
	c.Probes = or(c.Probes, 1)
	c.Successes = or(c.Successes, c.Probes)
	c.ProbeTimeout = or(c.ProbeTimeout, max(c.OpenFor, c.Timeout))
	c.RecoveryStart = or(c.RecoveryStart, 0.1)
	c.custom = c.Classify != nil
	if !c.custom {
		c.Classify = Classify
	}
	if c.rand == nil {
		c.rand = rand.Float64
	}
	return c
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

// reason returns the text of err without the prefix, which a panic sets itself.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "breaker: ") }
