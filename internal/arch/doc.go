// SPDX-License-Identifier: MIT

// Package arch holds the rules of this repository as tests.
//
// There is nothing here to import. Each rule is a function over a file system:
// it reads the tree, reports what breaks the rule as file:line, and changes
// nothing. The rules come in groups, one file for each:
//
//   - arch_test.go: the tree that the rules read, and the names of the packages
//   - layout_test.go: what may stand where, license lines, sizes, shared copies
//   - imports_test.go: what may import what, and go.mod
//   - docs_test.go: doc comments, the sections of doc.go, names of tests in prose
//   - source_test.go: goroutines, sleeps, unfinished work, options
//   - page_test.go: paragraphs, the width of prose, phrases to avoid
//   - vocabulary_test.go: one name for one thing, in the same place everywhere
//   - faults_test.go: planted faults, and the test of each law that sees them
//   - api_test.go: the exported surface of each package, kept in api/*.txt
//   - markdown_test.go: code blocks, links, and commands of the Markdown files
//   - copy_test.go: each package copied alone, with the commands of the README
//
// A rule that never fails may be a rule that never looks.
// So broken_test.go breaks each rule at least once, in a small tree of its own,
// and fails if the rule does not report it.
//
// After a deliberate change of an exported name, run
//
//	go test ./internal/arch -run TestAPI -update
//
// and review the difference as a change of what the package promises. The
// faults of faults/*.txt are planted one after the other, in minutes, by
//
//	go test ./internal/arch -run TestFaultsAreCaught -faults . -timeout 1h
package arch
