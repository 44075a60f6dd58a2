{{- define "sums.words" }}{{ include (print $.Template.BasePath "/words.yaml") . | sha256sum }}{{ end }}
