# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/conntrack-semantics.md says nothing that no experiment shows, and every experiment stands on it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import semantics  # noqa: E402


def test_every_statement_has_its_experiment():
    shown = semantics.experiments()
    for sentence, path in semantics.stated().items():
        assert sentence in shown, f"no test says: {sentence}"
        assert shown[sentence][0] == path, f"{path.name} does not show: {sentence}"


def test_every_experiment_is_a_statement():
    missing = [f"{name}: {sentence}" for sentence, (_, name) in semantics.experiments().items()
               if sentence not in semantics.stated()]
    assert not missing


def test_every_bold_sentence_is_linked():
    text = semantics.PAGE.read_text()
    bold = text.count("**") // 2
    assert bold == len(semantics.STATEMENT.findall(text)) + 1  # the page's own word about bold sentences
