// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// standardLibrary returns the packages below root/src, and what they import of
// each other, tests and commands left out.
func standardLibrary(root string) (names []string, edges []edge, err error) {
	src := filepath.Join(root, "src")
	imports := map[string][]string{}
	err = fs.WalkDir(os.DirFS(src), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || p == "cmd" || strings.HasPrefix(d.Name(), "_")):
			return fs.SkipDir
		case d.IsDir() || path.Ext(p) != ".go" || strings.HasSuffix(p, "_test.go") || path.Dir(p) == ".":
			return nil
		}
		list, err := importsOf(src, p)
		if list != nil {
			imports[path.Dir(p)] = append(imports[path.Dir(p)], list...)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if len(imports) == 0 {
		return nil, nil, fmt.Errorf("no package below %s", src)
	}

	// Packages are numbered in the order of their names.
	for name := range imports {
		names = append(names, name)
	}
	slices.Sort(names)
	for from, name := range names {
		list := slices.Compact(slices.Sorted(slices.Values(imports[name])))
		for _, other := range list {
			if to, ok := slices.BinarySearch(names, other); ok && to != from {
				edges = append(edges, edge{from, to})
			}
		}
	}
	return names, edges, nil
}

// importsOf returns what the file p below src imports, and nil if the file is
// not for this machine.
func importsOf(src, p string) ([]string, error) {
	dir, base := filepath.Split(filepath.Join(src, filepath.FromSlash(p)))
	if ok, err := build.Default.MatchFile(dir, base); !ok || err != nil {
		return nil, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, base), nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	list := []string{}
	for _, im := range f.Imports {
		name, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, nil
}
