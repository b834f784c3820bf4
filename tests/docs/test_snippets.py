"""What the documentation shows is what happens: each Python block of each page is run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.docs.snippets import SnippetError, python_snippets, run_snippets

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    run_snippets(page)


PAGE = """\
Text.

```python
first = 1
```

    ```py title="indented"
    if first:
        second = first + 1
    ```

<!-- snippet: skip: needs a venue -->

```python
raise SystemExit
```

````markdown
```python
not_run = True
```
````

```bash
echo no
```

~~~python
assert second == 2
~~~
"""


def test_blocks_are_found_with_their_lines_and_reasons() -> None:
    snippets = python_snippets(PAGE)

    assert [snippet.line for snippet in snippets] == [4, 8, 15, 29]
    assert snippets[1].code == "if first:\n    second = first + 1\n"
    assert [snippet.skipped for snippet in snippets] == ["", "", "needs a venue", ""]


def test_blocks_share_one_namespace_and_hints_of_their_classes_resolve(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    hints = (
        "\n```python\nimport typing\n\nclass A:\n    b: 'B'\n\nclass B: ...\n\n"
        "assert typing.get_type_hints(A) == {'b': B}\n```\n"
    )
    page.write_text(PAGE + hints)

    assert run_snippets(page) == 4
    assert "docs_snippets" not in sys.modules


def test_an_error_points_into_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("One.\n\n```python\nx = 1\ny = x / 0\n```\n")

    with pytest.raises(ZeroDivisionError) as caught:
        run_snippets(page)

    assert caught.traceback[-1].path == page
    assert caught.traceback[-1].lineno + 1 == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```python\nx = 1\n", "page:1: the fence is never closed"),
        ("<!-- snippet: skip -->\n```python\n```\n", "page:1: expected <!-- snippet: skip: reason"),
        ("<!-- snippet: skipp: why -->\n", "page:1: expected <!-- snippet: skip: reason"),
        ("<!-- snippet: skip: why -->\ntext\n", "page:2: a snippet marker must stand before"),
        ("<!-- snippet: skip: why -->\n```bash\n```\n", "page:2: a snippet marker stands before a"),
    ],
)
def test_a_malformed_page_is_refused(text: str, told: str) -> None:
    with pytest.raises(SnippetError) as caught:
        python_snippets(text)
    assert str(caught.value).startswith(told)
