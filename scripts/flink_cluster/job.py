"""Submitting a job with Flink's own client."""

import json
import os
import re
import subprocess
import sys

from . import config
from .errors import SOFTWARE, UNAVAILABLE, Refused

SUBMITTED = re.compile(r"Job has been submitted with JobID ([0-9a-f]{32})")


def run(directory: str, state: dict, arguments) -> int:
    """Passes on what the job's main prints, then prints the job's id as the last line."""
    with open(os.path.join(directory, "plan.json"), encoding="utf-8") as file:
        plan = json.load(file)
    client = ["run", "-d", *(f"-D{key}={value}" for key, value in arguments.properties)]
    if arguments.main_class:
        client += ["-c", arguments.main_class]
    client += [arguments.jar, *arguments.arguments]
    errors = os.path.join(directory, "log", "client.err")
    with open(errors, "wb") as err:
        process = subprocess.Popen(
            config.client_command(directory, plan["client_options"], client), env=config.environment(directory),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, plan["cpus_jm"]) if plan["cpus_jm"] else None)
        job_id = None
        try:
            for line in process.stdout:
                if found := SUBMITTED.search(line):
                    job_id = found.group(1)
                else:
                    sys.stdout.write(line)
        finally:
            process.stdout.close()
            if job_id is None and process.poll() is None and sys.exc_info()[0]:
                process.terminate()
            exit_code = process.wait()
    if exit_code == 0 and job_id:
        print(job_id, flush=True)
        return 0
    with open(errors, encoding="utf-8", errors="replace") as err:
        return refuse(exit_code, err.read(), state["rest_url"], errors)


def refuse(exit_code: int, text: str, rest_url: str, errors: str) -> int:
    """A refusal of the job's own main is passed on as it is; else the innermost cause is told."""
    if 64 <= exit_code <= 78:
        sys.stderr.write(text)
        return exit_code
    if "Connection refused" in text:
        raise Refused(UNAVAILABLE, f"Flink is not reachable at {rest_url}: see flink-cluster.sh status")
    causes = re.findall(r"^(?:Caused by: )?\S*(?:Exception|Error): (.+)$", text, re.MULTILINE)
    cause = causes[-1] if causes else "no cause given"
    raise Refused(SOFTWARE, f"the job was not submitted: {cause} (whole story: {errors})")
