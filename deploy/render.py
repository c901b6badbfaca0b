"""Replaces the ${NAMES} in configuration templates with values from the environment: `render.py FILE TEMPLATE…`."""

import os
import sys
from pathlib import Path
from string import Template

target, *templates = map(Path, sys.argv[1:])
text = ""
for template in templates:
    try:
        text += Template(template.read_text()).substitute(os.environ)
    except KeyError as missing:
        sys.exit(f"{template}: the environment lacks {missing}; deploy/env.sh gives every name its default")
part = target.with_name(f"{target.name}.{os.getpid()}")
part.write_text(text)
part.replace(target)
