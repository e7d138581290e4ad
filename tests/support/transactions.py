"""Install wheels into an environment in a test, without a lock."""

import dataclasses
import os
import shutil
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minglibc.install import transaction
from minglibc.install.environment import Environment
from minglibc.install.interpreter import Interpreter
from minglibc.install.transaction import Prepared
from tests.support.wheels import BuiltWheel


def copied(template: Interpreter, folder: Path) -> Environment:
    """A copy of the environment of *template* in *folder*."""
    shutil.copytree(template.layout.prefix, folder, symlinks=True)
    layout = template.layout._replace(prefix=str(folder.resolve()), interpreter=str(folder / "bin" / "python"))
    return Environment(dataclasses.replace(template, executable=layout.interpreter, layout=layout))


def prefix_of(environment: Environment) -> Path:
    """The environment's folder."""
    return Path(environment.layout.prefix)


def stored(folder: Path, wheel: BuiltWheel) -> Prepared:
    """*wheel* as a file in *folder*, ready for a transaction."""
    folder.mkdir(exist_ok=True)
    path = folder / wheel.filename
    path.write_bytes(wheel.content)
    return Prepared(str(path), wheel.filename, f"sha256:{wheel.sha256}")


def install(environment: Environment, folder: Path, *wheels: BuiltWheel, leaving: Sequence[str] = ()) -> None:
    """Install *wheels* as a sync does, replacing older versions; remove *leaving*."""
    with transaction.locked(environment.prefix):
        transaction.recover(environment)
        present = environment.distributions()
        names = {wheel.project for wheel in wheels} | set(leaving)
        staying = [distribution for distribution in present if distribution.name not in names]
        replaced = [distribution for distribution in present if distribution.name in names]
        with transaction.begin(environment) as change:
            change.prepare([stored(folder, wheel) for wheel in wheels], staying, replaced)
            change.apply(replaced, staying)


def killed_after(steps: int, work: Callable[[], None], *, since: Path | None = None) -> bool:
    """Do *work* in a child that exits at its *steps*-th change of a name on disk after *since* exists; whether it exited."""
    child = os.fork()
    if child == 0:
        left = [steps]

        def dying(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **keywords: Any) -> Any:
                left[0] -= since is None or since.exists()
                if left[0] < 0:
                    os._exit(9)
                return call(*arguments, **keywords)

            return counted

        for name in ("rename", "unlink", "rmdir", "replace", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            work()
        except BaseException:  # noqa: BLE001  the parent sees the code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9
