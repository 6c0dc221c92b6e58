"""Pictures of layouts (GDS) with KLayout's own renderer, without a screen."""

from collections.abc import Mapping
from pathlib import Path

import yaml


__all__ = ["LAYERS", "draw_layout"]


# By kit: GDS layer and datatype, colour; the lowest first, as they are painted.
LAYERS: Mapping[str, tuple[tuple[str, str], ...]] = yaml.safe_load("""
sky130hd:
  - ["64/20", "#1e2a3a"]   # n-well
  - ["65/20", "#2f8f4e"]   # diffusion
  - ["66/20", "#c8323c"]   # polysilicon
  - ["67/20", "#6d5acd"]   # local interconnect
  - ["68/20", "#3f7fe0"]   # metal 1
  - ["69/20", "#e07f3f"]   # metal 2
  - ["70/20", "#3fc6c0"]   # metal 3
  - ["71/20", "#d6c13f"]   # metal 4
  - ["72/20", "#b85cc8"]   # metal 5
sg13g2:
  - ["31/0", "#1e2a3a"]    # NWell
  - ["1/0", "#2f8f4e"]     # Activ
  - ["5/0", "#c8323c"]     # GatPoly
  - ["8/0", "#3f7fe0"]     # Metal1
  - ["10/0", "#e07f3f"]    # Metal2
  - ["30/0", "#3fc6c0"]    # Metal3
  - ["50/0", "#d6c13f"]    # Metal4
  - ["67/0", "#b85cc8"]    # Metal5
""")


def draw_layout(gds: Path, kit: str, picture: Path, *, size: tuple[int, int] = (1200, 1200),
                zoom: float | None = None) -> tuple[float, float]:
    """Draw a layout, or the ``zoom`` µm in its middle, as a PNG; return its width and height in µm."""
    from klayout import lay
    view = lay.LayoutView()
    view.set_config("background-color", "#0b0e14")
    view.set_config("grid-visible", "false")
    view.set_config("text-visible", "false")
    view.set_config("cell-box-visible", "false")
    view.load_layout(str(gds), False)
    view.max_hier()
    view.clear_layers()
    for source, colour in LAYERS[kit]:
        layer = lay.LayerPropertiesNode()
        layer.source = f"{source}@1"
        layer.fill_color = layer.frame_color = int(colour[1:], 16)
        layer.dither_pattern = 0 if source != LAYERS[kit][0][0] else 1
        layer.width = 1
        layer.transparent = False
        view.insert_layer(view.end_layers(), layer)
    view.zoom_fit()
    box = view.cellview(0).cell.dbbox()
    if zoom is not None:
        centre, half = box.center(), zoom / 2
        view.zoom_box(type(box)(centre.x - half, centre.y - half, centre.x + half, centre.y + half))
    view.save_image(str(picture), *size)
    return box.width(), box.height()
