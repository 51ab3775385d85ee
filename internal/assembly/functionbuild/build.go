package functionbuild

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// BuildFlags are the flags that every function is built with, for the deployment and here: no symbol tables, no paths of the
// machine that built it (so that the same source gives the same asset everywhere), no net/rpc (the runtime of
// provided.al2023 does not use it).
var BuildFlags = []string{"-trimpath", "-buildvcs=false", "-tags=lambda.norpc", "-ldflags=-s -w -buildid="}

// Build compiles a function of this module for this machine, with the flags of the deployment. moduleDir is the module's
// folder, name the function's below functions/, and the executable is put into dir. flags are further ones of "go build".
func Build(moduleDir, name, dir string, flags ...string) (string, error) {
	binary := filepath.Join(dir, name)
	if err := BuildPackage(moduleDir, "./functions/"+name, binary, flags...); err != nil {
		return "", fmt.Errorf("build function %s: %w", name, err)
	}
	return binary, nil
}

// BuildPackage compiles a main package of this module as Build does a function, into the file binary.
func BuildPackage(moduleDir, packagePath, binary string, flags ...string) error {
	arguments := slices.Concat([]string{"build", "-o", binary}, BuildFlags, flags, []string{packagePath})
	command := exec.Command("go", arguments...)
	command.Dir = moduleDir
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
