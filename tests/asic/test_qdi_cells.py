"""The committed areas and delays of cells are those of the Liberty files."""

import pytest
import yaml

from neurogen.qdi.gates.mapping import KITS, kit_files
from tests.asic.toy import needs_pdk, require


require("libparse")


@needs_pdk
@pytest.mark.parametrize("kit", KITS)
def test_committed_table_is_that_of_liberty(kit):
    from asic.qdi_cells import cell_table

    assert yaml.safe_load(kit_files(kit)[1].read_text(encoding="utf-8")) == cell_table(kit)
