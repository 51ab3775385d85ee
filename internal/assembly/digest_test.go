package assembly_test

import (
	"os"
	"path/filepath"
	"testing"

	"payments-dr/internal/assembly"
)

// TestDigest: the same templates have the same digest, wherever they are, and any other template has another.
func TestDigest(t *testing.T) {
	t.Parallel()
	digest := func(template string) string {
		dir := t.TempDir()
		for name, content := range map[string]string{
			"manifest.json": `{"artifacts": {"payment-dev-global": {"type": "aws:cloudformation:stack", "environment": "aws://111122223333/us-east-1", "properties": {"templateFile": "a.json"}}}}`,
			"a.json":        `{"Metadata": {"Payment::Settings": {"Environment": "dev"}}, ` + template + `}`,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a, err := assembly.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		return a.Digest
	}
	one := digest(`"Conditions": {}`)
	if len(one) != 64 || digest(`"Conditions": {}`) != one {
		t.Errorf("the digest is %q, and another time %q", one, digest(`"Conditions": {}`))
	}
	if digest(`"Rules": {}`) == one {
		t.Error("another template has the same digest")
	}
}
