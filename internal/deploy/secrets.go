package deploy

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tmorin/homecloud/internal/config"
	"github.com/tmorin/homecloud/internal/kube"
	"github.com/tmorin/homecloud/internal/secrets"
	"github.com/tmorin/homecloud/internal/term"
)

// secretsFile makes what the secrets file lacks, the file itself included.
// What a running cluster holds already is taken from there, so that a lost file
// never makes new devices of the boards. A dry run does it in memory.
func (u *Up) secretsFile(ctx context.Context, s *term.Step) error {
	live := secrets.Live{Client: u.Kube.Client.CoreV1(), Release: config.Release, Namespace: config.Release}
	options := secrets.InitOptions{
		Live: func(ctx context.Context) (map[string]string, error) { return live.Values(ctx, u.Cluster) },
	}
	var report secrets.InitReport
	var err error
	if u.DryRun {
		u.foreseen, report, err = secrets.Foresee(ctx, u.SecretsPath, u.Cluster, options)
	} else {
		report, err = secrets.Init(ctx, u.SecretsPath, u.Cluster, options)
	}
	if report.IdentityFile != "" && !u.DryRun {
		s.Say("made your age identity, %s: whoever has it can read the secrets; keep a copy in another place", report.IdentityFile)
	}
	if err != nil {
		return err
	}
	var done []string
	if report.Created {
		u.changed("create %s", u.SecretsPath)
		done = append(done, "create")
	}
	for _, group := range []struct {
		verb  string
		names []string
	}{{"generate", report.Generated}, {"take from the cluster", report.Imported}} {
		if len(group.names) > 0 {
			what := group.verb + " " + strings.Join(group.names, ", ")
			u.changed("%s: %s", u.SecretsPath, what)
			done = append(done, what)
		}
	}
	s.Done("%s", u.outcome(done))
	if len(done) == 0 {
		s.Done("complete")
	}
	if len(report.Recipients) < 2 && !u.DryRun {
		s.Say("one identity alone opens %s; make a second one: hcchart secrets init --recovery-key FILE", u.SecretsPath)
	}
	return nil
}

// secrets puts the Secrets into the cluster, and takes out of them the people
// and boards that the file doesn't know any more.
func (u *Up) secrets(ctx context.Context, s *term.Step) error {
	if u.newHome { // nothing in it to compare with
		u.changed("create the Secrets of %s", u.SecretsPath)
		s.Done("%s", u.outcome([]string{"create"}))
		return nil
	}
	file, err := u.foreseen, error(nil)
	if !u.DryRun {
		file, err = secrets.Open(u.SecretsPath)
	}
	if err != nil {
		return err
	}
	objects, err := secrets.Kubernetes(file, u.Cluster, config.Release, config.Release)
	if err != nil {
		return err
	}
	keys := map[*corev1.Secret]kube.KeyChanges{}
	for _, object := range objects {
		if keys[object], err = u.Kube.KeyChanges(ctx, object); err != nil {
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
	var done []string
	for _, object := range objects {
		switch what := keys[object].String(); {
		case what != "":
			u.changed("Secret %s: %s", object.Name, what)
			done = append(done, "change "+object.Name+" ("+what+")")
		case slices.Contains(changed, object.Name):
			u.changed("apply Secret %s", object.Name)
			done = append(done, "apply "+object.Name)
		}
		surplus := keys[object].Surplus
		if len(surplus) == 0 || u.DryRun {
			continue
		}
		if err := u.Kube.RemoveKeys(ctx, object, surplus); err != nil {
			return err
		}
		if object.Name == config.UsersSecret(config.Release) {
			s.Say("disabled everywhere, their data stays: %s", strings.Join(surplus, ", "))
		}
	}
	s.Done("%s", u.outcome(done))
	return nil
}
