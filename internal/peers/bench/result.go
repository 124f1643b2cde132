// SPDX-License-Identifier: MIT

package bench

import (
	"fmt"
	"math"
	"slices"
)

type kind int

const (
	none kind = iota
	ratio
	atMost
	within
)

// A Target is what ours has to reach. The zero Target asks nothing: the row
// informs.
type Target struct {
	kind      kind
	low, high float64
}

// Ratio asks that the median of ours/peer, taken within rounds, be at most x.
func Ratio(x float64) Target { return Target{kind: ratio, high: x} }

// AtMost asks that the median of ours be at most x.
func AtMost(x float64) Target { return Target{kind: atMost, high: x} }

// Within asks that no sample of ours be above high and that the best reach low,
// without slack. A law must hold in every round; what is lost below it is also
// lost when the machine is busy elsewhere, so the best round tells what ours
// can do.
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

// The verdicts. Miss and Invalid are failures. A target within the interval
// of the median is neither reached nor missed as far as the run can tell.
const (
	Pass    Verdict = "PASS"
	Miss    Verdict = "MISS"
	Unsure  Verdict = "UNSURE"
	Info    Verdict = "info"
	Invalid Verdict = "INVALID"
)

// Failed reports whether v should fail a run.
func (v Verdict) Failed() bool { return v == Miss || v == Invalid }

// A Spread is the median of a series of figures, and the interval in which the
// median of all possible rounds lies with 95 % confidence or more: two of the
// figures, such as the 2nd and the 9th of 10. Fewer than 6 figures give no such
// interval; it is then their whole range.
type Spread struct{ Low, Median, High float64 }

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(values))
	i := rank(len(s))
	mid := (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	return Spread{s[i], mid, s[len(s)-1-i]}
}

// rank returns the index of the low end of the interval among n figures. A
// figure is below the true median with probability 1/2, so the number of those
// below is binomial, and the interval from index i to n-1-i misses the median
// with probability 2·P(fewer than i+1 are below).
func rank(n int) int {
	below := 0.0 // P(at most i are below)
	term := math.Pow(0.5, float64(n))
	for i := 0; ; i++ {
		below += term
		if 2*below > 0.05 {
			return max(i-1, 0)
		}
		term *= float64(n-i) / float64(i+1)
	}
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

// PerOp returns allocations, bytes allocated and admissions per operation, over
// all samples.
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

// Best returns the peer that the target speaks of: Versus, or the one with the
// lowest median of those without a note. It is nil if there is none, or if the
// workload asks about ours alone.
func (r *Result) Best() *Series {
	if r.Workload.Target.kind == within {
		return nil // neither the lowest nor the highest is best
	}

	var best *Series
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
	if why := r.Workload.Expect.unmet(slices.Concat([]Series{r.Ours}, r.Peers)); why != "" {
		return Invalid, why
	}

	t := r.Workload.Target
	aim := fmt.Sprintf("target %v (%s)", t, r.Workload.origin())
	best := r.Best()
	switch {
	case t.kind == ratio && best == nil:
		return Invalid, "no peer " + r.Workload.Versus
	case t.kind == ratio:
		s := r.RatioTo(best)
		return verdict(s, t.high), fmt.Sprintf("ours/%s %s, %s", best.Name, s, aim)
	case t.kind == atMost:
		s := spread(r.Ours.Values())
		return verdict(s, t.high), fmt.Sprintf("ours %s %s, %s", s, r.Workload.unit(), aim)
	case t.kind == within:
		return r.judgeLaw(t, aim)
	case best != nil:
		return Info, fmt.Sprintf("ours/%s %s, no target", best.Name, r.RatioTo(best))
	}
	return Info, "no target"
}

// judgeLaw judges a law, which every round has to keep.
func (r *Result) judgeLaw(t Target, aim string) (Verdict, string) {
	v := r.Ours.Values()
	lo := slices.Min(v)
	hi := slices.Max(v)
	why := fmt.Sprintf("ours %.6g..%.6g over %d rounds, %s", lo, hi, len(v), aim)
	if hi < t.low || hi > t.high {
		return Miss, why
	}
	return Pass, why
}

// verdict tells whether a median is at most high.
func verdict(s Spread, high float64) Verdict {
	switch {
	case s.High <= high:
		return Pass
	case s.Low > high:
		return Miss
	}
	return Unsure
}

func (s Spread) String() string {
	return fmt.Sprintf("%.3g [%.3g..%.3g]", s.Median, s.Low, s.High)
}
