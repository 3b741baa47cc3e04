"""What schemathesis cannot make up: recordings. Half of the files it uploads are one."""

import schemathesis
from hypothesis import strategies

from tests.support.coded_files import wav

schemathesis.openapi.format("binary", strategies.just(wav(bytes(640))) | strategies.binary(max_size=200))
