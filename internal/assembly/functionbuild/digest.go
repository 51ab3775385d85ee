// Package functionbuild builds the functions, and says whether an executable has to be built again: by a digest of everything that
// goes into it.
package functionbuild

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Architecture is what the functions are built for in the deployment.
const Architecture = "arm64"

// goPackage is what "go list" says of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	Name       string
	Standard   bool
	Deps       []string
	GoFiles    []string
	SFiles     []string
	HFiles     []string
	EmbedFiles []string
	Module     *goModule
}

type goModule struct {
	Path    string
	Version string
	Main    bool
	Replace *goModule
}

// Digests returns a digest for each function below functions/, by its name. It changes whenever the executable may: with the
// source of any package of this module that it is made of, embedded files included, with the version of any other module,
// with the version of Go, and with the flags. Comments count, tests do not.
func Digests(moduleDir string) (map[string]string, error) {
	command := exec.Command("go", "list", "-deps", "-tags=lambda.norpc",
		"-json=ImportPath,Dir,Name,Standard,Deps,GoFiles,SFiles,HFiles,EmbedFiles,Module", "./functions/...")
	command.Dir = moduleDir
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+Architecture, "CGO_ENABLED=0")
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list the functions' packages: %w\n%s", err, &complaints)
	}
	packages := map[string]goPackage{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the list of the functions' packages: %w", err)
		}
		packages[p.ImportPath] = p
	}
	lines := map[string]string{}
	for _, importPath := range slices.Sorted(maps.Keys(packages)) {
		if lines[importPath], err = line(packages[importPath]); err != nil {
			return nil, err
		}
	}
	digests := map[string]string{}
	for importPath, p := range packages {
		if p.Name != "main" || !strings.Contains(importPath, "/functions/") {
			continue
		}
		digest := sha256.New()
		fmt.Fprintln(digest, runtime.Version(), Architecture, BuildFlags)
		for _, dependency := range append(slices.Sorted(slices.Values(p.Deps)), importPath) {
			fmt.Fprintln(digest, lines[dependency])
		}
		digests[path.Base(importPath)] = hex.EncodeToString(digest.Sum(nil))
	}
	return digests, nil
}

// line is what a package adds to a digest. The standard library is Go's version, and another module's package is its version,
// which go.sum fixes.
func line(p goPackage) (string, error) {
	switch {
	case p.Standard:
		return p.ImportPath, nil
	case p.Module != nil && !p.Module.Main:
		m := p.Module
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" {
			return p.ImportPath + " " + m.Path + "@" + m.Version, nil
		}
	}
	digest := sha256.New()
	for _, name := range slices.Sorted(slices.Values(slices.Concat(p.GoFiles, p.SFiles, p.HFiles, p.EmbedFiles))) {
		content, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			return "", fmt.Errorf("read source of %s: %w", p.ImportPath, err)
		}
		fmt.Fprintln(digest, name, len(content))
		digest.Write(content)
	}
	return p.ImportPath + " " + hex.EncodeToString(digest.Sum(nil)), nil
}

// RemoveUnfinished removes what an interrupted synthesis left of a function's asset in an assembly's folder, so that it is not
// taken for the function: the library uses a folder of the right name as it finds it.
func RemoveUnfinished(assembly string) error {
	assets, err := filepath.Glob(filepath.Join(assembly, "asset.*"))
	if err != nil {
		return fmt.Errorf("find assets: %w", err)
	}
	for _, asset := range assets {
		entries, err := os.ReadDir(asset)
		if err != nil {
			continue // a file, which is another kind of asset
		}
		if len(entries) > 0 {
			continue
		}
		if err := os.RemoveAll(asset); err != nil {
			return fmt.Errorf("remove unfinished asset: %w", err)
		}
	}
	return nil
}
