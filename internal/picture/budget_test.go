package picture

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tmorin/homecloud/internal/budget"
)

const gibi = 1 << 30

func TestBudgetsOfBoards(t *testing.T) {
	parts := []budget.Part{
		{Name: "k3s server", Needs: gibi, Most: gibi}, {Name: "system", Needs: gibi / 4, Most: gibi / 4},
		{Name: "syncthing", Chart: "dnas", Needs: gibi / 8, Most: gibi / 2}, {Name: "vip", Chart: "platform", Needs: gibi / 32, Most: gibi / 8},
	}
	b := &budget.Budget{Boards: []budget.Board{
		{Name: "roomy", Role: "server", Memory: 4 * gibi, Needs: 1509949440, Most: 2013265920, Verdict: budget.Fits, Parts: parts},
		{Name: "tight", Role: "agent", Memory: 3 * gibi / 2, Needs: 1509949440, Most: 2013265920, Verdict: budget.Tight, Parts: parts},
		{Name: "too-small", Role: "agent", Memory: gibi, Needs: 1509949440, Most: 2013265920, Verdict: budget.TooSmall, Parts: parts},
		{Name: "unknown", Role: "agent", Needs: 1509949440, Most: 2013265920, Verdict: budget.Unknown, Parts: parts},
	}}
	drawn := Budget(b)
	requireXML(t, drawn)
	require.Contains(t, string(drawn), "roomy: needs 1.41 GiB of 4 GiB: 2.59 GiB left.")
	golden(t, "budget", drawn)
}

func TestNothingInABudgetOverlaps(t *testing.T) {
	for boards := 1; boards <= 9; boards++ {
		for _, memory := range []budget.Bytes{0, 1, 512 << 20, gibi, 16 * gibi, 1000 * gibi} {
			for parts := range 12 {
				b := &budget.Budget{}
				for i := range boards {
					board := budget.Board{Name: strings.Repeat("m", 37), Role: "server", Memory: memory * budget.Bytes(i), Verdict: budget.TooSmall}
					for k := range parts {
						part := budget.Part{Name: "part", Chart: fmt.Sprintf("%s%d", strings.Repeat("w", 53), k), Needs: budget.Bytes(k*k) << 20, Most: gibi}
						board.Parts = append(board.Parts, part)
						board.Needs += part.Needs
						board.Most += part.Most
					}
					b.Boards = append(b.Boards, board)
				}
				c, height := drawBudget(b)
				requireApart(t, fmt.Sprintf("%d boards, %d parts, %d bytes", boards, parts, memory), c, pageWidth, height)
			}
		}
	}
}
