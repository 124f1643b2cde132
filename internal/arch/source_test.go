// SPDX-License-Identifier: MIT

package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// unfinished matches the marks that people leave for later. An issue is the place for them.
var unfinished = regexp.MustCompile(`\b(?:TODO|FIXME|XXX)\b`)

var sourceRules = []rule{
	{"Goroutines", checkGoroutines},
	{"Sleeps", checkSleeps},
	{"Unfinished", checkUnfinished},
	{"Options", checkOptions},
}

func TestSource(t *testing.T) { hold(t, sourceRules) }

// checkGoroutines reports go statements without a comment that says what ends the goroutine.
func checkGoroutines(t *tree, report reporter) {
	for _, f := range t.files {
		if f.test || f.area == areaExample {
			continue
		}
		commented := map[int]bool{} // lines that hold a comment
		for _, g := range f.ast.Comments {
			for l := t.fset.Position(g.Pos()).Line; l <= t.fset.Position(g.End()).Line; l++ {
				commented[l] = true
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				if l := t.fset.Position(g.Pos()).Line; !commented[l] && !commented[l-1] {
					report(t.at(g.Pos()), "go statement without a comment that says what ends the goroutine")
				}
			}
			return true
		})
	}
}

// checkSleeps reports tests that sleep in real time: they are slow, and they fail on a busy machine.
func checkSleeps(t *tree, report reporter) {
	for _, f := range t.files {
		fake := bytes.Contains(f.src, []byte("synctest.")) || bytes.Contains(f.src, []byte("rapid.SyncTest"))
		if !f.test || fake {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					report(t.at(s.Pos()), "time.Sleep outside synctest")
				}
			}
			return true
		})
	}
}

// checkUnfinished reports comments that put work off.
func checkUnfinished(t *tree, report reporter) {
	for _, f := range t.files {
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				if at := unfinished.FindStringIndex(c.Text); at != nil {
					line := lineOf(f.src, t.fset.Position(c.Pos()).Offset+at[0])
					report(fmt.Sprintf("%s:%d", f.path, line), "%s in a comment", c.Text[at[0]:at[1]])
				}
			}
		}
	}
}

// checkOptions reports functional options. Options are a struct here, nil for the defaults.
func checkOptions(t *tree, report reporter) {
	for _, f := range t.files {
		if f.area != areaPackage {
			continue
		}
		for _, d := range f.ast.Decls {
			d, ok := d.(*ast.FuncDecl)
			if !ok || d.Recv != nil || !strings.HasPrefix(d.Name.Name, "With") {
				continue
			}
			if first := d.Type.Params.List; len(first) == 0 || !isContext(first[0].Type) {
				report(t.at(d.Pos()), "%s: options are fields of a struct, not functions", d.Name.Name)
			}
		}
	}
}

// isContext reports whether x is context.Context.
func isContext(x ast.Expr) bool {
	s, ok := x.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Context" {
		return false
	}
	p, ok := s.X.(*ast.Ident)
	return ok && p.Name == "context"
}
