"""Languages that a draft does not know, and questions in another language than their text."""

from __future__ import annotations

import logging
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from specprefill_integrations import Budget, ContextCompressor
from specprefill_integrations.scoring import _languages
from specprefill_integrations.scoring._languages import language_warnings
from specprefill_integrations.scoring._span_scorer import ScorerWrapper
from specprefill_integrations.testing import KeywordScorer

UNKNOWN, OTHER = "text_unknown_to_draft", "question_in_another_language"

TEXTS = {
    "English": "The ferry to the island leaves every morning at seven, and whoever misses it has "
    "to wait until the evening. In winter the harbor is closed when the wind is too strong. The "
    "keeper of the lighthouse writes down which ships have passed, and reads it to his children.",
    "German": "Die Fähre zur Insel fährt jeden Morgen um sieben, und wer sie verpasst, muss bis "
    "zum Abend warten. Im Winter bleibt der Hafen geschlossen, wenn der Wind zu stark weht. Der "
    "Wärter des Leuchtturms schreibt auf, welche Schiffe vorbeigefahren sind, und liest es vor.",
    "Spanish": "El barco que va a la isla sale todas las mañanas a las siete, y quien lo pierde "
    "tiene que esperar hasta la noche. En invierno el puerto permanece cerrado cuando sopla "
    "demasiado viento. El guardián del faro apunta qué barcos han pasado y lo lee a sus hijos.",
    "Polish": "Prom na wyspę odpływa codziennie rano o siódmej, a kto się spóźni, musi czekać do "
    "wieczora. Zimą port jest zamknięty, kiedy wieje zbyt silny wiatr. Latarnik zapisuje, które "
    "statki przepłynęły obok, i czyta to swoim dzieciom przed snem.",
    "Russian": "Паром на остров отходит каждое утро в семь, и кто опоздает, должен ждать до "
    "вечера. Зимой гавань закрыта, когда дует слишком сильный ветер. Смотритель маяка "
    "записывает, какие корабли прошли мимо, и читает это своим детям.",
    "Chinese": "开往岛上的渡轮每天早上七点出发，错过的人只"
    "能等到晚上。冬天风太大的时候，港口会关闭。"
    "灯塔看守人记下经过的船只，晚上读给孩子们听。夏"
    "天的时候，渔民把网晾在岸边，老人坐在长凳上聊天。",
    "Japanese": "島へ渡る船は毎朝七時に出ます。乗り遅れた人"
    "は夕方まで待たなければなりません。冬は風が"
    "強すぎると港が閉まります。灯台守は通った船を書きとめて、夜に子どもたちに読んで聞かせます。",
    "Korean": "섬으로 가는 배는 매일 아침 일곱 시에 떠나고 놓친 사람은 저녁까지 기다려야 합니다. "
    "겨울에 바람이 너무 세게 불면 항구가 닫힙니다. 등대지"
    "기는 지나간 배를 적어 두었다가 아이들에게 읽어 줍니다.",
    "Hebrew": "המעבורת אל האי יוצאת בכל בוקר בשעה שבע ומי שמאחר צריך לחכות עד הערב. בחורף הנמל "
    "סגור כאשר הרוח חזקה מדי. שומר המגדלור רושם אילו ספינות עברו וקורא זאת לילדיו לפני השינה.",
}
QUESTIONS = {
    "English": "When does the ferry to the island leave in the morning?",
    "German": "Wann fährt die Fähre morgens zur Insel, und wer schreibt das auf?",
    "Polish": "Kiedy rano odpływa prom na wyspę i kto czyta dzieciom?",
    "Russian": "Когда отходит паром на остров?",
    "Chinese": "渡轮几点出发？",
    "Japanese": "船は何時に出ますか。",
    "Korean": "배는 언제 떠납니까?",
    "Hebrew": "מתי יוצאת המעבורת אל האי?",
}

# Formats of no language, or of English words and names.
PLAIN = {
    "hexadecimal dump": "\n".join(
        f"{i:08x}  de ad be ef fa ce ca fe  |........|" for i in range(60)
    ),
    "list of files": "\n".join(
        ["pytester", "capture", "doctest", "cacheprovider", "faulthandler", "setuponly"] * 8
    ),
    "table": "\n".join(
        f"/dev/sd{i}  tmpfs  svc-{i:02d}.prod_eu  kubectl  root root" for i in range(60)
    ),
    "names": "\n".join(["Čubrilović, Veljko (Sarajevo)", "Szentkirályi Ödön, Kaposvár"] * 20),
    "base64": "dGhlIGhvdXNlIGhhcyBiZWVu+XJzIGFuZCBsaXZlcy/" * 30,
    "numbers": "12.5 13.7 8,000 4711 " * 60,
    "nothing": "",
}


@pytest.fixture(scope="module")
def count_tokens():
    """Counts with a byte-level tokenizer that was made for English, as those of drafts are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2_000, initial_alphabet=alphabet, show_progress=False)
    english = [TEXTS["English"], _languages._ENGLISH, QUESTIONS["English"]]
    tokenizer.train_from_iterator(english * 20, trainer)
    return lambda texts: [len(one.ids) for one in tokenizer.encode_batch(list(texts))]


@pytest.fixture(autouse=True)
def _nothing_told():
    _languages._tell_once.cache_clear()


def warned(query, text, count):
    [found] = language_warnings(query, [text], count, "a-draft")
    return set(found)


@pytest.mark.parametrize("language", TEXTS)
def test_a_tokenizer_that_was_made_for_english_knows_english_alone(language, count_tokens):
    expected = set() if language == "English" else {UNKNOWN}
    assert warned(QUESTIONS.get(language), TEXTS[language], count_tokens) == expected
    assert warned(None, TEXTS[language], count_tokens) == expected


@pytest.mark.parametrize("language", [name for name in TEXTS if name != "English"])
def test_a_question_in_english_is_in_another_language(language, count_tokens):
    assert warned(QUESTIONS["English"], TEXTS[language], count_tokens) == {UNKNOWN, OTHER}


@pytest.mark.parametrize("language", [name for name in QUESTIONS if name != "English"])
def test_a_text_in_english_is_in_another_language(language, count_tokens):
    assert warned(QUESTIONS[language], TEXTS["English"], count_tokens) == {OTHER}


@pytest.mark.parametrize("language", ["Russian", "Chinese", "Korean", "Hebrew"])
def test_scripts_differ_for_a_draft_that_knows_all_languages(language):
    def by_letters(texts):
        return [len(text.encode()) for text in texts]

    assert warned(QUESTIONS["English"], TEXTS[language], by_letters) == {OTHER}
    assert warned(QUESTIONS[language], TEXTS["German"], by_letters) == {OTHER}
    assert warned(QUESTIONS[language], TEXTS[language], by_letters) == set()
    # Two languages of one script cannot be told apart then.
    assert warned(QUESTIONS["English"], TEXTS["German"], by_letters) == set()


def test_terms_of_another_script_do_not_make_another_language(count_tokens):
    text = TEXTS["Chinese"] + "React 和 Vue 的组件用 TypeScript 编写，部署在 Kubernetes 集群上。"
    assert warned("React 和 Vue 哪个更快？", text, count_tokens) == {UNKNOWN}
    assert warned("What does 七 mean?", TEXTS["English"], count_tokens) == set()


def test_words_of_another_script_do_not_make_another_language(count_tokens):
    text = f"Korean: {TEXTS['Korean'][:60]}. {TEXTS['English']}"
    assert warned(QUESTIONS["English"], text, count_tokens) == set()
    assert warned(QUESTIONS["Korean"] + " Lighthouse", text, count_tokens) == set()


@pytest.mark.parametrize("name", PLAIN)
def test_names_numbers_and_identifiers_are_of_no_language(name, count_tokens):
    assert warned(QUESTIONS["English"], PLAIN[name], count_tokens) == set()
    assert warned(None, PLAIN[name], count_tokens) == set()


def test_the_middle_and_the_end_of_a_long_text_count(count_tokens):
    text = "# 1\n" * 500 + TEXTS["German"] * 3 + "\n# 1" * 500
    assert warned(None, text, count_tokens) == {UNKNOWN}


def test_one_line_is_logged_for_a_draft_and_pair_of_scripts(count_tokens, caplog):
    texts = [TEXTS["Russian"], TEXTS["Russian"][::1], TEXTS["Korean"]]
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            language_warnings(QUESTIONS["English"], texts, count_tokens, "a-draft")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(set(lines)) == 4
    assert sum("Cyrillic" in line for line in lines) == 2
    assert all("a-draft" in line and "docs/drafts.md" in line for line in lines)


@given(st.text(), st.lists(st.text()))
def test_any_text_has_an_answer(query, texts):
    found = language_warnings(query, texts, lambda texts: list(map(len, texts)), "a-draft")
    assert len(found) == len(texts)


def test_only_a_sample_of_a_long_text_is_counted():
    counted = []

    def count(texts):
        counted.extend(texts)
        return list(map(len, texts))

    letters = f"{string.ascii_lowercase} {string.ascii_uppercase}\n" * 10_000
    language_warnings(letters, [letters, TEXTS["Chinese"] * 1000], count, "a")
    assert max(map(len, counted)) <= 1_500


class English(ScorerWrapper):
    """Warns of texts with umlauts."""

    def language_warnings(self, query, texts):
        return [(UNKNOWN,) if re.search("[äöü]", text) else () for text in texts]


def test_results_carry_the_warnings_and_are_the_same():
    texts = [TEXTS["English"], TEXTS["German"]]
    budget = Budget(keep_fraction=0.5)
    silent = ContextCompressor(KeywordScorer()).compress_documents(texts, "ferry", budget=budget)
    told = ContextCompressor(English(KeywordScorer())).compress_documents(
        texts, "ferry", budget=budget
    )
    assert [result.language_warnings for result in silent] == [(), ()]
    assert [result.language_warnings for result in told] == [(), (UNKNOWN,)]
    assert [result.text for result in told] == [result.text for result in silent]


def test_texts_that_stay_whole_have_no_warnings():
    compressor = ContextCompressor(English(KeywordScorer()))
    result = compressor.compress(TEXTS["German"], "ferry", budget=Budget(keep_fraction=1))
    assert result.language_warnings == ()
