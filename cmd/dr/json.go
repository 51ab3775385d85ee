package main

import (
	"encoding/json"
	"io"
)

// writeJSON writes what --json asks for: on lines of its own with an indent, on one line without.
func writeJSON(out io.Writer, value any, indent string) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", indent)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
