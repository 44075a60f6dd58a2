package charttest_test

import (
	"cmp"
	"os"
	"testing"

	"github.com/tmorin/homecloud/pkg/charttest"
)

// BenchmarkHundredTests makes a hundred tests of a chart, each with a value of
// its own. `make bench-toolkit` names other charts to run it on, beside other
// tools.
func BenchmarkHundredTests(b *testing.B) {
	given := func(name, otherwise string) string { return cmp.Or(os.Getenv("HUNDRED_"+name), otherwise) }
	folder, file := given("CHART", "testdata/web"), given("VALUES", "testdata/web/ci/large.yaml")
	value, field := given("VALUE", "replicas"), given("FIELD", "spec.replicas")
	kind, name := given("KIND", "Deployment"), given("NAME", "release")
	for b.Loop() {
		for i := range 100 {
			rendered := charttest.Load(b, folder).Render(b, charttest.ValuesFiles(file), charttest.Set(value, 3000+i))
			rendered.Object(kind, name).Field(field).Equals(3000 + i)
		}
	}
}
