// SPDX-License-Identifier: MIT

package arch

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

var testCopies = flag.Bool("copies", false, "vet and test the copied packages too")

// copySection is the heading of the README whose block of commands copies one
// package.
const copySection = "## Copying one package"

// assignment matches the two lines of the block that a user edits.
var assignment = regexp.MustCompile(`(?m)^(PKG|ASHLAR)=\S+`)

// TestCopyAlone checks that the commands of the README make, of each package,
// a directory of another module that builds, and whose tests find everything
// that they import. One module takes all copies, so that each dependency is
// built once; none of them can lean on another, since the import path of the
// other is not there. With -copies the copies are vetted and tested, too, and
// for one package the commands run as printed.
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

	// Leave time to clean up before the test binary is killed.
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-5*time.Second))
		defer cancel()
	}
	if out, err := copyAlone(ctx, repo, dir, repo.pkgs, t.TempDir(), *testCopies); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if *testCopies {
		if out, err := copyAsPrinted(ctx, repo, dir, repo.pkgs[0], t.TempDir()); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// TestCopyCommands checks that the README has the commands that TestCopyAlone
// runs.
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

// copyCommands returns the commands of the README that copy one package, with
// the package and the directory of the repository filled in.
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
	if !strings.Contains(script, "\ngo mod tidy\n") {
		return "", fmt.Errorf("README.md: section %q: want a line go mod tidy before the package is tested", copySection)
	}

	values := strings.NewReplacer("PKG", pkg, "ASHLAR", "'"+dir+"'")
	return assignment.ReplaceAllStringFunc(script, func(s string) string {
		name, _, _ := strings.Cut(s, "=")
		return name + "=" + values.Replace(name)
	}), nil
}

// copyAlone copies the packages pkgs, by the commands of the README in dir,
// into a fresh module in the empty directory tmp, builds that module, and
// resolves the imports of its tests; with tests it vets the module and runs its
// short tests, too.
func copyAlone(ctx context.Context, t *tree, dir string, pkgs []string, tmp string, tests bool) (output string, err error) {
	readme, _ := t.read("README.md")
	var script strings.Builder
	for _, pkg := range pkgs {
		commands, err := copyCommands(readme, pkg, dir)
		if err != nil {
			return "", err
		}
		copying, _, _ := strings.Cut(commands, "\ngo mod tidy\n")
		script.WriteString(copying + "\n")
	}
	script.WriteString("go mod tidy\ngo build ./...\ngo list -deps -test ./...\n")
	if tests {
		script.WriteString("go vet ./...\ngo test -short ./...\n")
	}
	return inModule(ctx, t, tmp, script.String())
}

// copyAsPrinted runs the commands of the README in dir for pkg as they stand.
func copyAsPrinted(ctx context.Context, t *tree, dir, pkg, tmp string) (output string, err error) {
	readme, _ := t.read("README.md")
	script, err := copyCommands(readme, pkg, dir)
	if err != nil {
		return "", err
	}
	return inModule(ctx, t, tmp, script)
}

// inModule runs script in a fresh module in the empty directory tmp. The
// module already requires what the repository requires, so that no download is
// needed.
func inModule(ctx context.Context, t *tree, tmp, script string) (output string, err error) {
	mod, _ := t.read("go.mod")
	sum, _ := t.read("go.sum")
	mod = strings.Replace(mod, "module "+module, "module copy.example/user", 1)
	for name, text := range map[string]string{"go.mod": mod, "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}

	cmd := exec.CommandContext(ctx, "sh", "-eux", "-c", script)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("copying: %w", err)
	}
	return string(out), err
}
