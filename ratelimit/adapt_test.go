// SPDX-License-Identifier: MIT

package ratelimit

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A station is a queue with servers in front of it that a Concurrency guards,
// as a simulation of discrete events: operations arrive as a Poisson process
// (M), take an exponential (M) or a constant (D) time of one of c servers, and
// wait for a server in the order of arrival.
type station struct {
	fakeClock
	rng     *rand.Rand
	c       *Concurrency
	arrival float64 // a second; an operation that finds no permit is lost
	servers int
	service time.Duration
	fixed   bool                     // M/D/c
	dist    func(*rand.Rand) float64 // of times, as a multiple of service; nil for M/M/c
	timeout time.Duration            // after which the caller gives up and calls Drop; 0 if never

	next   int64 // when the next operation arrives
	events departures
	free   []int64 // when each busy server is free, as a heap of its own
	limits []int
	ended  func(took time.Duration) // if not nil, sees each operation done
}

type departure struct {
	at, begun int64
	p         Permit
	drop      bool
}

type departures []departure

func (d departures) Len() int           { return len(d) }
func (d departures) Less(i, j int) bool { return d[i].at < d[j].at }
func (d departures) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *departures) Push(x any)        { *d = append(*d, x.(departure)) }
func (d *departures) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// arrive lets one operation ask for a permit, and plans its departure.
func (s *station) arrive() {
	s.next = s.t + int64(s.rng.ExpFloat64()/s.arrival*float64(time.Second))
	p, ok := s.c.TryAcquire()
	if !ok {
		return
	}

	for len(s.free) > s.servers { // after the capacity fell: the first to be free go
		s.free = slices.Delete(s.free, 0, 1)
	}

	start := s.t
	if len(s.free) == s.servers {
		start = max(start, s.free[0])
		s.free = slices.Delete(s.free, 0, 1)
	}

	took := float64(s.service)
	switch {
	case s.dist != nil:
		took *= s.dist(s.rng)
	case !s.fixed:
		took *= s.rng.ExpFloat64()
	}

	end := start + int64(took)
	i, _ := slices.BinarySearch(s.free, end)
	s.free = slices.Insert(s.free, i, end)
	if limit := s.t + int64(s.timeout); s.timeout > 0 && end > limit {
		heap.Push(&s.events, departure{limit, s.t, p, true})
		return
	}
	heap.Push(&s.events, departure{end, s.t, p, false})
}

// run lets the time d pass, and returns the median of the limits in its second
// half.
func (s *station) run(d time.Duration) float64 {
	until := s.t + int64(d)
	s.limits = s.limits[:0]
	sample := s.t + int64(d)/2

	for {
		at := s.next
		if len(s.events) > 0 {
			at = min(at, s.events[0].at)
		}

		for sample <= min(at, until) {
			s.limits = append(s.limits, s.c.Limit())
			sample += int64(50 * time.Millisecond)
		}

		if at > until {
			break
		}

		s.t = at
		if at == s.next {
			s.arrive()
			continue
		}

		e := heap.Pop(&s.events).(departure)
		if e.drop {
			e.p.Drop()
		} else {
			e.p.Release()
			if s.ended != nil {
				s.ended(time.Duration(e.at - e.begun))
			}
		}
	}

	s.t = until
	slices.Sort(s.limits)
	return float64(s.limits[len(s.limits)/2])
}

// newStation returns a station whose servers are asked for half as much again
// as they can do.
func newStation(t *testing.T, seed uint64, servers int, fixed bool, limit int, a Algorithm) *station {
	t.Helper()
	if raceEnabled {
		t.Skip("one goroutine, and minutes")
	}
	s := &station{rng: rand.New(rand.NewPCG(seed, 2)), servers: servers, service: 10 * time.Millisecond, fixed: fixed}
	s.c = NewConcurrency(limit, &ConcurrencyOptions{Adapt: a, Now: s.now})
	s.load(1.5)
	return s
}

// load sets the arrivals, as a multiple of the capacity of the servers.
func (s *station) load(x float64) {
	s.arrival = x * float64(s.servers) / s.service.Seconds()
}

// TestAdaptiveSettles checks that adaptive limits, through steps of capacity
// and of service time, settle near the optimum by Little's law: the throughput
// of all servers times the time of an operation without a queue, which is their
// number. They settle within 20 % where times are constant, and within 30 %
// where they are exponential.
func TestAdaptiveSettles(t *testing.T) {
	steps := []struct {
		servers int
		service time.Duration
	}{
		{80, 20 * time.Millisecond},
		{40, 20 * time.Millisecond}, // half of the servers fail
		{120, 20 * time.Millisecond},
		{120, 40 * time.Millisecond}, // each operation becomes slower
		{60, 20 * time.Millisecond},
	}

	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for _, tt := range []struct {
		name  string
		fixed bool
		make  func() Algorithm
		// A caller gives up after this part more than the service time, and
		// calls Drop.
		patience  float64
		tolerance float64
	}{
		{"M/D/c Gradient2", true, func() Algorithm { return &Gradient2{} }, 0, 0.2},
		{"M/M/c Gradient2", false, func() Algorithm { return &Gradient2{} }, 0, 0.3},
		{"M/D/c AIMD", true, func() Algorithm { return &AIMD{} }, 0.1, 0.2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range seeds {
				s := newStation(t, seed, 40, tt.fixed, 5, tt.make())
				for _, step := range steps {
					s.servers, s.service = step.servers, step.service
					s.timeout = time.Duration(float64(step.service) * (1 + tt.patience))
					if tt.patience == 0 {
						s.timeout = 0
					}
					s.load(1.5)
					got := s.run(time.Minute)
					if math.Abs(got/float64(step.servers)-1) > tt.tolerance {
						t.Errorf("seed %d: %d servers of %v: the limit settles at %v, want within %v", seed, step.servers, step.service, got, tt.tolerance)
					}
				}
			}
		})
	}
}

// TestAdaptiveConditions checks where Gradient2 settles under harder
// conditions, as a part of the number of servers: few servers, little more
// asked for than can be done, and times that vary more than an exponential
// distribution. It is less exact there, and the documentation says so.
func TestAdaptiveConditions(t *testing.T) {
	lognormal := func(r *rand.Rand) float64 { return math.Exp(2*r.NormFloat64() - 2) }
	for _, tt := range []struct {
		name      string
		servers   int
		load      float64
		fixed     bool
		dist      func(*rand.Rand) float64
		low, high float64
	}{
		{"1 server", 1, 1.5, true, nil, 1, 2},
		{"1 server, exponential", 1, 1.5, false, nil, 1, 3},
		{"3 servers", 3, 1.5, true, nil, 1, 4. / 3},
		{"4 servers, exponential", 4, 1.5, false, nil, 1, 2.5},
		{"16 servers", 16, 1.5, true, nil, 1, 1.25},
		{"load 1.05", 40, 1.05, true, nil, 1, 1.3},
		{"load 1.05, exponential", 40, 1.05, false, nil, 1, 1.5},
		{"load 3, exponential", 40, 3, false, nil, 1, 1.3},
		{"lognormal 2", 40, 1.5, false, lognormal, 0.9, 2.2},
	} {
		s := newStation(t, 1, tt.servers, tt.fixed, 5, &Gradient2{})
		s.dist = tt.dist
		s.service = 20 * time.Millisecond
		s.load(tt.load)

		if got := s.run(time.Minute) / float64(tt.servers); got < tt.low || got > tt.high {
			t.Errorf("%s: the limit settles at %.2f of the servers, want %.2f to %.2f", tt.name, got, tt.low, tt.high)
		}
	}
}

// TestGradient2NoCollapse checks that measurements that are low by chance do
// not let the limit fall to the bottom: averages of low ones alone would.
func TestGradient2NoCollapse(t *testing.T) {
	for seed := range uint64(4) {
		s := newStation(t, seed, 4, false, 5, &Gradient2{})
		s.service = 20 * time.Millisecond
		s.load(3)
		for range 4 {
			if got := s.run(30 * time.Second); got < 4 {
				t.Errorf("seed %d: the limit is %v before 4 servers, want 4 or more", seed, got)
			}
		}
	}
}

// TestAdaptiveRefuses checks the purpose of the limit: with half as many
// operations again as the servers can do, those admitted take little longer
// than they would alone, and the servers stay nearly as busy as they can be.
func TestAdaptiveRefuses(t *testing.T) {
	s := newStation(t, 1, 40, false, 1000, &Gradient2{})
	s.run(time.Minute)
	done, late := 0, 0
	s.ended = func(took time.Duration) {
		done++
		if took > 5*s.service {
			late++
		}
	}
	s.run(time.Minute)
	most := 40 * 60 * 100
	if done < most*9/10 {
		t.Errorf("%d done, want %d or more of %d", done, most*9/10, most)
	}
	if late > done/50 { // exp(-5) of them alone: 0.7 %
		t.Errorf("%d of %d are late, want at most %d", late, done, done/50)
	}
}

// TestTrapTimeoutGrowth checks the fault of Netflix's Gradient2 on a server
// that answers nothing: every operation takes the timeout, which is stable, and
// the limit grows without bound (concurrency-limits
// #137). Here a dropped operation shrinks it.
func TestTrapTimeoutGrowth(t *testing.T) {
	for name, a := range map[string]Algorithm{"Gradient2": &Gradient2{}, "AIMD": &AIMD{}} {
		s := newStation(t, 1, 40, true, 100, a)
		s.timeout, s.service = time.Second, time.Hour
		highest := 0
		for range 120 {
			highest = max(highest, int(s.run(time.Second)))
		}
		if highest > 100 {
			t.Errorf("%s: the highest limit is %d, want at most 100", name, highest)
		}
		if got := s.c.Limit(); got > 5 {
			t.Errorf("%s: the limit is %d, want at most 5", name, got)
		}
	}
}

// TestTrapOverloadGrowth checks the fault of Gradient2 adding room for a queue
// to a limit that it shrinks, so that it grows under a mild overload
// (concurrency-limits #134), and following its own growth with its average of
// the past. Here operations that are a little too slow shrink it.
func TestTrapOverloadGrowth(t *testing.T) {
	g := &Gradient2{Probe: -1}
	g.Update(Sample{Limit: 10, InFlight: 1, RTT: 10 * time.Millisecond, Calls: 100}) // learns 10 ms
	for _, limit := range []float64{1, 2, 10, 100} {
		s := Sample{Limit: limit, InFlight: int(limit), RTT: 11 * time.Millisecond, Calls: 100}
		if got := g.Update(s); got >= limit {
			t.Errorf("10 %% too slow at %v: the limit becomes %v", limit, got)
		}
		s.RTT = 10 * time.Millisecond
		if got := g.Update(s); got <= limit {
			t.Errorf("in time at %v: the limit becomes %v", limit, got)
		}
	}
	s := newStation(t, 1, 40, true, 40, &Gradient2{})
	s.load(1.02)
	early := s.run(time.Minute)
	done, total := 0, time.Duration(0)
	s.ended = func(took time.Duration) { done++; total += took }
	late := s.run(2 * time.Minute)
	if got, most := total/time.Duration(done), s.service*115/100; got > most {
		t.Errorf("operations take %v under a mild overload, want at most %v", got, most)
	}
	if late > 1.2*early {
		t.Errorf("the limit goes from %v to %v, want at most %v", early, late, 1.2*early)
	}
}

// TestAdaptiveUnused checks that a limit which is not used does not grow, and
// is not probed.
func TestAdaptiveUnused(t *testing.T) {
	for name, a := range map[string]Algorithm{"Gradient2": &Gradient2{}, "AIMD": &AIMD{}} {
		s := newStation(t, 1, 40, false, 100, a)
		s.load(0.5) // 20 in flight
		s.run(time.Minute)
		lo, hi := s.limits[0], s.limits[len(s.limits)-1]
		check(t, lo, 100, "%s: the lowest limit with 20 in flight", name)
		check(t, hi, 100, "%s: the highest limit with 20 in flight", name)
	}
}

// TestAlgorithms checks single updates.
func TestAlgorithms(t *testing.T) {
	busy := Sample{Limit: 10, InFlight: 10, RTT: time.Millisecond, Calls: 100}
	dropped := busy
	dropped.Dropped = 1
	idle := Sample{Limit: 10, InFlight: 4, RTT: time.Millisecond, Calls: 100}

	for _, tt := range []struct {
		name string
		a    Algorithm
		s    Sample
		want float64
	}{
		{"AIMD", &AIMD{}, busy, 11},
		{"AIMD by 2.5", &AIMD{Increase: 2.5}, busy, 12.5},
		{"AIMD dropped", &AIMD{}, dropped, 9},
		{"AIMD dropped by half", &AIMD{Backoff: 0.5}, dropped, 5},
		{"AIMD idle", &AIMD{}, idle, 10},
		{"Gradient2 idle", &Gradient2{}, idle, 10},
		{"Gradient2 all dropped", &Gradient2{}, Sample{Limit: 10, InFlight: 10, Dropped: 50}, 9},
		{"Gradient2 all dropped, at once", &Gradient2{Smoothing: 1}, Sample{Limit: 10, InFlight: 10, Dropped: 50}, 5},
		{"Gradient2 idle and dropped", &Gradient2{Smoothing: 1}, Sample{Limit: 10, InFlight: 1, Dropped: 50}, 5},
		{"Gradient2 first dip", &Gradient2{Tolerance: 1.6}, busy, 5},
		{"Gradient2 without", &Gradient2{Probe: -1, Smoothing: 1}, Sample{Limit: 9, InFlight: 9, Calls: 100}, 12},
		{"Gradient2 nothing", &Gradient2{}, Sample{Limit: 7}, 7},
	} {
		if got := tt.a.Update(tt.s); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestGradient2Dip checks each step of a dip: down, a window to settle, one to
// measure, and back.
func TestGradient2Dip(t *testing.T) {
	g := &Gradient2{Tolerance: 1.6, Smoothing: 1}
	update := func(limit float64, rtt time.Duration) float64 {
		return g.Update(Sample{Limit: limit, InFlight: int(limit), RTT: rtt, Calls: 100})
	}

	for i, step := range []struct {
		limit float64
		rtt   time.Duration
		want  float64
	}{
		{100, 20, 50}, // nothing is known yet: a dip from a limit that would have been 110
		{50, 18, 50},  // settling
		{50, 10, 110}, // measured: 10 without a queue
		{110, 20, 88}, // 20 is 1.25 times 16
		{88, 16, 88 + math.Sqrt(88)},
	} {
		if got := update(step.limit, step.rtt); math.Abs(got-step.want) > 1e-9 {
			t.Fatalf("step %d: %v, want %v", i, got, step.want)
		}
	}

	// Operations become slower, and fewer of them no faster: after 8 windows
	// there is a dip.
	limit := 100.0

	for range impatience - 1 {
		limit = update(limit, 30)
	}

	dip := update(limit, 30)
	if dip != limit/2 {
		t.Fatalf("after %d windows: %v of %v", impatience, dip, limit)
	}
	update(dip, 30)
	if back := update(dip, 30); back >= limit {
		t.Errorf("back at %v after the dip, want less than %v", back, limit)
	}
	check(t, g.baseline, 20, "baseline after the dip")

	// In a dip to half, a queue takes half as long: how long it takes without
	// one is not known.
	g.before = 60
	g.depth = 0.5
	g.learn(31, 0)
	if g.baseline != 20 {
		t.Errorf("the baseline followed a queue to %v, want 20", g.baseline)
	}

	// SetLimit during a dip ends it.
	g.phase, g.from, g.saved = settling, 90, 95
	check(t, update(100, 20), 110, "limit after SetLimit")
	check(t, g.phase, steady, "phase after SetLimit")
}

// TestGradient2Recovers checks that the limit, which a measurement that was far
// too low makes fall to the bottom, does not stay there.
func TestGradient2Recovers(t *testing.T) {
	g, limit := &Gradient2{baseline: float64(time.Millisecond)}, 100.0
	for i := range 300 {
		if limit = max(g.Update(Sample{Limit: limit, InFlight: int(limit), RTT: 10 * time.Millisecond, Calls: 100}), 1); i == 40 && limit > 20 {
			t.Errorf("after 40 windows the limit is %v", limit)
		}
	}
	if limit < 100 {
		t.Errorf("after 300 windows the limit is %v, want at least 100", limit)
	}
}

// TestAdapt checks the samples that a Concurrency gives its algorithm, and the
// limits that it makes of the answers.
func TestAdapt(t *testing.T) {
	var clock fakeClock
	var samples []Sample
	answer, during := 0.0, func() {}
	a := algorithm(func(s Sample) float64 { samples = append(samples, s); during(); return answer })
	c := NewConcurrency(4, &ConcurrencyOptions{Adapt: a, Min: 2, Max: 6, Now: clock.now})

	// window ends 20 permits, two at a time, of which one in ten is dropped and
	// one ignored.
	window := func() {
		for i := range 20 {
			p, _ := c.TryAcquire()
			q, _ := c.TryAcquire()
			clock.t += int64(10 * time.Millisecond)
			q.Ignore()
			if i%10 == 0 {
				p.Drop()
				continue
			}
			p.Release()
		}
	}

	for _, step := range []struct {
		answer, limit float64
		permits       int
	}{{4.75, 4.75, 4}, {5.5, 5.5, 5}, {100, 6, 6}, {-1, 2, 2}, {math.Inf(1), 6, 6}, {math.NaN(), 6, 6}, {0, 2, 2}, {3, 3, 3}} {
		before := c.target
		answer, samples = step.answer, nil
		window()
		want := []Sample{{Limit: before, InFlight: 1, RTT: 10 * time.Millisecond, Calls: 18, Dropped: 2}}
		if !slices.Equal(samples, want) {
			t.Fatalf("samples %+v, want %+v", samples, want)
		}
		check(t, c.target, step.limit, "limit after the answer %v", answer)
		check(t, c.Limit(), step.permits, "permits after the answer %v", answer)
	}

	during = func() { c.SetLimit(40) }
	window()
	if c.Limit() != 40 {
		t.Errorf("SetLimit was overruled: %d, want 40", c.Limit())
	}

	during = func() { panic("mine") }
	func() {
		defer func() { _ = recover() }()
		window()
	}()
	during, answer = func() {}, 5
	samples = nil
	window()
	window()
	check(t, c.Limit(), 5, "limit after a panic")
	if got := c.InFlight(); got > 1 {
		t.Errorf("%d in flight after a panic, want at most 1", got)
	}
	if len(samples) == 0 {
		t.Error("no samples after a panic, want some")
	}
}

// TestAdaptWindow checks that a window lasts as long as it says, at least 20
// permits and twice an operation, and that the algorithm is asked once for
// each.
func TestAdaptWindow(t *testing.T) {
	var clock fakeClock
	asked := 0
	a := algorithm(func(s Sample) float64 { asked++; return s.Limit })
	c := NewConcurrency(4, &ConcurrencyOptions{Adapt: a, Window: time.Second, Now: clock.now})
	end := func(n int, took time.Duration) {
		for range n {
			p, _ := c.TryAcquire()
			clock.t += int64(took)
			p.Release()
		}
	}

	for i, step := range []struct {
		n    int
		took time.Duration
		want int
	}{
		{999, time.Millisecond, 0},
		{1, time.Millisecond, 1}, // a second is over
		{19, time.Second, 1},     // too few
		{1, time.Second, 2},      // 20 of them
		{19, 2 * time.Second, 2}, // 38 s, but too few
		{1, 2 * time.Second, 3},  // the window before said 1 s
		{1000, time.Millisecond, 3},
		{2999, time.Millisecond, 3},
		{1, time.Millisecond, 4}, // twice 2 s
	} {
		if end(step.n, step.took); asked != step.want {
			t.Fatalf("step %d: asked %d times, want %d", i, asked, step.want)
		}
	}
	clock.t -= int64(time.Hour) // operations never take less than nothing
	end(1, -time.Hour)
	check(t, c.sampler.current.Calls, 1, "calls in the window")
	check(t, c.sampler.sum, 0, "time of the calls")
}

// TestAdaptOneAtATime checks that Update is not called again while it runs,
// although enough permits end for more windows.
func TestAdaptOneAtATime(t *testing.T) {
	var clock fakeClock
	var c *Concurrency
	end := func(n int) {
		for range n {
			p, _ := c.TryAcquire()
			clock.t += int64(10 * time.Millisecond)
			p.Release()
		}
	}

	var calls []int
	thinking := false
	c = NewConcurrency(4, &ConcurrencyOptions{Now: clock.now, Adapt: algorithm(func(s Sample) float64 {
		if thinking {
			t.Error("Update within Update")
			return s.Limit
		}
		thinking = true
		end(50)
		thinking = false
		calls = append(calls, s.Calls)
		return s.Limit
	})})
	end(20)
	end(1)
	if want := []int{20, 51}; !slices.Equal(calls, want) {
		t.Errorf("windows of %v permits, want %v", calls, want)
	}
}

// An algorithm is an Algorithm that is a function.
type algorithm func(Sample) float64

func (a algorithm) Update(s Sample) float64 { return a(s) }

// TestSetLimitEndsDip checks that Gradient2 does not return from a dip to the
// limit before it, if SetLimit has chosen another meanwhile.
func TestSetLimitEndsDip(t *testing.T) {
	var clock fakeClock
	c := NewConcurrency(100, &ConcurrencyOptions{Adapt: &Gradient2{}, Now: clock.now})
	window := func() {
		for range minSamples {
			permits := make([]Permit, c.Limit())
			for i := range permits {
				permits[i], _ = c.TryAcquire()
			}
			clock.sleep(10 * time.Millisecond)
			for _, p := range permits {
				p.Release()
			}
		}
	}

	for before := c.Limit(); c.Limit() >= before; {
		window() // until the dip
	}
	c.SetLimit(10)
	for range 4 {
		window()
	}
	if got := c.Limit(); got > 30 {
		t.Errorf("limit = %d, soon after SetLimit(10), want at most 30", got)
	}
}

// TestSetLimitDuringUpdate checks that the limit of SetLimit stands, if it
// comes while the Algorithm chooses another.
func TestSetLimitDuringUpdate(t *testing.T) {
	var c *Concurrency
	c = NewConcurrency(10, &ConcurrencyOptions{Window: 1, Adapt: algorithm(func(s Sample) float64 {
		c.SetLimit(int(s.Limit)) // as before
		return 50
	})})
	for range 2 * minSamples {
		p, _ := c.TryAcquire()
		p.Release()
	}
	if got := c.Limit(); got != 10 {
		t.Errorf("limit = %d, want 10", got)
	}
}

// TestAdaptClockJumps checks that operations that last longer than the clock
// can tell have a duration that is not negative.
func TestAdaptClockJumps(t *testing.T) {
	clock := fakeClock{t: -maxReading}
	var got Sample
	c := NewConcurrency(10, &ConcurrencyOptions{Window: 1, Adapt: algorithm(func(s Sample) float64 {
		got = s
		return s.Limit
	}), Now: clock.now})
	c.clock.base = time.Unix(0, 0)
	for range minSamples {
		clock.t = -maxReading
		p, _ := c.TryAcquire()
		clock.t = maxReading
		p.Release()
	}
	check(t, got.Calls, minSamples, "Calls")
	if got.RTT < maxReading-1 {
		t.Errorf("RTT = %v, want 146 years", got.RTT)
	}
}

// TestSampleOfDrops checks that a window in which all permits were dropped has
// no duration.
func TestSampleOfDrops(t *testing.T) {
	var clock fakeClock
	var got Sample
	c := NewConcurrency(10, &ConcurrencyOptions{Window: 1, Adapt: algorithm(func(s Sample) float64 {
		got = s
		return s.Limit
	}), Now: clock.now})
	for range minSamples {
		p, _ := c.TryAcquire()
		clock.sleep(time.Millisecond)
		p.Drop()
	}
	check(t, got.Dropped, minSamples, "Dropped")
	check(t, got.RTT, 0, "RTT")
	check(t, got.StdErr, 0, "StdErr")
}

// TestAIMDBounds checks the bounds of Increase.
func TestAIMDBounds(t *testing.T) {
	if err := (&AIMD{Increase: maxLimit}).Validate(); err != nil {
		t.Errorf("Increase %d: err = %v, want nil", maxLimit, err)
	}
	if err := (&AIMD{Increase: maxLimit + 1}).Validate(); err == nil {
		t.Errorf("Increase %d: err = nil, want an error", maxLimit+1)
	}
}

// TestGradient2Learn checks how a measurement within the differences of chance
// moves the baseline.
func TestGradient2Learn(t *testing.T) {
	g := Gradient2{baseline: 100, before: 1000, depth: 0.75}
	g.learn(104, 10)
	if got := g.baseline; got != 101 {
		t.Errorf("baseline = %v, want 101: a quarter of the way from 100 to 104", got)
	}
}

// TestGradient2DipWithoutCalls checks that a dip in which no operation ended
// well measures nothing, and one in which a single one did measures that.
func TestGradient2DipWithoutCalls(t *testing.T) {
	for _, tt := range []struct {
		calls, dropped int
		want           float64
		baseline       float64
	}{
		{0, 5, 25, 0}, // half of the limit, as after any window of drops
		{1, 0, 100, 10},
	} {
		g := &Gradient2{Tolerance: 1.6, Smoothing: 1}
		g.Update(Sample{Limit: 100, InFlight: 100, RTT: 20, Calls: 100})
		g.saved = 100
		g.Update(Sample{Limit: 50, InFlight: 50, RTT: 18, Calls: 100})
		got := g.Update(Sample{Limit: 50, InFlight: 50, RTT: 10 * time.Duration(tt.calls), Calls: tt.calls, Dropped: tt.dropped})
		check(t, got, tt.want, "the limit after %d calls and %d dropped", tt.calls, tt.dropped)
		check(t, g.baseline, tt.baseline, "the baseline after %d calls and %d dropped", tt.calls, tt.dropped)
	}
}

// TestGradient2Steps checks the steps of Gradient2 one by one: dropped
// operations shrink the limit as a gradient of one half does, in proportion,
// and a measurement is made every Probe windows.
func TestGradient2Steps(t *testing.T) {
	sample := func(limit float64, calls, dropped int, rtt time.Duration) Sample {
		return Sample{Limit: limit, InFlight: int(limit), Calls: calls, Dropped: dropped, RTT: rtt}
	}
	for _, tt := range []struct {
		calls, dropped int
		want           float64
	}{{5, 5, 100 * (1 - 0.2*0.25)}, {1, 1, 95}, {0, 10, 90}, {30, 10, 97.5}, {0, 0, 100}} {
		g := &Gradient2{Probe: -1}
		if got := g.Update(sample(100, tt.calls, tt.dropped, time.Millisecond)); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("limit after %d and %d dropped = %v, want %v", tt.calls, tt.dropped, got, tt.want)
		}
	}

	// The default is 30.
	dips := func(g *Gradient2) (at []int) {
		limit := 100.0
		for i := range 100 {
			next := g.Update(sample(limit, 50, 0, time.Millisecond))
			if next < 0.9*limit {
				at = append(at, i)
			}
			limit = next
		}
		return at
	}
	if got, want := dips(&Gradient2{}), dips(&Gradient2{Probe: 30}); !slices.Equal(got, want) || len(got) < 3 {
		t.Errorf("dips at %v by default, want %v, as with 30", got, want)
	}
	if got, other := dips(&Gradient2{Probe: 30}), dips(&Gradient2{Probe: 31}); slices.Equal(got, other) {
		t.Errorf("dips at %v with 30 and with 31", got)
	}
}

// TestGradient2Bounds checks the bounds of the settings of Gradient2.
func TestGradient2Bounds(t *testing.T) {
	for g, want := range map[Gradient2]bool{
		{}:                 true,
		{Tolerance: 1}:     false,
		{Tolerance: 1.001}: true,
		{Tolerance: 1.5}:   true,
		{Tolerance: 100}:   true,
		{Tolerance: 100.1}: false,
		{Tolerance: -2}:    false,
		{Smoothing: 1}:     true,
		{Smoothing: 1.01}:  false,
		{Smoothing: -0.01}: false,
	} {
		err := g.Validate()
		check(t, err == nil, want, "Tolerance %v, Smoothing %v are valid", g.Tolerance, g.Smoothing)
	}
}

// TestGradient2LearnCases checks what a measurement does to the baseline: one
// that is much lower, or as long as operations took before, counts as much as
// the baseline; one within two standard errors a quarter; others nothing.
func TestGradient2LearnCases(t *testing.T) {
	for _, tt := range []struct{ baseline, before, rtt, stdErr, want float64 }{
		{0, 10, 7, 1, 7},
		{100, 1000, 97.9, 1, 98.95},
		{100, 1000, 98, 1, 99.5},
		{100, 1000, 101.9, 1, 100.475},
		{100, 1000, 102, 1, 100},
		{100, 1000, 750, 1, 425}, // the knee, at (1 + 0.5)/2 of 1000
		{100, 1000, 749, 1, 100},
	} {
		g := Gradient2{baseline: tt.baseline, before: tt.before, depth: 0.5, since: 3, shrunk: 4}
		g.learn(tt.rtt, tt.stdErr)
		if math.Abs(g.baseline-tt.want) > 1e-9 {
			t.Errorf("baseline %v after %v (before %v, error %v) = %v, want %v", tt.baseline, tt.rtt, tt.before, tt.stdErr, g.baseline, tt.want)
		}
		check(t, g.since, 0, "since")
		check(t, g.shrunk, 0, "shrunk")
	}
}

// TestSampleOfOne checks that the duration of one permit among drops counts,
// and that of equal ones has no error.
func TestSampleOfOne(t *testing.T) {
	for calls := range minSamples {
		var clock fakeClock
		var got Sample
		c := NewConcurrency(10, &ConcurrencyOptions{Window: 1, Adapt: algorithm(func(s Sample) float64 {
			got = s
			return s.Limit
		}), Now: clock.now})
		for i := range minSamples {
			p, _ := c.TryAcquire()
			clock.sleep(time.Millisecond)
			if i < calls {
				p.Release()
			} else {
				p.Drop()
			}
		}
		check(t, got.Calls, calls, "Calls")
		check(t, got.Dropped, minSamples-calls, "Dropped")
		check(t, got.RTT, time.Millisecond*time.Duration(min(calls, 1)), "RTT of %d calls", calls)
		check(t, got.StdErr, 0, "StdErr of %d calls", calls)
	}
}

// TestGradient2OneDrop checks windows of one operation, and of one drop.
func TestGradient2OneDrop(t *testing.T) {
	for _, tt := range []struct {
		calls, dropped, inFlight int
		baseline, rtt            float64
		want                     float64
		shrunk                   int
	}{
		{0, 1, 100, 0, 0, 90, 3},
		{1, 0, 100, 0, 0, 102, 0},
		{1, 0, 100, 1, 1, 102, 0},
		{1, 0, 100, 1, 100, 90, 4}, // a gradient of one half
		{0, 1, 1, 1, 0, 90, 3},     // a drop counts in a limit that is not used
		{1, 0, 1, 0, 50, 100, 0},   // nothing is known, and nothing shrinks
	} {
		g := Gradient2{Probe: -1, baseline: tt.baseline, shrunk: 3}

		got := g.follow(Sample{Limit: 100, InFlight: tt.inFlight, Calls: tt.calls, Dropped: tt.dropped, RTT: time.Duration(tt.rtt)})
		if math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%+v: limit = %v, want %v", tt, got, tt.want)
		}
		check(t, g.shrunk, tt.shrunk, "%+v: shrunk", tt)
	}

	// The first measures, and later ones are averaged.
	g := Gradient2{Probe: -1}
	g.follow(Sample{Limit: 100, InFlight: 1, Calls: 1, RTT: 50})
	check(t, g.baseline, 50, "the baseline of a first window")
	g.follow(Sample{Limit: 100, InFlight: 1, Calls: 1, RTT: 100})
	check(t, g.baseline, 60, "the baseline of a second window")
	check(t, g.since, 0, "windows since a dip, as which both count")
}

// TestSamplerForgets checks that nothing of a window is in the next: two that
// took equally long have no error.
func TestSamplerForgets(t *testing.T) {
	var p sampler
	for range 2 {
		p.add(0, 5, 1, false)
		s := p.next(0, 1)
		check(t, s.RTT, 5, "RTT")
		check(t, s.StdErr, 0, "StdErr")
		check(t, s.Calls, 1, "Calls")
		p.resume()
	}

	// Of 5 and 15, the error of the mean is 5 divided by the root of 2.
	p.add(0, 5, 1, false)
	p.add(0, 15, 1, false)
	check(t, p.next(0, 1).StdErr, 3, "StdErr of two")
}
