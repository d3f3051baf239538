{{- define "relay.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "relay.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "relay.labels" -}}
{{ include "relay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "relay.checkImage" -}}
{{ .Values.check.image.repository }}:{{ .Values.check.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* The name of the secret with sasl_passwd; empty if there is none. */}}
{{- define "relay.saslSecret" -}}
{{- if .Values.sasl.existingSecret -}}
{{ .Values.sasl.existingSecret }}
{{- else if .Values.sasl.passwd -}}
{{ include "relay.name" . }}-sasl
{{- end -}}
{{- end -}}

{{/* The secrets that entrypoint.sh finds under /run/secrets. */}}
{{- define "relay.secrets" -}}
{{- with include "relay.saslSecret" . }}
- secret:
    name: {{ . }}
    items:
      - key: sasl_passwd
        path: sasl_passwd
{{- end }}
{{- with .Values.tls.existingSecret }}
- secret:
    name: {{ . }}
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
{{- end }}
{{- with .Values.users.existingSecret }}
- secret:
    name: {{ . }}
    items:
      - key: users
        path: users
{{- end }}
{{- end -}}
