"""The Python front end: types of channels, analysis of the function, its golden model."""
