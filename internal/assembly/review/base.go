package review

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"payments-dr/internal/assembly/golden"
)

// Folder is where the golden templates are, a folder an environment.
const Folder = "testdata/golden"

// Repository is the project's git repository. Its golden templates are what a commit would deploy: a test holds them against the
// synthesis, in every commit. So a base needs neither its tools nor its code to run here, and takes no time.
type Repository struct {
	// Dir is the project's folder.
	Dir string
}

// ErrNoGolden is a commit from before there were golden templates.
var ErrNoGolden = errors.New("it has no " + Folder)

// MergeBase is the commit in which a head and a base part: what the base has had since is not the change's doing. The error says
// what to do if either is not here.
func (r Repository) MergeBase(ctx context.Context, base, head string) (string, error) {
	for _, ref := range []string{base, head} {
		if strings.HasPrefix(ref, "-") {
			return "", fmt.Errorf("find the base: %q is no name of a commit", ref)
		}
		if _, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}"); err != nil {
			return "", fmt.Errorf("find the base: there is no commit %s in this clone: fetch it (git fetch origin), or name another one (make diff BASE=<commit>)", ref)
		}
	}
	out, err := r.git(ctx, "merge-base", base, head)
	if err != nil {
		return "", fmt.Errorf("find the base: %s and %s have no commit in common in this clone, which may be a shallow one: git fetch --unshallow: %w", base, head, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Environments are the environments that have golden templates in a commit, or in the working tree if commit is empty.
func (r Repository) Environments(ctx context.Context, commit string) ([]string, error) {
	if commit == "" {
		entries, err := os.ReadDir(filepath.Join(r.Dir, filepath.FromSlash(Folder)))
		if err != nil {
			return nil, fmt.Errorf("list environments: %w", err)
		}
		var names []string
		for _, entry := range entries {
			if entry.IsDir() {
				names = append(names, entry.Name())
			}
		}
		return names, nil
	}
	out, err := r.git(ctx, "ls-tree", "-d", "--name-only", commit, Folder+"/")
	if err != nil {
		return nil, fmt.Errorf("list environments: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		names = append(names, path.Base(strings.TrimSpace(line)))
	}
	return names, nil
}

// Golden are the golden templates of an environment in a commit, or in the working tree if commit is empty. An environment that a
// commit does not have is an empty set.
func (r Repository) Golden(ctx context.Context, commit, env string) (golden.Set, error) {
	names, err := r.Environments(ctx, commit)
	if err != nil {
		return golden.Set{}, err
	}
	if len(names) == 0 {
		return golden.Set{}, fmt.Errorf("read golden templates of %s: %w", commit, ErrNoGolden)
	}
	if !slices.Contains(names, env) {
		return golden.Set{}, nil
	}
	folder := path.Join(Folder, env)
	if commit == "" {
		return golden.Read(os.DirFS(filepath.Join(r.Dir, filepath.FromSlash(folder))))
	}
	packed, err := r.git(ctx, "archive", "--format=tar", commit+":"+folder)
	if err != nil {
		return golden.Set{}, fmt.Errorf("read golden templates of %s: %w", commit, err)
	}
	dir, err := os.MkdirTemp("", "golden-")
	if err != nil {
		return golden.Set{}, fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := unpack(dir, packed); err != nil {
		return golden.Set{}, fmt.Errorf("read golden templates of %s: %w", commit, err)
	}
	return golden.Read(os.DirFS(dir))
}

// unpack writes the plain files of an archive into a folder. There are no folders in it.
func unpack(dir string, packed []byte) error {
	files := tar.NewReader(bytes.NewReader(packed))
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if header.Typeflag != tar.TypeReg || header.Name != path.Base(header.Name) {
			continue
		}
		data, err := io.ReadAll(files)
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, header.Name), data, 0o600); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
}

// Short is the short name of a commit.
func (r Repository) Short(ctx context.Context, commit string) string {
	out, err := r.git(ctx, "rev-parse", "--short", "--end-of-options", commit)
	if err != nil {
		return commit
	}
	return strings.TrimSpace(string(out))
}

func (r Repository) git(ctx context.Context, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir = r.Dir
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w%s", arguments[0], err, said(err))
	}
	return out, nil
}
