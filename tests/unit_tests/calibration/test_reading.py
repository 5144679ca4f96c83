"""Reading: units are those of compression, and features those of scoring."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.calibration._fitting import fit
from specprefill_integrations.calibration._labeled_cases import LabeledCase, find_evidence
from specprefill_integrations.calibration._reading import all_heads, read_cases, without_lookahead
from specprefill_integrations.calibration._run import read_for_calibration
from specprefill_integrations.scoring._attention_scorer import AttentionScorer
from specprefill_integrations.scoring._draft_model import DraftModel
from specprefill_integrations.scoring._profiles import ReadoutProfile, shape_of
from specprefill_integrations.types import Span
from tests.tiny_models import random_match, tiny_model, tiny_tokenizer

PROSE = "The cat sat on the mat. The dog ran away from it all."
CASE = LabeledCase(
    kind="facts",
    query="Who ran away?",
    texts=(PROSE, "It was late. Nobody came."),
    evidence=(((0, Span(24, 53)),),),
)


def a_table(rows=30):
    file = io.StringIO()
    csv.writer(file).writerows(
        [["light", "keeper"], *([f"Light {n}", f"K{n}"] for n in range(rows))]
    )
    return file.getvalue()


OF_KINDS = {
    "prose": " ".join(f"Light {n} is kept by K{n}." for n in range(30)),
    "one long sentence": "Light 7 is kept by K7 " + "and so on and on " * 60 + "until K7 left.",
    "markdown": "# Lights\n\n" + "\n".join(f"- Light {n}: K{n}" for n in range(30)),
    "json": json.dumps([{"light": n, "keeper": f"K{n}"} for n in range(30)]),
    "table": a_table(),
    "code": "\n\n".join(f"def light_{n}(x):\n    return x + 'K{n}'" for n in range(30)),
    "log": "\n".join(f"2026-01-01 12:00:{n:02} INFO light {n} by K{n}" for n in range(30)),
    "chat": "\n".join(f"Ada: who keeps light {n}?\nBob: K{n} does." for n in range(30)),
}


class Recording(AttentionScorer):
    """Notes what it is asked."""

    def score_spans(self, query, texts, spans):
        vars(self)["asked"] = (query, list(texts), [list(found) for found in spans])
        return super().score_spans(query, texts, spans)


@pytest.fixture(scope="module")
def draft():
    return DraftModel.from_pair(tiny_model("llama", dtype=torch.float64), tiny_tokenizer())


@pytest.mark.parametrize("kinds", [[kind] for kind in OF_KINDS] + [list(OF_KINDS)[:4]])
def test_units_are_those_of_a_compressor(draft, kinds):
    texts = tuple(OF_KINDS[kind] for kind in kinds)
    query = "Who keeps light 7?"
    case = LabeledCase(kind="k", query=query, texts=texts, evidence=find_evidence(texts, ["K7"]))
    [units] = read_cases(draft, all_heads(draft, window_tokens=200), [case])
    recording = Recording(draft)
    compressor = ContextCompressor(recording, on_error="raise")
    compressor.compress_documents(texts, query, budget=Budget(keep_fraction=0.2))
    request = units.matcher.request
    asked = (request.query, list(request.texts), [list(found) for found in request.spans])
    assert recording.asked == asked
    parts = [
        text[span.start : span.end]
        for text, found in zip(request.texts, request.spans, strict=True)
        for span in found
    ]
    alone = np.array(recording.count_tokens(parts))
    assert np.abs(units.tokens - alone).max() <= 2  # in its text, a unit has about as many
    assert len(units.features) == len(parts) == units.pieces.shape[1]
    [own] = units.pieces
    expected = ["K7" in part for part in parts]
    assert own.tolist() == expected
    assert any(expected)


def test_questions_that_need_every_word_are_read_too(draft):
    case = LabeledCase(
        kind="k",
        query="Translate the text word by word.",
        texts=CASE.texts,
        evidence=CASE.evidence,
    )
    assert len(list(read_cases(draft, all_heads(draft), [case]))) == 1


def test_a_piece_holds_the_units_of_all_its_places(draft):
    case = LabeledCase(
        kind="k",
        query="Who?",
        texts=CASE.texts,
        evidence=(((0, Span(20, 26)), (1, Span(13, 14))), ((1, Span(0, 5)),)),
    )
    [units] = read_cases(draft, all_heads(draft), [case])
    assert units.pieces.tolist() == [[True, True, False, True], [False, False, True, False]]


def test_cases_without_a_unit_of_every_piece_are_left_out(draft):
    blank = LabeledCase(
        kind="k",
        query="Who?",
        texts=(PROSE, " \n "),
        evidence=(((0, Span(0, 3)),), ((1, Span(0, 3)),)),
    )
    assert [units.kind for units in read_cases(draft, all_heads(draft), [blank, CASE])] == ["facts"]


def test_what_a_draft_cannot_do_is_raised_as_itself(draft, monkeypatch):
    def fails(*_):
        msg = "no such token"
        raise LookupError(msg)

    monkeypatch.setattr(AttentionScorer, "encode", fails)
    with pytest.raises(LookupError, match="no such token"):
        list(read_cases(draft, all_heads(draft), [CASE]))


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "deepseek_v3", "gemma3"])
def test_reading_agrees_with_scoring(architecture):
    """Features of calibration give the scores that the fitted readout gives."""
    draft = DraftModel.from_pair(tiny_model(architecture, dtype=torch.float64), tiny_tokenizer())
    readout = all_heads(draft, window_tokens=100)
    [units] = read_cases(draft, readout, [CASE])
    assert units.pieces.tolist() == [[False, True, False, False]]
    fitted = fit(readout, [units])
    request = units.matcher.request
    scores = AttentionScorer(draft, fitted).score_spans(CASE.query, CASE.texts, request.spans)
    expected = pytest.approx(units.scores(fitted), rel=1e-4, abs=1e-5)
    assert np.concatenate(scores) == expected
    assert int(np.argmax(np.concatenate(scores))) == 1  # what it was fitted to

    matching = replace(fitted, match=random_match(architecture, fitted.heads[-1][0]))
    scores = AttentionScorer(draft, matching).score_spans(CASE.query, CASE.texts, request.spans)
    assert np.concatenate(scores) == pytest.approx(units.scores(matching), rel=1e-3, abs=1e-4)
    assert not np.allclose(units.scores(matching), units.scores(fitted), rtol=0.01)


def test_without_lookahead_is_as_if_none_had_been_read(draft):
    wide = all_heads(draft, lookahead_tokens=2)
    plain = all_heads(draft)
    narrowed, [units] = without_lookahead(wide, list(read_cases(draft, wide, [CASE])))
    [expected] = read_cases(draft, plain, [CASE])
    assert narrowed == plain
    assert units.features == pytest.approx(expected.features, rel=1e-5)


def test_deep_layers_are_left_out(draft):
    assert {layer for layer, _ in all_heads(draft, last_depth=0.5).heads} == {1}
    assert {layer for layer, _ in all_heads(draft, last_depth=1.0).heads} == {1, 2}


@pytest.mark.parametrize("is_own", [True, False])
def test_enough_real_cases_give_a_profile_with_a_match(draft, is_own):
    found = read_for_calibration(draft, [CASE] * 134, own_kinds=["facts"] if is_own else [])
    profile = found.fit(["made up"], {})
    assert (profile.readout.match is not None) == is_own
    assert (profile.score_calibration is not None) == is_own


def test_the_match_of_a_prior_is_read_in_its_own_layer(draft):
    match = random_match("llama", 1)
    prior = replace(all_heads(draft, last_depth=1), match=match, own_weights=(0.1,) * 16)
    profile = ReadoutProfile(
        draft="tiny", shape=shape_of(draft.config), readout=prior, fitted_on={"cases": 1}
    )
    found = read_for_calibration(draft, [CASE] * 8, last_depth=1, prior=profile)
    assert found.units[0].values.layer == 1
    assert found.fit(["made up"], {}).readout.match == match
