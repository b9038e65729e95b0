"""What a cluster's conf/ folder and its JVMs' command lines hold."""

import glob
import os
import shutil
import subprocess

from .errors import Refused, UNAVAILABLE, CONFIG

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LIB = os.path.join(ROOT, "flink-job", "cluster", "target", "lib")
PLUGINS = os.path.join(ROOT, "flink-job", "cluster", "target", "plugins")

# What Flink 2.2's own config.yaml gives every JVM from Java 17 on (env.java.opts.all).
JAVA_17_OPTIONS = [
    *(f"--add-exports={package}=ALL-UNNAMED" for package in (
        "java.base/sun.net.util", "java.rmi/sun.rmi.registry", "jdk.compiler/com.sun.tools.javac.api",
        "jdk.compiler/com.sun.tools.javac.file", "jdk.compiler/com.sun.tools.javac.parser",
        "jdk.compiler/com.sun.tools.javac.tree", "jdk.compiler/com.sun.tools.javac.util",
        "java.security.jgss/sun.security.krb5")),
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in (
        "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time",
        "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks")),
]
# Programs that live for a second: the second compiler would never pay for itself.
SHORT_LIVED_OPTIONS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]

# The S3 plugin's AWS client would print a page about its age.
QUIET_AWS = "-Daws.java.v1.disableDeprecationAnnouncement=true"

LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
logger.netty.name = org.apache.flink.shaded.netty4
logger.netty.level = ERROR
logger.hadoop.name = org.apache.hadoop
logger.hadoop.level = ERROR
appender.file.name = File
appender.file.type = File
appender.file.fileName = ${sys:log.file}
appender.file.append = true
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
"""


def defaults(directory: str, slots: int, rest_port: int, rpc_port: int) -> dict:
    """The configuration that --conf is laid over. What is absent is left at Flink's default."""
    return {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": str(rpc_port),
        "jobmanager.bind-host": "127.0.0.1",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": str(rest_port),
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": str(slots),
        "jobmanager.memory.process.size": "1g",
        "taskmanager.memory.process.size": "2g",
        # Flink's advice for jobs that keep their state on the heap.
        "taskmanager.memory.managed.size": "0",
        # An exchange has ten buffers. At Flink's 32 KB they are full within the 10 to 60 ms that a window takes to fire, so that
        # the valve diverts at any load (decision 0015).
        "taskmanager.memory.segment-size": "128 kb",
        "io.tmp.dirs": os.path.join(directory, "tmp"),
        "web.tmpdir": os.path.join(directory, "tmp"),
        "execution.checkpointing.dir": f"file://{directory}/checkpoints",
        # Whoever watches the job sees counters that are at most this old, not 10 s (see docs: sensing).
        "metrics.fetcher.update-interval": "200 ms",
        # A TaskManager may be up before its JobManager listens; Flink would then wait 10 s before it tries again.
        "cluster.registration.error-delay": "200 ms",
        # A killed TaskManager is missed after seconds, not after Flink's 50 s.
        "heartbeat.interval": "1 s",
        "heartbeat.timeout": "5 s",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "100",
        "restart-strategy.fixed-delay.delay": "500 ms",
    }


def write(directory: str, settings: dict) -> None:
    """Writes conf/config.yaml and conf/log4j.properties; every value is a quoted YAML string."""
    lines = ["'{}': '{}'\n".format(*(part.replace("'", "''") for part in pair)) for pair in settings.items()]
    conf = os.path.join(directory, "conf")
    # It may hold S3 keys.
    with open(os.open(os.path.join(conf, "config.yaml"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as file:
        file.writelines(lines)
    with open(os.path.join(conf, "log4j.properties"), "w", encoding="utf-8") as file:
        file.write(LOG4J)


def find_java() -> str:
    """The java of JAVA_HOME, or else of the PATH."""
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if not java or not os.access(java, os.X_OK):
        where = f"JAVA_HOME={home}" if home else "PATH"
        raise Refused(UNAVAILABLE, f"no java in {where}: install JDK 17 or set JAVA_HOME to one")
    return java


def class_path() -> str:
    """The cluster's jars, as Maven gathered them."""
    if not glob.glob(os.path.join(LIB, "flink-runtime-*.jar")):
        raise Refused(UNAVAILABLE, f"no Flink in {LIB}: run mvn -f {ROOT}/flink-job -pl cluster package")
    return os.path.join(LIB, "*")


def environment(directory: str) -> dict:
    """The environment of every Flink process of this cluster."""
    return {**os.environ, "FLINK_CONF_DIR": os.path.join(directory, "conf"), "FLINK_PLUGINS_DIR": PLUGINS,
            "FLINK_LIB_DIR": LIB}


def java_options(directory: str, settings: dict, role: str) -> list:
    """The options for a role's JVM, the user's env.java.opts.* last so that they win."""
    options = [*JAVA_17_OPTIONS, f"-Djava.io.tmpdir={directory}/tmp", QUIET_AWS]
    for key in ("env.java.opts.all", f"env.java.opts.{role}"):
        options += settings.get(key, "").split()
    return options


def logging_options(directory: str, name: str) -> list:
    return [f"-Dlog.file={directory}/log/{name}.log", f"-Dlog4j.configurationFile={directory}/conf/log4j.properties"]


def jvm_options(directory: str, settings: dict, role: str, name: str) -> list:
    return [*java_options(directory, settings, role), *logging_options(directory, name), "-cp", class_path()]


def start_resource_query(java: str, directory: str, command: str) -> subprocess.Popen:
    """Asks Flink itself how it splits a process's memory, as its own start scripts do."""
    return subprocess.Popen(
        [java, *SHORT_LIVED_OPTIONS, *logging_options(directory, "memory"), "-cp", class_path(),
         "org.apache.flink.runtime.util.bash.BashJavaUtils", command, "--configDir", f"{directory}/conf"],
        env=environment(directory), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def resource_answer(query: subprocess.Popen) -> tuple:
    """The JVM's memory flags and the dynamic properties that go with them."""
    prefix = "BASH_JAVA_UTILS_EXEC_RESULT:"
    out, err = query.communicate()
    answers = [line[len(prefix):].split() for line in out.splitlines() if line.startswith(prefix)]
    if query.returncode != 0 or len(answers) != 2:
        causes = [line for line in err.splitlines() if "Exception" in line]
        why = causes[-1].partition("Exception: ")[2] if causes else (err or out).strip()
        raise Refused(CONFIG, f"Flink refuses the configuration: {why}")
    return answers[0], answers[1]


def commands(directory: str, settings: dict) -> tuple:
    """The command lines of the JobManager and of a TaskManager; `{name}` in the latter stands for its name."""
    java = find_java()
    queries = [start_resource_query(java, directory, f"GET_{role}_RESOURCE_PARAMS") for role in ("JM", "TM")]
    (jm_flags, jm_properties), (tm_flags, tm_properties) = (resource_answer(query) for query in queries)
    conf = ["--configDir", f"{directory}/conf"]
    jobmanager = [
        java, *jm_flags, *jvm_options(directory, settings, "jobmanager", "jobmanager"),
        "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", *conf, *jm_properties]
    # Which garbage collector is left to the JVM: on one core it takes SerialGC, as in a container with one CPU, which
    # is right there, for a concurrent collector would take the only core away from the records.
    taskmanager = [
        java, *tm_flags, *jvm_options(directory, settings, "taskmanager", "{name}"),
        "org.apache.flink.runtime.taskexecutor.TaskManagerRunner", *conf, *tm_properties]
    return jobmanager, taskmanager


def client_command(directory: str, settings: dict, arguments: list) -> list:
    """Flink's own command line client. `spillway.exit-codes` lets a job's main exit with a code of its own."""
    return [
        find_java(), *SHORT_LIVED_OPTIONS, "-Xmx512m", *jvm_options(directory, settings, "client", "client"),
        "-Dspillway.exit-codes=true",
        "org.apache.flink.client.cli.CliFrontend", *arguments]
