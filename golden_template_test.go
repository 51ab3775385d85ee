package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"payments-dr/internal/assembly/golden"
	"payments-dr/internal/assembly/review"
)

var update = flag.Bool("update", false, "write testdata/golden and the costs in the documents anew, as make golden does")

// TestGoldenTemplates holds the templates of both shipped environments against the ones in testdata/golden, which is where a review
// reads what a change does. What differs is told resource by resource.
func TestGoldenTemplates(t *testing.T) {
	for _, env := range shippedEnvironments {
		t.Run(env, func(t *testing.T) {
			dir := filepath.Join("testdata", "golden", env)
			now, err := golden.Read(os.DirFS(synthesized[env].Dir))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := now.Write(dir); err != nil {
					t.Fatal(err)
				}
				return
			}
			kept, err := golden.Read(os.DirFS(dir))
			if err != nil {
				t.Fatalf("%v; make golden writes them", err)
			}
			stacks, err := review.Compare(t.Context(), ".", kept, now)
			if err != nil {
				t.Fatal(err)
			}
			if len(stacks) > 0 {
				t.Errorf("the templates are not those of %s. If that is meant: make golden, and commit.\n%s", dir, review.Text(stacks))
				return
			}
			files, err := now.Files()
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range files {
				if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != string(data) {
					t.Errorf("%s is written in another form (%v): make golden", filepath.Join(dir, name), err)
				}
			}
		})
	}
}
