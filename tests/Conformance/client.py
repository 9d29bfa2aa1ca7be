#!/usr/bin/python3
"""Runs commands of the genuine `openstack` client, each in a copy of one process that has loaded it already: that saves its
second of start-up.

A request is one line: the path of an openrc file and the client's arguments, separated by \x1f. The answer is what the
client printed (both streams), then a line of \x1e and the exit code."""
import os
import re
import sys
import tempfile

from openstackclient import shell
from openstackclient.common import clientmanager  # loads the plugins' modules too


def environment(path):
    with open(path, encoding="utf-8") as file:
        return dict(re.findall(r"^export (OS_\w+)=(.*)$", file.read(), re.MULTILINE))


def run(openrc, arguments, output):
    """In the copy: ends it with the client's own exit code."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    for name in [name for name in os.environ if name.startswith("OS_")]:
        del os.environ[name]
    os.environ.update(environment(openrc))
    code = 1
    try:
        code = shell.main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def main():
    assert clientmanager.PLUGIN_MODULES
    for line in sys.stdin:
        openrc, *arguments = line.rstrip("\n").split("\x1f")
        with tempfile.TemporaryFile() as output:
            child = os.fork()
            if child == 0:
                run(openrc, arguments, output)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            output.seek(0)
            text = output.read().decode(errors="replace")
        sys.stdout.write(f"{text}\n\x1e{code}\n")
        sys.stdout.flush()


main()
