package operate

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// The columns of the screen: what a line is about, and of which Region it is.
const (
	columnRegion = 12
	columnText   = 27
	// leastColumns is the narrowest terminal whose lines go on below their columns.
	leastColumns = 60
)

var ansi = regexp.MustCompile("\x1b\\[[0-9;]*m")

// width is how many columns a text takes on a terminal.
func width(text string) int { return utf8.RuneCountInString(ansi.ReplaceAllString(text, "")) }

// wrap breaks lines that are longer than a terminal is wide, at spaces, so that what follows stands below its column. What has no
// space is left to the terminal. columns is 0 where nobody is known to look.
func wrap(text string, columns int) string {
	if columns <= 0 {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if width(line) <= columns {
			out.WriteString(line + "\n")
			continue
		}
		words := strings.Split(line, " ")
		indent, at := indentation(line, columns), 0
		for i, word := range words {
			needs := width(word)
			if i > 0 {
				if at > indent && needs > 0 && at+1+needs > columns {
					out.WriteString("\n" + strings.Repeat(" ", indent))
					at = indent
				} else {
					out.WriteString(" ")
					at++
				}
			}
			out.WriteString(word)
			at += needs
		}
		out.WriteString("\n")
	}
	return out.String()
}

// indentation is where a line goes on.
func indentation(line string, columns int) int {
	plain := []rune(ansi.ReplaceAllString(line, ""))
	switch {
	case columns < leastColumns || len(plain) <= columnText || strings.HasPrefix(string(plain), "  ") && plain[2] != ' ':
		return 4
	case plain[columnText-1] == ' ' && plain[columnText] != ' ' && plain[columnRegion] != ' ' && plain[columnRegion-1] == ' ' && strings.Contains(string(plain[columnRegion:columnText]), "  "):
		return columnText
	}
	return columnRegion
}
