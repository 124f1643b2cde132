// SPDX-License-Identifier: MIT

// Pictures draws what the packages do: a picture a package.
//
//	go run ./cmd/pictures
//
// It runs each package on a small workload and writes what it saw to
// docs/plots, and the page that shows all of them, docs/pictures.md. Nothing is
// random but by a fixed seed, and time is that of a clock of the workload, so
// the same program writes the same files. A test compares them.
//
// Some packages need more than that. Tests measure these, and keep the figures
// in testdata, here or in the package:
//
//   - what otter and the admission of our caches do depends on seeds that
//     nobody can set: TestMeasureHits
//   - hedged reads wait for timers, which have fake time only in a test:
//     TestMeasureReads
//   - blocks of a skip list, and levels of a database, are not exported:
//     TestGoldenBlocks of skiplist, TestFillLevels of lsm
//
// With -update each of them writes its figures.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ashlar-go/ashlar/internal/peers/bench"
)

func main() {
	if err := run("../..", "cmd/pictures/testdata", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// run writes the files below root that generate returns.
func run(root, measured string, stdout io.Writer) error {
	files, err := generate(root, measured)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), text, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(stdout, name)
	}
	return nil
}

// A picture is what a package does, to be seen.
type picture struct {
	title   string // for those who do not see it
	svg     []byte
	caption string // what is to be seen
}

// generate returns the generated files, by their path from root. Figures that
// were measured before are in the folder measured, and in packages below root.
func generate(root, measured string) (map[string][]byte, error) {
	pkg := func(name, file string) string { return filepath.Join(root, name, "testdata", file) }
	own := func(file string) string { return filepath.Join(measured, file) }
	packages := []struct {
		name string
		draw func() (picture, error)
	}{
		{"ratelimit", drawBucket},
		{"breaker", drawBreaker},
		{"lru", func() (picture, error) { return drawHits(own("lru.txt")) }},
		{"bloom", drawRates},
		{"consistenthash", drawRing},
		{"merkle", drawProof},
		{"skiplist", func() (picture, error) { return drawBlocks(pkg("skiplist", "blocks.txt")) }},
		{"lsm", func() (picture, error) { return drawLevels(pkg("lsm", "levels.txt")) }},
		{"quorum", func() (picture, error) { return drawReads(own("quorum.txt")) }},
	}

	files := map[string][]byte{}
	var page strings.Builder
	page.WriteString(pageHead)
	for _, p := range packages {
		it, err := p.draw()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		files["docs/plots/"+p.name+".svg"] = it.svg
		fmt.Fprintf(&page, "\n## %s\n\n![%s](plots/%s.svg)\n\n%s", p.name, it.title, p.name, bench.Wrap(it.caption))
	}
	files["docs/pictures.md"] = []byte(page.String())
	return files, nil
}

const pageHead = `# Pictures

<!-- Written by internal/peers/cmd/pictures. -->

One picture a package, each drawn by a program from what the package did. The
figures below the pictures are those of the same run:

` + "```sh\ncd internal/peers && go run ./cmd/pictures\n```\n"
