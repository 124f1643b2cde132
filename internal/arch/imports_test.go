// SPDX-License-Identifier: MIT

package arch

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Modules that the root module may require. DO NOT ADD TO THIS LIST TO FIX A
// BUILD: users copy directories, and three modules is the promise.
const (
	xxhash = "github.com/cespare/xxhash/v2"
	xsync  = "golang.org/x/sync"
	rapid  = "pgregory.net/rapid" // tests only
)

// goVersion is the language version of the root module.
const goVersion = "1.26.0"

// denied are the standard packages that a building block leaves to its user:
// it opens no connection, publishes no variable, and writes no log.
var denied = regexp.MustCompile(`^(net|net/.*|expvar|log|log/.*)$`)

// harmless are the exceptions from denied: they parse addresses and open
// nothing.
var harmless = []string{"net/netip", "net/url"}

// shown are the exceptions from denied for example_test.go: examples show the
// use in a handler, and how counters are published and logged.
var shown = []string{"expvar", "log/slog", "net/http", "net/http/httptest"}

var importRules = []rule{
	{"GoMod", checkGoMod},
	{"Imports", checkImports},
	{"External", checkExternal},
	{"Linkname", checkLinkname},
}

func TestImports(t *testing.T) { hold(t, importRules) }

// checkGoMod reports lines of go.mod other than the module, the version of Go
// and the modules allowed. A nested module holds whatever else a tool or a
// comparison needs.
func checkGoMod(t *tree, report reporter) {
	text, ok := t.read("go.mod")
	if !ok {
		report("go.mod", "missing")
		return
	}
	block := ""
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "//")
		words := strings.Fields(line)

		// Lines within a block begin with the word before its parenthesis.
		switch {
		case len(words) == 0:
			continue
		case words[0] == ")":
			block = ""
			continue
		case block != "":
			words = slices.Insert(words, 0, block)
		case words[len(words)-1] == "(":
			block = words[0]
			continue
		}
		if err := modLine(words); err != nil {
			report(fmt.Sprintf("go.mod:%d", i+1), "%v", err)
		}
	}
	if !strings.Contains("\n"+text, "\ngo "+goVersion+"\n") {
		report("go.mod", "want go %s", goVersion)
	}
}

// modLine returns an error if the directive words may not stand in go.mod.
func modLine(words []string) error {
	directive, arg := words[0], strings.Join(words[1:], " ")
	path, _, _ := strings.Cut(arg, " ")
	switch {
	case directive == "module" && arg == module:
	case directive == "go" && arg == goVersion:
	case directive == "require" && slices.Contains([]string{xxhash, xsync, rapid}, path):
	default:
		return fmt.Errorf("%s %s is not allowed", directive, arg)
	}
	return nil
}

// checkImports reports imports that the area of the file does not allow.
func checkImports(t *tree, report reporter) {
	for _, f := range t.files {
		for _, im := range f.ast.Imports {
			path, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				report(t.at(im.Pos()), "%v", err)
			} else if why := t.refuse(f, path); why != "" {
				report(t.at(im.Pos()), "imports %s: %s", path, why)
			}
		}
	}
}

// refuse returns why f may not import path, or "" if it may.
func (t *tree) refuse(f *file, path string) string {
	own, inModule := strings.CutPrefix(path, module+"/")
	host, _, _ := strings.Cut(path, "/")

	switch {
	case f.area == areaNested:
		return ""
	case path == "C":
		return "the library is pure Go"
	case path == "unsafe":
		if !f.test && !strings.HasSuffix(f.base, "_unsafe.go") {
			return "only tests and files named *_unsafe.go may"
		}
	case inModule || path == module:
		if f.area == areaExample && (slices.Contains(t.pkgs, own) || belowExample(f.dir, own)) {
			return ""
		}
		if f.base == "example_test.go" && own == f.dir {
			return ""
		}
		return "a package stands alone; only examples and its own example_test.go import it"
	case strings.Contains(host, "."):
		if f.area == areaArch || path != xxhash && !strings.HasPrefix(path, xsync+"/") && (path != rapid || !f.test) {
			return "not one of the modules allowed here"
		}
	case f.area == areaPackage && denied.MatchString(path) && !slices.Contains(harmless, path):
		if f.base != "example_test.go" || !slices.Contains(shown, path) {
			return "a building block leaves networks and logs to its user"
		}
	}
	return ""
}

// checkExternal reports external test packages other than example_test.go:
// it is the one file to edit after a copy.
func checkExternal(t *tree, report reporter) {
	for _, f := range t.files {
		external := f.test && strings.HasSuffix(f.ast.Name.Name, "_test")
		if f.area == areaPackage && external != (f.base == "example_test.go") {
			report(t.at(f.ast.Name.Pos()), "package %s: example_test.go is external, and no other file is", f.ast.Name.Name)
		}
	}
}

// checkLinkname reports //go:linkname, which depends on what the standard
// library does not promise.
func checkLinkname(t *tree, report reporter) {
	for _, f := range t.files {
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				if strings.HasPrefix(c.Text, "//go:linkname") {
					report(t.at(c.Pos()), "go:linkname is not allowed")
				}
			}
		}
	}
}

// belowExample reports whether the package own belongs to the example that a
// file in dir is a part of.
func belowExample(dir, own string) bool {
	parts := strings.SplitN(dir, "/", 3)
	return len(parts) >= 2 && strings.HasPrefix(own, "examples/"+parts[1]+"/")
}
