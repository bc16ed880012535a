"""The viewer of shapes in three dimensions: it draws, it is worked by keys, and the content policy stays as it is."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from . import accessibility
from .client import Client
from .room import Room
from .tools import Tools


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    made = chromium.new_context(
        viewport={"width": 375, "height": 812}, reduced_motion="reduce", service_workers="block"
    )
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, shop: Room) -> Iterator[Page]:
    """The page of a product with a shape; what the browser complains of fails the test."""
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(f"{shop.url}/p/{shop.stock['solid']}/")
    yield opened
    assert complaints == []


def drawn(page: Page) -> Image.Image:
    """Return what stands on the canvas."""
    page.wait_for_timeout(300)
    data = page.locator("#solid canvas").screenshot()
    return Image.open(io.BytesIO(data)).convert("RGB")


def colours(picture: Image.Image) -> int:
    found = picture.resize((120, 120)).getcolors(120 * 120)
    return len(found or [])


def view(page: Page) -> None:
    page.get_by_role("button", name="View in 3D").click()
    expect(page.locator("#solid")).to_be_visible()


def test_the_viewer_is_loaded_when_it_is_asked_for_and_draws(page: Page, shop: Room) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "solid" in url or url.endswith(".glb")]
    view(page)
    assert [url for url in asked if url.endswith(".glb")]
    picture = drawn(page)
    assert colours(picture) > 40, "the canvas is blank"
    middle = picture.getpixel((picture.width // 2, picture.height // 2))
    assert middle != picture.getpixel((3, picture.height // 2)), "nothing stands in the middle"


def test_it_is_worked_by_keys_alone(page: Page) -> None:
    page.get_by_role("button", name="View in 3D").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#solid canvas")).to_be_focused()
    still = drawn(page).tobytes()
    assert drawn(page).tobytes() == still, "it turns although this person asked for less motion"
    for key in ("ArrowRight", "ArrowUp", "+"):
        page.keyboard.press(key)
        now = drawn(page).tobytes()
        assert now != still, f"{key} does nothing"
        still = now
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert drawn(page).tobytes() != still, "the button beside the canvas does nothing"
    page.keyboard.press("Escape")
    expect(page.locator("#solid")).to_be_hidden()
    expect(page.get_by_role("button", name="View in 3D")).to_be_focused()
    page.keyboard.press("Enter")
    assert colours(drawn(page)) > 40, "it does not draw a second time"


def test_it_turns_by_itself_unless_motion_is_unwanted(page: Page) -> None:
    page.emulate_media(reduced_motion="no-preference")
    page.reload()
    view(page)
    before = drawn(page).tobytes()
    page.wait_for_timeout(500)
    assert drawn(page).tobytes() != before


def test_the_open_viewer_is_accessible(page: Page, tools: Tools) -> None:
    view(page)
    assert list(accessibility.in_both_schemes(page, "viewer", tools.axe)) == []


def test_without_scripts_the_file_is_a_link_and_the_pictures_stay(chromium: Browser, shop: Room) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{shop.url}/p/{shop.stock['solid']}/")
    expect(page.get_by_role("button", name="View in 3D")).to_be_hidden()
    expect(page.locator('a[type="model/gltf-binary"]')).to_be_visible()
    expect(page.locator(".gallery img").first).to_be_visible()
    context.close()


def test_the_content_policy_of_a_page_with_a_shape_is_that_of_every_page(shop: Room) -> None:
    client = Client(shop)
    with_shape = client.get(f"/p/{shop.stock['solid']}/").headers["content-security-policy"]
    assert with_shape == client.get("/").headers["content-security-policy"]
    assert "unsafe" not in with_shape and "blob:" not in with_shape and "worker-src" not in with_shape


@pytest.mark.parametrize("content", [b"?", b"glTF", b"<html>", b"glTF\x02\0\0\0\x14\0\0\0\x04\0\0\0JSON{}  "])
def test_a_file_that_cannot_be_read_is_handed_out_instead(context: BrowserContext, shop: Room, content: bytes) -> None:
    page = context.new_page()
    page.goto(f"{shop.url}/p/{shop.stock['solid']}/")
    context.route("**/*.glb", lambda route: route.fulfill(body=content, content_type="model/gltf-binary"))
    with page.expect_download():
        page.get_by_role("button", name="View in 3D").click()
    expect(page.locator("#solid")).to_be_hidden()
