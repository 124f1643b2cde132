// SPDX-License-Identifier: MIT

package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sections are the headings of doc.go, in order. Only a package whose bytes
// leave the process has a Format.
var sections = []string{
	"Choosing", "How it works", "Guarantees", "Complexity", "Concurrency", "Errors", "Format", "References",
}

// testName matches the name of a test in prose or code.
var testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|Example)[A-Z_]\w*`)

var docRules = []rule{
	{"Comments", checkComments},
	{"Sections", checkSections},
	{"NamedTests", checkNamedTests},
}

func TestDocs(t *testing.T) { hold(t, docRules) }

// checkComments reports exported names of the packages that have no comment.
func checkComments(t *tree, report reporter) {
	for _, f := range t.files {
		if f.area != areaPackage || f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if exportedFunc(d) && d.Doc == nil {
					report(t.at(d.Pos()), "%s has no comment", d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					t.checkSpec(d, s, report)
				}
			}
		}
	}
}

// checkSpec reports what s, a part of d, exports without a comment. One comment
// may serve a group of constants or variables, but not a group of types.
func (t *tree) checkSpec(d *ast.GenDecl, s ast.Spec, report reporter) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
				report(t.at(n.Pos()), "%s has no comment", n.Name)
			}
		}
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return
		}
		if s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
			report(t.at(s.Pos()), "%s has no comment", s.Name.Name)
		}
		switch x := s.Type.(type) {
		case *ast.StructType:
			t.checkFields(s.Name.Name, x.Fields, report)
		case *ast.InterfaceType:
			t.checkFields(s.Name.Name, x.Methods, report)
		}
	}
}

// checkFields reports exported fields or methods without a comment before or
// beside them.
func (t *tree) checkFields(typ string, fields *ast.FieldList, report reporter) {
	for _, f := range fields.List {
		for _, n := range f.Names {
			if n.IsExported() && f.Doc == nil && f.Comment == nil {
				report(t.at(n.Pos()), "%s.%s has no comment", typ, n.Name)
			}
		}
	}
}

// exportedFunc reports whether d is a function or a method that users of the
// package can name.
func exportedFunc(d *ast.FuncDecl) bool {
	return d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d)))
}

// receiver returns the name of the type that the method d belongs to.
func receiver(d *ast.FuncDecl) string {
	x := d.Recv.List[0].Type
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.IndexListExpr:
			x = y.X
		case *ast.Ident:
			return y.Name
		default:
			return ""
		}
	}
}

// checkSections reports doc.go files whose headings are not the fixed ones, in
// order: a reader who knows one package finds the place in every other.
func checkSections(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		name := dir + "/doc.go"
		text, ok := t.read(name)
		if !ok {
			continue // DocFile reports it.
		}
		want := sections
		if !strings.Contains(text, "\n// # Format\n") {
			want = slices.DeleteFunc(slices.Clone(sections), func(s string) bool { return s == "Format" })
		}
		var got []string
		line := 1
		for i, l := range strings.Split(text, "\n") {
			if h, ok := strings.CutPrefix(l, "// # "); ok && slices.Equal(got, want[:min(len(got), len(want))]) {
				got, line = append(got, h), i+1
			}
		}
		if !slices.Equal(got, want) {
			report(fmt.Sprintf("%s:%d", name, line), "sections %q, want %q", got, want)
		}
	}
}

// checkNamedTests reports tests that doc.go or the README names and that do not
// exist. A law in the documentation points to its proof; the pointer must not
// rot.
func checkNamedTests(t *tree, report reporter) {
	everywhere := map[string]bool{}
	for _, f := range t.files {
		for name := range f.tests() {
			everywhere[name] = true
		}
	}
	for _, name := range []string{"README.md", "docs/guarantees.md", "docs/topics.md", "docs/pitfalls.md"} {
		t.checkMentions(name, everywhere, report)
	}
	for _, dir := range t.pkgs {
		own := map[string]bool{}
		for _, f := range t.in(dir) {
			for name := range f.tests() {
				own[name] = true
			}
		}
		t.checkMentions(dir+"/doc.go", own, report)
	}
}

// checkMentions reports the tests that the file name mentions and that known
// lacks.
func (t *tree) checkMentions(name string, known map[string]bool, report reporter) {
	text, _ := t.read(name)
	for i, line := range strings.Split(text, "\n") {
		for _, m := range testName.FindAllString(line, -1) {
			if !known[m] {
				report(fmt.Sprintf("%s:%d", name, i+1), "no test is named %s", m)
			}
		}
	}
}

// tests returns the tests, fuzz targets, benchmarks and examples of f.
func (f *file) tests() map[string]token.Pos {
	names := map[string]token.Pos{}
	if !f.test {
		return names
	}
	for _, d := range f.ast.Decls {
		if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && testName.FindString(d.Name.Name) == d.Name.Name {
			names[d.Name.Name] = d.Pos()
		}
	}
	return names
}
