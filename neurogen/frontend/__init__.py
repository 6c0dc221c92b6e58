"""NIR import and export, float networks, the quantiser."""
