package diff_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/tmorin/homecloud/internal/diff"
)

// places is testdata/secrets/places.yaml.
type places struct {
	Names, Texts, Readable []string
	Fields, Holders        []map[string]any
}

func readPlaces(t testing.TB) (p places) {
	t.Helper()
	text, err := os.ReadFile("testdata/secrets/places.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(text, &p))
	return p
}

// replaced is a value with other texts.
func replaced(value any, by *strings.Replacer) any {
	switch v := value.(type) {
	case string:
		return by.Replace(v)
	case map[string]any:
		other := map[string]any{}
		for key, inner := range v {
			other[by.Replace(key)] = replaced(inner, by)
		}
		return other
	case []any:
		other := []any{}
		for _, inner := range v {
			other = append(other, replaced(inner, by))
		}
		return other
	}
	return value
}

// written is a name as people write it.
func written(name string, style int) string {
	words := strings.Fields(name)
	for i, word := range words {
		if style == 0 && i > 0 || style == 4 {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	name = strings.Join(words, []string{"", "_", "-", "_", "", "."}[style])
	if style == 3 {
		return strings.ToUpper(name)
	}
	return name
}

// randomSecret has nothing in it that a hash has, nor any word.
func randomSecret(r *rand.Rand) string {
	const letters, others = "GHJKQXVWZ", "GHJKQXVWZ=:/+%.,@-"
	secret := string(letters[r.IntN(len(letters))])
	for range 12 {
		secret += string(others[r.IntN(len(others))])
	}
	return secret + string(letters[r.IntN(len(letters))])
}

// FuzzSecretNeverShows puts two secrets, one after the other, where a chart may
// have them: nothing of either shows, but that they differ does.
func FuzzSecretNeverShows(f *testing.F) {
	p := readPlaces(f)
	for seed := range uint64(2000) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		name := written(p.Names[r.IntN(len(p.Names))], r.IntN(6))
		text := p.Texts[r.IntN(len(p.Texts))]
		place := p.Fields[r.IntN(len(p.Fields))]
		if r.IntN(4) > 0 {
			place = p.Holders[r.IntN(len(p.Holders))]
		}
		with := func(secret string) map[string]any {
			rest := strings.Map(func(c rune) rune {
				if strings.ContainsRune("GHJKQXVWZ", c) {
					return c
				}
				return 'Z'
			}, secret)
			words := []string{"SECRETREST", rest, "SECRET", secret, "NAME", name}
			filled := strings.NewReplacer(words...).Replace(text)
			object := replaced(place, strings.NewReplacer(append(words, "TEXT", filled)...)).(map[string]any)
			if seed%3 == 0 {
				return map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{object}}
			}
			return object
		}
		secrets := []string{randomSecret(r), randomSecret(r)}
		changes := diff.Compare(diff.Pair([]map[string]any{with(secrets[0])}, []map[string]any{with(secrets[1])}))
		require.NotEmpty(t, changes)
		shown, err := json.Marshal(changes)
		require.NoError(t, err)
		for _, secret := range secrets {
			for i := range len(secret) - 3 {
				require.NotContains(t, string(shown), secret[i:i+4], fmt.Sprint(with(secret)))
			}
		}
	})
}

func TestWhatIsNoSecretStaysReadable(t *testing.T) {
	p := readPlaces(t)
	for _, text := range p.Readable {
		before := map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": "c"}, "data": map[string]any{"author": text}}
		after := map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": "c"}, "data": map[string]any{}}
		changes := diff.Compare([]diff.Object{{Before: before, After: after}})
		require.Len(t, changes, 1)
		require.Equal(t, text, changes[0].Fields[0].Before)
	}
}
