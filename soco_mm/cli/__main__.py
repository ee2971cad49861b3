"""``python -m soco_mm.cli``."""

from . import main

main()
