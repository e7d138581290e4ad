"""Extension modules in Rust, whose crates are in the source distribution, built under the cap with setuptools-rust."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support import oldglibc
from tests.support.commands import minglibc
from tests.support.sdists import entry_of, tar_of
from tests.support.wheels import metadata_text

pytestmark = [pytest.mark.nightly, pytest.mark.online]
pytest.importorskip("ziglang")

PYTHON = "3.9"
MANIFEST = '[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2021"\n'
SETUP = """\
from setuptools import setup
from setuptools_rust import Binding, RustExtension
setup(name="rusty", version="1.0", rust_extensions=[RustExtension("rusty", binding=Binding.NoBinding)], zip_safe=False)
"""
# The C API without pyo3, which no source distribution of this size could contain.
MODULE = r"""
use std::os::raw::{c_char, c_int, c_void};
extern "C" { fn PyModule_Create2(definition: *mut Definition, version: c_int) -> *mut c_void; }
#[repr(C)]
pub struct Definition {
    base: [usize; 5], name: *const c_char, doc: *const c_char, size: isize, methods: *mut c_void,
    slots: *mut c_void, traverse: *mut c_void, clear: *mut c_void, free: *mut c_void,
}
#[no_mangle]
pub extern "C" fn PyInit_rusty() -> *mut c_void {
    let null = std::ptr::null_mut();
    let definition = Box::new(Definition {
        base: [1, 0, 0, 0, 0], name: vendored::NAME.as_ptr() as *const c_char, doc: std::ptr::null(), size: -1,
        methods: null, slots: null, traverse: null, clear: null, free: null,
    });
    unsafe { PyModule_Create2(Box::into_raw(definition), 1013) }
}
"""


def source_files() -> dict[str, str]:
    """A project whose crate requires another one, which is vendored as `cargo vendor` does it."""
    crate = {"Cargo.toml": MANIFEST.format(name="vendored"), "src/lib.rs": 'pub const NAME: &str = "rusty\\0";\n'}
    digests = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in crate.items()}
    checksum = hashlib.sha256(b"vendored").hexdigest()
    crate[".cargo-checksum.json"] = json.dumps({"files": digests, "package": checksum})
    registry = "registry+https://github.com/rust-lang/crates.io-index"
    return {
        "PKG-INFO": metadata_text("rusty", "1.0").decode(),
        "pyproject.toml": '[build-system]\nrequires = ["setuptools", "setuptools-rust"]\nbuild-backend = "setuptools.build_meta"\n',
        "setup.py": SETUP,
        "Cargo.toml": f'{MANIFEST.format(name="rusty")}[lib]\ncrate-type = ["cdylib"]\n[dependencies]\nvendored = "1"\n',
        "Cargo.lock": "version = 3\n"
        '[[package]]\nname = "rusty"\nversion = "1.0.0"\ndependencies = ["vendored"]\n'
        f'[[package]]\nname = "vendored"\nversion = "1.0.0"\nsource = "{registry}"\nchecksum = "{checksum}"\n',
        "src/lib.rs": MODULE,
        ".cargo/config.toml": '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "vendor"\n',
        **{f"vendor/vendored/{path}": text for path, text in crate.items()},
    }


def test_vendored_crates(tmp_path: Path) -> None:
    """The wheel is within the cap, and the old glibc loads it where there is one."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed")
    if shutil.which(f"python{PYTHON}") is None:
        pytest.skip(f"needs CPython {PYTHON} on PATH")
    entries = [entry_of(f"rusty-1.0/{path}", text.encode()) for path, text in source_files().items()]
    (tmp_path / "rusty-1.0.tar.gz").write_bytes(tar_of(entries))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "cell"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["rusty"]\n'
        f'[tool.minglibc]\nglibc = "2.17"\npython = ["{PYTHON}"]\nallow-sdist = ["rusty"]\ntoolchain = "zig"\n'
        'built-wheels = "wheels"\n[[tool.minglibc.index]]\nname = "local"\nurl = "."\nformat = "flat"\n'
    )
    ran = minglibc("lock", "--project", str(tmp_path))
    assert 0 == ran.code, ran.err
    (name,) = os.listdir(tmp_path / "wheels")
    assert "manylinux_2_17_x86_64" in name
    shutil.unpack_archive(tmp_path / "wheels" / name, tmp_path / "site", "zip")
    python = oldglibc.or_skip(oldglibc.old_python)
    loaded = python.run("import rusty; print(rusty.__name__)", site_packages=tmp_path / "site")
    assert "rusty\n" == loaded.stdout, loaded.stderr
