package drill

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// Fact is one thing known about how a report was made.
type Fact struct {
	Name string `json:"name"`
	// Value is "unknown" if Reason is given.
	Value  string `json:"value"`
	Reason string `json:"reason,omitempty"`
}

// Unknown is a fact that is not known, and why.
func Unknown(name, reason string) Fact { return Fact{name, "unknown", reason} }

// String is the value, with the reason if it is unknown.
func (f Fact) String() string {
	if f.Reason == "" {
		return f.Value
	}
	return f.Value + ": " + f.Reason
}

// Machine is the machine that this process runs on.
func Machine() []Fact {
	processor := Fact{Name: "processor", Value: strings.TrimSpace(cpuid.CPU.BrandName)}
	if processor.Value == "" {
		processor = Unknown(processor.Name, "it does not tell its name")
	}
	return []Fact{
		processor,
		{Name: "cores", Value: fmt.Sprint(runtime.NumCPU())},
		{Name: "operating system", Value: runtime.GOOS + "/" + runtime.GOARCH},
		{Name: "Go", Value: runtime.Version()},
	}
}
