// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// A mutant is one change of one file.
type mutant struct {
	id         int
	pkg        string // the name of its package
	file       string
	line       int
	function   string
	start, end int    // bytes of the file that it replaces
	from, to   string // what is there, and what the mutant makes of it
	template   string // the code that does one or the other: see render
	killed     bool
	late       bool // killed because its time was over
}

// String identifies m across changes of the rest of its file.
func (m *mutant) String() string {
	return fmt.Sprintf("%s %s %q -> %q", m.file, m.function, m.from, m.to)
}

func compareMutants(a, b *mutant) int {
	return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), strings.Compare(a.to, b.to))
}

// reach is the number of the run that notes which mutants are reached.
const reach = -1

// hooks is the file that is added to the package. Its functions are the only
// place that knows which mutant acts.
const hooks = `package PKG

import (
	mutateos "os"
	mutatestrconv "strconv"
	mutateatomic "sync/atomic"
)

var (
	mutateActive, _ = mutatestrconv.Atoi(mutateos.Getenv("MUTANT"))
	mutateReached   [COUNT]mutateatomic.Bool
)

func mutateOn(id int) bool {
	if mutateActive == REACH && !mutateReached[id].Swap(true) {
		f, err := mutateos.OpenFile(mutateos.Getenv("REACHED"), mutateos.O_APPEND|mutateos.O_CREATE|mutateos.O_WRONLY, 0o644)
		if err == nil {
			_, _ = f.WriteString(mutatestrconv.Itoa(id) + "\n")
			_ = f.Close()
		}
	}
	return mutateActive == id
}

func mutatePick[T any](on bool, a, b func() T) T {
	if on {
		return a()
	}
	return b()
}
`

// hookCall matches the call in a changed line that chooses a mutant.
var hookCall = regexp.MustCompile(`mutateOn\((\d+)\)`)

// find returns every mutant of the package in dir.
func find(dir string) ([]*mutant, error) {
	mode := packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps
	pkgs, err := packages.Load(&packages.Config{Mode: mode, Dir: dir}, ".")
	if err != nil {
		return nil, err
	}
	if len(pkgs) != 1 || len(pkgs[0].Errors) > 0 {
		return nil, fmt.Errorf("%s: want one package that compiles: %v", dir, pkgs[0].Errors)
	}

	p := pkgs[0]
	f := &finder{pkg: p}
	for i, file := range p.Syntax {
		name := filepath.Base(p.GoFiles[i])
		if strings.HasPrefix(name, "check") || name == "doc.go" {
			continue // checks of invariants are off
		}
		f.inFile(name, file)
	}
	if len(f.list) == 0 {
		return nil, errors.New("nothing to change")
	}
	return f.list, nil
}

// A finder collects the mutants of a package.
type finder struct {
	pkg      *packages.Package
	src      []byte
	file     string
	function string
	list     []*mutant
}

// inFile adds the mutants of one file.
func (f *finder) inFile(name string, file *ast.File) {
	f.file = name
	f.src = nil
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		f.function = fn.Name.Name
		if fn.Recv != nil {
			f.function = strings.TrimPrefix(types.ExprString(fn.Recv.List[0].Type), "*") + "." + f.function
			if i := strings.IndexByte(f.function, '['); i >= 0 {
				f.function = f.function[:i] + "." + fn.Name.Name
			}
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool { return f.node(n) })
	}
}

// add adds the mutant that replaces n, whose source is from, by to. In the
// template, FROM stands for the source of n with the mutants within it, TO for
// to, and ON for the condition.
func (f *finder) add(n ast.Node, from, to, template string) {
	start := f.pkg.Fset.Position(n.Pos())
	end := f.pkg.Fset.Position(n.End())
	f.list = append(f.list, &mutant{
		pkg: f.pkg.Name, file: f.file, line: start.Line, function: f.function,
		start: start.Offset, end: end.Offset, from: from, to: to, template: template,
	})
}

// The templates. TO is evaluated, or FROM, and never both.
const (
	either   = "(ON && (TO) || !ON && (FROM))"
	pick     = "mutatePick(ON, func() TYPE { return TO }, func() TYPE { return FROM })"
	leaveOut = "if !ON { FROM }"
)

// node adds the mutants of n itself, and reports whether to look inside.
func (f *finder) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok == token.VAR // constants cannot call a hook
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.IfStmt:
		cond := types.ExprString(n.Cond)
		f.add(n.Cond, cond, "true", either)
		f.add(n.Cond, cond, "false", either)
	case *ast.Ident:
		f.boolean(n)
	case *ast.BasicLit:
		f.literal(n)
	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.CaseClause:
		f.statements(n.Body)
	case *ast.CommClause:
		f.statements(n.Body)
	}
	return true
}

// swaps are the operators that a mutant takes one for the other.
var swaps = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	token.REM: token.MUL, token.AND: token.OR, token.OR: token.AND, token.XOR: token.AND, token.SHL: token.SHR, token.SHR: token.SHL,
}

// binary adds the mutant of an expression with two operands.
func (f *finder) binary(n *ast.BinaryExpr) {
	op, ok := swaps[n.Op]
	tv := f.pkg.TypesInfo.Types[n]
	if !ok || tv.Value != nil || tv.Type == nil {
		return
	}
	from := types.ExprString(n)
	to := types.ExprString(&ast.BinaryExpr{X: n.X, Op: op, Y: n.Y})
	basic, ok := tv.Type.Underlying().(*types.Basic)
	switch {
	case ok && basic.Info()&types.IsBoolean != 0:
		f.add(n, from, to, either)
	case ok && basic.Info()&types.IsNumeric != 0:
		if name := f.typeName(tv.Type); name != "" {
			f.add(n, from, to, strings.ReplaceAll(pick, "TYPE", name))
		}
	}
}

// typeName returns the name of t where every file of the package knows it,
// or "".
func (f *finder) typeName(t types.Type) string {
	switch t := t.(type) {
	case *types.Basic:
		if t.Info()&types.IsUntyped == 0 {
			return t.Name()
		}
	case *types.Named:
		if t.Obj().Pkg() == f.pkg.Types && t.TypeArgs() == nil {
			return t.Obj().Name()
		}
		if t.Obj().Pkg() != nil && t.Obj().Pkg().Path() == "time" {
			return "time." + t.Obj().Name()
		}
	}
	return ""
}

// boolean adds the mutant of true and false.
func (f *finder) boolean(n *ast.Ident) {
	if f.pkg.TypesInfo.Uses[n] != types.Universe.Lookup(n.Name) {
		return
	}
	switch n.Name {
	case "true":
		f.add(n, "true", "false", "(!ON)")
	case "false":
		f.add(n, "false", "true", "(ON)")
	}
}

// literal adds the mutant of a number that is off by one.
func (f *finder) literal(n *ast.BasicLit) {
	name := f.typeName(f.pkg.TypesInfo.TypeOf(n))
	if n.Kind != token.INT || name == "" {
		return
	}
	f.add(n, n.Value, n.Value+"+1", strings.ReplaceAll(pick, "TYPE", name))
}

// kept are calls whose absence ends in a deadlock or a race, which says
// nothing about the tests and takes their whole time.
var kept = []string{"Lock", "Unlock", "RLock", "RUnlock", "Done", "panic", "Wait", "Add", "close"}

// statements adds the mutants of a block, in which a statement is left out.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			call, ok := s.X.(*ast.CallExpr)
			if !ok {
				continue
			}
			name := types.ExprString(call.Fun)
			if slices.Contains(kept, name[strings.LastIndexByte(name, '.')+1:]) {
				continue
			}
			f.add(s, types.ExprString(s.X), "", leaveOut)
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				f.add(s, types.ExprString(s.Lhs[0])+" "+s.Tok.String()+" …", "", leaveOut)
			}
		case *ast.IncDecStmt:
			f.add(s, types.ExprString(s.X)+s.Tok.String(), "", leaveOut)
		case *ast.BranchStmt:
			if s.Label == nil && (s.Tok == token.CONTINUE || s.Tok == token.BREAK) {
				f.add(s, s.Tok.String(), "", leaveOut)
			}
		}
	}
}
