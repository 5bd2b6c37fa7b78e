# syntax=docker/dockerfile:1
# The serving image: [serve] only, no torch, no compiler, not root.
#   docker build -t kan-serving .
#   docker run --rm --read-only -v "$PWD/models:/models:ro" -p 127.0.0.1:8001:8001 -p 127.0.0.1:8002:8002 kan-serving

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY kan_model kan_model
COPY training training
COPY service service
COPY proto proto
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim
ARG EXTRA=serve
LABEL org.opencontainers.image.title="kan-serving" \
      org.opencontainers.image.description="Serves Kolmogorov-Arnold networks over gRPC" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir "$(echo /wheels/*.whl)[${EXTRA}]" \
    && useradd --system --uid 10001 --no-create-home kan
USER 10001:10001
# Inside a container the network namespace is the boundary: publish the ports on 127.0.0.1 (see above).
ENV KAN_HOST=0.0.0.0 \
    KAN_MODELS=/models
EXPOSE 8001 8002
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["kan-client", "health", "--address", "127.0.0.1:8001", "--timeout-seconds", "2"]
ENTRYPOINT ["kan-serve"]
