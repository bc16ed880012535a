"""The manifest, the service worker and the page without a network are the same for everybody; the policy opens for a
bucket alone."""

from __future__ import annotations

import json
import re

import pytest
from testing.factories import make_product, make_variant

from pasargad.catalog import services
from pasargad.catalog.demo import catalogue, solid
from pasargad.storefront import products
from pasargad.storefront.views import installing

SHARED = ["/manifest.webmanifest", "/sw.js", "/offline/"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", SHARED)
def test_it_is_the_same_for_everybody(client, path):
    client.cookies["pp_cart"] = "forged"
    response = client.get(path)
    assert response.status_code == 200
    assert "public" in response["Cache-Control"] and "max-age=0" in response["Cache-Control"]
    assert not response.cookies and "Cookie" not in response.get("Vary", "")
    assert client.post(path).status_code == 405


@pytest.mark.django_db
def test_the_manifest_names_the_shop_and_pictures_for_launchers(client, settings):
    told = json.loads(client.get("/manifest.webmanifest").content)
    assert told["name"] == settings.BUSINESS.name and told["display"] == "standalone"
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in told["icons"]}


def told_by(client) -> dict[str, object]:
    text = client.get("/sw.js").content.decode()
    return json.loads(re.search(r"const told = (\{.*\});", text).group(1))


@pytest.mark.django_db
def test_the_worker_is_another_one_in_another_release(client, settings):
    first, again = told_by(client), told_by(client)
    assert first == again
    settings.PASARGAD_RELEASE = "another"
    assert told_by(client)["version"] != first["version"]


@pytest.mark.django_db
def test_the_worker_keeps_nothing_from_another_origin_and_tells_no_secret_path(client, settings):
    settings.ADMIN_URL_PATH = "a-path-nobody-guesses"
    assert "a-path-nobody-guesses" not in client.get("/sw.js").content.decode()
    assert all(str(url).startswith("/") for url in told_by(client)["shell"])


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/cart/", "/checkout/", "/orders/find/", "/wishlist/"])
def test_what_the_worker_never_keeps_is_private_by_its_own_word_too(client, path):
    assert "no-store" in client.get(path)["Cache-Control"]
    assert path.split("/")[1] in installing.NEVER_KEPT


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("url", "sources"),
    [("/media/shapes/x.glb", None), ("https://media.example/shapes/x.glb", "'self' https://media.example")],
)
def test_the_policy_names_a_bucket_where_the_shape_lies_in_one(client, monkeypatch, url, sources):
    class Storage:
        def url(self, name: str) -> str:
            return url

    product = make_variant(product=make_product()).product
    services.shape_set(product=product, content=solid.model(catalogue.load().goods[0]))
    monkeypatch.setattr(products, "default_storage", Storage())
    response = client.get(f"/p/{product.slug}/")
    found = re.search(r"connect-src ([^;]*)", response["Content-Security-Policy"])
    assert (found and found.group(1)) == sources
    assert f'data-model="{url}"' in response.content.decode()
    assert "connect-src" not in client.get("/")["Content-Security-Policy"]


@pytest.mark.django_db
def test_a_product_without_a_shape_has_no_viewer(client):
    product = make_variant(product=make_product()).product
    assert "data-viewer" not in client.get(f"/p/{product.slug}/").content.decode()
