"""Ansible connection into a node of `sharpstack lab`: `sharpstack lab enter` says once which node it is, and commands then enter its namespaces directly."""

DOCUMENTATION = """
name: sharpstack_lab
short_description: Enter the nodes of a lab on this machine
description: Runs tasks inside the nodes of C(sharpstack lab). Needs root on the machine that the lab is on.
options:
  program:
    description: The program.
    default: /usr/bin/sharpstack
    vars: [{name: sharpstack_program}]
  data:
    description: The lab's folder.
    default: /var/lib/sharpstack-lab
    vars: [{name: sharpstack_lab_data}]
"""

import glob
import os
import shlex
import subprocess

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase


class Connection(ConnectionBase):
    transport = "sharpstack_lab"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def _first_process(self):
        """The node's first process, as this machine sees it. Kept from task to task, since each runs in a process of its own."""
        node = self._play_context.remote_addr
        note = os.path.join(self.get_option("data"), f".ansible-{node}")
        try:
            with open(note, encoding="ascii") as file:
                pid, namespace = file.read().split()
            if os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                return pid
        except (OSError, ValueError):
            pass
        line = [self.get_option("program"), "lab", "enter", node, "--data", self.get_option("data"), "--", "readlink", "/proc/self/ns/pid"]
        namespace = subprocess.run(line, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        for path in glob.glob("/proc/[0-9]*/ns/pid"):
            pid = path.split("/")[2]
            try:
                with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
                    first = any(entry.startswith("NSpid:") and entry.split()[-1] == "1" for entry in status)
                if first and os.readlink(path) == namespace:
                    with open(note, "w", encoding="ascii") as file:
                        file.write(f"{pid} {namespace}")
                    return pid
            except OSError:
                continue
        raise AnsibleConnectionFailure(f"the first process of {node} is not to be found")

    def _enter(self, command, stdin=None):
        line = ["nsenter", "--target", self._first_process(), "--mount", "--uts", "--ipc", "--net", "--pid", "--",
                "env", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", command]
        done = subprocess.run(line, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._enter(cmd, in_data)

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as file:
            code, _, errors = self._enter(f"cat > {shlex.quote(out_path)}", file.read())
        if code != 0:
            raise AnsibleConnectionFailure(f"{out_path} cannot be written: {errors.decode(errors='replace')}")

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        code, content, errors = self._enter(f"cat {shlex.quote(in_path)}")
        if code != 0:
            raise AnsibleConnectionFailure(f"{in_path} cannot be read: {errors.decode(errors='replace')}")
        with open(out_path, "wb") as file:
            file.write(content)

    def close(self):
        self._connected = False
