"""Builds the C parts; everything else about the package is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["lb/pump/build.py:ffibuilder", "lb/spawn/build.py:ffibuilder", "ktls/build.py:ffibuilder"])
