# Two images from one wheel.
#   docker build -t kan-serving .                               serves: no torch, no compiler, not root
#   docker build -t kan-serving --build-arg EXTRA=serve-gpu .   for CUDA
#   docker build -t kan-serving --build-arg EXTRA=serve,envoy . with the Envoy front end; serve,otel: with traces
#   docker build -t kan-train --target train .                  trains: torch, gigabytes
#   docker run --rm --read-only -v "$PWD/models:/models:ro" -p 127.0.0.1:8001:8001 -p 127.0.0.1:8002:8002 kan-serving

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY kan_model kan_model
COPY training training
COPY service service
COPY proto proto
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# What both have: the user, and the folder that a new volume takes its owner from.
FROM python:3.13-slim AS base
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN groupadd --system --gid 10001 kan \
    && useradd --system --uid 10001 --gid 10001 --no-create-home kan \
    && install --directory --owner=10001 --group=10001 /models

FROM base AS train
LABEL org.opencontainers.image.title="kan-train" \
      org.opencontainers.image.description="Trains Kolmogorov-Arnold networks and publishes them for kan-serving"
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --root-user-action=ignore "$(echo /wheels/*.whl)[train]"
COPY training/recipes /recipes
USER 10001:10001
# Unfinished runs and matplotlib's cache: a tmpfs, or a volume that keeps them.
WORKDIR /tmp
ENV MPLCONFIGDIR=/tmp/matplotlib
ENTRYPOINT ["kan-train"]

FROM base
LABEL org.opencontainers.image.title="kan-serving" \
      org.opencontainers.image.description="Serves Kolmogorov-Arnold networks over gRPC"
ARG EXTRA=serve
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --root-user-action=ignore "$(echo /wheels/*.whl)[${EXTRA}]"
USER 10001:10001
# Inside a container the network namespace is the boundary: publish the ports on 127.0.0.1 (see above). KAN_INSECURE_PUBLIC is
# not set here: only the person who publishes the ports knows whether others may call without TLS and tokens. Compose and
# the chart set it.
ENV KAN_HOST=0.0.0.0 \
    KAN_MODELS=/models
EXPOSE 8001 8002
# The plain port: it needs no certificate and no token.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8002/readyz', timeout=2)"]
ENTRYPOINT ["kan-serve"]
