// SPDX-License-Identifier: MIT

package quorum

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A doLog is what a test has seen of a call of Do, in its order.
type doLog struct {
	mu        sync.Mutex
	began     []time.Duration // since the start, of each request
	asked     Set
	failed    []time.Duration
	discarded []int
}

// TestModelDo checks Do against a model that looks at all answers afterwards:
// what it returns and when, how many replicas it asks and when, and that each
// value is either returned or discarded.
func TestModelDo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(rt, "n")
		need := rapid.IntRange(1, n).Draw(rt, "need")
		hedge := rapid.SampledFrom([]time.Duration{0, -1, 777}).Draw(rt, "hedge")
		near := Set(rapid.Uint64Max(1<<n-1).Draw(rt, "near"))
		fails := Set(rapid.Uint64Max(1<<n-1).Draw(rt, "fails"))
		order := rapid.Permutation(slices.Collect(First(n).All())).Draw(rt, "order")

		synctest.Test(t, func(t *testing.T) {
			var log doLog
			start := time.Now()
			f := func(ctx context.Context, i int) (int, error) {
				log.mu.Lock()
				log.began = append(log.began, time.Since(start))
				log.asked |= 1 << i
				log.mu.Unlock()
				time.Sleep(delayAt(order[i]))
				if fails&(1<<i) == 0 {
					return 100 + i, nil
				}
				log.mu.Lock()
				defer log.mu.Unlock()
				log.failed = append(log.failed, time.Since(start))
				return 0, errDown
			}
			answers, err := Do(t.Context(), Threshold(need, First(n)), f, &DoOptions[int]{
				Hedge: hedge, Near: near,
				Discard: func(a Answer[int]) {
					log.mu.Lock()
					defer log.mu.Unlock()
					log.discarded = append(log.discarded, a.Replica)
				},
			})
			took := time.Since(start)
			synctest.Wait()
			log.mu.Lock()
			began := len(log.began)
			log.mu.Unlock()
			time.Sleep(time.Hour) // until all have answered
			synctest.Wait()

			checkAnswers(rt, answers, err, need, n, fails)
			values := slices.Clone(log.discarded)
			for _, a := range answers {
				if a.Value != 100+a.Replica {
					rt.Errorf("value of replica %d = %d, want %d", a.Replica, a.Value, 100+a.Replica)
				}
				values = append(values, a.Replica)
			}
			slices.Sort(values)
			if want := slices.Collect((log.asked &^ fails).All()); !slices.Equal(values, want) {
				rt.Errorf("values of %v returned or discarded, want each of %v once", values, want)
			}

			// Requests begin at once, with failures, and with the hedge.
			if len(log.began) != began {
				rt.Errorf("%d requests after the call, want none", len(log.began)-began)
			}
			want := n
			if hedge != 0 {
				want = need
				for _, at := range log.failed {
					if at < took {
						want++
					}
				}
				if hedge > 0 {
					want += int((took - 1) / hedge)
				}
			}
			if want = min(want, n); began != want {
				rt.Errorf("%d requests in %v, want %d", began, took, want)
			}
			if hedge == 0 {
				if want := timeOf(need, n, fails, order); took != want {
					rt.Errorf("took %v, want %v", took, want)
				}
			}
		})
	})
}

// checkAnswers checks that a call has the outcome that its replicas allow.
func checkAnswers(t *rapid.T, answers []Answer[int], err error, need, n int, fails Set) {
	if n-fails.Len() >= need {
		if err != nil || len(answers) != need {
			t.Errorf("got %d answers, %v, want %d", len(answers), err, need)
		}
		return
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != ErrUnavailable || e.Op != "do" || e.Failed.Len() != n-need+1 || len(e.Errs) != e.Failed.Len() {
		t.Errorf("got %v, want ErrUnavailable with %d failures", err, n-need+1)
	}
	if answers != nil {
		t.Errorf("got answers %v with an error, want none", answers)
	}
}

// delayAt returns how long the replica at some place of the order takes. No
// sums of delays meet at one time, with hedges of 777 ns neither.
func delayAt(place int) time.Duration { return 1000 << place }

// timeOf returns when the answers of all replicas, which come in this order,
// decide a vote.
func timeOf(need, n int, fails Set, order []int) time.Duration {
	ok, failed := 0, 0
	for place := range n {
		if fails&(1<<slices.Index(order, place)) == 0 {
			ok++
		} else {
			failed++
		}
		if ok == need || failed > n-need {
			return delayAt(place)
		}
	}
	return -1
}

// TestDoNear checks that near replicas are asked first, and the zone of a
// system may be lost.
func TestDoNear(t *testing.T) {
	near := SetOf(3, 4, 5)
	for range 20 {
		var asked Set
		var mu sync.Mutex
		_, err := Do(t.Context(), Threshold(3, First(6)), func(_ context.Context, i int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			asked |= 1 << i
			return i, nil
		}, &DoOptions[int]{Hedge: -1, Near: near})
		if err != nil || asked != near {
			t.Errorf("asked %v, %v, want %v", asked, err, near)
		}
	}

	zones := Of(2, Threshold(2, SetOf(0, 1)), Threshold(2, SetOf(2, 3)), Threshold(2, SetOf(4, 5)))
	without := func(lost Set) ([]Answer[int], error) {
		return Do(t.Context(), zones, func(_ context.Context, i int) (int, error) {
			if lost&(1<<i) != 0 {
				return 0, errDown
			}
			return i, nil
		}, nil)
	}
	if answers, err := without(SetOf(2, 3)); err != nil || len(answers) != 4 {
		t.Errorf("without a zone: got %v, %v, want the answers of two zones", answers, err)
	}
	if answers, err := without(SetOf(1, 2)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a replica of two zones: got %v, %v, want %v", answers, err, ErrUnavailable)
	}
}

// TestDoHedgeLeast checks that the least hedge is one.
func TestDoHedgeLeast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		_, err := Do(t.Context(), Threshold(1, First(2)), func(ctx context.Context, i int) (int, error) {
			if i == 0 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return i, nil
		}, &DoOptions[int]{Hedge: 1, Near: SetOf(0), Timeout: time.Hour})
		if took := time.Since(start); err != nil || took != 1 {
			t.Errorf("got %v after %v, want the other one after 1ns", err, took)
		}
	})
}

// TestDoTerminal checks that an error that the others would repeat ends the
// call.
func TestDoTerminal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		var asked atomic.Int64
		_, err := Do(t.Context(), Majority(First(5)), func(context.Context, int) (int, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			return 0, io.ErrUnexpectedEOF
		}, &DoOptions[int]{Hedge: -1, Terminal: func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }})
		if took := time.Since(start); took != time.Second || !errors.Is(err, ErrUnavailable) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v after %v, want both errors after 1s", err, took)
		}
		synctest.Wait()
		if n := asked.Load(); n != 3 {
			t.Errorf("asked %d replicas, want 3", n)
		}
	})
}

// TestDoContext checks when the contexts of requests end.
func TestDoContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// With the call: two answer, and the third hears of it.
		ended := make(chan error, 1)
		f := func(ctx context.Context, i int) (int, error) {
			if i == 2 {
				<-ctx.Done()
				ended <- ctx.Err()
			}
			return i, nil
		}
		if _, err := Do(t.Context(), Majority(First(3)), f, nil); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the late one: got %v, want %v", err, context.Canceled)
		}

		// With the timeout.
		hang := func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		start := time.Now()
		_, err := Do(t.Context(), Majority(First(3)), hang, &DoOptions[int]{Timeout: time.Minute})
		if took := time.Since(start); took != time.Minute || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a timeout: got %v after %v, want it to be exceeded after 1m", err, took)
		}

		// With the caller's, before and meanwhile.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, want := range []time.Duration{time.Second, 0} {
			start := time.Now()
			_, err := Do(ctx, Majority(First(3)), func(context.Context, int) (int, error) {
				time.Sleep(time.Hour) // does not heed it
				return 0, nil
			}, nil)
			if took := time.Since(start); took != want || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v after %v, want it to be exceeded after %v", err, took, want)
			}
		}
	})
}

// TestDoGivenUp checks what a call says, and what becomes of the values, when
// it ends while some have answered, some have failed and some are out.
func TestDoGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var discarded atomic.Uint64
		opts := &DoOptions[int]{Discard: func(a Answer[int]) { discarded.Or(1 << a.Replica) }}
		_, err := Do(ctx, Majority(First(5)), func(_ context.Context, i int) (int, error) {
			switch i {
			case 0:
				return 0, nil
			case 1:
				return 0, errDown
			}
			time.Sleep(time.Hour)
			return 0, nil
		}, opts)

		var e *Error
		if !errors.As(err, &e) || e.OK != 1<<0 || e.Failed != 1<<1 || e.Pending != 1<<2|1<<3|1<<4 {
			t.Errorf("got %#v, want one that answered, one that failed, and three that are out", err)
		}
		time.Sleep(2 * time.Hour)
		if got := Set(discarded.Load()); got != First(5)&^(1<<1) {
			t.Errorf("the values of %b were given up, want those of all that had one", got)
		}
	})
}

// TestDoErrors checks what Do says of a bad call, and of a function that ends
// its goroutine.
func TestDoErrors(t *testing.T) {
	f := func(context.Context, int) (int, error) { return 0, nil }
	if _, err := Do(t.Context(), System{}, f, nil); !errors.Is(err, ErrLevel) {
		t.Errorf("the zero System: got %v, want %v", err, ErrLevel)
	}
	if _, err := Do(t.Context(), Majority(First(3)), f, &DoOptions[int]{Timeout: -1}); err == nil || !strings.Contains(err.Error(), "Timeout") {
		t.Errorf("a negative timeout: got %v, want an error that names it", err)
	}
	exit := func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }
	if _, err := Do(t.Context(), Majority(First(3)), exit, nil); !errors.Is(err, errEnded) {
		t.Errorf("goroutines that end: got %v, want %v", err, errEnded)
	}
}
