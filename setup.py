"""What pyproject.toml cannot say: the dependencies are those of the requirements files, without pip's own options."""

from pathlib import Path

from setuptools import setup


def requirements(name: str) -> list[str]:
    """Return the requirements that a file lists."""
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


setup(
    install_requires=requirements("requirements.txt"),
    extras_require={"kerberos": requirements("requirements-kerberos.txt")},
)
