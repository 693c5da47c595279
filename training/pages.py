"""Pages: HTML from templates with one skeleton and one style sheet, in one file that loads nothing.

Whatever is put into a page is escaped; a figure, as :func:`sotopia_env.training.report.figures.panel` draws it, is not.
The viewer alone runs a script, its own: a policy in the page allows no other, by digests (:func:`digest`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_NUMBER = re.compile(r"([+-]?)(\d[\d.]*(?:e[+-]?\d+)?)")


def page(template: str, **content: Any) -> str:
    """A page.

    Args:
        template: name of a file in the folder ``templates``.
        content: what it shows: a ``title``, a ``subtitle``, ``sections`` (``{anchor: heading}``; each anchor is a block
            of the template) and what the blocks need.
    """
    return _environment().get_template(template).render(content)


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("sotopia_env.training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters["typeset"] = typeset
    found.filters["digest"] = digest
    found.globals["source"] = source
    return found


def source(name: str) -> Markup:
    """The text of a file in the folder ``templates``, as it is."""
    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def digest(text: str) -> str:
    """How a Content-Security-Policy names a script or a style sheet that it allows."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def typeset(numbers: str) -> str:
    """Numbers as they are printed: a true minus, and no sign before a zero."""
    return _NUMBER.sub(lambda found: found[2] if float(found[2]) == 0 else found[0].replace("-", "−"), numbers)


def duration(seconds: float) -> str:
    """``12 s`` or ``4 min 0 s``."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
