"""Whose account it is: keys of the environment, of a cloud function, of the platform's role, or none."""

from service.settings import RecognizerKind, TencentCredentials
from tests.pure.test_settings import CREDENTIALS, problems, read


def test_the_token_of_a_cloud_function_belongs_to_its_own_keys() -> None:
    injected = {"TENCENTCLOUD_SECRETID": "AKIDtmp", "TENCENTCLOUD_SECRETKEY": "tmp", "TENCENTCLOUD_SESSIONTOKEN": "t"}
    own = read({"TENCENT_APP_ID": "1", **injected}).credentials
    assert own == TencentCredentials("1", "AKIDtmp", "tmp", "t")
    told = read({"TENCENT_APP_ID": "1", **injected, "TENCENTCLOUD_TOKEN": "told"}).credentials
    assert told == TencentCredentials("1", "AKIDtmp", "tmp", "told")
    permanent = read({**CREDENTIALS, **injected}).credentials
    assert permanent == TencentCredentials("1250000000", "AKIDexample", "key")


def test_half_an_account_does_not_stop_the_local_recognizer() -> None:
    settings = read({"RECOGNIZER": "local", "TENCENT_APP_ID": "1250000000"}, local=True)
    assert (settings.recognizer, settings.credentials) == (RecognizerKind.LOCAL, None)


def test_the_role_of_the_platform_needs_the_account_only() -> None:
    settings = read({"TENCENT_CREDENTIALS": "role", "TENCENT_APP_ID": "1250000000"}, local=True)
    assert (settings.recognizer, settings.role_app_id) == (RecognizerKind.TENCENT, "1250000000")
    assert settings.credentials is None
    with_keys = read({"TENCENT_CREDENTIALS": "Role", **CREDENTIALS})
    assert (with_keys.role_app_id, with_keys.credentials) == ("1250000000", None)
    assert read({"TENCENT_CREDENTIALS": "role", "RECOGNIZER": "local"}, local=True).role_app_id == ""


def test_a_role_without_an_account() -> None:
    assert problems({"TENCENT_CREDENTIALS": "role"}) == ["TENCENT_CREDENTIALS=role needs TENCENT_APP_ID"]
    assert problems({"TENCENT_CREDENTIALS": "sts", "PORT": "1"}) == [
        "TENCENT_CREDENTIALS='sts': expected one of env, role"
    ]


def test_the_description_of_a_role() -> None:
    lines = read({"TENCENT_CREDENTIALS": "role", "TENCENT_APP_ID": "1250000000"}).describe()
    assert [line for line in lines if line.startswith("TENCENT_") and "URL" not in line] == [
        "TENCENT_CREDENTIALS=role",
        "TENCENT_APP_ID=1250000000",
    ]
