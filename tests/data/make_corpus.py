#!/usr/bin/env python3
"""Writes tests/data/corpus: odd and bad manifests in many shapes, each with its expected verdict in verdicts.json.

Every file holds a good row, then a row of some kind, then a good row: whatever is wrong with the middle, its neighbours must be read. The
same input makes the same bytes: tests/data/make_corpus.py && git diff --exit-code tests/data/corpus
"""
import bz2
import csv
import gzip
import io
import json
import lzma
import shutil
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
COLUMNS = ["url", "tags", "latitude", "longitude", "datetime", "camera_model", "callback", "retain_original_video"]
MANY = ";".join(f"t{n}" for n in range(21))
WORD = "x" * 201

# a kind of row: what differs from a good one, and the class of its fault (none: it is good)
KINDS = {
    "url_missing": ({"url": ""}, "url_empty"),
    "url_relative": ({"url": "clips/1.mp4"}, "url_not_absolute"),
    "url_bucket": ({"url": "gs://bucket/clip.mp4"}, "url_scheme"),
    "url_camera": ({"url": "rtsp://user:password@10.0.0.1/"}, "url_scheme"),
    "url_password": ({"url": "https://user:password@host.example/a.mp4"}, "url_credentials"),
    "url_no_host": ({"url": "https://"}, "url_no_host"),
    "url_spaces": ({"url": " https://host.example/a b.mp4 "}, None),
    "url_idn": ({"url": "https://b\u00fccher.example/\u00fc.mp4"}, None),
    "url_dots": ({"url": "https://HOST.example:443/a/../b.mp4#t=3"}, None),
    "tags_21": ({"tags": MANY}, "tags_too_many"),
    "tags_long": ({"tags": WORD}, "tag_too_long"),
    "tags_reserved": ({"tags": "telecine:1"}, "tag_reserved"),
    "tags_json": ({"tags": '["a, b", "c"]'}, None),
    "tags_set": ({"tags": "{'a, b', 'it''s'}"}, None),
    "tags_only_separators": ({"tags": " ; , | "}, None),
    "place_far": ({"latitude": "95"}, "coordinates_range"),
    "place_word": ({"latitude": "north"}, "coordinates_number"),
    "place_half": ({"longitude": ""}, "coordinates_pair"),
    "place_axis": ({"latitude": "13E"}, "coordinates_axis"),
    "place_nan": ({"latitude": "nan"}, "coordinates_pair"),
    "place_comma": ({"latitude": "52,5", "longitude": "13,25"}, None),
    "place_dms": ({"latitude": "52\u00b030'0\"N", "longitude": "13\u00b015'W"}, None),
    "date_either_way": ({"datetime": "01/02/2019"}, "datetime_ambiguous"),
    "date_year": ({"datetime": "1987"}, "datetime_year"),
    "date_impossible": ({"datetime": "2019-02-30"}, "datetime_impossible"),
    "date_word": ({"datetime": "yesterday"}, "datetime_unknown"),
    "date_epoch": ({"datetime": "1531754460"}, None),
    "date_month": ({"datetime": "16 Jul 2018 17:21"}, None),
    "date_offset": ({"datetime": "2015-10-21 00:00:00-04"}, None),
    "camera_long": ({"camera_model": WORD}, "text_too_long"),
    "callback_word": ({"callback": "me"}, "callback_url"),
    "retain_perhaps": ({"retain_original_video": "perhaps"}, "boolean"),
}


def rows_of(kind):
    good = {column: "" for column in COLUMNS}
    good |= {"tags": "caf\u00e9;fog", "latitude": "1.5", "longitude": "-2.5", "datetime": "2019-05-06 07:08:09"}
    first = good | {"url": "https://host.example/first.mp4"}
    middle = good | {"url": "https://host.example/middle.mp4"} | KINDS[kind][0]
    last = good | {"url": "https://host.example/last.mp4"}
    return [first, middle, last]


def as_csv(rows, **dialect):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, **({"lineterminator": "\n"} | dialect))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(rows, head, between, tail, **style):
    return head + between.join(json.dumps(row, **style) for row in rows) + tail


# a shape: the ending of the file, its bytes, and the line of the middle row
SHAPES = {
    "comma": ("csv", lambda rows: as_csv(rows).encode(), 3),
    "semicolon_crlf": ("csv", lambda rows: as_csv(rows, delimiter=";", lineterminator="\r\n").encode(), 3),
    "tab": ("tsv", lambda rows: as_csv(rows, delimiter="\t").encode(), 3),
    "pipe": ("txt", lambda rows: as_csv(rows, delimiter="|").encode(), 3),
    "old_mac": ("csv", lambda rows: as_csv(rows, lineterminator="\r").encode(), 3),
    "all_quoted": ("csv", lambda rows: as_csv(rows, quoting=csv.QUOTE_ALL).encode(), 3),
    "bom_no_last_break": ("csv", lambda rows: b"\xef\xbb\xbf" + as_csv(rows).rstrip("\n").encode(), 3),
    "utf16le": ("csv", lambda rows: b"\xff\xfe" + as_csv(rows).encode("utf-16-le"), 3),
    "utf16be": ("csv", lambda rows: b"\xfe\xff" + as_csv(rows).encode("utf-16-be"), 3),
    "windows_1252": ("csv", lambda rows: as_csv(rows).encode("cp1252"), 3),
    "gzip": ("csv.gz", lambda rows: gzip.compress(as_csv(rows).encode(), mtime=0), 3),
    "bzip2": ("bz2", lambda rows: bz2.compress(as_csv(rows).encode()), 3),
    "xz": ("csv", lambda rows: lzma.compress(as_csv(rows).encode()), 3),
    "blank_lines": ("csv", lambda rows: as_csv(rows).replace("\n", "\n\n").encode(), 5),
    "json_lines": ("jsonl", lambda rows: as_json(rows, "", "\n", "\n").encode(), 2),
    "json_array": ("json", lambda rows: as_json(rows, "[\n", ",\n", "\n]\n", ensure_ascii=False).encode(), 3),
    "json_one_line": ("json", lambda rows: as_json(rows, "[", ", ", "]").encode(), 2),
    "json_pretty": ("json", lambda rows: as_json(rows, "", "\n", "\n", indent=1, sort_keys=True).encode(), 11),
}

HEAD = "url,tags\nhttps://host.example/first.mp4,a\n"
LAST = "https://host.example/last.mp4,c\n"

# files whose structure is bad: bytes, good rows, and (line, class) of each fault
STRUCTURES = {
    "cell_too_many": (HEAD + "https://host.example/m.mp4,b,surplus\n" + LAST, 2, [(3, "column_count")]),
    "cell_too_few": (HEAD + "https://host.example/m.mp4\n" + LAST, 2, [(3, "column_count")]),
    "nul": (HEAD + "https://host.example/m.mp4,\0\n" + LAST, 2, [(3, "nul_byte")]),
    "cell_long": (HEAD + "https://host.example/m.mp4," + "y" * 65537 + "\n" + LAST, 2, [(3, "cell_too_long")]),
    "columns_300": (HEAD + "," * 300 + "\n" + LAST, 2, [(3, "too_many_columns")]),
    "quote_open": (HEAD + 'https://host.example/m.mp4,"b\n' + LAST, 1, [(3, "unterminated_quote")]),
    "quote_open_at_the_end": (HEAD + LAST + '"', 2, [(4, "unterminated_quote")]),
    "line_break_inside": (HEAD + 'https://host.example/m.mp4,"b\nc"\n' + LAST, 3, []),
    "quote_doubled": (HEAD + 'https://host.example/m.mp4,"say ""b"""\n' + LAST, 3, []),
    "one_broken_letter": (HEAD + "https://host.example/\u00fc.mp4,\u00fc\n" + "https://host.example/m.mp4,@\n" + LAST, 3, [(4, "not_utf8")]),
    "json_line_broken": ('{"url":"https://h.example/1.mp4"}\n{"url":\n{"url":"https://h.example/2.mp4"}\n', 2, [(2, "json_object")]),
    "json_line_number": ('{"url":"https://h.example/1.mp4"}\n7\n{"url":"https://h.example/2.mp4"}\n', 2, [(2, "json_object")]),
    "json_cut_off": ('[{"url":"https://h.example/1.mp4"},\n{"url":"https://h.exam', 1, [(2, "unterminated_json")]),
    "json_deep": ('{"url":"https://h.example/1.mp4","x":' + '{"x":' * 500 + "1" + "}" * 500 + "}\n", 1, []),
    "json_nul": ('{"url":"https://h.example/1.mp4"}\n{"url":"\\u0000"}\n', 1, [(2, "nul_byte")]),
    "list": ("# mine\nhttps://h.example/1.mp4\n\nhttps://h.example/2.mp4\n", 2, []),
}

# files that are no manifest at all: bytes, and words of the error
ERRORS = {
    "empty": (b"", "the manifest is empty"),
    "only_blank_lines": (b"\n\r\n\n", "the manifest is empty"),
    "no_url": (b"name,tags\na,b\n", "no column is recognised as the url"),
    "rows_without_header": (b"https://host.example/a.mp4,x\n", "--no-header --map url=#1"),
    "header_cut_off": (b'url,"tags', "the header line cannot be read"),
    "binary": (bytes(range(256)) * 8, ""),
    "gzip_cut_off": (gzip.compress(HEAD.encode(), mtime=0)[:20], ""),
}


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    verdicts = {}
    for kind, (_, fault) in KINDS.items():
        for shape, (ending, make, line) in SHAPES.items():
            name = f"{kind}-{shape}.{ending}"
            (FOLDER / name).write_bytes(make(rows_of(kind)))
            verdicts[name] = {"good": 2 if fault else 3, "faults": [[line, fault]] if fault else []}
    for name, (text, good, faults) in STRUCTURES.items():
        # an @ stands for a byte that no UTF-8 has
        data = text.encode().replace(b"@", b"\xff") if name == "one_broken_letter" else text.encode()
        (FOLDER / name).write_bytes(data)
        verdicts[name] = {"good": good, "faults": [list(fault) for fault in faults]}
    for name, (data, words) in ERRORS.items():
        (FOLDER / name).write_bytes(data)
        verdicts[name] = {"error": words}
    lines = [f"{json.dumps(name)}: {json.dumps(verdict)}" for name, verdict in verdicts.items()]
    (FOLDER / "verdicts.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
