"""LangChain's client for OpenAI's API against `/v1`."""

import asyncio
import sys

import langchain_openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

import checks
from checks import EMBED, FAST, KEY, KINDS, URL, USAGE, equal, true


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"Sunny in {city}"


def model(alias=FAST, **options):
    return ChatOpenAI(
        model=alias, base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60, **options
    )


def check_invoke():
    for alias in KINDS:
        answer = model(alias).invoke([SystemMessage("Be brief."), HumanMessage("Hi")])
        true(isinstance(answer, AIMessage), f"{alias}: {type(answer)}")
        equal(answer.content, "Hello!", f"{alias}: content")
        equal(answer.response_metadata["finish_reason"], "stop", f"{alias}: finish_reason")
        equal(answer.response_metadata["model_name"], alias, f"{alias}: the only name")
        usage = answer.usage_metadata
        counted = (usage["input_tokens"], usage["output_tokens"])
        equal(counted, USAGE[alias], f"{alias}: usage")


def check_stream():
    for alias in KINDS:
        pieces = list(model(alias, stream_usage=True).stream("Hi"))
        equal("".join(piece.text for piece in pieces), "Hello!", f"{alias}: text")
        true(len([piece for piece in pieces if piece.text]) >= 2, f"{alias}: in one piece")
        whole = pieces[0]
        for piece in pieces[1:]:
            whole += piece
        usage = whole.usage_metadata
        counted = (usage["input_tokens"], usage["output_tokens"])
        equal(counted, USAGE[alias], f"{alias}: usage")
        plain = list(model(alias, stream_usage=False).stream("Hi"))
        equal("".join(piece.text for piece in plain), "Hello!", f"{alias}: without usage")


def check_batches_and_async():
    answers = model().batch([f"do:say=answer {number}" for number in range(8)])
    equal([a.content for a in answers], [f"answer {number}" for number in range(8)], "a batch")

    async def read():
        return "".join([piece.text async for piece in model().astream("Hi")])

    equal(asyncio.run(read()), "Hello!", "an asynchronous stream")


def check_tools():
    for alias in KINDS:
        bound = model(alias).bind_tools([weather])
        answer = bound.invoke("do:tools=2")
        found = [(call["name"], call["args"]["city"]) for call in answer.tool_calls]
        equal(found, [("weather", "Paris"), ("weather", "Oslo")], f"{alias}: calls")
        results = [weather.invoke(call) for call in answer.tool_calls]
        true(all(isinstance(result, ToolMessage) for result in results), f"{alias}: results")
        final = bound.invoke([HumanMessage("do:tools=2"), answer, *results])
        equal(final.content, "Hello!", f"{alias}: after the tools' results")
        whole = None
        for piece in bound.stream("do:tools=2"):
            whole = piece if whole is None else whole + piece
        found = [(call["name"], call["args"]["city"]) for call in whole.tool_calls]
        equal(found, [("weather", "Paris"), ("weather", "Oslo")], f"{alias}: streamed calls")
        forced = model(alias).bind_tools([weather], tool_choice="weather")
        found = [call["args"] for call in forced.invoke("do:fill").tool_calls]
        equal(found, [{"city": "Ada"}], f"{alias}: a forced call")


def check_structured_output():
    for alias in KINDS:
        for method in ("json_schema", "function_calling", "json_mode"):
            structured = model(alias).with_structured_output(Person, method=method)
            found = structured.invoke("do:fill as JSON")
            equal(found, Person(name="Ada", age=36), f"{alias}: {method}")


def check_embeddings():
    # The texts are sent as they are: counting their tokens would need OpenAI's vocabulary.
    embeddings = OpenAIEmbeddings(
        model=EMBED, base_url=f"{URL}/v1", api_key=KEY, check_embedding_ctx_length=False
    )
    equal(embeddings.embed_query("Hi"), [0.125, 0.140625, 0.15625, 0.171875], "one text")
    vectors = embeddings.embed_documents(["a", "b"])
    equal(vectors[1], [0.25, 0.265625, 0.28125, 0.296875], "the second of two texts")


if __name__ == "__main__":
    print(f"langchain-openai {getattr(langchain_openai, '__version__', '')}")
    checks.run(sys.modules[__name__])
