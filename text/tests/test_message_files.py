"""Files of messages: every format, and everything that can be wrong with one."""

import pytest

from text import message_files
from text.exceptions import FileRefused


def read(path, **options):
    return [(message.line, message.label, message.text) for message in message_files.messages(path, **options)]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("ham\thello\nspam\tWIN\n", [(1, "ham", "hello"), (2, "spam", "WIN")]),
        ("\ufeffHam\thello\r\n\r\nSPAM\twith\ttab", [(1, "ham", "hello"), (3, "spam", "with\ttab")]),
        ("Category,Message\nham,\"a, b\"\nspam,WIN\n", [(2, "ham", "a, b"), (3, "spam", "WIN")]),
        ("label,text\nham,\"two\nlines\"\nspam,WIN\n", [(2, "ham", "two\nlines"), (4, "spam", "WIN")]),
        ("text;label\nhello;ham\n", [(2, "ham", "hello")]),
        ("v1,v2,,,\nham,hello,,,\n", [(2, "ham", "hello")]),
        ("id,message\n1,hello\n", [(2, "", "hello")]),
        ("message\nhello\n", [(2, "", "hello")]),
        ("hello, you\n\nthere\n", [(1, "", "hello, you"), (3, "", "there")]),
    ],
)  # fmt: skip
def test_formats(write, content, found):
    assert read(write(content)) == found


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The file is empty."),
        (b"\n\n  \n", "The file has no messages."),
        (b"label,text\n", "The file has no messages."),
        (b"ham\thello\nspam WIN\n", "Line 2 has no tab between label and message: 'spam WIN'."),
        (b"ham\thello\njunk\tWIN\n", "Line 2: the label is 'junk'; known are ham and spam."),
        (b"label,text\nham,a, b\n", "Line 2 has 3 columns, the first line names 2."),
        (b"label,text\nham\n", "Line 2 has 1 columns"),
        (b'label,text\nham,"never closed\nspam,x\n', "is no proper CSV: unexpected end of data"),
        (b"ham\tcaf\xe9\n", "Line 1 is not utf-8: byte 0xe9 at position 8. Save the file as UTF-8, or choose"),
        (b"ham\tone\nham\tt\0wo\n", "Line 2 has a NUL byte"),
        (b"\xff\xfeh\0a\0", "The file is UTF-16, not plain text."),
        (b"PK\x03\x04 and more", "The file is a ZIP file or spreadsheet"),
    ],
)
def test_what_is_wrong_is_reported_with_its_line(write, content, says):
    with pytest.raises(FileRefused) as refused:
        message_files.messages(write(content))
    assert says in str(refused.value)


def test_another_encoding_can_be_chosen(write):
    assert read(write(b"ham\tcaf\xe9 \x80 5\n"), encoding="windows-1252") == [(1, "ham", "café € 5")]
    with pytest.raises(FileRefused, match="Line 1 is not windows-1252: byte 0x81"):
        message_files.messages(write(b"ham\t\x81\n"), encoding="windows-1252")


def test_a_line_of_ten_megabytes_is_not_taken_into_memory(write):
    path = write(b"ham\tshort\n" + b"x" * 10 * 2**20 + b"\n")
    with pytest.raises(FileRefused, match="Line 2 is longer than 81,000 bytes"):
        message_files.messages(path)


def test_limits_come_from_the_settings(write, settings):
    path = write("ham\tone\nham\ttwo\nham\tthree\n")
    settings.TEXT_MAX_MESSAGES = 2
    with pytest.raises(FileRefused, match=r"Line 3: the file has more than 2 messages"):
        message_files.messages(path)
    settings.TEXT_MAX_MESSAGES, settings.TEXT_MAX_CHARACTERS = 9, 4
    with pytest.raises(FileRefused, match=r"Line 3: the message has 5 characters"):
        message_files.messages(path)
    settings.TEXT_MAX_BYTES = 10
    with pytest.raises(FileRefused, match=r"at most 10 are read \(TEXT_MAX_BYTES\)"):
        message_files.messages(path)


def test_to_learn_every_message_needs_a_label(write):
    with pytest.raises(FileRefused, match=r"Line 1 has no label. Every line is `ham` or `spam`"):
        message_files.labelled(write("hello\n"))
    assert len(message_files.labelled(write("ham\thello\n"))) == 1


def test_a_file_that_is_gone_is_no_traceback(tmp_path):
    for read_it in (message_files.messages, message_files.digest):
        with pytest.raises(FileRefused, match="cannot be read: No such file"):
            read_it(tmp_path / "gone.tsv")
