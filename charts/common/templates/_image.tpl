{{/*
An image reference: the digest wins over the tag, and global.imageRegistry replaces the registry (a first path part with
a dot or a port, or `localhost`, as container runtimes tell it). Takes root and image.
*/}}
{{- define "homecloud.image" -}}
{{- $repository := .image.repository -}}
{{- with (.root.Values.global).imageRegistry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll `^(localhost|[^/]*[.:][^/]*)/` $repository "") -}}
{{- end -}}
{{- if .image.digest -}}
{{ $repository }}@{{ .image.digest }}
{{- else -}}
{{ $repository }}:{{ .image.tag }}
{{- end -}}
{{- end }}
