// Package constructs holds the platform's capabilities, one a file: what it makes, why, and the fact about AWS that forced
// its shape. What both Regions have is written once and made twice; the stacks only compose.
//
// Physical names carry the Region where a name must be unique beyond one Region, and never a role: after a recovery the
// roles are swapped and the names stand.
package constructs

import "github.com/aws/jsii-runtime-go"

func text(s string) *string { return jsii.String(s) }

func texts(s ...string) *[]*string { return jsii.Strings(s...) }

// anys is a list of strings as the library's generated types take it where a reference may stand in place of a string.
func anys(s ...*string) *[]any {
	all := make([]any, len(s))
	for i := range s {
		all[i] = s[i]
	}
	return &all
}
