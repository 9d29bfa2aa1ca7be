"""Compares two runs of tempest (subunit files, ours and the genuine one's): prints a line a test with what it failed of, 'ok' where it failed in both."""
import re
import sys

import subunit
import testtools


def results(path):
    found = {}

    def take(test):
        # The first one is the test's own; those of its cleanup come after it.
        traceback = next((content.as_text() for name, content in sorted(test["details"].items()) if "traceback" in name), "")
        errors = re.findall(r"^([A-Za-z_][\w.]*\.[\w.]*)(?::|$)", traceback, re.MULTILINE)
        found[test["id"].split("[")[0]] = (test["status"], errors[-1] if errors else "")

    result = testtools.StreamToDict(take)
    result.startTestRun()
    with open(path, "rb") as stream:
        subunit.ByteStreamToStreamResult(stream, non_subunit_name="output").run(result)
    result.stopTestRun()
    return found


here, there = results(sys.argv[1]), results(sys.argv[2])
for test in sorted(name for name in here.keys() | there.keys() if not name.startswith(("setUpClass", "tearDownClass"))):
    ours, theirs = here.get(test, ("not run", "")), there.get(test, ("not run", ""))
    # A connection that broke says nothing of the service.
    ok = all(status == "fail" and error.startswith(("tempest.", "testtools.")) for status, error in (ours, theirs))
    print("ok" if ok else "FAILED", test, "here:", *ours, "there:", *theirs)
