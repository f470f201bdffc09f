"""The table of verbs beside other tools is that of the parser."""

import comparison_page


def test_the_page_is_as_the_parser_is():
    """Write it anew with: python tests/comparison_page.py."""
    text = comparison_page.PAGE.read_text(encoding="utf-8")
    assert comparison_page.page(text) == text


def test_no_verb_of_the_table_is_gone():
    assert set(comparison_page.OTHERS) <= {verb for verb, _ in comparison_page.verbs(comparison_page.build_parser())}
