// SPDX-License-Identifier: MIT

package arch

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	regionComment = regexp.MustCompile(`^<!-- region: (\S+\.go) (\S+) -->$`)
	mdLink        = regexp.MustCompile(`\[([^\[\]]*)\]\(([^()\s]+)\)`)
	scheme        = regexp.MustCompile(`^[a-z]+:`)
	mdLinkTarget  = regexp.MustCompile(`\]\([^)]*\)`)
)

var markdownRules = []rule{
	{"Regions", checkRegions},
	{"Outputs", checkOutputs},
	{"Prints", checkPrints},
	{"Links", checkLinks},
	{"Plots", checkPlots},
	{"Commands", checkCommands},
}

func TestMarkdown(t *testing.T) { hold(t, markdownRules) }

// A block is a fenced block of a Markdown file.
type block struct {
	line   int    // of the opening fence
	lang   string // what follows the fence
	text   string // the lines between the fences
	before string // the last line before the block that is not empty
}

// blocks returns the fenced blocks of text, and text with these blocks emptied.
// The line numbers of the rest do not change.
func blocks(text string) (list []block, rest string) {
	var out []string
	var open *block
	last := ""
	for i, line := range strings.Split(text, "\n") {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{line: i + 1, lang: lang, before: last}
		case fence:
			list, open = append(list, *open), nil
		case open != nil:
			open.text += line + "\n"
		default:
			out = append(out, line)
			if strings.TrimSpace(line) != "" {
				last = line
			}
			continue
		}
		out = append(out, "")
	}
	return list, strings.Join(out, "\n")
}

// checkRegions reports Go code in a README that is not a region of a compiled
// file. The comment before the block names the file and the region:
//
//	<!-- region: ratelimit/example_test.go quickstart -->
func checkRegions(t *tree, report reporter) {
	for _, name := range []string{"README.md", "examples/README.md"} {
		text, _ := t.read(name)
		list, _ := blocks(text)
		for _, b := range list {
			if b.lang != "go" {
				continue
			}

			at := fmt.Sprintf("%s:%d", name, b.line)
			m := regionComment.FindStringSubmatch(b.before)
			if m == nil {
				report(at, "Go code without a comment <!-- region: FILE NAME --> before it")
				continue
			}

			i := slices.IndexFunc(t.files, func(f *file) bool { return f.path == m[1] })
			if i < 0 {
				report(at, "no such file: %s", m[1])
				continue
			}
			if want, ok := region(string(t.files[i].src), m[2]); !ok {
				report(at, "%s has no region %s", m[1], m[2])
			} else if b.text != want {
				report(at, "differs from region %s of %s, which is\n%s", m[2], m[1], want)
			}
		}
	}
}

// region returns the lines of src between "// region name" and
// "// endregion name", without the tabs that all of them begin with.
func region(src, name string) (string, bool) {
	lines := strings.Split(src, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, "\r")
	}
	mark := func(s string) int {
		return slices.IndexFunc(lines, func(l string) bool { return strings.TrimLeft(l, "\t") == "// "+s+" "+name })
	}
	from, to := mark("region"), mark("endregion")
	if from < 0 || to < from {
		return "", false
	}
	lines = lines[from+1 : to]
	indent := -1
	for _, l := range lines {
		if n := len(l) - len(strings.TrimLeft(l, "\t")); l != "" && (indent < 0 || n < indent) {
			indent = n
		}
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l[min(max(indent, 0), len(l)):] + "\n")
	}
	return b.String(), true
}

// checkOutputs reports lines of output in examples/README.md that the program
// does not print: below its heading, each is a line of its testdata.
func checkOutputs(t *tree, report reporter) {
	const name = "examples/README.md"
	text, _ := t.read(name)
	lines := strings.Split(text, "\n")
	list, _ := blocks(text)
	for _, b := range list {
		if b.lang != "text" {
			continue
		}
		program := ""
		for _, line := range lines[:b.line] {
			if h, ok := strings.CutPrefix(line, "## "); ok {
				program = h
			}
		}

		// What the program prints, of whatever flags.
		var printed []string
		files, err := fs.Glob(t.fsys, "examples/"+program+"/testdata/*.txt")
		if err != nil || len(files) == 0 {
			report(fmt.Sprintf("%s:%d", name, b.line), "output of %q, which has no testdata", program)
			continue
		}
		for _, f := range files {
			golden, _ := t.read(f)
			printed = append(printed, strings.Split(golden, "\n")...)
		}
		for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
			if !slices.Contains(printed, line) {
				report(fmt.Sprintf("%s:%d", name, b.line+1+i), "%s does not print this: %s", program, line)
			}
		}
	}
}

// checkPrints reports rows of the topics whose figures nobody shows: a topic
// with a number names, in the last column, what the Example, the test or the
// program of the row has of it, and each such string is there.
func checkPrints(t *tree, report reporter) {
	const name = "docs/topics.md"
	text, ok := t.read(name)
	if !ok {
		return
	}
	in := false
	for i, line := range strings.Split(text, "\n") {
		in = in && strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| topic |")
		if !in || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| topic |") {
			continue
		}

		at := fmt.Sprintf("%s:%d", name, i+1)
		cells := strings.Split(line, "|") // the first and the last are empty
		if len(cells) != 5+2 {
			report(at, "%d columns, want 5", len(cells)-2)
			continue
		}

		prints := code.FindAllStringSubmatch(cells[5], -1)
		if len(prints) == 0 && strings.ContainsAny(cells[1], "0123456789") {
			report(at, "a topic with a number, and nothing that shows it")
		}
		shown := t.shown(path.Dir(name), cells[3]+cells[4])
		for _, p := range prints {
			if !strings.Contains(shown, p[1]) {
				report(at, "no Example, test or program of the row has this: %s", p[1])
			}
		}
	}
}

var code = regexp.MustCompile("`([^`]+)`")

// shown returns what the links in text lead to: the Examples and tests that
// they name, as they are written, and what the programs print.
func (t *tree) shown(dir, text string) string {
	var b strings.Builder
	for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
		target := path.Join(dir, m[2])
		b.WriteString(t.function(target, m[1]))

		program, ok := strings.CutPrefix(path.Dir(target), "examples/")
		files, err := fs.Glob(t.fsys, "examples/"+program+"/testdata/*.txt")
		if !ok || err != nil {
			continue
		}
		for _, f := range files {
			golden, _ := t.read(f)
			b.WriteString(golden)
		}
	}
	return b.String()
}

// function returns the function of that name in the file at path, as it is
// written, or "".
func (t *tree) function(path, name string) string {
	for _, f := range t.files {
		if f.path != path {
			continue
		}
		for _, d := range f.ast.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Name.Name == name {
				return string(f.src[t.fset.Position(d.Pos()).Offset:t.fset.Position(d.End()).Offset])
			}
		}
	}
	return ""
}

// documents returns the Markdown files at the root and below docs and examples.
func (t *tree) documents(report reporter) (names []string) {
	for _, dir := range []string{".", "docs", "examples"} {
		if _, err := fs.Stat(t.fsys, dir); err != nil {
			continue
		}
		err := fs.WalkDir(t.fsys, dir, func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || dir == "." && p != "."):
				return fs.SkipDir
			case path.Ext(p) == ".md":
				names = append(names, p)
			}
			return nil
		})
		if err != nil {
			report(dir, "%v", err)
		}
	}
	return names
}

// checkLinks reports links within the repository that lead nowhere,
// and links to a test file whose text names a test that the file does not have.
func checkLinks(t *tree, report reporter) {
	for _, name := range t.documents(report) {
		text, _ := t.read(name)
		_, text = blocks(text)
		for i, line := range strings.Split(text, "\n") {
			for _, m := range mdLink.FindAllStringSubmatch(line, -1) {
				if err := t.link(name, m[1], m[2]); err != nil {
					report(fmt.Sprintf("%s:%d", name, i+1), "%v", err)
				}
			}
		}
	}
}

// checkPlots reports pictures that no document shows. That those exist which
// are shown is checked with the links.
func checkPlots(t *tree, report reporter) {
	pictures, err := fs.Glob(t.fsys, "docs/plots/*")
	if err != nil {
		report("docs/plots", "%v", err)
	}
	shown := map[string]bool{}
	for _, name := range t.documents(report) {
		text, _ := t.read(name)
		for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
			shown[path.Join(path.Dir(name), m[2])] = true
		}
	}
	for _, p := range pictures {
		if !shown[p] {
			report(p, "no document shows it")
		}
	}
}

// link returns an error if the link with the given text and target, in the
// file name, is broken.
func (t *tree) link(name, text, target string) error {
	if scheme.MatchString(target) {
		return nil
	}
	rel, anchor, _ := strings.Cut(target, "#")
	p := name
	if rel != "" {
		p = path.Join(path.Dir(name), rel)
	}
	if _, err := fs.Stat(t.fsys, p); err != nil {
		return fmt.Errorf("broken link %s", target)
	}

	// The heading exists, and the tests that the text names.
	if path.Ext(p) == ".md" && anchor != "" {
		if md, _ := t.read(p); !slices.Contains(anchors(md), anchor) {
			return fmt.Errorf("broken link %s: no such heading", target)
		}
	}
	if i := slices.IndexFunc(t.files, func(f *file) bool { return f.path == p }); i >= 0 && t.files[i].test {
		have := t.files[i].tests()
		for _, m := range testName.FindAllString(text, -1) {
			if _, ok := have[m]; !ok {
				return fmt.Errorf("%s has no %s", target, m)
			}
		}
	}
	return nil
}

// anchors returns the anchors of the headings of the Markdown text, made as
// GitHub makes them.
func anchors(text string) (list []string) {
	_, text = blocks(text)
	seen := map[string]int{}
	for line := range strings.Lines(text) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}

		title = mdLinkTarget.ReplaceAllString(strings.TrimSpace(title), "")
		a := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)

		if n := seen[a]; n > 0 {
			list = append(list, fmt.Sprintf("%s-%d", a, n))
		} else {
			list = append(list, a)
		}
		seen[a]++
	}
	return list
}

// checkCommands reports commands of CONTRIBUTING.md that .ci/run does not run:
// what a contributor checks is what the project checks.
func checkCommands(t *tree, report reporter) {
	text, _ := t.read("CONTRIBUTING.md")
	script, _ := t.read(".ci/run")
	list, _ := blocks(text)
	for _, b := range list {
		if b.lang != "sh" {
			continue
		}
		for i, line := range strings.Split(b.text, "\n") {
			command, _, _ := strings.Cut(line, " #")
			if command = strings.TrimSpace(command); command != ".ci/run" && !strings.Contains(script, command) {
				report(fmt.Sprintf("CONTRIBUTING.md:%d", b.line+1+i), ".ci/run does not contain: %s", command)
			}
		}
	}
}
