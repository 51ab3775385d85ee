// Package architecture draws the platform from its synthesized templates, as text that Mermaid lays out and as tables. What a
// picture shows is read from resources and their references, so that it cannot show what is not deployed.
package architecture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Shape is what a node looks like, and so what it is.
type Shape string

const (
	ShapeClient   Shape = "client"
	ShapeName     Shape = "name"
	ShapeFunction Shape = "function"
	ShapeData     Shape = "data"
	ShapeQueue    Shape = "queue"
	ShapeBus      Shape = "bus"
	ShapeBox      Shape = "box"
	ShapeCheck    Shape = "check"
)

// brackets are how Mermaid writes each shape ("Flowcharts Syntax", Mermaid documentation).
var brackets = map[Shape][2]string{
	ShapeClient:   {"([", "])"},
	ShapeName:     {"([", "])"},
	ShapeFunction: {"[", "]"},
	ShapeData:     {"[(", ")]"},
	ShapeQueue:    {"[[", "]]"},
	ShapeBus:      {"{{", "}}"},
	ShapeBox:      {"[", "]"},
	ShapeCheck:    {"(", ")"},
}

// Node is something in a picture.
type Node struct {
	// ID is unique in the picture.
	ID string
	// Label is what is written into it. A line break is \n.
	Label string
	Shape Shape
	// Group is the title of the frame around it, or nothing.
	Group string
}

// Edge leads from one node to another.
type Edge struct {
	From, To string
	Label    string
	// Dotted is a way that is not taken as a rule: what is switched off, and where failures end.
	Dotted bool
	// Both is a way in both directions.
	Both bool
	// Failure is the way of what failed, into the queue where it ends.
	Failure bool
}

// Picture is nodes, and the edges between them.
type Picture struct {
	// Direction is that of the ways: TB or LR.
	Direction string
	Nodes     []Node
	Edges     []Edge
}

// add adds a node once.
func (p *Picture) add(n Node) {
	if !slices.ContainsFunc(p.Nodes, func(known Node) bool { return known.ID == n.ID }) {
		p.Nodes = append(p.Nodes, n)
	}
}

// connect adds an edge, or its label to the edge that is there.
func (p *Picture) connect(e Edge) {
	for i, known := range p.Edges {
		if known.From == e.From && known.To == e.To && known.Dotted == e.Dotted {
			if !slices.Contains(strings.Split(known.Label, "\n"), e.Label) && e.Label != "" {
				p.Edges[i].Label = strings.TrimPrefix(known.Label+"\n"+e.Label, "\n")
			}
			return
		}
	}
	p.Edges = append(p.Edges, e)
}

// Within is the part of the picture that is in one frame, without the frame.
func (p *Picture) Within(group string) *Picture {
	part := p.keep(func(n Node) bool { return n.Group == group })
	for i := range part.Nodes {
		part.Nodes[i].Group = ""
	}
	return part
}

// Main is the picture without what leads to the nodes that only dotted edges reach: without where failures end.
func (p *Picture) Main() *Picture {
	return p.keep(func(n Node) bool {
		return !slices.ContainsFunc(p.Edges, func(e Edge) bool { return e.To == n.ID && e.Failure })
	})
}

// without is the picture without the nodes of a label.
func (p *Picture) without(label string) *Picture {
	return p.keep(func(n Node) bool { return n.Label != label })
}

// keep is the picture of some of the nodes, and of the edges between them.
func (p *Picture) keep(wanted func(Node) bool) *Picture {
	part := &Picture{Direction: p.Direction}
	for _, n := range p.Nodes {
		if wanted(n) {
			part.Nodes = append(part.Nodes, n)
		}
	}
	for _, e := range p.Edges {
		if node(part, e.From) != nil && node(part, e.To) != nil {
			part.Edges = append(part.Edges, e)
		}
	}
	return part
}

func node(p *Picture, id string) *Node {
	for i := range p.Nodes {
		if p.Nodes[i].ID == id {
			return &p.Nodes[i]
		}
	}
	return nil
}

// Edge is the edge between two nodes, by their labels' first lines within two groups, as in "us-east-1/relay".
func (p *Picture) Edge(from, to string) (Edge, bool) {
	byName := map[string]string{}
	for _, n := range p.Nodes {
		first, _, _ := strings.Cut(n.Label, "\n")
		byName[strings.TrimPrefix(n.Group+"/"+first, "/")] = n.ID
	}
	for _, e := range p.Edges {
		if e.From == byName[from] && e.To == byName[to] && e.From != "" && e.To != "" {
			return e, true
		}
	}
	return Edge{}, false
}

// Mermaid is the picture in Mermaid's language.
func (p *Picture) Mermaid() string {
	var b strings.Builder
	b.WriteString(mermaidSettings)
	fmt.Fprintf(&b, "flowchart %s\n", cmp.Or(p.Direction, "TB"))
	ids := map[string]string{}
	frames := map[string]string{}
	for i, n := range p.Nodes {
		ids[n.ID] = fmt.Sprintf("n%d", i+1)
	}
	write := func(indent string, n Node) {
		shape := brackets[n.Shape]
		fmt.Fprintf(&b, "%s%s%s\"%s\"%s\n", indent, ids[n.ID], shape[0], escape(n.Label), shape[1])
	}
	var groups []string
	for _, n := range p.Nodes {
		if n.Group == "" {
			write("    ", n)
		} else if !slices.Contains(groups, n.Group) {
			groups = append(groups, n.Group)
		}
	}
	for i, group := range groups {
		frames[group] = fmt.Sprintf("g%d", i+1)
		fmt.Fprintf(&b, "    subgraph %s [\"%s\"]\n", frames[group], escape(group))
		for _, n := range p.Nodes {
			if n.Group == group {
				write("        ", n)
			}
		}
		b.WriteString("    end\n")
	}
	// What comes from outside ends at the frame: an arrow through its title could not be read.
	into := func(e Edge) string {
		if from, to := node(p, e.From), node(p, e.To); from.Group == "" && to.Group != "" {
			return frames[to.Group]
		}
		return ids[e.To]
	}
	var written []string
	for _, e := range p.merged() {
		arrow := "-->"
		switch {
		case e.Dotted && e.Both:
			arrow = "<-.->"
		case e.Dotted:
			arrow = "-.->"
		case e.Both:
			arrow = "<-->"
		}
		label := ""
		if e.Label != "" {
			label = `|"` + escape(e.Label) + `"|`
		}
		if line := fmt.Sprintf("    %s %s%s %s\n", ids[e.From], arrow, label, into(e)); !slices.Contains(written, line) {
			written = append(written, line)
		}
	}
	b.WriteString(strings.Join(written, ""))
	return b.String()
}

// mermaidSettings keep the pictures narrow enough for a page, so that their letters are not small.
const mermaidSettings = "%%{init: {\"flowchart\": {\"nodeSpacing\": 30, \"rankSpacing\": 40, \"wrappingWidth\": 400}}}%%\n"

// merged are the edges, with two opposite ones that say the same drawn as one.
func (p *Picture) merged() []Edge {
	var all []Edge
	for _, e := range p.Edges {
		i := slices.IndexFunc(all, func(known Edge) bool {
			return known.From == e.To && known.To == e.From && known.Dotted == e.Dotted && known.Label == e.Label
		})
		if i < 0 {
			all = append(all, e)
			continue
		}
		all[i].Both = true
	}
	return all
}

// escape keeps a label from being taken for Mermaid's own signs.
func escape(label string) string {
	return strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;", ">", "&gt;", "\n", "<br/>").Replace(label)
}
