// SPDX-License-Identifier: MIT

package arch

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var plant = flag.String("faults", "", "plant the faults of faults/*.txt whose package or test matches this regexp")

var faultRules = []rule{
	{"Faults", checkFaults},
}

func TestFaults(t *testing.T) { hold(t, faultRules) }

// A fault is a change of one file that breaks a law, and the test that has to
// see it.
type fault struct {
	at    string // file:line in faults/*.txt
	why   string // what breaks
	test  string
	flags []string // of go test, beside -short
	file  string
	old   string
	new   string
}

// faultFile returns the path of the faults of the package in dir.
func faultFile(dir string) string { return "internal/arch/faults/" + dir + ".txt" }

// faults returns the faults of the package in dir. An entry of the file is
//
//	# What breaks.
//	test TestThatSeesIt
//	flags -tags invariants
//	file name.go
//	<<<<
//	text that the file has once
//	====
//	its replacement
//	>>>>
//
// where flags may be left out.
func (t *tree) faults(dir string, report reporter) (list []fault) {
	name := faultFile(dir)
	text, _ := t.read(name)
	var f fault
	var into *string // where the lines of a change go
	for i, line := range strings.Split(text, "\n") {
		at := fmt.Sprintf("%s:%d", name, i+1)
		word, rest, _ := strings.Cut(line, " ")

		switch {
		case line == "<<<<":
			f.at = at
			into = &f.old
		case line == "====" && into == &f.old:
			into = &f.new
		case line == ">>>>" && into == &f.new:
			list = append(list, f)
			f = fault{}
			into = nil
		case into != nil:
			*into += line + "\n"
		case word == "#":
			f.why = strings.TrimSpace(f.why + " " + rest)
		case word == "test":
			f.test = rest
		case word == "flags":
			f.flags = strings.Fields(rest)
		case word == "file":
			f.file = path.Join(dir, rest)
		case line != "":
			report(at, "want # test, flags, file, or a change between <<<<, ==== and >>>>")
		}
	}
	if into != nil {
		report(name, "a change without end")
	}
	return list
}

// checkFaults reports faults that cannot be planted any more, and laws whose
// test has no fault to prove that it bites.
func checkFaults(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		tests := map[string]bool{}
		for _, f := range t.in(dir) {
			for name := range f.tests() {
				tests[name] = true
			}
		}

		caught := map[string]bool{}
		for _, f := range t.faults(dir, report) {
			caught[f.test] = true
			text, ok := t.read(f.file)
			switch {
			case f.why == "":
				report(f.at, "want a line # that says what breaks")
			case !tests[f.test]:
				report(f.at, "no test is named %q", f.test)
			case !ok:
				report(f.at, "no such file: %s", f.file)
			case f.old == f.new:
				report(f.at, "changes nothing")
			case strings.Count(text, f.old) != 1:
				report(f.at, "%s has the text %d times, want once", f.file, strings.Count(text, f.old))
			}
		}
		t.checkProved(dir, caught, report)
		t.checkListed(dir, caught, report)
	}
}

// checkProved reports tests that the Guarantees of doc.go name and that catch
// no planted fault.
func (t *tree) checkProved(dir string, caught map[string]bool, report reporter) {
	text, _ := t.read(dir + "/doc.go")
	before, laws, ok := strings.Cut(text, "\n// # Guarantees\n")
	if !ok {
		return // Sections reports it.
	}
	laws, _, _ = strings.Cut(laws, "\n// # ")
	from := strings.Count(before, "\n") + 3
	for i, line := range strings.Split(laws, "\n") {
		for _, name := range testName.FindAllString(line, -1) {
			if !caught[name] && !strings.HasPrefix(name, "Fuzz") {
				report(fmt.Sprintf("%s/doc.go:%d", dir, from+i), "%s catches no fault of %s", name, faultFile(dir))
			}
		}
	}
}

// checkListed is checkProved for the list of guarantees, whose tests are links
// to their files.
func (t *tree) checkListed(dir string, caught map[string]bool, report reporter) {
	const list = "docs/guarantees.md"
	text, _ := t.read(list)
	link := regexp.MustCompile(`\[(Test\w+)\]\(\.\./` + dir + `/`)
	for i, line := range strings.Split(text, "\n") {
		for _, m := range link.FindAllStringSubmatch(line, -1) {
			if !caught[m[1]] {
				report(fmt.Sprintf("%s:%d", list, i+1), "%s catches no fault of %s", m[1], faultFile(dir))
			}
		}
	}
}

// TestFaultsAreCaught plants each fault, and checks that its test fails. It
// takes minutes: the nightly run asks for it.
func TestFaultsAreCaught(t *testing.T) {
	if *plant == "" {
		t.Skip("needs -faults")
	}
	re, err := regexp.Compile(*plant)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := repository()
	if err != nil {
		t.Fatal(err)
	}

	for _, dir := range repo.pkgs {
		for _, f := range repo.faults(dir, func(string, string, ...any) {}) {
			if !re.MatchString(dir + " " + f.test) {
				continue
			}
			t.Run(dir+"/"+f.test, func(t *testing.T) { f.plant(t, repo, dir) })
		}
	}
}

// plant runs the test of f with f in place.
func (f *fault) plant(t *testing.T, repo *tree, dir string) {
	text, _ := repo.read(f.file)
	changed := filepath.Join(t.TempDir(), path.Base(f.file))
	if err := os.WriteFile(changed, []byte(strings.Replace(text, f.old, f.new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	abs, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(f.file)))
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{abs: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, b, 0o644); err != nil {
		t.Fatal(err)
	}

	// The short tests are enough for most faults.
	for _, short := range []string{"-short=true", "-short=false"} {
		args := slices.Concat([]string{"test", short, "-count=1", "-timeout=120s", "-overlay", overlay, "-run", "^" + f.test + "$"}, f.flags, []string{"./" + dir})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		cancel()
		switch {
		case err != nil && strings.Contains(string(out), "[build failed]"):
			t.Fatalf("%s: %s: does not build:\n%s", f.at, f.why, out)
		case err != nil:
			return // caught
		case strings.Contains(string(out), "no tests to run"):
			t.Fatalf("%s: no test ran", f.at)
		}
	}
	t.Errorf("%s: %s passes with this fault: %s", f.at, f.test, f.why)
}
