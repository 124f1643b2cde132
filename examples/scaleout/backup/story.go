// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// A moment is a time of the story, since its beginning at 14:00.
type moment time.Duration

func (m moment) time() time.Time {
	return time.Date(2026, time.March, 3, 14, 0, 0, 0, time.UTC).Add(time.Duration(m))
}

func (m moment) String() string { return m.time().Format("15:04:05") }

// The story: a commit each 10 seconds until 14:40, a bad one at 14:30, and a
// new generation each 10 minutes.
const (
	every     = 10 * time.Second
	end       = moment(40 * time.Minute)
	migration = moment(30 * time.Minute)
	before    = migration - moment(5*time.Minute)
	fresh     = 10 * time.Minute
)

// commitsAt returns how many commits there are at a moment.
func commitsAt(m moment) int { return int(time.Duration(m) / every) }

// A story is what has happened.
type story struct {
	history
	st    *memory
	stats stats
	f     *faults
}

// tell lets the story happen.
func tell(ctx context.Context, seed uint64, f *faults) (s *story, err error) {
	s = &story{history{seed, commitsAt(migration)}, newMemory(), stats{}, f}
	var clock atomic.Int64
	now := func() time.Time { return moment(clock.Load()).time() }
	a, err := newArchive(ctx, lsm.NewMemFS(), "db", s.st, archiveOptions{now, 16 << 10, f})
	if err != nil {
		return nil, err
	}
	defer func() { s.stats = a.close() }()
	db, err := lsm.Open("db", dbOptions(a))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	for n := 1; n <= commitsAt(end); n++ {
		clock.Store(int64(n) * int64(every))
		if time.Duration(clock.Load())%fresh == 0 {
			if err := a.base(); err != nil {
				return nil, err
			}
		}
		if err := s.apply(ctx, db, n); err != nil {
			return nil, err
		}
		if n%8 == 0 { // else all of it would be a few segments
			if err := a.flush(ctx); err != nil {
				return nil, err
			}
		}
	}
	return s, a.flush(ctx)
}

// reportStory has the laws of the story.
func reportStory(ctx context.Context, c *config, w io.Writer) error {
	s, err := tell(ctx, c.seed, c.f)
	if err != nil {
		return err
	}
	n, size := s.st.size()
	fmt.Fprintf(w, "the bad migration of 14:30\n")
	fmt.Fprintf(w, "  %d commits from 14:00 to 14:40; the store has %d objects, %d KiB\n", commitsAt(end), n, size>>10)
	for _, m := range []moment{before, migration - 1, migration} {
		n, err := s.restoreCheck(ctx, s.st, m, s.f)
		if err != nil {
			return fmt.Errorf("restored to %v: %w", m, err)
		}
		label := m.String()
		if m == migration-1 {
			label = "just before"
		}
		fmt.Fprintf(w, "  restored to %-12s %d commits, %d users have an address\n", label+":", n, withEmail(s.after(n)))
	}

	// The laws, of which each prints that it holds.
	for _, law := range []func(context.Context, io.Writer) error{s.points, s.once, s.cuts, s.damage, s.retention} {
		if err := law(ctx, w); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(w)
	return err
}

// points checks the state at each of many points of time.
func (s *story) points(ctx context.Context, w io.Writer) error {
	count := 0
	for n := 0; n <= commitsAt(end); n += 5 {
		for _, m := range []moment{moment(n)*moment(every) - 1, moment(n) * moment(every), moment(n)*moment(every) + 1} {
			if m < 0 {
				continue
			}
			if err := s.point(ctx, s.st, m); err != nil {
				return err
			}
			count++
		}
	}
	_, err := fmt.Fprintf(w, "law holds: at %d points of time it is what it was then, and Verify passes\n", count)
	return err
}

// point checks the state at one.
func (s *story) point(ctx context.Context, st store, m moment) error {
	n, err := s.restoreCheck(ctx, st, m, s.f)
	if err == nil && n != commitsAt(m) {
		err = fmt.Errorf("it has %d commits, want %d", n, commitsAt(m))
	}
	if err != nil {
		return fmt.Errorf("restored to %v: %w", m, err)
	}
	return nil
}

// once checks that each table was put once.
func (s *story) once(_ context.Context, w io.Writer) error {
	seen := map[string]bool{}
	tables := 0
	for _, name := range s.st.order {
		if seen[name] {
			return fmt.Errorf("%s was shipped twice", name)
		}
		seen[name] = true
		if name[0] == tablesPrefix[0] {
			tables++
		}
	}
	if tables != s.stats.Tables || tables < 4 || s.stats.Generations < 4 {
		return fmt.Errorf("%d tables are there, %d were shipped, in %d generations", tables, s.stats.Tables, s.stats.Generations)
	}
	_, err := fmt.Fprintf(w, "law holds: each table was shipped once, for all %d generations\n", s.stats.Generations)
	return err
}

// cuts restores from what the store had after each put.
func (s *story) cuts(ctx context.Context, w io.Writer) error {
	last := 0
	for k := range len(s.st.order) + 1 {
		n, err := s.restoreCheck(ctx, s.st.first(k), end, s.f)
		if errors.Is(err, errNoPoint) && last == 0 {
			continue
		}
		if err == nil && n < last {
			err = fmt.Errorf("it has %d commits, had %d before", n, last)
		}
		if err != nil {
			return fmt.Errorf("cut after %d objects: %w", k, err)
		}
		last = n
	}
	if last != commitsAt(end) {
		return fmt.Errorf("%d commits are in the store, want %d", last, commitsAt(end))
	}
	_, err := fmt.Fprintf(w, "law holds: cut after each of its objects, the store has the first commits\n")
	return err
}

// damage damages each object in four ways.
func (s *story) damage(ctx context.Context, w io.Writer) error {
	found := 0
	for i, name := range s.st.order {
		other := s.st.order[(i+1)%len(s.st.order)]
		for way, change := range map[string]func(m *memory){
			"flipped":   func(m *memory) { m.objects[name] = flip(m.objects[name]) },
			"cut":       func(m *memory) { m.objects[name] = m.objects[name][:len(m.objects[name])/2] },
			"removed":   func(m *memory) { delete(m.objects, name) },
			"exchanged": func(m *memory) { m.objects[name] = m.objects[other] },
		} {
			bad := s.st.clone()
			change(bad)
			n, err := s.damaged(ctx, bad, way == "removed" && i == len(s.st.order)-1)
			if err != nil {
				return fmt.Errorf("%s was %s: %w", name, way, err)
			}
			found += n
		}
	}
	if found < 40 {
		return fmt.Errorf("%d kinds of damage were found, want more", found)
	}
	_, err := fmt.Fprintf(w, "law holds: an object that was changed, cut, removed or exchanged is found,\n           if the restore needs it\n")
	return err
}

// damaged restores to two points from a store that is damaged, and returns how
// often that was found. tail says that the last object is missing, as if it had
// not been shipped.
func (s *story) damaged(ctx context.Context, bad *memory, tail bool) (found int, err error) {
	for _, m := range []moment{migration - 1, end} {
		n, err := s.restoreCheck(ctx, bad, m, s.f)
		switch {
		case errors.Is(err, errDamaged):
			found++
		case err != nil:
			return found, fmt.Errorf("restored to %v: not found, but %w", m, err)
		case n != commitsAt(m) && !tail:
			return found, fmt.Errorf("restored to %v: not found, and %d commits", m, n)
		}
	}
	return found, nil
}

// flip returns b with a bit of a byte in the middle changed.
func flip(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// retention removes what no point from 14:25 on needs.
func (s *story) retention(ctx context.Context, w io.Writer) error {
	full := s.st.clone()
	removed, err := prune(ctx, full, before.time(), s.f)
	if err != nil {
		return err
	}
	if removed < 10 {
		return fmt.Errorf("%d objects were removed, want more", removed)
	}

	// What is kept is there, and an older point is not.
	for m := before; m <= end; m += moment(every) {
		if err := s.point(ctx, full, m); err != nil {
			return err
		}
	}
	if _, err := s.restoreCheck(ctx, full, moment(5*time.Minute), s.f); !errors.Is(err, errNoPoint) {
		return fmt.Errorf("14:05 is not kept, and restoring it gives: %v", err) // which may be nil
	}
	for k := range removed {
		if err := s.stopped(ctx, k, removed); err != nil {
			return fmt.Errorf("stopped after %d removals: %w", k, err)
		}
	}
	n, size := full.size()
	fmt.Fprintf(w, "kept from 14:25 on: %d objects, %d KiB\n", n, size>>10)
	_, err = fmt.Fprintf(w, "law holds: each point from then on is there, also if the removal is stopped\n           anywhere, and goes on later\n")
	return err
}

// stopped stops the removal of all objects that may go after k of them, and
// lets it go on.
func (s *story) stopped(ctx context.Context, k, all int) error {
	st := s.st.clone()
	if _, err := prune(ctx, &stopping{st, k}, before.time(), s.f); !errors.Is(err, errStopped) {
		return fmt.Errorf("prune returned: %v", err) // which may be nil
	}
	for _, m := range []moment{before, end} {
		if err := s.point(ctx, st, m); err != nil {
			return err
		}
	}

	// What was not to be kept is there, or it is not, but it is not wrong.
	gone := moment(5 * time.Minute)
	if n, err := s.restoreCheck(ctx, st, gone, s.f); err == nil && n != commitsAt(gone) {
		return fmt.Errorf("restored to %v: %d commits, want %d", gone, n, commitsAt(gone))
	}
	rest, err := prune(ctx, st, before.time(), s.f)
	if err == nil && k+rest != all {
		err = fmt.Errorf("%d more were removed, want %d", rest, all-k)
	}
	return err
}

// A stopping store fails after some removals.
type stopping struct {
	*memory
	left int
}

// errStopped is its error, which is not tried again.
var errStopped = fmt.Errorf("stopped: %w", errDamaged)

func (s *stopping) remove(ctx context.Context, name string) error {
	if s.left == 0 {
		return errStopped
	}
	s.left--
	return s.memory.remove(ctx, name)
}
