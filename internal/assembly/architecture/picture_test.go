package architecture_test

import (
	"strings"
	"testing"

	"payments-dr/internal/assembly/architecture"
)

func picture() *architecture.Picture {
	return &architecture.Picture{
		Nodes: []architecture.Node{
			{ID: "client", Label: "client", Shape: architecture.ShapeClient},
			{ID: "a", Label: `bus "a" <main>` + "\nof 1 & 2", Shape: architecture.ShapeBus, Group: "east"},
			{ID: "b", Label: "bus", Shape: architecture.ShapeBus, Group: "west"},
			{ID: "dead", Label: "dead letters", Shape: architecture.ShapeQueue, Group: "west"},
		},
		Edges: []architecture.Edge{
			{From: "b", To: "dead", Label: "not delivered", Dotted: true, Failure: true},
			{From: "client", To: "a"},
			{From: "a", To: "b", Label: "own"},
			{From: "b", To: "a", Label: "own"},
		},
	}
}

func TestMermaid(t *testing.T) {
	lines := strings.Split(picture().Mermaid(), "\n")
	has := func(want string) bool {
		for _, line := range lines {
			if strings.TrimSpace(line) == want {
				return true
			}
		}
		return false
	}
	for _, want := range []string{
		"flowchart TB",
		`n1(["client"])`,
		`subgraph g1 ["east"]`,
		`n2{{"bus &quot;a&quot; &lt;main&gt;<br/>of 1 &amp; 2"}}`,
		`n4[["dead letters"]]`,
		`n1 --> g1`,         // into the frame, not through its title
		`n2 <-->|"own"| n3`, // two that say the same are one
		`n3 -.->|"not delivered"| n4`,
	} {
		if !has(want) {
			t.Errorf("no line %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if strings.Count(strings.Join(lines, "\n"), "own") != 1 {
		t.Errorf("the two ways between the buses are drawn apart:\n%s", strings.Join(lines, "\n"))
	}
}

func TestWaysThatSayDifferentThingsStayApart(t *testing.T) {
	p := picture()
	p.Edges[3].Label = "others"
	if text := p.Mermaid(); !strings.Contains(text, `n2 -->|"own"| n3`) || !strings.Contains(text, `n3 -->|"others"| n2`) {
		t.Error(text)
	}
}

func TestPartsOfAPicture(t *testing.T) {
	main := picture().Main()
	if _, ok := main.Edge("west/bus", "west/dead letters"); ok || len(main.Nodes) != 3 || len(main.Edges) != 3 {
		t.Errorf("without failures: %+v", main)
	}
	west := picture().Within("west")
	if _, ok := west.Edge("bus", "dead letters"); !ok || len(west.Nodes) != 2 || len(west.Edges) != 1 || strings.Contains(west.Mermaid(), "subgraph") {
		t.Errorf("one frame: %+v", west)
	}
}
