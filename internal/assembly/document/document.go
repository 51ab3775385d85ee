// Package document writes the generated parts of documents. Such a part lies between two comments that a reader does not see:
//
//	<!-- generated: name, by "make generate" -->
//	…
//	<!-- end of name -->
package document

import (
	"fmt"
	"strings"
)

// Replace returns the document with a generated part replaced by content. It is an error if the document has no such part, or
// more than one.
func Replace(document, name, content string) (string, error) {
	begin, end := fmt.Sprintf("<!-- generated: %s, by \"make generate\" -->\n", name), fmt.Sprintf("<!-- end of %s -->\n", name)
	if strings.Count(document, begin) != 1 || strings.Count(document, end) != 1 {
		return "", fmt.Errorf("replace generated part %s: the document does not have its two comments once each", name)
	}
	before, rest, _ := strings.Cut(document, begin)
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("replace generated part %s: it ends before it begins", name)
	}
	return before + begin + strings.TrimRight(content, "\n") + "\n" + end + after, nil
}
