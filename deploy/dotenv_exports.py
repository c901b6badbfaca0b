"""Print shell exports for the settings of a .env file that the environment does not give: `dotenv_exports.py FILE`."""

import os
import shlex
import sys

from dotenv import dotenv_values

try:
    values = dotenv_values(sys.argv[1], interpolate=False, encoding="utf-8-sig")
except UnicodeDecodeError:
    sys.exit(f'{sys.argv[1]} is not UTF-8 text; save it as UTF-8 (PowerShell 5 and Notepad\'s "Unicode" write UTF-16)')
except OSError as error:
    sys.exit(f"{sys.argv[1]} cannot be read ({error.strerror}): chmod a+r .env, or run as its owner")
for name, value in values.items():
    if value and value.strip() and not os.environ.get(name, "").strip() and name.isidentifier():
        print(f"export {name}={shlex.quote(value)}")
