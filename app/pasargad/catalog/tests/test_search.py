"""Searching: words, accents, mistakes, order; and the choices that narrow a list down."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from testing.factories import make_category, make_product, make_variant

from pasargad.catalog import indexing
from pasargad.catalog.listing import Wanted, counts, list_page
from pasargad.catalog.models import Attribute, AttributeChoice, AttributeValue, Product, SearchEntry, SearchWord
from pasargad.catalog.searching import corrected, distance, nearest, words_of
from pasargad.catalog.services import product_refresh

pytestmark = pytest.mark.django_db


def good(name: str, **fields):
    """Make a published product with one variant; `colour`, `price_minor` and `stock` are the variant's."""
    own = {key: fields.pop(key) for key in ("price_minor", "stock") if key in fields}
    fields.setdefault("category", None)
    fields["category"] = fields["category"] or make_category("Things")
    if colour := fields.pop("colour", ""):
        own["options"] = [["Colour", colour]]
    return make_variant(product=make_product(name=name, **fields), **own).product


def names(client, query: str) -> list[str]:
    return [card.name for card in client.get(f"/shop/?{query}").context["cards"]]


@pytest.mark.parametrize(
    "query", ["vase", "vases", "VAS", "ridg", "ridge+vase", "vase+ridge", "sandstone", "persépolis"]
)
def test_words_are_found_in_any_form(client, query):
    good("Ridge vase", summary="Of sandstone colour", description="As in Persepolis")
    good("Moon lamp")
    assert names(client, f"q={query}") == ["Ridge vase"]


def test_every_word_must_be_there(client):
    good("Ridge vase")
    assert names(client, "q=ridge+lamp") == []


@pytest.mark.parametrize(
    ("typed", "meant"), [("vaze", "vase"), ("vasse", "vase"), ("draogn", "dragon"), ("planetr", "planter")]
)
def test_a_mistake_is_forgiven_and_said(client, typed, meant):
    for name in ("Ridge vase", "Clay dragon", "Facet planter"):
        good(name)
    answer = client.get(f"/shop/?q={typed}")
    assert len(answer.context["cards"]) == 1
    assert answer.context["searched"] == meant
    assert f"<strong>{meant}</strong>" in answer.content.decode()


def test_a_known_word_is_never_corrected():
    good("Vase")
    good("Vane", description="rare candles")
    assert corrected(["vane", "candle", "vases"]) == ("vane", "candle", "vases")


def test_nothing_found_offers_something_else(client):
    good("Ridge vase")
    answer = client.get("/shop/?q=quantum+bicycle")
    assert answer.context["cards"] == [] and len(answer.context["consolation"]) == 1


def test_a_name_counts_more_than_a_description(client):
    good("Tall thing", description="It stands beside a lamp.")
    good("Lamp")
    good("Other thing", summary="A small lamp")
    assert names(client, "q=lamp") == ["Lamp", "Other thing", "Tall thing"]
    assert names(client, "q=lamp&sort=name") == ["Lamp", "Other thing", "Tall thing"]


@pytest.mark.parametrize("query", ["'", "a'b", "!&|", "the", "a:*", "\\", "<->", "%25", "½", "كوزه", "🖨"])
def test_signs_are_no_syntax(client, query):
    good("Vase")
    assert client.get("/shop/", {"q": query}).status_code == 200


def test_persian_is_searched_as_it_is_written(client):
    good("گلدان سفالی")
    assert names(client, "q=گلدان") == ["گلدان سفالی"]


def test_distance_counts_swaps_as_one():
    assert [distance(*pair) for pair in (("vase", "vase"), ("vaes", "vase"), ("", "abc"), ("kitten", "sitting"))] == [
        0,
        1,
        3,
        3,
    ]
    assert nearest("vaze", ["maze", "vase"]) == "maze"
    assert nearest("xy1z", ["xyz"]) == "xy1z"
    assert words_of("Élan, it's ONE_two  3") == ("elan", "it", "s", "one", "two", "3")


def test_the_index_follows_what_older_code_changed():
    product = good("Vase")
    Product.objects.filter(pk=product.pk).update(name="Amphora", updated_at=timezone.now())
    assert indexing.index_stale() == 1
    assert SearchEntry.objects.get(pk=product.pk).name == "Amphora"
    assert indexing.index_stale() == 0
    assert indexing.words_forget() >= 1
    assert not SearchWord.objects.filter(word="vase").exists()


def test_options_written_by_hand_break_nothing():
    product = good("Vase")
    for number, options in enumerate(([], {}, [["Colour"]], [1], [["Color", "Sand"]], [["Colour", None]], "x")):
        make_variant(product=product, options=options, position=number)
    product_refresh(product)
    assert SearchEntry.objects.get(pk=product.pk).facets == ["colour:Sand", "material:PLA"]


def facet(answer, name: str) -> dict[str, int]:
    found = next((facet for facet in answer.context["facets"] if facet.name == name), None)
    return {value.value: value.count for value in found.values} if found else {}


def test_facets_count_what_each_choice_would_leave(client):
    good("A", material="PLA", colour="Sand", price_minor=500)
    good("B", material="PLA", colour="Ink", price_minor=1500)
    good("C", material="PETG", colour="Sand", price_minor=3000, stock=0)
    whole = client.get("/shop/")
    assert facet(whole, "material") == {"PLA": 2, "PETG": 1}
    assert facet(whole, "colour") == {"Sand": 2, "Ink": 1}
    assert facet(whole, "price") == {"": 3, "0-10": 1, "10-25": 1, "25-50": 1}
    narrow = client.get("/shop/?material=PLA")
    assert [card.name for card in narrow.context["cards"]] == ["B", "A"]
    # Its own values as before, those of others within the choice.
    assert facet(narrow, "material") == {"PLA": 2, "PETG": 1}
    assert facet(narrow, "colour") == {"Ink": 1, "Sand": 1}
    assert names(client, "material=PLA&material=PETG&colour=Sand&sort=price") == ["A", "C"]
    assert names(client, "material=PLA&material=PETG&colour=Sand&available=1") == ["A"]
    assert names(client, "price=10-25") == ["B"] and names(client, "price=10-") == ["C", "B"]
    assert names(client, "material=Gold") == []


@pytest.mark.parametrize(
    "query",
    [
        "price=x",
        "price=5-1",
        "price=-",
        "price=1-99999999",
        "material=",
        "colour=%00",
        "utm_source=mail",
        "f-=x",
        "f-%27=x",
    ],
)
def test_a_choice_that_makes_no_sense_is_passed_over(client, query):
    good("A")
    assert names(client, query) == ["A"]


@pytest.mark.parametrize("query", ["material=%27", "f-x=%25", "colour=" + "x" * 60, "material=a%3Ab&material=%7B%7D"])
def test_a_strange_choice_finds_nothing(client, query):
    good("A")
    answer = client.get(f"/shop/?{query}")
    assert answer.status_code == 200 and answer.context["cards"] == []


def test_what_was_chosen_can_be_taken_back(client):
    good("A", material="PLA", colour="Sand")
    chosen = client.get("/shop/?material=PLA&colour=Sand&sort=name").context["chosen"]
    assert [(choice.label, choice.url) for choice in chosen] == [
        ("Sand", "/shop/?material=PLA&sort=name"),
        ("PLA", "/shop/?colour=Sand&sort=name"),
    ]


def test_narrowed_lists_are_not_for_search_engines(client):
    good("A")
    assert "noindex" not in client.get("/shop/").content.decode()
    assert "noindex" in client.get("/shop/?material=PLA").content.decode()


def attribute(code: str, kind: str, **fields) -> Attribute:
    return Attribute.objects.create(code=code, name=code.title(), type=kind, is_facet=True, **fields)


def test_attributes_are_facets_and_facts(client):
    product, other = good("A"), good("B")
    finish, height, note = (
        attribute("finish", "choice"),
        attribute("height", "number", unit="mm"),
        attribute("note", "text"),
    )
    matt = AttributeChoice.objects.create(attribute=finish, value="Matt")
    values = [
        AttributeValue(product=product, attribute=finish, choice=matt),
        AttributeValue(product=product, attribute=height, number=Decimal("120.500")),
        AttributeValue(product=other, attribute=note, text="Signed"),
        AttributeValue(product=product, variant=product.variants.get(), attribute=note, text="Heavy"),
    ]
    for value in values:
        value.full_clean()
        value.save()
    product_refresh(product)
    product_refresh(other)
    facts = dict(client.get(f"/p/{product.slug}/").context["shown"].facts)
    assert (facts["Finish"], facts["Height"], facts["Note"]) == ("Matt", "120.5 mm", "Heavy")
    assert names(client, "f-finish=Matt") == ["A"]
    assert names(client, "f-height=120.5 mm") == ["A"]
    assert facet(client.get("/shop/"), "f-note") == {"Heavy": 1, "Signed": 1}
    assert names(client, "q=signed") == ["B"]


def test_a_value_must_fit_its_attribute():
    product, other = good("A"), good("B")
    finish, height = attribute("finish", "choice"), attribute("height", "number")
    foreign = AttributeChoice.objects.create(attribute=attribute("x", "choice"), value="X")
    wrong = [
        AttributeValue(product=product, attribute=height, text="tall"),
        AttributeValue(product=product, attribute=height),
        AttributeValue(product=product, attribute=finish, choice=foreign),
        AttributeValue(product=product, attribute=height, number=1, variant=other.variants.get()),
    ]
    for value in wrong:
        with pytest.raises(ValidationError):
            value.full_clean()
    AttributeValue.objects.create(product=product, attribute=height, number=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        AttributeValue.objects.create(product=product, attribute=height, number=2)


def test_counts_of_a_whole_list_are_kept_for_a_while(django_assert_num_queries):
    good("A")
    with django_assert_num_queries(1):
        assert counts(Wanted()).total == counts(Wanted()).total == 1
    with django_assert_num_queries(1):
        assert counts(Wanted(only_available=True)).total == 1


def test_a_page_knows_of_the_next_without_counting(django_assert_num_queries):
    category = make_category()
    for number in range(5):
        good(f"Good {number}", category=category)
    with django_assert_num_queries(1):
        rows, more = list_page(Wanted(category_path=category.path, sort="name"), page=2, size=2)
    assert [row.name for row in rows] == ["Good 2", "Good 3"] and more
    assert list_page(Wanted(category_path=category.path, sort="name"), page=3, size=2)[1] is False
