"""What is printed is what was stored: no markup, no emoji, no control characters for the terminal."""

import pytest

from foldlog.cli import output


def test_data_is_neither_markup_nor_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_table(("a", "b"), [("[red]x[/]", ":b:"), ("[/nothing]", "1")])
    output.note("[bold]a:b:c")
    output.fail("one\n  two [x] :smile:")
    captured = capsys.readouterr()
    assert captured.out == "a           b\n[red]x[/]   :b:\n[/nothing]  1\n"
    assert captured.err == "[bold]a:b:c\nerror: one two [x] :smile:\n"


@pytest.mark.parametrize(
    ("text", "shown"), [("\x1b[31mred", "\\x1b[31mred"), ("a\x00b\r", "a\\x00b\\r"), ("é\n", "é\n")]
)
def test_control_characters_are_escaped(text: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert output.readable(text) == shown


def test_a_long_table_is_laid_out_like_a_short_one(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"k{n}", str(n)) for n in range(3000)]
    output.write_table(("key", "n"), rows, frozenset({"n"}))
    long = capsys.readouterr().out.splitlines()
    assert long[:2] == ["key       n", "k0        0"]
    assert len(long) == 3001


def test_csv_quotes_what_must_be_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_csv(("a", "b"), [('say "hi"', "x,y"), ("two\nlines", "\x1b")])
    assert capsys.readouterr().out == 'a,b\n"say ""hi""","x,y"\n"two\nlines",\x1b\n'
