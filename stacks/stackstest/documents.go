package stackstest

import (
	"regexp"
	"strings"
	"testing"

	"payments-dr/internal/settings"
)

// AlarmSections are the sections of docs/operate/alarms.md, by the anchors that a reader of Markdown gives their headings.
func AlarmSections(t *testing.T) map[string]string {
	t.Helper()
	sections, current, code := map[string]string{}, "", false
	for line := range strings.Lines(File(t, settings.AlarmPagesFile)) {
		code = code != strings.HasPrefix(line, "```")
		switch {
		case !code && strings.HasPrefix(line, "## "):
			current = Anchor(strings.TrimPrefix(line, "## "))
			if _, twice := sections[current]; twice {
				t.Errorf("section %s is there twice", current)
			}
			sections[current] = ""
		case !code && strings.HasPrefix(line, "# "):
			current = ""
		case current != "":
			sections[current] += line
		}
	}
	return sections
}

// Anchor is the name of a heading in a link, as GitHub makes it: in lower case, spaces as hyphens, and no other marks.
func Anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			return r
		}
		return -1
	}, strings.ToLower(strings.TrimSpace(heading)))
}

// Link is a link to a section at the end of a line.
var Link = regexp.MustCompile(`(\S+)#([a-z0-9-]+)"?$`)
