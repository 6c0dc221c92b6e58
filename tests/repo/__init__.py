"""Promises that hold for every file of the repository."""
