"""Project pages for the tests."""

from minglibc.index.page_file import File
from minglibc.model.project_page import ProjectPage, reduce_files


def page_of(*filenames: str, requires_python: str | None = None, upload_time: str | None = None) -> ProjectPage:
    """The page of project a with these files."""
    files = [
        File(
            filename,
            f"../files/{filename}",
            {"sha256": "0" * 64},
            requires_python=requires_python,
            upload_time=upload_time,
        )
        for filename in filenames
    ]
    return reduce_files("a", files, base_url="https://example.invalid/simple/a/")
