"""The configuration: its properties, whether the model can do what is asked of it, and how long there is a model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import date
from urllib.parse import urlsplit

from ...audio import vad
from ...config import OpenAIASRConfig
from ...config_checks import check_session, doubts
from ...config_spelling import ENVIRONMENT, Spelling, normalise
from ...realtime.dialects.choice import DialectChoice
from ...realtime.errors import ConfigurationError, Problem
from ...realtime.models import resolve_turn_detection, rules_for, session_object, shutdown_notice
from ..transcription.destination import properties_of, unset_variables
from .case import Case
from .report import Finding, ok
from .route import ProxyUnusable, route_of
from .troubles import trouble


def check_configuration(case: Case) -> Finding:
    """What the extension makes of the node's property, and its environment."""
    spelling = normalise(properties_of(case.graph), os.environ)
    case.spelling = spelling
    problems = _load(case, spelling)
    unknown = [Problem(key.place, "unknown", key.remedy) for key in spelling.unknown]
    unset = unset_variables(case.graph.node.get("property", {}))
    if unset:
        case.config = None
        return trouble("variable_unset", f"not set: {', '.join(unset)}", variables=" and ".join(unset))
    if problems:
        case.config = None
        return _problems("property_wrong", map(_with_the_way_without_a_key, problems))
    try:
        route_of(case)
    except ProxyUnusable as error:
        return trouble("proxy_url", str(error), advice=error.advice)
    if unknown:
        return _problems("property_unknown", unknown)
    doubtful = [*doubts(case.settings, spelling), *_two_logins(case.settings, spelling)]
    if doubtful:
        said = [text.removeprefix("property ").partition(": ") for text in doubtful]
        remedy = "; ".join(f"{what.partition(' is ')[0]}: {advice}" for what, _, advice in said)
        return trouble("property_doubtful", "; ".join(what for what, _, _ in said), problems=remedy)
    written = len(spelling.places) - len(spelling.shipped)
    return ok(
        f"{written} propert{'y' if written == 1 else 'ies'} set, all known; {case.settings.connection.display_url}"
    )


def _two_logins(config: OpenAIASRConfig, spelling: Spelling) -> Iterator[str]:
    """As of `doubts`: the library makes a header of a login in the URL, and does not look for ours."""
    settings = config.connection
    kind = DialectChoice(settings.dialect, settings.base_url).kind
    has_key = settings.api_key is not None or settings.api_key_command is not None
    names = {*settings.headers, *(kind.credentials("a-key") if has_key else ())}
    if urlsplit(settings.base_url).username is not None and "authorization" in map(str.lower, names):
        shipped = ("base_url",) in spelling.shipped
        place = ENVIRONMENT["base_url"] if shipped else spelling.place(("base_url",))
        yield (
            f"property {place} is a URL with a user name, and there is a key as well, which makes two Authorization "
            "headers: take the user name out of it, or leave the key out"
        )


def _load(case: Case, spelling: Spelling) -> list[Problem]:
    """Take over the configuration; what is wrong with it, except for what the model cannot do."""
    unknown = {Problem(key.place, "unknown", key.remedy) for key in spelling.unknown}
    try:
        case.config = OpenAIASRConfig.of(spelling, today=case.world.today()).config
    except ConfigurationError as error:
        try:
            config = OpenAIASRConfig.read(spelling)
        except ConfigurationError:
            return list(error.problems)
        case.config, case.misfits = config, tuple(check_session(config, spelling))
        return [problem for problem in error.problems if problem not in {*case.misfits, *unknown}]
    return []


def _with_the_way_without_a_key(problem: Problem) -> Problem:
    if problem.given == "unset" and problem.field.rpartition(".")[2] == "api_key":
        return problem._replace(remedy=f"{problem.remedy}; without a key, --local looks at this machine alone")
    return problem


def _problems(name: str, problems: Iterable[Problem]) -> Finding:
    problems = list(dict.fromkeys(problems))
    detail = "; ".join(f"{problem.field} is {problem.given or 'wrong'}" for problem in problems)
    return trouble(name, detail, problems="; ".join(f"{problem.field}: {problem.remedy}" for problem in problems))


def check_model(case: Case) -> Finding:
    """Who ends turns, and what the model does not take."""
    config = case.settings
    options, rules = config.session_options(), config.model_rules
    model = options.transcription.model
    if case.misfits:
        return _problems("model_refuses", case.misfits)
    try:
        turns = resolve_turn_detection(options.turn_detection, model, local_vad_available=vad.available(), rules=rules)
    except ConfigurationError as error:
        return _problems("model_refuses", error.problems)
    case.options = options.replace(turn_detection=turns)
    _, left_out = session_object(case.options, rules)
    if left_out:
        return trouble("left_out", "; ".join(left_out))
    chosen = " (chosen by auto)" if options.turn_detection.type == "auto" else ""
    early = "text while the speaker speaks" if rules.streams_before_commit else "text after each turn"
    return ok(f"{model}: {early}, turns by {turns.type}{chosen}")


def check_end(case: Case) -> Finding:
    """The model's announced last day."""
    model = case.settings.input_audio_transcription.model
    today = case.world.today()
    rules = rules_for(model)
    if rules.shutdown_date is None:
        return ok("none is announced")
    left = (date.fromisoformat(rules.shutdown_date) - today).days
    when = f"in {left} days" if left >= 0 else "which is past: sessions may be refused"
    detail = f"announced for {rules.shutdown_date}, {when}"
    if shutdown_notice(model, today) is None:
        return ok(detail)
    return trouble("model_ending", detail, replacements=" or ".join(rules.replacements))
