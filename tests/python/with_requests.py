"""The job API with plain HTTP, in every way that its documentation shows."""

import hashlib
import json
import sys
import uuid

import requests

import checks
from checks import API_URL, FAST, KEY, KINDS, TEAM, USAGE, equal, hides, true

HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


def post(path, body, **options):
    return requests.post(
        f"{API_URL}{path}", json=body, **{"headers": HEADERS, "timeout": 60, **options}
    )


def open_job(**fields):
    answer = post("/jobs/create", {"team_id": TEAM, "job_type": "document_analysis", **fields})
    equal(answer.status_code, 200, f"creating a job: {answer.text}")
    return answer.json()["job_id"]


def call(job, *messages, **fields):
    answer = post(f"/jobs/{job}/llm-call", {"messages": list(messages), **fields})
    equal(answer.status_code, 200, f"a call: {answer.text}")
    return answer.json()


def says(role, content):
    return {"role": role, "content": content}


def ask(text):
    return says("user", text)


def close(job, status="completed", **fields):
    answer = post(f"/jobs/{job}/complete", {"status": status, **fields})
    equal(answer.status_code, 200, f"completing a job: {answer.text}")
    return answer.json()


def credits_remaining():
    answer = requests.get(f"{API_URL}/credits/teams/{TEAM}/balance", headers=HEADERS, timeout=60)
    return answer.json()["credits_remaining"]


def check_the_workflow():
    before = credits_remaining()
    job = open_job()
    uuid.UUID(job)
    answer = call(job, ask("Analyze this document and summarize the key points"))
    equal(
        answer["response"],
        {"content": "Hello!", "role": "assistant", "finish_reason": "stop"},
        "response",
    )
    true(answer["call_id"].startswith("call_"), f"call_id: {answer}")
    equal(answer["metadata"]["tokens_used"], 15, "tokens_used")
    true(answer["metadata"]["latency_ms"] >= 0, f"latency_ms: {answer}")
    done = close(job)
    equal(done["status"], "completed", "status")
    equal(done["costs"]["credits_remaining"], before - 1, "credits_remaining")


def check_a_conversation():
    job = open_job()
    first = call(job, ask("What is Python?"))
    history = [ask("What is Python?"), says("assistant", first["response"]["content"])]
    second = call(job, *history, ask("do:echo"))
    sent = json.loads(second["response"]["content"])["messages"]
    equal([message["role"] for message in sent], ["user", "assistant", "user"], "roles")
    equal(sent[1]["content"], "Hello!", "the first answer")
    equal(close(job)["costs"]["total_calls"], 2, "calls")


def check_parameters():
    job = open_job()
    tutor = says("system", "You are a tutor. Explain clearly.")
    sent = json.loads(call(job, tutor, ask("do:echo"))["response"]["content"])
    equal(sent["messages"][0], tutor, "the system message")
    for fields in (
        {"temperature": 1.5},
        {"temperature": 0.2},
        {"max_tokens": 100},
        {"stop": ["\n6.", "END"]},
        {"temperature": 0.7, "max_tokens": 500},
        {"top_p": 0.5, "frequency_penalty": -1.0, "presence_penalty": 2.0},
    ):
        sent = json.loads(call(job, ask("do:echo"), **fields)["response"]["content"])
        for name, value in fields.items():
            equal(sent.get(name), value, name)
    cut = call(job, ask("do:length"), max_tokens=1)
    equal(cut["response"]["finish_reason"], "length", "a cut answer")
    close(job)


def check_json_in_an_answer():
    job = open_job()
    person = {"name": "John Smith", "age": 35, "email": "john@example.com"}
    extraction = says("system", "Always respond with valid JSON.")
    question = ask(f"do:say={json.dumps(person)}")
    answer = call(job, extraction, question, temperature=0.1)
    equal(json.loads(answer["response"]["content"]), person, "the extracted person")
    close(job)


def check_http_errors():
    def fails(status, path, body, what, **options):
        answer = post(path, body, **options)
        try:
            answer.raise_for_status()
        except requests.exceptions.HTTPError as error:
            equal(error.response.status_code, status, f"{what}: {answer.text}")
            true(isinstance(answer.json()["detail"], str), f"{what}: detail: {answer.text}")
            hides(answer.text, what)
            return answer
        raise AssertionError(f"{what}: answered {answer.status_code}")

    def bearer(key):
        return {"headers": {"Authorization": f"Bearer {key}"}}

    job = open_job()
    path, hello = f"/jobs/{job}/llm-call", {"messages": [ask("Hi")]}
    fails(400, path, {"messages": "Hi"}, "messages that are no list")
    fails(400, path, {**hello, "temperature": 3}, "a temperature too high")
    fails(401, path, hello, "an unknown key", **bearer(checks.UNKNOWN_KEY))
    fails(403, path, hello, "another team's job", **bearer(checks.POOR_KEY))
    fails(403, path, {**hello, "model": "chat-ungranted"}, "a model not granted")
    fails(404, f"/jobs/{uuid.uuid4()}/llm-call", hello, "a job that is not there")
    fails(403, "/jobs/create", {"team_id": TEAM, "job_type": "x"}, "suspended",
          **bearer(checks.SUSPENDED_KEY))
    paused = fails(429, "/jobs/create", {"team_id": TEAM, "job_type": "x"}, "paused",
                   **bearer(checks.PAUSED_KEY))
    true(int(paused.headers["retry-after"]) > 0, "Retry-After of a paused team")
    broken = {"model": checks.BROKEN, "messages": [ask("do:status=500")]}
    failed = fails(503, path, broken, "a failing provider")
    true(int(failed.headers["retry-after"]) > 0, "Retry-After of a failing provider")
    close(job, "failed", metadata={"error": "as expected"})
    fails(409, path, hello, "a job that has ended")


def check_a_time_out():
    job = open_job()
    try:
        post(f"/jobs/{job}/llm-call", {"messages": [ask("do:slow=5000")]}, timeout=0.5)
        raise AssertionError("no time-out")
    except requests.exceptions.Timeout:
        pass
    close(job, "failed")


def check_one_job_for_related_calls():
    before = credits_remaining()
    job = open_job(metadata={"document_length": 3})
    for step in ("extract_text", "classify_content", "generate_summary"):
        call(job, ask(step), purpose=step)
    done = close(job, metadata={"success": True})
    equal(done["costs"]["total_calls"], 3, "calls")
    equal(done["costs"]["total_tokens"], 45, "tokens")
    purposes = sorted(line["purpose"] for line in done["calls"])
    equal(purposes, ["classify_content", "extract_text", "generate_summary"], "purposes")
    equal(credits_remaining(), before - 1, "a job costs one credit")
    shown = requests.get(f"{API_URL}/jobs/{job}", headers=HEADERS, timeout=60).json()
    equal(shown["metadata"], {"document_length": 3, "success": True}, "metadata is merged")


def check_a_cache_of_the_caller():
    cache = {}
    job = open_job()

    def cached(messages):
        key = hashlib.md5(json.dumps(messages, sort_keys=True).encode()).hexdigest()
        if key not in cache:
            cache[key] = call(job, *messages)
        return cache[key]

    first, second = cached([ask("Hi")]), cached([ask("Hi")])
    equal(first["call_id"], second["call_id"], "the same answer")
    equal(close(job)["costs"]["total_calls"], 1, "calls")


def check_a_failing_analysis():
    before = credits_remaining()
    job = open_job()
    answer = post(f"/jobs/{job}/llm-call", {"messages": [ask("do:status=400")]})
    equal(answer.status_code, 400, f"the provider refuses: {answer.text}")
    done = close(job, "failed", metadata={"error": answer.json()["detail"]})
    equal(done["status"], "failed", "status")
    equal(done["costs"]["credits_remaining"], before, "a failed job costs nothing")


# Streams, read line by line.


def read(answer):
    """The comments and the data of a stream, to its end."""
    equal(answer.status_code, 200, f"a stream: {answer.text if not answer.ok else ''}")
    kind = answer.headers["content-type"]
    true(kind.startswith("text/event-stream"), f"content-type {kind}")
    equal(answer.headers["cache-control"], "no-cache", "cache-control")
    equal(answer.headers["x-accel-buffering"], "no", "x-accel-buffering")
    answer.encoding = "utf-8"
    comments, data = [], []
    for line in answer.iter_lines(decode_unicode=True):
        if line.startswith(":"):
            comments.append(line)
        elif line.startswith("data: "):
            data.append(line[len("data: ") :])
        else:
            equal(line, "", "a line that is neither data, comment nor end")
    return comments, data


def stream(path, body):
    with post(path, body, stream=True) as answer:
        comments, data = read(answer)
        return answer, comments, data


def check_a_stream_in_a_job():
    job = open_job()
    for model in KINDS:
        body = {"model": model, "messages": [ask("Hi")]}
        answer, _, data = stream(f"/jobs/{job}/llm-call-stream", body)
        equal(data[-1], "[DONE]", f"{model}: the end")
        chunks = [json.loads(line) for line in data[:-1]]
        text = "".join(
            choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]
        )
        equal(text, "Hello!", f"{model}: text")
        for chunk in chunks:
            for name in ("id", "created", "model", "choices"):
                true(name in chunk, f"{model}: {name} is not in {chunk}")
            equal(chunk["model"], model, f"{model}: the alias is the only name")
        counted = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
        found = (counted[-1]["prompt_tokens"], counted[-1]["completion_tokens"])
        equal(found, USAGE[model], f"{model}: usage")
        equal(answer.headers["x-tollgate-job-id"], job, f"{model}: the job")
        true(answer.headers["x-tollgate-call-id"].startswith("call_"), f"{model}: the call")
    done = close(job)
    equal(done["costs"]["total_calls"], len(KINDS), "calls")
    tokens = sum(sum(USAGE[model]) for model in KINDS)
    equal(done["costs"]["total_tokens"], tokens, "tokens")


def check_a_job_of_one_call():
    before = credits_remaining()
    body = {
        "team_id": TEAM,
        "job_type": "chat",
        "model": FAST,
        "messages": [ask("Hi")],
        "job_metadata": {"session": 1},
    }
    answer = post("/jobs/create-and-call", body)
    equal(answer.status_code, 200, answer.text)
    done = answer.json()
    for name in ("job_id", "status", "response", "metadata", "costs", "completed_at"):
        true(name in done, f"{name} is not in {done}")
    equal(done["status"], "completed", "status")
    equal(done["response"]["content"], "Hello!", "content")
    equal((done["costs"]["total_calls"], done["costs"]["credit_applied"]), (1, True), "costs")
    equal(done["costs"]["credits_remaining"], before - 1, "credits")
    shown = requests.get(f"{API_URL}/jobs/{done['job_id']}", headers=HEADERS, timeout=60).json()
    equal((shown["status"], shown["metadata"]), ("completed", {"session": 1}), "the job")


def check_a_stream_that_is_a_job():
    for model in KINDS:
        before = credits_remaining()
        body = {"team_id": TEAM, "job_type": "chat", "model": model, "messages": [ask("Hi")]}
        answer, comments, data = stream("/jobs/create-and-call-stream", body)
        true(comments, f"{model}: no sign of life comes first")
        equal(data[-1], "[DONE]", f"{model}: the end")
        text = "".join(
            choice["delta"].get("content", "")
            for line in data[:-1]
            for choice in json.loads(line)["choices"]
        )
        equal(text, "Hello!", f"{model}: text")
        job = answer.headers["x-tollgate-job-id"]
        shown = requests.get(f"{API_URL}/jobs/{job}", headers=HEADERS, timeout=60).json()
        equal(shown["status"], "completed", f"{model}: the job has ended")
        equal(credits_remaining(), before - 1, f"{model}: it costs one credit")


def check_streams_that_fail():
    job = open_job()
    before = credits_remaining()
    body = {"messages": [ask("Hi")], "model": "chat-ungranted"}
    refused = post(f"/jobs/{job}/llm-call-stream", body, stream=True)
    equal(refused.status_code, 403, "a refused stream is an ordinary error")
    true(refused.json()["detail"], "its detail")
    for script in ("do:words=9,gap=5,error=6", "do:words=9,gap=5,cut=6"):
        for model in KINDS:
            body = {"model": model, "messages": [ask(script)]}
            _, _, data = stream(f"/jobs/{job}/llm-call-stream", body)
            equal(data[-1], "[DONE]", f"{model} {script}: the end")
            error = json.loads(data[-2])
            true(isinstance(error["error"], str), f"{model} {script}: a sentence: {error}")
            hides(data[-2], f"{model} {script}")
            body = {"team_id": TEAM, "job_type": "chat", **body}
            answer, _, data = stream("/jobs/create-and-call-stream", body)
            true("error" in json.loads(data[-2]), f"{model} {script}: the error of the job")
            failed = answer.headers["x-tollgate-job-id"]
            shown = requests.get(f"{API_URL}/jobs/{failed}", headers=HEADERS, timeout=60).json()
            equal(shown["status"], "failed", f"{model} {script}: the job")
    close(job, "failed")
    equal(credits_remaining(), before, "failed streams cost nothing")


if __name__ == "__main__":
    print(f"requests {requests.__version__}")
    checks.run(sys.modules[__name__])
