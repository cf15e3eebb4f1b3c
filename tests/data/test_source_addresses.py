"""Any text as an address has a key, a name and a place, or is refused with a sentence."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chimle.data.fetch.source_addresses import checksum_key, download_name, file_name, local_path
from chimle.errors import UserError

INVALID = ["http://[::1", "https://[a]b/c.zip", "http://a:port/b", "http://a\u2100b/c"]


@pytest.mark.parametrize("address", INVALID)
def test_an_invalid_address_is_named_wherever_it_is_taken_apart(address: str) -> None:
    for function in (checksum_key, download_name, file_name, lambda a: local_path(a, Path())):
        with pytest.raises(UserError, match=r"`source\.archives`: https?://.* is no valid address"):
            function(address)


@pytest.mark.parametrize("address", ["a\0b", "file:///a%00b"])
def test_a_path_with_nul_is_no_address(address: str) -> None:
    with pytest.raises(UserError, match="is no valid address"):
        local_path(address, Path())


@given(
    scheme=st.sampled_from(["", "http://", "https://", "file://", "s3://", "x://"]),
    rest=st.one_of(
        st.text(max_size=20), st.text("[]:@/?#%0aZ.\\", max_size=20), st.sampled_from(["", "/"])
    ),
)
def test_any_address(scheme: str, rest: str) -> None:
    address = scheme + rest
    for function in (checksum_key, download_name, file_name):
        try:
            text = function(address)
        except UserError:
            continue
        assert function is not download_name or (text and "/" not in text)
    try:
        path = local_path(address, Path())
    except UserError:
        return
    assert path is None or "\0" not in str(path)
