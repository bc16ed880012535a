"""Every word of the shop can be translated, every word is translated, and what is shipped is what was translated."""

from __future__ import annotations

import gettext
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.environments import ROOT

APP = ROOT / "app"
# Every language but the one that the words are written in has a directory; settings say the same (a test below).
LANGUAGES = sorted(path.name for path in (APP / "locale").iterdir())
# Where shoppers read; the staff's pages and the programs' documentation are not theirs.
READ_BY_SHOPPERS = ("storefront", "customers", "notifications", "reminders")
SPOKEN_ATTRIBUTES = {"alt", "aria-label", "placeholder", "title", "data-less", "data-more", "data-not-loaded"}
# The name of the house, and what Open Graph calls a page of goods.
ALLOWED = {"Pasargad", "Prints", "product"}
NAMES = re.compile(r"%\((\w+)\)[sd]")


def catalogue(language: str) -> Path:
    """The translations of a language, as people write them."""
    return APP / "locale" / language / "LC_MESSAGES" / "django.po"


def run(*argv: str | Path, directory: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a tool in its own words: English, whatever this machine speaks."""
    known = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
    return subprocess.run([*map(str, argv)], cwd=directory, env=known, capture_output=True, text=True, check=False)


def read(path: Path) -> dict[object, str]:
    """The translations of a compiled catalogue by what they translate; a plural's have their number beside it."""
    with path.open("rb") as file:
        found: dict[object, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {key: text for key, text in found.items() if key != ""}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, files: list[Path]) -> Path:
    """What makemessages finds in a copy of the shop, tests left out."""
    copy = tmp_path_factory.mktemp("shop") / "app"
    for path in files:
        if path.is_relative_to(APP) and not {"tests", "testing", "locale"} & set(path.relative_to(APP).parts):
            (copy / path.relative_to(APP)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy / path.relative_to(APP))
    (copy / "locale").mkdir()
    done = run(
        *(ROOT / ".venv/bin/python", "manage.py", "makemessages", "--locale", LANGUAGES[0], "--keep-pot"),
        directory=copy,
        DJANGO_SETTINGS_MODULE="config.settings.build",
    )
    assert done.returncode == 0, done.stderr
    return copy / "locale" / "django.pot"


def test_the_shop_speaks_what_it_has_words_for() -> None:
    """The setting LANGUAGES is the one list: what may be chosen is read from it, and each has its translations."""
    told = run(
        *(ROOT / ".venv/bin/python", "-c", "from django.conf import settings; print(*dict(settings.LANGUAGES))"),
        directory=APP,
        DJANGO_SETTINGS_MODULE="config.settings.build",
    )
    assert sorted(told.stdout.split()) == sorted(["en", *LANGUAGES]), told.stderr
    chosen = (APP / "config" / "settings" / "from_environment.py").read_text()
    assert "choices=[code for code, _name in _languages]" in chosen


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_is_translated_and_no_translation_is_left_over(words: Path, language: str) -> None:
    compared = run("msgcmp", "--no-fuzzy-matching", catalogue(language), words)
    assert compared.returncode == 0, f"make messages, then translate: {compared.stderr}"
    assert "not used" not in compared.stderr, f"make messages: {compared.stderr}"
    leftover = run("msgattrib", "--only-obsolete", catalogue(language))
    assert not leftover.stdout.strip(), "old translations: make messages drops them"


def test_a_word_that_is_not_translated_is_noticed(words: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.pot"
    more.write_text(
        words.read_text(encoding="utf-8") + '\nmsgid "A word nobody translated"\nmsgstr ""\n', encoding="utf-8"
    )
    assert run("msgcmp", "--no-fuzzy-matching", catalogue("fa"), more).returncode != 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_shipped_is_what_was_translated(tmp_path: Path, language: str) -> None:
    compiled = tmp_path / "django.mo"
    done = run("msgfmt", "--check", "--output-file", compiled, catalogue(language))
    assert done.returncode == 0, done.stderr
    assert read(compiled) == read(catalogue(language).with_suffix(".mo")), "make messages"


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_values_and_marks(language: str) -> None:
    for key, text in read(catalogue(language).with_suffix(".mo")).items():
        original = (key[0] if isinstance(key, tuple) else str(key)).rpartition("\x04")[2]
        assert text.strip(), original
        assert set(NAMES.findall(text)) == set(NAMES.findall(original)), original
        for mark in ("<a ", "<strong", "<span", "</a>"):
            assert text.count(mark) == original.count(mark), original


class Words(HTMLParser):
    """Collects what people read or hear of a template whose tags and translated words were taken out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in ("script", "style")
        self.found += [value for name, value in attrs if name in SPOKEN_ATTRIBUTES and value]
        known = dict(attrs)
        if tag == "meta" and known.get("name") == "description" and known.get("content"):
            self.found.append(str(known["content"]))

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.found.append(data)


def bare_words(text: str, *, html: bool) -> list[str]:
    """Return the English words of a template that no translation reaches."""
    text = re.sub(r"\{%\s*(comment)\b.*?\{%\s*endcomment\s*%\}|\{#.*?#\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{%\s*blocktrans(late)?\b.*?\{%\s*endblocktrans(late)?\s*%\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", text, flags=re.DOTALL)
    found = [text]
    if html:
        parser = Words()
        parser.feed(text)
        found = parser.found
    return [word for piece in found for word in re.findall(r"[A-Za-z]{2,}", piece) if word not in ALLOWED]


def templates() -> list[Path]:
    """Every template that shoppers see something of."""
    rooms = [APP / "pasargad" / name / "templates" for name in READ_BY_SHOPPERS]
    return sorted(path for room in rooms for kind in ("html", "txt") for path in room.rglob(f"*.{kind}"))


@pytest.mark.parametrize("path", templates(), ids=lambda path: str(path.relative_to(APP / "pasargad")))
def test_a_template_has_no_words_of_its_own(path: Path) -> None:
    assert bare_words(path.read_text(encoding="utf-8"), html=path.suffix == ".html") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<p>{% translate "Hello" %} <b>world</b></p>', ["world"]),
        ('<img alt="A vase" src="/vase.jpg">', ["vase"]),
        ("<p>{% blocktranslate %}Hello{% endblocktranslate %}, {{ name }}</p>", []),
        ("<script>let word;</script><style>p { color: red }</style>", []),
    ],
)
def test_words_without_a_translation_are_noticed(text: str, words: list[str]) -> None:
    assert bare_words(text, html=True) == words
