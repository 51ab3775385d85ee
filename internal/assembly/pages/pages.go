// Package pages says which documents have generated parts, and from what each comes.
package pages

import (
	"fmt"
	"os"
	"path/filepath"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/architecture"
	"payments-dr/internal/assembly/document"
	"payments-dr/internal/settings"
	"payments-dr/internal/settings/reference"
)

// Environment is the one that the documents show.
const Environment = "dev"

// Page is a document as it should be.
type Page struct {
	// Path is below the project's folder.
	Path string
	// Text is all of it, what people have written included. Current is whether it is as the file has it.
	Text    string
	Current bool
}

var all = []struct {
	path  string
	write func(page, project string, a *assembly.Assembly) (string, error)
}{
	{"docs/explain/architecture.md", func(page, _ string, a *assembly.Assembly) (string, error) { return architecture.Write(page, a) }},
	{"docs/explain/permissions.md", func(page, _ string, a *assembly.Assembly) (string, error) { return architecture.WriteWhoMay(page, a) }},
	{"docs/use/settings.md", func(page, project string, _ *assembly.Assembly) (string, error) { return writeSettings(page, project) }},
}

// Make returns every page with its generated parts made anew: from an assembly of Environment, and from the project's folder.
func Make(project string, a *assembly.Assembly) ([]Page, error) {
	if a.Settings.Environment != Environment {
		return nil, fmt.Errorf("write documents: they show the environment %s, and this is %s", Environment, a.Settings.Environment)
	}
	var made []Page
	for _, one := range all {
		was, err := os.ReadFile(filepath.Join(project, one.path))
		if err != nil {
			return nil, fmt.Errorf("read document: %w", err)
		}
		text, err := one.write(string(was), project, a)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", one.path, err)
		}
		made = append(made, Page{Path: one.path, Text: text, Current: text == string(was)})
	}
	return made, nil
}

func writeSettings(page, project string) (string, error) {
	context, err := settings.ReadContext(filepath.Join(project, "cdk.json"))
	if err != nil {
		return "", err
	}
	groups, err := reference.Read(os.DirFS(filepath.Join(project, "internal", "settings")), context)
	if err != nil {
		return "", err
	}
	return document.Replace(page, "settings", "\n"+reference.Write(groups)+"\n")
}
