package sessiontable_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// forward sends a request on to the real API and returns its whole answer.
func forward(t *testing.T, r *http.Request) *answer {
	t.Helper()
	request, err := http.NewRequestWithContext(r.Context(), r.Method, server.Endpoint+r.URL.Path, r.Body)
	if err != nil {
		t.Error(err)
		return &answer{status: http.StatusBadGateway}
	}
	request.Header = r.Header.Clone()
	request.ContentLength = r.ContentLength
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return &answer{status: http.StatusBadGateway}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return &answer{status: response.StatusCode, header: response.Header, body: body}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func copyResponse(w http.ResponseWriter, a *answer) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func scan(t *testing.T, client *dynamodb.Client, table string) []map[string]types.AttributeValue {
	t.Helper()
	out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	return out.Items
}

func stringOf(value types.AttributeValue) string {
	s, _ := value.(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}
