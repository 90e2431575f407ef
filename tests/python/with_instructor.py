"""Instructor on OpenAI's client against `/v1`: objects instead of texts."""

import asyncio
import sys
from typing import List

import instructor
import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, Field

import checks
from checks import FAST, GEM, KEY, KINDS, URL, equal, true, user


class Person(BaseModel):
    """A person."""

    name: str = Field(description="The given name")
    age: int


class Household(BaseModel):
    """People under one roof."""

    people: List[Person]
    renting: bool


ADA = {"name": "Ada", "age": 36}
MODES = [
    instructor.Mode.TOOLS,
    instructor.Mode.TOOLS_STRICT,
    instructor.Mode.JSON,
    instructor.Mode.JSON_SCHEMA,
]


def connect(mode):
    client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    return instructor.from_openai(client, mode=mode).chat.completions


def check_a_person_in_every_mode():
    for alias in KINDS:
        for mode in MODES:
            found = connect(mode).create(
                model=alias, response_model=Person, messages=user("do:fill"), max_retries=0
            )
            true(isinstance(found, Person), f"{alias}: {mode}: {type(found)}")
            equal(found.model_dump(), ADA, f"{alias}: {mode}")


def check_an_object_with_others_in_it():
    for alias in KINDS:
        for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
            found = connect(mode).create(
                model=alias, response_model=Household, messages=user("do:fill"), max_retries=0
            )
            wanted = {"people": [ADA], "renting": True}
            equal(found.model_dump(), wanted, f"{alias}: {mode}")


def check_the_answer_behind_the_object():
    found, answer = connect(instructor.Mode.TOOLS).create_with_completion(
        model=FAST, response_model=Person, messages=user("do:fill"), max_retries=0
    )
    equal(found.model_dump(), ADA, "object")
    equal((answer.model, answer.usage.total_tokens), (FAST, 15), "model and tokens")


def check_an_object_that_grows():
    for alias in KINDS:
        for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
            stages = list(
                connect(mode).create_partial(
                    model=alias, response_model=Person, messages=user("do:fill"), max_retries=0
                )
            )
            last = stages[-1]
            equal((last.name, last.age), ("Ada", 36), f"{alias}: {mode}: the last stage")
            # Gemini's calls of tools come in one piece.
            whole = alias == GEM and mode == instructor.Mode.TOOLS
            true(whole or len(stages) >= 2, f"{alias}: {mode}: it came in one piece")


def check_asynchronously():
    async def read():
        client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
        completions = instructor.from_openai(client, mode=instructor.Mode.TOOLS).chat.completions
        asked = [
            completions.create(
                model=alias, response_model=Person, messages=user("do:fill"), max_retries=0
            )
            for alias in KINDS * 4
        ]
        return [found.model_dump() for found in await asyncio.gather(*asked)]

    equal(asyncio.run(read()), [ADA] * len(KINDS) * 4, "many at once")


if __name__ == "__main__":
    print(f"instructor on openai {openai.__version__}")
    checks.run(sys.modules[__name__])
