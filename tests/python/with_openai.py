"""OpenAI's own client against `/v1`, for providers of every kind."""

import asyncio
import base64
import json
import struct
import sys
import uuid

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

import checks
from checks import (
    BROKEN,
    CLAUDE,
    EMBED,
    FAST,
    FLAKY,
    GEM,
    KEY,
    KINDS,
    LIMITED,
    PNG,
    URL,
    USAGE,
    WEATHER,
    equal,
    raises,
    true,
    user,
)


class Person(BaseModel):
    name: str
    age: int


ADA = Person(name="Ada", age=36)
TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "Tells it", "parameters": WEATHER},
    }
]


def connect(key=KEY, **options):
    return OpenAI(base_url=f"{URL}/v1", api_key=key, **{"max_retries": 0, **options})


client = connect()
completions = client.chat.completions


def ask(text, model=FAST, **options):
    return completions.create(model=model, messages=user(text), **options)


def echo(model=FAST, **options):
    """The request as the provider received it."""
    options.setdefault("messages", user("do:echo"))
    return json.loads(completions.create(model=model, **options).choices[0].message.content)


def check_chat():
    for model in KINDS:
        answer = ask("Hi", model)
        equal(answer.choices[0].message.content, "Hello!", f"{model}: content")
        equal(answer.choices[0].message.role, "assistant", f"{model}: role")
        equal(answer.choices[0].finish_reason, "stop", f"{model}: finish_reason")
        equal(answer.choices[0].index, 0, f"{model}: index")
        equal(answer.object, "chat.completion", f"{model}: object")
        equal(answer.model, model, f"{model}: the alias is the only name")
        true(answer.id and isinstance(answer.created, int), f"{model}: id and created: {answer}")
        counted = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        equal(counted, USAGE[model], f"{model}: usage")
        equal(answer.usage.total_tokens, sum(USAGE[model]), f"{model}: total_tokens")


def check_stream():
    for model in KINDS:
        chunks = list(ask("Hi", model, stream=True))
        # Applications read choices[0] of every chunk if they did not ask for usage.
        for chunk in chunks:
            equal(len(chunk.choices), 1, f"{model}: choices of {chunk}")
            equal(chunk.object, "chat.completion.chunk", f"{model}: object")
            equal(chunk.model, model, f"{model}: the alias is the only name")
        equal(len({chunk.id for chunk in chunks}), 1, f"{model}: ids of one answer")
        equal(chunks[0].choices[0].delta.role, "assistant", f"{model}: the first chunk's role")
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        equal(text, "Hello!", f"{model}: text")
        reasons = [chunk.choices[0].finish_reason for chunk in chunks]
        equal(reasons[-1], "stop", f"{model}: the last finish_reason")
        equal(set(reasons[:-1]), {None}, f"{model}: finish_reason before the end")
        contents = [chunk.choices[0].delta.content for chunk in chunks]
        true(len([text for text in contents if text]) >= 2, f"{model}: in one piece: {contents}")


def check_stream_with_usage():
    for model in KINDS:
        chunks = list(ask("Hi", model, stream=True, stream_options={"include_usage": True}))
        equal(chunks[-1].choices, [], f"{model}: choices of the last chunk")
        usage = chunks[-1].usage
        counted = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
        equal(counted, (*USAGE[model], sum(USAGE[model])), f"{model}: usage")
        for chunk in chunks[:-1]:
            equal(chunk.usage, None, f"{model}: usage before the end")
            equal(len(chunk.choices), 1, f"{model}: choices before the end")


def check_text_survives():
    for model in KINDS:
        equal(ask("do:unicode", model).choices[0].message.content, "Grüße, 世界! 🦀", model)
        chunks = ask("do:unicode", model, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        equal(text, "Grüße, 世界! 🦀", f"{model}: streamed")
        chunks = ask("do:words=500", model, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        equal(text, "".join(f"{number} " for number in range(500)), f"{model}: 500 chunks")


def check_finish_reasons():
    for model in KINDS:
        equal(ask("do:length", model).choices[0].finish_reason, "length", model)
        *_, last = ask("do:length", model, stream=True)
        equal(last.choices[0].finish_reason, "length", f"{model}: streamed")
        equal(ask("do:filter", model).choices[0].finish_reason, "content_filter", model)


def check_tools():
    for model in KINDS:
        answer = ask("do:tools", model, tools=TOOLS)
        message = answer.choices[0].message
        equal(answer.choices[0].finish_reason, "tool_calls", f"{model}: finish_reason")
        equal(len(message.tool_calls), 1, f"{model}: calls")
        call = message.tool_calls[0]
        equal(call.type, "function", f"{model}: type")
        equal(call.function.name, "weather", f"{model}: name")
        equal(json.loads(call.function.arguments), {"city": "Paris"}, f"{model}: arguments")
        true(call.id, f"{model}: the call has an id")
        turns = user("do:tools") + [message.to_dict()]
        turns.append({"role": "tool", "tool_call_id": call.id, "content": "Sunny, 20 °C"})
        final = completions.create(model=model, messages=turns, tools=TOOLS)
        equal(final.choices[0].message.content, "Hello!", f"{model}: after the tool's result")


def check_tool_choice():
    for model in KINDS:
        choice = {"type": "function", "function": {"name": "weather"}}
        message = ask("do:fill", model, tools=TOOLS, tool_choice=choice).choices[0].message
        arguments = json.loads(message.tool_calls[0].function.arguments)
        equal(arguments, {"city": "Ada"}, f"{model}: arguments of the forced tool")


def check_parallel_tool_calls_in_a_stream():
    for model, script in [*((model, "do:tools=2") for model in KINDS), (FAST, "do:tools=2,nulls")]:
        calls = {}
        reason = None
        for chunk in ask(script, model, tools=TOOLS, stream=True):
            choice = chunk.choices[0]
            reason = choice.finish_reason or reason
            for delta in choice.delta.tool_calls or []:
                call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += delta.id or ""
                call["name"] += delta.function.name or ""
                call["arguments"] += delta.function.arguments or ""
        equal(reason, "tool_calls", f"{model}: finish_reason")
        equal(sorted(calls), [0, 1], f"{model}: indices")
        cities = [json.loads(calls[index]["arguments"])["city"] for index in (0, 1)]
        equal(cities, ["Paris", "Oslo"], f"{model}: arguments")
        equal([call["name"] for call in calls.values()], ["weather"] * 2, f"{model}: names")
        equal(len({call["id"] for call in calls.values()}), 2, f"{model}: ids")


def check_the_clients_own_accumulation():
    for model in KINDS:
        with completions.stream(
            model=model, messages=user("do:tools=2"), tools=TOOLS
        ) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        true("tool_calls.function.arguments.done" in kinds, f"{model}: events {kinds}")
        calls = final.choices[0].message.tool_calls
        found = [json.loads(call.function.arguments)["city"] for call in calls]
        equal(found, ["Paris", "Oslo"], f"{model}: accumulated arguments")


def check_structured_output():
    for model in KINDS:
        answer = completions.parse(
            model=model, messages=user("do:fill"), response_format=Person
        )
        equal(answer.choices[0].message.parsed, ADA, f"{model}: parsed")
        with completions.stream(
            model=model, messages=user("do:fill"), response_format=Person
        ) as stream:
            final = stream.get_final_completion()
        equal(final.choices[0].message.parsed, ADA, f"{model}: parsed from a stream")
        tool = openai.pydantic_function_tool(Person)
        answer = completions.parse(model=model, messages=user("do:fill"), tools=[tool])
        call = answer.choices[0].message.tool_calls[0]
        equal(call.function.parsed_arguments, ADA, f"{model}: parsed arguments of a tool")
        answer = ask("do:fill", model, response_format={"type": "json_object"})
        equal(json.loads(answer.choices[0].message.content), ADA.model_dump(), f"{model}: JSON")


def check_embeddings():
    wanted = [0.125, 0.140625, 0.15625, 0.171875]
    for options in [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}]:
        answer = client.embeddings.create(model=EMBED, input="Hi", **options)
        vector = answer.data[0].embedding
        if isinstance(vector, str):
            vector = list(struct.unpack("<4f", base64.b64decode(vector)))
        equal(vector, wanted, f"a vector with {options}")
        equal(answer.model, EMBED, "the alias is the only name")
        equal((answer.usage.prompt_tokens, answer.usage.total_tokens), (8, 8), "usage")
    answer = client.embeddings.create(model=EMBED, input=["a", "b", "c"], dimensions=2)
    equal([item.index for item in answer.data], [0, 1, 2], "indices")
    equal([len(item.embedding) for item in answer.data], [2, 2, 2], "dimensions")
    tokens = client.embeddings.create(model=EMBED, input=[1, 2, 3])
    equal(len(tokens.data), 1, "a text given as tokens")


def check_models():
    names = {model.id for model in client.models.list()}
    true({*KINDS, "chat-mini"} <= names, f"granted models are listed: {names}")
    true("chat-ungranted" not in names, f"a model that is not granted is listed: {names}")
    equal(client.models.retrieve(FAST).id, FAST, "one model")
    act = lambda: client.models.retrieve("nope")
    raises(openai.NotFoundError, act, "a model that is not there")


def check_parameters_reach_the_provider():
    sent = echo(
        temperature=0.5,
        top_p=0.9,
        seed=7,
        user="someone",
        stop=["END"],
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        logit_bias={"50256": -100},
        parallel_tool_calls=False,
        tools=TOOLS,
        extra_body={"repetition_penalty": 1.1},
    )
    for name, value in {
        "model": "gpt-4o",
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "user": "someone",
        "stop": ["END"],
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "logit_bias": {"50256": -100},
        "parallel_tool_calls": False,
        "tools": TOOLS,
        "repetition_penalty": 1.1,
    }.items():
        equal(sent.get(name), value, name)
    for name in ("max_tokens", "max_completion_tokens"):
        limits = echo(**{name: 50})
        limits = {limits.get("max_tokens"), limits.get("max_completion_tokens")}
        true(50 in limits, f"{name} became {limits}")


def check_pictures_and_system_messages():
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    messages = [
        {"role": "system", "content": "Answer in French."},
        {"role": "user", "content": [picture, {"type": "text", "text": "do:echo"}]},
    ]
    for model in KINDS:
        sent = echo(model, messages=messages)
        true(PNG in json.dumps(sent), f"{model}: the picture: {sent}")
        true("Answer in French." in json.dumps(sent), f"{model}: the system message: {sent}")
    equal(echo(messages=messages)["messages"], messages, "messages are not changed")
    equal(echo(CLAUDE, messages=messages)["messages"][0]["role"], "user", "Anthropic's role")
    true("systemInstruction" in echo(GEM, messages=messages), "Gemini's system instruction")


def check_headers_and_jobs():
    raw = completions.with_raw_response.create(model=FAST, messages=user("Hi"))
    uuid.UUID(raw.headers["x-tollgate-job-id"])
    true(raw.headers["x-tollgate-call-id"].startswith("call_"), f"call id: {raw.headers}")
    true(raw.headers["x-request-id"], "x-request-id")
    equal(raw.parse()._request_id, raw.headers["x-request-id"], "the client's request id")
    for name in ("set-cookie", "x-provider-region"):
        true(name not in raw.headers, f"the provider's header {name} came through")

    job = checks.create_job()
    inside = {"x-tollgate-job-id": job}
    raw = completions.with_raw_response.create(
        model=FAST, messages=user("Hi"), extra_headers=inside
    )
    equal(raw.headers["x-tollgate-job-id"], job, "the job of the call")
    stream = completions.with_raw_response.create(
        model=CLAUDE, messages=user("Hi"), stream=True, extra_headers=inside
    )
    equal(stream.headers["x-tollgate-job-id"], job, "the job of the stream")
    equal(len(list(stream.parse())) > 2, True, "chunks of a raw stream")
    costs = checks.complete_job(job)["costs"]
    equal((costs["total_calls"], costs["total_tokens"]), (2, 55), "calls and tokens of the job")
    error = raises(
        openai.ConflictError,
        lambda: ask("Hi", extra_headers=inside),
        "a call in a job that has ended",
    )
    equal(error.status_code, 409, "status")
    raises(
        openai.NotFoundError,
        lambda: ask("Hi", extra_headers={"x-tollgate-job-id": str(uuid.uuid4())}),
        "a call in a job that is not there",
    )


def check_errors_have_their_classes():
    def refused(kind, key=KEY, what="", **options):
        options = {"model": FAST, "messages": user("Hi"), **options}
        act = lambda: connect(key).chat.completions.create(**options)
        error = raises(kind, act, what)
        true(isinstance(error.body, dict) and error.body.get("message"), f"{what}: {error.body}")
        return error

    error = refused(openai.AuthenticationError, checks.UNKNOWN_KEY, "an unknown key")
    equal((error.status_code, error.code), (401, "invalid_api_key"), "an unknown key")
    refused(openai.PermissionDeniedError, checks.SUSPENDED_KEY, "a suspended team")
    refused(openai.PermissionDeniedError, what="a model not granted", model="chat-ungranted")
    refused(openai.PermissionDeniedError, what="a model that is not there", model="nope")
    error = refused(openai.BadRequestError, what="a temperature too high", temperature=9)
    equal((error.status_code, error.param), (400, "temperature"), "a temperature too high")
    refused(openai.BadRequestError, what="no messages", messages=[])
    refused(openai.BadRequestError, what="the provider refuses", messages=user("do:status=400"))
    error = refused(openai.APIStatusError, checks.POOR_KEY, "no credits")
    equal((error.status_code, error.code), (402, "insufficient_credits"), "no credits")
    error = refused(openai.RateLimitError, checks.PAUSED_KEY, "a paused team")
    true(int(error.response.headers["retry-after"]) > 0, "Retry-After of a paused team")
    error = refused(
        openai.RateLimitError,
        what="the provider's limit",
        model=LIMITED,
        messages=user("do:status=429,retry-after=1"),
    )
    true(int(error.response.headers["retry-after"]) > 0, "Retry-After of a limit")
    refused(openai.InternalServerError, model=BROKEN, messages=user("do:status=500"), what="500")
    # A refused stream is an ordinary error.
    refused(openai.AuthenticationError, checks.UNKNOWN_KEY, "a stream refused", stream=True)
    refused(openai.APIStatusError, checks.POOR_KEY, "a stream without credits", stream=True)
    refused(openai.BadRequestError, what="400", messages=user("do:status=400"), stream=True)


def check_retries():
    patient = connect(max_retries=4)
    raw = patient.chat.completions.with_raw_response.create(
        model=FLAKY, messages=user(f"do:fail-first=3:503 {uuid.uuid4()}")
    )
    equal(raw.parse().choices[0].message.content, "Hello!", "after failures of the provider")
    chunks = patient.chat.completions.create(
        model=FLAKY, messages=user(f"do:fail-first=2:503 {uuid.uuid4()}"), stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    equal(text, "Hello!", "a stream after failures of the provider")


def check_timeouts():
    hasty = connect(timeout=0.5)
    act = lambda: hasty.chat.completions.create(model=FAST, messages=user("do:slow=5000"))
    raises(openai.APITimeoutError, act, "a time-out")


def check_broken_streams_are_errors():
    for model in KINDS:
        for end in ("error", "cut", "reset"):
            script = f"do:words=9,gap=5,{end}=6"
            what = f"{model}: {script}"
            seen = []

            def read():
                for chunk in ask(script, model, stream=True):
                    seen.append(chunk)

            error = raises(openai.APIError, read, what)
            true(error.message, f"{what}: the error says something")
            true(seen, f"{what}: what came before the error")
        equal(ask("Hi", model).choices[0].message.content, "Hello!", f"{model}: afterwards")


def check_leaving_a_stream():
    for model in KINDS:
        stream = ask("do:words=1000,gap=5", model, stream=True)
        next(iter(stream))
        stream.close()
        equal(ask("Hi", model).choices[0].message.content, "Hello!", f"{model}: afterwards")


def check_many_at_once():
    async def one(patient, number):
        text = f"answer number {number}"
        options = {"model": KINDS[number % len(KINDS)], "messages": user(f"do:gap=1,say={text}")}
        if number % 2:
            answer = await patient.chat.completions.create(**options)
            found = answer.choices[0].message.content
        else:
            stream = await patient.chat.completions.create(**options, stream=True)
            found = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        equal(found, text, f"call {number}")

    async def all_of_them():
        async with AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0) as patient:
            await asyncio.gather(*(one(patient, number) for number in range(40)))

    asyncio.run(all_of_them())


if __name__ == "__main__":
    print(f"openai {openai.__version__}")
    checks.run(sys.modules[__name__])
