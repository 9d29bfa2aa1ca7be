"""Compares two runs of tempest (subunit files, ours and the genuine one's): prints a line a test, 'ok' where both failed with the same kind of error."""
import re
import sys

import subunit
import testtools


def results(path):
    found = {}

    def take(test):
        text = "".join(content.as_text() for name, content in test["details"].items() if "traceback" in name)
        errors = re.findall(r"^([A-Za-z_][\w.]*\.[\w.]*)(?::|$)", text, re.MULTILINE)
        found[test["id"].split("[")[0]] = (test["status"], errors[-1] if errors else "")

    result = testtools.StreamToDict(take)
    result.startTestRun()
    with open(path, "rb") as stream:
        subunit.ByteStreamToStreamResult(stream, non_subunit_name="output").run(result)
    result.stopTestRun()
    return found


here, there = results(sys.argv[1]), results(sys.argv[2])
for test in sorted(here.keys() | there.keys()):
    ours, theirs = here.get(test, ("not run", "")), there.get(test, ("not run", ""))
    alike = ours == theirs and ours[0] == "fail"
    print("ok" if alike else "FAILED", test, "fails alike:" if alike else "here:", *ours, *([] if alike else ["there:", *theirs]))
