"""The text of what is granted and revoked, and the names and passwords of accounts."""

from __future__ import annotations

import math
import re

import pytest
from pydantic import SecretStr

from labdata.database.known_accounts import check_name
from labdata.database.new_passwords import make_password
from labdata.database.project_views import view_name
from labdata.database.rights import (
    Right,
    check_role,
    grant_pattern,
    own_schemas,
    together,
    without,
)
from labdata.database.statements import Statement, show_statements
from labdata.errors import DatabaseError, QueryError

KIM = ("kim", "%")


def test_a_right_on_a_schema_matches_this_schema_only() -> None:
    right = Right("lab_a_b", None, ("SELECT", "INSERT"))
    assert str(Statement(right.granted, KIM)) == (
        r"GRANT SELECT, INSERT ON `lab\_a\_b`.* TO 'kim'@'%';"
    )
    assert [str(Statement(text, KIM)) for text in right.revoked] == [
        r"REVOKE SELECT ON `lab\_a\_b`.* FROM 'kim'@'%';",
        r"REVOKE INSERT ON `lab\_a\_b`.* FROM 'kim'@'%';",
    ]


def test_a_right_on_a_table_names_it_as_it_is() -> None:
    right = Right("lab_x", "~file~a_b", ("SELECT", "GRANT OPTION"))
    assert str(Statement(right.granted, KIM)) == (
        "GRANT SELECT ON `lab_x`.`~file~a_b` TO 'kim'@'%' WITH GRANT OPTION;"
    )
    assert [str(Statement(text, KIM)) for text in right.revoked] == [
        "REVOKE SELECT ON `lab_x`.`~file~a_b` FROM 'kim'@'%';",
        "REVOKE GRANT OPTION ON `lab_x`.`~file~a_b` FROM 'kim'@'%';",
    ]


@pytest.mark.parametrize("name", ["a`b", "`", "x`.*"])
def test_names_that_would_end_their_quotes_are_refused(name: str) -> None:
    with pytest.raises(DatabaseError):
        _ = Right(name, None, ("SELECT",)).granted
    with pytest.raises(DatabaseError):
        _ = Right("lab", name, ("SELECT",)).granted


@pytest.mark.parametrize(
    ("schema", "pattern"), [("lab", "lab"), ("a_b_c", r"a\_b\_c"), ("a%", r"a\%"), ("a-b", "a-b")]
)
def test_patterns_of_schemas(schema: str, pattern: str) -> None:
    assert grant_pattern(schema) == pattern


def test_values_are_escaped_and_secrets_masked() -> None:
    statement = Statement("X %s %s %s %s", ("o'hara", 'a"\\', SecretStr("hush-hush"), 3))
    assert str(statement) == r"""X 'o\'hara' 'a\"\\' '***' 3;"""
    assert "hush" not in repr(statement) + show_statements([statement, statement])
    assert show_statements([statement] * 2).count("\n") == 1


def test_a_statement_reaches_the_driver_with_its_values_apart() -> None:
    class Spy:
        def query(self, *given: object) -> None:
            self.given = given

    spy = Spy()
    Statement("CREATE USER %s IDENTIFIED BY %s", ("kim", SecretStr("hush"))).run(spy)
    assert spy.given == ("CREATE USER %s IDENTIFIED BY %s", ("kim", "hush"))


def test_passwords_are_long_mixed_and_new() -> None:
    made = {make_password().get_secret_value() for _ in range(200)}
    assert len(made) == 200
    for password in made:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.+-]{27}", password)
        for kind in ("[a-z]", "[A-Z]", "[0-9]", "[_.+-]"):
            assert re.search(kind, password)
    assert 28 * math.log2(66) > 128


@pytest.mark.parametrize("name", ["kim", "Kim.B", "k_b-2", "x" * 32])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "o'hara", 'a"b', "a`b", "a%", "%", "a b", "a\\b", "x" * 33, "kim\n", "ä", "1a", "a@b"],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(QueryError, match="cannot be the name"):
        check_name(name)


def test_roles_by_name() -> None:
    assert check_role("reader") == "reader"
    for other in ("Reader", "", "root"):
        with pytest.raises(QueryError, match="There is no role"):
            check_role(other)


def test_the_longest_names_fit_a_server() -> None:
    assert len(view_name("upload_job__assigned_files", "x" * 32)) <= 64
    assert own_schemas("lab", "a_b") == ("lab_a_b", "lab_a_b_computed", "lab_a_b_user")


def test_rights_are_joined_and_taken_apart_by_place() -> None:
    a, b = Right("s", None, ("SELECT", "GRANT OPTION")), Right("s", None, ("SELECT", "INSERT"))
    table = Right("s", "t", ("SELECT",))
    assert together([a, b, table]) == [
        Right("s", None, ("SELECT", "INSERT", "GRANT OPTION")),
        table,
    ]
    assert without([Right("s", None, ("SELECT", "INSERT")), table], [table, a]) == [
        Right("s", None, ("INSERT",))
    ]
