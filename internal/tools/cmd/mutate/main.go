// SPDX-License-Identifier: MIT

// Mutate changes a package in many small ways, and tells which changes its
// tests do not notice.
//
//	go run ./cmd/mutate [-n 150] [-seed 1] [-full] DIR
//
// A mutant is one such change: a comparison that is off by one, a condition
// that always holds, a statement that is left out. All mutants are compiled
// into one test binary, each behind a number, and an environment variable
// chooses the one that acts; so a mutant costs a run of the tests and no build.
// Each test is run once by itself to learn which mutants it reaches. A mutant
// meets the quick ones of those first, then the others, and all tests only if
// it survives.
//
// The tests run with -short; with -full the survivors meet the whole tests,
// too. A survivor is a hole in the tests or a change without effect. Those
// without effect are listed, with the reason, in equivalent/DIR.txt beside this
// file, one a line, as this command prints them up to the colon of the reason:
//
//	keyed.go place "i < n" -> "i <= n": the loop ends before
//
// The exit status is 1 if there are survivors that are not in the list.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	survived, err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	case survived > 0:
		os.Exit(1)
	}
}

// settings are the parsed flags.
type settings struct {
	n     int
	seed  uint64
	full  bool
	procs int
	list  string
	dir   string
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	var s settings
	fs := flag.NewFlagSet("mutate", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&s.n, "n", 150, "mutants to try, chosen at random; 0 for all")
	fs.Uint64Var(&s.seed, "seed", 1, "seed of the choice")
	fs.BoolVar(&s.full, "full", false, "run the whole tests on what the short ones do not notice")
	fs.IntVar(&s.procs, "p", runtime.GOMAXPROCS(0), "test runs at once")
	fs.StringVar(&s.list, "equivalent", "cmd/mutate/equivalent", "folder of the lists of mutants without effect")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() != 1 {
		return nil, errors.New("name the directory of one package")
	}
	if s.procs < 1 {
		return nil, fmt.Errorf("-p must be positive, got %d", s.procs)
	}
	dir, err := filepath.Abs(fs.Arg(0))
	s.dir = dir
	return &s, err
}

// run reports how many mutants survived without being in the list.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (survived int, err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return 0, err
	}
	all, err := find(s.dir)
	if err != nil {
		return 0, err
	}
	name := filepath.Base(s.dir)
	if _, err := os.Stat(s.list); err != nil {
		return 0, fmt.Errorf("the lists of mutants without effect: %w", err)
	}
	known, err := equivalents(filepath.Join(s.list, name+".txt"))
	if err != nil {
		return 0, err
	}

	// Take a sample, and give its mutants numbers from 1 on.
	total := len(all)
	rand.New(rand.NewPCG(s.seed, 0)).Shuffle(total, func(i, j int) { all[i], all[j] = all[j], all[i] })
	if s.n > 0 {
		all = all[:min(s.n, total)]
	}
	slices.SortFunc(all, compareMutants)
	tmp, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	b, err := compile(ctx, s.dir, tmp, all)
	if err != nil {
		return 0, err
	}
	if err := b.baseline(ctx); err != nil {
		return 0, err
	}
	fmt.Fprintf(stderr, "%s: %d of %d mutants, tests take %v\n", name, len(b.mutants), total, b.short.Round(time.Millisecond))

	if err := b.reach(ctx, tmp); err != nil {
		return 0, err
	}
	b.try(ctx, s, stderr)
	return report(stdout, name, b.mutants, known), ctx.Err()
}

// equivalents returns the reasons of the mutants that are listed in the file.
func equivalents(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	known := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		i := strings.LastIndex(line, "\": ")
		if line == "" || strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		known[line[:i+1]] = line[i+3:]
	}
	return known, err
}

// report prints the survivors and the score, and returns how many there are
// that are not known to be without effect.
func report(out io.Writer, name string, list []*mutant, known map[string]string) (survived int) {
	killed := 0
	late := 0
	equivalent := 0
	for _, m := range list {
		switch {
		case m.killed:
			killed++
			if m.late {
				late++
			}
		case known[m.String()] != "":
			equivalent++
		default:
			survived++
			fmt.Fprintf(out, "%s/%s:%d: %s\n", name, m.file, m.line, m)
		}
	}
	score := 100 * float64(killed) / float64(max(killed+survived, 1))
	fmt.Fprintf(out, "%s: %d mutants, %d killed (%d by their time), %d without effect, %d survived: %.1f %%\n",
		name, len(list), killed, late, equivalent, survived, score)
	return survived
}

// A binary is the tests of a package with its mutants in it.
type binary struct {
	dir, path   string
	mutants     []*mutant
	rapid       bool     // there are properties of rapid
	skip        []string // tests that fail without a mutant: they look at the code itself
	short       time.Duration
	reachedFile string              // where the runs of reach write
	reached     map[int][]timedTest // by mutant: the tests that reach it
}

// A timedTest is a top-level test and the time that it takes.
type timedTest struct {
	name string
	took time.Duration
}

// quickTest is the time of a test that runs before the others.
const quickTest = 100 * time.Millisecond

// compile builds the tests of the package in dir with the mutants. Those that
// the compiler refuses are left out.
func compile(ctx context.Context, dir, tmp string, list []*mutant) (*binary, error) {
	b := &binary{dir: dir, path: filepath.Join(tmp, "mutants.test"), mutants: list}
	var err error
	if b.rapid, err = usesRapid(dir); err != nil {
		return nil, err
	}

	for range 20 {
		for i, m := range b.mutants {
			m.id = i + 1
		}
		overlay, err := writeMutants(dir, tmp, b.mutants)
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-gcflags=-e", "-vet=off", "-overlay", overlay, "-o", b.path, ".")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			return b, nil
		}

		// A line of the compiler names a line of a changed file, in which each
		// mutant has its number.
		refused := refusedBy(string(out), tmp)
		if len(refused) == 0 {
			return nil, fmt.Errorf("%w\n%s", err, out)
		}
		b.mutants = slices.DeleteFunc(b.mutants, func(m *mutant) bool { return refused[m.id] })
	}
	return nil, errors.New("too many mutants that do not compile")
}

// usesRapid reports whether a test file in dir imports rapid.
func usesRapid(dir string) (bool, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return false, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return false, err
		}
		if bytes.Contains(text, []byte(`"pgregory.net/rapid"`)) {
			return true, nil
		}
	}
	return false, nil
}

// refusedBy returns the mutants on the lines that the compiler complains
// about.
func refusedBy(out, tmp string) map[int]bool {
	refused := map[int]bool{}
	for line := range strings.Lines(out) {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) < 3 || !strings.HasSuffix(parts[0], ".go") {
			continue
		}

		n, err := strconv.Atoi(parts[1])
		if err != nil {
			continue
		}

		text, err := os.ReadFile(filepath.Join(tmp, filepath.Base(parts[0])))
		if err != nil {
			continue
		}

		lines := strings.Split(string(text), "\n")
		if n > len(lines) {
			continue
		}

		for _, m := range hookCall.FindAllStringSubmatch(lines[n-1], -1) {
			if id, err := strconv.Atoi(m[1]); err == nil {
				refused[id] = true
			}
		}
	}

	return refused
}

// writeMutants writes the changed files of dir into tmp, and returns the
// overlay that puts them in place.
func writeMutants(dir, tmp string, list []*mutant) (overlay string, err error) {
	replace := map[string]string{}
	write := func(name string, text []byte) error {
		replace[filepath.Join(dir, name)] = filepath.Join(tmp, name)
		return os.WriteFile(filepath.Join(tmp, name), text, 0o644)
	}

	byFile := map[string][]*mutant{}
	pkg := ""
	for _, m := range list {
		byFile[m.file] = append(byFile[m.file], m)
		pkg = m.pkg
	}
	for name, ms := range byFile {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		if err := write(name, apply(src, ms)); err != nil {
			return "", err
		}
	}
	hook := strings.NewReplacer("PKG", pkg, "COUNT", strconv.Itoa(len(list)+1), "REACH ", strconv.Itoa(reach)+" ").Replace(hooks)
	if err := write("mutate_hooks.go", []byte(hook)); err != nil {
		return "", err
	}

	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(tmp, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o644)
}

// baseline runs the tests without a mutant, and finds out how long they take
// and which of them fail because the code is not as it was written.
func (b *binary) baseline(ctx context.Context) error {
	for range 5 {
		start := time.Now()
		out, err := b.tests(ctx, 0, time.Hour, "-test.short")
		b.short = time.Since(start)
		if err == nil {
			return nil
		}
		failed := failedTests(out)
		if len(failed) == 0 {
			return fmt.Errorf("the tests fail without a mutant: %w\n%s", err, out)
		}
		b.skip = append(b.skip, failed...)
	}
	return errors.New("the tests fail without a mutant")
}

// reach runs each test by itself, to learn how long it takes and which mutants
// it reaches. Where chance decides, other runs may reach others.
func (b *binary) reach(ctx context.Context, tmp string) error {
	out, err := b.tests(ctx, 0, time.Minute, "-test.list", "^(Test|Example|Fuzz)")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}

	b.reached = map[int][]timedTest{}
	file := filepath.Join(tmp, "reached.txt")
	b.reachedFile = file
	for name := range strings.FieldsSeq(string(out)) {
		if slices.Contains(b.skip, name) {
			continue
		}
		if err := os.RemoveAll(file); err != nil {
			return err
		}
		start := time.Now()
		if out, err := b.tests(ctx, reach, time.Hour, "-test.short", "-test.run", "^"+name+"$"); err != nil {
			return fmt.Errorf("%s fails by itself: %w\n%s", name, err, out)
		}
		test := timedTest{name, time.Since(start)}

		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for id := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(id); err == nil {
				b.reached[n] = append(b.reached[n], test)
			}
		}
	}
	return ctx.Err()
}

// kills reports whether the short tests notice m: the quick ones of those that
// reach it, then the others, then all of them.
func (b *binary) kills(ctx context.Context, m *mutant) bool {
	var quick, slow []string
	var took time.Duration
	for _, t := range b.reached[m.id] {
		took += t.took
		if t.took < quickTest {
			quick = append(quick, t.name)
		} else {
			slow = append(slow, t.name)
		}
	}

	for _, names := range [][]string{quick, slow} {
		if len(names) == 0 {
			continue
		}
		run := "^(" + strings.Join(names, "|") + ")$"
		if _, err := b.tests(ctx, m.id, limitOf(took), "-test.short", "-test.run", run); err != nil {
			m.late = errors.Is(err, context.DeadlineExceeded)
			return true
		}
	}
	_, err := b.tests(ctx, m.id, limitOf(b.short), "-test.short")
	m.late = errors.Is(err, context.DeadlineExceeded)
	return err != nil
}

// limitOf returns how long tests may take that took so long without a mutant.
// Beyond it the mutant counts as noticed, since it does not end; so the limit
// is far away, for a machine that has become busy meanwhile.
func limitOf(took time.Duration) time.Duration { return 10*took + 30*time.Second }

// failedTests returns the top-level tests that failed according to out.
func failedTests(out []byte) (names []string) {
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	return names
}

// tests runs the tests with the mutant id, for at most limit.
func (b *binary) tests(ctx context.Context, id int, limit time.Duration, flags ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if id > 0 {
		flags = append(flags, "-test.failfast")
	}
	if b.rapid {
		// Inputs that one mutant fails with would be tried on all others.
		flags = append(flags, "-rapid.nofailfile")
	}
	if len(b.skip) > 0 {
		flags = append(flags, "-test.skip", "^("+strings.Join(b.skip, "|")+")$")
	}

	// A mutant may allocate without end, which must end it and not the machine.
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -v 6000000; exec "$0" "$@"`, b.path}, flags...)...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(id), "REACHED="+b.reachedFile)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout = &limited{w: &out, left: 1 << 20}
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.Bytes(), err
}

// limited drops what exceeds left: a mutant may print without end.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// try runs the tests once for each mutant, and again, whole, for those that
// survive the short ones if s asks for it.
func (b *binary) try(ctx context.Context, s *settings, stderr io.Writer) {
	var mu sync.Mutex // protects done and stderr
	done := 0
	next := make(chan *mutant)
	var workers sync.WaitGroup
	for range s.procs {
		// Ends when next is closed.
		workers.Go(func() {
			for m := range next {
				m.killed = b.kills(ctx, m)
				if !m.killed && s.full {
					_, err := b.tests(ctx, m.id, 20*b.short+time.Minute)
					m.killed = err != nil
				}

				mu.Lock()
				done++
				if !m.killed {
					fmt.Fprintf(stderr, "%d/%d survived: %s:%d: %s\n", done, len(b.mutants), m.file, m.line, m)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range b.mutants {
		next <- m
	}
	close(next)
	workers.Wait()
}
