"""What pyproject.toml cannot say: configs and tools go into the wheel.

They lie in ``soco_mm/.mim``, where MIM and MMEngine look for those of an
installed package. An editable install links them, as MMDetection does.
"""

import atexit
import shutil
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools', 'model-index.yml')


class BuildApart(build):
    """Builds in a temporary folder, so that no wheel holds what was removed."""

    def initialize_options(self):
        super().initialize_options()
        self.build_base = tempfile.mkdtemp(prefix='soco_mm_build_')
        atexit.register(shutil.rmtree, self.build_base, ignore_errors=True)


class BuildWithMim(build_py):
    """Puts configs and tools beside the modules."""

    def run(self):
        super().run()
        if self.editable_mode:
            mim = ROOT / 'soco_mm/.mim'
            mim.mkdir(exist_ok=True)
            for name in SHIPPED:
                link = mim / name
                if not link.is_symlink():
                    link.symlink_to(Path('../..') / name)
            return
        mim = Path(self.build_lib) / 'soco_mm/.mim'
        for name in SHIPPED:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name,
                    mim / name,
                    ignore=shutil.ignore_patterns('__pycache__', '*.py[cod]'),
                    dirs_exist_ok=True,
                )
            else:
                shutil.copy2(ROOT / name, mim / name)


setup(cmdclass={'build': BuildApart, 'build_py': BuildWithMim})
