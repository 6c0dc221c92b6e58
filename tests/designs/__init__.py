"""Tests of whole designs and their command lines."""
