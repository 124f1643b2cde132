// SPDX-License-Identifier: MIT

package bench

import (
	"fmt"
	"slices"
)

// Slack is what a measured median may lie above its target.
const Slack = 1.05

type kind int

const (
	none kind = iota
	ratio
	atMost
	within
)

// A Target is what ours has to reach. The zero Target asks nothing: the row informs.
type Target struct {
	kind      kind
	low, high float64
}

// Ratio asks that the median of ours/peer, taken within rounds, be at most x, with [Slack].
func Ratio(x float64) Target { return Target{kind: ratio, high: x} }

// AtMost asks that the median of ours be at most x, with [Slack].
func AtMost(x float64) Target { return Target{kind: atMost, high: x} }

// Within asks that no sample of ours be above high and that the best reach low, without slack.
// A law must hold in every round; what is lost below it is also lost when the machine is busy
// elsewhere, so the best round tells what ours can do.
func Within(low, high float64) Target { return Target{kind: within, low: low, high: high} }

func (t Target) String() string {
	switch t.kind {
	case ratio:
		return fmt.Sprintf("ours/peer at most %.3g", t.high)
	case atMost:
		return fmt.Sprintf("at most %.3g", t.high)
	case within:
		return fmt.Sprintf("never above %.4g, at best %.3g or more", t.high, t.low)
	}
	return "none"
}

// A Verdict is how a workload came out.
type Verdict string

// The verdicts. Miss and Invalid are failures.
const (
	Pass    Verdict = "PASS"
	Miss    Verdict = "MISS"
	Info    Verdict = "info"
	Invalid Verdict = "INVALID"
)

// Failed reports whether v should fail a run.
func (v Verdict) Failed() bool { return v == Miss || v == Invalid }

// A Spread is the quartiles of a series of figures.
type Spread struct{ Q1, Median, Q3 float64 }

func spread(values []float64) Spread {
	s := slices.Sorted(slices.Values(values))
	return Spread{quantile(s, 0.25), quantile(s, 0.5), quantile(s, 0.75)}
}

// quantile interpolates between the two values nearest to rank q.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// Values returns the values of the samples, in the order of rounds.
func (s *Series) Values() []float64 {
	v := make([]float64, len(s.Samples))
	for i, x := range s.Samples {
		v[i] = x.Value
	}
	return v
}

// Median returns the median of the samples.
func (s *Series) Median() float64 { return spread(s.Values()).Median }

// PerOp returns allocations, bytes allocated and admissions per operation, over all samples.
func (s *Series) PerOp() (allocs, bytes, admitted float64) {
	var ops float64
	for _, x := range s.Samples {
		ops += float64(x.Ops)
		allocs += float64(x.Allocs)
		bytes += float64(x.Memory)
		admitted += float64(x.Admitted)
	}
	if ops == 0 {
		return 0, 0, 0
	}
	return allocs / ops, bytes / ops, admitted / ops
}

// RatioTo returns the spread of ours/peer, divided round by round.
func (r *Result) RatioTo(peer *Series) Spread {
	ratios := make([]float64, min(len(r.Ours.Samples), len(peer.Samples)))
	for i := range ratios {
		ratios[i] = r.Ours.Samples[i].Value / peer.Samples[i].Value
	}
	return spread(ratios)
}

// Best returns the peer that the target speaks of: Versus, or the one with the lowest median of those
// without a note. It is nil if there is none, or if the workload asks about ours alone.
func (r *Result) Best() *Series {
	var best *Series
	if r.Workload.Target.kind == within {
		return nil // neither the lowest nor the highest is best
	}
	for i := range r.Peers {
		p := &r.Peers[i]
		switch {
		case r.Workload.Versus != "":
			if p.Name == r.Workload.Versus {
				return p
			}
		case p.Note == "" && (best == nil || p.Median() < best.Median()):
			best = p
		}
	}
	return best
}

// Judge returns the verdict and the reason for it.
func (r *Result) Judge() (Verdict, string) {
	for _, s := range append([]Series{r.Ours}, r.Peers...) {
		if _, _, share := s.PerOp(); s.Note == "" && !r.Workload.Expect.met(share) {
			return Invalid, fmt.Sprintf("%s admitted %.3f of the operations", s.Name, share)
		}
	}
	t := r.Workload.Target
	switch t.kind {
	case ratio:
		best := r.Best()
		if best == nil {
			return Invalid, "no peer " + r.Workload.Versus
		}
		s := r.RatioTo(best)
		return verdict(s.Median <= t.high*Slack),
			fmt.Sprintf("ours/%s %.3f [%.3f..%.3f], target at most %.3g", best.Name, s.Median, s.Q1, s.Q3, t.high)
	case atMost:
		m := r.Ours.Median()
		return verdict(m <= t.high*Slack), fmt.Sprintf("ours %.4g %s, target %v", m, r.Workload.unit(), t)
	case within:
		v := r.Ours.Values()
		lo, hi := slices.Min(v), slices.Max(v)
		return verdict(hi >= t.low && hi <= t.high),
			fmt.Sprintf("ours %.6g..%.6g over %d rounds, target %v", lo, hi, len(v), t)
	}
	if best := r.Best(); best != nil {
		s := r.RatioTo(best)
		return Info, fmt.Sprintf("ours/%s %.3f [%.3f..%.3f], no target", best.Name, s.Median, s.Q1, s.Q3)
	}
	return Info, "no target"
}

func verdict(ok bool) Verdict {
	if ok {
		return Pass
	}
	return Miss
}
