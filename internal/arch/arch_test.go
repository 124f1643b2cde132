// SPDX-License-Identifier: MIT

package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// module is the path of the root module.
const module = "github.com/ashlar-go/ashlar"

// root is the directory of the root module, as seen from this one.
const root = "../.."

// packageNames are the directories that may hold a package of the library.
// DO NOT ADD TO THIS LIST TO FIX A BUILD: a package is a decision.
var packageNames = []string{
	"ratelimit", "breaker", "lru", "bloom", "consistenthash", "merkle", "skiplist", "lsm", "quorum",
}

// A rule is one property of the repository.
type rule struct {
	name  string
	check func(t *tree, report reporter)
}

// A reporter records that the rule is broken at a place, which is file or
// file:line.
type reporter func(at, format string, args ...any)

// problems returns what breaks r in t, each as "file:line: text".
func (r rule) problems(t *tree) (list []string) {
	r.check(t, func(at, format string, args ...any) {
		list = append(list, at+": "+fmt.Sprintf(format, args...))
	})
	return list
}

// repository is the tree that this test belongs to. All tests share it, and
// only read it.
var repository = sync.OnceValues(func() (*tree, error) { return load(os.DirFS(root)) })

// hold checks that the repository obeys the rules.
func hold(t *testing.T, rules []rule) {
	t.Helper()
	repo, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, p := range r.problems(repo) {
				t.Error(p)
			}
		})
	}
}

// allRules returns the rules of every group.
func allRules() []rule {
	return slices.Concat(layoutRules, importRules, docRules, sourceRules, apiRules, markdownRules, pageRules, vocabularyRules, faultRules)
}

// A tree is the repository as the rules see it.
type tree struct {
	fsys    fs.FS
	fset    *token.FileSet
	files   []*file  // every Go file outside testdata, in order of path
	pkgs    []string // directories of the library's packages, in order
	nested  []string // directories below the root that hold a go.mod
	invalid []string // "file:line: text" for each Go file that does not parse
}

// A file is one Go file.
type file struct {
	path, dir, base string // slash separated, from the root
	src             []byte
	ast             *ast.File
	test            bool // the name ends in _test.go
	area            area
}

// An area is a part of the tree that has its own rules.
type area int

const (
	areaOther   area = iota
	areaPackage      // a top-level directory: one package of the library
	areaExample      // a program below examples
	areaArch         // this directory
	areaNested       // a module of its own below internal
)

// load reads the tree at fsys. Files that do not parse are left out and listed
// in t.invalid.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{fsys: fsys, fset: token.NewFileSet()}
	var paths []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || p != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.Name() == "go.mod" && path.Dir(p) != ".":
			t.nested = append(t.nested, path.Dir(p))
		case path.Ext(p) == ".go":
			paths = append(paths, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if err := t.add(p); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// add parses the Go file p into t.
func (t *tree) add(p string) error {
	src, err := fs.ReadFile(t.fsys, p)
	if err != nil {
		return err
	}
	f := &file{path: p, dir: path.Dir(p), base: path.Base(p), src: src, test: strings.HasSuffix(p, "_test.go")}
	f.ast, err = parser.ParseFile(t.fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.invalid = append(t.invalid, err.Error())
		return nil
	}
	f.area = t.areaOf(f.dir)
	t.files = append(t.files, f)
	if f.area == areaPackage && !slices.Contains(t.pkgs, f.dir) {
		t.pkgs = append(t.pkgs, f.dir)
	}
	return nil
}

// areaOf returns the area of the directory dir.
func (t *tree) areaOf(dir string) area {
	for _, n := range t.nested {
		if dir == n || strings.HasPrefix(dir, n+"/") {
			return areaNested
		}
	}
	top, _, below := strings.Cut(dir, "/")
	switch {
	case top == "examples":
		return areaExample
	case dir == "internal/arch":
		return areaArch
	case below || slices.Contains([]string{".", "internal", "docs", "cmd"}, top):
		return areaOther
	}
	return areaPackage
}

// in returns the files of the package in dir.
func (t *tree) in(dir string) (files []*file) {
	for _, f := range t.files {
		if f.dir == dir {
			files = append(files, f)
		}
	}
	return files
}

// at returns the place of pos as file:line.
func (t *tree) at(pos token.Pos) string {
	p := t.fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// read returns the contents of the file name, and whether it exists.
func (t *tree) read(name string) (string, bool) {
	b, err := fs.ReadFile(t.fsys, name)
	return string(b), err == nil
}

// lineOf returns the number of the line that holds the byte at offset i of src.
func lineOf(src []byte, i int) int { return 1 + bytes.Count(src[:i], []byte("\n")) }
