"""Read ``Example:`` in docstrings as ``Examples:``.

Griffe's Google style knows only the plural as a section; the other would be an
admonition, in which the prompts are quotation marks.
"""

import re

import griffe


class Examples(griffe.Extension):
    """An extension of mkdocstrings, see mkdocs.yml."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        """Change the docstring of an object."""
        if obj.docstring:
            obj.docstring.value = re.sub(
                r'^Example:$', 'Examples:', obj.docstring.value, flags=re.MULTILINE
            )
