// Package awswire answers as AWS's services do on the wire, each in its protocol: RDS and STS in XML, CloudWatch and Region switch in
// CBOR, the others in JSON. What is answered comes from plain structs, which whoever simulates a service fills.
package awswire

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"

	"payments-dr/internal/payment/functionerror"
)

// namespaces are those of the services that answer in XML.
var namespaces = map[string]string{"rds": "http://rds.amazonaws.com/doc/2014-10-31/", "sts": "https://sts.amazonaws.com/doc/2011-06-15/"}

// WriteXML answers as RDS and STS do; result is what is in the operation's result.
func WriteXML(w http.ResponseWriter, service, operation, result string) {
	w.Header().Set("Content-Type", "text/xml")
	_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="%[2]s"><%[1]sResult>%[3]s</%[1]sResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></%[1]sResponse>`, operation, namespaces[service], result)
}

// WriteJSON answers with DynamoDB's checksum, which its client holds it to; the others' do not look.
func WriteJSON(w http.ResponseWriter, value any) {
	writeJSON(w, http.StatusOK, value)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, _ := json.Marshal(value)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// WriteCBOR answers as a service of the protocol Smithy RPC v2 CBOR does.
func WriteCBOR(w http.ResponseWriter, status int, value cbor.Value) {
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.WriteHeader(status)
	_, _ = w.Write(cbor.Encode(value))
}

// ReadCBOR reads a request of that protocol.
func ReadCBOR(body []byte) (cbor.Map, error) {
	value, err := cbor.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("read CBOR: %w", err)
	}
	asked, ok := value.(cbor.Map)
	if !ok {
		return nil, fmt.Errorf("read CBOR: %T is no map", value)
	}
	return asked, nil
}

// text is a field of a request, or nothing.
func text(asked cbor.Map, key string) string {
	value, _ := asked[key].(cbor.String)
	return string(value)
}

// moment is seconds since 1970, to the millisecond.
func moment(t time.Time) cbor.Value {
	return &cbor.Tag{ID: 1, Value: cbor.Float64(float64(t.UnixMilli()) / 1000)}
}

// WriteError refuses a request as a service does: REST services name the error in a header, the others in the body.
func WriteError(w http.ResponseWriter, service string, status int, code, message string) {
	switch service {
	case "rds", "sts":
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="%s"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, namespaces[service], code, message)
	case "monitoring", "arc-region-switch":
		kind := "com.amazonaws." + strings.ReplaceAll(service, "-", "") + "#" + code
		WriteCBOR(w, status, cbor.Map{"__type": cbor.String(kind), "message": cbor.String(message)})
	case "lambda", "backup":
		w.Header().Set("X-Amzn-Errortype", code)
		writeJSON(w, status, map[string]string{"message": message})
	default:
		writeJSON(w, status, map[string]string{"__type": code, "message": message})
	}
}

// WriteFunctionError answers as Lambda does when the function has failed.
func WriteFunctionError(w http.ResponseWriter, err error) {
	w.Header().Set("X-Amz-Function-Error", "Unhandled")
	_, _ = w.Write(functionerror.Of(err).Payload)
}

// WriteParameter answers GetParameter.
func WriteParameter(w http.ResponseWriter, name, value string) {
	WriteJSON(w, map[string]any{"Parameter": map[string]any{"Name": name, "Type": "String", "Value": value, "Version": 1}})
}

// GlobalCluster is an Aurora global database.
type GlobalCluster struct {
	Identifier string
	// Clusters are the members' ARNs, and Writer is one of them.
	Clusters []string
	Writer   string
	// Moving is the state of a failover or a switchover, if there is one.
	Moving string
}

// Write answers DescribeGlobalClusters.
func (c GlobalCluster) Write(w http.ResponseWriter) {
	members, moving := "", ""
	for _, cluster := range c.Clusters {
		state := "<SynchronizationStatus>connected</SynchronizationStatus>"
		if cluster == c.Writer {
			state = ""
		}
		members += fmt.Sprintf("<GlobalClusterMember><DBClusterArn>%s</DBClusterArn><IsWriter>%t</IsWriter>%s<Readers/></GlobalClusterMember>", cluster, cluster == c.Writer, state)
	}
	if c.Moving != "" {
		moving = "<FailoverState><Status>" + c.Moving + "</Status></FailoverState>"
	}
	WriteXML(w, "rds", "DescribeGlobalClusters", fmt.Sprintf("<GlobalClusters><GlobalClusterMember><GlobalClusterIdentifier>%s</GlobalClusterIdentifier>"+
		"<Status>available</Status>%s<GlobalClusterMembers>%s</GlobalClusterMembers></GlobalClusterMember></GlobalClusters>", c.Identifier, moving, members))
}
