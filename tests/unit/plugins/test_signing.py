"""Signatures: made for what was read, and worth nothing for anything else."""

import base64
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prx.config.types import PublicKey
from prx.core.errors import PrxError
from prx.plugins.errors import LoadError, UntrustedError
from prx.plugins.packing import pack
from prx.plugins.signer import generate, sign
from prx.plugins.signing import MAX_SIGNATURES, admit, parse, verify
from prx.plugins.sources import Contents, read, source_at
from tests.support.packages import package

MANIFEST = '[plugin]\nname = "weather"\nversion = "1.2.0"\n'


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "author.key"


@pytest.fixture
def key(key_file: Path) -> str:
    return generate(key_file)


def bare(directory: Path) -> Path:
    path = directory / "weather.wasm"
    path.write_bytes(b"component")
    return path


def unpacked(directory: Path) -> Path:
    plugin = directory / "weather"
    plugin.mkdir()
    (plugin / "plugin.toml").write_text(MANIFEST)
    (plugin / "plugin.wasm").write_bytes(b"component")
    return plugin


def packed(directory: Path) -> Path:
    return package(directory, "weather", wasm=b"component")


def signed(path: Path, key_file: Path) -> Path:
    source = source_at(path)
    assert source is not None
    return sign(source, key_file)[0]


def contents(path: Path) -> Contents:
    source = source_at(path)
    assert source is not None
    return read(source)[0]


FORMS = pytest.mark.parametrize(
    ("make", "where"),
    [(bare, "weather.wasm.sig"), (unpacked, "plugin.sig"), (packed, "weather-1.2.0.prxplugin")],
)


@FORMS
def test_what_was_signed_tells_who_signed_it(
    make: Callable[[Path], Path], where: str, key: str, key_file: Path, tmp_path: Path
) -> None:
    path = make(tmp_path)
    assert verify(contents(path), [key]) is None
    assert signed(path, key_file).name == where
    found = verify(contents(path), [key])
    assert found is not None
    assert (found.key, found.trusted) == (key, True)
    unknown = verify(contents(path), [])
    assert unknown is not None
    assert (unknown.key, unknown.trusted) == (key, False)


def test_one_signature_fits_a_directory_and_its_package(key: str, key_file: Path, tmp_path: Path) -> None:
    directory = unpacked(tmp_path)
    signed(directory, key_file)
    made = pack(directory, tmp_path / "weather-1.2.0.prxplugin")
    assert verify(contents(made.path), [key]) == verify(contents(directory), [key])


@pytest.mark.parametrize("name", ["plugin.toml", "plugin.wasm"])
def test_a_change_after_signing_is_told(name: str, key: str, key_file: Path, tmp_path: Path) -> None:
    directory = unpacked(tmp_path)
    signed(directory, key_file)
    path = directory / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(LoadError, match="its signature does not fit"):
        verify(contents(directory), [key])


def test_a_signature_of_another_plugin_does_not_fit(key: str, key_file: Path, tmp_path: Path) -> None:
    """Also where only the manifest differs, or there is none: the same component asks for other things there."""
    first, second = unpacked(tmp_path), bare(tmp_path)
    signature = signed(second, key_file).read_bytes()
    (first / "plugin.sig").write_bytes(signature)
    with pytest.raises(LoadError, match="another plugin's"):
        verify(contents(first), [key])


def test_signing_again_keeps_what_other_keys_vouch_for(key: str, key_file: Path, tmp_path: Path) -> None:
    other_file = tmp_path / "other.key"
    other = generate(other_file)
    path = unpacked(tmp_path)
    for file in (key_file, other_file, key_file):
        signed(path, file)
    assert {line.key for line in parse((path / "plugin.sig").read_bytes())} == {key, other}
    for trusted in (key, other):
        found = verify(contents(path), [trusted])
        assert found is not None
        assert (found.key, found.trusted) == (trusted, True)


def test_signing_a_changed_plugin_drops_signatures_that_do_not_fit_any_more(
    key: str, key_file: Path, tmp_path: Path
) -> None:
    other_file = tmp_path / "other.key"
    generate(other_file)
    path = unpacked(tmp_path)
    signed(path, other_file)
    (path / "plugin.wasm").write_bytes(b"changed")
    signed(path, key_file)
    assert [line.key for line in parse((path / "plugin.sig").read_bytes())] == [key]
    (path / "plugin.sig").write_bytes(b"damaged")
    signed(path, key_file)
    assert verify(contents(path), [key]) is not None


def test_one_line_that_fits_is_enough(key: str, key_file: Path, tmp_path: Path) -> None:
    """While a signed file is replaced, the file beside it vouches for the old and the new one."""
    path = bare(tmp_path)
    old = signed(path, key_file).read_bytes()
    path.write_bytes(b"newer")
    signed(path, key_file)
    beside = tmp_path / "weather.wasm.sig"
    beside.write_bytes(old + beside.read_bytes().partition(b"\n")[2])
    for content in (b"component", b"newer"):
        path.write_bytes(content)
        assert verify(contents(path), [key]) is not None


def test_where_signatures_are_required_only_a_trusted_key_is_enough(
    key: str, key_file: Path, tmp_path: Path
) -> None:
    path = bare(tmp_path)
    with pytest.raises(UntrustedError, match="is set and it is not signed"):
        admit(contents(path), [key], required=True)
    signed(path, key_file)
    with pytest.raises(UntrustedError, match="which is none of plugins"):
        admit(contents(path), [], required=True)
    assert admit(contents(path), [key], required=True) == admit(contents(path), [key], required=False)


LINE = "ed25519:" + "A" * 43 + "= " + "A" * 86 + "=="


@pytest.mark.parametrize(
    "text",
    [
        "", "prx-signature 1", "prx-signature 1\n", f"prx-signature 2\n{LINE}\n", LINE,
        f"prx-signature 1\r\n{LINE}\r\n",
        f"prx-signature 1\n{LINE}\n\n", f"prx-signature 1\n{LINE} \n", f"prx-signature 1\n{LINE[:-3]}\n",
        f"prx-signature 1\n{LINE.replace('A= ', 'B= ')}\n",
        "prx-signature 1\n" + f"{LINE}\n" * (2 * MAX_SIGNATURES + 1),
        "-----BEGIN PGP SIGNATURE-----", "\xff",
    ],
)  # fmt: skip
def test_what_is_no_signature_file_is_refused(text: str) -> None:
    with pytest.raises(LoadError, match="its signature file is none"):
        parse(text.encode("latin-1"))


@given(text=st.binary(max_size=300) | st.binary(max_size=200).map(lambda data: b"prx-signature 1\n" + data))
def test_any_bytes_as_a_signature_are_refused(text: bytes) -> None:
    with pytest.raises(LoadError):
        verify(Contents("weather", "1.2.0", None, "00", signature=text), [])


@given(key=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=64, max_size=64))
def test_no_made_up_signature_fits(key: bytes, signature: bytes) -> None:
    line = f"ed25519:{base64.b64encode(key).decode()} {base64.b64encode(signature).decode()}"
    made_up = Contents("weather", "1.2.0", None, "00", signature=f"prx-signature 1\n{line}\n".encode())
    try:
        trusted = TypeAdapter(PublicKey).validate_python(line.partition(" ")[0])
    except ValidationError:
        return  # a key that anybody can sign with
    with pytest.raises(LoadError, match="does not fit"):
        verify(made_up, [trusted])


def test_a_private_key_is_for_its_owner_alone_and_never_overwritten(key_file: Path) -> None:
    key = generate(key_file)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert base64.b64encode(key_file.read_bytes()).decode() not in key
    before = key_file.read_bytes()
    with pytest.raises(PrxError, match="is there already"):
        generate(key_file)
    assert key_file.read_bytes() == before
    with pytest.raises(PrxError, match="cannot be written: No such file"):
        generate(key_file.parent / "missing" / "key")


def _pem(key: object, password: serialization.KeySerializationEncryption) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, password)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"ed25519:AAAA", _pem(generate_private_key(SECP256R1()), serialization.NoEncryption()),
        _pem(Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"x")),
    ],
    ids=["empty", "text", "another kind", "locked"],
)  # fmt: skip
def test_what_is_no_private_key_signs_nothing(content: bytes, key_file: Path, tmp_path: Path) -> None:
    key_file.touch(0o600)
    key_file.write_bytes(content)
    with pytest.raises(PrxError, match="no private Ed25519 key"):
        signed(bare(tmp_path), key_file)


def test_a_key_that_others_may_read_signs_nothing(key_file: Path, tmp_path: Path) -> None:
    generate(key_file)
    key_file.chmod(0o644)
    with pytest.raises(PrxError, match="chmod 600"):
        signed(bare(tmp_path), key_file)
    with pytest.raises(PrxError, match="`prx plugin keygen` makes a key"):
        signed(bare(tmp_path), tmp_path / "missing.key")


@pytest.mark.usefixtures("key")
def test_a_signature_that_cannot_be_written_says_where(key_file: Path, tmp_path: Path) -> None:
    directory = unpacked(tmp_path)
    (directory / ".plugin.sig.tmp").mkdir()
    with pytest.raises(PrxError, match=r"plugin\.sig cannot be written: Is a directory"):
        signed(directory, key_file)
