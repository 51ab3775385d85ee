package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
)

// Digest tells one set of migrations from another: it changes whenever a migration is added or changed, so that a deployment
// knows to run them.
func Digest() string {
	digest := sha256.New()
	files, err := fs.Glob(migrations, "migrations/*.sql") // in the order of their names
	if err != nil {
		panic(err) // the pattern is constant
	}
	for _, name := range files {
		text, err := migrations.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded
		}
		digest.Write([]byte(name))
		digest.Write(text)
	}
	return hex.EncodeToString(digest.Sum(nil))
}
