package settings

import (
	"math"
	"strconv"
	"strings"
)

const gibibyte = 1 << 30

// InstanceMemoryBytes is the memory of an instance. A "large" of the r families has 16 GiB and of x2g 32, an "xlarge" twice as much, and
// each size above as many times more as its number says ("Hardware specifications for DB instance classes for Aurora", Amazon
// Aurora User Guide).
func (d Database) InstanceMemoryBytes() int {
	family, size, _ := strings.Cut(strings.TrimPrefix(d.InstanceClass, "db."), ".")
	memory := 16 * gibibyte
	if count, ok := strings.CutSuffix(size, "xlarge"); ok {
		memory = 32 * gibibyte
		if n, err := strconv.Atoi(count); err == nil { // the xlarge itself has no number
			memory *= n
		}
	}
	if strings.HasPrefix(family, "x2g") {
		memory *= 2
	}
	return memory
}

// MaxConnections is how many connections an instance takes: 1,000 for 16 GiB, and 1,000 more each time that the memory doubles. The
// table of "Maximum connections to an Aurora MySQL DB instance" (Amazon Aurora User Guide) rounds the sizes between to thousands; here
// they are rounded down.
func (d Database) MaxConnections() int {
	return int(1000 * math.Log2(float64(d.InstanceMemoryBytes())/(8*gibibyte)))
}
