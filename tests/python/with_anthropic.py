"""Anthropic's own client against `/v1/messages`, for providers of every kind."""

import asyncio
import json
import sys
import uuid
import warnings

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel

import checks
from checks import (
    BROKEN,
    CLAUDE,
    KEY,
    KINDS,
    PNG,
    URL,
    USAGE,
    WEATHER,
    equal,
    raises,
    true,
    user,
)

# The client knows by name which models will be shut down; that is not what is tested.
warnings.simplefilter("ignore", DeprecationWarning)

TOOLS = [{"name": "weather", "description": "Tells it", "input_schema": WEATHER}]


class Person(BaseModel):
    name: str
    age: int


def connect(key=KEY, **options):
    return Anthropic(base_url=URL, api_key=key, **{"max_retries": 0, **options})


client = connect()


def ask(text, model=CLAUDE, **options):
    options = {"max_tokens": 100, **options}
    return client.messages.create(model=model, messages=user(text), **options)


def echo(model, **options):
    """The request as the provider received it, as text."""
    options = {"max_tokens": 100, "messages": user("do:echo"), **options}
    return client.messages.create(model=model, **options).content[0].text


def check_message():
    for model in KINDS:
        answer = ask("Hi", model)
        equal([block.type for block in answer.content], ["text"], f"{model}: blocks")
        equal(answer.content[0].text, "Hello!", f"{model}: text")
        equal((answer.type, answer.role), ("message", "assistant"), f"{model}: type and role")
        equal((answer.stop_reason, answer.stop_sequence), ("end_turn", None), f"{model}: end")
        equal(answer.model, model, f"{model}: the alias is the only name")
        true(answer.id, f"{model}: id")
        counted = (answer.usage.input_tokens, answer.usage.output_tokens)
        equal(counted, USAGE[model], f"{model}: usage")


def check_system_and_turns():
    turns = [
        {"role": "user", "content": "What is Python?"},
        {"role": "assistant", "content": [{"type": "text", "text": "A language, or a snake."}]},
        {"role": "user", "content": "do:echo"},
    ]
    for model in KINDS:
        for system in ("Be brief.", [{"type": "text", "text": "Be brief."}]):
            sent = json.loads(echo(model, messages=turns, system=system))
            text = json.dumps(sent)
            for said in ("Be brief.", "What is Python?", "A language, or a snake."):
                true(said in text, f"{model}: {said!r} is not in {text}")
            where = {"chat-fast": "messages", "claude": "system", "gem": "systemInstruction"}
            part = json.dumps(sent.get(where[model]))
            true("Be brief." in part, f"{model}: the system prompt's place: {text}")


def check_tools():
    for model in KINDS:
        answer = ask("do:tools", model, tools=TOOLS)
        equal(answer.stop_reason, "tool_use", f"{model}: stop_reason")
        call = answer.content[-1]
        equal((call.type, call.name), ("tool_use", "weather"), f"{model}: call")
        equal(call.input, {"city": "Paris"}, f"{model}: input")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny, 20 °C"}
        turns = [
            *user("do:tools"),
            {"role": "assistant", "content": [block.to_dict() for block in answer.content]},
            {"role": "user", "content": [result]},
        ]
        final = client.messages.create(model=model, max_tokens=100, messages=turns, tools=TOOLS)
        equal(final.content[0].text, "Hello!", f"{model}: after the tool's result")
        turns[2]["content"].append({"type": "text", "text": "do:echo"})
        sent = echo(model, messages=turns, tools=TOOLS)
        true("Sunny, 20 °C" in sent, f"{model}: the tool's result: {sent}")


def check_a_tool_with_several_results():
    for model in KINDS:
        answer = ask("do:tools=2", model, tools=TOOLS)
        calls = [block for block in answer.content if block.type == "tool_use"]
        equal([call.input["city"] for call in calls], ["Paris", "Oslo"], f"{model}: inputs")
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call.id,
                "content": [{"type": "text", "text": f"Sunny in {call.input['city']}"}],
                "is_error": call.input["city"] == "Oslo",
            }
            for call in calls
        ]
        turns = [
            *user("do:tools=2"),
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [*results, {"type": "text", "text": "do:echo"}]},
        ]
        sent = echo(model, messages=turns, tools=TOOLS)
        for city in ("Paris", "Oslo"):
            true(f"Sunny in {city}" in sent, f"{model}: {city}'s result: {sent}")


def check_tool_choice():
    for model in KINDS:
        choice = {"type": "tool", "name": "weather"}
        answer = ask("do:fill", model, tools=TOOLS, tool_choice=choice)
        equal(answer.content[-1].input, {"city": "Ada"}, f"{model}: input of the forced tool")
        for word in ("auto", "any", "none"):
            answer = ask("Hi", model, tools=TOOLS, tool_choice={"type": word})
            equal(answer.content[0].text, "Hello!", f"{model}: tool_choice {word}")


def check_stream_helper():
    for model in KINDS:
        with client.messages.stream(model=model, max_tokens=100, messages=user("Hi")) as stream:
            texts = list(stream.text_stream)
            final = stream.get_final_message()
        equal("".join(texts), "Hello!", f"{model}: text")
        true(len(texts) >= 2, f"{model}: in one piece: {texts}")
        equal(final.content[0].text, "Hello!", f"{model}: the final text")
        equal(final.stop_reason, "end_turn", f"{model}: stop_reason")
        equal(final.model, model, f"{model}: the alias is the only name")
        counted = (final.usage.input_tokens, final.usage.output_tokens)
        equal(counted, USAGE[model], f"{model}: usage")


def check_events_of_a_stream():
    for model in KINDS:
        events = list(ask("Hi", model, stream=True))
        kinds = [event.type for event in events]
        equal(kinds[:2], ["message_start", "content_block_start"], f"{model}: beginning")
        wanted = ["content_block_stop", "message_delta", "message_stop"]
        equal(kinds[-3:], wanted, f"{model}: end")
        between = set(kinds[2:-3])
        equal(between, {"content_block_delta"}, f"{model}: between")
        equal(events[0].message.content, [], f"{model}: content at the beginning")
        equal(events[0].message.model, model, f"{model}: the alias is the only name")
        equal({e.index for e in events[1:-2]}, {0}, f"{model}: indices")


def check_tools_in_a_stream():
    for model in KINDS:
        with client.messages.stream(
            model=model, max_tokens=100, messages=user("do:tools=2"), tools=TOOLS
        ) as stream:
            pieces = [event.partial_json for event in stream if event.type == "input_json"]
            final = stream.get_final_message()
        calls = [block for block in final.content if block.type == "tool_use"]
        equal([call.input for call in calls], [{"city": "Paris"}, {"city": "Oslo"}], model)
        equal(len({call.id for call in calls}), 2, f"{model}: ids")
        equal(final.stop_reason, "tool_use", f"{model}: stop_reason")
        equal("".join(pieces), '{"city":"Paris"}{"city":"Oslo"}'.replace(" ", ""), model)


def check_thinking():
    thinking = {"type": "enabled", "budget_tokens": 1024}
    options = {"thinking": thinking, "max_tokens": 2000}
    answer = ask("do:think", CLAUDE, **options)
    equal([block.type for block in answer.content], ["thinking", "text"], "blocks")
    equal(answer.content[0].thinking, "Let me think.", "the thought")
    true(answer.content[0].signature, "the thought's signature")
    with client.messages.stream(model=CLAUDE, messages=user("do:think"), **options) as stream:
        final = stream.get_final_message()
    equal(final.content[0].thinking, "Let me think.", "the thought, streamed")
    equal(final.content[0].signature, answer.content[0].signature, "its signature, streamed")
    turns = [
        *user("do:think"),
        {"role": "assistant", "content": answer.content},
        *user("do:echo"),
    ]
    sent = json.loads(echo(CLAUDE, messages=turns, **options))
    kept = sent["messages"][1]["content"][0]
    equal(kept.get("signature"), answer.content[0].signature, "the thought comes back as it was")


def check_structured_output():
    for model in KINDS:
        answer = client.messages.parse(
            model=model, max_tokens=100, messages=user("do:fill"), output_format=Person
        )
        equal(answer.parsed_output, Person(name="Ada", age=36), f"{model}: parsed")


def check_pictures():
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "do:echo"}]
    for model in KINDS:
        sent = echo(model, messages=[{"role": "user", "content": content}])
        true(PNG in sent, f"{model}: the picture: {sent}")


def check_stop_sequences_and_limits():
    for model in KINDS:
        sent = echo(model, stop_sequences=["THE END", "FIN"], max_tokens=77)
        true('["THE END","FIN"]' in sent, f"{model}: stop sequences: {sent}")
        true(":77" in sent, f"{model}: max_tokens: {sent}")
        answer = ask("do:length", model)
        equal(answer.stop_reason, "max_tokens", f"{model}: the limit was reached")
    answer = ask("do:stopped", CLAUDE, stop_sequences=["THE END"])
    found = (answer.stop_reason, answer.stop_sequence)
    equal(found, ("stop_sequence", "THE END"), "which sequence stopped it")
    with client.messages.stream(
        model=CLAUDE, max_tokens=100, messages=user("do:stopped"), stop_sequences=["THE END"]
    ) as stream:
        final = stream.get_final_message()
    found = (final.stop_reason, final.stop_sequence)
    equal(found, ("stop_sequence", "THE END"), "which sequence stopped it, streamed")


def check_cached_tokens():
    answer = ask("do:cached=7,written=3", CLAUDE)
    usage = answer.usage
    found = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
    equal(found, (25, 7, 3), "tokens of the cache are counted apart")


def check_errors_have_their_classes():
    def refused(kind, key=KEY, what="", **options):
        options = {"model": CLAUDE, "max_tokens": 100, "messages": user("Hi"), **options}
        error = raises(kind, lambda: connect(key).messages.create(**options), what)
        equal(error.body["type"], "error", f"{what}: type of the body")
        true(error.body["error"]["message"], f"{what}: message")
        return error.status_code, error.body["error"]["type"]

    found = refused(anthropic.AuthenticationError, checks.UNKNOWN_KEY, "an unknown key")
    equal(found, (401, "authentication_error"), "an unknown key")
    found = refused(anthropic.PermissionDeniedError, checks.SUSPENDED_KEY, "a suspended team")
    equal(found, (403, "permission_error"), "a suspended team")
    found = refused(anthropic.APIStatusError, checks.POOR_KEY, "no credits")
    equal(found, (402, "billing_error"), "no credits")
    found = refused(anthropic.RateLimitError, checks.PAUSED_KEY, "a paused team")
    equal(found, (429, "rate_limit_error"), "a paused team")
    wrong = {"extra_body": {"temperature": 9}}
    found = refused(anthropic.BadRequestError, what="a temperature too high", **wrong)
    equal(found, (400, "invalid_request_error"), "a temperature too high")
    refused(anthropic.BadRequestError, what="no limit", extra_body={"max_tokens": None})
    for model in KINDS:
        what = f"{model} refuses"
        refused(anthropic.BadRequestError, what=what, model=model, messages=user("do:status=400"))
    failing = {"model": BROKEN, "messages": user("do:status=500")}
    refused(anthropic.InternalServerError, what="a failing provider", **failing)
    refused(anthropic.AuthenticationError, checks.UNKNOWN_KEY, "a stream refused", stream=True)


def check_broken_streams_are_errors():
    for model in KINDS:
        for script in ("do:words=9,gap=5,error=6", "do:words=9,gap=5,cut=6"):
            seen = []

            def read():
                for event in ask(script, model, stream=True):
                    seen.append(event)

            raises(anthropic.APIError, read, f"{model}: {script}")
            true(seen, f"{model}: {script}: what came before the error")


def check_retries():
    patient = connect(max_retries=4)
    for model in KINDS:
        answer = patient.messages.create(
            model=model, max_tokens=100, messages=user(f"do:fail-first=2:503 {uuid.uuid4()}")
        )
        equal(answer.content[0].text, "Hello!", f"{model}: after failures of the provider")


def check_headers_jobs_and_bearers():
    raw = client.messages.with_raw_response.create(model=CLAUDE, max_tokens=9, messages=user("Hi"))
    uuid.UUID(raw.headers["x-tollgate-job-id"])
    true(raw.headers["x-tollgate-call-id"].startswith("call_"), f"call id: {raw.headers}")
    job = checks.create_job()
    bearer = Anthropic(base_url=URL, auth_token=KEY, max_retries=0)
    answer = bearer.messages.create(
        model=CLAUDE,
        max_tokens=100,
        messages=user("Hi"),
        extra_headers={"x-tollgate-job-id": job, "X-Api-Key": anthropic.Omit()},
    )
    equal(answer.content[0].text, "Hello!", "with a bearer token")
    costs = checks.complete_job(job)["costs"]
    equal((costs["total_calls"], costs["total_tokens"]), (1, 40), "calls and tokens of the job")


def check_many_at_once():
    async def one(patient, number):
        text = f"answer number {number}"
        options = {
            "model": KINDS[number % len(KINDS)],
            "max_tokens": 100,
            "messages": user(f"do:gap=1,say={text}"),
        }
        if number % 2:
            found = (await patient.messages.create(**options)).content[0].text
        else:
            async with patient.messages.stream(**options) as stream:
                found = "".join([piece async for piece in stream.text_stream])
        equal(found, text, f"call {number}")

    async def all_of_them():
        async with AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0) as patient:
            await asyncio.gather(*(one(patient, number) for number in range(30)))

    asyncio.run(all_of_them())


if __name__ == "__main__":
    print(f"anthropic {anthropic.__version__}")
    checks.run(sys.modules[__name__])
