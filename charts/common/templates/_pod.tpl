{{/* What every pod of homecloud says: no token, no service variables, pull secrets, priority. Takes the root. */}}
{{- define "homecloud.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The host's network (decision 10); DNS still asks the cluster first. */}}
{{- define "homecloud.hostNetwork" -}}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}

{{/*
A container's security context: nothing but the capabilities named. Takes uid, gid and optionally capabilities (a list)
and seccomp (another profile than the pod's, with its reason beside the call).
*/}}
{{- define "homecloud.securityContext" -}}
runAsUser: {{ .uid }}
runAsGroup: {{ .gid }}
runAsNonRoot: {{ ne (int .uid) 0 }}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  {{- with .capabilities }}
  add: {{ toJson . }}
  {{- end }}
{{- with .seccomp }}
seccompProfile: {type: {{ . }}}
{{- end }}
{{- end }}

{{/* Image and pull policy of a container. Takes root and image. */}}
{{- define "homecloud.containerImage" -}}
image: {{ include "homecloud.image" . }}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
{{- end }}

{{/* The init container that copies the agent into the volume `agent`, so that any image can run it. Takes the root. */}}
{{- define "homecloud.installAgent" -}}
- name: agent
  {{- include "homecloud.containerImage" (dict "root" . "image" .Values.agent.image) | nindent 2 }}
  args: [install, /agent]
  securityContext:
    {{- include "homecloud.securityContext" (dict "uid" 65532 "gid" 65532) | nindent 4 }}
  resources:
    {{- toYaml .Values.agent.resources | nindent 4 }}
  volumeMounts:
    - {name: agent, mountPath: /agent}
{{- end }}
