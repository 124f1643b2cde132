// SPDX-License-Identifier: MIT

package arch

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// The shape of a page. Prose in a monospaced font tires the eye beyond 80
// columns, and so does a function without a paragraph.
const (
	maxProse    = 80  // columns of a comment or a Markdown paragraph
	tabWidth    = 4   // columns of a tab
	maxWall     = 25  // from so many lines on, a body has an empty one
	maxDocLines = 120 // lines of doc.go: what a reader takes in at one sitting
)

// decoded are phrases that have to be read twice.
var decoded = regexp.MustCompile(`(?i)\b(sees? to it|goes by|for ever|of before|all the same|is that of who)\b`)

var pageRules = []rule{
	{"Width", checkWidth},
	{"Paragraphs", checkParagraphs},
	{"English", checkEnglish},
	{"DocLength", checkDocLength},
	{"MarkdownWidth", checkMarkdownWidth},
}

func TestPages(t *testing.T) { hold(t, pageRules) }

// columns returns the width of line.
func columns(line string) int {
	return utf8.RuneCountInString(strings.ReplaceAll(line, "\t", strings.Repeat(" ", tabWidth)))
}

// checkWidth reports comment lines that are too wide. Directives, code and
// tables within comments, expected output, and lines with an address are not
// prose; a comment behind code may use the width of code.
func checkWidth(t *tree, report reporter) {
	for _, f := range t.files {
		output := false
		for i, line := range strings.Split(string(f.src), "\n") {
			text, comment := strings.CutPrefix(strings.TrimLeft(line, "\t "), "// ")
			if !comment {
				output = false
				continue
			}
			if strings.HasPrefix(text, "Output:") || strings.HasPrefix(text, "Unordered output:") {
				output = true
			}

			code := strings.HasPrefix(text, "\t") || strings.HasPrefix(text, " ")
			if n := columns(line); n > maxProse && !output && !code && !strings.Contains(line, "://") {
				report(fmt.Sprintf("%s:%d", f.path, i+1), "comment of %d columns, want at most %d", n, maxProse)
			}
		}
	}
}

// checkParagraphs reports functions without an empty line that are too long
// to be taken in at once.
func checkParagraphs(t *tree, report reporter) {
	for _, f := range t.files {
		lines := strings.Split(string(f.src), "\n")
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			from := t.fset.Position(fn.Body.Lbrace).Line
			to := t.fset.Position(fn.Body.Rbrace).Line
			wall := to-from-1 >= maxWall
			for i := from; wall && i < to-1; i++ {
				wall = strings.TrimSpace(lines[i]) != ""
			}
			if wall {
				report(t.at(fn.Pos()), "%s has %d lines and no paragraph", fn.Name.Name, to-from-1)
			}
		}
	}
}

// checkEnglish reports phrases in comments and Markdown that a reader has to
// decode.
func checkEnglish(t *tree, report reporter) {
	for _, f := range t.files {
		if f.area == areaArch {
			continue // this file names them
		}
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				if m := decoded.FindString(c.Text); m != "" {
					report(t.at(c.Pos()), "%q in a comment: say it plainly", m)
				}
			}
		}
	}
	for _, name := range t.documents(report) {
		text, _ := t.read(name)
		for i, line := range strings.Split(text, "\n") {
			if m := decoded.FindString(line); m != "" {
				report(fmt.Sprintf("%s:%d", name, i+1), "%q: say it plainly", m)
			}
		}
	}
}

// checkDocLength reports package comments that nobody reads to the end.
func checkDocLength(t *tree, report reporter) {
	for _, dir := range t.pkgs {
		text, _ := t.read(dir + "/doc.go")
		if n := strings.Count(text, "\n"); n > maxDocLines {
			report(fmt.Sprintf("%s/doc.go:%d", dir, maxDocLines), "%d lines, want at most %d", n, maxDocLines)
		}
	}
}

// checkMarkdownWidth reports wide lines of Markdown prose. Tables, code and
// lines with an address stay as they are.
func checkMarkdownWidth(t *tree, report reporter) {
	for _, name := range t.documents(report) {
		text, _ := t.read(name)
		_, text = blocks(text)
		for i, line := range strings.Split(text, "\n") {
			free := strings.HasPrefix(line, "|") || strings.HasPrefix(line, "    ") || strings.Contains(line, "://") ||
				strings.HasPrefix(line, "<") || strings.Contains(line, "](")
			if n := columns(line); n > maxProse && !free {
				report(fmt.Sprintf("%s:%d", name, i+1), "%d columns of prose, want at most %d", n, maxProse)
			}
		}
	}
}
