"""What is deployed: the commit, as `git archive` packs it. Never the working directory, where `.env` files lie."""

import fnmatch
import subprocess
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.cloud import exits
from ops.cloud.exits import CloudError

GIT_LIMIT_S: Final = 120.0
MAX_BYTES: Final = 200 * 1024 * 1024
"""Ours: a checkout of this project has a few megabytes, so more is a mistake."""

SECRET_NAMES: Final = {
    ".env": "environment files hold secrets",
    ".env.*": "environment files hold secrets",
    "*.env": "environment files hold secrets",
    "*.pem": "it may be a private key",
    "*.key": "it may be a private key",
    "*.p12": "it may hold a private key",
    "*.pfx": "it may hold a private key",
    "*.jks": "it may hold a private key",
    "id_rsa": "it is a private key",
    "id_dsa": "it is a private key",
    "id_ecdsa": "it is a private key",
    "id_ed25519": "it is a private key",
    ".netrc": "it holds passwords",
    ".npmrc": "it may hold a token",
    ".pypirc": "it may hold a token",
    ".git-credentials": "it holds passwords",
    ".htpasswd": "it holds passwords",
    "kubeconfig": "it holds the keys of a cluster",
    "credentials": "it may hold keys",
    "credentials.json": "it may hold keys",
    "service-account*.json": "it may hold keys",
}
_EXAMPLES: Final = (".example", ".sample", ".template", ".dist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A packed commit."""

    path: Path
    commit: str
    size_bytes: int
    files: int
    dirty: tuple[str, ...]
    """Files whose changes are not in the package, because they are not committed."""


def secrets_among(names: Iterable[str]) -> list[tuple[str, str]]:
    """The files that must not leave the machine, each with the reason."""
    found = []
    for name in sorted(names):
        base = name.rstrip("/").rpartition("/")[2].lower()
        if base.endswith(_EXAMPLES) or name.endswith("/"):
            continue
        reason = next((why for pattern, why in SECRET_NAMES.items() if fnmatch.fnmatchcase(base, pattern)), None)
        if reason:
            found.append((name, reason))
    return found


def pack(checkout: Path, dockerfile: str, directory: Path, *, allow_dirty: bool, allowed: Sequence[str]) -> Package:
    """Pack the checkout's HEAD as a zip file in `directory`. Raises CloudError when it should not be deployed.

    `allowed` are files that look like secrets and are none.
    """
    top = Path(_git(checkout, "rev-parse", "--show-toplevel").strip())
    commit = _git(top, "rev-parse", "--verify", "HEAD^{commit}").strip()
    dirty = _dirty(top)
    if dirty and not allow_dirty:
        raise CloudError(
            f"{len(dirty)} files are not committed, such as {dirty[0]}.",
            "What is deployed is the commit. Commit them, or give --allow-dirty to deploy without these changes.",
            exit_code=exits.USAGE,
        )
    path = directory / f"{commit[:12]}.zip"
    _git(top, "archive", "--format=zip", f"--output={path}", commit)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    _check_names(names, dockerfile, allowed)
    size_bytes = path.stat().st_size
    if size_bytes > MAX_BYTES:
        raise CloudError(
            f"The package has {size_bytes / 1e6:.0f} MB, more than {MAX_BYTES / 1e6:.0f}.",
            "Look for large files in the commit: `git ls-tree -r -l HEAD | sort -n -k4 | tail`.",
            exit_code=exits.USAGE,
        )
    files = sum(not name.endswith("/") for name in names)
    return Package(path=path, commit=commit, size_bytes=size_bytes, files=files, dirty=dirty)


def export(package: Package, directory: Path) -> None:
    """Unpack a package into an empty directory, links left out: the archive is git's own, of a commit of ours."""
    with zipfile.ZipFile(package.path) as archive:
        archive.extractall(directory)


def _check_names(names: Sequence[str], dockerfile: str, allowed: Sequence[str]) -> None:
    secret = [(name, why) for name, why in secrets_among(names) if name not in allowed]
    if secret:
        listed = "; ".join(f"{name} ({why})" for name, why in secret[:10])
        raise CloudError(
            f"The commit has files that must not be uploaded: {listed}.",
            "Take them out of git (`git rm --cached FILE`), or keep them out of the package with a line "
            "`FILE export-ignore` in .gitattributes. What was once pushed is known: replace those keys.",
            "A file that only looks like a secret: --allow-file FILE.",
            exit_code=exits.USAGE,
        )
    if dockerfile not in names:
        raise CloudError(
            f"The commit has no {dockerfile}.",
            "Without it the cloud would make a function service of it, fixed to port 3000. "
            "Commit the file, run this in the project's checkout, or name another with --dockerfile.",
            exit_code=exits.USAGE,
        )


def _dirty(top: Path) -> tuple[str, ...]:
    entries = iter(_git(top, "status", "--porcelain=v1", "-z", "--untracked-files=no").split("\0"))
    changed = []
    for entry in entries:
        if entry:
            changed.append(entry[3:])
            if entry[0] in "RC":
                next(entries, None)  # the name before
    return tuple(changed)


def _git(directory: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            ["git", "-C", str(directory), *arguments],  # noqa: S607 - the operator's git
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_LIMIT_S,
            check=False,
        )
    except FileNotFoundError:
        raise CloudError("git is not installed.", exit_code=exits.USAGE) from None
    except subprocess.TimeoutExpired:
        raise CloudError(f"git {arguments[0]} took more than {GIT_LIMIT_S:g} s.", exit_code=exits.USAGE) from None
    if done.returncode:
        raise CloudError(
            f"git {arguments[0]}: {done.stderr.strip()[:300]}",
            "Run this in a checkout of the project that has a commit, or name one with --source.",
            exit_code=exits.USAGE,
        )
    return done.stdout
