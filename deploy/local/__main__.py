"""`python -m deploy.local demo|up|stop|status|logs|wait|rotate|clean`: what the Makefile calls."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from deploy import credentials, kerberos
from deploy.local import condition, preflight, supervision
from deploy.local.services import services
from deploy.local.stack import ROOT, Stack, StackError, demo_feed, feed_name, open_stack, refuse_older_feed, refuse_other_profile
from orderflow.broker.access import set_password
from orderflow.market.errors import OrderflowError
from orderflow.settings import load


def demo(stack: Stack) -> int:
    """Start the stack on the simulated feed, or on a recording."""
    return start(stack, demo_feed(stack.env))


def up(stack: Stack) -> int:
    """Start the stack on the live feed."""
    return start(stack, {"FEED": "live"})


def start(stack: Stack, options: dict[str, str]) -> int:
    """Start every service, wait until all are healthy, and show where to look."""
    feed = feed_name(options)
    wanted = services(options["FEED"], stack.env["SECURE"])
    if supervision.processes(stack):
        running = stack.record().get("name")
        if running != feed:
            raise StackError(f"a stack with another feed ({running}) is running in {stack.data_dir}: run make stop first")
        step("the stack is running already")
        return wait(stack)
    preflight.check(stack, wanted, options["FEED"])
    record = stack.record()
    refuse_other_profile(record, stack.env["SECURE"])
    seen = [str(name) for name in record.get("seen", [])]  # type: ignore[attr-defined]
    refuse_older_feed(seen, feed)
    step(f"{'keeping the data of' if record else 'new stack in'} {stack.data_dir}, feed: {feed}")
    stack.record_file.write_text(
        json.dumps(
            {
                "feed": options["FEED"],
                "name": feed,
                "options": options,
                "seen": [*(name for name in seen if name != feed), feed],
                "secure": stack.env["SECURE"],
            }
        )
    )
    if stack.env["SECURE"] == "yes":
        credentials.ensure(Path(stack.env["SECURITY_DIR"]))
        make_realm(Path(stack.env["SECURITY_DIR"]))
        step(f"certificates, passwords and keys are in {stack.env['SECURITY_DIR']}")
    (stack.data_dir / "port-offset").write_text(f"{stack.env['PORT_OFFSET']}\n")
    same = {name: stack.env[name] for name in ("DATA_DIR", "PORT_OFFSET", "SECURE")}
    explicit = {**os.environ, **options, **same}
    supervision.start(stack, wanted, explicit)
    step(f"started {len(wanted)} services; logs are in {stack.logs}")
    return wait(stack)


def make_realm(directory: Path) -> None:
    """Make the realm and the keytabs of the secure profile. Raises StackError when that fails."""
    try:
        kerberos.ensure(directory)
    except kerberos.KerberosError as error:
        raise StackError(str(error)) from error


def wait(stack: Stack) -> int:
    """Return 0 once everything is healthy; after TIMEOUT seconds name what is not and return 1."""
    timeout = float(stack.env.get("TIMEOUT", "300"))
    began = time.monotonic()
    healthy: set[str] = set()
    while True:
        seen = condition.survey(stack, settled=healthy)
        for status in seen:
            if status.healthy:
                healthy.add(status.service.name)
                step(f"{time.monotonic() - began:5.0f} s  {status.service.name} is healthy")
        if len(healthy) == len(stack.services()):
            seen = condition.survey(stack)
            if all(status.healthy for status in seen):
                show(stack, seen)
                return 0
            healthy = {status.service.name for status in seen if status.healthy}
        if time.monotonic() - began > timeout or all(status.process == "absent" for status in seen):
            complain(stack, [status for status in seen if not status.healthy])
            return 1
        time.sleep(1)


def complain(stack: Stack, missing: Sequence[condition.Condition]) -> None:
    """Name unhealthy services, the reason, and the last error of their logs."""
    for status in missing:
        print(f"not healthy: {status.service.name}: {status.reason.splitlines()[-1]}", file=sys.stderr)
        if complaint := condition.last_complaint(stack.logs / f"{status.service.name}.log"):
            print(f"    its log: {complaint}", file=sys.stderr)


def status(stack: Stack) -> int:
    """Show each service's process, health and memory."""
    show(stack, condition.survey(stack))
    return 0


def show(stack: Stack, seen: Sequence[condition.Condition]) -> None:
    """Print the table of services and the addresses of the pages."""
    print()
    print(condition.table(seen))
    host = "localhost"
    scheme = "https" if stack.env.get("DASHBOARD_SSL_CERTIFICATE_FILE") else "http"
    print(f"\n  dashboard      {scheme}://{host}:{stack.port('DASHBOARD_PORT')}")
    if stack.env["SECURE"] == "yes":
        print(f"                 user operator, password in {stack.env['SECURITY_DIR']}/plotter/operator_password")
    scheme = stack.env.get("NAMENODE_SCHEME", "http")
    print(f"  HDFS NameNode  {scheme}://{host}:{stack.port('NAMENODE_HTTP_PORT')}/explorer.html#/trading")
    print(f"  Spark master   http://{host}:{stack.port('SPARK_MASTER_UI_PORT')}")
    print("\n  make status, make logs (S=processor), make stop, make shell\n", flush=True)


def stop(stack: Stack) -> int:
    """Stop everything and keep the data."""
    step("stopped; the data is kept in " + str(stack.data_dir) if supervision.stop(stack) else "nothing was running")
    return 0


def logs(stack: Stack) -> int:
    """Follow all logs, or that of the service in S."""
    wanted = stack.env.get("S", "")
    names = [service.name for service in stack.services()]
    if wanted and wanted not in names:
        raise StackError(f"S={wanted} is not a service; choose one of {', '.join(names)}")
    files = [str(file) for name in names if (not wanted or name == wanted) and (file := stack.logs / f"{name}.log").is_file()]
    if not files:
        raise StackError(f"no logs in {stack.logs}: start the stack with make demo or make up")
    follow = [] if stack.env.get("FOLLOW") == "no" else ["-F"]
    os.execvp("tail", ["tail", "-n", stack.env.get("LINES", "50"), *follow, *files])


def rotate(stack: Stack) -> int:
    """Renew the credentials of the service in S (or S=spark: the secret that Spark's processes share), and restart it."""
    wanted = stack.env.get("S", "")
    if stack.env["SECURE"] != "yes":
        raise StackError(f"{stack.data_dir} has no credentials: it was not made with SECURE=yes")
    if wanted not in (*credentials.SERVICES, "spark"):
        raise StackError(f"S={wanted} has no credentials; choose one of spark, {', '.join(credentials.SERVICES)}")
    directory = Path(stack.env["SECURITY_DIR"])
    restarted: Sequence[str] = credentials.SPARK_SERVICES if wanted == "spark" else (wanted,)
    if wanted == "spark":
        credentials.renew_spark(directory)
    else:
        kafka = load({**stack.env}).kafka
        try:
            credentials.renew(directory, wanted, partial(set_password, kafka))
            if wanted in kerberos.SERVICES:
                restarted = kerberos.renew(directory, wanted)
        except (OrderflowError, kerberos.KerberosError) as error:
            raise StackError(str(error)) from error
    step(f"new credentials of {wanted} are in {directory}")
    running = supervision.processes(stack)
    for name in (name for name in restarted if running.get(name, {}).get("statename") == "RUNNING"):
        supervision.restart(stack, name)
        step(f"restarted {name}")
    return wait(stack) if running else 0


def clean(stack: Stack) -> int:
    """Stop everything and delete the data; refuses a directory that no stack has made."""
    supervision.stop(stack)
    if not stack.data_dir.exists():
        step(f"nothing to clean in {stack.data_dir}")
        return 0
    if not stack.record_file.is_file():
        raise StackError(f"{stack.data_dir} was not made by a stack (it has no stack.json): not deleting it")
    shutil.rmtree(stack.data_dir)
    step(f"deleted {stack.data_dir}")
    return 0


def step(text: str) -> None:
    """Tell the user what has just been done."""
    print(f"· {text}", flush=True)


COMMANDS = {command.__name__: command for command in (demo, up, stop, status, logs, wait, rotate, clean)}


def main() -> int:
    """Run one command; a StackError becomes one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    arguments = parser.parse_args()
    os.chdir(ROOT)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        return COMMANDS[arguments.command](open_stack())
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
