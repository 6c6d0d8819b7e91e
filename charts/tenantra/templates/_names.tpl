{{/* Labels of everything the chart makes. Call with (dict "root" $ "component" "operator"). */}}
{{- define "tenantra.labels" -}}
app.kubernetes.io/name: tenantra
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "tenantra.selector" -}}
app.kubernetes.io/name: tenantra
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tenantra.image" -}}
{{ .root.Values.image.repository }}/{{ .program }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "tenantra.tlsSecret" -}}
{{- if eq .Values.api.tls.mode "secret" -}}
{{ required "api.tls.secretName: name a kubernetes.io/tls Secret that also has ca.crt, or set api.tls.mode to generated" .Values.api.tls.secretName }}
{{- else -}}
tenantra-api-tls
{{- end -}}
{{- end }}

{{/* The restricted Pod Security profile, spelled out. */}}
{{- define "tenantra.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "tenantra.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "tenantra.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "tenantra.selector" . | nindent 6 }}
{{- end }}
