package kube

import (
	"encoding/json"
	"fmt"
)

func versionOf(body []byte) (string, error) {
	var info struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &info); err != nil || info.GitVersion == "" {
		return "", fmt.Errorf("the server doesn't answer like Kubernetes")
	}
	return info.GitVersion, nil
}
