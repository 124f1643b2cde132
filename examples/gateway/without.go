// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// without returns the config of a gateway that only takes turns: no limits, no
// cache, no breakers, no health checks, no second tries. Without a timeout a
// silent machine would keep its clients until they give up; here it hangs up
// instead, which is counted and not waited for. A slow one is not slow: what
// it costs is not in the table.
func (c *config) without() *config {
	bare := *c
	bare.bare = true
	bare.lb = policies[0]
	bare.limits = []ratelimit.Limit{{Rate: ratelimit.Inf}}
	bare.cache, bare.health = 0, 0
	bare.sticky, bare.tls = false, false
	bare.log, bare.admin, bare.access = "", "", nil
	bare.progress = func(int, int) {}
	bare.faults = nil
	for _, f := range c.faults {
		if f.state != slow {
			f.state = dead
			bare.faults = append(bare.faults, f)
		}
	}
	return &bare
}

// printWithout prints what the pieces of the gateway keep away from servers and
// clients.
func printWithout(w io.Writer, bare, sys *system, without, with *result) {
	var busiest *account
	for _, a := range with.law.clients {
		if busiest == nil || a.requests > busiest.requests || a.requests == busiest.requests && a.key < busiest.key {
			busiest = a
		}
	}
	fmt.Fprintf(w, "%-44s %9s %9s\n", "the same requests, and only turns", "without", "with")
	row := func(name string, without, with int) { fmt.Fprintf(w, "%-44s %9d %9d\n", name, without, with) }
	row("calls of servers", bare.calls(), sys.calls())
	row("  let through of "+busiest.key, busiest.requests, busiest.admitted)
	if len(sys.faults) > 0 {
		row("  of a machine while it failed", bare.reached(), sys.reached())
	}
	row("answers that say that a server failed", without.sum().failed, with.sum().failed)
}

// calls returns the calls of all servers.
func (sys *system) calls() (n int) {
	for _, s := range sys.services {
		for _, srv := range s.servers {
			n += int(srv.calls.Load())
		}
	}
	return n
}

// reached returns the requests that reached machines while they failed.
func (sys *system) reached() (n int) {
	for _, s := range sys.services {
		for _, srv := range s.servers {
			reached, _ := srv.checkFailed() // judged elsewhere
			n += reached
		}
	}
	return n
}
