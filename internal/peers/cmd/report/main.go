// SPDX-License-Identifier: MIT

// Report writes what compare measured into the documentation.
//
//	go run ./cmd/report
//
// It reads the newest samples of each package in results/, and the output of
// the gateway in its testdata. It writes docs/performance.md, the pictures in
// docs/plots, and the parts of README.md between
//
//	<!-- generated: NAME -->
//	<!-- end -->
//
// so no figure in the documentation is typed by hand. A test compares them.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run("../..", "results", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// run writes the files below root that generate returns.
func run(root, results string, stdout io.Writer) error {
	files, err := generate(root, results)
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(stdout, name)
	}
	return nil
}

// generate returns the generated files, by their path from root.
func generate(root, results string) (map[string][]byte, error) {
	runs, err := newest(results)
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, errors.New("no results")
	}

	files := map[string][]byte{"docs/performance.md": performance(runs)}
	if files["docs/plots/comparison.svg"], err = comparison(runs); err != nil {
		return nil, err
	}
	output, err := os.ReadFile(filepath.Join(root, "examples/gateway/testdata/golden.txt"))
	if err != nil {
		return nil, err
	}
	files["docs/plots/gateway.svg"] = terminal("go run ./examples/gateway", string(output))

	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return nil, err
	}
	files["README.md"], err = replaceRegions(readme, map[string]string{
		"packages": packageTable(runs),
		"measured": measured(runs),
	})
	return files, err
}

// replaceRegions returns text with its generated parts replaced.
func replaceRegions(text []byte, parts map[string]string) ([]byte, error) {
	s := string(text)
	for name, part := range parts {
		begin := "<!-- generated: " + name + " -->\n"
		before, rest, ok := strings.Cut(s, begin)
		if !ok {
			return nil, fmt.Errorf("README.md: no part %q", name)
		}
		_, after, ok := strings.Cut(rest, "<!-- end -->")
		if !ok {
			return nil, fmt.Errorf("README.md: part %q has no end", name)
		}
		s = before + begin + part + "<!-- end -->" + after
	}
	return []byte(s), nil
}

// newest returns the newest run of each package, in the order of packages.
func newest(folder string) ([]*pkgRun, error) {
	names, err := fs.Glob(os.DirFS(folder), "*.txt")
	if err != nil {
		return nil, err
	}
	latest := map[string]string{} // names sort by date
	for _, name := range names {
		if pkg, _, ok := strings.Cut(name, "-"); ok && name > latest[pkg] {
			latest[pkg] = name
		}
	}

	var runs []*pkgRun
	for _, p := range packages {
		name, ok := latest[p.name]
		if !ok {
			continue
		}
		r, err := read(filepath.Join(folder, name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.p = p
		runs = append(runs, r)
	}
	return runs, nil
}
