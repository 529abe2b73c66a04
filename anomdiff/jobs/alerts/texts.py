"""A message as plain text, and as Slack has it; each escapes what its reader would take as code."""

from collections.abc import Mapping
from typing import Any

__all__ = ["plain_text", "slack_message"]

# Characters that Slack takes of a section, and of a heading.
MAX_SECTION, MAX_HEADING = 3000, 150


def plain_text(message: Mapping[str, Any]) -> str:
    """Lines of a message, for mail."""
    lines = [message["subject"], ""]
    lines += [f"! {told}" for told in message["warnings"]]
    for case in message["cases"]:
        lines += [f"- {_head(case)}", *(f"  {line}" for line in _details(case))]
    lines += ["", *_more(message)]
    if message["report"]:
        lines.append(f"Report: {message['report']}")
    return "\n".join(lines) + "\n"


def slack_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Text and blocks of an incoming webhook of Slack.

    What comes from tables can neither mention people nor be a link, ``&``, ``<`` and ``>`` are
    written as Slack wants them.
    """
    blocks: list[dict[str, Any]] = [_heading(message["subject"])]
    blocks += [_section(f":warning: {_escaped(told)}") for told in message["warnings"]]
    for case in message["cases"]:
        lines = [f"*{_escaped(_head(case))}*", *map(_escaped, _details(case))]
        blocks.append(_section("\n".join(lines)))
    last = [_escaped(each) for each in _more(message)]
    if message["report"]:
        last.append(_link(message["report"]))
    blocks.append(_section("\n".join(last)))
    return {"text": _escaped(message["subject"]), "blocks": blocks}


def _head(case: Mapping[str, Any]) -> str:
    severity = "" if case["severity"] is None else f", severity {case['severity']:g}"
    return f"{case['name']}{severity}"


def _details(case: Mapping[str, Any]) -> list[str]:
    """What happened, and of an incident when and where."""
    lines = [case["sentence"]] if case["sentence"] else []
    if "incident_id" in case:
        until = f"{case['start']} to {case['end']}{', ongoing' if case['ongoing'] else ''}"
        kind = f"{case['kind']} of " if case["kind"] else ""
        lines.append(f"{until}: {kind}{case['channels']} (incident {case['incident_id']})")
    return lines


def _more(message: Mapping[str, Any]) -> list[str]:
    """Cases that are not shown, and the model."""
    left = message["new"] - len(message["cases"])
    lines = [f"{left:,} more in the alarm table"] if left else []
    model = message["model"]
    if model["uri"]:
        lines.append(f"Model: {model['uri']}")
    return lines or ["No further alarms"]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _link(report: str) -> str:
    if not report.startswith(("http://", "https://")):
        return f"Report: {_escaped(report)}"
    return f"<{_escaped(report).replace('|', '%7C')}|Report>"


def _heading(text: str) -> dict[str, Any]:
    # Plain text is shown as it is.
    return {"type": "header", "text": {"type": "plain_text", "text": text[:MAX_HEADING]}}


def _section(text: str) -> dict[str, Any]:
    words = {"type": "mrkdwn", "text": text[:MAX_SECTION], "verbatim": True}  # no links of its own
    return {"type": "section", "text": words}
