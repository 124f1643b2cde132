// SPDX-License-Identifier: MIT

package arch

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines bounds the files that are not tests: a file is one idea, and a
// reader holds it at once.
const maxLines = 900

// shared are the helper files that packages copy from each other, because they
// may not import each other.
var shared = []string{
	"check_on.go", "check_off.go", "clock.go", "clock_test.go", "guard.go", "help_test.go",
	"linear_test.go", "pad.go", "race_on_test.go", "race_off_test.go", "sub_test.go",
}

// scaleout is the one nested module among the examples: its programs need
// servers, and the clients of these.
const scaleout = "examples/scaleout"

// header matches the top of a Go file.
var header = regexp.MustCompile(`\A(//go:build .*\n\n)?// SPDX-License-Identifier: MIT\n`)

var layoutRules = []rule{
	{"Parse", checkParse},
	{"Places", checkPlaces},
	{"License", checkLicense},
	{"DocFile", checkDocFile},
	{"Size", checkSize},
	{"Copies", checkCopies},
}

func TestLayout(t *testing.T) { hold(t, layoutRules) }

// checkParse reports files that are not Go. The other rules do not see them.
func checkParse(t *tree, report reporter) {
	for _, e := range t.invalid {
		at, text, _ := strings.Cut(e, ": ")
		report(at, "%s", text)
	}
}

// checkPlaces reports Go files and modules outside the places that are meant
// for them.
func checkPlaces(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		if !slices.Contains(packageNames, dir) {
			report(dir, "not the name of a package of this library")
		}
	}
	for _, dir := range t.nested {
		if !strings.HasPrefix(dir, "internal/") && dir != scaleout {
			report(dir+"/go.mod", "a nested module belongs below internal, or is %s", scaleout)
		}
	}
	for _, f := range t.files {
		if f.area == areaOther {
			report(f.path, "Go files live in a top-level package, examples, internal/arch, or a nested module")
		}
		if name := strings.TrimSuffix(f.ast.Name.Name, "_test"); f.area == areaPackage && name != f.dir {
			report(t.at(f.ast.Name.Pos()), "package %s, want %s", f.ast.Name.Name, f.dir)
		}
	}
}

// checkLicense reports files without a license line: a copied file takes its
// license along.
func checkLicense(t *tree, report reporter) {
	for _, f := range t.files {
		if !header.Match(f.src) {
			report(f.path+":1", "want // SPDX-License-Identifier: MIT at the top, after a build constraint and an empty line if there is one")
		}
		for _, g := range f.ast.Comments {
			if at := t.at(g.Pos()); strings.HasPrefix(g.List[0].Text, "//go:build ") && at != f.path+":1" {
				report(at, "want the build constraint before the license line")
			}
		}
	}
}

// checkDocFile reports packages whose comment is not in doc.go, alone.
func checkDocFile(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		if _, err := fs.Stat(t.fsys, dir+"/doc.go"); err != nil {
			report(dir+"/doc.go", "missing")
		}
		for _, f := range t.in(dir) {
			switch doc := f.ast.Doc; {
			case f.base != "doc.go":
				if doc != nil {
					report(t.at(doc.Pos()), "the package comment belongs in doc.go; leave an empty line before the package clause")
				}
			case !strings.HasPrefix(doc.Text(), "Package "+dir+" "):
				report(f.path, "want a package comment that begins with // Package %s", dir)
			case len(f.ast.Decls) > 0:
				report(t.at(f.ast.Decls[0].Pos()), "doc.go holds the package comment only")
			}
		}
	}
}

// checkSize reports files that are too long to read.
func checkSize(t *tree, report reporter) {
	for _, f := range t.files {
		if n := bytes.Count(f.src, []byte("\n")); n > maxLines && !f.test {
			report(fmt.Sprintf("%s:%d", f.path, maxLines), "%d lines, want at most %d", n, maxLines)
		}
	}
}

// checkCopies reports copies of a shared file that differ in more than the
// package clause.
func checkCopies(t *tree, report reporter) {
	first := map[string]*file{}
	for _, f := range t.files {
		if f.area != areaPackage || !slices.Contains(shared, f.base) {
			continue
		}
		if first[f.base] == nil {
			first[f.base] = f
		}
		a, b := unnamed(first[f.base]), unnamed(f)
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				report(fmt.Sprintf("%s:%d", f.path, i+1), "differs from %s", first[f.base].path)
				break
			}
		}
	}
}

// unnamed returns the lines of f, the package clause blanked.
func unnamed(f *file) []string {
	lines := strings.Split(string(f.src), "\n")
	for i, l := range lines {
		if l == "package "+f.ast.Name.Name {
			lines[i] = "package"
		}
	}
	return lines
}
