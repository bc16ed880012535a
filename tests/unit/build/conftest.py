"""A shop of two files, in a repository of its own, that the real tools can build."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pasargad_build.build import BuildRequest

REPO = Path(__file__).resolve().parents[3]
UV = REPO / ".cache" / "uv" / "bin" / "uv"

BUILD_SETTINGS = """
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parents[2]
SECRET_KEY = "for-building"
INSTALLED_APPS = ["goods", "django.contrib.contenttypes", "django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}}
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MIGRATION = """
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Good", [("id", models.BigAutoField(primary_key=True))])]
"""
FILES = {
    ".gitignore": "*.secret\n.build/\n",
    "app/manage.py": (REPO / "app" / "manage.py").read_text(encoding="utf-8"),
    "app/config/__init__.py": "",
    "app/config/settings/__init__.py": "",
    "app/config/settings/build.py": BUILD_SETTINGS,
    "app/goods/__init__.py": "",
    "app/goods/models.py": "from django.db import models\nclass Good(models.Model):\n    pass\n",
    "app/goods/migrations/__init__.py": "",
    "app/goods/migrations/0001_initial.py": MIGRATION,
    "app/goods/static/shop.css": "body { background: url(dot.svg) }\n" * 40,
    "app/goods/static/dot.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>\n",
    "app/goods/tests/test_goods.py": "raise SystemExit('tests are not shipped')\n",
    "requirements/app.in": "six\n",
}


def git(repo: Path, *words: str) -> None:
    """Run git with an identity of its own."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@pasargad.test")
    subprocess.run(["git", *identity, *words], cwd=repo, check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Make the repository, with one commit."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    lock = (REPO / "requirements" / "app.txt").read_text(encoding="utf-8")
    six = re.search(r"^six==.*?(?=^\S)", lock, re.M | re.S)
    assert six, "the shop's lock has lost the package that these tests use"
    (tmp_path / "requirements" / "app.txt").write_text(six[0], encoding="utf-8")
    (tmp_path / "module_utils").symlink_to(REPO / "module_utils")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "shop: Begin.")
    return tmp_path


@pytest.fixture
def request_for(repo: Path) -> BuildRequest:
    """Ask for a build of that repository for one Python."""
    return BuildRequest(repo, Path(sys.executable), UV, ("cp311",))
