{{/* Names of the shares behind a door (smb or nfs), as a JSON array in alphabetical order. Takes shares and door. */}}
{{- define "homecloud.dnas.sharesBehind" -}}
{{- $names := list -}}
{{- range $name, $share := .shares -}}
{{- if dig $.door "enabled" (eq $.door "smb") ($share | default dict) -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{ toJson $names }}
{{- end }}

{{/* Names of Secrets, with their defaults. */}}
{{- define "homecloud.dnas.usersSecret" -}}
{{ .Values.secrets.users | default (printf "%s-users" .Release.Name) }}
{{- end }}

{{- define "homecloud.dnas.peersSecret" -}}
{{ .Values.secrets.peers | default (printf "%s-syncthing-peers" (include "homecloud.fullname" .)) }}
{{- end }}

{{- define "homecloud.dnas.nodeSecretPrefix" -}}
{{ .Values.secrets.nodePrefix | default (printf "%s-syncthing-" (include "homecloud.fullname" .)) }}
{{- end }}

{{/*
The id of a share's NFS export, 1 to 65535. It is part of every file handle that clients hold, so it depends on the
share's name alone: a position in the list would change when a share is added before it.
*/}}
{{- define "homecloud.dnas.exportID" -}}
{{ add1 (mod (adler32sum (sha256sum .)) 65535) }}
{{- end }}

{{/*
The gate in front of a daemon, as command-line items: the daemon runs only while the right disk is in its place. Takes
root, name (of the status file), command (a list), and if need be follow (paths), reload, umask and syncthingHome.
*/}}
{{- define "homecloud.dnas.gate" -}}
- /agent/homecloud-agent
- gate
- --root={{ .root.Values.dataRoot }}
- --disk={{ .root.Values.disk }}
- --cluster={{ .root.Values.cluster }}
{{- range .follow }}
- --follow={{ . }}
{{- end }}
{{- with .reload }}
- --reload={{ . }}
{{- end }}
- --status=/run/homecloud/{{ .name }}.json
{{- with .umask }}
- --umask={{ . }}
{{- end }}
{{- with .syncthingHome }}
- --syncthing-home={{ . }}
{{- end }}
- --
{{- range .command }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Mounts of every gated container: the agent, the gate's status, the disks. */}}
{{- define "homecloud.dnas.gateMounts" -}}
- {name: agent, mountPath: /agent, readOnly: true}
- {name: run, mountPath: /run/homecloud}
{{ include "homecloud.dnas.dataMount" . }}
{{- end }}

{{/* The parent folder, HostToContainer: the only form that follows a disk which leaves and comes back. */}}
{{- define "homecloud.dnas.dataMount" -}}
- {name: data, mountPath: {{ .Values.dataRoot }}, mountPropagation: HostToContainer}
{{- end }}

{{/* Volumes of every pod with gated containers. The data folder must exist: making it here would hide a missing disk. */}}
{{- define "homecloud.dnas.gateVolumes" -}}
- name: agent
  emptyDir: {sizeLimit: 128Mi}
- name: run
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
- name: data
  hostPath: {path: {{ .Values.dataRoot }}, type: Directory}
{{- end }}

{{/* Binds a pod to nodes by name, and to the label that says a node is ready for the NAS. Takes nodes (a list). */}}
{{- define "homecloud.dnas.placement" -}}
nodeSelector:
  homecloud/dnas: "true"
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            - {key: kubernetes.io/hostname, operator: In, values: {{ toJson .nodes }}}
{{- end }}

{{/* The body of the containers that write the accounts for Samba: once, or following changes. Takes root and watch. */}}
{{- define "homecloud.dnas.accounts" -}}
{{ include "homecloud.containerImage" (dict "root" .root "image" .root.Values.agent.image) }}
command: [/agent/homecloud-agent]
args:
  - accounts
  - --config=/etc/homecloud/accounts/accounts.json
  - --users=/etc/homecloud/users
  - --out=/var/lib/extrausers
  {{- if .watch }}
  - --watch
  {{- end }}
# Root, without a capability: the password file is only for smbd's eyes, which are root's.
securityContext:
  {{- include "homecloud.securityContext" (dict "uid" 0 "gid" 0) | nindent 2 }}
resources:
  {{- toYaml .root.Values.agent.resources | nindent 2 }}
volumeMounts:
  - {name: agent, mountPath: /agent, readOnly: true}
  - {name: accounts-config, mountPath: /etc/homecloud/accounts, readOnly: true}
  - {name: users, mountPath: /etc/homecloud/users, readOnly: true}
  - {name: accounts, mountPath: /var/lib/extrausers}
{{- end }}

{{/* Annotations of what the Job of missing Secrets needs: made before it, gone after its success. Takes the weight. */}}
{{- define "homecloud.dnas.secretsHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
