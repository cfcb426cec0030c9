# A worker: the package, and the example `trip` as its bundle. docs/containers.md tells how to bring your own.
#
#   docker build -t counterstep-worker:0.1.0 .
#
# Behind a proxy with certificates of its own, add: --secret id=ca_bundle,src=/path/to/ca.pem

FROM python:3.11.16-slim-bookworm AS build
RUN python -m venv /opt/counterstep
COPY . /src
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca_bundle \
    if [ -s /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi \
    && /opt/counterstep/bin/pip install --disable-pip-version-check '/src[examples,inbox,redis]'

FROM python:3.11.16-slim-bookworm
# The numeric user is one that Kubernetes can tell from root; /data is for what a bundle keeps in files.
RUN useradd --uid 10001 --no-create-home worker && install --directory --owner=10001 /data
COPY --from=build /opt/counterstep /opt/counterstep
COPY examples /app/examples
ENV PATH=/opt/counterstep/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001
# SIGTERM, which Docker and Kubernetes send, drains the worker: Python is started without a shell.
ENTRYPOINT ["python", "-m", "counterstep.worker"]
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 \
    CMD ["python", "-m", "counterstep.runtime.health"]
