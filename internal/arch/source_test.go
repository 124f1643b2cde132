// SPDX-License-Identifier: MIT

package arch

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// unfinished matches the marks that people leave for later. An issue is the
// place for them.
var unfinished = regexp.MustCompile(`\b(?:TODO|FIXME|XXX)\b`)

var sourceRules = []rule{
	{"Goroutines", checkGoroutines},
	{"Sleeps", checkSleeps},
	{"Unfinished", checkUnfinished},
	{"Options", checkOptions},
}

func TestSource(t *testing.T) { hold(t, sourceRules) }

// checkGoroutines reports go statements, and calls of a method Go with a
// function literal, without a comment that says what ends the goroutine.
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
			if starts(n) {
				if l := t.fset.Position(n.Pos()).Line; !commented[l] && !commented[l-1] {
					report(t.at(n.Pos()), "go statement without a comment that says what ends the goroutine")
				}
			}
			return true
		})
	}
}

// starts reports whether n starts a goroutine: by a go statement, or as
// [sync.WaitGroup.Go] and errgroup do.
func starts(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		method, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || method.Sel.Name != "Go" || len(n.Args) != 1 {
			return false
		}
		_, ok = n.Args[0].(*ast.FuncLit)
		return ok
	}
	return false
}

// bubble matches what makes time fake: a call, or the word of a comment.
var bubble = regexp.MustCompile(`synctest\.(Test|Wait)\(|rapid\.SyncTest\(|\bbubble\b`)

// checkSleeps reports tests that sleep in real time: they are slow, and they
// fail on a busy machine. A function that sleeps starts a bubble, waits in
// one, or says in its comment that it runs in one.
func checkSleeps(t *tree, report reporter) {
	for _, f := range t.files {
		if !f.test || f.area == areaArch {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from := t.fset.Position(fn.Pos()).Offset
			to := t.fset.Position(fn.End()).Offset
			if bubble.MatchString(fn.Doc.Text()) || bubble.Match(f.src[from:to]) {
				continue
			}
			t.checkSleepsIn(fn, report)
		}
	}
}

// checkSleepsIn reports each use of [time.Sleep] in fn.
func (t *tree) checkSleepsIn(fn *ast.FuncDecl, report reporter) {
	ast.Inspect(fn, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
				report(t.at(s.Pos()), "time.Sleep outside synctest")
			}
		}
		return true
	})
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

// checkOptions reports functional options. Options are a struct here, nil for
// the defaults.
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
