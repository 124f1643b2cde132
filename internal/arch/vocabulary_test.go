// SPDX-License-Identifier: MIT

package arch

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// renamed are exported names that other libraries use for what has another
// name here, or no place.
var renamed = map[string]string{
	"Metrics":   "Stats",
	"Contains":  "Has", // but of a Range, as in geometry
	"ErrFormat": "ErrCorrupt, or ErrVersion for a format that is not known",
}

// places are the files in which a reader looks for a kind of declaration.
var places = []struct {
	name string         // of the kind
	re   *regexp.Regexp // what its names look like
	file string
}{
	{"options", regexp.MustCompile(`^\w*Options$`), "options.go"},
	{"counters", regexp.MustCompile(`^\w*Stats$`), "stats.go"},
	{"a sentinel error", regexp.MustCompile(`^Err[A-Z]`), "errors.go"},
}

// testPlaces are the files of tests that every package may have.
var testPlaces = map[string]string{
	"TestLinearizable": "concurrent_test.go",
	"TestGolden":       "golden_test.go",
	"TestStatsSub":     "stats_test.go",
	"TestAllocs":       "alloc_test.go",
}

// maxSameName bounds the types of a package that have an unexported method of
// one name: a reader who follows a value stops at a call with many targets.
const maxSameName = 3

var vocabularyRules = []rule{
	{"Vocabulary", checkVocabulary},
	{"SamePlace", checkSamePlace},
	{"OptionsMethods", checkOptionsMethods},
	{"StatsSub", checkStatsSub},
	{"EnumText", checkEnumText},
	{"Magic", checkMagic},
	{"MethodNames", checkMethodNames},
}

func TestVocabulary(t *testing.T) { hold(t, vocabularyRules) }

// eachExported calls f for each exported name that the package in dir
// declares at its top level, and for each exported method of exported types.
func (t *tree) eachExported(dir string, f func(in *file, id *ast.Ident)) {
	for _, file := range t.in(dir) {
		if file.test {
			continue
		}
		for _, d := range file.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if exportedFunc(d) {
					f(file, d.Name)
				}
			case *ast.GenDecl:
				for _, id := range exportedIn(d) {
					f(file, id)
				}
			}
		}
	}
}

// exportedIn returns the exported names that d declares.
func exportedIn(d *ast.GenDecl) (ids []*ast.Ident) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			ids = append(ids, s.Name)
		case *ast.ValueSpec:
			ids = append(ids, s.Names...)
		}
	}
	return slices.DeleteFunc(ids, func(id *ast.Ident) bool { return !id.IsExported() })
}

// checkVocabulary reports exported names that have another name in the house.
func checkVocabulary(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		t.eachExported(dir, func(in *file, id *ast.Ident) {
			if better, ok := renamed[id.Name]; ok && !ofRange(in, id) {
				report(t.at(id.Pos()), "%s: the house says %s", id.Name, better)
			}
		})
	}
}

// ofRange reports whether id is a method of a type Range.
func ofRange(f *file, id *ast.Ident) bool {
	return slices.ContainsFunc(f.ast.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Name == id && fn.Recv != nil && receiver(fn) == "Range"
	})
}

// checkSamePlace reports declarations and tests outside the file that holds
// their kind in every package.
func checkSamePlace(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		t.eachExported(dir, func(in *file, id *ast.Ident) {
			for _, p := range places {
				if p.re.MatchString(id.Name) && !isMethod(in, id) && in.base != p.file {
					report(t.at(id.Pos()), "%s is %s, which stand in %s", id.Name, p.name, p.file)
				}
			}
		})
		for _, f := range t.in(dir) {
			for name, pos := range f.tests() {
				if want := testPlaces[name]; want != "" && f.base != want {
					report(t.at(pos), "%s stands in %s", name, want)
				}
			}
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if ok && fn.Recv != nil && (fn.Name.Name == "check" || fn.Name.Name == "checkLocked") && !f.test && f.base != "check.go" {
					report(t.at(fn.Pos()), "%s stands in check.go", fn.Name.Name)
				}
			}
		}
	}
}

// isMethod reports whether id is the name of a method in f.
func isMethod(f *file, id *ast.Ident) bool {
	return slices.ContainsFunc(f.ast.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Name == id && fn.Recv != nil
	})
}

// methods returns the methods of the package in dir, by the name of their
// type.
func (t *tree) methods(dir string) map[string][]string {
	list := map[string][]string{}
	for _, d := range t.decls(dir) {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
			typ := receiver(fn)
			list[typ] = append(list[typ], fn.Name.Name)
		}
	}
	return list
}

// checkOptionsMethods reports options that cannot be validated, or whose
// defaults are filled in somewhere else than in resolve.
func checkOptionsMethods(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		methods := t.methods(dir)
		t.eachExported(dir, func(in *file, id *ast.Ident) {
			if !strings.HasSuffix(id.Name, "Options") || isMethod(in, id) || !isStruct(in, id) {
				return
			}
			for _, want := range []string{"Validate", "resolve"} {
				if !slices.Contains(methods[id.Name], want) {
					report(t.at(id.Pos()), "%s has no method %s", id.Name, want)
				}
			}
		})
	}
}

// isStruct reports whether id names a struct type in f.
func isStruct(f *file, id *ast.Ident) bool {
	spec := typeSpec(f, id)
	if spec == nil {
		return false
	}
	_, ok := spec.Type.(*ast.StructType)
	return ok
}

// typeSpec returns the declaration of the type that id names in f, or nil.
func typeSpec(f *file, id *ast.Ident) *ast.TypeSpec {
	for _, d := range f.ast.Decls {
		if d, ok := d.(*ast.GenDecl); ok {
			for _, s := range d.Specs {
				if s, ok := s.(*ast.TypeSpec); ok && s.Name == id {
					return s
				}
			}
		}
	}
	return nil
}

// checkStatsSub reports counters without Sub: a graph needs differences.
func checkStatsSub(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		methods := t.methods(dir)
		t.eachExported(dir, func(in *file, id *ast.Ident) {
			counters := strings.HasSuffix(id.Name, "Stats") && isStruct(in, id)
			if counters && !slices.Contains(methods[id.Name], "Sub") {
				report(t.at(id.Pos()), "%s has no method Sub", id.Name)
			}
		})
	}
}

// checkEnumText reports enumerations with a String that do not marshal as
// text: a log and a configuration file have the names, not the numbers.
func checkEnumText(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		methods := t.methods(dir)
		t.eachExported(dir, func(in *file, id *ast.Ident) {
			spec := typeSpec(in, id)
			if spec == nil || !slices.Contains(methods[id.Name], "String") {
				return
			}
			if kind, ok := spec.Type.(*ast.Ident); !ok || !strings.Contains(kind.Name, "int") {
				return
			}
			for _, want := range []string{"MarshalText", "UnmarshalText"} {
				if !slices.Contains(methods[id.Name], want) {
					report(t.at(id.Pos()), "%s has no method %s", id.Name, want)
				}
			}
		})
	}
}

// checkMagic reports formats whose first bytes are not "ashlar" and two of
// the kind.
func checkMagic(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		for _, d := range t.decls(dir) {
			d, ok := d.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				continue
			}
			for _, s := range d.Specs {
				s := s.(*ast.ValueSpec)
				for i, id := range s.Names {
					if strings.Contains(strings.ToLower(id.Name), "magic") && i < len(s.Values) {
						t.checkMagicValue(id, s.Values[i], report)
					}
				}
			}
		}
	}
}

// checkMagicValue reports the constant id if it is a string, but not a magic.
func (t *tree) checkMagicValue(id *ast.Ident, x ast.Expr, report reporter) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil || !strings.HasPrefix(text, "ashlar") || len(text) != 8 {
		report(t.at(id.Pos()), "%s is %s, want 8 bytes that begin with ashlar", id.Name, lit.Value)
	}
}

// checkMethodNames reports unexported method names that too many types share.
// The methods of Options, and those that an interface asks for, are the same
// thing on each type.
func checkMethodNames(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		asked := t.interfaceMethods(dir)
		types := map[string][]string{}
		for typ, names := range t.methods(dir) {
			slices.Sort(names)
			for _, n := range slices.Compact(names) {
				if !ast.IsExported(n) && n != "resolve" && n != "check" && n != "checkLocked" && !asked[n] {
					types[n] = append(types[n], typ)
				}
			}
		}
		for name, list := range types {
			if len(list) > maxSameName {
				slices.Sort(list)
				report(dir, "%d types have a method %s: %s", len(list), name, strings.Join(list, ", "))
			}
		}
	}
}

// interfaceMethods returns the methods that interfaces of the package in dir
// ask for.
func (t *tree) interfaceMethods(dir string) map[string]bool {
	asked := map[string]bool{}
	for _, f := range t.in(dir) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if x, ok := n.(*ast.InterfaceType); ok {
				for _, m := range x.Methods.List {
					for _, id := range m.Names {
						asked[id.Name] = true
					}
				}
			}
			return true
		})
	}
	return asked
}
