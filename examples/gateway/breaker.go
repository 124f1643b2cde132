// SPDX-License-Identifier: MIT

package main

import (
	"time"

	"github.com/ashlar-go/ashlar/breaker"
)

// After tripAfter failures in a row a server gets no request for openFor, then
// one probe; while probes fail, the pause doubles each time, up to openMax.
const (
	tripAfter = 5
	probes    = 1
	openFor   = 30 * time.Second
	openMax   = 8 * time.Minute
)

// newBreaker returns the breaker of a server, in the time of now.
func newBreaker(name string, now func() time.Time, onChange func(breaker.Change)) *breaker.Breaker {
	return breaker.New(&breaker.Options{
		Name:     name,
		Failures: tripAfter,
		Probes:   probes,
		OpenFor:  openFor,
		OpenMax:  openMax,
		Jitter:   -1, // one gateway is no fleet, and the report must not differ from run to run
		OnChange: onChange,
		Now:      now,
	})
}
