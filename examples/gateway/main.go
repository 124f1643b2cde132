// SPDX-License-Identifier: MIT

// Gateway is an API gateway that limits each of its clients, remembers answers,
// and spreads requests over real HTTP servers, some of which die.
//
// The problem: several services stand behind one address, and several servers
// behind each. The gateway finds the right service, turns clients without a
// token away, keeps one client from taking the service away from the others,
// does not ask twice for what it has just been told, picks a server, and
// notices when one is dead: without the clients noticing, and without hammering
// at it.
//
//	                 X-Forwarded-For          ┌───────────────────────── gateway ─────────────────────────┐
//	access log ──▶ driver (stands for the ──▶ │ limit ▶ token ▶ route ▶ cache ▶ balance ▶ breaker ▶ call   │
//	or generator   load balancer in front)    └──┬──────────┬────────────┬──────────────┬────────────┬────┘
//	                 │ answers                   │401 429   │            │              │            │
//	                 ▼                           │502 503  users ×3   products ×3    orders ×3     web ×3
//	            report, laws                     ▼
//	                                           client
//
// Every arrow is HTTP over the loopback interface: thirteen servers are
// started, and stopped at the end. A machine runs one server of each service;
// they die together. One goroutine sends the requests of an access log in the
// order of the log, and sets the clock of the limits to the time of each line.
// So days of traffic replay in seconds, and the same input prints the same
// output, byte for byte.
//
//	go run ./examples/gateway
//	go run ./examples/gateway -lb hash -kill 2@40%-70%
//	go run ./examples/gateway -in /var/log/apache2/access.log -limit "5/s burst 100"
//
// The code that a user would deploy is in proxy.go (the whole), gateway.go
// (routes), limit.go, cache.go, balance.go, breaker.go, retry.go, sticky.go,
// health.go, service.go, and, for those who run it, record.go, meter.go,
// alert.go and admin.go. All other files are the stage: they start servers,
// kill them, replay the log, judge and draw.
//
// What to look at:
//
//   - The strips. The flash crowd is a tower of admissions with hardly a refusal
//     under it: many clients, each within its limit. The abusive client is the
//     opposite.
//   - Busiest clients: the requests of each, those admitted, and its bound, the
//     most that its limits permit over the time in which it was seen. No admitted
//     count is above its bound.
//   - The breakers. A server that dies gets no more requests after five failures,
//     and then one at a time that asks whether it is back, ever more rarely. The
//     health check takes longer to notice, but asks at no client's cost. Clients
//     see little of all this: a GET that fails is tried once more on another
//     server.
//   - The caches. Answers that are the same for everybody are kept: "saved" counts
//     the calls that no server had to answer. A page that many want is fetched
//     once. One that grows old is fetched again while clients still get the old
//     one. With -weights 1 -kill 1@40%-70% clients get old answers while the only
//     machine is down, each with a mark on it.
//   - The policies. The same requests go to simulated servers of unequal strength
//     under each policy. Taking turns is even in requests and uneven in load; a
//     hash of the client keeps each at its server, however busy; bounded loads
//     give up some of the one for some of the other.
//   - Without and with. The same requests go straight to servers as well, in
//     turns: what each piece of the gateway keeps away from them.
//   - The alerts. They look at differences of two readings of the counters: a
//     total since the start hides what happens now.
//   - The laws at the end, which do not rely on the word of the types they judge.
//     The first is an account in exact integers that the driver keeps from the
//     answers it got: every window between two admissions of a client holds at
//     most burst + rate × window, and each refusal was needed. The second counts
//     the requests that reached a server while it was dead, as the server saw
//     them: until its breaker opened at most the failures that open it and the
//     calls in flight, and then one in each half-open period. The third compares
//     the date that a server wrote on each answer with the time at which the
//     client got it. The fourth counts the calls that reached servers: second
//     tries are no more than a tenth of the first ones and ten. The fifth, with
//     -sticky, looks at the cookies: a client moves only when its server fails.
//     If a law is broken, the program fails.
//
// The flags:
//
//	-in FILE     replay FILE, an access log in Common or Combined format
//	-seed N      without -in: seed of the generated traffic (1); see traffic.go for its parameters
//	-n N         without -in: number of requests to generate (5000)
//	-limit L     a limit per client, such as "2/s burst 10"; may be repeated, all must admit a
//	             request ("1/s burst 40" and "480/d burst 100")
//	-keys N      the most clients that the limiter remembers (65536); when it is too small for
//	             the input, which clients are forgotten depends on a hash seeded anew in each run
//	-top N       how many of the busiest clients to print (8)
//	-lb P        the policy that picks a server: roundrobin, weighted, leastconn, hash or bounded (roundrobin)
//	-weights L   the strength of the machines, such as 3,1 for two (1,1,2)
//	-kill M      machine M dies, and may come back, when so much of the requests is done: 2@40%, 2@40%-70%
//	-silent M    machine M accepts requests and does not answer, as with -kill
//	-slow M      machine M answers after three quarters of -timeout
//	-timeout D   how long the gateway waits for an answer, on the wall clock (5s); one that took more
//	             than half of it counts as a failure of the server
//	-sticky      a cookie keeps each client at its first server, while that is usable
//	-tls         clients speak TLS, with a certificate that is made at the start
//	-health D    time of the log between two health checks (5m); 0 is never
//	-cache N     bytes for the answers of a service (1048576), 0 is no cache; when it is too small
//	             for them, which are evicted depends on a hash seeded anew in each run
//	-ttl D       how long an answer is fresh, in the time of the log (5m)
//	-swr D       how long beyond -ttl a stale answer is served while a new one is fetched (5m)
//	-stale D     how long beyond that it is served while the service fails (1h)
//	-log FILE    write an access log, one line of JSON a request ("-" is stderr)
//	-admin ADDR  while it runs, serve metrics, alerts, expvar and pprof at ADDR
//	-serve ADDR  no replay: a real proxy at ADDR, for the servers of -to, until Ctrl-C
//	-to URLS     the servers behind -serve, such as http://10.0.0.1:8080,http://10.0.0.2:8080
//
// The report goes to stdout; wall-clock latencies, which differ from run to
// run, go to stderr. With -silent or -slow the report depends on them too: a
// server that is late is found out by the clock on the wall.
//
// With -serve the gateway stands in front of anything that speaks HTTP. It then
// checks no token, lets each client have "10/s burst 100" unless -limit says
// otherwise, keeps only what Cache-Control says may be kept, and for how long,
// asks each server every 10 seconds how it is, and believes X-Forwarded-For of
// peers on this machine alone:
//
//	go run ./examples/gateway -serve :8443 -tls -to http://127.0.0.1:3000 -admin 127.0.0.1:9000 -log -
//
// A request of the log carries the demo token if the log names a user (its
// third field). Paths below /api/ go to services, all others to web, which
// lacks the paths that the log only ever answered with 404.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C kills at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "gateway:", err)
	if errors.As(err, new(*inputError)) {
		os.Exit(2)
	}
	os.Exit(1)
}

// run is the program. An error of its input is an *inputError; any other says
// that a law is broken, or that the machine lacks something.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}

	if c.log != "" {
		f, err := openLog(c.log, stderr)
		if err != nil {
			return err
		}
		defer f.Close()
		c.access = newAccessLog(f)
	}
	if c.serve != "" {
		return c.serveUntilDone(ctx, stdout, stderr)
	}

	if isTerminal(stderr) {
		c.progress = func(done, total int) {
			if done%(total/50+1) == 0 || done == total {
				fmt.Fprintf(stderr, "\r%3d %%", 100*done/total)
			}
			if done == total {
				fmt.Fprint(stderr, "\r     \r")
			}
		}
	}
	return c.execute(ctx, stdout, stderr)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// execute replays the traffic, prints and judges.
func (c *config) execute(ctx context.Context, stdout, stderr io.Writer) error {
	t, err := c.traffic()
	if err != nil {
		return err
	}
	sys, out, err := c.replay(ctx, t)
	if err != nil {
		return err
	}
	bare, without, err := c.without().replay(ctx, t)
	if err != nil {
		return err
	}

	// Print the results.
	stats := sys.limiter.keyed.Stats()
	out.printTiming(stderr)
	w := &errWriter{w: stdout}
	out.print(w, t, sys, c.top)

	balances, err := compareBalance(t.requests, sys.services[len(sys.services)-1].names(), c.weights, c.seed)
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	printBalance(w, balances, c.weights)
	fmt.Fprintln(w)
	printWithout(w, bare, sys, without, out)
	fmt.Fprintln(w)
	if w.err != nil {
		return fmt.Errorf("report: %w", w.err)
	}

	// Judge it.
	if err := out.reconcile(stats); err != nil {
		return err
	}
	if err := out.law.check(stats.Forgiven); err != nil {
		return err
	}
	out.printVerdict(w, stats.Forgiven)

	if sys.caching() {
		if out.ages.broken != nil {
			return out.ages.broken
		}
		out.ages.printVerdict(w)
	}
	if err := sys.printFailed(w); err != nil {
		return err
	}
	if err := sys.printRetryVerdict(w); err != nil {
		return err
	}
	if err := out.printStickyVerdict(w); err != nil {
		return err
	}
	return w.err
}

// replay starts the servers, sends them the traffic, and stops them whatever
// comes of it.
func (c *config) replay(ctx context.Context, t *traffic) (*system, *result, error) {
	sys, err := c.start(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	out, err := sys.replay(ctx, t.requests, c.progress)
	if stopErr := sys.stop(); err == nil {
		err = stopErr
	}
	return sys, out, err
}

// A traffic is the input of a replay.
type traffic struct {
	source    string // for the report
	requests  []request
	malformed int // lines of the log that are not requests
}

func (c *config) traffic() (*traffic, error) {
	if c.in == "" {
		return &traffic{
			source:   fmt.Sprintf("generated with seed %d", c.seed),
			requests: generate(c.seed, c.n),
		}, nil
	}
	f, err := os.Open(c.in)
	if err != nil {
		return nil, &inputError{err}
	}
	defer f.Close()
	t := &traffic{source: "from the log"}
	if t.requests, t.malformed, err = readLog(f); err != nil {
		return nil, badInput("read %s: %w", c.in, err)
	}
	if len(t.requests) == 0 {
		return nil, badInput("read %s: no line of %d is a request in Common or Combined format", c.in, t.malformed)
	}
	return t, nil
}

// A system is the running servers.
type system struct {
	front    *url.URL // address of the gateway
	trust    *tls.Config
	clock    *logClock
	limiter  *limiter
	lb       string
	weights  []int
	machines []*machine
	services []*service
	checker  *checker
	meter    *meter
	watch    *watch
	faults   []fault
	freshness
	stop func() error // stops every server and waits for every goroutine
}

// start starts the backends and the gateway in front of them.
func (c *config) start(ctx context.Context, t *traffic) (_ *system, err error) {
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	back := newTransport(nil)
	sys := &system{clock: new(logClock), lb: c.lb, weights: c.weights, faults: c.faults, freshness: c.freshness, stop: func() error {
		cancel()
		err := g.Wait()
		back.CloseIdleConnections()
		return err
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, sys.stop())
		}
	}()

	// The machines, and a server of each service on each.
	if len(t.requests) > 0 {
		sys.clock.advance(t.requests[0].at)
	}
	for range c.weights {
		sys.machines = append(sys.machines, new(machine))
	}
	missing := missingPaths(t.requests)

	for _, name := range []string{"users", "products", "orders", "web"} {
		var ends []endpoint
		for i, m := range sys.machines {
			h := &history{now: sys.clock.now}
			url, err := serve(ctx, g, loopback, newBackend(name, i+1, m, c.timeout*3/4, h, missing), nil)
			if err != nil {
				return nil, err
			}
			ends = append(ends, endpoint{url, h, h.change})
		}

		s, err := newService(name, c.lb, ends, c.weights, sys.clock.now, back, c.timeout)
		if err != nil {
			return nil, err
		}
		s.bare = c.bare
		if kept := slices.Contains(cached, name); c.cache > 0 && kept {
			s.cache = newCache(s, c.cache, c.freshness, sys.clock.now)
		} else {
			s.sticky = c.sticky
		}
		sys.services = append(sys.services, s)
	}

	// The gateway in front of them.
	sys.checker = &checker{services: sys.services, every: c.health}
	if err := sys.open(c, sys.clock.now, nil); err != nil {
		return nil, err
	}
	return sys, sys.listen(ctx, g, c, loopback, newGateway(sys.services))
}
