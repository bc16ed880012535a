"""A few faults of the kill matrix (`make test-kill` has all): each way to die, before, in and after the switch."""

from __future__ import annotations

import pytest

from tests.kill.faults import Fault, sample
from tests.kill.matrix import Matrix, changeable_copy
from tests.shop import Shop
from tests.web import Web

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture(scope="module")
def matrix(shop: Shop, web: Web, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(shop, changeable_copy(shop, tmp_path_factory.mktemp("kill")), web, print)


@pytest.mark.parametrize("fault", sample(), ids=lambda fault: fault.name)
def test_nobody_is_harmed(matrix: Matrix, fault: Fault) -> None:
    assert matrix.run(fault) == []
