"""Checks whether a service works: `probe.py KIND ADDRESS…` exits with 0, or with 1 and the reason on standard error."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from dataclasses import replace
from http.client import BadStatusLine
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

if TYPE_CHECKING:
    from orderflow.clusters import TlsFiles

TIMEOUT_SECONDS = 5


class UnhealthyError(Exception):
    """The service answers, but not as it should; the text says why."""


def fetch(url: str, ca_file: str | None = None, context: ssl.SSLContext | None = None) -> bytes:
    """Return the body at `url`, never through a proxy; an error status raises UnhealthyError with the server's own text."""
    trust = HTTPSHandler(context=context or ssl.create_default_context(cafile=ca_file))
    try:
        with build_opener(ProxyHandler({}), trust).open(url, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        detail = " ".join(error.read(300).decode(errors="replace").split())
        raise UnhealthyError(f"{url} answers {error.code}: {detail}") from None


def ask_hadoop(url: str) -> Any:
    """Return what a Hadoop server answers as JSON, logging in if HDFS requires it."""
    if url.startswith("http://"):
        return json.loads(fetch(url))
    from requests import RequestException

    from orderflow.lake.session import http_session
    from orderflow.settings import load

    try:
        answer = http_session(load().hdfs).get(url, timeout=TIMEOUT_SECONDS)
    except RequestException as error:
        raise UnhealthyError(f"{url}: {error}") from None
    if not answer.ok:
        raise UnhealthyError(f"{url} answers {answer.status_code}: {' '.join(answer.text[:300].split())}")
    return answer.json()


def kdc(address: str) -> None:
    """Ask for a ticket for this service itself."""
    from requests import RequestException

    from orderflow.lake.kerberos import ticket
    from orderflow.settings import load

    try:
        ticket(load().hdfs)
    except RequestException as error:
        raise UnhealthyError(f"{address}: {error}") from None


def beans(address: str, query: str) -> dict[str, Any]:
    """Return a Hadoop server's management bean."""
    beans = ask_hadoop(f"{address}/jmx?{query}")["beans"]
    if not beans:
        raise UnhealthyError(f"{address} has not started {query} yet")
    return dict(beans[0])


def zookeeper(hosts: str) -> None:
    """Ask `ruok` of the first host."""
    from orderflow.settings import load

    host, _, port = hosts.split(",")[0].split("/")[0].rpartition(":")
    cluster = load().zookeeper
    connection = socket.create_connection((host, int(port)), TIMEOUT_SECONDS)
    if cluster.uses_tls:
        connection = client_context(cluster.tls).wrap_socket(connection, server_hostname=host)
    with connection:
        connection.sendall(b"ruok")
        if connection.recv(8) != b"imok":
            raise UnhealthyError(f"{hosts} does not answer imok")


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of a TLS client with these files."""
    context = ssl.create_default_context(cafile=files.ca)
    if files.certificate is not None:
        context.load_cert_chain(files.certificate, files.key)
    return context


def existing_topics(brokers: str) -> set[str]:
    """List topics; the port is tried first, since the client itself waits long for a broker that is not there."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    from orderflow.settings import load

    address = brokers.split(",")[0]
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), TIMEOUT_SECONDS).close()
    try:
        cluster = replace(load().kafka, brokers=brokers)
        admin = KafkaAdminClient(**cluster.kafka_python(), request_timeout_ms=TIMEOUT_SECONDS * 1000)
        try:
            return set(admin.list_topics())
        finally:
            admin.close()
    except KafkaError as error:
        raise UnhealthyError(f"{brokers} lists no topics: {error!r}") from None


def kafka(brokers: str) -> None:
    """List the topics."""
    existing_topics(brokers)


def topics(brokers: str) -> None:
    """Check that every topic of the product exists."""
    from orderflow.market.topics import ALL

    if missing := set(ALL) - existing_topics(brokers):
        raise UnhealthyError(f"topics not created yet: {', '.join(sorted(missing))}")


def namenode(address: str, expected: str) -> None:
    """Check that it is active, out of safe mode and sees its DataNodes."""
    status = beans(address, "qry=Hadoop:service=NameNode,name=NameNodeStatus")
    state = beans(address, "qry=Hadoop:service=NameNode,name=NameNodeInfo")
    live = len(json.loads(state["LiveNodes"]))
    if status["State"] != "active":
        raise UnhealthyError(f"state {status['State']}, not active")
    if live < int(expected):
        raise UnhealthyError(f"{live} of {expected} DataNodes alive")
    if state["Safemode"]:
        raise UnhealthyError(" ".join(state["Safemode"].split()))


def directories(address: str) -> None:
    """Check that the directories under /trading exist."""
    listed = ask_hadoop(f"{address}/webhdfs/v1/trading?op=LISTSTATUS")
    names = {entry["pathSuffix"] for entry in listed["FileStatuses"]["FileStatus"]}
    if missing := {"ticks", "candles", "footprint", "checkpoints"} - names:
        raise UnhealthyError(f"/trading lacks {', '.join(sorted(missing))}")


def datanode(address: str) -> None:
    """Check that it has spoken with the NameNode within 30 s."""
    actors = json.loads(beans(address, "get=Hadoop:service=DataNode,name=DataNodeInfo::BPServiceActorInfo")["BPServiceActorInfo"])
    if not actors or any(actor["ActorState"] != "RUNNING" or int(actor["LastHeartbeat"]) > 30 for actor in actors):
        raise UnhealthyError(f"no heartbeat with the NameNode: {actors}")


def spark_master(address: str) -> None:
    """Check that it leads and has a worker."""
    state = json.loads(fetch(f"{address}/json/"))
    if state["status"] != "ALIVE":
        raise UnhealthyError(f"master is {state['status']}")
    if not state["aliveworkers"]:
        raise UnhealthyError("no worker has registered")


def spark_worker(address: str) -> None:
    """Check that it answers and names its master."""
    if not json.loads(fetch(f"{address}/json/")).get("masterurl"):
        raise UnhealthyError("not registered with a master")


def healthz(address: str, ca_file: str | None = None) -> None:
    """Ask an application's own health page."""
    fetch(f"{address}/healthz", ca_file)


def dashboard(address: str) -> None:
    """Read the dashboard's health page, by HTTPS if it does not answer HTTP.

    Its certificate is for browsers to verify: it need not name this address, or be signed by an authority known here.
    """
    try:
        fetch(f"{address}/healthz")
    except (ConnectionResetError, BadStatusLine):
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        fetch(f"{address.replace('http:', 'https:')}/healthz", context=unverified)


PROBES = {
    probe.__name__.replace("_", "-"): probe
    for probe in (
        kdc,
        zookeeper,
        kafka,
        topics,
        namenode,
        directories,
        datanode,
        spark_master,
        spark_worker,
        healthz,
        dashboard,
    )
}

if __name__ == "__main__":
    try:
        PROBES[sys.argv[1]](*sys.argv[2:])
    except (UnhealthyError, OSError, URLError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        sys.exit(f"{sys.argv[2]}: {reason}" if not isinstance(error, UnhealthyError) else str(error))
