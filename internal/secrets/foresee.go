package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"

	"filippo.io/age"

	"github.com/tmorin/homecloud/internal/config"
)

// Foresee is what Init would make of the file, in memory alone: nothing is
// written, and what would be generated differs each time.
func Foresee(ctx context.Context, path string, cluster *config.Cluster, options InitOptions) (*File, InitReport, error) {
	run := &initRun{cluster: cluster, options: options}
	file, err := Open(path)
	if errors.Is(err, os.ErrNotExist) {
		run.report.Created = true
		file, err = run.imagine(path)
	}
	if err != nil {
		return nil, run.report, err
	}
	created := run.report.Created
	err = run.fill(ctx, file, nil)
	run.report.Created = created
	return file, run.report, err
}

// imagine is a new file that is for nobody.
func (r *initRun) imagine(path string) (*File, error) {
	keyring := FindKeyring()
	own := keyring.Own()
	if own == "" {
		var err error
		if r.report.IdentityFile, err = identityFileToMake(); err != nil {
			return nil, err
		}
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, fmt.Errorf("make an age identity: %w", err)
		}
		own = identity.Recipient().String()
	}
	doc, err := newDocument(path, []string{own})
	if err != nil {
		return nil, err
	}
	return &File{doc: doc, keyring: keyring}, nil
}
