"""docs/errors.md is made from the tables the session decides by. Run this file to write them anew."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOC = ROOT / "docs" / "errors.md"
HEAD = "| code | what it means | what the extension does | what you do |\n| --- | --- | --- | --- |\n"
ANY = {"*": "any other", "none": "none"}
TELLS = {"ClientError", "_put_error_once", "_put_error", "lose", "_lose", "report_loss", "settle_rest"}
"""What takes one of our own codes or causes as an argument."""


def service_tables() -> str:
    """One table for each place an error can come from."""
    from ten_packages.extension.openai_asr_python.realtime.errors import TABLE, Where

    parts = []
    for where in Where:
        rows = "".join(
            f"| {', '.join(ANY.get(code) or f'`{code}`' for code in row.codes)} | {row.meaning} "
            f"| {' '.join(part for part in (f'**{row.outcome.value}**.', row.detail) if part)} | {row.remedy} |\n"
            for row in TABLE
            if row.where is where
        )
        parts.append(f"### {where.value[0].upper()}{where.value[1:]}\n\n{HEAD}{rows}")
    return "\n".join(parts)


def own_table() -> str:
    """Our own codes and causes."""
    from ten_packages.extension.openai_asr_python.realtime.errors import OWN_CODES

    rows = "".join(
        f"| `{own.code}`{' (fatal)' if own.fatal else ''} | {own.meaning} | {own.does} | {own.remedy} |\n"
        for own in OWN_CODES
    )
    return HEAD + rows


def made(text: str) -> str:
    """*text* with the tables between its markers."""
    for name, table in (("service", service_tables()), ("own", own_table())):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        text = text[: text.index(begin) + len(begin)] + table + text[text.index(end) :]
    return text


def told_in(path: Path) -> Iterator[str]:
    """Codes written out where something is told to the user."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
            words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if name in TELLS and words and words[0].replace("_", "").isalnum():
                yield words[0]


def test_the_document_is_made_from_the_tables() -> None:
    text = DOC.read_text(encoding="utf-8")
    assert text == made(text), "run python tests/test_error_docs.py"


def test_every_outcome_is_explained() -> None:
    from ten_packages.extension.openai_asr_python.realtime.errors import Outcome

    text = DOC.read_text(encoding="utf-8").partition("<!-- service: begin -->")[0]
    for outcome in Outcome:
        assert f"| **{outcome.value}** |" in text


def test_every_row_fits_into_a_table() -> None:
    for line in (service_tables() + own_table()).splitlines():
        if line.startswith("|"):
            cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
            assert len(cells) == 4 and all(cell.strip() for cell in cells), line


def test_every_code_we_tell_is_in_the_table() -> None:
    from ten_packages.extension.openai_asr_python.realtime.errors import OWN_CODES

    codes = [own.code for own in OWN_CODES]
    assert len(set(codes)) == len(codes)
    files = [*(ROOT / "realtime").glob("*.py"), *ROOT.glob("*.py")]
    found = {code for path in files for code in told_in(path)}
    assert {"config_refused", "finalize_timeout", "stopped", "invalid_configuration", "data_fmt"} <= found
    assert found <= set(codes), f"not in the table: {sorted(found - set(codes))}"


if __name__ == "__main__":
    runpy.run_path(str(ROOT / "devkit" / "host" / "loader.py"))["load_extension"](ROOT)
    DOC.write_text(made(DOC.read_text(encoding="utf-8")), encoding="utf-8")
