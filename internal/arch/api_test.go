// SPDX-License-Identifier: MIT

package arch

import (
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite api/*.txt")

// maxNames bounds the exported names of a package, methods apart: its index
// fits one screen.
const (
	maxNames     = 40
	maxNamesMany = 73 // 60, and those of a lease, ratelimit.Weighted, and quorum's of a Multi and a Handoff
)

// many are the packages that may export more: a storage engine has more to say,
// limits of different kinds are types of their own, of which a program uses one
// or two, and the levels and votes of quorum are constants.
var many = []string{"lsm", "quorum", "ratelimit"}

var apiRules = []rule{
	{"Surface", checkSurface},
	{"Names", checkNames},
}

// TestAPI checks that the exported surface of each package is the committed
// one. A change of api/*.txt is a change of the promise to users: review it as
// such.
func TestAPI(t *testing.T) {
	if *update {
		repo, err := repository()
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range repo.pkgs {
			name := filepath.Join(root, filepath.FromSlash(golden(dir)))
			if err := os.WriteFile(name, []byte(repo.surface(dir)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	hold(t, apiRules)
}

// golden returns the path of the file that holds the surface of the package in
// dir.
func golden(dir string) string { return "internal/arch/api/" + dir + ".txt" }

// checkSurface reports packages whose surface is not the one in api/*.txt, and
// surfaces without a package.
func checkSurface(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		want, ok := t.read(golden(dir))
		if !ok {
			report(golden(dir), "missing; run go test ./internal/arch -run TestAPI -update")
			continue
		}
		got := t.surface(dir)
		lost, gained := missing(got, want), missing(want, got)
		for _, l := range lost {
			report(golden(dir), "the package does not have: %s", l)
		}
		for _, l := range gained {
			report(golden(dir), "the package has also: %s", l)
		}
		if got != want && len(lost)+len(gained) == 0 {
			report(golden(dir), "the package has the same lines in another order")
		}
	}

	// A golden without a package belongs to a package that is gone.
	files, err := fs.Glob(t.fsys, golden("*"))
	if err != nil {
		report(golden("*"), "%v", err)
	}
	for _, name := range files {
		if !slices.Contains(t.pkgs, strings.TrimSuffix(path.Base(name), ".txt")) {
			report(name, "no such package")
		}
	}
}

// missing returns the lines of b that a has not, each line as often as it is
// missing.
func missing(a, b string) (lines []string) {
	count := map[string]int{}
	for l := range strings.Lines(a) {
		count[l]++
	}
	for l := range strings.Lines(b) {
		if count[l]--; count[l] < 0 {
			lines = append(lines, strings.TrimSpace(l))
		}
	}
	return lines
}

// checkNames reports packages that export too many names to learn.
func checkNames(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		limit := maxNames
		if slices.Contains(many, dir) {
			limit = maxNamesMany
		}
		if n := len(t.names(dir)); n > limit {
			report(dir, "%d exported names, want at most %d: %v", n, limit, t.names(dir))
		}
	}
}

// names returns the exported names at the package level of dir, sorted.
func (t *tree) names(dir string) (names []string) {
	add := func(id *ast.Ident) {
		if id.IsExported() {
			names = append(names, id.Name)
		}
	}
	for _, d := range t.decls(dir) {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					add(s.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						add(n)
					}
				}
			}
		}
	}

	// A name declared under several build constraints is one name.
	slices.Sort(names)
	return slices.Compact(names)
}

// decls returns the declarations of the package in dir, without tests.
func (t *tree) decls(dir string) (decls []ast.Decl) {
	for _, f := range t.in(dir) {
		if !f.test {
			decls = append(decls, f.ast.Decls...)
		}
	}
	return decls
}

// surface returns the exported declarations of the package in dir, without
// bodies, unexported fields and comments, one after another and sorted.
func (t *tree) surface(dir string) string {
	var out []string
	for _, d := range t.decls(dir) {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if exportedFunc(d) {
				out = append(out, show(&ast.FuncDecl{Recv: d.Recv, Name: d.Name, Type: d.Type}))
			}
		case *ast.GenDecl:
			out = append(out, showGroup(d)...)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "\n") + "\n"
}

// showGroup returns the exported parts of d, each as a declaration of its own.
// Constants that repeat an expression, as with iota, stay together: alone they
// say nothing.
func showGroup(d *ast.GenDecl) (out []string) {
	if d.Tok == token.IMPORT {
		return nil
	}
	var group []ast.Spec
	together := false
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				group = append(group, &ast.TypeSpec{Name: s.Name, TypeParams: s.TypeParams, Assign: s.Assign, Type: visible(s.Type)})
			}
		case *ast.ValueSpec:
			together = together || d.Tok == token.CONST && s.Values == nil
			if slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
				group = append(group, &ast.ValueSpec{Names: s.Names, Type: s.Type, Values: s.Values})
			}
		}
	}

	if together && len(group) > 0 {
		return []string{show(&ast.GenDecl{Tok: d.Tok, Lparen: 1, Specs: group})}
	}
	for _, s := range group {
		out = append(out, show(&ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{s}}))
	}
	return out
}

// visible returns x without comments and, for a struct, without the fields that
// users cannot name.
func visible(x ast.Expr) ast.Expr {
	switch x := x.(type) {
	case *ast.StructType:
		return &ast.StructType{Fields: visibleFields(x.Fields, false)}
	case *ast.InterfaceType:
		return &ast.InterfaceType{Methods: visibleFields(x.Methods, true)}
	}
	return x
}

// visibleFields returns the exported fields of list, or all if the list is that
// of an interface: a method that others cannot name decides who can implement
// it.
func visibleFields(list *ast.FieldList, all bool) *ast.FieldList {
	var out []*ast.Field
	for _, f := range list.List {
		g := &ast.Field{Type: visible(f.Type), Tag: f.Tag}
		for _, n := range f.Names {
			if all || n.IsExported() {
				g.Names = append(g.Names, ast.NewIdent(n.Name))
			}
		}
		embedded := len(f.Names) == 0
		if len(g.Names) > 0 || embedded && (all || exportedEmbed(f.Type)) {
			out = append(out, g)
		}
	}
	return &ast.FieldList{Opening: 1, List: out, Closing: 1}
}

// exportedEmbed reports whether a field that embeds x has an exported name.
func exportedEmbed(x ast.Expr) bool {
	if s, ok := x.(*ast.SelectorExpr); ok {
		return s.Sel.IsExported()
	}
	return ast.IsExported(receiver(&ast.FuncDecl{Recv: &ast.FieldList{List: []*ast.Field{{Type: x}}}}))
}

// show prints d. The file set is empty on purpose: positions of the source
// would carry its line breaks over.
func show(d ast.Decl) string {
	var b strings.Builder
	if err := format.Node(&b, token.NewFileSet(), d); err != nil {
		return fmt.Sprintf("%v", err)
	}
	return b.String()
}
