package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/secrets"
	"github.com/tmorin/homecloud/internal/term"
)

// secretsFile makes what the secrets file lacks, the file itself included.
// What a running cluster holds already is taken from there, so that a lost file
// never makes new devices of the boards.
func (u *Up) secretsFile(ctx context.Context, s *term.Step) error {
	if u.DryRun {
		file, err := u.foreseenSecrets()
		if err != nil || file != nil {
			return err
		}
		u.changed("create %s", u.SecretsPath)
		s.Done("%s", u.outcome([]string{"create"}))
		return nil
	}
	live := secrets.Live{Client: u.Kube.Client.CoreV1(), Release: config.Release, Namespace: config.Release}
	report, err := secrets.Init(ctx, u.SecretsPath, u.Cluster, secrets.InitOptions{
		Live: func(ctx context.Context) (map[string]string, error) { return live.Values(ctx, u.Cluster) },
	})
	if report.IdentityFile != "" {
		s.Say("made your age identity, %s: whoever has it can read the secrets; keep a copy in another place", report.IdentityFile)
	}
	if err != nil {
		return err
	}
	if report.Created {
		u.changed("create %s", u.SecretsPath)
	}
	for _, group := range []struct {
		what  string
		names []string
	}{{"generated", report.Generated}, {"taken from the cluster", report.Imported}} {
		if len(group.names) > 0 {
			u.changed("%s: %s: %s", u.SecretsPath, group.what, strings.Join(group.names, ", "))
			s.Say("%s: %s", group.what, strings.Join(group.names, ", "))
		}
	}
	if len(report.Recipients) < 2 {
		s.Say("one identity alone opens %s; make a second one: hcchart secrets init --recovery-key FILE", u.SecretsPath)
	}
	return nil
}

// foreseenSecrets is the secrets file as it would become, in memory alone; nil
// when there is no file yet.
func (u *Up) foreseenSecrets() (*secrets.File, error) {
	file, err := secrets.Open(u.SecretsPath)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	report, err := file.Ensure(u.Cluster)
	if err == nil && len(report.Generated) > 0 {
		u.changed("%s: generate %s", u.SecretsPath, strings.Join(report.Generated, ", "))
	}
	return file, err
}

// secrets puts the Secrets into the cluster, and takes out of them the people
// and boards that the file doesn't know any more.
func (u *Up) secrets(ctx context.Context, s *term.Step) error {
	file, err := secrets.Open(u.SecretsPath)
	if u.DryRun && errors.Is(err, os.ErrNotExist) {
		u.changed("create the Secrets of %s", u.SecretsPath)
		s.Done("%s", u.outcome([]string{"create"}))
		return nil
	}
	if err != nil {
		return err
	}
	if u.DryRun {
		if _, err := file.Ensure(u.Cluster); err != nil {
			return err
		}
	}
	objects, err := secrets.Kubernetes(file, u.Cluster, config.Release, config.Release)
	if err != nil {
		return err
	}
	surplus := map[*corev1.Secret][]string{}
	for _, object := range objects {
		if surplus[object], err = u.Kube.SurplusKeys(ctx, object); err != nil {
			return err
		}
	}
	apply := secrets.Apply
	if u.DryRun {
		apply = secrets.Compare
	}
	changed, err := apply(ctx, u.Kube.Client.CoreV1(), objects)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if len(surplus[object]) > 0 { // told below, in better words
			changed = slices.DeleteFunc(changed, func(name string) bool { return name == object.Name })
		}
	}
	var done []string
	for _, name := range changed {
		u.changed("apply Secret %s", name)
		done = append(done, "apply "+name)
	}
	for _, object := range objects {
		if len(surplus[object]) == 0 {
			continue
		}
		what := fmt.Sprintf("remove %s from %s", strings.Join(surplus[object], ", "), object.Name)
		u.changed("Secret: %s", what)
		done = append(done, what)
		if u.DryRun {
			continue
		}
		if err := u.Kube.RemoveKeys(ctx, object, surplus[object]); err != nil {
			return err
		}
		if object.Name == config.UsersSecret(config.Release) {
			s.Say("disabled everywhere, their data stays: %s", strings.Join(surplus[object], ", "))
		}
	}
	s.Done("%s", u.outcome(done))
	return nil
}
