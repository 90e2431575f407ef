"""What all scripts here share: where the proxy is, checks that say what they found, and their run.

A script is plain functions named `check_...`. Each is run, also after another has failed; the exit
code is 0 only if none has.
"""

import inspect
import os
import sys
import traceback

import requests

URL = os.environ["TOLLGATE_URL"].rstrip("/")
API_URL = URL + "/api"
KEY = os.environ["TOLLGATE_KEY"]
TEAM = os.environ["TOLLGATE_TEAM"]

# Keys of teams that are refused for a reason.
POOR_KEY = os.environ["TOLLGATE_POOR_KEY"]
SUSPENDED_KEY = os.environ["TOLLGATE_SUSPENDED_KEY"]
PAUSED_KEY = os.environ["TOLLGATE_PAUSED_KEY"]
UNKNOWN_KEY = "sk-nobody-has-this-key-0000"

# One model for each kind of provider, with the tokens that its provider counts.
FAST, CLAUDE, GEM = "chat-fast", "claude", "gem"
USAGE = {FAST: (10, 5), CLAUDE: (25, 15), GEM: (25, 15)}
KINDS = list(USAGE)
EMBED = "embed"

# Models of provider accounts of their own, which may fail without others being left alone.
BROKEN, FLAKY, LIMITED = "chat-broken", "chat-flaky", "chat-limited"

# What must not reach a caller: providers' keys and their names of models.
SECRETS = os.environ["TOLLGATE_PROVIDER_KEYS"].split(",") + ["gpt-4o", "sonnet", "2.5-flash"]

# A picture of one point.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "The city's name"}},
    "required": ["city"],
}


def equal(found, wanted, what):
    """Fails unless both are equal."""
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")


def true(holds, what):
    """Fails unless it holds."""
    if not holds:
        raise AssertionError(what)


def raises(kind, act, what):
    """Runs what must fail with this very class of error, or one below it, and returns the error."""
    try:
        answer = act()
    except kind as error:
        hides(str(error), what)
        return error
    except Exception as error:
        raise AssertionError(
            f"{what}: raised {type(error).__name__} instead of {kind.__name__}: {error}"
        ) from error
    raise AssertionError(f"{what}: raised nothing instead of {kind.__name__}, but gave {answer!r}")


def hides(text, what):
    """Fails if the text holds what a caller must not see."""
    for secret in SECRETS:
        true(secret not in text, f"{what}: shows {secret!r}: {text}")


def user(text):
    """Messages with one question."""
    return [{"role": "user", "content": text}]


def create_job(key=KEY, team=TEAM):
    """Opens a job and returns its id."""
    headers = {"Authorization": f"Bearer {key}"}
    body = {"team_id": team, "job_type": "python"}
    answer = requests.post(f"{API_URL}/jobs/create", headers=headers, json=body, timeout=60)
    equal(answer.status_code, 200, f"creating a job: {answer.text}")
    return answer.json()["job_id"]


def complete_job(job, key=KEY):
    """Completes a job and returns what it came to."""
    headers = {"Authorization": f"Bearer {key}"}
    answer = requests.post(
        f"{API_URL}/jobs/{job}/complete",
        headers=headers,
        json={"status": "completed"},
        timeout=60,
    )
    equal(answer.status_code, 200, f"completing a job: {answer.text}")
    return answer.json()


def run(module):
    """Runs the checks of a module in their order and ends the process."""
    found = [check for name, check in vars(module).items() if name.startswith("check_")]
    failed = 0
    for check in sorted(found, key=lambda check: inspect.getsourcelines(check)[1]):
        try:
            check()
            print(f"ok      {check.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(found) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not found else 0)
