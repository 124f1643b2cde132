// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// driver is a page of the same site, which uses the page in a frame as a person
// does, and puts what it sees into itself.
const driver = `<!doctype html><iframe id="frame" src="/"></iframe><pre id="log">nothing
</pre><script>
const frame = document.getElementById("frame"), log = document.getElementById("log");
const steps = [
	d => {
		d.getElementById("url").value = "HTTPS://Example.com/<b>?q=\u00e9&x='";
		d.getElementById("alias").value = "my-link";
		d.getElementById("go").click();
	},
	d => {
		log.textContent = "";
		log.append("short: ", d.getElementById("short").textContent, "\n");
		log.append("target: ", d.getElementById("target").href, "\n");
		d.getElementById("url").value = "javascript:alert(1)";
		d.getElementById("go").click();
	},
	d => {
		log.append("error: ", d.getElementById("error").textContent, "\n");
		log.append("kept: ", d.getElementById("url").value, "\n");
		d.getElementById("alias").value = "no spaces";
		log.append("valid: ", String(d.getElementById("alias").checkValidity()), "\n");
		frame.src = "/my-link+";
	},
	d => log.append("look: ", d.getElementById("target").textContent, "\n"),
];
frame.onload = () => {
	try {
		const step = steps.shift();
		if (step) step(frame.contentDocument);
	} catch (e) {
		log.append(String(e), "\n");
	}
};
</script>`

// TestBrowser uses the page in a browser, if there is one.
func TestBrowser(t *testing.T) {
	var chromium string
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	if chromium == "" || testing.Short() {
		t.Skip("no Chromium to use the page in, or -short")
	}
	l, _ := memLinks(t, faults{})
	pages := http.NewServeMux()
	pages.Handle("/", newService(l, anyLimit).handler())
	pages.HandleFunc("/driver.html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(driver))
	})
	srv := httptest.NewServer(pages)
	defer srv.Close()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=10000", "--dump-dom", srv.URL+"/driver.html")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", chromium, err, stderr.String())
	}
	_, got, _ := strings.Cut(string(dom), `<pre id="log">`)
	got, _, _ = strings.Cut(got, "</pre>")
	const target = "https://example.com/%3Cb%3E?q=%C3%A9&amp;x='"
	for _, want := range []string{
		"short: " + srv.URL + "/my-link",
		"target: " + strings.Replace(target, "'", "%27", 1),
		"error: not a target: only http and https",
		"kept: javascript:alert(1)",
		"valid: false",
		"look: " + target,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("the browser does not show %q, but:\n%s", want, got)
		}
	}
}
