package architecture

import (
	"fmt"

	"payments-dr/internal/assembly"
)

// Pictures are the diagrams of the platform as the templates have it, in Mermaid's language, by their names in the documents.
func Pictures(a *assembly.Assembly) (map[string]string, error) {
	pictures := map[string]string{}
	for name, draw := range map[string]func(*assembly.Assembly) (*Picture, error){
		"both Regions": func(a *assembly.Assembly) (*Picture, error) {
			whole, err := PaymentWay(a)
			if err != nil {
				return nil, err
			}
			return whole.Main().without("reconcile"), nil
		},
		"one Region": func(a *assembly.Assembly) (*Picture, error) {
			whole, err := PaymentWay(a)
			if err != nil {
				return nil, err
			}
			return whole.Within(a.Settings.Regions.Primary.Name), nil
		},
		"failover": Failover, "recovery": Recovery, "stacks": StackPicture,
	} {
		picture, err := draw(a)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", name, err)
		}
		pictures[name] = picture.Mermaid()
	}
	return pictures, nil
}
