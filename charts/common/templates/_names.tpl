{{/* The name that a chart's objects begin with: always `<release>-<chart>`. */}}
{{- define "homecloud.fullname" -}}
{{ .Release.Name }}-{{ .Chart.Name }}
{{- end }}

{{/* Labels that select pods; they never change. Takes root and component. */}}
{{- define "homecloud.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of a pod: the selector's, and whose it is. A new version of the chart alone must restart nothing. */}}
{{- define "homecloud.podLabels" -}}
{{ include "homecloud.selectorLabels" . }}
app.kubernetes.io/part-of: homecloud
{{- end }}

{{/* Labels of an object. */}}
{{- define "homecloud.labels" -}}
{{ include "homecloud.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}
