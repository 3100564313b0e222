"""The sheet that is drawn on: every line of one width, whatever is written."""

from lightning_dqn.live.sheet import BOLD, Area, Sheet


def test_text_is_cut_at_the_edge():
    sheet = Sheet(5, 2)
    sheet.write(0, 3, "abcdef")
    sheet.write(7, 0, "nowhere")
    assert sheet.lines(colour=False) == ["   ab", "     "]


def test_characters_of_no_cell_or_two_keep_the_width():
    sheet = Sheet(6, 1)
    sheet.write(0, 0, "a漢\x1b\tb\u0301")
    assert sheet.lines(colour=False) == ["a???b?"]


def test_a_frame_has_a_title_and_room_within():
    sheet = Sheet(12, 3)
    inner = sheet.frame(Area(0, 0, 3, 12), "run")
    assert inner == Area(1, 1, 1, 10)
    assert sheet.lines(colour=False)[0] == "┌─ run ────┐"


def test_colours_select_styles_and_end_with_the_line():
    sheet = Sheet(3, 1)
    sheet.write(0, 1, "b", BOLD)
    assert sheet.lines(colour=True) == [" \x1b[0;1mb\x1b[0m "]
