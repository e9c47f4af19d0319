"""Roles and scopes."""

import pytest

from prx.api.scopes import ALL_SCOPES, ROLES, check_scopes, granted
from prx.core.errors import BadRequestError


def test_a_viewer_may_read_everything_and_write_nothing() -> None:
    assert granted("viewer", None) == {scope for scope in ALL_SCOPES if scope.endswith(":read")}


def test_an_operator_may_do_everything_but_change_configuration_and_installed_plugins() -> None:
    assert ALL_SCOPES - granted("operator", None) == {"config:write", "plugins:admin"}


def test_an_admin_may_do_everything() -> None:
    assert granted("admin", None) == ALL_SCOPES


def test_scopes_narrow_a_role_to_exactly_themselves() -> None:
    assert granted("admin", ["tools:write", "status:read"]) == {"tools:write", "status:read"}


def test_writing_does_not_imply_reading() -> None:
    assert "plugins:read" not in granted("admin", ["plugins:write"])


def test_the_wildcard_is_the_whole_role() -> None:
    assert granted("operator", ["*"]) == ROLES["operator"]


@pytest.mark.parametrize(
    "scope", ["plugins", "plugins:*", "plugins:delete", "secrets:read", "", "Plugins:read"]
)
def test_an_unknown_scope_is_refused_with_the_list_of_those_there_are(scope: str) -> None:
    with pytest.raises(BadRequestError, match=f'unknown scope "{scope}"'.replace("*", r"\*")) as caught:
        check_scopes("admin", [scope])
    assert "plugins:admin" in caught.value.message


def test_a_scope_beyond_the_role_is_refused() -> None:
    with pytest.raises(BadRequestError, match='"plugins:write" is beyond the role viewer'):
        check_scopes("viewer", ["plugins:read", "plugins:write"])


def test_the_wildcard_is_beyond_any_role_but_admin() -> None:
    check_scopes("admin", ["*"])
    with pytest.raises(BadRequestError, match="beyond the role operator"):
        check_scopes("operator", ["*"])
