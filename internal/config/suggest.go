package config

import (
	"slices"
	"strings"
)

// Suggest is the candidate that the word was probably meant to be, or "".
func Suggest(word string, candidates []string) string {
	best, bestDistance := "", 1+max(1, min(3, len(word)/3))
	sorted := slices.Sorted(slices.Values(candidates))
	for _, candidate := range sorted {
		if strings.EqualFold(candidate, word) {
			return candidate
		}
		if d := distance(strings.ToLower(word), strings.ToLower(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// didYouMean is the remedy for an unknown word: the likely one, or all of them.
func didYouMean(word string, candidates []string, kind string) string {
	if best := Suggest(word, candidates); best != "" {
		return "did you mean " + best + "?"
	}
	return oneOf(candidates, kind)
}

func oneOf(candidates []string, kind string) string {
	var once []string // a name that is taken twice is an error of its own
	for _, candidate := range candidates {
		if !slices.Contains(once, candidate) {
			once = append(once, candidate)
		}
	}
	candidates = once
	switch len(candidates) {
	case 0:
		return "there is no " + kind + " in this file"
	case 1:
		return "write " + candidates[0]
	}
	last := len(candidates) - 1
	return "write " + strings.Join(candidates[:last], ", ") + " or " + candidates[last]
}

// distance counts insertions, deletions, substitutions and swaps of
// neighbours: the mistakes of fingers.
func distance(a, b string) int {
	const limit = 64 // nothing that long is a typing mistake
	if len(a) > limit || len(b) > limit {
		return limit
	}
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		current[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			current[j+1] = min(previous[j+1]+1, current[j]+1, previous[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				current[j+1] = min(current[j+1], before[j-1]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
