// Package document writes the generated parts of the documents. Such a part lies between two comments that a reader does not see:
//
//	<!-- generated: name, by "make generate" -->
//	…
//	<!-- end of name -->
package document

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/architecture"
	"payments-dr/internal/assembly/cost"
	"payments-dr/internal/assembly/recoverytime"
	"payments-dr/internal/settings"
	"payments-dr/internal/settings/reference"
)

// shown is the environment whose architecture and permissions the documents show.
const shown = "dev"

// Make returns every document with generated parts, by its path, with these parts as the environments' assemblies and the
// project's folder have them now.
func Make(project string, environments map[string]*assembly.Assembly) (map[string]string, error) {
	made := map[string]string{}
	for _, write := range []func(set setter) error{
		func(set setter) error { return writeArchitecture(set, environments[shown]) },
		func(set setter) error { return writeSettings(set, project) },
		func(set setter) error { return writeSums(set, environments) },
	} {
		err := write(func(path, name, content string) error {
			if _, begun := made[path]; !begun {
				data, err := os.ReadFile(filepath.Join(project, path))
				if err != nil {
					return fmt.Errorf("read document: %w", err)
				}
				made[path] = string(data)
			}
			text, err := Replace(made[path], name, content)
			if err != nil {
				return fmt.Errorf("write %s: %w", path, err)
			}
			made[path] = text
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return made, nil
}

// setter sets the content of a document's generated part.
type setter func(path, name, content string) error

func writeArchitecture(set setter, a *assembly.Assembly) error {
	if a == nil {
		return fmt.Errorf("write documents: they show the environment %s, which is missing", shown)
	}
	pictures, err := architecture.Pictures(a)
	if err != nil {
		return err
	}
	for name, picture := range pictures {
		if err := set("docs/explain/architecture.md", name, "\n```mermaid\n"+picture+"```\n\n"); err != nil {
			return err
		}
	}
	crossings, err := architecture.Crossings(a)
	if err != nil {
		return err
	}
	if err := set("docs/explain/architecture.md", "crossings", "\n"+architecture.WriteCrossings(crossings)+"\n"); err != nil {
		return err
	}
	permissions, err := architecture.WritePermissions(a)
	if err != nil {
		return fmt.Errorf("write permissions: %w", err)
	}
	return set("docs/explain/permissions.md", "permissions", "\n"+permissions+"\n")
}

func writeSettings(set setter, project string) error {
	context, err := settings.ReadContext(filepath.Join(project, "cdk.json"))
	if err != nil {
		return err
	}
	groups, err := reference.Read(os.DirFS(filepath.Join(project, "internal", "settings")), context)
	if err != nil {
		return err
	}
	return set("docs/use/settings.md", "settings", "\n"+reference.Write(groups)+"\n")
}

// writeSums writes what "dr recovery-time" and "dr cost" print, a section for each environment.
func writeSums(set setter, environments map[string]*assembly.Assembly) error {
	var times, costs strings.Builder
	for _, env := range slices.Sorted(maps.Keys(environments)) {
		recovery, err := recoverytime.Of(environments[env])
		if err != nil {
			return err
		}
		month, err := cost.Make(environments[env], cost.DefaultUsage())
		if err != nil {
			return err
		}
		for out, table := range map[*strings.Builder]interface{ WriteTable(io.Writer) error }{&times: recovery, &costs: month} {
			fmt.Fprintf(out, "\n## %s\n\n```\n", env)
			if err := table.WriteTable(out); err != nil {
				return err
			}
			out.WriteString("```\n")
		}
	}
	if err := set("docs/operate/recovery-time.md", "environments", times.String()+"\n"); err != nil {
		return err
	}
	return set("docs/use/cost.md", "environments", costs.String()+"\n")
}

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
