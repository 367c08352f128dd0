"""Pages in one file that load nothing: a content security policy allows their one script and one style by their hashes."""

from __future__ import annotations

import base64
import hashlib
import re


def guarded(page: str, **more: str) -> str:
    """Return `page` with its policy in the place of ``{{policy}}``: no request can leave it.

    Args:
        page: the page, with one ``<style>`` and one script that runs, both filled in.
        more: what else is allowed, by directive with ``_`` for ``-``, such as ``img_src="data:"``.
    """
    script = _content(r"<script(?: type=\"module\")?>(.*?)</script>", page)
    style = _content(r"<style>(.*?)</style>", page)
    rules = [
        "default-src 'none'",
        f"script-src '{hash_of(script)}'",
        f"style-src '{hash_of(style)}'",
        *(f"{name.replace('_', '-')} {value}" for name, value in more.items()),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return page.replace("{{policy}}", "; ".join(rules), 1)


def hash_of(text: str) -> str:
    """Return the hash by which a policy allows a script or a style: of all that stands between its ends, to the byte."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _content(pattern: str, page: str) -> str:
    found = re.search(pattern, page, re.DOTALL)
    assert found is not None, f"the page has nothing like {pattern}"
    return found[1]
