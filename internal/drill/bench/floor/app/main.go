// This app has one stack with one topic, since the library takes none without a resource: the floor that the synthesis of the
// real one is measured against.
package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
)

func main() {
	app := awscdk.NewApp(nil)
	awssns.NewCfnTopic(awscdk.NewStack(app, jsii.String("floor"), nil), jsii.String("Topic"), nil)
	app.Synth(nil)
}
