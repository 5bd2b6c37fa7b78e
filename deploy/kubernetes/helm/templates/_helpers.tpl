{{/* Every object's name, or the beginning of it. Service names have 63 characters at most: there is room for -headless. */}}
{{- define "kan-serve.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 54 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects this release's pods, and no other's. The first becomes Prometheus' job: rules and dashboards ask for it. */}}
{{- define "kan-serve.selector" -}}
app.kubernetes.io/name: kan-serve
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kan-serve.labels" -}}
{{ include "kan-serve.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels come last, so that a template may add one. */}}
{{- define "kan-serve.metadata" -}}
name: {{ include "kan-serve.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "kan-serve.labels" . | nindent 2 }}
{{- end }}

{{- define "kan-serve.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* A quantity so many times, in the same unit: of "256Mi" and 2 "512Mi". */}}
{{- define "kan-serve.times" -}}
{{- $quantity := index . 0 }}
{{- $text := kindIs "string" $quantity | ternary $quantity (toJson $quantity) }}
{{- $number := regexFind "^[0-9.]+" $text }}
{{- mulf (float64 $number) (index . 1) | toJson }}{{ trimPrefix $number $text }}
{{- end }}

{{/* The KAN_… variables. Numbers by toJson: toString makes 1.6777216e+07 of 16777216. */}}
{{- define "kan-serve.settings" -}}
{{- $made := dict }}
{{- if and .Values.networkPolicy.enabled (not (hasKey .Values.settings "KAN_INSECURE_PUBLIC")) }}
{{- $_ := set $made "KAN_INSECURE_PUBLIC" true }}
{{- end }}
{{- with .Values.models.address }}
{{- $_ := set $made "KAN_MODELS" . }}
{{- $_ := set $made "KAN_CACHE_FOLDER" "/cache" }}
{{- end }}
{{- if .Values.gpu.count }}{{ $_ := set $made "KAN_PROVIDER" "cuda" }}{{ end }}
{{- if ne .Values.frontend "grpcio" }}{{ $_ := set $made "KAN_FRONTEND" .Values.frontend }}{{ end }}
{{- if gt (int .Values.workers) 1 }}{{ $_ := set $made "KAN_WORKERS" .Values.workers }}{{ end }}
{{- if .Values.tls.secret }}
{{- $_ := set $made "KAN_TLS_CERT" "/tls/tls.crt" }}
{{- $_ := set $made "KAN_TLS_KEY" "/tls/tls.key" }}
{{- if .Values.tls.clientCa }}{{ $_ := set $made "KAN_TLS_CLIENT_CA" "/tls/ca.crt" }}{{ end }}
{{- end }}
{{- if .Values.tokens.secret }}{{ $_ := set $made "KAN_TOKENS" "/tokens/tokens.toml" }}{{ end }}
{{- range $each := list $made .Values.settings }}
{{- range $name, $value := $each }}
{{ $name }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What a probe asks. Kubernetes' gRPC probes know neither TLS nor tokens, which a settings file may ask for;
the HTTP port is plain. */}}
{{- define "kan-serve.liveness" -}}
{{- if or .Values.tls.secret .Values.tokens.secret .Values.settingsFile }}httpGet: {path: /livez, port: http}
{{- else }}grpc: {port: 8001, service: liveness}
{{- end }}
{{- end }}

{{- define "kan-serve.readiness" -}}
{{- if or .Values.tls.secret .Values.tokens.secret .Values.settingsFile }}httpGet: {path: /readyz, port: http}
{{- else }}grpc: {port: 8001}
{{- end }}
{{- end }}
