"""The filaments on our shelf, and how everything else in a picture is coloured."""

from __future__ import annotations

from dataclasses import dataclass

from .studio import Finish


@dataclass(frozen=True)
class Filament:
    """A colour a shopper can choose: its name, how it is shown as a swatch and how silky it prints."""

    name: str
    rgb: tuple[int, int, int]
    gloss: float = 0.18

    @property
    def hex(self) -> str:
        return "#{:02x}{:02x}{:02x}".format(*self.rgb)


FILAMENTS = {
    filament.name: filament
    for filament in (
        Filament("Ivory", (240, 230, 210)),
        Filament("Snow White", (246, 246, 243)),
        Filament("Desert Sand", (219, 192, 150)),
        Filament("Terracotta", (208, 106, 70)),
        Filament("Saffron", (236, 166, 44)),
        Filament("Pomegranate", (178, 42, 62)),
        Filament("Rosewater", (234, 172, 170)),
        Filament("Lavender", (166, 150, 206)),
        Filament("Persian Blue", (38, 78, 162)),
        Filament("Turquoise", (44, 158, 164)),
        Filament("Pistachio", (158, 188, 118)),
        Filament("Cypress", (52, 98, 76)),
        Filament("Walnut", (128, 84, 56), 0.06),
        Filament("Charcoal", (64, 66, 72)),
        Filament("Silk Copper", (196, 112, 78), 0.55),
        Filament("Silk Gold", (214, 166, 74), 0.55),
    )
}

PROPS = {
    "plant": Finish((110, 152, 98), 0.10),
    "soil": Finish((88, 64, 48), 0.0),
    "stem": Finish((150, 120, 84), 0.0),
    "berry": Finish((182, 58, 60), 0.30),
    "wood": Finish((222, 184, 134), 0.10),
    "device": Finish((52, 54, 60), 0.30),
    "screen": Finish((58, 112, 150), 0.40),
    "egg": Finish((244, 230, 212), 0.22),
    "dark": Finish((42, 38, 38), 0.50),
    "metal": Finish((190, 190, 196), 0.60),
    "cable": Finish((74, 76, 82), 0.20),
    "pad": Finish((96, 92, 90), 0.05),
    "soap": Finish((240, 216, 172), 0.30),
    "glow": Finish((255, 226, 170), 0.0, glow=1.0),
}
PARTS = ("main", "accent", "second", "third")


def finishes(*names: str) -> dict[str, Finish]:
    """The finish of every part, main, accent, second and third printed in the named filaments (too few repeat)."""
    chosen = [FILAMENTS[name] for name in names]
    return PROPS | {
        part: Finish(chosen[k % len(chosen)].rgb, chosen[k % len(chosen)].gloss) for k, part in enumerate(PARTS)
    }
