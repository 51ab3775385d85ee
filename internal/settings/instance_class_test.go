package settings_test

import (
	"testing"

	"payments-dr/internal/settings"
)

func TestInstanceClass(t *testing.T) {
	for class, want := range map[string]struct{ gibibytes, connections int }{
		"db.r5.large": {16, 1000}, "db.r6g.xlarge": {32, 2000}, "db.r5.2xlarge": {64, 3000}, "db.r7g.8xlarge": {256, 5000},
		"db.r5.12xlarge": {384, 5584}, "db.r5.16xlarge": {512, 6000}, "db.x2g.large": {32, 2000}, "db.x2g.16xlarge": {1024, 7000},
	} {
		d := settings.Database{InstanceClass: class}
		if got := d.InstanceMemoryBytes() >> 30; got != want.gibibytes {
			t.Errorf("%s has %d GiB, want %d", class, got, want.gibibytes)
		}
		if got := d.MaxConnections(); got != want.connections {
			t.Errorf("%s takes %d connections, want %d", class, got, want.connections)
		}
	}
}
