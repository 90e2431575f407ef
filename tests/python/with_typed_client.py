"""A typed client of the job API: it believes what it reads only if it has the documented form."""

import json
import sys
from typing import Any, Dict, Iterator, List, Literal, Optional, Type, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

import checks
from checks import API_URL, FAST, KEY, KINDS, TEAM, USAGE, equal, raises, true, user

Form = TypeVar("Form", bound=BaseModel)


class Job(BaseModel):
    job_id: str
    status: str
    team_id: str
    created_at: str


class Message(BaseModel):
    role: Literal["assistant"]
    content: Optional[str]


class Choice(BaseModel):
    index: int
    message: Message
    finish_reason: str


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Answer(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: List[Choice]
    usage: Usage


class ChunkChoice(BaseModel):
    # A missing index is an error, a missing delta is not.
    model_config = ConfigDict(extra="allow")
    index: int
    delta: Dict[str, Any] = {}
    finish_reason: Optional[str] = None


class Chunk(BaseModel):
    id: str
    created: int
    model: str
    choices: List[ChunkChoice]
    usage: Optional[Usage] = None


class StreamError(Exception):
    """The stream said that it failed."""


class TypedClient:
    """What a team's application writes once and then uses everywhere."""

    def __init__(self, api_url: str, virtual_key: str, team_id: str, timeout: float = 120):
        headers = {"Authorization": f"Bearer {virtual_key}"}
        self.http = httpx.Client(base_url=api_url, headers=headers, timeout=timeout)
        self.team_id = team_id

    def _post(self, path: str, body: Dict[str, Any]) -> Dict[str, Any]:
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def create_job(self, job_type: str, metadata: Optional[Dict[str, Any]] = None) -> Job:
        body = {"team_id": self.team_id, "job_type": job_type, "metadata": metadata or {}}
        return Job(**self._post("/jobs/create", body))

    def chat(self, job_id: str, messages: List[Dict[str, Any]], **options: Any) -> Answer:
        return Answer(**self._post(f"/jobs/{job_id}/llm-call", {"messages": messages, **options}))

    def chat_stream(
        self, job_id: str, messages: List[Dict[str, Any]], **options: Any
    ) -> Iterator[Chunk]:
        body = {"messages": messages, **options}
        path = f"/jobs/{job_id}/llm-call-stream"
        with self.http.stream("POST", path, json=body) as answer:
            if answer.status_code != 200:
                answer.read()
                answer.raise_for_status()
            for line in answer.iter_lines():
                if not line.startswith("data: "):
                    continue
                data = line[len("data: ") :]
                if data == "[DONE]":
                    return
                read = json.loads(data)
                if "error" in read:
                    raise StreamError(read["error"])
                yield Chunk(**read)

    def structured_output(
        self, job_id: str, messages: List[Dict[str, Any]], form: Type[Form], **options: Any
    ) -> Form:
        answer = self.chat(job_id, messages, response_format=response_format(form), **options)
        return form(**json.loads(answer.choices[0].message.content))

    def structured_output_stream(
        self, job_id: str, messages: List[Dict[str, Any]], form: Type[Form], **options: Any
    ) -> Form:
        text = ""
        options = {"response_format": response_format(form), **options}
        for chunk in self.chat_stream(job_id, messages, **options):
            for choice in chunk.choices:
                if "content" in choice.delta:
                    # Where there is content it is text, else this fails.
                    text += choice.delta["content"]
        return form(**json.loads(text))

    def complete_job(
        self, job_id: str, status: str = "completed", result: Optional[Dict[str, Any]] = None
    ) -> Dict[str, Any]:
        return self._post(f"/jobs/{job_id}/complete", {"status": status, "result": result or {}})


def response_format(form: Type[BaseModel]) -> Dict[str, Any]:
    schema = {**form.model_json_schema(), "additionalProperties": False}
    return {
        "type": "json_schema",
        "json_schema": {"name": form.__name__, "schema": schema, "strict": True},
    }


class Person(BaseModel):
    name: str
    age: int


client = TypedClient(api_url=API_URL, virtual_key=KEY, team_id=TEAM)


def check_create_job():
    job = client.create_job("document_analysis", {"pages": 3})
    equal((job.team_id, job.status), (TEAM, "pending"), "the new job")
    client.complete_job(job.job_id, "failed")


def check_chat():
    job = client.create_job("chat").job_id
    for model in KINDS:
        answer = client.chat(job, user("Hi"), model_group=model, temperature=0.7, max_tokens=50)
        equal(answer.choices[0].message.content, "Hello!", f"{model}: content")
        equal(answer.model, model, f"{model}: the alias is the only name")
        equal(answer.usage.total_tokens, sum(USAGE[model]), f"{model}: tokens")
    done = client.complete_job(job, "completed", {"summary": "Hello!"})
    found = (done["status"], done["costs"]["total_calls"])
    equal(found, ("completed", len(KINDS)), "the completed job")


def check_chat_stream():
    job = client.create_job("chat").job_id
    for model in KINDS:
        chunks = list(client.chat_stream(job, user("Hi"), model_group=model))
        text = "".join(
            choice.delta.get("content", "") for chunk in chunks for choice in chunk.choices
        )
        equal(text, "Hello!", f"{model}: text")
        equal({chunk.model for chunk in chunks}, {model}, f"{model}: the alias is the only name")
        usage = [chunk.usage for chunk in chunks if chunk.usage][-1]
        equal(usage.total_tokens, sum(USAGE[model]), f"{model}: tokens")
    client.complete_job(job)


def check_content_is_never_null():
    job = client.create_job("chat").job_id
    tools = [{"type": "function", "function": {"name": "weather", "parameters": checks.WEATHER}}]
    for model in KINDS:
        for script in ("do:tools=2,nulls", "do:nulls", "do:think,nulls"):
            options = {"tools": tools} if "tools" in script else {}
            chunks = list(client.chat_stream(job, user(script), model_group=model, **options))
            for chunk in chunks:
                for choice in chunk.choices:
                    content = choice.delta.get("content", "")
                    true(isinstance(content, str), f"{model} {script}: {choice}")
            reason = "tool_calls" if options else "stop"
            reasons = {choice.finish_reason for chunk in chunks for choice in chunk.choices}
            equal(reasons, {None, reason}, f"{model} {script}: finish_reason")
    client.complete_job(job)


def check_structured_output():
    job = client.create_job("extraction").job_id
    for model in KINDS:
        found = client.structured_output(job, user("do:fill"), Person, model_group=model)
        equal(found, Person(name="Ada", age=36), f"{model}: at once")
        found = client.structured_output_stream(job, user("do:fill"), Person, model_group=model)
        equal(found, Person(name="Ada", age=36), f"{model}: streamed")
    client.complete_job(job, "completed", {"people": 6})


def check_errors():
    job = client.create_job("chat").job_id
    for model in KINDS:
        for script in ("do:words=9,gap=5,error=6", "do:words=9,gap=5,cut=6"):
            read = lambda: list(client.chat_stream(job, user(script), model_group=model))
            error = raises(StreamError, read, f"{model}: {script}")
            true(str(error), f"{model}: {script}: the error says something")
    refused = lambda: list(client.chat_stream(job, user("Hi"), model_group="nope"))
    error = raises(httpx.HTTPStatusError, refused, "a model that is not there")
    equal(error.response.status_code, 403, "a model that is not there")
    client.complete_job(job, "failed")
    again = lambda: client.chat(job, user("Hi"))
    error = raises(httpx.HTTPStatusError, again, "a job that has ended")
    equal(error.response.status_code, 409, "a job that has ended")


def check_the_client_itself():
    # A reply without a team is not taken, so that the checks above mean something.
    raises(ValidationError, lambda: Job(job_id="1", status="pending", created_at=""), "no team")
    equal(client.http.headers["authorization"], f"Bearer {KEY}", "the key")
    true(FAST in KINDS, "the default model is one of those")


if __name__ == "__main__":
    print(f"httpx {httpx.__version__}")
    checks.run(sys.modules[__name__])
