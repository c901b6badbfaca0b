"""`python -m orderflow users`: who may log in at the dashboard. A running dashboard follows at once."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any

from orderflow.dashboard.web.accounts import Accounts, User, hash_password, key_file, renew_key
from orderflow.market.errors import OrderflowError
from orderflow.settings import Settings


def add_parser(commands: Any) -> None:
    """Add the command and its sub-commands."""
    users = commands.add_parser("users", help="who may log in at the dashboard (DASHBOARD_USERS_FILE)", description=__doc__)
    actions = users.add_subparsers(dest="action", required=True)
    add = actions.add_parser(
        "add",
        help="add a user, or change a user's password and role",
        description="Add a user, or change a user's password and role, which ends its sessions. The password is asked for, "
        "or read from standard input; it is never an argument, which other users of this machine could see.",
    )
    add.add_argument("name")
    add.add_argument("--role", choices=["viewer", "operator"], default="viewer", help="what the user may do (docs/SECURITY.md)")
    add.add_argument("--proxy", action="store_true", help="without a password: the user logs in through the proxy only")
    add.set_defaults(act=_add)
    remove = actions.add_parser("remove", help="remove a user and end its sessions")
    remove.add_argument("name")
    remove.set_defaults(act=_remove)
    actions.add_parser("list", help="list names, roles and how they log in").set_defaults(act=_list)
    actions.add_parser("end-sessions", help="renew the key of sessions: everybody must log in again").set_defaults(act=_end)
    users.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    if settings.dashboard_users_file is None:
        raise OrderflowError("the dashboard has no users: set DASHBOARD_USERS_FILE, for example to /var/lib/orderflow/users.json")
    arguments.act(Accounts(settings.dashboard_users_file), arguments)
    return 0


def _add(accounts: Accounts, arguments: argparse.Namespace) -> None:
    accounts.put(arguments.name, User(arguments.role, None if arguments.proxy else hash_password(_password())))
    print(f"{arguments.name} is {arguments.role}")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise OrderflowError("the two passwords differ; nothing has changed")
    return password


def _remove(accounts: Accounts, arguments: argparse.Namespace) -> None:
    accounts.remove(arguments.name)
    print(f"{arguments.name} is removed")


def _list(accounts: Accounts, _arguments: argparse.Namespace) -> None:
    for name, user in sorted(accounts.load().items()):
        print(f"{name}\t{user.role}\t{'password' if user.password else 'proxy'}")


def _end(accounts: Accounts, _arguments: argparse.Namespace) -> None:
    renew_key(key_file(accounts.path))
    print("all sessions have ended")
