// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
)

// printRetryVerdict judges the calls that reached the servers by the requests
// that caused them.
func (sys *system) printRetryVerdict(w io.Writer) error {
	for _, s := range sys.services {
		arrivals := 0
		for _, srv := range s.servers {
			for _, e := range srv.history.events {
				if e.kind == arrived {
					arrivals++
				}
			}
		}
		first := int(s.budget.calls.Load())
		if most := first + retryMax + first/retryShare; arrivals > most {
			return fmt.Errorf("law broken: %d calls of %s for %d requests, at most %d", arrivals, s.name, first, most)
		}
	}
	fmt.Fprintf(w, "law holds: no service got more second tries than %d and one for %d requests\n", retryMax, retryShare)
	return nil
}
