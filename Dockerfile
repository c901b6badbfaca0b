# One image for every service: Python, Java and the same pinned packages and jars that `make demo` runs as local processes.
# The jars can come from a directory instead of the network: docker build --build-context artifacts=.cache/artifacts .

FROM python:3.11-slim-bookworm AS base
# Debian's own security updates are wanted, so packages carry no versions; curl is for people (docker exec … curl).
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless curl \
    && rm -rf /var/lib/apt/lists/* /var/log/*
ENV PYTHON=/opt/venv/bin/python \
    ARTIFACTS_DIR=/opt/artifacts \
    LANG=C.UTF-8

FROM base AS packages
COPY requirements.txt constraints.txt /tmp/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt \
    && find /opt/venv -depth -type d \( -name tests -o -name examples \) -path '*/pyspark/*' -exec rm -rf {} +

FROM packages AS fetched
COPY deploy/env.sh deploy/fetch-artifacts deploy/ivy.xml /opt/orderflow/deploy/
RUN sed -i 's/\r$//' /opt/orderflow/deploy/* \
    && bash /opt/orderflow/deploy/fetch-artifacts \
    && rm -f /opt/artifacts/ivy.log

FROM scratch AS artifacts
COPY --from=fetched /opt/artifacts/ /

FROM base
LABEL org.opencontainers.image.title="orderflow" \
      org.opencontainers.image.description="Real-time order flow for Indian markets: Upstox V3 feed, Kafka, Spark, HDFS, Dash" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 1000 --create-home orderflow \
    && for name in zookeeper kafka namenode datanode1 datanode2 spark-worker data-streamer plotter simulator; do \
         mkdir -p "/var/lib/orderflow/$name"; \
       done \
    && mkdir /host \
    && chown -R orderflow:orderflow /var/lib/orderflow
COPY --from=packages /opt/venv /opt/venv
COPY --chown=1000:1000 --from=artifacts / /opt/artifacts/
WORKDIR /opt/orderflow
COPY . .
# Whatever the host's line ends and modes are (Windows, umask 077), they are right here. Byte code is compiled now, since the root
# file system is read-only at run time.
RUN chmod -R a+rX . \
    && find . -type f -exec grep -qIP '\r$' {} \; -exec sed -i 's/\r$//' {} + \
    && ln -sfn python3 bin/python \
    && chmod a+x bin/* deploy/launch/* deploy/health/* deploy/fetch-artifacts \
    && /opt/venv/bin/python -m compileall -q .
ENV PATH=/opt/orderflow/bin:$PATH \
    IN_CONTAINER=yes \
    ENV_FILE=/host/.env \
    DATA_DIR=/var/lib/orderflow \
    CONF_DIR=/tmp/orderflow/conf \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
CMD ["echo", "name a service, for example: docker run orderflow deploy/launch/plotter"]
