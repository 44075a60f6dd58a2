package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tmorin/homecloud/internal/config"
)

// InitOptions say how Init makes a file. The zero value encrypts for the
// identity of this machine, which is made when there is none, and asks no
// cluster.
type InitOptions struct {
	// Recipients can open the file too: age public keys.
	Recipients []string
	// RecoveryKey is a file for a second identity, to be printed and deleted.
	// It must not exist yet. Empty: none.
	RecoveryKey string
	// Live reads what a running cluster holds. It is called when the file
	// lacks something, before anything is written. Nil: there is no cluster.
	Live func(context.Context) (map[string]string, error)
	// PreferLive replaces identities of the file by those that the cluster
	// runs with.
	PreferLive bool
}

// InitReport says what Init did.
type InitReport struct {
	Report
	// IdentityFile was made for this machine; empty when there was an identity.
	IdentityFile string `json:"identityFile,omitempty"`
	// Former is a copy of the file from before its identities were replaced; empty:
	// none was.
	Former string `json:"former,omitempty"`
	// Differing have another value in the cluster, and keep the file's.
	Differing []string `json:"differing,omitempty"`
	// Recipients can open the file now. Fewer than two are a risk: with the
	// only identity, all secrets are lost.
	Recipients []string `json:"recipients"`
}

// Init makes the secrets file of a cluster, or adds to an existing one what it
// lacks. Nothing is ever overwritten: running it again changes nothing.
func Init(ctx context.Context, path string, cluster *config.Cluster, options InitOptions) (InitReport, error) {
	for _, recipient := range options.Recipients {
		if _, err := parseRecipient(recipient); err != nil {
			return InitReport{}, err
		}
	}
	run := &initRun{cluster: cluster, options: options}
	_, err := os.Stat(path)
	switch {
	case err == nil:
		err = run.extend(ctx, path)
	case errors.Is(err, os.ErrNotExist):
		err = run.create(ctx, path)
	}
	return run.report, err
}

type initRun struct {
	cluster *config.Cluster
	options InitOptions
	report  InitReport
}

// extend adds to a file that is there.
func (r *initRun) extend(ctx context.Context, path string) error {
	recovery, discard, err := makeRecoveryKey(r.options.RecoveryKey)
	if err != nil {
		return err
	}
	err = Change(ctx, path, func(f *File) error {
		had := f.Names()
		if err := r.fill(ctx, f, recovery); err != nil {
			return err
		}
		if !slices.ContainsFunc(r.report.Imported, func(name string) bool { return slices.Contains(had, name) }) {
			return nil
		}
		// The cluster's may be the wrong ones, and nobody else may have the file's.
		var err error
		r.report.Former, err = keepFormer(path)
		return err
	})
	if err != nil {
		return errors.Join(err, discard())
	}
	return nil
}

// keepFormer copies a file, still encrypted, beside itself.
func keepFormer(path string) (former string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	former = path + ".former-" + time.Now().Format("20060102-150405")
	file, err := os.OpenFile(former, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("keep the file of before: %w", err)
	}
	_, err = file.Write(content)
	return former, errors.Join(err, file.Sync(), file.Close())
}

// create makes a file that isn't there.
func (r *initRun) create(ctx context.Context, path string) error {
	keyring := FindKeyring()
	own := keyring.Own()
	if own == "" {
		file, err := identityFileToMake()
		if err != nil {
			return err
		}
		if own, err = newIdentityFile(file, "# Opens the secrets of your homecloud. Keep a copy in another place.\n"); err != nil {
			return fmt.Errorf("%w (looked for an identity in %s)", err, keyring.where())
		}
		r.report.IdentityFile = file
	}
	doc, err := newDocument(path, []string{own})
	if err != nil {
		return err
	}
	recovery, discard, err := makeRecoveryKey(r.options.RecoveryKey)
	if err != nil {
		return err
	}
	f := &File{doc: doc, keyring: keyring}
	err = r.fill(ctx, f, recovery)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = f.create(path)
	}
	if err != nil {
		return errors.Join(err, discard())
	}
	r.report.Created = true
	return nil
}

// fill lets the recipients in and adds the secrets that are missing.
func (r *initRun) fill(ctx context.Context, f *File, recovery []string) error {
	for _, recipient := range slices.Concat(r.options.Recipients, recovery) {
		if _, err := f.AddRecipient(recipient); err != nil {
			return err
		}
	}
	imported, differing, err := f.takeLive(ctx, r.cluster, r.options)
	if err != nil {
		return err
	}
	if r.report.Report, err = f.Ensure(r.cluster); err != nil {
		return err
	}
	r.report.Imported, r.report.Differing = imported, differing
	r.report.Kept = slices.DeleteFunc(r.report.Kept, func(name string) bool { return slices.Contains(imported, name) })
	r.report.Recipients = f.Recipients()
	return nil
}

// takeLive puts into the file what it lacks and the cluster has. What both have
// and the file keeps is differing where it isn't the same.
func (f *File) takeLive(ctx context.Context, cluster *config.Cluster, options InitOptions) (imported, differing []string, err error) {
	lacks := slices.ContainsFunc(Needed(cluster), func(name string) bool { return !f.Has(name) })
	if options.Live == nil || !lacks && !options.PreferLive {
		return nil, nil, nil
	}
	values, err := options.Live(ctx)
	if err != nil {
		return nil, nil, err
	}
	identities := map[string]bool{}
	for _, node := range cluster.DNAS.Nodes {
		identities[config.SecretCertificate(node)] = true
		identities[config.SecretKey(node)] = true
	}
	for _, name := range Needed(cluster) {
		value, runs := values[name]
		if !runs {
			continue
		}
		if before, err := f.Get(name); err == nil && before == value {
			continue
		}
		if f.Has(name) && (!options.PreferLive || !identities[name]) {
			differing = append(differing, name)
			continue
		}
		if err := f.set(name, value); err != nil {
			return nil, nil, err
		}
		imported = append(imported, name)
	}
	return imported, differing, nil
}

// identityFileToMake is where a first identity belongs: where sops will look.
func identityFileToMake() (string, error) {
	if path := os.Getenv(envIdentityFile); path != "" {
		return path, nil
	}
	return defaultIdentityFile()
}

const recoveryText = `# RECOVERY KEY of a homecloud's secrets.
#
# Print this page, put it where your other papers are, and delete the file.
# When every other identity is lost: type the last line into a file and run
#   SOPS_AGE_KEY_FILE=THAT_FILE hcchart secrets list
#
`

// makeRecoveryKey writes the second identity. discard takes it away again when
// the secrets file could not be encrypted for it.
func makeRecoveryKey(path string) (recipients []string, discard func() error, err error) {
	if path == "" {
		return nil, func() error { return nil }, nil
	}
	recipient, err := newIdentityFile(path, recoveryText)
	if err != nil {
		return nil, nil, err
	}
	return []string{recipient}, func() error { return os.Remove(path) }, nil
}
