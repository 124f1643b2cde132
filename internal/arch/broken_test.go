// SPDX-License-Identifier: MIT

package arch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// sound is a small repository that obeys every rule.
// The API goldens are missing: soundTree makes them.
var sound = map[string]string{
	"go.mod": `module github.com/ashlar-go/ashlar

go 1.26.0

require (
	github.com/cespare/xxhash/v2 v2.3.0
	golang.org/x/sync v0.20.0
)

require pgregory.net/rapid v1.3.0 // indirect
`,
	"go.sum":  "",
	"LICENSE": "MIT License\n",
	"README.md": `# ashlar

See [tests](#tests), [the program](examples/demo/main.go), [TestHas](bloom/bloom_test.go).

<!-- region: bloom/example_test.go quickstart -->
` + "```go" + `
f := bloom.New(10)
if !f.Has() {
	return
}
` + "```" + `

## Copying one package

` + "```sh" + `
PKG=bloom           # the package
ASHLAR=../ashlar    # a checkout of this repository
cp -R "$ASHLAR/$PKG" "$PKG" && cp "$ASHLAR/LICENSE" "$PKG"
sed -i.bak "s|github.com/ashlar-go/ashlar/|$(go list -m)/|" "$PKG/example_test.go"
rm "$PKG/example_test.go.bak"
go mod tidy
go vet "./$PKG" && go test -short "./$PKG"
` + "```" + `

## Tests

TestHas proves it.
`,
	"CONTRIBUTING.md": "Run\n\n```sh\n.ci/run # everything\ngo vet ./... # the quick part\n```\n",
	".ci/run":         "run go vet ./...\n",
	"bloom/doc.go": `// SPDX-License-Identifier: MIT

// Package bloom answers "have I seen it?".
//
// # Choosing
//
// # How it works
//
// # Guarantees
//
// See TestHas.
//
// # Complexity
//
// # Concurrency
//
// # Errors
//
// # Format
//
// # References
package bloom
`,
	"bloom/bloom.go": `// SPDX-License-Identifier: MIT

package bloom

import "sync"

// Kinds of filter.
const (
	Plain = iota
	Counting
)

// A Filter is a set.
type Filter struct {
	// N is the capacity.
	N  int
	mu sync.Mutex // protects nothing yet
}

// New returns a filter for n values.
func New(n int) *Filter { return &Filter{N: n} }

// Has reports whether f has seen a value.
func (f *Filter) Has() bool {
	// This goroutine ends at once.
	go func() {}()
	f.mu.Lock()
	defer f.mu.Unlock()
	return invariants
}
`,
	"bloom/check_off.go": `//go:build !invariants

// SPDX-License-Identifier: MIT

package bloom

const invariants = false
`,
	"bloom/check_on.go": `//go:build invariants

// SPDX-License-Identifier: MIT

package bloom

const invariants = true
`,
	"bloom/bloom_test.go": `// SPDX-License-Identifier: MIT

package bloom

import "testing"

func TestHas(t *testing.T) {
	if New(1).Has() != invariants {
		t.Error("seen")
	}
}
`,
	"bloom/example_test.go": `// SPDX-License-Identifier: MIT

package bloom_test

import (
	"net/http"

	"github.com/ashlar-go/ashlar/bloom"
)

var _ http.Handler

func Example() {
	// region quickstart
	f := bloom.New(10)
	if !f.Has() {
		return
	}
	// endregion quickstart
}
`,
	"internal/arch/faults/bloom.txt": `# Has forgets the tag.
test TestHas
file bloom.go
<<<<
	return invariants
====
	return !invariants
>>>>
`,
	"lru/doc.go": `// SPDX-License-Identifier: MIT

// Package lru keeps hot values.
//
// # Choosing
//
// # How it works
//
// # Guarantees
//
// # Complexity
//
// # Concurrency
//
// # Errors
//
// # References
package lru
`,
	"lru/check_off.go": `//go:build !invariants

// SPDX-License-Identifier: MIT

package lru

const invariants = false
`,
	"docs/guarantees.md":                "| law | test |\n|---|---|\n| a key is not missed | [TestHas](../bloom/bloom_test.go) |\n",
	"docs/topics.md":                    "| topic | package | example | program | shown |\n|---|---|---|---|---|\n| demo | bloom | | [demo](../examples/demo/main.go) | `another` |\n| 1 filter | bloom | [Example](../bloom/example_test.go) | | `f.Has()` |\n",
	"examples/README.md":                "# Examples\n\n## demo\n\n```text\na line\nanother\n```\n",
	"examples/demo/testdata/golden.txt": "before\na line\n\nanother\n",
	"examples/demo/main.go": `// SPDX-License-Identifier: MIT

// Demo shows a filter.
package main

import (
	"golang.org/x/sync/errgroup"

	"github.com/ashlar-go/ashlar/bloom"
)

func main() {
	var g errgroup.Group
	g.Go(func() error { bloom.New(1).Has(); return nil })
}
`,
}

// soundTree returns a fresh copy of sound, with its goldens.
func soundTree(t *testing.T) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range sound {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	repo := mustLoad(t, fsys)
	for _, dir := range repo.pkgs {
		fsys[golden(dir)] = &fstest.MapFile{Data: []byte(repo.surface(dir))}
	}
	return fsys
}

func mustLoad(t *testing.T, fsys fstest.MapFS) *tree {
	t.Helper()
	repo, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// TestSound checks that the small repository obeys every rule, so that
// each failure in TestBroken comes from the one change that it makes.
func TestSound(t *testing.T) {
	repo := mustLoad(t, soundTree(t))
	for _, r := range allRules() {
		for _, p := range r.problems(repo) {
			t.Errorf("%s: %s", r.name, p)
		}
	}
}

// A breach breaks one rule by one change of the small repository.
type breach struct {
	rule string
	file string // the file to change
	old  string // what to replace; if empty, the whole file
	new  string // the replacement; if both are empty, the file is removed
	want string // the beginning of the report
}

const spdx = "// SPDX-License-Identifier: MIT\n\n"

var breaches = []breach{
	{"Parse", "bloom/bloom.go", "func New", "fun New", "bloom/bloom.go:21:1: expected declaration"},

	{"Places", "root.go", "", spdx + "package ashlar\n", "root.go: Go files live in"},
	{"Places", "lru/list/list.go", "", spdx + "package list\n", "lru/list/list.go: Go files live in"},
	{"Places", "internal/util/util.go", "", spdx + "package util\n", "internal/util/util.go: Go files live in"},
	{"Places", "trie/doc.go", "", spdx + "// Package trie is one.\npackage trie\n", "trie: not the name of a package"},
	{"Places", "lru/doc.go", "package lru", "package cache", "lru/doc.go:18: package cache, want lru"},
	{"Imports", "examples/demo/main.go", "ashlar/bloom", "ashlar/examples/other/stage", "examples/demo/main.go:9: imports github.com/ashlar-go/ashlar/examples/other/stage: a package stands alone"},

	{"Places", "examples/go.mod", "", "module examples\n", "examples/go.mod: a nested module belongs below internal"},

	{"License", "bloom/bloom.go", spdx, "", "bloom/bloom.go:1: want // SPDX"},
	{"License", "bloom/bloom.go", "MIT", "BSD-3-Clause", "bloom/bloom.go:1: want // SPDX"},
	{"License", "bloom/check_on.go", "//go:build invariants\n\n" + spdx, spdx + "//go:build invariants\n\n", "bloom/check_on.go:3: want the build constraint before"},
	{"License", "examples/demo/main.go", spdx, "", "examples/demo/main.go:1: want // SPDX"},

	{"DocFile", "lru/doc.go", "", "", "lru/doc.go: missing"},
	{"DocFile", "lru/doc.go", "Package lru keeps", "This package keeps", "lru/doc.go: want a package comment"},
	{"DocFile", "lru/doc.go", "package lru\n", "package lru\n\nvar x int\n", "lru/doc.go:20: doc.go holds the package comment only"},
	{"DocFile", "bloom/bloom.go", "MIT\n\n", "MIT\n", "bloom/bloom.go:1: the package comment belongs in doc.go"},

	{"Size", "bloom/bloom.go", "import", strings.Repeat("\n", 900) + "import", "bloom/bloom.go:900: 930 lines"},

	{"Copies", "lru/check_off.go", "= false", "= 1 == 2", "lru/check_off.go:7: differs from bloom/check_off.go"},
	{"Copies", "lru/check_off.go", "= false\n", "= false\n\nconst more = 1\n", "lru/check_off.go:9: differs from bloom/check_off.go"},

	{"GoMod", "go.mod", "", "", "go.mod: missing"},
	{"GoMod", "go.mod", "go 1.26.0", "go 1.25.0", "go.mod:3: go 1.25.0 is not allowed"},
	{"GoMod", "go.mod", "go 1.26.0\n", "", "go.mod: want go 1.26.0"},
	{"GoMod", "go.mod", "go 1.26.0\n", "go 1.26.0\n\ntoolchain go1.26.8\n", "go.mod:5: toolchain go1.26.8 is not allowed"},
	{"GoMod", "go.mod", "sync v0.20.0", "time v0.20.0", "go.mod:7: require golang.org/x/time v0.20.0 is not allowed"},
	{"GoMod", "go.mod", "pgregory.net/rapid", "pgregory.net/quick", "go.mod:10: require pgregory.net/quick v1.3.0 is not allowed"},
	{"GoMod", "go.mod", "require (", "replace (\n\ta => ../a\n)\n\nrequire (", "go.mod:6: replace a => ../a is not allowed"},
	{"GoMod", "go.mod", "/ashlar\n", "/other\n", "go.mod:1: module github.com/ashlar-go/other is not allowed"},

	{"Imports", "bloom/bloom.go", `"sync"`, `"github.com/ashlar-go/ashlar/lru"`, "bloom/bloom.go:5: imports github.com/ashlar-go/ashlar/lru: a package stands alone"},
	{"Imports", "bloom/bloom_test.go", `"testing"`, `"github.com/ashlar-go/ashlar/lru"`, "bloom/bloom_test.go:5: imports github.com/ashlar-go/ashlar/lru: a package stands alone"},
	{"Imports", "bloom/example_test.go", "ashlar/bloom", "ashlar/lru", "bloom/example_test.go:8: imports github.com/ashlar-go/ashlar/lru: a package stands alone"},
	{"Imports", "bloom/bloom.go", `"sync"`, `"golang.org/x/time/rate"`, "bloom/bloom.go:5: imports golang.org/x/time/rate: not one of"},
	{"Imports", "bloom/bloom.go", `"sync"`, `"pgregory.net/rapid"`, "bloom/bloom.go:5: imports pgregory.net/rapid: not one of"},
	{"Imports", "bloom/bloom.go", `"sync"`, `"net/http"`, "bloom/bloom.go:5: imports net/http: a building block"},
	{"Imports", "bloom/bloom.go", `"sync"`, `"net"`, "bloom/bloom.go:5: imports net: a building block"},
	{"Imports", "bloom/bloom.go", `"sync"`, `"log/slog"`, "bloom/bloom.go:5: imports log/slog: a building block"},
	{"Imports", "bloom/bloom_test.go", `"testing"`, `"expvar"`, "bloom/bloom_test.go:5: imports expvar: a building block"},
	{"Imports", "bloom/example_test.go", "net/http", "log", "bloom/example_test.go:6: imports log: a building block"},
	{"Imports", "bloom/bloom.go", `"sync"`, `"unsafe"`, "bloom/bloom.go:5: imports unsafe: only tests and files named *_unsafe.go may"},
	{"Imports", "bloom/bloom.go", `"sync"`, `"C"`, "bloom/bloom.go:5: imports C: the library is pure Go"},
	{"Imports", "examples/demo/main.go", "golang.org/x/sync/errgroup", "gonum.org/v1/plot", "examples/demo/main.go:7: imports gonum.org/v1/plot: not one of"},
	{"Imports", "examples/demo/main.go", "ashlar/bloom", "ashlar/internal/arch", "examples/demo/main.go:9: imports github.com/ashlar-go/ashlar/internal/arch: a package stands alone"},
	{"Imports", "internal/arch/a_test.go", "", spdx + "package arch\n\nimport _ \"pgregory.net/rapid\"\n", "internal/arch/a_test.go:5: imports pgregory.net/rapid: not one of"},

	{"External", "bloom/bloom_test.go", "package bloom", "package bloom_test", "bloom/bloom_test.go:3: package bloom_test: example_test.go is external"},
	{"External", "bloom/example_test.go", "package bloom_test", "package bloom", "bloom/example_test.go:3: package bloom: example_test.go is external"},

	{"Linkname", "bloom/bloom.go", "// New returns", "//go:linkname now time.now\nfunc now() int64\n\n// New returns", "bloom/bloom.go:20: go:linkname is not allowed"},

	{"Comments", "bloom/bloom.go", "// New returns a filter for n values.\n", "", "bloom/bloom.go:20: New has no comment"},
	{"Comments", "bloom/bloom.go", "// Has reports whether f has seen a value.\n", "", "bloom/bloom.go:23: Has has no comment"},
	{"Comments", "bloom/bloom.go", "// A Filter is a set.\n", "", "bloom/bloom.go:13: Filter has no comment"},
	{"Comments", "bloom/bloom.go", "\t// N is the capacity.\n", "", "bloom/bloom.go:15: Filter.N has no comment"},
	{"Comments", "bloom/bloom.go", "// Kinds of filter.\n", "", "bloom/bloom.go:8: Plain has no comment"},

	{"Sections", "lru/doc.go", "// # Choosing\n", "// # When to use it\n", `lru/doc.go:5: sections ["When to use it"], want ["Choosing" `},
	{"Sections", "lru/doc.go", "// # Errors\n//\n", "", "lru/doc.go:15: sections"},
	{"Sections", "bloom/doc.go", "// # Format\n//\n// # References", "// # References\n//\n// # Format", "bloom/doc.go:19: sections"},
	{"Sections", "lru/doc.go", "// # References\n", "// # References\n//\n// # More\n", "lru/doc.go:19: sections"},

	{"NamedTests", "bloom/doc.go", "TestHas", "TestHasNot", "bloom/doc.go:11: no test is named TestHasNot"},
	{"NamedTests", "lru/doc.go", "// # Errors", "// See TestHas.\n//\n// # Errors", "lru/doc.go:15: no test is named TestHas"},
	{"NamedTests", "README.md", "TestHas proves", "FuzzHas proves", "README.md:27: no test is named FuzzHas"},

	{"Goroutines", "bloom/bloom.go", "\t// This goroutine ends at once.\n", "", "bloom/bloom.go:25: go statement without a comment"},

	{"Sleeps", "bloom/bloom_test.go", `t.Error("seen")`, "time.Sleep(1)", "bloom/bloom_test.go:9: time.Sleep outside synctest"},

	{"Goroutines", "bloom/bloom.go", "\t// This goroutine ends at once.\n\tgo func() {}()", "\tvar g sync.WaitGroup\n\tg.Go(func() {})", "bloom/bloom.go:26: go statement without a comment"},

	{"Sleeps", "bloom/bloom_test.go", "func TestHas", "func TestBubble(t *testing.T) {\n\tsynctest.Test(t, nil)\n}\n\nfunc nap() { time.Sleep(1) }\n\nfunc TestHas", "bloom/bloom_test.go:11: time.Sleep outside synctest"},

	{"Width", "bloom/bloom.go", "// New returns", "// " + strings.Repeat("wide ", 16) + "\n// New returns", "bloom/bloom.go:20: comment of 83 columns"},
	{"Width", "bloom/bloom.go", "\t// N is the capacity.", "\t// " + strings.Repeat("wide ", 15), "bloom/bloom.go:15: comment of 82 columns"},
	{"Paragraphs", "bloom/bloom.go", "\tf.mu.Lock()\n", strings.Repeat("\tf.mu.Lock()\n", 25), "bloom/bloom.go:24: Has has 29 lines"},
	{"English", "bloom/bloom.go", "Has reports", "Has sees to it that it reports", "bloom/bloom.go:23: \"sees to it\" in a comment"},
	{"English", "CONTRIBUTING.md", "Run\n", "Run for ever\n", "CONTRIBUTING.md:1: \"for ever\""},
	{"DocLength", "lru/doc.go", "// # Choosing\n", "// # Choosing\n" + strings.Repeat("//\n", 110), "lru/doc.go:120: 128 lines"},
	{"MarkdownWidth", "CONTRIBUTING.md", "Run\n", strings.Repeat("word ", 17) + "\n", "CONTRIBUTING.md:1: 85 columns"},

	{"Vocabulary", "bloom/bloom.go", "Has() bool", "Contains() bool", "bloom/bloom.go:24: Contains: the house says Has"},
	{"SamePlace", "bloom/bloom.go", "// New returns", "// Options are some.\ntype Options struct{}\n\n// New returns", "bloom/bloom.go:21: Options is options, which stand in options.go"},
	{"SamePlace", "bloom/bloom.go", "// New returns", "// ErrX is one.\nvar ErrX error\n\n// New returns", "bloom/bloom.go:21: ErrX is a sentinel error"},
	{"SamePlace", "bloom/bloom.go", "// New returns", "func (f *Filter) checkLocked() {}\n\n// New returns", "bloom/bloom.go:20: checkLocked stands in check.go"},
	{"SamePlace", "bloom/bloom_test.go", "TestHas", "TestGolden", "bloom/bloom_test.go:7: TestGolden stands in golden_test.go"},
	{"OptionsMethods", "lru/options.go", "", spdx + "package lru\n\n// Options are some.\ntype Options struct{}\n\nfunc (o *Options) resolve() {}\n", "lru/options.go:6: Options has no method Validate"},
	{"StatsSub", "lru/stats.go", "", spdx + "package lru\n\n// Stats are some.\ntype Stats struct{}\n", "lru/stats.go:6: Stats has no method Sub"},
	{"EnumText", "lru/cause.go", "", spdx + "package lru\n\n// A Cause is one.\ntype Cause uint8\n\n// String is its name.\nfunc (c Cause) String() string { return \"\" }\n", "lru/cause.go:6: Cause has no method MarshalText"},
	{"Magic", "lru/format.go", "", spdx + "package lru\n\nconst magic = \"LRU1\"\n", "lru/format.go:5: magic is \"LRU1\", want 8 bytes"},
	{"MethodNames", "lru/types.go", "", spdx + "package lru\n\ntype (\n\ta int\n\tb int\n\tc int\n\td int\n)\n\nfunc (a) take() {}\nfunc (b) take() {}\nfunc (c) take() {}\nfunc (d) take() {}\n", "lru: 4 types have a method take: a, b, c, d"},

	{"Faults", "internal/arch/faults/bloom.txt", "test TestHas", "test TestHasNot", "internal/arch/faults/bloom.txt:4: no test is named \"TestHasNot\""},
	{"Faults", "internal/arch/faults/bloom.txt", "file bloom.go", "file none.go", "internal/arch/faults/bloom.txt:4: no such file: bloom/none.go"},
	{"Faults", "internal/arch/faults/bloom.txt", "\treturn invariants", "\treturn nothing", "internal/arch/faults/bloom.txt:4: bloom/bloom.go has the text 0 times"},
	{"Faults", "internal/arch/faults/bloom.txt", "!invariants", "invariants", "internal/arch/faults/bloom.txt:4: changes nothing"},
	{"Faults", "internal/arch/faults/bloom.txt", "# Has forgets the tag.\n", "", "internal/arch/faults/bloom.txt:3: want a line #"},
	{"Faults", "internal/arch/faults/bloom.txt", ">>>>\n", "", "internal/arch/faults/bloom.txt: a change without end"},
	{"Faults", "internal/arch/faults/bloom.txt", "file bloom.go", "filed bloom.go", "internal/arch/faults/bloom.txt:3: want # test"},
	{"Faults", "internal/arch/faults/bloom.txt", "", "", "bloom/doc.go:11: TestHas catches no fault"},
	{"Faults", "docs/guarantees.md", "TestHas", "TestHasNot", "docs/guarantees.md:3: TestHasNot catches no fault"},

	{"Unfinished", "bloom/bloom.go", "protects nothing yet", "TODO: use it", "bloom/bloom.go:17: TODO in a comment"},
	{"Unfinished", "examples/demo/main.go", "// Demo shows", "/*\nFIXME\n*/\n// Demo shows", "examples/demo/main.go:4: FIXME in a comment"},

	{"Options", "bloom/bloom.go", "// New returns", "// WithN sets n.\nfunc WithN(n int) func(*Filter) { return nil }\n\n// New returns", "bloom/bloom.go:21: WithN: options are fields"},

	{"Surface", "bloom/bloom.go", "New(n int)", "New(n uint)", "internal/arch/api/bloom.txt: the package does not have: func New(n int) *Filter"},
	{"Surface", "bloom/bloom.go", "Plain = iota\n\tCounting", "Counting = iota\n\tPlain", "internal/arch/api/bloom.txt: "},
	{"Surface", "bloom/bloom.go", "\tN  int", "\tN  int\n\t// M is more.\n\tM  int", "internal/arch/api/bloom.txt: the package has also: M"},
	{"Surface", "internal/arch/api/lru.txt", "", "", "internal/arch/api/lru.txt: missing"},
	{"Surface", "internal/arch/api/trie.txt", "", "type Trie int\n", "internal/arch/api/trie.txt: no such package"},

	{"Names", "lru/names.go", "", spdx + "package lru\n\n// Names.\nvar (\n" + manyNames(41) + ")\n", "lru: 41 exported names, want at most 40"},

	{"Regions", "README.md", "<!-- region: bloom/example_test.go quickstart -->\n", "", "README.md:5: Go code without a comment"},
	{"Regions", "README.md", "f := bloom.New(10)", "f := bloom.New(11)", "README.md:6: differs from region quickstart of bloom/example_test.go"},
	{"Regions", "README.md", "example_test.go quickstart", "example_test.go start", "README.md:6: bloom/example_test.go has no region start"},
	{"Regions", "README.md", "bloom/example_test.go quickstart", "bloom/other_test.go quickstart", "README.md:6: no such file: bloom/other_test.go"},

	{"Outputs", "examples/README.md", "another", "another one", "examples/README.md:7: demo does not print this: another one"},
	{"Outputs", "examples/README.md", "## demo", "## other", "examples/README.md:5: output of \"other\", which has no testdata"},

	{"Prints", "docs/topics.md", "`another`", "`others`", "docs/topics.md:3: no Example, test or program of the row has this: others"},
	{"Prints", "docs/topics.md", "`f.Has()`", "", "docs/topics.md:4: a topic with a number, and nothing that shows it"},
	{"Prints", "docs/topics.md", "| `another` |", "|", "docs/topics.md:3: 4 columns, want 5"},

	{"Links", "README.md", "examples/demo/main.go", "examples/none/main.go", "README.md:3: broken link examples/none/main.go"},
	{"Links", "README.md", "(#tests)", "(#proofs)", "README.md:3: broken link #proofs: no such heading"},
	{"Links", "README.md", "[TestHas]", "[`TestLacks`]", "README.md:3: bloom/bloom_test.go has no TestLacks"},
	{"Links", "docs/design/bloom.md", "", "[up](../../README.md#tests) [down](none.md)\n", "docs/design/bloom.md:1: broken link none.md"},

	{"Plots", "docs/plots/demo.svg", "", "<svg/>\n", "docs/plots/demo.svg: no document shows it"},

	{"Commands", ".ci/run", "go vet", "go build", "CONTRIBUTING.md:5: .ci/run does not contain: go vet ./..."},
}

// manyNames declares n variables, one a line.
func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\tX%d int\n", i)
	}
	return b.String()
}

// TestBroken breaks each rule and checks that the rule reports it, at the right
// place.
func TestBroken(t *testing.T) {
	for _, r := range allRules() {
		t.Run(r.name, func(t *testing.T) {
			n := 0
			for _, b := range breaches {
				if b.rule == r.name {
					n++
					b.test(t, r)
				}
			}
			if n == 0 {
				t.Error("nothing breaks this rule")
			}
		})
	}
}

// test makes the change b and checks what r reports.
func (b breach) test(t *testing.T, r rule) {
	t.Helper()
	fsys := soundTree(t)
	switch text := fsys[b.file]; {
	case b.old == "" && b.new == "":
		delete(fsys, b.file)
	case b.old == "":
		fsys[b.file] = &fstest.MapFile{Data: []byte(b.new)}
	case !strings.Contains(string(text.Data), b.old):
		t.Fatalf("%s does not contain %q", b.file, b.old)
	default:
		text.Data = []byte(strings.Replace(string(text.Data), b.old, b.new, 1))
	}
	got := r.problems(mustLoad(t, fsys))
	if !slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, b.want) }) {
		t.Errorf("%s: after replacing %q by %q the rule reports %q, want %q…", b.file, b.old, b.new, got, b.want)
	}
}

// TestAllowed checks that the rules let pass what they are meant to.
func TestAllowed(t *testing.T) {
	fsys := soundTree(t)
	for name, text := range map[string]string{
		"bloom/addr.go":                         spdx + "package bloom\n\nimport _ \"net/netip\"\n",
		"bloom/raw_unsafe.go":                   spdx + "package bloom\n\nimport _ \"unsafe\"\n",
		"bloom/size_test.go":                    spdx + "package bloom\n\nimport (\n\t_ \"unsafe\"\n\n\t_ \"pgregory.net/rapid\"\n)\n",
		"bloom/time_test.go":                    spdx + "package bloom\n\nfunc init() { synctest.Test(func() { time.Sleep(1) }) }\n\n// nap sleeps, in a bubble.\nfunc nap() { time.Sleep(1) }\n",
		"examples/demo/internal/stage/stage.go": spdx + "package stage\n\nimport _ \"github.com/ashlar-go/ashlar/examples/demo/internal/clock\"\n",
		"internal/peers/go.mod":                 "module peers\n\nrequire golang.org/x/time v0.1.0\n",
		"internal/peers/a/a.go":                 spdx + "package a\n\nimport (\n\t_ \"github.com/ashlar-go/ashlar/bloom\"\n\t_ \"golang.org/x/time/rate\"\n)\n",
		"bloom/testdata/gen.go":                 "not Go\n",
	} {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	repo := mustLoad(t, fsys)
	for _, r := range allRules() {
		for _, p := range r.problems(repo) {
			t.Errorf("%s: %s", r.name, p)
		}
	}
}

// TestAnchors checks anchors against those that GitHub makes.
func TestAnchors(t *testing.T) {
	got := anchors("# A title, \"quoted\"?\n## Where is it?\n## Where is it?\n```\n# no\n```\n#no\n### `Go` [x](y) e_f\n")
	want := []string{"a-title-quoted", "where-is-it", "where-is-it-1", "go-x-e_f"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCopyBroken breaks what TestCopyAlone relies on: the commands of the
// README, then a package.
func TestCopyBroken(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"## Copying", "## Moving", "no section"},
		{"PKG=bloom ", "# ", "want one line PKG"},
		{"```sh\nPKG", "```\nPKG", "want one block of sh"},
		{"\ngo mod tidy\n", "\n", "want a line go mod tidy"},
	} {
		if _, err := copyCommands(strings.Replace(sound["README.md"], c.old, c.new, 1), "bloom", "/tmp"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("README with %q: got %v, want %s", c.new, err, c.want)
		}
	}
	if testing.Short() {
		t.Skip("the rest builds packages")
	}

	for _, c := range []struct{ name, old, new, want string }{
		{"sound", "", "", ""},
		{"leans on another", `import "sync"`, "import (\n\t_ \"github.com/ashlar-go/ashlar/lru\"\n\t\"sync\"\n)", "module lookup disabled"},
		{"does not vet", "f.mu.Lock()", "g := *f\n\tg.mu.Lock()", "copies lock value"},
		{"fails its tests", "return invariants", "return !invariants", "seen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			repo := maps.Clone(sound)
			repo["go.mod"] = "module " + module + "\n\ngo 1.26.0\n"
			repo["bloom/bloom.go"] = strings.Replace(repo["bloom/bloom.go"], c.old, c.new, 1)
			repo["bloom/example_test.go"] = strings.NewReplacer("net/http", "io", "http.Handler", "io.Reader").Replace(repo["bloom/example_test.go"])
			delete(repo, "examples/demo/main.go")

			dir := t.TempDir()
			for name, text := range repo {
				writeFile(t, filepath.Join(dir, name), text)
			}
			loaded, err := load(os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			out, err := copyAlone(t.Context(), loaded, dir, []string{"bloom"}, t.TempDir(), true)
			if (err == nil) != (c.want == "") || !strings.Contains(out, c.want) {
				t.Errorf("got %v, want %q in the output:\n%s", err, c.want, out)
			}
		})
	}
}

// writeFile writes the file name and the directories that lead to it.
func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
