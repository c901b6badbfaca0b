# One image for every service: Python, Java and the same pinned packages and jars that `make demo` runs as local processes.
# The jars can come from a directory instead of the network: docker build --build-context artifacts=.cache/artifacts .

# The stages up to `artifacts` do not need one another but for pyspark's Ivy, which fetches the jars: BuildKit builds them side by side.

FROM python:3.11-slim-bookworm AS base
# Debian's own security updates are wanted, so packages carry no versions; curl is for people (docker exec … curl).
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless curl krb5-kdc krb5-admin-server krb5-user \
    && rm -rf /var/lib/apt/lists/* /var/log/*
ENV PYTHON=/opt/venv/bin/python \
    ARTIFACTS_DIR=/opt/artifacts \
    LANG=C.UTF-8

FROM python:3.11-slim-bookworm AS pyspark
COPY requirements.txt constraints.txt /tmp/
# pyspark comes as source only. Packing the jars into a wheel without deflating them saves half a minute.
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --target /opt/pyspark -c /tmp/constraints.txt \
      --config-settings=--build-option=--compression=stored "$(grep ^pyspark== /tmp/requirements.txt)" \
    && rm -rf /opt/pyspark/bin \
    && find /opt/pyspark -depth -type d \( -name tests -o -name examples \) -exec rm -rf {} +

FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt requirements-kerberos.txt constraints.txt /tmp/
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libkrb5-dev \
    && python -m venv /opt/venv \
    && grep -v -e ^pyspark== -e ^-c /tmp/requirements.txt >/tmp/others.txt \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -c /tmp/constraints.txt -r /tmp/others.txt \
         -r /tmp/requirements-kerberos.txt "$(grep ^py4j== /tmp/constraints.txt)"

FROM base AS fetched
COPY --from=pyspark /opt/pyspark/pyspark/jars /opt/pyspark/jars
COPY deploy/env.sh deploy/fetch-artifacts deploy/artifacts.py deploy/artifacts.lock /opt/orderflow/deploy/
RUN sed -i 's/\r$//' /opt/orderflow/deploy/* \
    && PYTHON=/usr/local/bin/python SPARK_HOME=/opt/pyspark bash /opt/orderflow/deploy/fetch-artifacts \
    && rm -f /opt/artifacts/lock

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
    && for service in ca kdc hdfs-key admin zookeeper kafka setup-topics namenode datanode1 datanode2 setup-hdfs spark-master spark-worker \
         data-streamer processor tick-storage candle-storage plotter; do \
         mkdir -p "/var/lib/orderflow/security/$service"; \
       done \
    && chmod -R go= /var/lib/orderflow/security \
    && mkdir /host \
    && chown -R orderflow:orderflow /var/lib/orderflow
COPY --from=packages /opt/venv /opt/venv
COPY --from=pyspark /opt/pyspark /opt/venv/lib/python3.11/site-packages
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
