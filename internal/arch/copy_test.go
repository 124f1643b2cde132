// SPDX-License-Identifier: MIT

package arch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// copySection is the heading of the README whose block of commands copies one package.
const copySection = "## Copying one package"

// assignment matches the two lines of the block that a user edits.
var assignment = regexp.MustCompile(`(?m)^(PKG|ASHLAR)=\S+`)

// TestCopyAlone checks, for each package, that the commands of the README make
// a directory of another module that builds, vets and passes its short tests.
func TestCopyAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("builds every package again")
	}
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for a POSIX shell")
	}
	repo, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range repo.pkgs {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			if out, err := copyAlone(repo, dir, pkg, t.TempDir()); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestCopyCommands checks that the README has the commands that TestCopyAlone runs.
func TestCopyCommands(t *testing.T) {
	repo, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	readme, _ := repo.read("README.md")
	if _, err := copyCommands(readme, "ratelimit", "/tmp"); err != nil {
		t.Error(err)
	}
}

// copyCommands returns the commands of the README that copy one package,
// with the package and the directory of the repository filled in.
func copyCommands(readme, pkg, dir string) (string, error) {
	_, section, ok := strings.Cut(readme, "\n"+copySection+"\n")
	if !ok {
		return "", fmt.Errorf("README.md: no section %q", copySection)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	list, _ := blocks(section)
	if len(list) != 1 || list[0].lang != "sh" {
		return "", fmt.Errorf("README.md: section %q: want one block of sh", copySection)
	}
	script := list[0].text
	if n := len(assignment.FindAllString(script, -1)); n != 2 {
		return "", fmt.Errorf("README.md: section %q: want one line PKG=… and one line ASHLAR=…", copySection)
	}
	values := strings.NewReplacer("PKG", pkg, "ASHLAR", "'"+dir+"'")
	return assignment.ReplaceAllStringFunc(script, func(s string) string {
		name, _, _ := strings.Cut(s, "=")
		return name + "=" + values.Replace(name)
	}), nil
}

// copyAlone runs the commands of the README for pkg in a fresh module in the empty directory tmp.
// The module already requires what the repository requires, so that no download is needed.
func copyAlone(t *tree, dir, pkg, tmp string) (output string, err error) {
	readme, _ := t.read("README.md")
	script, err := copyCommands(readme, pkg, dir)
	if err != nil {
		return "", err
	}
	mod, _ := t.read("go.mod")
	sum, _ := t.read("go.sum")
	mod = strings.Replace(mod, "module "+module, "module copy.example/user", 1)
	for name, text := range map[string]string{"go.mod": mod, "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("sh", "-eux", "-c", script)
	cmd.Dir = tmp
	// Several copies run at once, so each builds one package at a time.
	cmd.Env = append(os.Environ(), "GOFLAGS=-p=1", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("copying %s: %w", pkg, err)
	}
	return string(out), err
}
