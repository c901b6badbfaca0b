"""What pyproject.toml cannot say: the dependencies are those of requirements.txt, without pip's own options."""

from pathlib import Path

from setuptools import setup

lines = (Path(__file__).parent / "requirements.txt").read_text(encoding="utf-8").splitlines()
setup(install_requires=[line for line in lines if line and not line.startswith(("#", "-"))])
