// SPDX-License-Identifier: MIT

package main

import (
	"math"
	"math/big"
	"net/http"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// A limiter limits each client by every tier at once: a request that one tier
// refuses takes nothing from the others.
type limiter struct {
	keyed *ratelimit.Keyed[string]
	tiers []tier
}

// A tier is one limit and how clients are told about it.
type tier struct {
	bound
	window time.Duration // in which an empty bucket fills
}

func newLimiter(limits []ratelimit.Limit, maxKeys int, now func() time.Time) (*limiter, error) {
	l := &limiter{
		keyed: ratelimit.NewKeyed[string](limits, &ratelimit.KeyedOptions{MaxKeys: maxKeys, Now: now}),
	}
	for _, limit := range limits {
		b, err := parseBound(limit.String())
		if err != nil {
			return nil, err
		}
		l.tiers = append(l.tiers, tier{bound: b, window: b.window()})
	}
	return l, nil
}

// window returns the time in which b's rate brings b's burst, rounded up.
func (b bound) window() time.Duration {
	if b.inf {
		return 0
	}
	if b.count == 0 {
		return math.MaxInt64
	}
	w := new(big.Int).Mul(big.NewInt(b.burst), big.NewInt(int64(b.per)))
	w.Add(w, big.NewInt(b.count-1)).Quo(w, big.NewInt(b.count))
	if !w.IsInt64() {
		return math.MaxInt64
	}
	return time.Duration(w.Int64())
}

// wrap returns next behind the limiter. It comes before the token is looked at,
// so that guessing tokens is limited too.
func (l *limiter) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := l.keyed.Take(clientOf(r), 1)
		t := l.tiers[d.Tier]
		for field, value := range d.Headers(t.text) {
			w.Header().Set(field, value)
		}
		if !d.OK {
			writeError(w, http.StatusTooManyRequests, "limit reached: "+t.text)
			return
		}
		next.ServeHTTP(w, r)
	})
}
