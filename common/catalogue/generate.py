#!/usr/bin/env python3
"""Generates common/src/price/catalogue.txt: prices and limits of providers' models.

The figures come from the PyPI package genai-prices (MIT). They are compared with the price file in
the PyPI package litellm (MIT), which also adds limits of answers, and models that the first lacks.
Where both differ by more than a few percent, decisions.txt must say which one holds, and why;
otherwise the models are listed and nothing is written.

    python3 -m venv /tmp/prices && /tmp/prices/bin/pip install genai-prices==0.2.3
    pip download --no-deps genai-prices==0.2.3 litellm==1.110.2
    /tmp/prices/bin/python common/catalogue/generate.py 2026-11-30 \
        genai_prices-0.2.3-*.whl litellm-1.110.2-*.whl
"""

import datetime
import fnmatch
import hashlib
import json
import pathlib
import re
import sys
import zipfile
from decimal import Decimal

HERE = pathlib.Path(__file__).parent
OUTPUT = HERE.parent / "src" / "price" / "catalogue.txt"

# The wheels whose figures were read and compared; a new version is a new pair of hashes.
WHEELS = {
    "genai-prices 0.2.3": "56976ce2b04ec206117f7d0e53f4849211a6724ab3a12119afec304eba63ee25",
    "litellm 1.110.2": "9d94d1c7d524b6fd10c14f9c8c6c4f0ac31705f9964ac59dcfd8337c046d8917",
}

# Providers by the name that both lists give them, and how their names end in dates beside
# -YYYYMMDD and -YYYY-MM-DD.
PROVIDERS = {
    "alibaba": ((), ("dashscope",), ""),
    "anthropic": (("anthropic",), ("anthropic",), ""),
    "aws": (("aws",), ("bedrock", "bedrock_converse"), ""),
    "azure": (("azure",), ("azure",), ""),
    "cerebras": (("cerebras",), ("cerebras",), ""),
    "cohere": (("cohere",), ("cohere", "cohere_chat"), ""),
    "deepseek": (("deepseek",), ("deepseek",), "MMDD"),
    "fireworks": (("fireworks",), ("fireworks_ai", "fireworks_ai-embedding-models"), ""),
    "google": (
        ("google",),
        ("gemini", "vertex_ai-language-models", "vertex_ai-anthropic_models"),
        "",
    ),
    "groq": (("groq",), ("groq",), ""),
    "meta": (("meta",), ("meta_llama",), ""),
    "minimax": (("minimax",), ("minimax",), ""),
    "mistral": (("mistral",), ("mistral",), "YYMM"),
    "moonshot": (("moonshotai",), ("moonshot",), "MMDD"),
    "openai": (("openai",), ("openai", "text-completion-openai"), "MMDD"),
    "openrouter": (("openrouter",), ("openrouter",), ""),
    "perplexity": (("perplexity",), ("perplexity",), ""),
    "together": (("together",), ("together_ai",), ""),
    "voyage": (("voyageai",), ("voyage",), ""),
    "xai": (("x-ai",), ("xai",), "MMDD"),
    "zai": (("zai",), ("zai",), ""),
}

# What each member is called there and here; fees are dollars per thousand in both.
MEMBERS = {
    "input_mtok": "in",
    "output_mtok": "out",
    "cache_read_mtok": "read",
    "cache_write_mtok": "write",
    "cache_write_1h_mtok": "write1h",
    "input_audio_mtok": "audio",
    "cache_audio_read_mtok": "audioread",
    "input_image_mtok": "image",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "outaudio",
    "output_image_mtok": "outimage",
    "web_searches_kcount": "web",
    "storage_searches_kcount": "file",
    "requests_kcount": "request",
}

# The same in litellm's list, in dollars per token.
LITELLM = {
    "input_cost_per_token": "in",
    "output_cost_per_token": "out",
    "cache_read_input_token_cost": "read",
    "cache_creation_input_token_cost": "write",
    "cache_creation_input_token_cost_above_1hr": "write1h",
    "input_cost_per_audio_token": "audio",
    "output_cost_per_audio_token": "outaudio",
    "output_cost_per_reasoning_token": "reasoning",
}
MODES = {"chat", "completion", "responses", "embedding"}
NAME = re.compile(r"[a-z0-9][a-z0-9._:/@+-]*[a-z0-9]")
TOLERANCE = Decimal("0.03")


def number(value):
    """A decimal as short as it can be written, with at most six decimals."""
    text = f"{Decimal(value).quantize(Decimal('0.000001')):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Row:
    """A model: its conditions with their members, and its limits."""

    def __init__(self, conditions, context=None, output=None, start=None, note=None):
        self.conditions = conditions
        self.context, self.output = context, output
        self.start, self.note = start, note

    def base(self):
        return self.conditions[("standard", 0)]

    def text(self, name):
        segments = []
        order = list(dict.fromkeys(["standard", "batch", "fast", "flex", "priority"]))
        for (service, above), members in sorted(
            self.conditions.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        ):
            head = "" if service == "standard" else service
            head += f">{above}" if above else ""
            shown = [f"{key}={number(members[key])}" for key in MEMBERS.values() if key in members]
            if not head:
                shown += [f"ctx={self.context}"] if self.context else []
                shown += [f"max={self.output}"] if self.output else []
                shown += [f"from={self.start}"] if self.start else []
            segments.append(" ".join([head or name, *shown]))
        line = " ; ".join(segments)
        return f"{line} # {self.note}" if self.note else line


def tiers_of(types, price):
    """Members by the prompt tokens above which they hold."""
    thresholds = {0}
    raw = {MEMBERS[k]: v for k, v in vars(price).items() if k in MEMBERS and v is not None}
    for value in raw.values():
        if isinstance(value, types.TieredPrices):
            thresholds.update(tier.start for tier in value.tiers)
    result = {}
    for threshold in sorted(thresholds):
        members = {}
        for key, value in raw.items():
            if isinstance(value, types.TieredPrices):
                reached = [tier.price for tier in value.tiers if tier.start <= threshold]
                value = reached[-1] if threshold and reached else value.base
            members[key] = Decimal(value)
        result[threshold] = members
    return result


def dearest(one, other):
    """Both prices of a day on which the time decides: the dearer of each member."""
    merged = {}
    for threshold in set(one) | set(other):
        a, b = one.get(threshold, one[0]), other.get(threshold, other[0])
        merged[threshold] = {
            key: max(a.get(key, Decimal(-1)), b.get(key, Decimal(-1))) for key in set(a) | set(b)
        }
    return merged


def prices_on(types, model, day):
    """The conditions of a model on a day."""
    prices = model.prices
    if not isinstance(prices, list):
        prices = [types.ConditionalPrice(constraint=None, prices=prices)]
    begun, timed = None, []
    for price in prices:
        if isinstance(price.constraint, types.StartDateConstraint):
            if price.constraint.start_date <= day:
                begun, timed = tiers_of(types, price.prices), []
        elif price.constraint is None:
            begun = begun or tiers_of(types, price.prices)
        else:
            timed.append(tiers_of(types, price.prices))
    for other in timed:
        begun = dearest(begun or other, other)
    if not begun:
        return None
    conditions = {("standard", threshold): members for threshold, members in begun.items()}
    for variant in model.price_variants or []:
        service = variant.when.get("service_tier") or variant.when.get("speed")
        service = "batch" if variant.when == {"processing": "batch"} else service
        if service not in {"batch", "fast", "flex", "priority"}:
            continue
        starts = variant.constraint
        if isinstance(starts, types.StartDateConstraint) and starts.start_date > day:
            continue
        listed = tiers_of(types, variant.prices)
        for threshold in set(listed) | set(begun):
            usual = begun.get(threshold) or begun[max(t for t in begun if t <= threshold)]
            changed = listed[max(t for t in listed if t <= threshold)]
            conditions[(service, threshold)] = {**usual, **changed}
    return conditions


def days_of(types, model, day):
    """The days from `day` on at which the price of a model changes."""
    constraints = [variant.constraint for variant in model.price_variants or []]
    if isinstance(model.prices, list):
        constraints += [price.constraint for price in model.prices]
    starts = [c.start_date for c in constraints if isinstance(c, types.StartDateConstraint)]
    return [day, *sorted({start for start in starts if start > day})]


def start_of(types, model, day):
    """The day on which the price of `day` began, if the list says so."""
    if not isinstance(model.prices, list):
        return None
    starts = [p.constraint.start_date for p in model.prices
              if isinstance(p.constraint, types.StartDateConstraint)]
    return max((start for start in starts if start <= day), default=None)


def literals(types, clause):
    """Names that a clause spells out, with how exact they are."""
    if isinstance(clause, types.ClauseEquals):
        return [(1, clause.equals)]
    if isinstance(clause, types.ClauseStartsWith):
        return [(2, clause.starts_with)]
    if isinstance(clause, types.ClauseContains):
        return [(3, clause.contains)]
    inner = list(getattr(clause, "or_", None) or getattr(clause, "and_", None) or [])
    return [found for part in inner for found in literals(types, part)]


def usable(conditions, provider, name):
    """Whether a price can be charged by: of tokens, whole, and free only where that is a rule."""
    base = conditions[("standard", 0)]
    if "in" not in base and "out" in base and "audio" not in base:
        return False
    for members in conditions.values():
        if "in" not in members or any(value < 0 for value in members.values()):
            return False
        if "out" not in members:
            made = [members[key] for key in ("outaudio", "outimage") if key in members]
            embeds = "embed" in name or "voyage" in name or "moderation" in name
            if not made and not embeds:
                return False
            members["out"] = max(made, default=Decimal(0))
    is_free = not base["in"] and not base["out"]
    return not is_free or (provider == "openrouter" and name.endswith(":free"))


def from_genai(types, provider, listed, day):
    """Rows by name, the most exact names first."""
    rows, aliases = {}, []
    for model in listed.models:
        for start in days_of(types, model, day):
            conditions = prices_on(types, model, start)
            if not conditions or not usable(conditions, provider, model.id):
                continue
            since = start if start > day else start_of(types, model, day)
            row = Row(conditions, context=model.context_window, start=since)
            rows.setdefault(model.id.lower(), []).append(row)
        found = listed.find_model(model.id)
        for rank, name in sorted(literals(types, model.match)):
            name = name.lower()
            first = listed.find_model(name)
            is_own = first is not None and first.id == model.id
            if NAME.fullmatch(name) and len(name) >= 4 and is_own and found is not None:
                aliases.append((rank, name, model.id.lower()))
    names = {}
    for _, name, target in sorted(aliases):
        if name not in rows and target in rows:
            names.setdefault(name, target)
    return rows, names


def litellm_row(entry):
    """A model of litellm's list, or nothing if it is not priced by tokens."""
    conditions = {}
    for key, value in entry.items():
        for stem, member in LITELLM.items():
            if not isinstance(value, (int, float)) or not key.startswith(stem):
                continue
            rest = key[len(stem):]
            found = re.fullmatch(r"(?:_above_(\d+)k_tokens)?(?:_(flex|priority|batches))?", rest)
            if found is None:
                continue
            service = {"batches": "batch", None: "standard"}.get(found[2], found[2])
            above = int(found[1]) * 1000 if found[1] else 0
            millions = Decimal(repr(value)) * 1_000_000
            conditions.setdefault((service, above), {})[member] = millions
    base = conditions.get(("standard", 0), {})
    if "in" not in base or "out" not in base or entry.get("mode") not in MODES:
        return None
    if base["in"] <= 0 or (base["out"] <= 0 and entry["mode"] != "embedding"):
        return None
    searches = (entry.get("search_context_cost_per_query") or {}).values()
    if searches:
        base["web"] = Decimal(repr(max(searches))) * 1000
    for (service, above), members in list(conditions.items()):
        usual = conditions.get(("standard", above)) or base
        if {"in", "out"} - members.keys() and service == "standard" and above:
            members.update({k: v for k, v in base.items() if k not in members})
        elif service != "standard" and {"in", "out"} - members.keys():
            members.update({k: v for k, v in usual.items() if k not in members})
    return Row(
        conditions,
        context=entry.get("max_input_tokens") or None,
        output=entry.get("max_output_tokens") or None,
    )


def litellm_rows(wheel):
    """Rows by provider and name without the provider's prefix."""
    with zipfile.ZipFile(wheel) as files:
        prices = json.loads(files.read("litellm/model_prices_and_context_window_backup.json"))
    owners = {theirs: ours for ours, (_, names, _) in PROVIDERS.items() for theirs in names}
    rows = {provider: {} for provider in PROVIDERS}
    for full, entry in sorted(prices.items()):
        provider = owners.get(entry.get("litellm_provider"))
        row = litellm_row(entry) if provider else None
        if row is None:
            continue
        prefix = full.split("/", 1)[0]
        known = {entry["litellm_provider"], "fireworks_ai", "vertex_ai", "gemini", "azure"}
        name = full.split("/", 1)[1] if "/" in full and prefix in known else full
        name = name.lower()
        if NAME.fullmatch(name) and (provider != "azure" or "/" not in name):
            rows[provider].setdefault(name, row)
    return rows


def is_date_suffix(rest, style):
    """The same rule as in common/src/price/name.rs."""
    if rest == "-latest":
        return True
    if found := re.fullmatch(r"[-@](\d{4})(\d\d)(\d\d)|-(\d{4})-(\d\d)-(\d\d)", rest):
        year, month, day = (int(part) for part in found.groups() if part)
        return 2015 <= year <= 2099 and 1 <= month <= 12 and 1 <= day <= 31
    if found := re.fullmatch(r"-(\d\d)(\d\d)", rest):
        first, second = int(found[1]), int(found[2])
        if style == "MMDD":
            return 1 <= first <= 12 and 1 <= second <= 31
        return style == "YYMM" and 20 <= first <= 99 and 1 <= second <= 12
    return False


def undated(name, names, style):
    """The longest of the names that this one is with a date at its end, or nothing."""
    found = [other for other in names
             if name.startswith(other) and is_date_suffix(name[len(other):], style)]
    return max(found, key=len, default=None)


def decisions():
    """Rules of decisions.txt: provider, name with *, which list, why."""
    rules = []
    for line in (HERE / "decisions.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            provider, pattern, choice, why = line.split(None, 3)
            rules.append((provider, pattern, choice, why))
    return rules


def decide(rules, provider, name):
    for ruled, pattern, choice, why in rules:
        if ruled == provider and fnmatch.fnmatchcase(name, pattern):
            return choice, why
    return None


def differences(one, other):
    """Members that both have and that differ by more than the tolerance."""
    found = []
    for key in ("in", "out", "read", "write"):
        a, b = one.base().get(key), other.base().get(key)
        if a is not None and b is not None and abs(a - b) > TOLERANCE * max(a, b):
            found.append(f"{key} {number(a)} / {number(b)}")
    return found


def merge(provider, rows, names, others, rules, open_questions):
    """Compares both lists, takes limits, and adds what the first one lacks."""
    for name, other in sorted(others.items()):
        if not usable(other.conditions, provider, name):
            continue
        target = names.get(name, name)
        if target in rows:
            row = rows[target][0]
            row.output = row.output or other.output
            row.context = row.context or other.context
            for key in ("audio", "outaudio", "write1h"):
                if key in other.base() and other.base()[key] > 0:
                    row.base().setdefault(key, other.base()[key])
            differing = differences(row, other)
            if not differing:
                continue
            decided = decide(rules, provider, name)
            if decided is None:
                open_questions.append(f"{provider} {name}: {', '.join(differing)}")
            elif decided[0] == "litellm":
                other.note = f"litellm: {decided[1]}"
                names.pop(name, None)
                rows[name] = [other]
            elif target == name:
                row.note = decided[1]
        elif is_listed_apart(provider, name, rows, names, others, rules, open_questions):
            other.note = "litellm"
            rows[name] = [other]


def is_listed_apart(provider, name, rows, names, others, rules, open_questions):
    """Whether a model that only litellm lists needs a row: a dated name is found by the name
    without its date, unless this snapshot has a price of its own."""
    style = PROVIDERS[provider][2]
    base = undated(name, rows.keys() | names.keys(), style)
    if base is None:
        return True
    listed = others.get(base) or rows[names.get(base, base)][0]
    differing = differences(listed, others[name])
    if not differing:
        return False
    decided = decide(rules, provider, name)
    if base not in others and decided is None:
        open_questions.append(f"{provider} {name}: {', '.join(differing)} (listed as {base})")
    return decided is None or decided[0] == "litellm"


def main():
    day = datetime.date.fromisoformat(sys.argv[1])
    for path, (package, digest) in zip(sys.argv[2:4], WHEELS.items()):
        found = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
        if found != digest:
            sys.exit(f"{path} is not the wheel of {package}: its SHA-256 is {found}")
    sys.path.insert(0, sys.argv[2])
    from genai_prices import data, types  # pylint: disable=import-outside-toplevel

    lists = {provider.id: provider for provider in data.providers}
    others, rules, questions = litellm_rows(sys.argv[3]), decisions(), []
    lines = [
        "# Prices and limits of models, in dollars per million tokens and per thousand billed calls.",
        "# Generated by common/catalogue/generate.py; decisions are in common/catalogue.",
        f"version {day}",
        *(f"source {package} sha256:{digest}" for package, digest in WHEELS.items()),
    ]
    for provider, (theirs, _, style) in PROVIDERS.items():
        rows, names = {}, {}
        for listed in theirs:
            rows, names = from_genai(types, provider, lists[listed], day)
        merge(provider, rows, names, others[provider], rules, questions)
        lines += ["", f"provider {provider}" + (f" dates={style}" if style else "")]
        texts = [row.text(name) for name, all_days in rows.items() for row in all_days]
        texts += [f"{name} = {target}" for name, target in names.items() if name not in rows]
        lines += sorted(texts)
    lines += ["", "provider demo", "demo-model in=0.15 out=0.6 read=0.075 max=4096"]
    if questions:
        print("\n".join(questions))
        sys.exit(f"{len(questions)} models differ between the lists; decide in decisions.txt")
    OUTPUT.write_text("\n".join(lines) + "\n")
    print(f"{OUTPUT}: {len(lines)} lines")


if __name__ == "__main__":
    main()
