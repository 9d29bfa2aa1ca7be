#!/usr/bin/python3
"""Runs commands of the genuine `openstack` client in one process, which saves its second of start-up for each.

A request is one line: the path of an openrc file and the client's arguments, separated by \x1f. The answer is what the
client printed (both streams), then a line of \x1e and the exit code."""
import contextlib
import io
import logging
import os
import re
import sys

from openstackclient import shell
from openstackclient.common import clientmanager


def environment(path):
    with open(path, encoding="utf-8") as file:
        return dict(re.findall(r"^export (OS_\w+)=(.*)$", file.read(), re.MULTILINE))


def forget_clients():
    """The client keeps its sessions on a class, as its process serves one user: the next command has another."""
    for owner in clientmanager.ClientManager.__mro__:
        for cached in vars(owner).values():
            if hasattr(cached, "_handle"):
                cached._handle = None


def run(arguments, output):
    forget_clients()
    root = logging.getLogger("")
    for handler in list(root.handlers):
        root.removeHandler(handler)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            return shell.OpenStackShell().run(arguments)
        except SystemExit as end:
            return end.code or 0
        except Exception as failure:  # what the command would print before it ends with 1
            print(failure)
            return 1


def main():
    answers = sys.stdout
    for line in sys.stdin:
        openrc, *arguments = line.rstrip("\n").split("\x1f")
        for name in [name for name in os.environ if name.startswith("OS_")]:
            del os.environ[name]
        os.environ.update(environment(openrc))
        output = io.StringIO()
        code = run(arguments, output)
        answers.write(f"{output.getvalue()}\n\x1e{code}\n")
        answers.flush()


main()
