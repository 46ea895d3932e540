"""How processes that run on end, as in sysexits.h: a service manager starts them again after all but the first."""

from __future__ import annotations

from typing import Final

# Only a person can help.
EXIT_CONFIGURATION: Final = 78
# Something is away and will come back.
EXIT_TRANSIENT: Final = 75
EXIT_DEFECT: Final = 70
