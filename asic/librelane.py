"""LibreLane's own loader as a judge of the configurations that are handed over."""

import logging
from importlib.util import find_spec
from pathlib import Path

from asic.handover import HandoverError
from asic.pdk import Pdk


__all__ = ["check_config"]


def check_config(folder: Path, pdk: Pdk, root: Path | None = None) -> dict:
    """Have LibreLane load ``folder/config.yaml`` with its Classic flow, and return what it said.

    Types, unknown keys and missing files (of the design, of the kit, of memories) are found; nothing runs.

    Parameters
    ----------
    root
        A PDK_ROOT that LibreLane takes, as ciel makes them; default: the kit's root.

    Returns
    -------
    ``status`` "accepted" with ``variables`` (how many it resolved) and ``warnings``, or "not checked" with a
    ``reason``: LibreLane is not installed, or the root has no description of the kit for it.

    Raises
    ------
    HandoverError
        If it refuses the configuration; with its errors.
    """
    if find_spec("librelane") is None:
        return {
            "status": "not checked",
            "reason": "LibreLane is not installed: pip install 'neurogen[librelane]'",
        }
    setup = pdk.data["flows"]["librelane"]
    root = root or pdk.root
    if not (root / setup["pdk"] / "libs.tech" / "librelane").is_dir():
        return {"status": "not checked", "reason": f"{root} has no {setup['pdk']}/libs.tech/librelane"}
    from librelane.config import InvalidConfig
    from librelane.flows import Flow

    caught: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: caught.append(record.getMessage())
    logger = logging.getLogger("__librelane__")
    logger.addHandler(handler)
    try:
        flow = Flow.factory.get("Classic")(
            str(folder / "config.yaml"),
            pdk=setup["pdk"],
            scl=setup["library"],
            pdk_root=str(root),
            design_dir=str(folder),
        )
    except InvalidConfig as error:
        raise HandoverError(
            f"LibreLane must accept the configuration, and refuses {folder / 'config.yaml'}:\n"
            + "\n".join(error.errors)
        ) from None
    finally:
        logger.removeHandler(handler)
    return {"status": "accepted", "variables": len(flow.config), "warnings": caught}
