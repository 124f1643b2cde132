// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/breaker"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// How long answers take: from nearby, and from the origin.
const (
	hit  = 20 * time.Millisecond
	miss = 300 * time.Millisecond
)

// What the origin takes, of all nodes together.
const (
	originRate  = 10 // a second
	originBurst = 30
)

// An answer is what the origin has said. It is not changed.
type answer struct {
	key     int
	version int
	status  int
	etag    string
	control string
	date    time.Time     // when the origin made it
	arrived time.Time     // at the node
	fresh   time.Duration // since its date
	first   bool          // nobody has asked for it before
}

// An origin is the server that knows everything, and is far away.
type origin struct {
	objects []object
	version []int
	now     func() time.Time
	down    func() bool
	limiter *ratelimit.Limiter
	breaker *breaker.Breaker

	asked, full, unchanged, failed, refused, open int
	bytes                                         int64
	times                                         []time.Time // of the requests that came through
}

var (
	errDown    = errors.New("the origin does not answer")
	errLimited = errors.New("the origin has enough to do")
)

func newOrigin(objects []object, now func() time.Time, down func() bool) *origin {
	return &origin{
		objects: objects,
		version: make([]int, len(objects)),
		now:     now,
		down:    down,
		limiter: ratelimit.New(ratelimit.PerSecond(originRate), originBurst, &ratelimit.Options{Now: now}),
		breaker: breaker.New(&breaker.Options{Failures: 5, OpenFor: 5 * time.Second, Jitter: -1, Now: now}),
	}
}

// fetch asks for an object. If the old answer is still right, the origin says
// only that: 304.
func (o *origin) fetch(ctx context.Context, key int, old *answer) (a *answer, err error) {
	if !o.limiter.Allow() {
		o.refused++
		return nil, errLimited
	}
	err = o.breaker.Do(ctx, func(context.Context) error {
		o.asked++
		o.times = append(o.times, o.now())
		if o.down() {
			o.failed++
			return errDown
		}
		a = o.answer(key, old)
		return nil
	})
	if errors.Is(err, breaker.ErrOpen) {
		o.limiter.Return(1)
		o.open++
	}
	return a, err
}

// answer is what the origin does.
func (o *origin) answer(key int, old *answer) *answer {
	a := &answer{
		key:     key,
		version: o.version[key],
		status:  200,
		etag:    fmt.Sprintf(`"%d-%d"`, key, o.version[key]),
		control: o.objects[key].control,
		date:    o.now(),
	}
	if o.objects[key].missing {
		a.status = 404
	}
	if old != nil && old.etag == a.etag {
		o.unchanged++
		return a
	}
	o.full++
	o.bytes += int64(o.objects[key].size)
	return a
}

// checkEnvelope checks that in no window the origin got more requests than
// burst and rate permit: a bucket of its own never runs dry.
func checkEnvelope(times []time.Time) error {
	level := float64(originBurst)
	for i, at := range times {
		if i > 0 {
			level = min(level+at.Sub(times[i-1]).Seconds()*originRate, originBurst)
		}
		level--
		if level < -1e-6 {
			return fmt.Errorf("law broken: the origin got request %d at %v, more than %d and %d a second", i+1, at, originBurst, originRate)
		}
	}
	return nil
}
