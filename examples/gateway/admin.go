// SPDX-License-Identifier: MIT

package main

import (
	"expvar"
	"fmt"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
)

// newAdmin returns the handler of the address for those who run the gateway. It
// shows what the program is made of, so it is an address of its own, which
// clients cannot reach.
func newAdmin(sys *system) http.Handler {
	publish(sys)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "/metrics      counters, in the text format of Prometheus")
		fmt.Fprintln(w, "/alerts       what a person should look at")
		fmt.Fprintln(w, "/debug/vars   counters, in JSON")
		fmt.Fprintln(w, "/debug/pprof  profiles")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		sys.printMetrics(w)
	})
	mux.HandleFunc("GET /alerts", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, append([]alert{}, sys.watch.alerts()...))
	})
	mux.Handle("GET /debug/vars", expvar.Handler())
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// A name can be published once in a process, and a test starts many gateways.
var (
	published   atomic.Pointer[system]
	publishOnce sync.Once
)

// publish makes sys the system that expvar shows.
func publish(sys *system) {
	published.Store(sys)
	publishOnce.Do(func() {
		expvar.Publish("gateway", expvar.Func(func() any { return published.Load().snapshot() }))
	})
}

// snapshot returns the counters of sys, by name.
func (sys *system) snapshot() map[string]any {
	services := make(map[string]any)
	for _, s := range sys.services {
		servers := make(map[string]any)
		for _, srv := range s.servers {
			servers[srv.name] = map[string]any{
				"calls": srv.calls.Load(), "failed": srv.failed.Load(), "up": srv.health.up.Load(),
				"breaker": srv.breaker.State().String(),
			}
		}
		service := map[string]any{"servers": servers, "retries": s.budget.taken.Load()}
		if s.cache != nil {
			service["cache"] = s.cache.answers.Stats()
		}
		services[s.name] = service
	}
	r := sys.meter.read()
	return map[string]any{
		"answers": r.count(), "p50": r.quantile(0.5).String(), "p99": r.quantile(0.99).String(),
		"limiter": sys.limiter.keyed.Stats(), "services": services,
	}
}
