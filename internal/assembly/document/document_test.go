package document_test

import (
	"strings"
	"testing"

	"payments-dr/internal/assembly/document"
)

const page = `# Page

<!-- generated: way, by "make generate" -->
old
<!-- end of way -->

after
`

func TestReplaceTouchesTheNamedPartAlone(t *testing.T) {
	got, err := document.Replace(page, "way", "new\n\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(page, "old", "new", 1); got != want {
		t.Errorf("got %q, not %q", got, want)
	}
	if again, err := document.Replace(got, "way", "new"); err != nil || again != got {
		t.Errorf("replaced once more it is %q, %v", again, err)
	}
}

func TestReplaceRefusesWhatItCannotFind(t *testing.T) {
	begin, end := "<!-- generated: way, by \"make generate\" -->\n", "<!-- end of way -->\n"
	for name, text := range map[string]string{
		"another part": strings.ReplaceAll(page, "way", "stacks"),
		"no end":       strings.Replace(page, end, "", 1),
		"no beginning": strings.Replace(page, begin, "", 1),
		"twice":        page + page,
		"wrong order":  end + begin,
	} {
		if got, err := document.Replace(text, "way", "new"); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
