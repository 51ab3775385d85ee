package architecture

import (
	"fmt"

	"payments-dr/internal/assembly"
	"payments-dr/internal/assembly/document"
)

// Write returns the page about the architecture with its generated parts as the templates are.
func Write(page string, a *assembly.Assembly) (string, error) {
	pictures := []struct {
		name string
		draw func(*assembly.Assembly) (*Picture, error)
	}{
		{"both Regions", func(a *assembly.Assembly) (*Picture, error) {
			whole, err := PaymentWay(a)
			if err != nil {
				return nil, err
			}
			return whole.Main().without("reconcile"), nil
		}},
		{"one Region", func(a *assembly.Assembly) (*Picture, error) {
			whole, err := PaymentWay(a)
			if err != nil {
				return nil, err
			}
			return whole.Within(a.Settings.Regions.Primary.Name), nil
		}},
		{"failover", Failover}, {"recovery", Recovery}, {"stacks", StackPicture},
	}
	for _, one := range pictures {
		picture, err := one.draw(a)
		if err != nil {
			return "", err
		}
		if page, err = document.Replace(page, one.name, "\n```mermaid\n"+picture.Mermaid()+"```\n\n"); err != nil {
			return "", err
		}
	}
	crossings, err := Crossings(a)
	if err != nil {
		return "", err
	}
	if page, err = document.Replace(page, "crossings", "\n"+WriteCrossings(crossings)+"\n"); err != nil {
		return "", err
	}
	return page, nil
}

// WriteWhoMay is the same for the page about permissions.
func WriteWhoMay(page string, a *assembly.Assembly) (string, error) {
	permissions, err := WritePermissions(a)
	if err != nil {
		return "", fmt.Errorf("write permissions: %w", err)
	}
	return document.Replace(page, "permissions", "\n"+permissions+"\n")
}
