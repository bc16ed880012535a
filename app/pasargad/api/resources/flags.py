"""Which parts of the shop are switched on."""

from __future__ import annotations

from pasargad.flags import public_flags

from .. import answers
from ..operations import PUBLIC, Call, operation


@operation(
    "GET",
    "/flags",
    tag="Shop",
    summary="Which parts of the shop are switched on",
    access=PUBLIC,
    answer=answers.FlagList,
)
def flags_list(call: Call) -> answers.FlagList:
    return answers.FlagList(flags=public_flags())
